//! The second step: rewrites descriptions as prose for doc comments.
//!
//! The generator copies each `description` into a doc comment. There, rustdoc runs an
//! indented or fenced block as a program, and warns about a bare URL.

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
            // rustdoc does not run a block of text.
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

/// Puts angle brackets around each bare URL.
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
