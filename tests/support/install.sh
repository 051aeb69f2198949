# Sourced by the scripts that check the project with tools from other registries. Each
# function takes the name of what needs the tool, to say it if the tool can't be had.
# shellcheck shell=bash

# Reports a check that can't run. On CI that is a failure, and ends the script.
# Elsewhere the script goes on, and .ci/run lists at its end what was skipped.
skip() {
    if [ "${CI:-}" = true ]; then
        echo "FAILED: $1 (CI=true skips nothing)" >&2
        exit 1
    fi
    echo "SKIPPED: $1" >&2
    if [ -n "${SKIPPED_LIST:-}" ]; then
        echo "$1" >>"$SKIPPED_LIST"
    fi
}

# Runs a command that installs a tool. If it fails, prints its output, skips the check
# and returns 1.
install_or_skip() {
    local what=$1 log=$2
    shift 2
    mkdir -p "$(dirname "$log")"
    "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    skip "$what: can't be installed: $(tail -n 1 "$log")"
    return 1
}

# Installs the Python packages of a list, for "$directory/python/bin/python".
install_python_packages() {
    local directory=$1 list=$2 what=$3
    install_or_skip "$what" "$directory/python.log" python_packages "$directory/python" "$list"
}

python_packages() {
    python3 -m venv "$1" &&
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$2"
}

# Installs npm's packages of a list into "$directory/npm", in the versions of the
# package-lock.json beside the list.
install_npm_packages() {
    local directory=$1 list=$2 what=$3
    mkdir -p "$directory/npm"
    cp "$list" "$(dirname "$list")/package-lock.json" "$directory/npm"
    install_or_skip "$what" "$directory/npm.log" npm ci --prefix "$directory/npm" \
        --no-audit --no-fund --ignore-scripts
}

# Installs a program of crates.io, such as cargo-hack@0.6.46, into "$directory/bin".
install_cargo_program() {
    local directory=$1 what=$2 crate=$3
    install_or_skip "$what" "$directory/cargo.log" \
        cargo install --locked --root "$directory" "$crate"
}

# Installs Debian packages on this machine.
install_debian_packages() {
    local directory=$1 what=$2
    shift 2
    install_or_skip "$what" "$directory/apt.log" debian_packages "$@"
}

debian_packages() {
    as_root apt-get update &&
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes --no-install-recommends "$@"
}

# Unpacks a Debian package into "$directory/root", for one that starts a server when it
# is installed.
unpack_debian_package() {
    local directory=$1 what=$2 package=$3
    install_or_skip "$what" "$directory/apt.log" debian_package "$directory" "$package"
}

debian_package() {
    # A subshell, for its directory: apt-get downloads into the one where it runs.
    (
        cd "$1" &&
            rm -f "$2"_*.deb &&
            as_root apt-get update &&
            apt-get download "$2" &&
            dpkg -x "$2"_*.deb root
    )
}

# Runs a command as root. On CI sudo asks nobody for a password; a developer's machine
# is changed only by one who is root, as in a container.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif [ "${CI:-}" = true ]; then
        sudo --non-interactive "$@"
    else
        echo "there is no right to run: $*" >&2
        return 1
    fi
}
