#!/usr/bin/env bash
# Holds the scripts to their promise: under CI=true a tool that can't be installed is a
# failure; elsewhere the check that needs it is skipped and listed. The installers are
# stubs, so no registry is asked and nothing is built.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
export CARGO_TARGET_DIR=$work/target SKIPPED_LIST=$work/skipped

# All that this machine has: the usual tools and the stubs, but no browser, no
# Prometheus, and no systemd.
mkdir "$work/bin"
for name in basename bash cat comm cp cut date dirname env find git grep head jq ln ls \
    mkdir mktemp mv realpath rm sed sleep sort tail tee touch tr true uniq wc; do
    if type -P "$name" >/dev/null; then
        ln -s "$(type -P "$name")" "$work/bin/$name"
    fi
done

# Puts a command onto that machine, with this body.
stub() {
    printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1"
    chmod +x "$work/bin/$1"
}
stub id 'echo 0'

# Makes each installer fail, succeed, or be absent.
installers() {
    local name
    # Cargo is there in any case, and builds.
    stub cargo 'exit 0'
    if [ "$1" != succeed ]; then
        # shellcheck disable=SC2016  # expanded by the stub
        stub cargo 'if [ "$1" = install ]; then echo "the stub fails"; exit 9; fi'
    fi
    for name in python3 npm apt-get; do
        case $1 in
        fail) stub "$name" 'echo "the stub fails"; exit 9' ;;
        absent) rm -f "$work/bin/$name" ;;
        succeed) stub "$name" 'exit 0' ;;
        esac
    done
    if [ "$1" = succeed ]; then
        # `python3 -m venv DIRECTORY` leaves a program behind.
        stub python3 "mkdir -p \"\$3/bin\" && ln -sf '$work/bin/true' \"\$3/bin/python\""
        stub dpkg 'exit 0'
    fi
}

# Runs a command on that machine, with or without CI=true: its output, its exit code and
# what it skipped are left behind.
attempt() {
    local ci=$1
    shift
    code=0
    : >"$SKIPPED_LIST"
    CI=$ci PATH=$work/bin "$@" >"$work/output" 2>&1 || code=$?
}

# Ends the test unless the words are a condition that holds.
expect() {
    if ! "$@"; then
        echo "this does not hold: $*; the command printed:" >&2
        cat "$work/output" >&2
        exit 1
    fi
}

fails_on_ci() {
    echo "$1: fails under CI=true"
    attempt true "${@:2}"
    expect [ "$code" != 0 ]
    expect grep -q '^FAILED: ' "$work/output"
    expect [ ! -s "$SKIPPED_LIST" ]
}

is_skipped_elsewhere() {
    echo "$1: is skipped elsewhere"
    attempt '' "${@:2}"
    expect [ "$code" = 0 ]
    expect grep -q '^SKIPPED: ' "$work/output"
    expect [ -s "$SKIPPED_LIST" ]
}

# Calls a function as a script does, in a shell that goes on after it.
# shellcheck disable=SC2016  # expanded by the inner shell
call=(bash -euc '. tests/support/install.sh; "$@" || exit 0; echo installed' call)
for function in \
    "install_python_packages $work/python tests/peers/requirements.txt what" \
    "install_npm_packages $work/npm tests/peers/package.json what" \
    "install_cargo_program $work/cargo what cargo-hello" \
    "install_debian_packages $work/debian what hello" \
    "unpack_debian_package $work/unpacked what hello"; do
    read -ra words <<<"$function"
    mkdir -p "${words[1]}"
    for state in fail absent; do
        installers "$state"
        fails_on_ci "${words[0]}, installers $state" "${call[@]}" "${words[@]}"
        is_skipped_elsewhere "${words[0]}, installers $state" "${call[@]}" "${words[@]}"
    done
    installers succeed
    attempt true "${call[@]}" "${words[@]}"
    expect [ "$code" = 0 ]
    expect grep -q '^installed$' "$work/output"
done

# Every script that installs anything, run whole.
mapfile -t scripts < <(git grep --untracked -l '^\. tests/support/install\.sh' -- '*.sh')
expect [ "${#scripts[@]}" -ge 5 ]
installers fail
for script in "${scripts[@]}"; do
    fails_on_ci "$script" bash "$script"
    is_skipped_elsewhere "$script" bash "$script"
done
