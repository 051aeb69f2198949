#!/usr/bin/env bash
# Holds what is under deploy/ against the schemas of Kubernetes and of GitHub Actions,
# and against systemd. Exit code 1 if one finds a fault. Installs the schemas, and
# systemd's programs, if they are missing. The alert rules are tried by
# ../metrics/run.sh.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
here=$PWD/crates/cli/tests/deploy
work=${CARGO_TARGET_DIR:-$PWD/target}/deploy
mkdir -p "$work"
. tests/support/install.sh

# The oldest Kubernetes that has what the manifests use, and the newest known.
kubernetes_versions=(1.29.0 1.37.0)

schemas() {
    local version
    install_python_packages "$work" "$here/requirements.txt" \
        'the schemas of Kubernetes and GitHub Actions' || return 0
    for version in "${kubernetes_versions[@]}"; do
        "$work/python/bin/kubernetes-validate" --strict --quiet -k "$version" deploy/kubernetes/*.yaml
        echo "deploy/kubernetes is valid for Kubernetes $version"
    done
    "$work/python/bin/check-jsonschema" --builtin-schema vendor.github-workflows deploy/github-actions/*.yml
    "$work/python/bin/check-jsonschema" --builtin-schema vendor.github-actions action.yml
}

# The number of shards stands in three places, which must agree.
shards() {
    local manifest=deploy/kubernetes/indexed-job.yaml
    local numbers
    numbers=$(sed -nE 's/^ +(completions|parallelism): ([0-9]+)$/\2/p; s/.*--shard=.*\/([0-9]+)$/\1/p' "$manifest")
    if [ "$(wc -w <<<"$numbers")" != 3 ] || [ "$(sort -u <<<"$numbers" | wc -l)" != 1 ]; then
        echo "$manifest names different numbers of shards: ${numbers//$'\n'/ }" >&2
        return 1
    fi
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

schemas
shards
units
