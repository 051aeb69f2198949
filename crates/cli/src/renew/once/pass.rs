//! A finished pass over an account, in records, words and failures.

use std::collections::BTreeMap;

use cf_service_tokens::renewal::{
    Decision, RenewalError, RenewalOutcome, RenewalReport, SkipReason,
};
use cf_service_tokens::{ErrorKind, ServiceToken};
use chrono::{DateTime, Utc};

use super::{View, is_listed};
use crate::commands::select;
use crate::config;
use crate::failure::{Exit, Failure, is_refused_everywhere, is_without_access};
use crate::keep::{Followed, RotationRecord};
use crate::output::{self, Output};
use crate::records::State;
use crate::renew::Job;
use crate::renew::record::{Document, Event, OfAccount, RenewalRecord, Summary};
use crate::time;

/// A finished pass, and all tokens that it listed.
pub(super) struct Pass {
    pub(super) job: Job,
    pub(super) report: RenewalReport,
    pub(super) tokens: Vec<(ServiceToken, Decision)>,
    /// What became of the rotation rules.
    pub(super) followed: Vec<Followed>,
    pub(super) now: DateTime<Utc>,
    /// Whether all lines were written.
    pub(super) shown: Result<(), Failure>,
}

impl Pass {
    pub(super) fn is_without_access(&self) -> bool {
        self.report.error.as_ref().is_some_and(is_without_access)
    }

    pub(super) fn is_refused(&self) -> bool {
        let error = self.report.error.as_ref();
        error.is_some_and(is_refused_everywhere)
    }

    /// The records of the tokens that something was done with.
    fn records(&self) -> Vec<RenewalRecord> {
        self.report.tokens.iter().map(RenewalRecord::new).collect()
    }

    fn skipped(&self) -> impl Iterator<Item = RenewalRecord> {
        let tokens = self.tokens.iter();
        tokens.filter_map(|(token, decision)| RenewalRecord::skipped(token, *decision, self.now))
    }

    /// The records of the rotation rules.
    pub(super) fn rotations(&self) -> impl Iterator<Item = &RotationRecord> {
        self.followed.iter().map(|followed| &followed.record)
    }

    /// The rows of a table.
    pub(super) fn shown_records(&self, view: &View) -> Vec<RenewalRecord> {
        let mut records = self.records();
        let is_shown = |record: &RenewalRecord| view.all || record.is_long_expired();
        records.extend(self.skipped().filter(is_shown));
        records
    }

    pub(super) fn document(&self, view: &View) -> Document<'_> {
        Document {
            summary: Summary::new(&self.report, view.dry_run),
            tokens: self.records().into_iter().chain(self.skipped()).collect(),
            rotations: self.job.kept.as_ref().map(|_| self.rotations().collect()),
        }
    }

    /// Writes the lines that were not written as the tokens settled.
    pub(super) fn show_lines(&self, output: &Output, view: &View) -> Result<(), Failure> {
        let records = self.records().into_iter();
        let unwritten = records.filter(|r| matches!(r.outcome, "planned" | "unable"));
        for record in unwritten.chain(self.skipped()) {
            let record = OfAccount::new(&self.job.account, &record);
            output.json_line(&Event::Token(record))?;
        }
        for record in self.rotations() {
            let record = OfAccount::new(&self.job.account, record);
            output.json_line(&Event::Rotation(record))?;
        }
        let summary = Summary::new(&self.report, view.dry_run);
        let summary = OfAccount::new(&self.job.account, &summary);
        output.json_line(&Event::Summary(summary))
    }

    /// The outcomes in numbers, and which token falls due next.
    pub(super) fn summary(&self, may_lack_access: bool) -> String {
        if self.is_without_access() && may_lack_access {
            return "Access is not enabled, so there is nothing to renew".to_owned();
        }
        if self.tokens.is_empty() {
            return self.job.account.without_tokens();
        }
        let mut summary = counts(&self.report);
        if let Some(at) = self.report.next_due {
            let name = self.named_due(at).map(output::bounded);
            let name = name.map(|name| format!("{name:?} "));
            let when = time::distance_and_date(at, self.now);
            summary += &format!("; next due: {}{when}", name.unwrap_or_default());
        }
        summary
    }

    /// The name of the token that falls due at a time after the pass.
    fn named_due(&self, at: DateTime<Utc>) -> Option<&str> {
        let renewed = self.report.tokens.iter();
        let renewed = renewed.filter_map(|renewal| match renewal.outcome {
            RenewalOutcome::Renewed { expires_at } => Some((renewal.id.as_deref()?, expires_at)),
            _ => None,
        });
        let renewed: BTreeMap<&str, DateTime<Utc>> = renewed.collect();
        let is_due = |token: &&ServiceToken| {
            let id = token.id.as_deref().unwrap_or_default();
            let mut after = (*token).clone();
            after.expires_at = renewed.get(id).copied().or(token.expires_at);
            self.job.policy.due_at(&after) == Some(at)
        };
        let mut tokens = self.tokens.iter().map(|(token, _)| token);
        tokens.find(is_due)?.name.as_deref()
    }

    /// The failures, each once for all the tokens that it concerns.
    pub(super) fn failures(&self) -> Vec<Failure> {
        let mut faults: BTreeMap<String, (Failure, Vec<&str>)> = BTreeMap::new();
        for token in &self.report.tokens {
            let (fault, failure) = match &token.outcome {
                RenewalOutcome::Failed { error } => (alike(error), Failure::from(error)),
                RenewalOutcome::Unable { reason } => {
                    let what = format!("can't be renewed: {reason}");
                    (what.clone(), Failure::new(Exit::Failed, what))
                }
                _ => continue,
            };
            let name = token.name.as_deref().or(token.id.as_deref());
            let (_, names) = faults.entry(fault).or_insert((failure, Vec::new()));
            names.push(name.unwrap_or("a token without a name"));
        }
        // The error that stopped the pass is the one of a token, too.
        let stopped = self.report.error.as_ref();
        if let Some(error) = stopped {
            faults.remove(&alike(error));
        }
        let faults = faults.into_values();
        let faults = faults.map(|(failure, names)| failure.about(&some_of(&names)));
        let stopped = stopped.map(Failure::from);
        let faults = faults.chain(self.long_expired()).chain(self.unmatched());
        faults.chain(self.too_few()).chain(stopped).collect()
    }

    /// Returns a failure for each name of the account's own rules that no token has.
    fn unmatched(&self) -> impl Iterator<Item = Failure> {
        self.report.unmatched.iter().map(|name| {
            let tokens = self.tokens.iter().map(|(token, _)| token);
            let meant = select::meant(tokens, name);
            let what = format!("no token has the id, client id or name {name:?}");
            Failure::new(Exit::Failed, what).next(format!(
                "{meant}correct the name in the configuration file, or remove it there"
            ))
        })
    }

    /// Returns a failure if fewer tokens are listed than the account has at least.
    fn too_few(&self) -> Option<Failure> {
        let least = self.job.kept.as_ref()?.expect_at_least?;
        if !is_listed(&self.report) || self.tokens.len() >= least {
            return None;
        }
        Some(config::too_few(self.tokens.len(), least))
    }

    fn long_expired(&self) -> Option<Failure> {
        long_expired(&self.tokens, self.job.kept.is_some())
    }

    pub(super) fn exit(&self) -> Exit {
        match Exit::of_pass(&self.report) {
            Exit::Success | Exit::Due
                if self.long_expired().is_some() || self.too_few().is_some() =>
            {
                Exit::Failed
            }
            exit => exit,
        }
    }
}

/// Returns a failure that names the tokens that expired too long ago to be renewed
/// without `--include-expired`, if there are any.
pub(in crate::renew) fn long_expired(
    tokens: &[(ServiceToken, Decision)],
    is_kept: bool,
) -> Option<Failure> {
    let is_expired = |decision| decision == Decision::Skip(SkipReason::Expired);
    let expired = tokens.iter().filter(|(_, d)| is_expired(*d));
    let names = expired.filter_map(|(token, _)| token.name.as_deref().or(token.id.as_deref()));
    let names: Vec<&str> = names.collect();
    let (count, was) = match names.len() {
        0 => return None,
        1 => ("1 token".to_owned(), "was"),
        count => (format!("{count} tokens"), "were"),
    };
    let what = format!(
        "{count} expired longer ago than the window and {was} not renewed: {}",
        some_of(&names)
    );
    let (renew, exclude) = advice_for_expired(is_kept);
    let next = format!("{renew}; if it is no longer used, delete or disable it, or {exclude}");
    Some(Failure::new(Exit::Failed, what).next(next))
}

/// Returns how to renew a token that expired longer ago than the window, and how to exclude it.
pub(in crate::renew) fn advice_for_expired(is_kept: bool) -> (&'static str, &'static str) {
    match is_kept {
        true => (
            "set `include_expired = true` in the configuration file",
            "exclude it there with `except = [...]`",
        ),
        false => (
            "renew it with --include-expired",
            "exclude it with --except",
        ),
    }
}

/// Returns the outcomes of a pass in numbers, such as `2 tokens renewed, 9 not due, 1
/// disabled`.
pub(in crate::renew) fn counts(report: &RenewalReport) -> String {
    let of = |outcome| {
        let outcomes = report.tokens.iter().map(|token| token.outcome.as_str());
        outcomes.filter(|other| *other == outcome).count()
    };
    let mut skipped: BTreeMap<State, usize> = BTreeMap::new();
    for (reason, count) in &report.skipped {
        let state = State::decided(Decision::Skip(*reason), None, report.finished_at);
        *skipped.entry(state).or_default() += count;
    }
    let outcomes = [
        ("renewed", "renewed"),
        ("planned", "to renew"),
        ("failed", "failed"),
        ("not_tried", "not tried"),
        ("unable", "can't be renewed"),
    ];
    let outcomes = outcomes.map(|(outcome, words)| (of(outcome), words.to_owned()));
    let skipped = skipped.into_iter().map(|(state, count)| {
        let words = match state {
            State::Active => "not due".to_owned(),
            State::NeverExpires if count > 1 => "never expire".to_owned(),
            state => state.to_string(),
        };
        (count, words)
    });
    let counts = outcomes.into_iter().chain(skipped);
    let counts = counts.filter(|(count, _)| *count > 0).enumerate();
    let counts = counts.map(|(index, (count, words))| match (index, count) {
        (0, 1) => format!("1 token {words}"),
        (0, _) => format!("{count} tokens {words}"),
        _ => format!("{count} {words}"),
    });
    match counts.collect::<Vec<_>>() {
        counts if counts.is_empty() => "no tokens".to_owned(),
        counts => counts.join(", "),
    }
}

/// Returns what is the same in errors that differ only in their times and ray ids.
fn alike(error: &RenewalError) -> String {
    match error {
        RenewalError::Call(error) => {
            let code = error.api_errors().first().map(|error| error.code);
            let kind: ErrorKind = error.kind();
            format!("{kind:?} {:?} {code:?}", error.status())
        }
        RenewalError::NotExtended { .. } => "not extended".to_owned(),
        RenewalError::OtherToken { .. } => "other token".to_owned(),
        error => error.to_string(),
    }
}

/// Names the first few tokens, and counts the others.
fn some_of(names: &[&str]) -> String {
    const MAX_NAMES: usize = 10;
    let (first, others) = names.split_at(names.len().min(MAX_NAMES));
    let named = first
        .iter()
        .map(|name| format!("{:?}", output::bounded(name)));
    let mut named: Vec<String> = named.collect();
    if !others.is_empty() {
        named.push(format!("and {} more", others.len()));
    }
    named.join(", ")
}
