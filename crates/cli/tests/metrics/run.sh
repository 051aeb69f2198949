#!/usr/bin/env bash
# Has Prometheus's own parsers, its promtool and a server of it read what a watcher
# serves under /metrics, and tries the alert rules. Exit code 1 if one refuses
# something; one that can't be installed here is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
here=$PWD/crates/cli/tests/metrics
work=${CARGO_TARGET_DIR:-$PWD/target}/metrics
export METRICS=$work/written
mkdir -p "$METRICS"
. tests/support/install.sh

cargo test --quiet --package cf-service-tokens-cli --bins -- --ignored --exact \
    monitor::tests::writes_metrics >"$work/cargo.log" 2>&1 || {
    cat "$work/cargo.log" >&2
    exit 1
}

python_parsers() {
    install_python_packages "$work" "$here/requirements.txt" \
        "Prometheus's parsers for Python" || return 0
    "$work/python/bin/python" "$here/parsers.py" "$METRICS"
}

# Debian's package, unpacked and not installed: to install it starts a server.
unpacked() {
    [ -x "$work/root/usr/bin/promtool" ] && return
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return
    (cd "$work" && { apt-get download prometheus ||
        { apt-get update && apt-get download prometheus; }; } &&
        dpkg -x prometheus_*.deb root) >"$work/apt.log" 2>&1
}

prometheus_itself() {
    local bin
    if command -v promtool >/dev/null && command -v prometheus >/dev/null; then
        bin=$(dirname "$(command -v promtool)")
    elif unpacked; then
        bin=$work/root/usr/bin
    else
        echo 'SKIPPED: promtool and Prometheus: there is no such package here'
        return
    fi
    "$bin/promtool" check metrics <"$METRICS/metrics.txt"
    echo 'promtool finds no fault with the metrics'
    python3 "$here/scrape.py" "$METRICS" "$bin/prometheus"
    "$bin/promtool" check rules deploy/prometheus/alerts.yml
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
