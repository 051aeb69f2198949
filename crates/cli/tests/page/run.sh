#!/usr/bin/env bash
# Opens the report pages in headless Chromium, at the widths of a desktop and of a
# phone. Exit code 1 if one is not as it should be. Installs the browser if there is
# none. The screenshots are left in SCREENSHOTS, or in target.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
here=$PWD/crates/cli/tests/page
work=${CARGO_TARGET_DIR:-$PWD/target}/page
export PAGES=$work/pages
screenshots=${SCREENSHOTS:-$work/screenshots}
# Pages of an earlier run must not stand in for those of this one.
rm -rf "$PAGES"
mkdir -p "$PAGES" "$screenshots"
. tests/support/install.sh

# The browser that is here, under any of its names.
browser() {
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return
    done
    return 1
}

if ! browser >/dev/null || ! command -v chromedriver >/dev/null; then
    install_debian_packages "$work" 'the page in a browser' \
        chromium chromium-driver fonts-dejavu-core || exit 0
fi
install_python_packages "$work" "$here/requirements.txt" 'the page in a browser' || exit 0

axe=()
if install_npm_packages "$work" "$here/package.json" 'barriers to access'; then
    axe=("$work/npm/node_modules/axe-core/axe.min.js")
fi

# With the workspace's features, so that what `cargo test --workspace` built is used.
cargo test --quiet --workspace --bins -- --ignored --exact \
    serve::page::tests::writes_pages >"$work/cargo.log" 2>&1 || {
    cat "$work/cargo.log" >&2
    exit 1
}
BROWSER=$(browser)
CHROMEDRIVER=$(command -v chromedriver)
export BROWSER CHROMEDRIVER
"$BROWSER" --version
"$work/python/bin/python" "$here/browser.py" "$PAGES" "$screenshots" "${axe[@]}"
