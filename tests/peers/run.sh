#!/usr/bin/env bash
# Takes a service token through its whole life with Cloudflare's own clients
# against the simulator. Exit code 1 if one gets a wrong answer. Installs the clients.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=$PWD/tests/peers
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
installed=$target/peers
mkdir -p "$installed"
. tests/support/install.sh

cargo build --quiet --package cf-service-tokens-simulator
simulator=$target/debug/cf-service-tokens-simulator

# Runs a command with a simulator of its own, which it finds in its environment.
against_a_simulator() {
    local environment=$installed/environment result=0
    : >"$environment"
    "$simulator" --listen 127.0.0.1:0 >"$environment" &
    process=$!
    trap 'kill $process 2>/dev/null || true' EXIT
    # The last line that it prints once it listens.
    until grep -q '^CLOUDFLARE_ACCOUNT_ID=.' "$environment"; do
        kill -0 "$process" 2>/dev/null || {
            echo 'the simulator did not start' >&2
            return 1
        }
        sleep 0.05
    done
    # Credentials of the caller's must not mix with the simulator's.
    # shellcheck disable=SC2046  # one word for each line
    env -u CLOUDFLARE_API_KEY -u CLOUDFLARE_EMAIL $(cat "$environment") \
        PROTECTED_URL="$(sed -n 's|^CLOUDFLARE_BASE_URL=\(.*\)/client/v4$|\1/app|p' "$environment")" \
        "$@" || result=$?
    kill "$process"
    wait "$process" || true
    trap - EXIT
    return "$result"
}

python_peer() {
    local python=$installed/python/bin/python
    install_python_packages "$installed" "$peers/requirements.txt" 'PyPI cloudflare' || return 0
    echo 'the control plane'
    against_a_simulator "$python" "$peers/control.py"
    echo "PyPI $(head -n 1 "$peers/requirements.txt")"
    against_a_simulator "$python" "$peers/service_tokens.py"
}

npm_peer() {
    local directory=$installed/npm
    install_npm_packages "$installed" "$peers/package.json" 'npm cloudflare' || return 0
    echo "npm $(cd "$directory" && npm list --depth 0 | grep -o 'cloudflare@.*')"
    PEER_DIRECTORY=$directory against_a_simulator node "$peers/service_tokens.mjs"
}

python_peer
npm_peer
