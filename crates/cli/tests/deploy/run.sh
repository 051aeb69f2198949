#!/usr/bin/env bash
# Holds what is under deploy/ against the schemas of Kubernetes and of GitHub Actions,
# and against systemd, and runs the command as the Helm chart does. Exit code 1 if one finds
# a fault. Installs Helm, the schemas and systemd's programs, if they are missing. The
# alert rules and the dashboard are tried by ../metrics/run.sh.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
here=$PWD/crates/cli/tests/deploy
work=${CARGO_TARGET_DIR:-$PWD/target}/deploy
mkdir -p "$work"
. tests/support/install.sh

workflows() {
    "$work/python/bin/check-jsonschema" --builtin-schema vendor.github-workflows deploy/github-actions/*.yml
    "$work/python/bin/check-jsonschema" --builtin-schema vendor.github-actions action.yml
}

chart() {
    local programs=${CARGO_TARGET_DIR:-$PWD/target}/debug
    # With the workspace's features, so that what `cargo test --workspace` built is used.
    cargo build --quiet --workspace --bins
    # Helm tells of each link that it follows, and of the values that it refuses.
    "$work/python/bin/python" "$here/chart.py" "$programs/cf-service-tokens" \
        "$programs/cf-service-tokens-simulator" 2> >(grep -v 'found symbolic link in path\|funcMap fail' >&2)
}

units() {
    local unit
    if ! command -v systemd-analyze >/dev/null; then
        install_debian_packages "$work" 'the units of systemd' systemd || return 0
    fi
    # The command need not be installed here.
    mkdir -p "$work/units"
    for unit in deploy/systemd/*; do
        sed 's#^ExecStart=/usr/local/bin/cf-service-tokens #ExecStart=/bin/true #' "$unit" \
            >"$work/units/$(basename "$unit")"
    done
    systemd-analyze verify "$work"/units/*
    for unit in "$work"/units/*.service; do
        # From 0, nothing to gain for an intruder, to 100.
        systemd-analyze security --offline=yes --threshold=15 --no-pager "$unit" | tail -n 1
    done
}

if install_python_packages "$work" "$here/requirements.txt" \
    'the Helm chart, and the schemas of Kubernetes and GitHub Actions'; then
    workflows
    chart
fi
units
