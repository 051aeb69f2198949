//! `report`: upcoming expirations, and the tokens due within the window.

mod html;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::PathBuf;

use cf_service_tokens::renewal::{Decision, RenewalError, RenewalPolicy};
use cf_service_tokens::{Error, ServiceToken};
use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::commands::select;
use crate::connection::{Api, Connection};
use crate::failure::{Exit, Failure, is_without_access};
use crate::output::{self, Cell, Output, Record};
use crate::records::{State, TokenRecord};
use crate::renew::{Everywhere, Window};
use crate::serve::page;
use crate::time;

#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  cf-service-tokens report --within 14d
  cf-service-tokens report --html /var/www/tokens.html
  cf-service-tokens report --check --quiet")]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) everywhere: Everywhere,
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

/// How many accounts are listed at the same time.
const MAX_ACCOUNTS: usize = 16;

pub(crate) async fn report(
    api: &Api,
    output: &Output,
    arguments: &Report,
) -> Result<Exit, Failure> {
    if let Some(file) = &arguments.html {
        html::check(file, output)?;
    }
    let policy = RenewalPolicy::new().window(arguments.window.within);
    let accounts = api.accounts().await?;
    let is_several = accounts.len() > 1;
    let mut exits = Vec::new();
    let mut listed = Vec::new();
    for (account, tokens) in list_all(accounts).await {
        let error = match tokens {
            Ok(tokens) => {
                listed.push((account, tokens));
                continue;
            }
            Err(error) => RenewalError::Call(error),
        };
        if api.has_all_accounts() && is_without_access(&error) {
            listed.push((account, Vec::new()));
            continue;
        }
        let failure = account.explain(Failure::from(&error));
        if !is_several {
            return Err(failure);
        }
        exits.push(failure.exit);
        failure.about(&account.account_label()).show();
    }
    narrow(&mut listed, &arguments.tokens)?;
    // By the API's clock, which the listings show.
    let now = listed.iter().map(|(account, _)| account.tokens.now()).max();
    let now = now.unwrap_or_else(Utc::now);
    let shared = listed
        .iter()
        .flat_map(|(_, tokens)| select::shared_names(tokens));
    let shared: Vec<String> = shared.collect();
    let mut pages = Vec::new();
    let mut tokens: Vec<(&Connection, &ServiceToken, Decision)> = Vec::new();
    for (account, of_account) in &listed {
        let decided = of_account.iter();
        let decided = decided.map(|token| (account, token, policy.decide(token, now)));
        let decided: Vec<_> = decided.collect();
        pages.push(page::Report {
            account: match account.account_name() {
                Some(_) => account.account_label(),
                None => account.account_id().to_owned(),
            },
            time: now,
            listed_at: Some(now),
            next_pass: None,
            window: arguments.window.within,
            problem: None,
            tokens: decided
                .iter()
                .map(|(_, token, decision)| {
                    page::Token::new(token, policy.due_at(token), *decision)
                })
                .collect(),
        });
        tokens.extend(decided);
    }
    // Tokens that never expire come last, and an unknown expiry before them.
    tokens.sort_by_key(|(_, token, _)| {
        let never = token.never_expires();
        (
            never,
            token.expires_at.is_none(),
            token.expires_at,
            token.name.clone(),
        )
    });
    let mut listed_tokens = pages.iter().flat_map(|page| &page.tokens);
    let needs_attention = listed_tokens.any(|token| token.needs_attention(now));
    exits.extend(listed.iter().map(|_| Exit::Success));
    if arguments.check && needs_attention {
        exits.push(Exit::Failed);
    }
    let exit = Exit::of_accounts(&exits);
    let page = match &arguments.html {
        Some(file) => html::write(file, output, &pages),
        None => Ok(()),
    };
    // The page takes the place of the table, and stands beside JSON, which is written even
    // if the page can't be.
    if arguments.html.is_some() && output.is_table() {
        return page.map(|()| exit);
    }
    let records: Vec<_> = tokens
        .iter()
        .map(|(account, token, decision)| ReportRecord {
            account_id: account.account_id().to_owned(),
            account_name: account.account_name().map(str::to_owned),
            is_one_of_several: is_several,
            ..ReportRecord::new(token, *decision, &policy, now)
        })
        .collect();
    output.outcomes(&records, now)?;
    if output.is_table() && !output.quiet {
        output.line(&match (&listed[..], tokens.is_empty()) {
            ([(account, _)], true) => account.without_tokens(),
            (_, true) => "these accounts have no service tokens".to_owned(),
            (_, false) => format!(
                "\n{} (a token is due {} before it expires)",
                page::verdict_on_all(&pages),
                time::length(arguments.window.within)
            ),
        })?;
    }
    if !output.quiet {
        let shared = shared.into_iter().filter(|_| output.is_table());
        let clock = listed.iter().find_map(|(account, _)| account.clock_note());
        shared.chain(clock).for_each(output::remark);
    }
    page.map(|()| exit)
}

/// Lists the tokens of all accounts, in the order of the accounts.
async fn list_all(
    accounts: Vec<Connection>,
) -> Vec<(Connection, Result<Vec<ServiceToken>, Error>)> {
    let mut waiting = accounts.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut listed = BTreeMap::new();
    loop {
        while running.len() < MAX_ACCOUNTS
            && let Some((index, account)) = waiting.next()
        {
            running.spawn(async move {
                let tokens = Connection::all(account.tokens.list()).await;
                (index, (account, tokens))
            });
        }
        match running.join_next().await {
            Some(Ok((index, account))) => listed.insert(index, account),
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Nothing cancels it.
                Err(_) => continue,
            },
            None => return listed.into_values().collect(),
        };
    }
}

/// Leaves the tokens that the arguments name: all, if there are no arguments.
fn narrow(listed: &mut [(Connection, Vec<ServiceToken>)], asked: &[String]) -> Result<(), Failure> {
    if let [(account, tokens)] = listed {
        *tokens = select::narrow(account, std::mem::take(tokens), asked)?;
        return Ok(());
    }
    if asked.is_empty() {
        return Ok(());
    }
    let all = listed.iter().flat_map(|(_, tokens)| tokens.iter().cloned());
    let all: Vec<ServiceToken> = all.collect();
    let mut is_named = select::are_named("the accounts have", &all, asked)?.into_iter();
    for (_, tokens) in listed {
        tokens.retain(|_| is_named.next().unwrap_or_default());
    }
    Ok(())
}

/// A token, and what `renew` would do about it.
#[derive(Debug, Serialize)]
struct ReportRecord {
    account_id: String,
    account_name: Option<String>,
    #[serde(flatten)]
    token: TokenRecord,
    due_at: Option<DateTime<Utc>>,
    decision: &'static str,
    reason: &'static str,
    #[serde(skip)]
    is_one_of_several: bool,
}

impl ReportRecord {
    /// A token, without its account.
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
            account_id: String::new(),
            account_name: None,
            is_one_of_several: false,
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
    const COLUMNS: &'static [&'static str] = &[
        "EXPIRES",
        "ACCOUNT",
        "NAME",
        "ID",
        "STATE",
        "DUE",
        "LAST SEEN",
    ];
    const SPARE: &'static [&'static str] = &["DUE", "LAST SEEN", "ID"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let falls_due = self.token.state == State::Active || self.decision == "renew";
        let due = self.due_at.filter(|_| falls_due);
        vec![
            self.token.expiry_cell(now),
            match (&self.account_name, self.is_one_of_several) {
                // A column without any text is left out.
                (_, false) => Cell::plain(""),
                (Some(name), true) => Cell::name(Some(name)),
                (None, true) => Cell::id(Some(&self.account_id)),
            },
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
