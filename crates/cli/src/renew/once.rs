//! `renew`: all tokens that fall due, once.

use cf_service_tokens::renewal::{
    Decision, RenewBy, RenewalEvent, RenewalPolicy, RenewalReport, SkipReason,
};
use chrono::{DateTime, Utc};

use crate::arguments::Format;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::renew::{By, Renew};
use crate::time;

use crate::renew::record::{Document, Event, RenewalRecord, Summary};

pub(crate) async fn renew(
    connection: &Connection,
    output: &Output,
    arguments: &Renew,
    mut progress: Progress,
) -> Result<Exit, Failure> {
    let mut shown = Ok(());
    let mut skipped = Vec::new();
    let mut expired = Vec::new();
    let mut renewal = connection.tokens.renew(&policy(arguments));
    let mut finished = None;
    while let Some(event) = renewal.next().await {
        progress.note(&event);
        match event {
            RenewalEvent::Decided { token, decision } => {
                if decision == Decision::Skip(SkipReason::Expired) {
                    expired.push(token.name.clone().or_else(|| token.id.clone()));
                }
                skipped.extend(RenewalRecord::skipped(&token, decision));
            }
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
    shown = shown.and(show(
        output,
        arguments,
        &report,
        skipped,
        connection.tokens.now(),
    ));
    if let Some(error) = &report.error {
        connection.explain(Failure::from(error)).show();
    }
    for name in &report.unmatched {
        Failure::new(
            Exit::Failed,
            format!("no token has the name or id {name:?}"),
        )
        .next("`cf-service-tokens list` shows the names and ids")
        .show();
    }
    let expired: Vec<String> = expired.into_iter().flatten().collect();
    if let Some(failure) = long_expired(&expired) {
        failure.show();
    }
    let exit = match (Exit::of_pass(&report), expired.is_empty()) {
        (Exit::Success | Exit::Due, false) => Exit::Failed,
        (exit, _) => exit,
    };
    exit.unless_unwritten(shown)
}

/// Returns a failure that names the tokens that expired too long ago to be renewed without
/// `--include-expired`, if there are any.
fn long_expired(names: &[String]) -> Option<Failure> {
    const MAX_NAMES: usize = 10;
    let (first, others) = names.split_at(names.len().min(MAX_NAMES));
    let mut named: Vec<String> = first.iter().map(|name| format!("{name:?}")).collect();
    if !others.is_empty() {
        named.push(format!("and {} more", others.len()));
    }
    let (tokens, was) = match names.len() {
        0 => return None,
        1 => ("1 token".to_owned(), "was"),
        count => (format!("{count} tokens"), "were"),
    };
    let what = format!(
        "{tokens} expired longer ago than the window and {was} not renewed: {}",
        named.join(", ")
    );
    let next = "renew it with --include-expired; if it is no longer used, delete or disable it, or \
                exclude it with --except";
    Some(Failure::new(Exit::Failed, what).next(next))
}

/// Returns the policy of the arguments.
pub(crate) fn policy(arguments: &Renew) -> RenewalPolicy {
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
    policy
}

fn show(
    output: &Output,
    arguments: &Renew,
    report: &RenewalReport,
    skipped: Vec<RenewalRecord>,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let mut records: Vec<_> = report.tokens.iter().map(RenewalRecord::new).collect();
    match output.format {
        Format::Jsonl => {
            // Renewed and failed tokens were written as they settled.
            let unwritten = records
                .iter()
                .filter(|r| matches!(r.outcome, "planned" | "unable"));
            for record in unwritten.chain(&skipped) {
                output.json_line(&Event::Token(record))?;
            }
            output.json_line(&Event::Summary(&Summary::new(report, arguments.dry_run)))
        }
        Format::Json => {
            records.extend(skipped);
            output.json(&Document {
                summary: Summary::new(report, arguments.dry_run),
                tokens: records,
            })
        }
        Format::Table => {
            records.extend(skipped);
            output.outcomes(&records, now)?;
            if !output.quiet {
                output.line(&format!("\n{}", summary_line(report, now)))?;
            }
            Ok(())
        }
    }
}

/// One line, and when to come back.
fn summary_line(report: &RenewalReport, now: DateTime<Utc>) -> String {
    let next_due = report.next_due.map(|at| {
        let distance = time::date_and_distance(at, now);
        format!("; the next one is due {distance}")
    });
    format!("{}{}", counts(report), next_due.unwrap_or_default())
}

/// Returns the report's own line, without the part that is shown as an error.
fn counts(report: &RenewalReport) -> String {
    let mut report = report.clone();
    report.error = None;
    report.unmatched.clear();
    report.to_string()
}
