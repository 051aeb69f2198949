#!/usr/bin/env bash
# Renews the tokens of an account that expire within 30 days, by Cloudflare's command `cf`
# and jq.
set -euo pipefail
# Without this variable, version 0.0.5 hides the commands of Access.
export CF_HIDE_COMMANDS=0

tokens() {
    cf zero-trust access "service-tokens-$1" "${@:2}"
}

due=$(tokens list --per-page 1000 | jq --raw-output '.[]
    | select((.expires_at | sub("\\.[0-9]+Z$"; "Z") | fromdateiso8601) < now + 30 * 86400)
    | "\(.id) \(.expires_at)"')
failed=0
while read -r id before; do
    after=$(tokens refresh "$id" | jq --raw-output .expires_at) || after=
    # Times in UTC and the same format sort as text.
    if [[ $after > $before ]]; then
        echo "$id: $before -> $after"
    else
        echo "$id: not renewed" >&2
        failed=1
    fi
done <<<"$due"
exit "$failed"
