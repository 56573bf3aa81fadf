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
    local directory=$1 home=$1/root/usr/lib/jvm/java-$UNSTABLE_JDK-openjdk-amd64
    fetch_unstable "$directory" "OpenJDK $UNSTABLE_JDK" "install a JDK $UNSTABLE_JDK or newer, and set JAVA_HOME" \
        "openjdk-$UNSTABLE_JDK-jdk-headless"
    OWN_LIBRARIES=$home/lib use_own_libraries "$directory" "$home/bin/java" "$home/bin/javac" "$home/bin/jar"
    # The packages' configuration is linked to by absolute paths.
    find "$home" -type l -lname '/etc/*' -printf '%p %l\n' | while read -r link target; do
        ln -sfn "$directory/root$target" "$link"
    done
    ln -sfn "$home" "$directory/home"
}
