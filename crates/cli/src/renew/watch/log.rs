//! The log of a watcher.

use cf_service_tokens::renewal::{
    Decision, RenewalEvent, RenewalOutcome, RenewalReport, SkipReason, TokenRenewal, WatchEvent,
};
use chrono::Utc;

use crate::arguments::Format;
use crate::connection::Connection;
use crate::failure::{Failure, with_causes};
use crate::keep::Followed;
use crate::output::{self, Output, Record as _};
use crate::renew::once;
use crate::renew::record::{Event, OfAccount, RenewalRecord, Summary, Waiting};
use crate::time;

/// The log on standard output.
pub(super) struct Log {
    pub(super) output: Output,
    /// Whether lines begin with the account.
    pub(super) names_accounts: bool,
    /// Whether the accounts are those of a configuration file.
    pub(super) has_file: bool,
}

impl Log {
    /// Says that an account has nothing to watch.
    pub(super) fn without_access(&self, account: &Connection) {
        if !self.output.quiet {
            let label = account.account_label();
            output::remark(format!(
                "{label}: Access is not enabled, so there is nothing to renew"
            ));
        }
    }

    /// Writes an event. The thread that writes the line to standard output reports a failure.
    pub(super) fn write(&self, account: &Connection, event: &WatchEvent) {
        let _ = match self.output.format {
            Format::Jsonl => self.json(account, event),
            _ => self.line(account, event),
        };
    }

    /// Writes what became of a rotation rule.
    pub(super) fn followed(&self, account: &Connection, rule: &Followed) {
        let record = &rule.record;
        let _ = match self.output.format {
            Format::Jsonl => {
                let record = OfAccount::new(account, record);
                self.output.json_line(&Event::Rotation(record))
            }
            _ if !record.is_event() || (self.output.quiet && !record.is_news()) => return,
            _ => self.words(account, &record.words()),
        };
    }

    fn json(&self, account: &Connection, event: &WatchEvent) -> Option<Result<(), Failure>> {
        Some(match event {
            WatchEvent::Renewal(RenewalEvent::Decided { token, decision })
                if is_long_expired(*decision) =>
            {
                let record = RenewalRecord::skipped(token, *decision, Utc::now())?;
                self.output
                    .json_line(&Event::Token(OfAccount::new(account, &record)))
            }
            WatchEvent::Renewal(RenewalEvent::Settled(token)) => {
                let record = RenewalRecord::new(token);
                self.output
                    .json_line(&Event::Token(OfAccount::new(account, &record)))
            }
            WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
                let summary = Summary::new(report, false);
                self.output
                    .json_line(&Event::Summary(OfAccount::new(account, &summary)))
            }
            WatchEvent::Waiting { until } => {
                let waiting = Waiting { until: *until };
                self.output
                    .json_line(&Event::Waiting(OfAccount::new(account, waiting)))
            }
            _ => return None,
        })
    }

    /// Writes a line for people; if quiet, only about what failed.
    fn line(&self, account: &Connection, event: &WatchEvent) -> Option<Result<(), Failure>> {
        let is_quiet = self.output.quiet;
        let words = match event {
            WatchEvent::Renewal(RenewalEvent::Decided { token, decision })
                if is_long_expired(*decision) =>
            {
                let name = token.name.as_deref().or(token.id.as_deref());
                let (renew, exclude) = once::advice_for_expired(self.has_file);
                format!(
                    "{}: not renewed: {}; {renew}; if it is no longer used, delete or disable it, \
                     or {exclude}",
                    name.unwrap_or("-"),
                    SkipReason::Expired,
                )
            }
            WatchEvent::Renewal(RenewalEvent::Settled(token))
                if !is_quiet || token.outcome.is_at_risk() =>
            {
                settled(token)
            }
            WatchEvent::Renewal(RenewalEvent::Finished(report))
                if !is_quiet || !report.is_success() =>
            {
                finished(report)
            }
            WatchEvent::Waiting { until } if !is_quiet => {
                let now = Utc::now();
                format!("next pass {}", time::distance_and_date(*until, now))
            }
            _ => return None,
        };
        Some(self.words(account, &words))
    }

    /// Writes words about an account, with the time.
    fn words(&self, account: &Connection, words: &str) -> Result<(), Failure> {
        let now = Utc::now().format("%FT%TZ");
        let line = match self.names_accounts {
            true => format!("{now} {}: {words}", account.account_label()),
            false => format!("{now} {words}"),
        };
        self.output.line(&output::printable(&line))
    }
}

fn is_long_expired(decision: Decision) -> bool {
    decision == Decision::Skip(SkipReason::Expired)
}

fn settled(token: &TokenRenewal) -> String {
    let name = token.name.as_deref().or(token.id.as_deref());
    let name = name.unwrap_or("-");
    match &token.outcome {
        RenewalOutcome::Failed { error } => format!("{name}: failed: {}", with_causes(error)),
        outcome => format!("{name}: {outcome}"),
    }
}

/// Returns a pass in one line. The tokens that failed have lines of their own.
fn finished(report: &RenewalReport) -> String {
    let mut parts = Vec::new();
    if report.listed > 0 || report.error.is_none() {
        parts.push(once::counts(report));
    }
    if let Some(error) = &report.error {
        parts.push(format!("stopped early: {}", with_causes(error)));
    }
    let unmatched = report.unmatched.iter();
    parts.extend(unmatched.map(|name| format!("no token has the id, client id or name {name:?}")));
    let ahead = report.clock_skew;
    parts.extend(ahead.map(|ahead| time::clock_difference(ahead.into())));
    parts.join("; ")
}
