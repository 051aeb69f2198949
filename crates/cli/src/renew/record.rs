//! The output of `renew`: each token, and the whole pass.

use std::collections::BTreeMap;

use cf_service_tokens::renewal::{
    Decision, RenewReason, RenewalOutcome, RenewalReport, SkipReason, TokenRenewal,
};
use cf_service_tokens::{GoDuration, ServiceToken};
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::failure::with_causes;
use crate::output::{Cell, Record};
use crate::records::{Fault, expiry_cell};

/// The outcome of one token.
#[derive(Debug, Serialize)]
pub(crate) struct RenewalRecord {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) expires_at_before: Option<DateTime<Utc>>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    fault: Fault,
    #[serde(skip)]
    why: String,
    #[serde(skip)]
    never_expires: bool,
}

impl RenewalRecord {
    pub(crate) fn new(token: &TokenRenewal) -> Self {
        let (fault, why) = match &token.outcome {
            RenewalOutcome::Failed { error } => (Fault::from(error), with_causes(error)),
            RenewalOutcome::Unable { reason } => (Fault::default(), reason.to_string()),
            RenewalOutcome::NotTried => (
                Fault::default(),
                "the credentials were not accepted".to_owned(),
            ),
            _ => (Fault::default(), String::new()),
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
            why,
            never_expires: false,
        }
    }

    /// Returns the record of a skipped token; `None` for any other.
    pub(super) fn skipped(token: &ServiceToken, decision: Decision) -> Option<Self> {
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
            why: reason.to_string(),
            never_expires: token.never_expires(),
        })
    }
}

impl Record for RenewalRecord {
    const COLUMNS: &'static [&'static str] = &["NAME", "OUTCOME", "FROM", "TO", "WHY"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let outcome = match self.outcome {
            "renewed" => Cell::good("renewed"),
            "planned" => Cell::warning("due"),
            "skipped" if self.reason == Some(SkipReason::Expired.as_str()) => Cell::bad("skipped"),
            "skipped" => Cell::faint("skipped"),
            "not_tried" => Cell::bad("not tried"),
            "unable" => Cell::bad("can't renew"),
            outcome => Cell::bad(outcome),
        };
        let to = match self.outcome {
            "renewed" => expiry_cell(self.expires_at, self.never_expires, now),
            _ => Cell::plain(""),
        };
        vec![
            Cell::maybe(self.name.clone().or_else(|| self.id.clone())),
            outcome,
            expiry_cell(self.expires_at_before, self.never_expires, now),
            to,
            Cell::plain(self.why.clone()),
        ]
    }

    fn is_news(&self) -> bool {
        matches!(self.outcome, "failed" | "not_tried" | "unable" | "planned")
    }
}

/// The result of a pass, in numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    dry_run: bool,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    listed: usize,
    counts: BTreeMap<&'static str, usize>,
    next_due: Option<DateTime<Utc>>,
    unmatched: Vec<String>,
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// The document of a pass.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    #[serde(flatten)]
    pub(super) summary: Summary,
    pub(super) tokens: Vec<RenewalRecord>,
}

/// A line of JSON.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    Token(&'a RenewalRecord),
    Summary(&'a Summary),
    Waiting { until: DateTime<Utc> },
}
