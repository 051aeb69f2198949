//! The output of `renew`: each token, and the whole pass.

use std::collections::BTreeMap;

use cf_service_tokens::renewal::{
    Decision, RenewReason, RenewalOutcome, RenewalReport, SkipReason, TokenRenewal,
};
use cf_service_tokens::{GoDuration, ServiceToken};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::connection::Connection;
use crate::failure::{is_without_access, with_causes};
use crate::keep::RotationRecord;
use crate::output::{Cell, Record};
use crate::records::{Fault, State, expiry_cell};
use crate::time;

/// The outcome of one token.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RenewalRecord {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) expires_at_before: Option<DateTime<Utc>>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    fault: Fault,
    /// The state of a token that nothing was done with.
    #[serde(skip)]
    state: Option<State>,
    #[serde(skip)]
    never_expires: bool,
}

impl RenewalRecord {
    pub(crate) fn new(token: &TokenRenewal) -> Self {
        let fault = match &token.outcome {
            RenewalOutcome::Failed { error } => Fault::from(error),
            _ => Fault::default(),
        };
        let reason = match token.outcome {
            RenewalOutcome::Unable { reason } => Some(reason.as_str()),
            _ => token.reason.map(RenewReason::as_str),
        };
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            outcome: token.outcome.as_str(),
            reason,
            expires_at_before: token.expires_at,
            expires_at: match token.outcome {
                RenewalOutcome::Renewed { expires_at } => Some(expires_at),
                _ => token.expires_at,
            },
            fault,
            state: match (&token.outcome, token.reason) {
                (RenewalOutcome::Planned, Some(RenewReason::Expired)) => Some(State::Expired),
                (RenewalOutcome::Planned, _) => Some(State::Due),
                _ => None,
            },
            never_expires: false,
        }
    }

    /// Returns the record of a skipped token; `None` for any other.
    pub(super) fn skipped(
        token: &ServiceToken,
        decision: Decision,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let Decision::Skip(reason) = decision else {
            return None;
        };
        let expires_at = token.expires_at.filter(|_| !token.never_expires());
        Some(Self {
            id: token.id.clone(),
            name: token.name.clone(),
            outcome: "skipped",
            reason: Some(reason.as_str()),
            expires_at_before: expires_at,
            expires_at,
            fault: Fault::default(),
            state: Some(State::decided(decision, expires_at, now)),
            never_expires: token.never_expires(),
        })
    }

    pub(super) fn is_long_expired(&self) -> bool {
        self.outcome == "skipped" && self.reason == Some(SkipReason::Expired.as_str())
    }
}

impl Record for RenewalRecord {
    const COLUMNS: &'static [&'static str] = &["NAME", "ID", "OUTCOME", "BEFORE", "EXPIRES"];
    const SPARE: &'static [&'static str] = &["BEFORE", "ID"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let outcome = match (self.outcome, self.state) {
            (_, Some(state)) => state.cell(),
            ("renewed", _) => Cell::good("renewed"),
            ("not_tried", _) => Cell::bad("not tried"),
            ("unable", _) => Cell::bad("can't renew"),
            (outcome, _) => Cell::bad(outcome),
        };
        let before = self.expires_at_before.filter(|_| self.outcome == "renewed");
        vec![
            Cell::name(self.name.as_deref()),
            Cell::id(self.id.as_deref()),
            outcome,
            Cell::plain(before.map_or_else(String::new, |at| time::distance(at - now))),
            expiry_cell(self.expires_at, self.never_expires, now),
        ]
    }

    fn is_news(&self) -> bool {
        matches!(self.outcome, "failed" | "not_tried" | "unable" | "planned")
    }
}

/// The result of a pass, in numbers.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Summary {
    dry_run: bool,
    /// Whether the account has Access, and so may have service tokens.
    has_access: bool,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    listed: usize,
    counts: BTreeMap<&'static str, usize>,
    next_due: Option<DateTime<Utc>>,
    unmatched: Vec<String>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    clock_skew: Option<GoDuration>,
}

impl Summary {
    pub(crate) fn new(report: &RenewalReport, dry_run: bool) -> Self {
        let outcomes = ["renewed", "planned", "failed", "not_tried", "unable"];
        let mut counts: BTreeMap<_, _> = outcomes.into_iter().map(|name| (name, 0)).collect();
        for token in &report.tokens {
            *counts.entry(token.outcome.as_str()).or_default() += 1;
        }
        counts.insert("skipped", report.skipped.values().sum());
        Self {
            dry_run,
            has_access: !report.error.as_ref().is_some_and(is_without_access),
            started_at: report.started_at,
            finished_at: report.finished_at,
            listed: report.listed,
            counts,
            next_due: report.next_due,
            unmatched: report.unmatched.clone(),
            error: report.error.as_ref().map(|error| with_causes(error)),
            clock_skew: report.clock_skew,
        }
    }
}

/// An object that belongs to an account.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct OfAccount<'a, T> {
    account_id: &'a str,
    account_name: Option<&'a str>,
    #[serde(flatten)]
    content: T,
}

impl<'a, T> OfAccount<'a, T> {
    pub(crate) fn new(account: &'a Connection, content: T) -> Self {
        Self {
            account_id: account.account_id(),
            account_name: account.account_name(),
            content,
        }
    }
}

/// A pass over an account, in the document of all accounts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    #[serde(flatten)]
    pub(super) summary: Summary,
    pub(super) tokens: Vec<RenewalRecord>,
    /// Only of `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rotations: Option<Vec<&'a RotationRecord>>,
}

/// An event of `renew` or `keep`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    Token(OfAccount<'a, &'a RenewalRecord>),
    Rotation(OfAccount<'a, &'a RotationRecord>),
    Summary(OfAccount<'a, &'a Summary>),
    Waiting(OfAccount<'a, Waiting>),
}

/// The pause after a pass.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Waiting {
    pub(crate) until: DateTime<Utc>,
}
