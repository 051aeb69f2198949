//! The tokens of one or more accounts as one page of HTML.
//!
//! The page holds all that it needs, its style sheet and the timelines as SVG. It loads
//! nothing and runs nothing, and its Content Security Policy forbids both.

mod assets;
mod markup;
#[cfg(test)]
mod tests;
mod timeline;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use cf_service_tokens::ServiceToken;
use cf_service_tokens::renewal::Decision;
use chrono::{DateTime, Utc};

use crate::records::State;
use crate::risk::{Neighbours, Risk};
pub(crate) use verdict::{unlisted, verdict};

/// The content of a page: the tokens of an account at one moment.
pub(crate) struct Report {
    /// The account's id, or its name and id.
    pub(crate) account: String,
    /// When the page is made: states and distances are as of then.
    pub(crate) time: DateTime<Utc>,
    /// When the tokens were listed; `None` if they never were.
    pub(crate) listed_at: Option<DateTime<Utc>>,
    /// When they are listed again, if a watcher does so and waits.
    pub(crate) next_pass: Option<DateTime<Utc>>,
    /// How long before its expiry a token falls due.
    pub(crate) window: Duration,
    /// Why the tokens may be incomplete or stale, in a sentence.
    pub(crate) problem: Option<String>,
    /// A risk of all tokens of the account, in a sentence.
    pub(crate) note: Option<String>,
    /// The tokens, in any order. A watcher shares them with its page: there may be many.
    pub(crate) tokens: Vec<Arc<Token>>,
    /// How many accounts the tokens lack, since those were never listed.
    pub(crate) unlisted: usize,
}

/// A token on a page.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// The token's id, if the API gave one.
    pub(crate) id: Option<String>,
    /// The token's name, if the API gave one.
    pub(crate) name: Option<String>,
    /// The client id, by which a SCIM configuration names the token.
    client_id: Option<String>,
    /// Whether the token can authenticate, if the API said so.
    enabled: Option<bool>,
    /// When the token was made, if the API said so.
    pub(crate) created_at: Option<DateTime<Utc>>,
    /// When the token expires; `None` if it never does, or if the API did not say.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// Whether the token never expires.
    pub(crate) never_expires: bool,
    /// When the token falls due, if it ever does.
    pub(crate) due_at: Option<DateTime<Utc>>,
    /// When the token was last used; `None` if it never was, or if the API did not say.
    pub(crate) last_seen_at: Option<DateTime<Utc>>,
    /// The decision about the token.
    pub(crate) decision: Decision,
    /// Why the token was not renewed although it should have been, in words.
    pub(crate) problem: Option<String>,
    /// The risks of the token, the worst first.
    pub(crate) risks: Vec<Risk>,
}

impl Token {
    /// Creates a token as it was listed, with when it falls due and the decision about it.
    pub(crate) fn new(
        token: &ServiceToken,
        due_at: Option<DateTime<Utc>>,
        decision: Decision,
    ) -> Self {
        let never_expires = token.never_expires();
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            client_id: token.client_id.clone(),
            enabled: token.enabled,
            created_at: token.created_at,
            // With `forever` it may be any time, and means nothing.
            expires_at: token.expires_at.filter(|_| !never_expires),
            never_expires,
            due_at,
            last_seen_at: token.last_seen_at,
            decision,
            problem: None,
            risks: Vec::new(),
        }
    }

    /// The same with these risks.
    pub(crate) fn at(mut self, risks: Vec<Risk>) -> Self {
        self.risks = risks;
        self
    }

    /// Finds the risks of the token.
    pub(super) fn assess(&mut self, neighbours: &Neighbours, now: DateTime<Utc>) {
        let mut token = ServiceToken::default();
        token.id.clone_from(&self.id);
        token.client_id.clone_from(&self.client_id);
        token.enabled = self.enabled;
        token.created_at = self.created_at;
        token.last_seen_at = self.last_seen_at;
        token.expires_at = self.expires_at;
        self.risks = Risk::of(&token, self.state(now), neighbours, None, now);
    }

    /// The token's state at `now`, which may be later than the decision.
    pub(crate) fn state(&self, now: DateTime<Utc>) -> State {
        State::decided(self.decision, self.expires_at, now)
    }

    /// Whether a person should look at the token at `now`.
    pub(crate) fn needs_attention(&self, now: DateTime<Utc>) -> bool {
        self.problem.is_some()
            || self.state(now).needs_attention()
            || self.risks.iter().any(Risk::needs_attention)
    }
}

/// Returns the verdict on the tokens of all accounts in one line.
pub(crate) fn verdict_on_all(reports: &[Report]) -> String {
    match reports {
        [report] => verdict(report),
        reports => verdict(&overall(reports)),
    }
}

/// Returns the page as an HTML document.
pub(crate) fn html(report: &Report) -> String {
    markup::document(report).into_string()
}

/// Returns the page of these accounts as an HTML document: of one account as
/// [`html`] does, and of several with a section for each.
pub(crate) fn html_of_all(reports: &[Report]) -> String {
    match reports {
        [report] => html(report),
        reports => markup::document_of_accounts(&overall(reports), reports).into_string(),
    }
}

/// Returns the window that all accounts have, if they have the same.
pub(crate) fn common_window(reports: &[Report]) -> Option<Duration> {
    let (first, others) = reports.split_first()?;
    let is_common = others.iter().all(|report| report.window == first.window);
    is_common.then_some(first.window)
}

/// All accounts as if they were one.
fn overall(reports: &[Report]) -> Report {
    Report {
        account: match reports.len() {
            0 => "no account".to_owned(),
            count => format!("{count} accounts"),
        },
        time: reports
            .iter()
            .map(|report| report.time)
            .max()
            .unwrap_or_default(),
        // As old as the oldest listing is.
        listed_at: reports.iter().filter_map(|report| report.listed_at).min(),
        next_pass: reports.iter().filter_map(|report| report.next_pass).min(),
        // A token that expires in it is due in each account.
        window: reports
            .iter()
            .map(|report| report.window)
            .min()
            .unwrap_or_default(),
        problem: reports.iter().find_map(|report| report.problem.clone()),
        note: None,
        tokens: reports
            .iter()
            .flat_map(|report| report.tokens.iter().cloned())
            .collect(),
        unlisted: reports
            .iter()
            .filter(|report| report.listed_at.is_none())
            .count(),
    }
}
