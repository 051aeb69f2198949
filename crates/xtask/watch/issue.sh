#!/usr/bin/env bash
# Puts a report into an issue of the repository:
#
#     crates/xtask/watch/issue.sh REPORT
#
# There is one such issue, identified by its title and by its author, the workflow: anybody
# may open an issue with that title. While it is open, it holds the newest report, and a
# comment notifies its subscribers of a change. Needs gh, logged in as the workflow is.
set -euo pipefail
report=${1:?"REPORT is missing: the file with the report"}
title="Cloudflare's OpenAPI document has changed"

number=$(TITLE=$title gh issue list --state open --limit 1000 --json author,number,title --jq '
    map(select(.title == env.TITLE and .author.login == "app/github-actions"))
    | .[0].number // empty')
if [ -z "$number" ]; then
    gh issue create --title "$title" --body-file "$report"
    exit
fi
written=$(gh issue view "$number" --json body --jq .body | tr -d '\r')
if [ "$written" = "$(cat "$report")" ]; then
    echo "Issue $number already has this report."
    exit
fi
gh issue edit "$number" --body-file "$report"
gh issue comment "$number" --body 'The document has changed again; the report above is new.'
