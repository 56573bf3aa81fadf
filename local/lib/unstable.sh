# Programs of Debian's unstable suite, extracted beside the system with every library that they need, and run with their own
# loader. Nothing is installed, and nothing of the machine's own changes.

# fetch_unstable DIRECTORY WHAT REMEDY PACKAGE…: what the packages and all that they depend on hold, below DIRECTORY/root.
fetch_unstable() {
    local directory=$1 what=$2 remedy=$3 mirror
    shift 3
    need_command patchelf patchelf
    need_command dpkg-deb dpkg
    say "fetching $what from Debian's unstable suite"
    rm -rf "${directory:?}"
    mkdir -p "$directory/lists/partial" "$directory/archives/partial" "$directory/root" "$LOCAL/log"
    mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } | sed -nE 's,.*(https?://[^ ]+/debian)/?( .*|$),\1,p' | sed -n 1p)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} sid main" >"$directory/sid.list"
    { unstable_apt "$directory" update && unstable_apt "$directory" install -y --no-install-recommends --download-only "$@"; } \
        >>"$LOCAL/log/install.log" 2>&1 ||
        die "could not fetch $what, see $LOCAL/log/install.log" "$remedy"
    find "$directory/archives" -name '*.deb' -exec dpkg-deb -x {} "$directory/root" \;
    rm -rf "$directory/archives" "$directory/lists"
}

# unstable_apt DIRECTORY ARGUMENT…: as if nothing were installed, so that every library comes along. It writes to DIRECTORY alone, so
# it neither waits for the machine's own package manager nor holds it up.
unstable_apt() {
    local directory=$1
    shift
    apt-get -q -o "Dir::Etc::sourcelist=$directory/sid.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::Lists=$directory/lists" \
        -o "Dir::Cache::archives=$directory/archives" -o Dir::State::status=/dev/null \
        -o Debug::NoLocking=true "$@"
}

# use_own_libraries DIRECTORY PROGRAM…: they no longer look for a loader or a library of the machine's. A program's own
# directory of libraries may be given as OWN_LIBRARIES.
use_own_libraries() {
    local libraries=$1/root/usr/lib/x86_64-linux-gnu program
    shift
    for program in "$@"; do
        patchelf --set-interpreter "$libraries/ld-linux-x86-64.so.2" --force-rpath \
            --set-rpath "${OWN_LIBRARIES:+$OWN_LIBRARIES:}$libraries" "$program"
    done
}
