//! The output of a rotation rule.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::commands::select::Chosen;
use crate::failure::Failure;
use crate::output::{Cell, Record};
use crate::secret::record::Intent;
use crate::secret::rotation::{Due, Left, Rotated, Rotation};
use crate::time;

/// What became of a rotation rule.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RotationRecord {
    /// The token, as the rule names it.
    pub(crate) token: String,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) outcome: Outcome,
    /// Why something was done, or not.
    pub(crate) reason: Option<&'static str>,
    /// Since when the token has its newest secret, as far as that is known.
    pub(crate) secret_since: Option<DateTime<Utc>>,
    /// Whether the secret may be older than that.
    secret_since_is_estimate: bool,
    /// How old the secret may become.
    every: Option<String>,
    /// When the secret is to be rotated, or should have been.
    pub(crate) due_at: Option<DateTime<Utc>>,
    secret_to: String,
    /// Until when the secret before the newest one works, if it does.
    old_secret_valid_until: Option<DateTime<Utc>>,
    pub(crate) error: Option<String>,
}

/// The outcome of a rotation rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Rotated,
    /// What an earlier run left was done.
    Finished,
    /// A run without `--dry-run` would rotate, or do what an earlier one left.
    Planned,
    NotDue,
    /// The secret is old enough, but something keeps it from being rotated now.
    Waiting,
    Skipped,
    /// A secret may have been made and lost. Nothing was done.
    Lost,
    Failed,
    NotTried,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Finished => "finished",
            Self::Planned => "planned",
            Self::NotDue => "not_due",
            Self::Waiting => "waiting",
            Self::Skipped => "skipped",
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::NotTried => "not_tried",
        }
    }
}

impl RotationRecord {
    pub(super) fn not_tried(token: &str, rotation: &Rotation) -> Self {
        Self {
            token: token.to_owned(),
            id: None,
            name: None,
            outcome: Outcome::NotTried,
            reason: None,
            secret_since: None,
            secret_since_is_estimate: false,
            every: rotation.every.map(time::short),
            due_at: None,
            secret_to: rotation.sink.to_string(),
            old_secret_valid_until: None,
            error: None,
        }
    }

    /// What an earlier run left for a token that no rule names.
    pub(super) fn without_rule(intent: &Intent) -> Self {
        let token = intent.name.as_ref().or(intent.token_id.as_ref());
        Self {
            token: token.cloned().unwrap_or_default(),
            id: intent.token_id.clone(),
            name: intent.name.clone(),
            outcome: Outcome::NotTried,
            reason: None,
            secret_since: None,
            secret_since_is_estimate: false,
            every: None,
            due_at: None,
            secret_to: intent.sink.clone(),
            old_secret_valid_until: intent.old_secret_works_until(),
            error: None,
        }
    }

    pub(super) fn of_token(&mut self, token: &Chosen) {
        self.id = Some(token.id.to_string());
        self.name = token.name().map(str::to_owned);
    }

    pub(super) fn skipped(&mut self, reason: &'static str) {
        self.outcome = Outcome::Skipped;
        self.reason = Some(reason);
    }

    /// Notes what there is to do, before it is done.
    pub(super) fn due(&mut self, due: &Due) {
        self.reason = Some(reason(due));
        match *due {
            Due::Young {
                secret_since,
                is_estimate,
                due_at,
            } => {
                self.outcome = Outcome::NotDue;
                self.secret_since = Some(secret_since);
                self.secret_since_is_estimate = is_estimate;
                self.due_at = Some(due_at);
            }
            Due::Rotate {
                secret_since,
                is_estimate,
                due_at,
            } => {
                self.secret_since = Some(secret_since);
                self.secret_since_is_estimate = is_estimate;
                self.due_at = due_at;
            }
            Due::InGrace { until } => {
                self.outcome = Outcome::Waiting;
                self.old_secret_valid_until = Some(until);
            }
            Due::Arriving { .. } => self.outcome = Outcome::Waiting,
            Due::Lost {
                old_secret_works_until,
            } => {
                self.outcome = Outcome::Lost;
                self.old_secret_valid_until = Some(old_secret_works_until);
            }
            Due::Finish { .. } | Due::Outage { .. } => {}
        }
    }

    /// Notes what a run without `--dry-run` would do.
    pub(super) fn planned(&mut self, due: &Due) {
        self.due(due);
        if let Due::Rotate { .. } | Due::Finish { .. } | Due::Outage { .. } = due {
            self.outcome = Outcome::Planned;
        }
    }

    /// Returns when the rule next needs a step, if that depends on time alone.
    pub(crate) fn next_at(&self) -> Option<DateTime<Utc>> {
        match (self.outcome, self.reason) {
            (Outcome::NotDue | Outcome::Rotated | Outcome::Finished, _) => self.due_at,
            (Outcome::Waiting, Some(IN_GRACE)) => self.old_secret_valid_until,
            _ => None,
        }
    }

    /// Whether a new secret was brought to its sink.
    pub(crate) fn has_delivered(&self) -> bool {
        matches!(self.outcome, Outcome::Rotated | Outcome::Finished)
    }

    /// Whether a watcher's log has it, even without a failure.
    pub(crate) fn is_event(&self) -> bool {
        self.has_delivered() || self.is_news()
    }

    /// What became of the rule, in words.
    pub(crate) fn words(&self) -> String {
        let token = self.name.as_deref().unwrap_or(&self.token);
        let old = self.old_secret_valid_until.map(time::minute);
        match (&self.error, self.outcome) {
            (Some(error), _) => format!("{token}: {error}"),
            (None, Outcome::Rotated | Outcome::Finished) => format!(
                "{token}: the new secret is in {}; the old one {}",
                self.secret_to,
                old.map_or("no longer works".to_owned(), |at| format!(
                    "works until {at}"
                ))
            ),
            (None, outcome) => format!("{token}: rotation: {}", outcome.as_str()),
        }
    }

    pub(super) fn is_planned(&self) -> bool {
        self.outcome == Outcome::Planned
    }

    /// Notes that the newest secret is in its sink.
    pub(super) fn rotated(&mut self, rotated: &Rotated, rotation: &Rotation) {
        self.outcome = match self.reason {
            Some(FINISH_DELIVERY | FINISH_VERIFICATION | FINISH_HOOK) => Outcome::Finished,
            _ => Outcome::Rotated,
        };
        self.old_secret_valid_until = rotated.old_secret_works_until;
        self.secret_since = rotated.secret_since;
        self.secret_since_is_estimate = false;
        let every = rotation
            .every
            .and_then(|every| TimeDelta::from_std(every).ok());
        self.due_at = rotated
            .secret_since
            .zip(every)
            .and_then(|(since, every)| since.checked_add_signed(every));
    }

    /// Notes a failure. One after a loss or a wait explains it.
    pub(super) fn failed(&mut self, failure: &Failure) {
        if !matches!(self.outcome, Outcome::Lost | Outcome::Waiting) {
            self.outcome = Outcome::Failed;
        }
        self.error = Some(failure.line());
    }

    /// How old the secret is.
    fn age(&self, now: DateTime<Utc>) -> Option<String> {
        let age = (now - self.secret_since?).num_days();
        let at_least = match self.secret_since_is_estimate {
            true => "at least ",
            false => "",
        };
        Some(match age {
            1 => format!("{at_least}1 day"),
            days => format!("{at_least}{days} days"),
        })
    }

    /// What became of the rule, as a cell.
    fn outcome_cell(&self) -> Cell {
        match (self.outcome, self.reason) {
            (Outcome::Rotated, _) => Cell::good("rotated"),
            (Outcome::Finished, _) => Cell::good("finished"),
            (Outcome::Planned, Some(FINISH_DELIVERY)) => Cell::warning("to deliver"),
            (Outcome::Planned, Some(FINISH_VERIFICATION)) => Cell::warning("to verify"),
            (Outcome::Planned, Some(FINISH_HOOK)) => Cell::warning("to run the hook"),
            (Outcome::Planned, _) => Cell::warning("to rotate"),
            (Outcome::NotDue, _) => Cell::plain("not due"),
            (Outcome::Waiting, Some(IN_GRACE)) => Cell::plain("in grace period"),
            (Outcome::Waiting, _) => Cell::warning("unclear"),
            (Outcome::Skipped, reason) => Cell::faint(reason.unwrap_or("skipped")),
            (Outcome::Lost, _) => Cell::bad("secret lost"),
            (Outcome::Failed, _) => Cell::bad("failed"),
            (Outcome::NotTried, _) => Cell::bad("not tried"),
        }
    }
}

const FINISH_DELIVERY: &str = "finish_delivery";
const FINISH_VERIFICATION: &str = "finish_verification";
const FINISH_HOOK: &str = "finish_hook";
const IN_GRACE: &str = "in_grace";

/// Returns why something is to be done, or not.
fn reason(due: &Due) -> &'static str {
    match due {
        Due::Young { .. } => "not_due",
        Due::Rotate { .. } => "old",
        Due::InGrace { .. } => IN_GRACE,
        Due::Finish {
            left: Left::Delivery,
        } => FINISH_DELIVERY,
        Due::Finish {
            left: Left::Verification,
        } => FINISH_VERIFICATION,
        Due::Finish { left: Left::Hook } => FINISH_HOOK,
        Due::Arriving { .. } => "may_take_effect",
        Due::Lost { .. } => "lost",
        Due::Outage { .. } => "outage",
    }
}

impl Record for RotationRecord {
    const COLUMNS: &'static [&'static str] = &[
        "NAME",
        "ID",
        "ROTATION",
        "SECRET AGE",
        "EVERY",
        "DUE",
        "OLD SECRET",
    ];
    const SPARE: &'static [&'static str] = &["EVERY", "DUE", "ID"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let name = self.name.as_deref().unwrap_or(&self.token);
        let due = self.due_at.map(|at| time::distance(at - now));
        let old = self.old_secret_valid_until;
        vec![
            Cell::name(Some(name)),
            Cell::id(self.id.as_deref()),
            self.outcome_cell(),
            Cell::maybe(self.age(now)),
            Cell::plain(self.every.clone().unwrap_or_default()),
            // A column without any text is left out.
            Cell::plain(due.unwrap_or_default()),
            Cell::plain(old.map_or_else(String::new, |at| {
                format!("works until {}", time::minute(at))
            })),
        ]
    }

    fn is_news(&self) -> bool {
        use Outcome::{Failed, Lost, NotTried, Planned, Waiting};
        match self.outcome {
            Planned | Lost | Failed | NotTried => true,
            Waiting => self.reason != Some(IN_GRACE),
            _ => false,
        }
    }
}
