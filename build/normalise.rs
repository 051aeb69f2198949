//! The second step: descriptions that become doc comments must read as prose.
//!
//! The generator copies each `description` into a doc comment, where rustdoc
//! takes an indented or fenced block for a program to run, and warns of a bare
//! URL.

use serde_json::Value;

/// Rewrites every description in the document so that rustdoc reads it as prose.
pub fn descriptions(document: &mut Value) {
    match document {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "description" || key == "summary" => {
                        *text = prose(text);
                    }
                    other => descriptions(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(descriptions),
        _ => {}
    }
}

fn prose(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().map(|line| {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            fenced = !fenced;
            // An opening fence of any language becomes one that is not run.
            return if fenced { "```text" } else { "```" }.to_owned();
        }
        if fenced {
            line.trim_end().to_owned()
        } else {
            with_links(trimmed)
        }
    });
    let mut prose = lines.collect::<Vec<_>>().join("\n");
    if fenced {
        prose.push_str("\n```");
    }
    prose
}

/// Puts angle brackets around each URL that stands bare, as rustdoc wants it.
fn with_links(line: &str) -> String {
    line.split(' ')
        .map(|word| {
            if !word.starts_with("https://") && !word.starts_with("http://") {
                return word.to_owned();
            }
            let url = word.trim_end_matches(['.', ',', ';', ':', ')', '!', '?']);
            format!("<{url}>{}", &word[url.len()..])
        })
        .collect::<Vec<_>>()
        .join(" ")
}
