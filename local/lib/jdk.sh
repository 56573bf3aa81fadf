# The JDK that a version of Elasticsearch runs on: the machine's own where it is new enough, a Debian package where there is
# one, else the one of Debian's unstable suite, extracted beside the system and run with its own loader and libraries.

JDK_HOME=
UNSTABLE_JDK=21

# Elasticsearch 7 and 8 are tried on 17, so that goes before newer ones; 9 needs 21.
need_jdk() {
    local least
    least=$(least_jdk)
    find_jdk "$least" && return 0
    if [ "$least" = 17 ]; then
        apt_install openjdk-17-jdk-headless javac || true
    else
        install_unstable_jdk "$LOCAL/jdk-$UNSTABLE_JDK"
    fi
    find_jdk "$least" || die "no JDK $least or newer found" "install openjdk-$least-jdk-headless, or set JAVA_HOME"
}

least_jdk() { if [ "${ES_VERSION%%.*}" -lt 9 ]; then echo 17; else echo 21; fi; }

# find_jdk LEAST
find_jdk() {
    local home
    for home in "/usr/lib/jvm/"*"$1"* "$LOCAL/jdk-$UNSTABLE_JDK/home" "${JAVA_HOME:-}" \
        "$(command -v javac >/dev/null && dirname "$(dirname "$(readlink -f "$(command -v javac)")")")" /usr/lib/jvm/*; do
        if [ -n "$home" ] && [ -x "$home/bin/javac" ] && [ "$(jdk_major "$home")" -ge "$1" ]; then
            JDK_HOME=$home
            return 0
        fi
    done
    return 1
}

jdk_major() { "$1/bin/javac" -version 2>&1 | sed -nE 's/^javac ([0-9]+).*/\1/p' | grep . || echo 0; }

# install_unstable_jdk DIRECTORY
install_unstable_jdk() {
    local directory=$1 mirror home libraries program
    need_command patchelf patchelf
    need_command dpkg-deb dpkg
    say "fetching OpenJDK $UNSTABLE_JDK from Debian's unstable suite"
    rm -rf "${directory:?}"
    mkdir -p "$directory/lists/partial" "$directory/archives/partial" "$directory/root" "$LOCAL/log"
    mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } | sed -nE 's,.*(https?://[^ ]+/debian)/?( .*|$),\1,p' | sed -n 1p)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} sid main" >"$directory/sid.list"
    { unstable_apt "$directory" update && unstable_apt "$directory" install -y --no-install-recommends --download-only "openjdk-$UNSTABLE_JDK-jdk-headless"; } \
        >>"$LOCAL/log/install.log" 2>&1 ||
        die "could not fetch OpenJDK $UNSTABLE_JDK, see $LOCAL/log/install.log" "install a JDK $UNSTABLE_JDK or newer, and set JAVA_HOME"
    find "$directory/archives" -name '*.deb' -exec dpkg-deb -x {} "$directory/root" \;
    rm -rf "$directory/archives" "$directory/lists"
    home=$directory/root/usr/lib/jvm/java-$UNSTABLE_JDK-openjdk-amd64
    libraries=$directory/root/usr/lib/x86_64-linux-gnu
    for program in java javac jar; do
        patchelf --set-interpreter "$libraries/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$home/lib:$libraries" "$home/bin/$program"
    done
    # The packages' configuration is linked to by absolute paths.
    find "$home" -type l -lname '/etc/*' -printf '%p %l\n' | while read -r link target; do
        ln -sfn "$directory/root$target" "$link"
    done
    ln -sfn "$home" "$directory/home"
}

# unstable_apt DIRECTORY ARGUMENT…: as if nothing were installed, so that every library comes along.
unstable_apt() {
    local directory=$1
    shift
    apt-get -q -o "Dir::Etc::sourcelist=$directory/sid.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::Lists=$directory/lists" \
        -o "Dir::Cache::archives=$directory/archives" -o Dir::State::status=/dev/null "$@"
}
