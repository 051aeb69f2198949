//! `report`: upcoming expirations, and the tokens due within the window.

mod html;

use std::path::PathBuf;

use cf_service_tokens::ServiceToken;
use cf_service_tokens::renewal::{Decision, RenewalPolicy};
use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::commands::select;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Cell, Output, Record};
use crate::records::{State, TokenRecord};
use crate::renew::Window;
use crate::serve::page;
use crate::time;

#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  cf-service-tokens report --within 14d
  cf-service-tokens report --html /var/www/tokens.html
  cf-service-tokens report --check --quiet")]
pub(crate) struct Report {
    /// Only these tokens: their names, ids, beginnings of ids, or client ids
    #[arg(value_name = "TOKEN")]
    pub(crate) tokens: Vec<String>,
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
    let tokens = select::narrow(connection, tokens, &arguments.tokens)?;
    let shared = select::shared_names(&tokens);
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
    let report = page::Report {
        account: connection.account_id().to_owned(),
        time: now,
        listed_at: Some(now),
        next_pass: None,
        window: arguments.window.within,
        problem: None,
        tokens: tokens
            .iter()
            .map(|(token, decision)| page::Token::new(token, policy.due_at(token), *decision))
            .collect(),
    };
    let needs_attention = report.tokens.iter().any(|token| token.needs_attention(now));
    let exit = match arguments.check && needs_attention {
        true => Exit::Failed,
        false => Exit::Success,
    };
    let page = match &arguments.html {
        Some(file) => html::write(file, output, &report),
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
    output.outcomes(&records, now)?;
    if output.is_table() && !output.quiet {
        output.line(&match tokens.is_empty() {
            true => connection.without_tokens(),
            false => format!(
                "\n{} (a token is due {} before it expires)",
                page::verdict(&report),
                time::length(arguments.window.within)
            ),
        })?;
    }
    if !output.quiet {
        let shared = shared.into_iter().filter(|_| output.is_table());
        shared
            .chain(connection.clock_note())
            .for_each(output::remark);
    }
    page.map(|()| exit)
}

/// A token, and what `renew` would do about it.
#[derive(Debug, Serialize)]
struct ReportRecord {
    #[serde(flatten)]
    token: TokenRecord,
    due_at: Option<DateTime<Utc>>,
    decision: &'static str,
    reason: &'static str,
}

impl ReportRecord {
    fn new(
        token: &ServiceToken,
        decision: Decision,
        policy: &RenewalPolicy,
        now: DateTime<Utc>,
    ) -> Self {
        let state = State::decided(decision, token.expires_at, now);
        let (decision, reason) = match decision {
            Decision::Renew(reason) => ("renew", reason.as_str()),
            Decision::Skip(reason) => ("skip", reason.as_str()),
            Decision::Unable(reason) => ("unable", reason.as_str()),
            _ => ("unknown", "unknown"),
        };
        Self {
            token: TokenRecord {
                state,
                ..TokenRecord::new(token, now)
            },
            due_at: policy.due_at(token),
            decision,
            reason,
        }
    }
}

impl Record for ReportRecord {
    const COLUMNS: &'static [&'static str] =
        &["EXPIRES", "NAME", "ID", "STATE", "DUE", "LAST SEEN"];
    const SPARE: &'static [&'static str] = &["DUE", "LAST SEEN", "ID"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let falls_due = self.token.state == State::Active || self.decision == "renew";
        let due = self.due_at.filter(|_| falls_due);
        vec![
            self.token.expiry_cell(now),
            Cell::name(self.token.name.as_deref()),
            Cell::id(self.token.id.as_deref()),
            self.token.state.cell(),
            Cell::maybe(due.map(|at| match at <= now {
                true => "now".to_owned(),
                false => time::distance(at - now),
            })),
            self.token.last_seen_cell(now),
        ]
    }

    fn is_news(&self) -> bool {
        self.token.state.needs_attention()
    }
}
