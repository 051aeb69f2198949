#!/usr/bin/env bash
# Runs `renew` or `report --check`, and writes its result as annotations and as the job's
# summary. A step of action.yml. Exits with the command's exit code, but with 0 if a dry run
# has found due tokens (5).
set -euo pipefail
here=$(dirname "$0")
program=$RUNNER_TEMP/cf-service-tokens/cf-service-tokens

# Masked also if it is no secret of the workflow.
while read -r line; do
    [ -z "$line" ] || echo "::add-mask::$line"
done <<<"$CLOUDFLARE_API_TOKEN"

fail() {
    echo "::error title=cf-service-tokens::$1"
    exit 2
}
[ -n "$CLOUDFLARE_API_TOKEN" ] ||
    fail 'the input api-token is empty; does this job see the secret?'
command -v jq >/dev/null ||
    fail 'jq is not installed; install it on this runner (GitHub-hosted runners have it)'

case $INPUT_COMMAND in
renew) arguments=(renew) ;;
report) arguments=(report --check) ;;
*) fail 'the input command is neither renew nor report' ;;
esac
case $INPUT_DRY_RUN in
true)
    [ "$INPUT_COMMAND" = renew ] || fail 'the input dry-run is for renew; report changes nothing'
    arguments+=(--dry-run)
    ;;
false) ;;
*) fail 'the input dry-run is neither true nor false' ;;
esac
[ -z "$INPUT_WITHIN" ] || arguments+=("--within=$INPUT_WITHIN")
read -r -d '' -a accounts <<<"$INPUT_ACCOUNTS" || true
[ "${#accounts[@]}" != 0 ] || fail 'the input accounts is empty'
if [ "${accounts[*]}" = all ]; then
    arguments+=(--all-accounts)
else
    arguments+=("${accounts[@]/#/--account=}")
fi

output=$(mktemp "$RUNNER_TEMP/cf-service-tokens.XXXXXX")
show() {
    jq --raw-output --arg command "$INPUT_COMMAND" --arg show "$1" \
        --from-file "$here/show.jq" "$output"
}

# The runner must not take the name of a token for a command, wherever it is in a line.
pause=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
code=0
echo "::stop-commands::$pause"
"$program" "${arguments[@]}" --output json >"$output" || code=$?
[ ! -s "$output" ] || show log
echo "::$pause::"

if [ -s "$output" ]; then
    show annotations
    show summary >>"$GITHUB_STEP_SUMMARY"
else
    echo "::error title=cf-service-tokens::$INPUT_COMMAND failed with exit code $code; its message is in the log"
fi
rm "$output"
if [ "$code" = 5 ]; then
    exit 0
fi
exit "$code"
