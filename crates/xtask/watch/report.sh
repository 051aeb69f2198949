#!/usr/bin/env bash
# Writes to a file, in Markdown, all that is new in Cloudflare's OpenAPI document:
#
#     crates/xtask/watch/report.sh SOURCE REPORT
#
# SOURCE is a URL or a file. If nothing is new, there is no file REPORT afterwards.
# Ends with 0 in both cases, and with anything else if a step has failed.
set -euo pipefail
source=${1:?"SOURCE is missing: a URL or a file"}
report=$(realpath -- "${2:?"REPORT is missing: the file to write"}")
case $source in
*://*)
    document=target/upstream.json
    cd "$(dirname "$0")/../../.."
    mkdir -p target
    curl --fail --silent --show-error --location --max-time 300 --retry 3 \
        --output "$document" "$source"
    ;;
*)
    document=$(realpath -- "$source")
    cd "$(dirname "$0")/../../.."
    ;;
esac

rm -f "$report"
code=0
cargo xtask report "$document" >"$report.part" || code=$?
if [ "$code" = 0 ]; then
    rm "$report.part"
    echo "Nothing is new in $source."
elif [ "$code" = 1 ] && [ -s "$report.part" ]; then
    mv "$report.part" "$report"
    echo "Something is new in $source: see $report."
else
    rm "$report.part"
    echo "error: $source was not compared: cargo xtask report ended with $code" >&2
    exit 3
fi
