//! `doctor`: checks what the renewals of an account depend on, and changes nothing.

mod access;
mod configured;
mod machine;
mod show;
mod tokens;

use cf_service_tokens::renewal::RenewalError;
use chrono::Utc;
use clap::Args;
use reqwest::Url;
use serde::Serialize;

use self::show::show;
use crate::arguments::Global;
use crate::config::{AccountRules, Config, ConfigFile};
use crate::connection::{Api, Connection};
use crate::failure::{Exit, Failure, is_without_access, with_command};
use crate::output::Output;
use crate::renew::Everywhere;
use crate::risk::{Neighbours, PATIENCE, Unknown};
use crate::secret::journal::Journal;
use crate::secret::reading;
use crate::time;

#[derive(Args, Debug)]
#[command(after_long_help = "\
Checks of the account:
  api token       the API token is valid, and for how long
  account         the API token sees the account and its service tokens
  permission      the API token can change service tokens
  rate limit      requests are left to the API token
  clock           this machine's clock agrees with the API's
  expiry          no token has expired or is due within 30 days, or the file's window
  quota           the account has room for more tokens
  authentication  apps answer 401 to a token that can't authenticate
  clean-up        no token is about to be disabled or deleted as inactive
  usage           a policy, group or app names each token
  count           with --config, the account has the tokens that the file expects
  rules           with --config, each rule of the file names one token

Checks of this machine:
  configuration   with --config, the file has no mistake, and nobody else can write it
  sink            with --config, each secret_to can take a secret
  hook            with --config, the programs of then and on_failure can be run
  ping            with --config, ping_file or ping_env holds an https URL
  journal         its directory is safe, nothing is left of an interrupted run, and, if the
                  file has rotation rules, it can be written and survives a restart
  app             Access protects each --url

Nothing is changed, delivered, run or pinged. To check the permission, the command asks to
refresh a token that does not exist. To check a file, it creates an empty one beside it,
and removes it again. The checks of the organization and of usage need the permissions
\"Access: Organizations, Identity Providers, and Groups Read\" and \"Access: Apps and
Policies Read\"; without them, the result is unknown.

If the check of the API token or of the account fails, those that depend on it are left
out. The exit code is 1 if a check failed, and 4 if the API is unreachable. A warning or an
unknown result does not change it.

Examples:
  cf-service-tokens doctor --url https://app.example.com
  cf-service-tokens doctor --all-accounts --quiet
  cf-service-tokens doctor --config /etc/keep.toml
  cf-service-tokens doctor -o json | jq '.[] | select(.status != \"ok\")'")]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) everywhere: Everywhere,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Check that Access protects the app at this URL; may be repeated
    #[arg(long, value_name = "URL", value_parser = app_url)]
    pub(crate) url: Vec<Url>,
}

fn app_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|_| "not a complete URL; use one such as https://app.example.com".to_owned())?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("the URL must begin with https://".to_owned()),
    }
}

pub(crate) async fn doctor(
    api: &Api,
    config: Option<&Config>,
    global: &Global,
    journal: Result<Journal, Failure>,
    output: &Output,
    arguments: &Doctor,
) -> Result<Exit, Failure> {
    let mut checks = Vec::new();
    let accounts = match api.accounts().await {
        Err(failure) if api.has_all_accounts() => {
            checks = without_accounts(api, failure).await;
            Vec::new()
        }
        accounts => accounts?,
    };
    for account in &accounts {
        let may_be_unused = api.has_all_accounts();
        checks.extend(of_account(account, config, may_be_unused, journal.as_ref().ok()).await);
    }
    checks.extend(configured::without_credentials(api));
    if let Some(config) = config {
        checks.push(configured::of_file(config));
        checks.extend(configured::of_machine(config, journal.as_ref().ok()));
    }
    checks.extend(machine::of_journal(
        journal,
        config.is_some_and(Config::rotates),
    ));
    for url in &arguments.url {
        checks.push(machine::of_app(url, global.verbose > 0).await);
    }
    show(output, &checks)?;
    let mut failures = checks.iter().filter_map(|check| check.failure);
    Ok(
        match failures.clone().any(|exit| exit == Exit::Unreachable) {
            true => Exit::Unreachable,
            false if failures.next().is_some() => Exit::Failed,
            false => Exit::Success,
        },
    )
}

/// The result of a check.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Check {
    /// The account that the check is about; null if it is about this machine.
    account_id: Option<String>,
    account_name: Option<String>,
    check: &'static str,
    status: Status,
    /// The finding, in a sentence.
    what: String,
    /// The advice, if there is any.
    next: Option<String>,
    /// The exit code of a failure.
    #[serde(skip)]
    failure: Option<Exit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Ok,
    Warning,
    Failure,
    Unknown,
}

impl Check {
    fn new(check: &'static str, status: Status, what: impl Into<String>) -> Self {
        Self {
            account_id: None,
            account_name: None,
            check,
            status,
            what: what.into(),
            next: None,
            failure: (status == Status::Failure).then_some(Exit::Failed),
        }
    }

    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, what)
    }

    fn warning(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Status::Warning, what)
    }

    fn failure(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Status::Failure, what)
    }

    /// A check that could not be made.
    fn unknown(check: &'static str, why: &Unknown) -> Self {
        let next = match why {
            Unknown::Permission(_) => "add the permission to the API token to make this check",
            Unknown::Failed(_) => "try again later; -v shows each request",
        };
        Self::new(check, Status::Unknown, format!("unknown: {why}")).next(next)
    }

    /// A check that a call failed.
    fn failed(check: &'static str, failure: Failure) -> Self {
        let exit = failure.exit;
        let (what, next) = failure.in_one_line();
        Self {
            next,
            failure: Some(match exit {
                Exit::Unreachable => exit,
                _ => Exit::Failed,
            }),
            ..Self::failure(check, what)
        }
    }

    fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// Checks what may be the cause when the accounts can't be listed.
async fn without_accounts(api: &Api, failure: Failure) -> Vec<Check> {
    let verified = api.verify_api_token().await;
    let now = access::headers(&verified).and_then(reading::date_of);
    // An API token may belong to an account that is not known here, and a global key can't
    // be verified. What is refused says nothing about either.
    let api_token = verified.is_ok().then(|| {
        let explain = |failure| api.explain(failure);
        access::of_api_token(&verified, now.unwrap_or_else(Utc::now), explain)
    });
    match api_token {
        Some(check) if check.status == Status::Failure => vec![check],
        check => {
            let listing = Check::failed("account", failure);
            check.into_iter().chain([listing]).collect()
        }
    }
}

/// Checks an account. What the API refuses or can't answer ends the checks that depend on
/// it.
async fn of_account(
    connection: &Connection,
    config: Option<&Config>,
    may_be_unused: bool,
    journal: Option<&Journal>,
) -> Vec<Check> {
    let rules = config.and_then(|config| config.rules(connection.account_id()));
    let mut checks = Vec::new();
    let verified = connection.account.verify_api_token().await;
    let explain = |failure| connection.explain(failure);
    let api_token = access::of_api_token(&verified, connection.tokens.now(), explain);
    let is_over = api_token.status == Status::Failure;
    checks.push(api_token);
    if !is_over {
        match Connection::all(connection.tokens.list()).await {
            Ok(mut tokens) => {
                tokens.sort_by_key(|token| token.expires_at);
                checks.push(access::of_access(&tokens, config, may_be_unused));
                checks.push(access::of_permission(connection).await);
                checks.extend(access::headers(&verified).and_then(access::of_rate_limit));
                checks.extend(access::headers(&verified).and_then(access::of_clock));
                let neighbours = Neighbours::read(&connection.account, PATIENCE).await;
                let now = connection.tokens.now();
                let policy = rules.map(AccountRules::policy).unwrap_or_default();
                let window = rules.map_or(time::WINDOW, |rules| rules.within);
                checks.extend(tokens::of_tokens(
                    &tokens,
                    &neighbours,
                    &policy,
                    config,
                    window,
                    journal,
                    now,
                ));
                checks.extend(rules.and_then(|rules| configured::of_count(rules, tokens.len())));
                checks.extend(rules.and_then(|rules| configured::of_rules(rules, &tokens)));
            }
            Err(error) => {
                let error = RenewalError::Call(error);
                checks.push(match may_be_unused && is_without_access(&error) {
                    true => Check::ok(
                        "account",
                        "Access is not enabled, so there is nothing to do",
                    ),
                    false => Check::failed("account", connection.explain(Failure::from(&error))),
                });
            }
        }
    }
    for check in &mut checks {
        check.account_id = Some(connection.account_id().to_owned());
        check.account_name = connection.account_name().map(str::to_owned);
        if let (Some(next), Some(command)) = (&mut check.next, connection.command()) {
            *next = with_command(next, command);
        }
    }
    checks
}
