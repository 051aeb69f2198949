//! Changes, and their effect on callers.

use std::collections::BTreeSet;
use std::fmt;

use super::edit::Edit;

/// The effect of a change on a program written against the fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The program may stop working.
    Breaking,
    /// The program works as before.
    Compatible,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Breaking => "breaking",
            Self::Compatible => "compatible",
        })
    }
}

/// The direction of a value, which decides whether a change breaks callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// The caller sends it: allowing less is breaking.
    Request,
    /// The API sends it: allowing more is breaking.
    Response,
}

impl Direction {
    /// Returns the verdict on values that are no longer allowed.
    pub fn narrowed(self) -> Verdict {
        match self {
            Self::Request => Verdict::Breaking,
            Self::Response => Verdict::Compatible,
        }
    }

    /// Returns the verdict on values that are newly allowed.
    pub fn widened(self) -> Verdict {
        match self {
            Self::Request => Verdict::Compatible,
            Self::Response => Verdict::Breaking,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Request => "request",
            Self::Response => "response",
        })
    }
}

/// One change, from the fragment to the upstream document.
#[derive(Clone, Debug)]
pub struct Change {
    /// The effect on callers.
    pub verdict: Verdict,
    /// The JSON pointer into the fragment, to the changed part or to its place.
    pub ours: String,
    /// The change, in words.
    pub what: String,
    /// The JSON pointers into the upstream document: several, if it repeats what the fragment
    /// has once.
    pub theirs: BTreeSet<String>,
    /// The operations that the change affects, by the fragment's names.
    pub operations: BTreeSet<String>,
    /// The edits that make the same change to the fragment.
    pub edits: Vec<Edit>,
}

/// Changes, each of them once, even if it affects several operations.
#[derive(Default)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// Adds a change, or the operation to the same change.
    pub fn add(
        &mut self,
        operation: &str,
        verdict: Verdict,
        what: impl Into<String>,
        ours: &str,
        theirs: &str,
        edits: impl IntoIterator<Item = Edit>,
    ) {
        let what = what.into();
        let same = |change: &&mut Change| {
            (change.verdict, &*change.ours, &*change.what) == (verdict, ours, &*what)
        };
        if let Some(change) = self.0.iter_mut().find(same) {
            change.theirs.insert(theirs.to_owned());
            change.operations.insert(operation.to_owned());
            return;
        }
        self.0.push(Change {
            verdict,
            ours: ours.to_owned(),
            what,
            theirs: BTreeSet::from([theirs.to_owned()]),
            operations: BTreeSet::from([operation.to_owned()]),
            edits: edits.into_iter().collect(),
        });
    }

    /// Returns whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the changes, the breaking ones first.
    pub fn sorted(mut self) -> Vec<Change> {
        self.0.sort_by(|one, other| {
            (one.verdict, &one.ours, &one.what).cmp(&(other.verdict, &other.ours, &other.what))
        });
        self.0
    }
}
