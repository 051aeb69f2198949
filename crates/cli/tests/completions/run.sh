#!/usr/bin/env bash
# Has bash, zsh and fish complete command lines with the scripts that the command writes.
# Exit code 1 if one offers anything else than expected, or runs the command to find out.
# Installs the shells that are missing.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
here=$PWD/crates/cli/tests/completions
work=${CARGO_TARGET_DIR:-$PWD/target}/completions
rm -rf "$work"
mkdir -p "$work"
. tests/support/install.sh

missing=()
for shell in zsh fish; do
    command -v "$shell" >/dev/null || missing+=("$shell")
done
[ -r /usr/share/bash-completion/bash_completion ] || missing+=(bash-completion)
if [ ${#missing[@]} -gt 0 ]; then
    install_debian_packages "$work" 'completions in the shells' "${missing[@]}" || exit 0
fi

# With the workspace's features, so that what `cargo test --workspace` built is used.
cargo build --quiet --workspace --bins
python3 "$here/complete.py" "${CARGO_TARGET_DIR:-$PWD/target}/debug/cf-service-tokens" "$work"
