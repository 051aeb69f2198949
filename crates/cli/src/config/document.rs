//! The text of the file, and the mistakes in it.

use std::ops::Range;
use std::path::Path;

use crate::failure::Failure;

/// The most mistakes that are shown at once.
const MAX_SHOWN: usize = 10;

/// A mistake in the file. Neither part holds a secret.
#[derive(Debug)]
pub(super) struct Mistake {
    /// Where it is in the text.
    at: Range<usize>,
    what: String,
    next: Option<String>,
}

impl Mistake {
    pub(super) fn new(at: Range<usize>, what: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
            next: None,
        }
    }

    /// Says what is allowed.
    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// Returns the number of the line, from 1, in which something begins.
pub(super) fn line_of(text: &str, at: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..at.start).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// Shows all mistakes but the last, which it returns.
pub(super) fn failure(path: &Path, text: &str, mut mistakes: Vec<Mistake>) -> Failure {
    mistakes.sort_by_key(|mistake| mistake.at.start);
    let count = mistakes.len();
    mistakes.truncate(MAX_SHOWN);
    let shown = mistakes.len();
    let mut failures = mistakes.into_iter().map(|mistake| {
        let line = line_of(text, &mistake.at);
        let what = format!("{}, line {line}: {}", path.display(), mistake.what);
        match mistake.next {
            Some(next) => Failure::usage(what).next(next),
            None => Failure::usage(what),
        }
    });
    let mut last = failures.next();
    for failure in failures {
        if let Some(earlier) = last.replace(failure) {
            earlier.show();
        }
    }
    let last = last.unwrap_or_else(|| Failure::usage(format!("can't read {}", path.display())));
    match count - shown {
        0 => last,
        others => last.because(format!("{others} more mistakes follow")),
    }
}
