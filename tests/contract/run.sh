#!/usr/bin/env bash
# Holds the SDK, the command and the simulator to Cloudflare's own document, by tools
# and clients that know none of them. Exit code 1 if a check fails. Installs the tools.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
installed=$target/contract
peers=$target/peers
mkdir -p "$installed" "$peers"
. tests/support/install.sh

install_npm_packages "$installed" tests/contract/package.json Prism || exit 0
install_python_packages "$installed" tests/contract/requirements.txt schemathesis || exit 0
install_npm_packages "$peers" tests/peers/package.json 'npm cloudflare' || exit 0
install_python_packages "$peers" tests/peers/requirements.txt 'PyPI cloudflare' || exit 0

# One by one, with the features that .ci/run has built them with.
cargo build --quiet --package cf-service-tokens-simulator
cargo build --quiet --package cf-service-tokens-cli
cargo build --quiet --package cf-service-tokens --all-features --example contract

export WORK=$installed/work
export PRISM=$installed/npm/node_modules/.bin/prism
export SCHEMATHESIS=$installed/python/bin/schemathesis
export SIMULATOR=$target/debug/cf-service-tokens-simulator
export COMMAND=$target/debug/cf-service-tokens
export DRIVER=$target/debug/examples/contract
export PEERS_INSTALLED=$peers
PYTHONDONTWRITEBYTECODE=1 exec "$installed/python/bin/python" tests/contract/referee.py
