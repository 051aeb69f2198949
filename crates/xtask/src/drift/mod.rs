//! Compares Cloudflare's document with the fragment.

mod allowed;
mod availability;
mod change;
mod compare;
mod edit;
mod operations;
mod schema;
mod security;
mod servers;

use std::fmt::{self, Write as _};
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

pub use allowed::Allowed;
pub use change::{Change, Verdict};

use crate::document::{Document, Outline};
use crate::route;
use crate::slice::slice;

/// The differences of the upstream document from the fragment.
pub struct Drift<'a> {
    ours: Outline<'a>,
    theirs: Outline<'a>,
    /// The changes that are not allowed, the breaking ones first.
    pub changes: Vec<Change>,
    /// The number of allowed differences.
    pub allowed: usize,
    /// The entries of the list of allowed differences that match none.
    pub unused: Vec<&'a Allowed>,
}

/// Reads the list of intended differences.
///
/// # Errors
///
/// The file can't be read or is not such a list, or an entry has no reason.
pub fn allowed(file: &Path) -> Result<Vec<Allowed>> {
    allowed::read(file)
}

/// Compares the fragment with an upstream document, the whole one or a slice.
///
/// # Errors
///
/// A document is not OpenAPI or refers to a part that it lacks, or the two have no operation
/// in common.
pub fn drift<'a>(
    fragment: &'a Document,
    upstream: &'a Document,
    list: &'a [Allowed],
) -> Result<Drift<'a>> {
    let (ours, theirs) = (fragment.outline()?, upstream.outline()?);
    let our_document = fragment.value()?;
    let their_document = slice(&route::operations(&our_document), &theirs)?;
    let changes = compare(&our_document, &their_document)?;
    let all = changes.len();
    let (changes, unused) = allowed::apply(list, changes);
    Ok(Drift {
        ours,
        theirs,
        allowed: all - changes.len(),
        changes,
        unused,
    })
}

fn compare(ours: &Value, theirs: &Value) -> Result<Vec<Change>> {
    Ok(operations::compare(ours, theirs)?.sorted())
}

impl Drift<'_> {
    /// Returns the worst verdict, if there is a difference. An entry of the list that matches
    /// nothing counts as a compatible change.
    pub fn verdict(&self) -> Option<Verdict> {
        let dead = self.unused.first().map(|_| Verdict::Compatible);
        let changes = self.changes.iter().map(|change| change.verdict);
        changes.chain(dead).min()
    }

    /// Makes all changes that are not allowed to the fragment.
    pub fn follow(&self, fragment: &mut Value) {
        let edits = self.changes.iter().flat_map(|change| &change.edits);
        edits.for_each(|edit| edit.apply(fragment));
    }
}

/// The alternate form leaves out line numbers.
impl fmt::Display for Drift<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_line = !f.alternate();
        let place = |outline, pointer| place(outline, pointer, with_line);
        for change in &self.changes {
            let operations: Vec<&str> = change.operations.iter().map(String::as_str).collect();
            let operations = match operations.as_slice() {
                [] | [""] => String::new(),
                [one] => format!(" ({one})"),
                many => format!(" ({} operations)", many.len()),
            };
            writeln!(f, "{:<11} {}{operations}", change.verdict, change.what)?;
            writeln!(f, "            {}", place(&self.ours, &change.ours))?;
            for theirs in &change.theirs {
                writeln!(f, "            {}", place(&self.theirs, theirs))?;
            }
        }
        for entry in &self.unused {
            writeln!(
                f,
                "unused      the allowed difference `{}` at {} no longer exists",
                entry.change, entry.at
            )?;
        }
        let count = |verdict| {
            let of_it = |change: &&Change| change.verdict == verdict;
            self.changes.iter().filter(of_it).count()
        };
        writeln!(
            f,
            "{} breaking, {} compatible, {} allowed",
            count(Verdict::Breaking),
            count(Verdict::Compatible),
            self.allowed
        )
    }
}

/// Returns a place in the form that editors can open.
fn place(outline: &Outline<'_>, pointer: &str, with_line: bool) -> String {
    let mut place = outline.name().to_owned();
    if let Some(line) = outline.line(pointer).filter(|_| with_line) {
        // Writing to a string doesn't fail.
        let _ = write!(place, ":{line}");
    }
    format!("{place} {pointer}")
}
