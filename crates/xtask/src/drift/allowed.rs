//! The intended differences between the fragment and the upstream document.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::change::Change;

/// One entry of `openapi/drift-allowed.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// The change in the words of the report. A `*` matches anything.
    pub change: String,
    /// The JSON pointer into the fragment. A `*` matches anything.
    pub at: String,
    /// Why the two differ.
    pub reason: String,
}

/// Reads the list of intended differences.
///
/// # Errors
///
/// The file can't be read or is not such a list, or an entry has no reason.
pub fn read(file: &Path) -> Result<Vec<Allowed>> {
    let name = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("can't read {name}"))?;
    let list: Vec<Allowed> = serde_json::from_str(&text)
        .with_context(|| format!("{name}: not a list of differences"))?;
    for entry in &list {
        ensure!(
            !entry.reason.trim().is_empty(),
            "{name}: the entry for `{}` at {} gives no reason",
            entry.change,
            entry.at
        );
    }
    Ok(list)
}

/// Removes the allowed changes, and returns the entries that matched none.
pub fn apply(list: &[Allowed], changes: Vec<Change>) -> (Vec<Change>, Vec<&Allowed>) {
    let mut is_used = vec![false; list.len()];
    let mut left = Vec::new();
    for change in changes {
        let mut is_allowed = false;
        for (entry, is_used) in list.iter().zip(&mut is_used) {
            if matches(&entry.change, &change.what) && matches(&entry.at, &change.ours) {
                is_allowed = true;
                *is_used = true;
            }
        }
        if !is_allowed {
            left.push(change);
        }
    }
    let unused = list.iter().zip(is_used).filter(|(_, is_used)| !is_used);
    (left, unused.map(|(entry, _)| entry).collect())
}

/// Returns whether a text matches a pattern in which `*` matches anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            text.char_indices()
                .map(|(at, _)| at)
                .chain([text.len()])
                .any(|at| matches(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*", "b", false),
            ("*/x", "/a/b/x", true),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/b/cd", false),
            ("*é*", "xéy", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
