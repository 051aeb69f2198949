//! The tokens of an account as one page of HTML.
//!
//! The page holds all that it needs: styles, a small script that filters and sorts,
//! and the timelines as SVG. It reaches for nothing, and its Content Security Policy
//! forbids that it could. Without the script it can be read all the same.

mod assets;
mod markup;
mod standing;
#[cfg(test)]
mod tests;
mod timeline;

use std::time::Duration;

use cf_service_tokens::ServiceToken;
use cf_service_tokens::renewal::Decision;
use chrono::{DateTime, Utc};

/// The content of a page: the tokens of an account at one moment.
pub(crate) struct Report {
    /// The account's id.
    pub(crate) account: String,
    /// The time that the page speaks of as now.
    pub(crate) time: DateTime<Utc>,
    /// When the tokens were listed; `None` if they never were.
    pub(crate) listed_at: Option<DateTime<Utc>>,
    /// When they are listed again, if a watcher does so and waits.
    pub(crate) next_pass: Option<DateTime<Utc>>,
    /// How long before its expiry a token falls due.
    pub(crate) window: Duration,
    /// Why the tokens may be incomplete or stale, in a sentence.
    pub(crate) problem: Option<String>,
    /// The tokens, in any order.
    pub(crate) tokens: Vec<Token>,
}

/// A token on a page.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// The token's id, if the API gave one.
    pub(crate) id: Option<String>,
    /// The token's name, if the API gave one.
    pub(crate) name: Option<String>,
    /// When the token was made, if the API said so.
    pub(crate) created_at: Option<DateTime<Utc>>,
    /// When the token expires; `None` if it never does, or if the API did not say.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// Whether the token never expires.
    pub(crate) never_expires: bool,
    /// The decision about the token.
    pub(crate) decision: Decision,
    /// Why the token was not renewed although it should have been, in words.
    pub(crate) problem: Option<String>,
}

impl Token {
    /// A token as it was listed, and what is to be done with it.
    pub(crate) fn new(token: &ServiceToken, decision: Decision) -> Self {
        let never_expires = token.never_expires();
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            created_at: token.created_at,
            // With `forever` it may be any time, and means nothing.
            expires_at: token.expires_at.filter(|_| !never_expires),
            never_expires,
            decision,
            problem: None,
        }
    }
}

/// The page, as a document of HTML.
pub(crate) fn html(report: &Report) -> String {
    markup::document(report).into_string()
}
