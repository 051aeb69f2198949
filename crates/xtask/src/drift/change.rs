//! Changes, and their effect on callers.

use std::collections::BTreeSet;
use std::fmt;

use super::edit::Edit;

/// The effect of a change on a program written against the fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The program may stop working.
    Breaking,
    /// The program goes on as before.
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
    /// The caller sends it: it breaks when less is allowed.
    Request,
    /// The API sends it: it breaks when more may come.
    Response,
}

impl Direction {
    /// The verdict when values that were allowed no longer are.
    pub fn narrowed(self) -> Verdict {
        match self {
            Self::Request => Verdict::Breaking,
            Self::Response => Verdict::Compatible,
        }
    }

    /// The verdict when values are allowed that were not.
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
    /// JSON pointer into the fragment: the thing itself, or where it would be.
    pub ours: String,
    /// The change, in words.
    pub what: String,
    /// JSON pointers into the upstream document: usually one; more where it repeats
    /// what the fragment says once.
    pub theirs: BTreeSet<String>,
    /// The operations that the change reaches, by the fragment's names.
    pub operations: BTreeSet<String>,
    /// The edits of the fragment that follow the upstream document in this.
    pub edits: Vec<Edit>,
}

/// Changes, each of them once, however many operations reach it.
#[derive(Default)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// Takes up one more change.
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

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, the breaking ones first.
    pub fn sorted(mut self) -> Vec<Change> {
        self.0.sort_by(|one, other| {
            (one.verdict, &one.ours, &one.what).cmp(&(other.verdict, &other.ours, &other.what))
        });
        self.0
    }
}
