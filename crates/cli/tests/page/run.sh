#!/usr/bin/env bash
# Opens the report pages in headless Chromium, at the widths of a desktop and of a
# phone. Exit code 1 if one is not as it should be; skipped, and says so, where the
# browser can't be installed. The screenshots are left in SCREENSHOTS, or in target.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
here=$PWD/crates/cli/tests/page
work=${CARGO_TARGET_DIR:-$PWD/target}/page
export PAGES=$work/pages
screenshots=${SCREENSHOTS:-$work/screenshots}
mkdir -p "$PAGES" "$screenshots"
. tests/support/install.sh

skip() {
    echo "SKIPPED: the page in a browser: $1"
    exit 0
}

# The browser that is here, under any of its names.
browser() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return
    done
    return 1
}

if ! browser >/dev/null || ! command -v chromedriver >/dev/null; then
    install=(apt-get install --yes --no-install-recommends chromium chromium-driver fonts-dejavu-core)
    { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; } ||
        skip "there is no chromium with its driver, and no right to install it"
    { apt-get update && "${install[@]}"; } >"$work/apt.log" 2>&1 ||
        skip "chromium can't be installed: $(tail -n 1 "$work/apt.log")"
fi
install_python_packages "$work" "$here/requirements.txt" 'the page in a browser' || exit 0

axe=()
if install_npm_packages "$work" "$here/package.json" 'barriers to access'; then
    axe=("$work/npm/node_modules/axe-core/axe.min.js")
fi

cargo test --quiet --package cf-service-tokens-cli --bins -- --ignored --exact \
    page::tests::writes_pages >"$work/cargo.log" 2>&1 || {
    cat "$work/cargo.log" >&2
    exit 1
}
BROWSER=$(browser)
CHROMEDRIVER=$(command -v chromedriver)
export BROWSER CHROMEDRIVER
"$BROWSER" --version
"$work/python/bin/python" "$here/browser.py" "$PAGES" "$screenshots" "${axe[@]}"
