# What the stack needs on the machine, and getting it: Debian packages where that is allowed, everything else into
# .local/. Not responsible for Rust, which is the developer's own.

# install_what_is_missing DEPLOYING
install_what_is_missing() {
    [ "$(uname -s)" = Linux ] || die "the local stack runs on Linux only" "use a Linux machine, a virtual one or WSL"
    need_command curl curl
    need_command pgrep procps
    need_command flock util-linux
    need_ledger
    need_command nginx nginx                      # for tests: TLS and logins before Elasticsearch
    need_command openssl openssl                  # for tests: certificates
    need_jdk
    need_venv
    if [ "$1" = yes ]; then
        need_command strip binutils
        need_rust
    fi
}

# need_command COMMAND PACKAGE
need_command() {
    have "$1" && return 0
    apt_install "$2" "$1"
    have "$1" || die "'$1' is still missing after installing the package $2" "install it by hand, so that it is on PATH"
}

have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

# apt_install PACKAGE WHAT-FOR: services don't start by themselves, as in single-user mode. Two stacks that are made side by side
# install one after the other, and both wait for whatever else installs on this machine.
apt_install() {
    local package=$1 what=$2 sudo=
    command -v apt-get >/dev/null || die "'$what' is missing and there is no apt-get to install it with" "install '$what' and try again"
    if [ "$(id -u)" != 0 ]; then
        sudo='sudo -n'
        $sudo true 2>/dev/null || die "'$what' is missing and installing it needs root" "run: sudo apt-get install $package"
    fi
    say "installing $package"
    mkdir -p "$LOCAL/log"
    (
        ! have flock || flock -w 600 8 || die "another stack has been installing packages for ten minutes" "end it, and try again"
        if [ ! -e "$LOCAL/.apt-updated" ] || ! apt_get install "$package"; then
            apt_get update && touch "$LOCAL/.apt-updated"
            apt_get install "$package" ||
                die "could not install $package, see $LOCAL/log/install.log" "run: apt-get install $package"
        fi
    ) 8>"${TMPDIR:-/tmp}/granary-apt-$(id -u).lock"
}

# apt_get install PACKAGE, or apt_get update: with the `sudo` of apt_install.
apt_get() {
    $sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -o DPkg::Lock::Timeout=600 -y --no-install-recommends "$@" \
        >>"$LOCAL/log/install.log" 2>&1
}

# The emulator, SAM and the rest of the Python tools of the stack.
need_venv() {
    make_venv "$VENV" requirements.txt constraints.txt "the AWS emulator, SAM and cargo-lambda (a few hundred MB)"
}

# What only `make lint` needs. checkov pins versions that the stack's tools can't live with.
need_lint_venv() {
    make_venv "$LINT_VENV" lint-requirements.txt lint-constraints.txt "cfn-lint and checkov (400 MB)"
}

# make_venv DIRECTORY REQUIREMENTS CONSTRAINTS WHAT: in the versions that the two files pin.
make_venv() {
    local venv=$1 requirements=$HERE/$2 constraints=$HERE/$3 what=$4 wanted
    wanted=$(cat "$requirements" "$constraints" | sha256sum | cut -d' ' -f1)
    [ "$(cat "$venv/.installed" 2>/dev/null)" = "$wanted" ] && return 0
    local python
    python=$(find_python) || { apt_install python3-venv python3; python=$(find_python); } ||
        die "no Python 3.10 or newer with venv found" "install python3 and python3-venv"
    say "installing $what"
    mkdir -p "$LOCAL/log"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet -r "$requirements" -c "$constraints" >>"$LOCAL/log/install.log" 2>&1 ||
        die "pip could not install ${requirements#"$CHECKOUT"/}, see $LOCAL/log/install.log"
    echo "$wanted" >"$venv/.installed"
}

find_python() {
    local python
    for python in python3 /usr/bin/python3; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$python"
            return 0
        fi
    done
    return 1
}

need_rust() {
    [ -n "$BIN_DIR" ] || command -v cargo >/dev/null ||
        die "Rust is missing" "install it from https://rustup.rs, or start only the services: local/stack up --services"
}
