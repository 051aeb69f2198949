#!/usr/bin/env bash
# Runs the steps of action.yml as a runner does, with an archive made here in place of a
# release, against the simulator. Exit code 1 if one does anything else than expected.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/action
mkdir -p "$work"
. tests/support/install.sh

install_python_packages "$work" tests/action/requirements.txt 'the GitHub Action' || exit 0
if ! command -v jq >/dev/null || ! command -v curl >/dev/null; then
    install_debian_packages "$work" 'the GitHub Action' jq curl || exit 0
fi
# With the workspace's features, so that what `cargo test --workspace` built is used.
cargo build --quiet --workspace --bins
"$work/python/bin/python" tests/action/steps.py "$target/debug" "$work"
