//! The checks of this machine, and of apps.

use reqwest::Url;
use reqwest::header::HeaderMap;

use super::{Check, Status};
use crate::commands::verify::{App, Outcome};
use crate::failure::Failure;
use crate::secret::journal::Journal;

pub(super) fn of_journal(journal: Result<Journal, Failure>, is_needed: bool) -> Vec<Check> {
    const CHECK: &str = "journal";
    let journal = match journal {
        Ok(journal) => journal,
        Err(failure) => return vec![Check::failed(CHECK, failure)],
    };
    let mut checks = Vec::new();
    let mut left = 0;
    for record in journal.left_or_unreadable() {
        match record {
            Ok(_) => left += 1,
            Err(error) => checks.push(Check::failed(CHECK, journal.unusable(&error))),
        }
    }
    if let (true, true, Err(failure)) = (is_needed, checks.is_empty(), journal.prove()) {
        checks.push(Check::failed(CHECK, failure));
    }
    if left > 0 {
        let what = match left {
            1 => "a create or rotate was interrupted".to_owned(),
            count => format!("{count} creates or rotates were interrupted"),
        };
        let next = format!("`{}` says what to do", journal.command());
        checks.push(Check::warning(CHECK, what).next(next));
    }
    if checks.is_empty() {
        let directory = journal.directory().display();
        checks.push(match journal.directory().exists() {
            true => Check::ok(
                CHECK,
                format!("{directory} holds nothing of an interrupted run"),
            ),
            false => Check::ok(CHECK, format!("{directory} does not exist yet")),
        });
    }
    checks
}

/// Checks that Access protects an app.
pub(super) async fn of_app(url: &Url, verbose: bool) -> Check {
    const CHECK: &str = "app";
    let answer = match App::new(url.clone(), HeaderMap::new(), verbose) {
        Ok(app) => app.without_token().await,
        Err(failure) => Err(failure),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            let (what, next) = failure.in_one_line();
            return Check {
                next,
                ..Check::failure(CHECK, what)
            };
        }
    };
    // The rest of the URL may hold a secret.
    let host = url.host_str().unwrap_or_default();
    let status = answer.status.as_u16();
    match answer.before() {
        None => Check::ok(
            CHECK,
            format!("{host}: Access refuses a caller without a token (HTTP {status})"),
        ),
        Some((Outcome::NotProtected, meaning)) => {
            Check::failure(CHECK, format!("{host}: {meaning} (HTTP {status})"))
                .next("add an Access application for this URL in Zero Trust's settings")
        }
        Some((_, meaning)) => Check::new(
            CHECK,
            Status::Unknown,
            format!("{host}: unknown: {meaning} (HTTP {status})"),
        ),
    }
}
