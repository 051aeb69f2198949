#!/usr/bin/env bash
# Renews the tokens of an account that expire within 30 days, by curl and jq.
set -euo pipefail
tokens=$CLOUDFLARE_BASE_URL/accounts/$CLOUDFLARE_ACCOUNT_ID/access/service_tokens

call() {
    curl --silent --show-error --fail --max-time 30 \
        --header "Authorization: Bearer $CLOUDFLARE_API_TOKEN" "$@"
}

due=$(call "$tokens?per_page=1000" | jq --raw-output '.result[]
    | select((.expires_at | sub("\\.[0-9]+Z$"; "Z") | fromdateiso8601) < now + 30 * 86400)
    | "\(.id) \(.expires_at)"')
failed=0
while read -r id before; do
    after=$(call --request POST "$tokens/$id/refresh" | jq --raw-output .result.expires_at) || after=
    # Times in UTC and the same format sort as text.
    if [[ $after > $before ]]; then
        echo "$id: $before -> $after"
    else
        echo "$id: not renewed" >&2
        failed=1
    fi
done <<<"$due"
exit "$failed"
