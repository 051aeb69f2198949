#!/usr/bin/env bash
# Has Prometheus's own parsers, its promtool and a server of it read what a watcher
# serves under /metrics, tries the alert rules, and holds them, the dashboard and the
# document against the metrics. Exit code 1 if one refuses something. Installs the parsers
# and Prometheus if they are missing.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
here=$PWD/crates/cli/tests/metrics
work=${CARGO_TARGET_DIR:-$PWD/target}/metrics
export METRICS=$work/written PYTHONDONTWRITEBYTECODE=1
# Metrics of an earlier run must not stand in for those of this one.
rm -rf "$METRICS"
mkdir -p "$METRICS"
. tests/support/install.sh

install_python_packages "$work" "$here/requirements.txt" \
    "Prometheus's parsers for Python" || exit 0

# With the workspace's features, so that what `cargo test --workspace` built is used.
cargo test --quiet --workspace --bins -- --ignored --exact \
    serve::tests::written::writes_metrics >"$work/cargo.log" 2>&1 || {
    cat "$work/cargo.log" >&2
    exit 1
}

# A watcher by a configuration file has more metrics.
programs=${CARGO_TARGET_DIR:-$PWD/target}/debug
cargo build --quiet --workspace --bins
python3 "$here/watcher.py" "$METRICS" "$programs/cf-service-tokens" "$programs/cf-service-tokens-simulator"

python_parsers() {
    "$work/python/bin/python" "$here/parsers.py" "$METRICS"
    "$work/python/bin/python" "$here/names.py" "$METRICS"
    "$work/python/bin/python" "$here/dashboard.py"
}

prometheus_itself() {
    local bin=$work/root/usr/bin
    if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
        bin=$(dirname "$(command -v promtool)")
    elif [ ! -x "$bin/promtool" ]; then
        unpack_debian_package "$work" 'promtool and Prometheus' prometheus || return 0
    fi
    "$bin/promtool" check metrics <"$METRICS/metrics.txt"
    echo 'promtool finds no fault with the metrics'
    "$work/python/bin/python" "$here/scrape.py" "$METRICS" "$bin/prometheus"
    "$work/python/bin/python" "$here/rotations.py" "$programs/cf-service-tokens" \
        "$programs/cf-service-tokens-simulator" "$bin/prometheus"
    "$work/python/bin/python" "$here/expressions.py" >"$work/dashboard.yml"
    "$bin/promtool" check rules --lint=all --lint-fatal deploy/prometheus/alerts.yml "$work/dashboard.yml"
    # Debian builds Prometheus without Kubernetes; the rest of the file it can read.
    cp deploy/prometheus/alerts.yml "$work"
    sed -e 's/kubernetes_sd_configs:/static_configs:/' \
        -e 's/- role: pod/- targets: ["127.0.0.1:9464"]/' \
        deploy/prometheus/kubernetes.yml >"$work/kubernetes.yml"
    "$bin/promtool" check config "$work/kubernetes.yml"
    "$bin/promtool" test rules deploy/prometheus/alerts.test.yml
}

python_parsers
prometheus_itself
