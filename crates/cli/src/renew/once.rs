//! `renew`: all tokens that fall due, once.

use std::collections::BTreeMap;

use cf_service_tokens::renewal::{
    Decision, RenewBy, RenewalError, RenewalEvent, RenewalOutcome, RenewalPolicy, RenewalReport,
    SkipReason,
};
use cf_service_tokens::{ErrorKind, ServiceToken};
use chrono::{DateTime, Utc};

use crate::arguments::Format;
use crate::commands::select;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::records::State;
use crate::renew::record::{Document, Event, RenewalRecord, Summary};
use crate::renew::{By, Renew};
use crate::time;

pub(crate) async fn renew(
    connection: &Connection,
    output: &Output,
    arguments: &Renew,
    mut progress: Progress,
) -> Result<Exit, Failure> {
    if arguments.all && output.quiet {
        let what = "--all shows more, and --quiet less";
        return Err(Failure::usage(what).next("use one of them"));
    }
    let mut shown = Ok(());
    let policy = policy(arguments)?;
    let mut tokens = Vec::new();
    let mut renewal = connection.tokens.renew(&policy);
    let mut finished = None;
    while let Some(event) = renewal.next().await {
        progress.note(&event);
        match event {
            RenewalEvent::Decided { token, decision } => tokens.push((*token, decision)),
            RenewalEvent::Settled(token) if output.format == Format::Jsonl => {
                // Output that can't be written stops no renewal.
                let record = RenewalRecord::new(&token);
                shown = shown.and(output.json_line(&Event::Token(&record)));
            }
            RenewalEvent::Finished(report) => finished = Some(report),
            _ => {}
        }
    }
    let report =
        finished.ok_or_else(|| Failure::new(Exit::Failed, "the renewal did not complete"))?;
    let pass = Pass {
        policy,
        report,
        tokens,
        now: connection.tokens.now(),
    };
    shown = shown.and(pass.show(connection, output, arguments));
    if !output.quiet {
        connection.clock_note().iter().for_each(output::remark);
    }
    for failure in pass.failures() {
        connection.explain(failure).show();
    }
    pass.exit().unless_unwritten(shown)
}

/// A finished pass, and all tokens that it listed.
struct Pass {
    policy: RenewalPolicy,
    report: RenewalReport,
    tokens: Vec<(ServiceToken, Decision)>,
    now: DateTime<Utc>,
}

impl Pass {
    fn show(
        &self,
        connection: &Connection,
        output: &Output,
        arguments: &Renew,
    ) -> Result<(), Failure> {
        let tokens = self.report.tokens.iter();
        let mut records: Vec<_> = tokens.map(RenewalRecord::new).collect();
        let skipped = self.tokens.iter();
        let mut skipped: Vec<_> = skipped
            .filter_map(|(token, decision)| RenewalRecord::skipped(token, *decision, self.now))
            .collect();
        let summary = Summary::new(&self.report, arguments.dry_run);
        match output.format {
            Format::Jsonl => {
                // Renewed and failed tokens were written as they settled.
                let unwritten = records
                    .iter()
                    .filter(|r| matches!(r.outcome, "planned" | "unable"));
                for record in unwritten.chain(&skipped) {
                    output.json_line(&Event::Token(record))?;
                }
                output.json_line(&Event::Summary(&summary))
            }
            Format::Json => {
                records.extend(skipped);
                output.json(&Document {
                    summary,
                    tokens: records,
                })
            }
            Format::Table => {
                if !arguments.all {
                    skipped.retain(RenewalRecord::is_long_expired);
                }
                records.extend(skipped);
                output.outcomes(&records, self.now)?;
                // Nothing is known of the tokens if the listing failed.
                if output.quiet || (self.tokens.is_empty() && self.report.error.is_some()) {
                    return Ok(());
                }
                let gap = if records.is_empty() { "" } else { "\n" };
                output.line(&format!("{gap}{}", self.summary(connection)))
            }
        }
    }

    /// The outcomes in numbers, and which token falls due next.
    fn summary(&self, connection: &Connection) -> String {
        if self.tokens.is_empty() {
            return connection.without_tokens();
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
            self.policy.due_at(&after) == Some(at)
        };
        let mut tokens = self.tokens.iter().map(|(token, _)| token);
        tokens.find(is_due)?.name.as_deref()
    }

    /// What failed, once for all tokens that it failed for.
    fn failures(&self) -> Vec<Failure> {
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
        let unmatched = self.report.unmatched.iter().map(|name| {
            let what = format!("no token has the id, client id or name {name:?}");
            let meant = select::meant(self.tokens.iter().map(|(token, _)| token), name);
            let next = format!("{meant}`cf-service-tokens list` shows the names and ids");
            Failure::new(Exit::Failed, what).next(next)
        });
        faults
            .chain(self.long_expired())
            .chain(stopped)
            .chain(unmatched)
            .collect()
    }

    /// Returns a failure that names the tokens that expired too long ago to be renewed
    /// without `--include-expired`, if there are any.
    fn long_expired(&self) -> Option<Failure> {
        let is_expired = |decision| decision == Decision::Skip(SkipReason::Expired);
        let expired = self.tokens.iter().filter(|(_, d)| is_expired(*d));
        let names = expired.filter_map(|(token, _)| token.name.as_deref().or(token.id.as_deref()));
        let names: Vec<&str> = names.collect();
        let (tokens, was) = match names.len() {
            0 => return None,
            1 => ("1 token".to_owned(), "was"),
            count => (format!("{count} tokens"), "were"),
        };
        let what = format!(
            "{tokens} expired longer ago than the window and {was} not renewed: {}",
            some_of(&names)
        );
        let next = "renew it with --include-expired; if it is no longer used, delete or disable \
                    it, or exclude it with --except";
        Some(Failure::new(Exit::Failed, what).next(next))
    }

    fn exit(&self) -> Exit {
        match (Exit::of_pass(&self.report), self.long_expired()) {
            (Exit::Success | Exit::Due, Some(_)) => Exit::Failed,
            (exit, _) => exit,
        }
    }
}

/// Returns the outcomes of a pass in numbers, such as `2 tokens renewed, 9 not due, 1
/// disabled`.
pub(super) fn counts(report: &RenewalReport) -> String {
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

/// Returns the policy of the arguments.
/// Returns the policy that the arguments describe.
///
/// # Errors
///
/// If a secret stands in the place of a token.
pub(crate) fn policy(arguments: &Renew) -> Result<RenewalPolicy, Failure> {
    for asked in arguments.only.iter().chain(&arguments.except) {
        select::require_no_secret(asked)?;
    }
    let mut policy = RenewalPolicy::new()
        .window(arguments.window.within)
        .by(match arguments.by {
            By::Refresh => RenewBy::Refresh,
            By::Duration => RenewBy::Duration,
        })
        .include_expired(arguments.include_expired)
        .include_disabled(arguments.include_disabled)
        .except(&arguments.except)
        .dry_run(arguments.dry_run);
    if !arguments.only.is_empty() {
        policy = policy.only(&arguments.only);
    }
    if let Some(shard) = arguments.shard {
        policy = policy.shard(shard);
    }
    Ok(policy)
}
