# Starting, finding and ending the stack's processes. A service is a process that leads a session of its own, with
# its pid in run/NAME.pid, what it was started as in run/NAME.spec, and its output in log/NAME.log.
#
# A pid alone proves nothing after a reboot: a process is ours only if its command line also names this .local
# directory. What isn't ours is never signalled.

say() { printf '\033[1mstack\033[0m  %s\n' "$*"; }

# die WHAT REMEDY
die() {
    printf 'stack: %s\n' "$1" >&2
    [ -z "${2:-}" ] || printf '       %s\n' "$2" >&2
    exit 1
}

# start_service NAME SPEC COMMAND... : in its own session, so that neither ^C nor the end of this shell reaches it.
start_service() {
    local name=$1 spec=$2
    shift 2
    mkdir -p "$LOCAL/run" "$LOCAL/log"
    setsid "$@" </dev/null >"$LOCAL/log/$name.log" 2>&1 9>&- &
    echo $! >"$LOCAL/run/$name.pid"
    echo "$spec" >"$LOCAL/run/$name.spec"
    # For a moment it is still this shell, and so not yet recognised as ours.
    for _ in 1 2 3 4 5 6 7 8 9 10; do is_running "$name" && break; sleep 0.1; done
    say "starting $name (pid $(cat "$LOCAL/run/$name.pid"))"
}

# Whether NAME runs and is ours.
is_running() {
    local pid
    pid=$(pid_of "$1") && is_ours "$pid"
}

is_ours() { cat "/proc/$1/cmdline" 2>/dev/null | tr '\0' ' ' | grep -qF -- "$LOCAL/"; }

# Whether NAME runs as SPEC says; if it runs as something else (a port or a version changed), it is stopped. If it was
# killed, what it left behind goes.
runs_as() {
    local name=$1 spec=$2
    is_running "$name" || { stop_service "$name"; return 1; }
    [ "$(spec_of "$name")" = "$spec" ] && return 0
    say "$name runs as '$(spec_of "$name")', wanted is '$spec': starting it anew"
    stop_service "$name"
    return 1
}

pid_of() { cat "$LOCAL/run/$1.pid" 2>/dev/null; }
spec_of() { cat "$LOCAL/run/$1.spec" 2>/dev/null; }

# stop_service NAME: asks, waits up to 30 s, then ends it; and then whatever it left behind in its session, which is
# how the functions that the emulator started go too.
stop_service() {
    local name=$1 pid
    pid=$(pid_of "$name") || return 0
    if is_running "$name"; then
        say "stopping $name (pid $pid)"
        kill -TERM "$pid" 2>/dev/null || true
        wait_until_gone "$pid" 30 || kill -KILL "$pid" 2>/dev/null || true
        wait_until_gone "$pid" 5 || true
    fi
    end_session "$pid"
    rm -f "$LOCAL/run/$name.pid" "$LOCAL/run/$name.spec"
}

wait_until_gone() {
    local pid=$1 tenths=$(($2 * 10))
    while [ "$tenths" -gt 0 ]; do
        process_is_gone "$pid" && return 0
        sleep 0.1
        tenths=$((tenths - 1))
    done
    return 1
}

# A zombie holds nothing any more; who has to reap it may be slow to.
process_is_gone() {
    local state
    state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) || return 0
    [ -z "$state" ] || [ "$state" = Z ]
}

# end_session PID: what is left of the session that PID led, also where PID itself was killed.
end_session() {
    local session=$1 pid
    for pid in $(pgrep -s "$session" || true); do
        is_ours "$pid" || continue
        kill -TERM "$pid" 2>/dev/null || true
        wait_until_gone "$pid" 3 || kill -KILL "$pid" 2>/dev/null || true
    done
}

# need_port PORT VARIABLE WHAT: before a start, nobody else may answer there.
need_port() {
    local port=$1 variable=$2 what=$3
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        die "port $port, wanted for $what, is taken by a process that this stack did not start" \
            "end that process, or choose another port: $variable=<port> local/stack up"
    fi
}

# wait_ready NAME SECONDS PROBE...: polls PROBE; a service that ends meanwhile is not waited for.
wait_ready() {
    local name=$1 deadline=$((SECONDS + $2)) limit=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        is_running "$name" || failed_start "$name" "$name ended while it was starting"
        [ "$SECONDS" -lt "$deadline" ] || failed_start "$name" "$name was not ready within $limit s"
        sleep 0.3
    done
}

failed_start() {
    printf 'stack: the last lines of %s:\n' "$LOCAL/log/$1.log" >&2
    tail -n 20 "$LOCAL/log/$1.log" | sed 's/^/       /' >&2
    die "$2"
}

status_line() {
    local name=$1 state=stopped pid=- address=-
    if is_running "$name"; then
        state=running pid=$(pid_of "$name") address=$(spec_of "$name")
    fi
    printf '%-14s %-8s %-8s %-30s %s\n' "$name" "$state" "$pid" "$address" "$LOCAL/log/$name.log"
    [ "$state" = running ]
}

running_summary() {
    local name
    for name in "${SERVICES[@]}"; do printf '%s (%s)  ' "$name" "$(spec_of "$name")"; done
}
