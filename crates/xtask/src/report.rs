//! The report about a new document of Cloudflare, in Markdown.

use std::fmt::Write as _;

use anyhow::Result;

use crate::document::Document;
use crate::drift::{Allowed, drift};
use crate::trial::{self, Outcome};
use crate::types;

/// The maximum length of one part of a report, in bytes. Three such parts, and the words
/// between them, stay below the 65,536 characters that GitHub allows.
const MAX_PART: usize = 20_000;

/// Compares a document with the fragment: its drift, the effect on the public types, and a
/// trial. Returns the report, or `None` if the document has nothing new.
///
/// # Errors
///
/// One of the steps failed.
pub fn report(
    fragment: &Document,
    upstream: &Document,
    allowed: &[Allowed],
) -> Result<Option<String>> {
    let drift = drift(fragment, upstream, allowed)?;
    let types = types::diff(fragment, upstream, allowed)?;
    let outcome = trial::run(fragment, upstream)?;
    let is_as_ever = drift.changes.is_empty()
        && drift.unused.is_empty()
        && types.as_ref().is_ok_and(String::is_empty)
        && matches!(outcome, Outcome::Compiled(_));
    if is_as_ever {
        return Ok(None);
    }
    let mut report = "Cloudflare's OpenAPI document differs from `openapi/service-tokens.json`. \
        `docs/maintaining.md` says how to follow it.\n"
        .to_owned();
    report.push_str("\n## Changes\n\n`cargo xtask drift`, with the effect of each on callers:\n");
    // The report has no line numbers: any edit of the document would change them.
    part(&mut report, "text", &format!("{drift:#}"));
    report.push_str("\n## Public types\n\n");
    match types {
        Ok(diff) if diff.is_empty() => {
            report.push_str("The public types of the generated code stay the same.\n");
        }
        Ok(diff) => {
            report.push_str(
                "`cargo xtask generate --check`, if the fragment followed all of the changes:\n",
            );
            part(&mut report, "diff", &diff);
        }
        Err(cause) => {
            report.push_str("The generator refuses a fragment that follows all of the changes:\n");
            part(&mut report, "text", &cause);
        }
    }
    report.push_str("\n## Trial\n\n");
    match outcome {
        Outcome::Compiled(_) => report.push_str("`cargo xtask try`: the document compiles.\n"),
        Outcome::NotCompiled(_, errors) => {
            report.push_str("`cargo xtask try`: the document does not compile.\n");
            part(&mut report, "text", &errors);
        }
        Outcome::NotGenerated(cause) => {
            report.push_str("`cargo xtask try`: the document does not generate.\n");
            part(&mut report, "text", &cause);
        }
    }
    Ok(Some(report))
}

/// Adds a text as a code block, cut to the maximum length.
fn part(report: &mut String, language: &str, text: &str) {
    let mut end = text.len().min(MAX_PART);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < text.len() { "\n[cut here]" } else { "" };
    let text = text[..end].trim_end();
    // The fence must be longer than any fence in the text.
    let longest = text.split(|character| character != '`').map(str::len).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    // Writing to a string doesn't fail.
    let _ = write!(report, "\n{fence}{language}\n{text}{cut}\n{fence}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_cut_and_can_not_end_its_own_fence() {
        let mut report = String::new();
        part(
            &mut report,
            "text",
            &format!("a ````\n{}", "é".repeat(MAX_PART)),
        );
        assert!(report.starts_with("\n`````text\na ````\né"), "{report}");
        assert!(report.ends_with("é\n[cut here]\n`````\n"), "{report}");
        assert!(report.len() < MAX_PART + 40);
    }
}
