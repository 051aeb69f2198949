# Takes the sentences out of a slice of Cloudflare's document and leaves the facts:
# cargo xtask slice openapi.json |
#     jq --indent 1 --sort-keys --arg day 2026-10-03 --from-file crates/xtask/tests/data/facts.jq
def facts:
  if type == "object" then
    with_entries(
      # The keys are names here, and a name may be one of the words below.
      if .key | IN("properties", "schemas") then .value |= map_values(facts)
      # OpenAPI demands the description of a response.
      elif .key == "responses" then .value |= map_values(facts | .description = "")
      elif .key | IN("contact", "description", "example", "examples", "externalDocs", "license",
        "summary", "tags", "title") then empty
      else .value |= facts
      end)
  elif type == "array" then map(facts)
  else .
  end;
facts | .info.title = "A slice of the API as documented on \($day), without its words"
