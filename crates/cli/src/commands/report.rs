//! `report`: upcoming expirations, and the tokens due within the window.

mod html;

use std::path::PathBuf;

use cf_service_tokens::ServiceToken;
use cf_service_tokens::renewal::{Decision, RenewReason, RenewalPolicy, SkipReason};
use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Output, Record};
use crate::records::{State, expiry_cell};
use crate::renew::Window;
use crate::serve::page;
use crate::time;

#[derive(Args, Debug)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) window: Window,
    /// Write the report as an HTML page to this file, or to standard output for `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Exit with 1 if a token is due or has expired
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) async fn report(
    connection: &Connection,
    output: &Output,
    arguments: &Report,
) -> Result<Exit, Failure> {
    if let Some(file) = &arguments.html {
        html::check(file, output)?;
    }
    let policy = RenewalPolicy::new().window(arguments.window.within);
    let tokens = Connection::all(connection.tokens.list()).await?;
    // By the API's clock, which the listing shows.
    let now = connection.tokens.now();
    let mut tokens: Vec<(ServiceToken, Decision)> = tokens
        .into_iter()
        .map(|token| {
            let decision = policy.decide(&token, now);
            (token, decision)
        })
        .collect();
    // Tokens that never expire come last, and an unknown expiry before them.
    tokens.sort_by_key(|(token, _)| {
        let never = token.never_expires();
        (
            never,
            token.expires_at.is_none(),
            token.expires_at,
            token.name.clone(),
        )
    });
    let exit = match arguments.check && tokens.iter().any(|(_, decision)| is_alarming(*decision)) {
        true => Exit::Failed,
        false => Exit::Success,
    };
    let page = match &arguments.html {
        Some(file) => {
            let report = page::Report {
                account: connection.account_id().to_owned(),
                time: now,
                listed_at: Some(now),
                next_pass: None,
                window: arguments.window.within,
                problem: None,
                tokens: tokens
                    .iter()
                    .map(|(token, decision)| {
                        page::Token::new(token, policy.due_at(token), *decision)
                    })
                    .collect(),
            };
            html::write(file, output, &report)
        }
        None => Ok(()),
    };
    // The page takes the place of the table, and stands beside JSON, which is written even
    // if the page can't be.
    if arguments.html.is_some() && output.is_table() {
        return page.map(|()| exit);
    }
    let records: Vec<_> = tokens
        .iter()
        .map(|(token, decision)| ReportRecord::new(token, *decision, &policy, now))
        .collect();
    output.records(&records, now)?;
    if output.is_table() && !output.quiet {
        output.line(&format!("\n{}", summary(&tokens, arguments)))?;
    }
    page.map(|()| exit)
}

/// Returns whether `--check` fails for the token: it is due, has expired, or may have.
fn is_alarming(decision: Decision) -> bool {
    matches!(
        decision,
        Decision::Renew(_) | Decision::Unable(_) | Decision::Skip(SkipReason::Expired)
    )
}

fn summary(tokens: &[(ServiceToken, Decision)], arguments: &Report) -> String {
    let count = |is: fn(&Decision) -> bool| tokens.iter().filter(|(_, d)| is(d)).count();
    let plural = if tokens.len() == 1 { "" } else { "s" };
    format!(
        "{} token{plural}: {} due within {}, {} expired",
        tokens.len(),
        count(|decision| matches!(decision, Decision::Renew(_))),
        time::length(arguments.window.within),
        count(|decision| {
            matches!(
                decision,
                Decision::Renew(RenewReason::Expired) | Decision::Skip(SkipReason::Expired)
            )
        }),
    )
}

/// A token and the decision about it.
#[derive(Debug, Serialize)]
struct ReportRecord {
    id: Option<String>,
    name: Option<String>,
    state: State,
    duration: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    expires_in_seconds: Option<i64>,
    due_at: Option<DateTime<Utc>>,
    decision: &'static str,
    reason: &'static str,
    last_seen_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    words: String,
    #[serde(skip)]
    never_expires: bool,
}

impl ReportRecord {
    fn new(
        token: &ServiceToken,
        decision: Decision,
        policy: &RenewalPolicy,
        now: DateTime<Utc>,
    ) -> Self {
        let state = State::decided(decision, token.expires_at, now);
        let (decision, reason, words) = match decision {
            Decision::Renew(reason) => ("renew", reason.as_str(), reason.to_string()),
            Decision::Skip(reason) => ("skip", reason.as_str(), reason.to_string()),
            Decision::Unable(reason) => ("unable", reason.as_str(), reason.to_string()),
            _ => ("unknown", "unknown", String::new()),
        };
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            state,
            duration: token.duration.as_ref().map(ToString::to_string),
            expires_at: token.expires_at.filter(|_| !token.never_expires()),
            expires_in_seconds: token.expires_in(now).map(|left| left.num_seconds()),
            due_at: policy.due_at(token),
            decision,
            reason,
            last_seen_at: token.last_seen_at,
            words,
            never_expires: token.never_expires(),
        }
    }
}

impl Record for ReportRecord {
    const COLUMNS: &'static [&'static str] = &["EXPIRES", "NAME", "DUE", "STATUS", "LAST SEEN"];
    const SPARE: &'static [&'static str] = &["LAST SEEN"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let falls_due = self.state == State::Active || self.decision == "renew";
        let due = self.due_at.filter(|_| falls_due);
        let status = match (self.decision, self.reason) {
            ("unable", _) | (_, "expired") => Cell::bad(self.words.clone()),
            ("renew", _) => Cell::warning(self.words.clone()),
            _ => Cell::plain(self.words.clone()),
        };
        let last_seen = self.last_seen_at.map(|at| time::distance(at - now));
        vec![
            expiry_cell(self.expires_at, self.never_expires, now),
            Cell::maybe(self.name.clone().or_else(|| self.id.clone())),
            Cell::maybe(due.map(|at| match at <= now {
                true => "now".to_owned(),
                false => time::distance(at - now),
            })),
            status,
            Cell::plain(last_seen.unwrap_or_else(|| "never".to_owned())),
        ]
    }
}
