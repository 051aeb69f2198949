# Turns the JSON of `renew` or of `report` into lines of the log, annotations or the job's
# summary. $command is the command, and $show what to write.

# A log line and an annotation are one line, whatever the name of a token holds.
def line: tostring | gsub("[\\p{Cc}\\p{Cf}\u2028\u2029]"; "?");

# As the runner reads the text of a workflow command.
def message: gsub("%"; "%25") | gsub("\r"; "%0D") | gsub("\n"; "%0A");
def annotation($level; $title):
    "::\($level) title=\($title | line | message | gsub(":"; "%3A") | gsub(","; "%2C"))::\(line | message)";

# Text in a cell of a table in Markdown: what Markdown or HTML could read is escaped.
def cell:
    if . == null then "" else line | gsub("(?<c>[^\\p{L}\\p{N} ()-])"; "&#\(.c | explode[0]);") end;
def row: "| \(map(cell) | join(" | ")) |";

def account: .account_name // .account_id;
def day: if . == null then "" else .[:10] end;
def token: .name // .id // "a token without a name";

# What to say about each token, the worst level first.
def findings:
    if $command == "renew" then
        .accounts[] | account as $account
        | (select(.error != null) | {account: $account, level: "error", name: null, outcome: "failed", why: .error}),
          (.tokens[]
            | (if .outcome == "skipped" and .reason == "expired" then "expired" else .outcome end)
              as $outcome
            | select($outcome != "skipped")
            | {account: $account, id, name: token, outcome: $outcome, expires: .expires_at,
               why: (.error // .reason),
               level: (if $outcome == "renewed" then "fine"
                       elif $outcome == "planned" then "warning" else "error" end)})
    else
        .[] | {account: account, id, name: token, outcome: .state, expires: .expires_at,
               why: (.risks | map(.words) | join("; ")),
               level: (if .state == "expired" or .state == "unknown" then "error"
                       elif .state == "due" then "warning" else "fine" end)}
    end;
def sentence:
    if .name == null then "account \(.account): \(.why)"
    elif .level == "error" and .outcome == "expired" then "\(.name) (\(.id)) expired on \(.expires | day)"
    elif .outcome == "planned" or .outcome == "due" then "\(.name) (\(.id)) is due, and expires on \(.expires | day)"
    elif .outcome == "renewed" then "\(.name) (\(.id)) is renewed until \(.expires | day)"
    else "\(.name) (\(.id)): \([.outcome, .why] | map(select(. != null and . != "")) | join(", "))"
    end;

[findings] as $all
| ($all | map(select(.level == "error")) + map(select(.level != "error"))) as $sorted
| if $show == "log" then
    if ($sorted | length) == 0 then "nothing is due" else $sorted[] | sentence | line end
  elif $show == "annotations" then
    $sorted[] | select(.level == "error" or .level == "warning")
    | .level as $level | (.name // "cf-service-tokens") as $title
    | sentence | annotation($level; $title)
  else
    "## Service tokens\n",
    if ($sorted | length) == 0 then "Nothing is due."
    else
      "| Account | Token | Outcome | Expires | Why |",
      "|---|---|---|---|---|",
      # GitHub takes 1 MiB.
      ($sorted[:500][] | [.account, .name, .outcome, (.expires | day), .why] | row),
      (($sorted | length) - 500 | select(. > 0) | "\nand \(.) more")
    end
  end
