//! `doctor`: checks what the renewals of an account depend on, and changes nothing.

mod configured;

use std::io::{self, Write};
use std::time::Duration;

use anstyle::AnsiColor;
use cf_service_tokens::renewal::{RenewalError, RenewalPolicy};
use cf_service_tokens::{ApiToken, ApiTokenStatus, Error, Organization, Response, ServiceToken};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::arguments::{Format, Global};
use crate::commands::verify::{App, Outcome};
use crate::config::{AccountRules, Config, ConfigFile};
use crate::connection::{Api, Connection};
use crate::failure::{Exit, Failure, is_without_access, with_command};
use crate::output::{self, Output};
use crate::records::State;
use crate::renew::Everywhere;
use crate::risk::{
    self, API_TOKEN_NOTICE, NEARLY_FULL, Neighbours, PATIENCE, QUOTA, Risk, Unknown,
};
use crate::secret::journal::Journal;
use crate::secret::reading;
use crate::time;

/// How far this machine's clock may be off.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);
/// Below which share of the requests the doctor warns: one in ten.
const FEW_REQUESTS: u32 = 10;
/// An id that no token has.
const NO_TOKEN: &str = "00000000-0000-0000-0000-000000000000";
/// The most tokens that a check names.
const MAX_NAMED: usize = 5;

/// The widths of the columns, and the least of what is said about a check.
const STATUS_WIDTH: usize = 9;
const CHECK_WIDTH: usize = 16;
const MIN_WIDTH: usize = 20;

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
  journal         its directory is safe, and nothing is left of an interrupted run
  app             Access protects each --url

Nothing is changed: to check the permission, the command asks to refresh a token that
does not exist. The checks of the organization and of usage need the permissions
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
    checks.extend(config.map(configured::of_file));
    checks.extend(of_journal(journal));
    for url in &arguments.url {
        checks.push(of_app(url, global.verbose > 0).await);
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
    let now = headers(&verified).and_then(reading::date_of);
    // An API token may belong to an account that is not known here, and a global key can't
    // be verified. What is refused says nothing about either.
    let api_token = verified.is_ok().then(|| {
        let explain = |failure| api.explain(failure);
        of_api_token(&verified, now.unwrap_or_else(Utc::now), explain)
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
    let api_token = of_api_token(&verified, connection.tokens.now(), explain);
    let is_over = api_token.status == Status::Failure;
    checks.push(api_token);
    if !is_over {
        match Connection::all(connection.tokens.list()).await {
            Ok(mut tokens) => {
                tokens.sort_by_key(|token| token.expires_at);
                checks.push(of_access(&tokens, config, may_be_unused));
                checks.push(of_permission(connection).await);
                checks.extend(headers(&verified).and_then(of_rate_limit));
                checks.extend(headers(&verified).and_then(of_clock));
                let neighbours = Neighbours::read(&connection.account, PATIENCE).await;
                let now = connection.tokens.now();
                let policy = rules.map(AccountRules::policy).unwrap_or_default();
                let window = rules.map_or(time::WINDOW, |rules| rules.within);
                checks.extend(of_tokens(
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

/// Returns the headers of the answer about the API token, whatever it says.
fn headers(verified: &Result<Response<ApiToken>, Error>) -> Option<&HeaderMap> {
    match verified {
        Ok(answer) => Some(answer.headers()),
        Err(error) => error.headers(),
    }
}

fn of_api_token(
    verified: &Result<Response<ApiToken>, Error>,
    now: DateTime<Utc>,
    explain: impl Fn(Failure) -> Failure,
) -> Check {
    const CHECK: &str = "api token";
    const NEW: &str = "create a new API token in the dashboard, under My Profile > API Tokens or \
                       Manage Account > Account API Tokens, and use it";
    let token = match verified {
        Ok(token) => token,
        // Only a global key can't be verified.
        Err(error) if error.is_configuration() => {
            let what = "the global API key does not expire, and can do whatever its user can";
            return Check::warning(CHECK, what).next(
                "use an API token whose only permission is \"Access: Service Tokens Write\"",
            );
        }
        Err(error) => {
            let failure = explain(Failure::from(error));
            // Another call shows whether the credentials work.
            return match failure.exit {
                _ if error.is_unauthenticated() => Check::failed(CHECK, failure)
                    .next(format!("check that it was copied as a whole, or {NEW}")),
                Exit::Credentials | Exit::Unreachable => Check::failed(CHECK, failure),
                _ => Check::unknown(CHECK, &Unknown::because(error)),
            };
        }
    };
    let distance = |at: DateTime<Utc>| time::distance_and_date(at, now);
    match (token.status, token.not_before, token.expires_on) {
        (Some(ApiTokenStatus::Disabled), ..) => Check::failure(CHECK, "it is disabled")
            .next("enable it in the dashboard, or use another one"),
        (Some(ApiTokenStatus::Expired), _, at) => {
            let at = at.map(|at| format!(" {}", distance(at)));
            let what = format!("it expired{}", at.unwrap_or_default());
            Check::failure(CHECK, what).next(NEW)
        }
        (_, Some(at), _) if at > now => Check::failure(
            CHECK,
            format!("it is not valid yet: it starts {}", distance(at)),
        )
        .next("wait until then, or use another one"),
        (_, _, Some(at)) if at - now <= API_TOKEN_NOTICE => {
            let what = format!(
                "it expires {}, after which no token can be renewed",
                distance(at)
            );
            Check::warning(CHECK, what).next(NEW)
        }
        (_, _, Some(at)) => Check::ok(CHECK, format!("it is valid, and expires {}", distance(at))),
        (_, _, None) => Check::ok(CHECK, "it is valid, and never expires"),
    }
}

fn of_access(tokens: &[ServiceToken], config: Option<&Config>, may_be_unused: bool) -> Check {
    let source = match config {
        Some(_) => "the id in the file",
        None => "--account or CLOUDFLARE_ACCOUNT_ID",
    };
    match tokens.len() {
        0 if may_be_unused => Check::ok("account", "it has no service tokens"),
        0 => Check::warning(
            "account",
            "it has no service tokens, or the API token sees none",
        )
        .next(format!("check that {source} names the right account")),
        1 => Check::ok("account", "the API token sees it and its service token"),
        count => Check::ok(
            "account",
            format!("the API token sees it and its {count} service tokens"),
        ),
    }
}

/// Checks the permission by a call that can't have an effect.
async fn of_permission(connection: &Connection) -> Check {
    const CHECK: &str = "permission";
    let Err(error) = connection.tokens.refresh(NO_TOKEN).await else {
        return Check::warning(
            CHECK,
            "unknown: the API refreshed a token that does not exist",
        );
    };
    match error.missing_permission() {
        _ if error.is_token_not_found() => Check::ok(CHECK, "the API token can change tokens"),
        Some(permission) => Check::failure(
            CHECK,
            format!("nothing can be renewed: this API token lacks the permission {permission:?}"),
        )
        .next("add the permission to it; `list`, `show` and `report` work without"),
        None => Check::unknown(CHECK, &Unknown::because(&error)),
    }
}

fn of_rate_limit(headers: &HeaderMap) -> Option<Check> {
    const CHECK: &str = "rate limit";
    let left = parameter(headers, "ratelimit", "r")?;
    let Some(quota) = parameter(headers, "ratelimit-policy", "q") else {
        return Some(Check::ok(CHECK, format!("{left} requests are left")));
    };
    let what = format!("{left} of {quota} requests are left");
    Some(match left < quota / FEW_REQUESTS {
        true => Check::warning(CHECK, what).next(
            "other programs share this limit; an API token that the account owns has its own",
        ),
        false => Check::ok(CHECK, what),
    })
}

/// Returns the smallest value of a parameter in a header such as `"default";r=50;t=30`.
fn parameter(headers: &HeaderMap, header: &str, name: &str) -> Option<u32> {
    let fields = headers.get_all(header).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    let parameters = fields.flat_map(|field| field.split([';', ',']));
    let values = parameters.filter_map(|parameter| {
        let value = parameter.trim().strip_prefix(name)?.strip_prefix('=')?;
        value.parse().ok()
    });
    values.min()
}

fn of_clock(headers: &HeaderMap) -> Option<Check> {
    const CHECK: &str = "clock";
    let ahead = Utc::now() - reading::date_of(headers)?;
    Some(match ahead.abs() > CLOCK_TOLERANCE {
        true => Check::warning(CHECK, time::clock_difference(ahead))
            .next("set it, by NTP for example; expiry goes by the API's clock"),
        false => Check::ok(CHECK, "this machine's clock agrees with the API's"),
    })
}

/// Checks the tokens, and what is known of the account beside them.
fn of_tokens(
    tokens: &[ServiceToken],
    neighbours: &Neighbours,
    policy: &RenewalPolicy,
    config: Option<&Config>,
    window: Duration,
    journal: Option<&Journal>,
    now: DateTime<Utc>,
) -> Vec<Check> {
    let risks: Vec<(&ServiceToken, Risk)> = tokens
        .iter()
        .flat_map(|token| {
            let decision = policy.decide(token, now);
            let state = State::decided(decision, token.expires_at, now);
            let risks = Risk::of(token, state, neighbours, journal, now);
            risks.into_iter().map(move |risk| (token, risk))
        })
        .collect();
    let mut checks = vec![
        of_expiry(&risks, config, window, now),
        of_quota(tokens.len()),
    ];
    match &neighbours.organization {
        Ok(organization) => {
            checks.push(of_authentication(organization));
            checks.push(of_clean_up(organization, &risks, now));
        }
        Err(unknown) => {
            checks.push(Check::unknown("authentication", unknown));
            checks.push(Check::unknown("clean-up", unknown));
        }
    }
    checks.push(of_usage(tokens, neighbours, &risks));
    checks
}

fn of_expiry(
    risks: &[(&ServiceToken, Risk)],
    config: Option<&Config>,
    window: Duration,
    now: DateTime<Utc>,
) -> Check {
    let window = time::length(window);
    let (renew, include_expired) = match config {
        Some(config) => {
            let file = output::quoted(&config.path.to_string_lossy());
            (format!("keep --config {file}"), "include_expired = true")
        }
        None => ("renew".to_owned(), "--include-expired"),
    };
    let expired = named(risks, |risk| matches!(risk, Risk::Expired { .. }));
    let due = named(risks, |risk| matches!(risk, Risk::Expires { .. }));
    let first = risks
        .iter()
        .filter(|(_, risk)| matches!(risk, Risk::Expires { .. }))
        .filter_map(|(_, risk)| risk.at())
        .min();
    let first = first.map(|at| format!(", the first {}", time::distance(at - now)));
    let first = first.unwrap_or_default();
    let expired = expired.map(|expired| format!("expired: {expired}"));
    let due = due.map(|due| format!("due: {due}{first}"));
    let parts: Vec<String> = expired.iter().chain(&due).cloned().collect();
    let what = parts.join("; ");
    match (expired, due) {
        (Some(_), _) => Check::failure("expiry", what).next(format!(
            "run `cf-service-tokens {renew}`, with {include_expired} for tokens that expired more \
             than {window} ago; disable or delete those that nobody needs"
        )),
        (None, Some(_)) => Check::warning("expiry", what).next(format!(
            "run `cf-service-tokens {renew}`, for example daily from cron"
        )),
        (None, None) => {
            let what = format!("no token has expired or is due within {window}");
            Check::ok("expiry", what)
        }
    }
}

fn of_quota(count: usize) -> Check {
    let what = format!("{count} of {QUOTA} tokens");
    match count {
        NEARLY_FULL.. => Check::warning("quota", what).next(
            "delete the tokens that nobody uses; Enterprise accounts may have a higher limit, \
             which the API does not report",
        ),
        _ => Check::ok("quota", what),
    }
}

fn of_authentication(organization: &Organization) -> Check {
    const CHECK: &str = "authentication";
    match organization.strict_service_token_auth {
        Some(true) => Check::ok(
            CHECK,
            "strict: an app answers 401 if a token can't authenticate, 403 if no policy allows it",
        ),
        _ => Check::warning(
            CHECK,
            "not strict: an app may answer an expired token with 403 or with a login page",
        )
        .next("turn on strict service token authentication in Zero Trust's settings"),
    }
}

fn of_clean_up(
    organization: &Organization,
    risks: &[(&ServiceToken, Risk)],
    now: DateTime<Utc>,
) -> Check {
    const CHECK: &str = "clean-up";
    let settings = organization.service_token_inactivity.as_ref();
    let Some(settings) = settings.filter(|settings| settings.enabled != Some(false)) else {
        return Check::ok(CHECK, "inactive tokens are left alone");
    };
    let done = risk::done_by(settings.action);
    let rule = match settings.inactivity_threshold_days {
        Some(days) => format!("tokens that are not used for {days} days are {done}"),
        None => format!("inactive tokens are {done}"),
    };
    let hit: Vec<String> = risks
        .iter()
        .filter(|(_, risk)| matches!(risk, Risk::CleanUp { .. }))
        .map(|(token, risk)| format!("{} {}", name(token), risk.words(now)))
        .collect();
    match hit.is_empty() {
        true => Check::ok(CHECK, format!("{rule}; none will be soon")),
        false => Check::warning(CHECK, format!("{rule}: {}", first_of(&hit, "; "))).next(
            "use the token, or add a rule that names it to a policy; a refresh does not protect \
             it, and neither does a group",
        ),
    }
}

fn of_usage(
    tokens: &[ServiceToken],
    neighbours: &Neighbours,
    risks: &[(&ServiceToken, Risk)],
) -> Check {
    const CHECK: &str = "usage";
    let usage = match &neighbours.usage {
        Ok(usage) => usage,
        Err(unknown) => return Check::unknown(CHECK, unknown),
    };
    if let Some(unread) = usage.unread().first() {
        return Check::unknown(CHECK, &Unknown::Permission(unread.permission));
    }
    match named(risks, |risk| *risk == Risk::Unused) {
        Some(unused) => Check::warning(CHECK, format!("no policy, group or app names {unused}"))
            .next("disable a token before you delete it, in case something still needs it"),
        None if neighbours.any_token_is_admitted() => Check::ok(
            CHECK,
            "a rule admits every valid service token of the account",
        ),
        None if tokens.is_empty() => Check::ok(CHECK, "there are no tokens"),
        None => Check::ok(CHECK, "a policy, group or app names each token"),
    }
}

/// Names the tokens with such a risk; `None` if there are none.
fn named(risks: &[(&ServiceToken, Risk)], is: impl Fn(&Risk) -> bool) -> Option<String> {
    let named = risks.iter().filter(|(_, risk)| is(risk));
    let named: Vec<String> = named.map(|(token, _)| name(token)).collect();
    (!named.is_empty()).then(|| first_of(&named, ", "))
}

fn name(token: &ServiceToken) -> String {
    let name = token.name.as_deref().filter(|name| !name.trim().is_empty());
    match name.or(token.id.as_deref()) {
        Some(name) => format!("{name:?}"),
        None => "a token without a name".to_owned(),
    }
}

/// Joins the first of these texts, and counts the others.
fn first_of(texts: &[String], separator: &str) -> String {
    let first = texts.iter().take(MAX_NAMED).cloned();
    let others = texts.len().saturating_sub(MAX_NAMED);
    let others = (others > 0).then(|| format!("and {others} more"));
    first.chain(others).collect::<Vec<_>>().join(separator)
}

fn of_journal(journal: Result<Journal, Failure>) -> Vec<Check> {
    const CHECK: &str = "journal";
    let journal = match journal {
        Ok(journal) => journal,
        Err(failure) => return vec![Check::failed(CHECK, failure)],
    };
    let mut checks = Vec::new();
    let mut left = 0;
    for record in journal.left_or_unreadable() {
        match record {
            Ok(_) => left += 1,
            Err(error) => checks.push(Check::failed(CHECK, journal.unusable(&error))),
        }
    }
    if left > 0 {
        let what = match left {
            1 => "a create or rotate was interrupted".to_owned(),
            count => format!("{count} creates or rotates were interrupted"),
        };
        let next = format!("`{}` says what to do", journal.command());
        checks.push(Check::warning(CHECK, what).next(next));
    }
    if checks.is_empty() {
        let directory = journal.directory().display();
        checks.push(match journal.directory().exists() {
            true => Check::ok(
                CHECK,
                format!("{directory} holds nothing of an interrupted run"),
            ),
            false => Check::ok(CHECK, format!("{directory} does not exist yet")),
        });
    }
    checks
}

/// Checks that Access protects an app.
async fn of_app(url: &Url, verbose: bool) -> Check {
    const CHECK: &str = "app";
    let answer = match App::new(url.clone(), HeaderMap::new(), verbose) {
        Ok(app) => app.without_token().await,
        Err(failure) => Err(failure),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(failure) => {
            let (what, next) = failure.in_one_line();
            return Check {
                next,
                ..Check::failure(CHECK, what)
            };
        }
    };
    // The rest of the URL may hold a secret.
    let host = url.host_str().unwrap_or_default();
    let status = answer.status.as_u16();
    match answer.before() {
        None => Check::ok(
            CHECK,
            format!("{host}: Access refuses a caller without a token (HTTP {status})"),
        ),
        Some((Outcome::NotProtected, meaning)) => {
            Check::failure(CHECK, format!("{host}: {meaning} (HTTP {status})"))
                .next("add an Access application for this URL in Zero Trust's settings")
        }
        Some((_, meaning)) => Check::new(
            CHECK,
            Status::Unknown,
            format!("{host}: unknown: {meaning} (HTTP {status})"),
        ),
    }
}

/// Shows the checks: a line for each, and one for what to do. If there are several accounts,
/// each has a heading.
fn show(output: &Output, checks: &[Check]) -> Result<(), Failure> {
    match output.format {
        Format::Json => return output.json(&checks),
        Format::Jsonl => {
            let mut lines = checks.iter();
            return lines.try_for_each(|check| output.json_line(check));
        }
        Format::Table => {}
    }
    let shown = checks
        .iter()
        .filter(|check| !output.quiet || check.status != Status::Ok);
    let mut accounts = checks.iter().filter_map(|check| check.account_id.as_ref());
    let first = accounts.next();
    let is_several = accounts.any(|account| Some(account) != first);
    output.write(|out, width| {
        let mut of = None;
        for check in shown {
            if is_several && of != Some(&check.account_id) {
                let first = if of.is_some() { "\n" } else { "" };
                writeln!(out, "{first}{}", check.heading())?;
                of = Some(&check.account_id);
            }
            check.write(out, width)?;
        }
        match output.quiet {
            true => Ok(()),
            false => writeln!(out, "\n{}", summary(checks)),
        }
    })
}

impl Check {
    /// Names the account that the check concerns, or else this machine.
    fn heading(&self) -> String {
        let label = match (&self.account_id, &self.account_name) {
            (Some(id), Some(name)) => format!("{} ({id})", output::bounded(name)),
            (Some(id), None) => format!("account {id}"),
            (None, _) => "this machine".to_owned(),
        };
        output::printable(&label)
    }

    /// Writes the check, broken into lines as wide as the terminal, if there is one.
    fn write(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let (word, color) = match self.status {
            Status::Ok => ("ok", AnsiColor::Green),
            Status::Warning => ("warning", AnsiColor::Yellow),
            Status::Failure => ("failure", AnsiColor::Red),
            Status::Unknown => ("unknown", AnsiColor::Yellow),
        };
        let style = color.on_default();
        let indent = STATUS_WIDTH + CHECK_WIDTH;
        let room = width.map_or(usize::MAX, |width| {
            width.saturating_sub(indent).max(MIN_WIDTH)
        });
        let head = format!(
            "{style}{word:STATUS_WIDTH$}{style:#}{:CHECK_WIDTH$}",
            self.check
        );
        let next = self.next.iter().map(|next| format!("next: {next}"));
        let texts = std::iter::once(self.what.clone()).chain(next);
        let lines = texts.flat_map(|text| wrapped(&output::printable(&text), room));
        let heads = std::iter::once(head).chain(std::iter::repeat(" ".repeat(indent)));
        for (head, line) in heads.zip(lines) {
            writeln!(out, "{head}{line}")?;
        }
        Ok(())
    }
}

/// Breaks a text between its words, into lines of this width if no word is wider.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Counts the checks by their status.
fn summary(checks: &[Check]) -> String {
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let counts = [
        (Status::Failure, "failure", "failures"),
        (Status::Warning, "warning", "warnings"),
        (Status::Unknown, "unknown", "unknown"),
        (Status::Ok, "ok", "ok"),
    ];
    let counts = counts.map(|(status, one, several)| match count(status) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {several}")),
    });
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_counts() {
        let mut headers = HeaderMap::new();
        let limits = r#""burst";r=50;t=30, "default"; r=9 ;t=30"#;
        headers.append("ratelimit", limits.parse().unwrap());
        assert_eq!(parameter(&headers, "ratelimit", "r"), Some(9));
        assert_eq!(parameter(&headers, "ratelimit", "q"), None);
        assert_eq!(parameter(&headers, "ratelimit-policy", "q"), None);
        headers.insert("ratelimit", "r, r=, r=-1".parse().unwrap());
        assert_eq!(parameter(&headers, "ratelimit", "r"), None);
    }

    #[test]
    fn the_limits_of_a_check_are_warned_of() {
        for (count, status) in [(0, Status::Ok), (44, Status::Ok), (45, Status::Warning)] {
            assert_eq!(of_quota(count).status, status, "{count}");
        }
        for (left, status) in [("119", Status::Warning), ("120", Status::Ok)] {
            let mut headers = HeaderMap::new();
            let policy = r#""default";q=1200;w=300"#;
            headers.insert("ratelimit-policy", policy.parse().unwrap());
            let limit = format!("\"default\";r={left};t=30");
            headers.insert("ratelimit", limit.parse().unwrap());
            assert_eq!(of_rate_limit(&headers).unwrap().status, status, "{left}");
        }
    }

    #[test]
    fn a_text_is_broken_between_words() {
        let lines = wrapped("one two three-four five", 9);
        assert_eq!(lines, ["one two", "three-four", "five"]);
        assert_eq!(wrapped("", 9), [""]);
        assert_eq!(wrapped("one two", usize::MAX), ["one two"]);
    }

    #[test]
    fn many_tokens_are_counted() {
        let names: Vec<String> = (1..=7).map(|number| number.to_string()).collect();
        assert_eq!(first_of(&names[..5], ", "), "1, 2, 3, 4, 5");
        assert_eq!(first_of(&names, ", "), "1, 2, 3, 4, 5, and 2 more");
    }
}
