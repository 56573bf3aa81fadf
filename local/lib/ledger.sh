# The ledger's server, MariaDB or MySQL (LEDGER_SERVER), with a data directory, a socket and a port of its own; the machine's other
# databases and their configuration are not touched. Tables have no file each: tests make thousands of them. How each of the
# two gets here and what only it understands is in mariadb.sh and mysql.sh.

LEDGER_SERVERS=(mariadb mysql)

need_ledger() {
    case $LEDGER_SERVER in
        mariadb | mysql) "need_$LEDGER_SERVER" ;;
        *) die "there is no ledger server '$LEDGER_SERVER'" "LEDGER_SERVER is mariadb (the default) or mysql" ;;
    esac
}

ledger_up() {
    local spec="mysql://127.0.0.1:$MYSQL_PORT" home server options
    home=$(ledger_home)
    need_passwords
    for server in "${LEDGER_SERVERS[@]}"; do
        [ "$server" = "$LEDGER_SERVER" ] || stop_service "$server"
    done
    mkdir -p "$home/tmp" "$LOCAL/log"
    make_data "$home"
    runs_as "$LEDGER_SERVER" "$spec" && return 0
    need_port "$MYSQL_PORT" MYSQL_PORT "the ledger's server"
    write_users "$home"
    mapfile -t options < <("${LEDGER_SERVER}_options")
    # A commit survives the death of the server (2), and need not survive that of the machine: each would wait for the disk.
    start_service "$LEDGER_SERVER" "$spec" "$(ledger_program)" --no-defaults "--user=$(id -un)" \
        "--datadir=$home/data" "--tmpdir=$home/tmp" "--socket=$(ledger_socket)" "--pid-file=$home/server.pid" \
        --bind-address=127.0.0.1 "--port=$MYSQL_PORT" --skip-name-resolve "--init-file=$home/users.sql" \
        --character-set-server=utf8mb4 --max-connections=400 --max-allowed-packet=64M \
        --innodb-flush-log-at-trx-commit=2 --innodb-file-per-table=0 --innodb-buffer-pool-size=512M "${options[@]}"
}

ledger_ready() { wait_ready "$LEDGER_SERVER" 60 ledger_is_ready; }

ledger_is_ready() { ask_ledger 'SELECT 1'; }

ask_ledger() {
    MYSQL_PWD=$LEDGER_PASSWORD "$(ledger_client)" --no-defaults --protocol=tcp -h 127.0.0.1 -P "$MYSQL_PORT" -u granary \
        --batch --skip-column-names -e "$1" granary
}

# Whether its tables were made by other migrations than this checkout has: its first one has another name.
ledger_is_unreleased() {
    local applied
    applied=$(ask_ledger 'SELECT name FROM refinery_schema_history WHERE version = 1' 2>/dev/null) || return 1
    [ -n "$applied" ] && [ ! -e "$CHECKOUT/shared/ledger/migrations/V1__$applied.sql" ]
}

ledger_home() { echo "$LOCAL/$LEDGER_SERVER"; }
ledger_program() { "${LEDGER_SERVER}_program"; }
ledger_client() { "${LEDGER_SERVER}_client"; }

# A socket's path may have 107 bytes at most, which a deep checkout exceeds.
ledger_socket() {
    local socket
    socket=$(ledger_home)/mysql.sock
    [ "${#socket}" -le 100 ] || socket=/tmp/granary-$(printf '%s' "$socket" | sha256sum | cut -c1-12).sock
    echo "$socket"
}

# make_data HOME: once. What was only half made is made anew. `empty` stays as it is: a server of a test's own begins with a copy.
make_data() {
    local new=$1/new
    rm -rf "$new"
    if [ ! -d "$1/empty" ]; then
        "make_${LEDGER_SERVER}_data" "$new" >>"$LOCAL/log/install.log" 2>&1 ||
            die "could not make the data directory of $LEDGER_SERVER, see $LOCAL/log/install.log"
        mv "$new" "$1/empty"
    fi
    [ ! -d "$1/data" ] || return 0
    cp -r --reflink=auto "$1/empty" "$new"
    mv "$new" "$1/data"
}

# `granary` is who the functions and the tests are: it may do anything in databases whose names begin with granary,
# and nothing elsewhere. The server runs this file at every start, so it only says what shall be so.
write_users() {
    (umask 077 && cat >"$1/users.sql") <<SQL
ALTER USER 'root'@'localhost' IDENTIFIED BY '$ROOT_PASSWORD';
CREATE USER IF NOT EXISTS 'root'@'127.0.0.1';
ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '$ROOT_PASSWORD';
GRANT ALL PRIVILEGES ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS 'granary'@'%';
ALTER USER 'granary'@'%' IDENTIFIED BY '$LEDGER_PASSWORD';
GRANT ALL PRIVILEGES ON \`granary%\`.* TO 'granary'@'%';
CREATE DATABASE IF NOT EXISTS granary;
SQL
}

# Made once per .local directory: passwords and tokens that no other stack shares.
need_passwords() {
    if [ ! -s "$LOCAL/secrets" ]; then
        (umask 077 && for name in ROOT_PASSWORD LEDGER_PASSWORD OPERATOR_TOKEN VIEWER_TOKEN; do
            printf '%s=%s\n' "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
        done >"$LOCAL/secrets")
    fi
    . "$LOCAL/secrets"
}
