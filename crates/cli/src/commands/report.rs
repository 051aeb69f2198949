//! `report`: upcoming expirations, and the tokens due within the window.

mod html;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cf_service_tokens::renewal::{Decision, RenewalError, RenewalPolicy};
use cf_service_tokens::{Account, ServiceToken};
use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::commands::select;
use crate::config::{AccountRules, Config, ConfigFile};
use crate::connection::{Api, Connection};
use crate::failure::{Exit, Failure, is_without_access, with_causes};
use crate::output::{self, Cell, Output, Record};
use crate::records::{State, TokenRecord};
use crate::renew::{Everywhere, Window};
use crate::risk::{self, Neighbours, PATIENCE, Risk, RiskRecord};
use crate::secret::journal::Journal;
use crate::serve::page;
use crate::time;

#[derive(Args, Debug)]
#[command(after_long_help = "\
The column RISK has the worst risk other than expiry, such as the clean-up of inactive
tokens. To find the risks, the command reads the organization's settings, and the policies,
groups and apps that use tokens. This needs the permissions \"Access: Organizations,
Identity Providers, and Groups Read\" and \"Access: Apps and Policies Read\"; without one, a
note says what is unknown.

Examples:
  cf-service-tokens report --within 14d
  cf-service-tokens report --all-accounts
  cf-service-tokens report --config /etc/keep.toml
  cf-service-tokens report --html /var/www/tokens.html
  cf-service-tokens report --check --quiet")]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) everywhere: Everywhere,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Only these tokens: their names, ids, beginnings of ids, or client ids
    #[arg(value_name = "TOKEN")]
    pub(crate) tokens: Vec<String>,
    #[command(flatten)]
    pub(crate) window: Window,
    /// Write the report as an HTML page to this file, or to standard output for `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Exit with 1 if a token is due or has expired, or if an account has fewer tokens than
    /// the configuration file expects
    #[arg(long)]
    pub(crate) check: bool,
}

/// How many accounts are asked about at the same time.
const MAX_ACCOUNTS: usize = 16;

pub(crate) async fn report(
    api: &Api,
    config: Option<&Config>,
    journal: Option<&Journal>,
    output: &Output,
    arguments: &Report,
) -> Result<Exit, Failure> {
    if let Some(file) = &arguments.html {
        html::check(file, output)?;
    }
    let rules = |id: &str| config?.rules(id);
    let window = |id: &str| {
        let within = arguments.window.within;
        let of_file = rules(id).map(|rules| rules.within);
        within.or(of_file).unwrap_or(time::WINDOW)
    };
    let policy = |id: &str| {
        let policy = rules(id).map(AccountRules::policy).unwrap_or_default();
        policy.window(window(id))
    };
    let accounts = api.accounts().await?;
    let without_credentials = api.failures();
    let is_several = accounts.len() + without_credentials.len() > 1;
    let mut exits = Vec::new();
    let mut listed = Vec::new();
    let mut may_have_risks = Vec::new();
    let mut unlisted = Vec::new();
    for (id, name, failure) in without_credentials {
        exits.push(failure.exit);
        failure.show();
        unlisted.push(Unlisted {
            account: format!("{name} ({id})"),
            window: window(id),
            error: failure.in_one_line().0,
        });
    }
    let lists = of_each(accounts, |account| async move {
        let tokens = Connection::all(account.tokens.list()).await;
        (account, tokens)
    });
    for (account, tokens) in lists.await {
        let error = match tokens {
            Ok(tokens) => {
                may_have_risks.push(true);
                listed.push((account, tokens));
                continue;
            }
            Err(error) => RenewalError::Call(error),
        };
        if api.has_all_accounts() && is_without_access(&error) {
            may_have_risks.push(false);
            listed.push((account, Vec::new()));
            continue;
        }
        let failure = account.explain(Failure::from(&error));
        if !is_several {
            return Err(failure);
        }
        exits.push(failure.exit);
        let failure = failure.about(&account.account_label());
        failure.show();
        unlisted.push(Unlisted {
            account: label(&account),
            window: window(account.account_id()),
            error: with_causes(&error),
        });
    }
    // By the API's clock, which the listings show.
    let now = listed.iter().map(|(account, _)| account.tokens.now()).max();
    let now = now.unwrap_or_else(Utc::now);
    // The other reads may use up the rate limit, so they come last.
    let asked: Vec<_> = listed
        .iter()
        .zip(may_have_risks)
        .map(|((account, _), may_have_risks)| may_have_risks.then(|| account.account.clone()))
        .collect();
    let expiries = api_token_expiries(&listed, &asked).await;
    let neighbours = of_each(asked, |account| async move {
        Some(Neighbours::read(&account?, PATIENCE).await)
    });
    let neighbours: Vec<Option<Neighbours>> = neighbours.await;
    let notes = notes(&listed, &neighbours, &expiries, now);
    let mut is_short = false;
    for (account, tokens) in &listed {
        let rules = rules(account.account_id());
        if let Some(failure) = rules.and_then(|rules| rules.missing(tokens.len())) {
            is_short = true;
            failure.about(&account.account_label()).show();
        }
    }
    narrow(&mut listed, &arguments.tokens)?;
    let shared = listed
        .iter()
        .flat_map(|(_, tokens)| select::shared_names(tokens));
    let shared: Vec<String> = shared.collect();
    let mut pages = Vec::new();
    let mut tokens: Vec<(&Connection, &ServiceToken, Decision, Vec<Risk>)> = Vec::new();
    let known = neighbours.iter().zip(&expiries);
    for ((account, of_account), (neighbours, api_token_expires_at)) in listed.iter().zip(known) {
        let policy = policy(account.account_id());
        let decided = of_account.iter().map(|token| {
            let decision = policy.decide(token, now);
            let risks = neighbours.as_ref().map(|neighbours| {
                let state = State::decided(decision, token.expires_at, now);
                Risk::of(token, state, neighbours, journal, now)
            });
            (account, token, decision, risks.unwrap_or_default())
        });
        let decided: Vec<_> = decided.collect();
        pages.push(page::Report {
            account: label(account),
            time: now,
            listed_at: Some(now),
            next_pass: None,
            window: window(account.account_id()),
            problem: None,
            note: risk::note_of_account(of_account.len(), *api_token_expires_at, now),
            tokens: decided
                .iter()
                .map(|(_, token, decision, risks)| {
                    let token = page::Token::new(token, policy.due_at(token), *decision);
                    Arc::new(token.at(risks.clone()))
                })
                .collect(),
            unlisted: 0,
        });
        tokens.extend(decided);
    }
    // A page without them would look as if all was well.
    pages.extend(unlisted.iter().map(|unlisted| page::Report {
        account: unlisted.account.clone(),
        time: now,
        listed_at: None,
        next_pass: None,
        window: unlisted.window,
        problem: Some(format!(
            "The tokens could not be listed: {}",
            unlisted.error
        )),
        note: None,
        tokens: Vec::new(),
        unlisted: 0,
    }));
    // Tokens that never expire come last, and an unknown expiry before them.
    tokens.sort_by_key(|(_, token, ..)| {
        let never = token.never_expires();
        (
            never,
            token.expires_at.is_none(),
            token.expires_at,
            token.name.clone(),
        )
    });
    let mut listed_tokens = pages.iter().flat_map(|page| &page.tokens);
    let needs_attention = listed_tokens.any(|token| token.state(now).needs_attention());
    exits.extend(listed.iter().map(|_| Exit::Success));
    if arguments.check && (needs_attention || is_short) {
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
        .map(|(account, token, decision, risks)| ReportRecord {
            account_id: account.account_id().to_owned(),
            account_name: account.account_name().map(str::to_owned),
            is_one_of_several: is_several,
            risks: RiskRecord::of_all(risks, now),
            of_risks: risks.clone(),
            ..ReportRecord::new(token, *decision, &policy(account.account_id()), now)
        })
        .collect();
    output.outcomes(&records, now)?;
    if output.is_table() && !output.quiet {
        output.line(&match (&listed[..], tokens.is_empty()) {
            ([(account, _)], true) if !is_several => account.without_tokens(),
            (_, true) => page::unlisted(unlisted.len())
                .unwrap_or_else(|| "these accounts have no service tokens".to_owned()),
            (_, false) => {
                let when = match page::common_window(&pages) {
                    Some(window) => format!("{} before it expires", time::length(window)),
                    None => "within the window of its account".to_owned(),
                };
                format!("\n{} (a token is due {when})", page::verdict_on_all(&pages))
            }
        })?;
    }
    if !output.quiet {
        let shared = shared.into_iter().filter(|_| output.is_table());
        let clock = listed.iter().find_map(|(account, _)| account.clock_note());
        shared.chain(clock).chain(notes).for_each(output::remark);
    }
    page.map(|()| exit)
}

/// An account whose tokens are unknown.
struct Unlisted {
    account: String,
    window: Duration,
    error: String,
}

/// Names an account on a page.
fn label(account: &Connection) -> String {
    match account.account_name() {
        Some(_) => account.account_label(),
        None => account.account_id().to_owned(),
    }
}

/// Asks when the API token of each account expires, once for each API token.
async fn api_token_expiries(
    listed: &[(Connection, Vec<ServiceToken>)],
    asked: &[Option<Account>],
) -> Vec<Option<DateTime<Utc>>> {
    let mut expiries: Vec<Option<DateTime<Utc>>> = Vec::new();
    let mut known: Vec<(&Connection, Option<DateTime<Utc>>)> = Vec::new();
    for ((connection, _), account) in listed.iter().zip(asked) {
        let mut same = known.iter();
        let same = same.find(|(other, _)| other.has_credentials_of(connection));
        expiries.push(match (same, account) {
            (Some((_, expiry)), _) => *expiry,
            (None, Some(account)) => {
                let expiry = risk::api_token_expiry(account, PATIENCE).await;
                let expiry = expiry.ok().flatten();
                known.push((connection, expiry));
                expiry
            }
            (None, None) => None,
        });
    }
    expiries
}

/// Returns notes about what may end all tokens of an account, and about what is unknown,
/// each once.
fn notes(
    listed: &[(Connection, Vec<ServiceToken>)],
    neighbours: &[Option<Neighbours>],
    expiries: &[Option<DateTime<Utc>>],
    now: DateTime<Utc>,
) -> Vec<String> {
    let mut accounts = listed.iter().map(|(account, _)| account);
    let first = accounts.next();
    let is_one_api_token =
        first.is_none_or(|first| accounts.all(|account| account.has_credentials_of(first)));
    let of_all = expiries
        .iter()
        .flatten()
        .next()
        .filter(|_| is_one_api_token);
    let mut notes = risk::notes_of_account(0, of_all.copied(), now);
    for ((account, tokens), expiry) in listed.iter().zip(expiries) {
        let expiry = expiry.filter(|_| !is_one_api_token);
        let of_account = risk::notes_of_account(tokens.len(), expiry, now).into_iter();
        notes.extend(of_account.map(|note| match listed.len() {
            1 => note,
            _ => format!("{}: {note}", account.account_label()),
        }));
    }
    // The accounts of one API token mostly lack the same.
    let unknown: Vec<String> = neighbours
        .iter()
        .flatten()
        .filter_map(Neighbours::why_unknown)
        .collect();
    if let Some(why) = unknown.first() {
        let accounts = match (listed.len(), unknown.len()) {
            (1, _) => String::new(),
            (_, 1) => " in 1 account".to_owned(),
            (_, count) => format!(" in {count} accounts"),
        };
        notes.push(format!("some risks are unknown{accounts}: {why}"));
    }
    notes
}

/// Asks something about each of these, a few at the same time, and returns the answers in
/// their order.
async fn of_each<I, T: Send + 'static, F>(each: Vec<I>, ask: impl Fn(I) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let mut waiting = each.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut answers = BTreeMap::new();
    loop {
        while running.len() < MAX_ACCOUNTS
            && let Some((index, one)) = waiting.next()
        {
            let answer = ask(one);
            running.spawn(async move { (index, answer.await) });
        }
        match running.join_next().await {
            Some(Ok((index, answer))) => answers.insert(index, answer),
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Nothing cancels it.
                Err(_) => continue,
            },
            None => return answers.into_values().collect(),
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ReportRecord {
    account_id: String,
    account_name: Option<String>,
    #[serde(flatten)]
    token: TokenRecord,
    due_at: Option<DateTime<Utc>>,
    decision: &'static str,
    reason: &'static str,
    risks: Vec<RiskRecord>,
    #[serde(skip)]
    of_risks: Vec<Risk>,
    #[serde(skip)]
    is_one_of_several: bool,
}

impl ReportRecord {
    /// A token, without its account and its risks.
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
            risks: Vec::new(),
            of_risks: Vec::new(),
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
        "RISK",
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
            Risk::cell(&self.of_risks, now),
            Cell::maybe(due.map(|at| match at <= now {
                true => "now".to_owned(),
                false => time::distance(at - now),
            })),
            self.token.last_seen_cell(now),
        ]
    }

    fn is_news(&self) -> bool {
        let mut risks = self.of_risks.iter();
        self.token.state.needs_attention() || risks.any(Risk::needs_attention)
    }
}
