#!/usr/bin/env bash
# Takes a service token through its whole life with Cloudflare's own clients
# against the simulator. Exit code 1 if one gets a wrong answer; one that can't
# be installed here is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=$PWD/tests/peers
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
installed=$target/peers
mkdir -p "$installed"

cargo build --quiet --package cf-service-tokens-simulator
simulator=$target/debug/cf-service-tokens-simulator

# Runs a command with a simulator of its own, which it finds in its environment.
against_a_simulator() {
    local environment=$installed/environment process result=0
    : >"$environment"
    "$simulator" --listen 127.0.0.1:0 >"$environment" &
    process=$!
    trap 'kill $process 2>/dev/null || true' EXIT
    # The last of the four lines that it prints once it listens.
    until grep -q '^CLOUDFLARE_ZONE_ID=' "$environment"; do
        kill -0 "$process" 2>/dev/null || {
            echo 'the simulator did not start' >&2
            return 1
        }
        sleep 0.05
    done
    # Credentials of the caller's must not mix with the simulator's.
    env -u CLOUDFLARE_API_KEY -u CLOUDFLARE_EMAIL -u CLOUDFLARE_API_USER_SERVICE_KEY \
        $(cat "$environment") "$@" || result=$?
    kill "$process"
    wait "$process" || true
    trap - EXIT
    return "$result"
}

python_peer() {
    local python=$installed/python/bin/python
    if ! command -v python3 >/dev/null; then
        echo 'SKIPPED: PyPI cloudflare: there is no python3'
        return
    fi
    if ! { python3 -m venv "$installed/python" &&
        "$python" -m pip install --quiet --disable-pip-version-check \
            --requirement "$peers/requirements.txt"; } >"$installed/python.log" 2>&1; then
        echo "SKIPPED: PyPI cloudflare: it can't be installed: $(tail -n 1 "$installed/python.log")"
        return
    fi
    echo "PyPI $(cat "$peers/requirements.txt")"
    against_a_simulator "$python" "$peers/service_tokens.py"
}

npm_peer() {
    local directory=$installed/npm
    if ! command -v npm >/dev/null; then
        echo 'SKIPPED: npm cloudflare: there is no npm'
        return
    fi
    mkdir -p "$directory"
    cp "$peers/package.json" "$directory"
    if ! npm install --prefix "$directory" --no-audit --no-fund --no-package-lock \
        --ignore-scripts >"$installed/npm.log" 2>&1; then
        echo "SKIPPED: npm cloudflare: it can't be installed: $(tail -n 1 "$installed/npm.log")"
        return
    fi
    echo "npm $(cd "$directory" && npm list --depth 0 | grep -o 'cloudflare@.*')"
    PEER_DIRECTORY=$directory against_a_simulator node "$peers/service_tokens.mjs"
}

python_peer
npm_peer
