//! The accounts that a command works on: real ones, or simulated ones.

pub(crate) mod account_id;
mod configured;
mod credentials;

use std::collections::BTreeSet;
use std::env;
use std::sync::Arc;
use std::time::Duration;

use cf_service_tokens::{
    Account, ApiToken, Client, ClientBuilder, Credentials, Error, ErrorKind, Event,
    ListServiceTokens, Response, Retry, ServiceToken, ServiceTokens,
};
use cf_service_tokens_simulator::{SeedAccount, Simulator};
use chrono::{TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use self::configured::Configured;
use self::credentials::{Source, has_credentials, is_set};
use crate::arguments::Global;
use crate::config::Config;
use crate::failure::{Exit, Failure, Permission};
use crate::output::bounded;
use crate::time;

pub(crate) use self::credentials::is_unexpanded;

const SIMULATE: &str = "cf-service-tokens --simulate";
const ACCOUNT_ID: &str = "CLOUDFLARE_ACCOUNT_ID";
const API_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
const API_TOKEN_FILE: &str = "CLOUDFLARE_API_TOKEN_FILE";
const API_KEY: &str = "CLOUDFLARE_API_KEY";
const EMAIL: &str = "CLOUDFLARE_EMAIL";

/// The API, as the command calls it with one set of credentials, or with those of each
/// account of a configuration file.
#[derive(Clone)]
pub(crate) struct Api {
    /// The client of the accounts without one of their own.
    client: Client,
    accounts: Accounts,
    simulator: Option<Arc<Simulator>>,
    credentials: Source,
    /// The API token, unless the SDK reads the credentials.
    api_token: Option<SecretString>,
    /// The permission that the command needs.
    needs: Permission,
    /// The deadline of a call, if the arguments set one.
    deadline: Option<Duration>,
}

/// The accounts whose tokens a command works on.
#[derive(Clone)]
enum Accounts {
    /// The accounts of `--account`, one or more.
    Named(Vec<String>),
    /// The one of the environment, or of the simulator.
    Default,
    /// All those that the credentials see.
    All,
    /// Those of a configuration file.
    Configured(Configured),
}

/// The tokens of one account, and the simulator that has them, if any. Clones are the
/// same account.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) tokens: ServiceTokens,
    /// The account, for calls about other things than its tokens.
    pub(crate) account: Account,
    pub(crate) simulator: Option<Arc<Simulator>>,
    /// The name of the account, if it is known.
    name: Option<String>,
    /// Where the account's id comes from.
    account_source: String,
    /// The beginning of another command that works on the same account.
    command: Option<String>,
    /// The credentials, as a refusal names them.
    credentials: String,
    needs: Permission,
    deadline: Option<Duration>,
}

impl Api {
    /// Sets up a client from the arguments and the environment, which calls `on_event`.
    /// Sends nothing.
    pub(crate) async fn open(
        global: &Global,
        all_accounts: bool,
        retry: Retry,
        needs: Permission,
        on_event: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let accounts = Accounts::asked(global, all_accounts)?;
        if global.simulate {
            return Self::simulated(accounts, global.deadline, needs, on_event).await;
        }
        let credentials = Source::named(global)?;
        let api_token = credentials.read(global.quiet)?;
        accounts.require_form()?;
        let mut builder = builder(global, retry, on_event);
        if let Some(token) = &api_token {
            builder = builder.api_token(token.clone());
        }
        // The variable holds one account, which the options replace.
        if let Accounts::Named(ids) = &accounts
            && let Some(id) = ids.first()
        {
            builder = builder.account_id(id);
        }
        Ok(Self {
            client: builder.build().map_err(|error| unusable(&error))?,
            accounts,
            simulator: None,
            credentials,
            api_token,
            needs,
            deadline: global.deadline,
        })
    }

    /// Sets up a client for each API token of a configuration file. Sends nothing.
    ///
    /// # Errors
    ///
    /// If no account has usable credentials. [`Api::failures`] returns the accounts that have
    /// none.
    pub(crate) fn configured(
        config: &Config,
        global: &Global,
        retry: Retry,
        needs: Permission,
        on_event: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let on_event = Arc::new(on_event);
        let (configured, client) = Configured::open(config, global, || {
            let on_event = Arc::clone(&on_event);
            let builder = builder(global, retry.clone(), move |event: &Event<'_>| {
                on_event(event)
            });
            // The variable holds one account, which the file replaces.
            let first = config.accounts.first();
            first
                .into_iter()
                .fold(builder, |builder, account| builder.account_id(&account.id))
        })?;
        Ok(Self {
            client,
            accounts: Accounts::Configured(configured),
            simulator: None,
            credentials: Source::Environment,
            api_token: None,
            needs,
            deadline: global.deadline,
        })
    }

    /// Starts a simulator whose accounts have the ids that were asked for.
    async fn simulated(
        accounts: Accounts,
        deadline: Option<Duration>,
        needs: Permission,
        on_event: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let mut builder = Simulator::builder().believable_account();
        if let Accounts::Named(ids) = &accounts
            && let Some((first, others)) = ids.split_first()
        {
            builder = builder.account_id(first);
            for id in others {
                builder = builder.account(SeedAccount::new(id));
            }
        }
        let simulator = builder
            .start()
            .await
            .map_err(|error| Failure::usage("could not simulate an account").because(error))?;
        let builder = Client::builder()
            .base_url(simulator.base_url())
            .api_token(simulator.api_token())
            .account_id(simulator.account_id())
            .on_event(on_event);
        let builder = match deadline {
            Some(deadline) => builder.deadline(deadline),
            None => builder,
        };
        Ok(Self {
            client: builder.build().map_err(|error| unusable(&error))?,
            accounts,
            simulator: Some(Arc::new(simulator)),
            credentials: Source::Simulator,
            api_token: None,
            needs,
            deadline: None,
        })
    }

    /// Returns the account of a command that works on one.
    pub(crate) fn account(&self) -> Result<Connection, Failure> {
        if let Accounts::Named(ids) = &self.accounts
            && let [id] = &ids[..]
        {
            return self.named(id);
        }
        if let Accounts::Default = &self.accounts {
            return self.default_account();
        }
        let what = "this command works on one account, but several are given";
        Err(Failure::usage(what).next(
            "run it once for each --account; `renew`, `report` and `doctor` take several, or --all-accounts",
        ))
    }

    /// Returns the accounts of a command that works on one or more. Only the ids of all
    /// accounts have to be requested.
    pub(crate) async fn accounts(&self) -> Result<Vec<Connection>, Failure> {
        match &self.accounts {
            Accounts::Default => Ok(vec![self.default_account()?]),
            Accounts::Named(ids) => ids.iter().map(|id| self.named(id)).collect(),
            Accounts::All => self.all_accounts().await,
            Accounts::Configured(configured) => self.configured_accounts(configured),
        }
    }

    /// Returns the accounts of the configuration file without usable credentials, which
    /// [`Api::accounts`] leaves out: the id, the name, and the reason.
    pub(crate) fn failures(&self) -> Vec<(&str, &str, Failure)> {
        match &self.accounts {
            Accounts::Configured(configured) => {
                let failures = configured.failures();
                failures
                    .map(|(account, failure)| (&*account.id, &*account.name, failure))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether a file may hold another API token later.
    pub(crate) fn reads_file(&self) -> bool {
        match &self.accounts {
            Accounts::Configured(configured) => {
                let mut accounts = configured.accounts.iter();
                accounts.any(|account| account.source.is_file())
            }
            _ => self.credentials.is_file(),
        }
    }

    /// Whether an account of the configuration file has no usable API token in its file.
    pub(crate) fn lacks_token_of_file(&self) -> bool {
        match &self.accounts {
            Accounts::Configured(configured) => {
                let mut failures = configured.failures();
                failures.any(|(account, _)| account.source.is_file())
            }
            _ => false,
        }
    }

    /// Whether the command works on all accounts that the credentials see.
    pub(crate) fn has_all_accounts(&self) -> bool {
        matches!(self.accounts, Accounts::All)
    }

    /// Asks for the status of the API token, whatever its accounts.
    pub(crate) async fn verify_api_token(&self) -> Result<Response<ApiToken>, Error> {
        self.client.verify_api_token().await
    }

    /// Makes the commands that a failure advises work on the same accounts.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        match (&self.simulator, &self.accounts) {
            (Some(_), _) => failure.with_command(SIMULATE),
            (None, Accounts::Named(ids)) if ids.len() == 1 => {
                failure.with_command(&format!("cf-service-tokens --account {}", ids[0]))
            }
            (None, _) => failure,
        }
    }

    fn configured_accounts(&self, configured: &Configured) -> Result<Vec<Connection>, Failure> {
        let mut connections = Vec::new();
        for account in &configured.accounts {
            let Some(client) = account.client() else {
                continue;
            };
            let of_client = client
                .account(&account.id)
                .map_err(|error| unusable(&error))?;
            connections.push(Connection {
                account_source: configured.origin(),
                credentials: account.source.to_string(),
                command: Some(account.command()),
                ..self.connection(&of_client, Some(account.name.clone()), "")
            });
        }
        Ok(connections)
    }

    async fn all_accounts(&self) -> Result<Vec<Connection>, Failure> {
        let mut accounts = Vec::new();
        let mut listed = self.client.accounts();
        while let Some(account) = listed.next().await {
            let account = account.map_err(|error| self.unlisted(&error))?;
            let id = account.id.unwrap_or_default();
            let connection = self.client.account(&id).map_err(|error| {
                let what = format!("the API listed an account with an unusable id {id:?}");
                Failure::new(Exit::Failed, what).because(error)
            })?;
            accounts.push(self.connection(&connection, account.name, "--all-accounts"));
        }
        match accounts.is_empty() {
            false => Ok(accounts),
            true => Err(
                Failure::new(Exit::Credentials, "the credentials see no account")
                    .next("check the accounts that the API token includes, or use --account"),
            ),
        }
    }

    /// Says why the accounts could not be listed.
    fn unlisted(&self, error: &Error) -> Failure {
        let failure = Failure::from(error).about("could not list the accounts");
        if error.status().is_some_and(|status| status == 401) {
            return failure.with(&self.credentials.to_string()).next(
                "check that the API token is complete, and neither expired nor disabled: the \
                 dashboard shows API tokens under My Profile > API Tokens",
            );
        }
        let is_refused = failure.exit == Exit::Credentials || error.is_auth();
        match is_refused || error.status().is_some_and(|status| status == 400) {
            true => failure.with(&self.credentials.to_string()).next(
                "--all-accounts needs the permission \"Account Settings Read\" beside those for \
                 service tokens; an API token that belongs to an account has no other, so name that \
                 one with --account",
            ),
            false => failure,
        }
    }

    /// The account of the environment, or of the simulator.
    fn default_account(&self) -> Result<Connection, Failure> {
        let account = self.client.default_account().map_err(|_| no_account())?;
        let source = match self.simulator {
            Some(_) => "the simulator",
            None => ACCOUNT_ID,
        };
        Ok(self.connection(&account, None, source))
    }

    fn named(&self, id: &str) -> Result<Connection, Failure> {
        let account = self.client.account(id).map_err(|error| unusable(&error))?;
        let source = match self.simulator {
            Some(_) => "the simulator",
            None => "--account",
        };
        Ok(self.connection(&account, None, source))
    }

    fn connection(
        &self,
        account: &Account,
        name: Option<String>,
        account_source: &str,
    ) -> Connection {
        let command = match (&self.simulator, account_source) {
            (Some(_), _) => Some(SIMULATE.to_owned()),
            (None, ACCOUNT_ID) => None,
            (None, _) => Some(format!("cf-service-tokens --account {}", account.id())),
        };
        Connection {
            tokens: account.service_tokens(),
            account: account.clone(),
            simulator: self.simulator.clone(),
            name: name.filter(|name| !name.trim().is_empty()),
            account_source: account_source.to_owned(),
            command,
            credentials: self.credentials.to_string(),
            needs: self.needs,
            deadline: self.deadline,
        }
    }

    /// Reads the files of the API tokens again. Returns whether any holds another token,
    /// which is in use from now on.
    pub(crate) fn reread_api_token(&mut self) -> Result<bool, Failure> {
        if let Accounts::Configured(configured) = &mut self.accounts {
            return configured.reread(&self.client);
        }
        if !self.credentials.is_file() {
            return Ok(false);
        }
        let token = self.credentials.reread()?;
        let is_same = match (&token, &self.api_token) {
            (Some(token), Some(known)) => token.expose_secret() == known.expose_secret(),
            _ => true,
        };
        if let (Some(token), false) = (&token, is_same) {
            let credentials = Credentials::ApiToken(token.clone());
            let client = self.client.with_credentials(credentials);
            self.client = client.map_err(|error| unusable(&error))?;
            self.api_token = Some(token.clone());
        }
        Ok(!is_same)
    }

    /// Returns an account, for calls with the API token that is in use now.
    pub(crate) fn current(&self, connection: &Connection) -> Option<Connection> {
        let id = connection.account_id();
        let account = self.client_of(id)?.account(id).ok()?;
        Some(Connection {
            tokens: account.service_tokens(),
            account,
            ..connection.clone()
        })
    }

    /// Returns an account, for calls with this deadline and the API token that is in use now.
    pub(crate) fn account_of(
        &self,
        connection: &Connection,
        deadline: Duration,
    ) -> Option<Account> {
        let id = connection.account_id();
        let client = self.client_of(id)?.with(|call| call.deadline(deadline));
        client.account(id).ok()
    }

    /// Returns the client that has the credentials of an account.
    fn client_of(&self, id: &str) -> Option<&Client> {
        match &self.accounts {
            Accounts::Configured(configured) => configured.client(id),
            _ => Some(&self.client),
        }
    }
}

/// Begins a client with the settings of the arguments and the environment.
fn builder(
    global: &Global,
    retry: Retry,
    on_event: impl Fn(&Event<'_>) + Send + Sync + 'static,
) -> ClientBuilder {
    let builder = ClientBuilder::from_env().retry(retry).on_event(on_event);
    match global.deadline {
        Some(deadline) => builder.deadline(deadline),
        None => builder,
    }
}

impl Accounts {
    fn asked(global: &Global, all: bool) -> Result<Self, Failure> {
        let mut ids = global.account.clone();
        let mut seen = BTreeSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        match (all, ids.is_empty()) {
            (true, true) => Ok(Self::All),
            (true, false) => {
                let what = "--account and --all-accounts can't be used together";
                Err(Failure::usage(what).next("use one of them"))
            }
            (false, true) => Ok(Self::Default),
            (false, false) => Ok(Self::Named(ids)),
        }
    }

    /// Refuses an id that no account of the API can have.
    fn require_form(&self) -> Result<(), Failure> {
        let require = |id: &String| account_id::require("--account", id);
        match self {
            Self::Named(ids) => ids.iter().try_for_each(require),
            Self::Default => {
                account_id::require(ACCOUNT_ID, &env::var(ACCOUNT_ID).unwrap_or_default())
            }
            Self::All | Self::Configured(_) => Ok(()),
        }
    }
}

impl Connection {
    /// Opens the one account of a command, which calls `on_event`. Sends nothing.
    pub(crate) async fn open(
        global: &Global,
        retry: Retry,
        needs: Permission,
        on_event: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> Result<Self, Failure> {
        let api = Api::open(global, false, retry, needs, on_event).await?;
        api.account()
    }

    /// Returns how long after its start a call may still take effect: two minutes after
    /// its last attempt, which a proxy may have queued, and at least five minutes. The
    /// SDK's own deadline is three minutes.
    pub(crate) fn may_arrive(&self) -> TimeDelta {
        let deadline = self.deadline.unwrap_or_default();
        let deadline = TimeDelta::from_std(deadline).unwrap_or(TimeDelta::MAX / 2);
        (deadline + TimeDelta::minutes(2)).max(TimeDelta::minutes(5))
    }

    /// Explains a refusal: the account and the credentials, where both come from, and what
    /// they need. Any command that a failure advises works on the same account.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        let account = format!("account {} from {}", self.account_id(), self.account_source);
        let failure = failure.of_refused(&account, &self.credentials, self.needs);
        match self.command() {
            Some(command) => failure.with_command(command),
            None => failure,
        }
    }

    /// Returns the beginning of another command that works on the same account; `None` if that
    /// is `cf-service-tokens` alone.
    pub(crate) fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// Whether two accounts are called with the same credentials.
    pub(crate) fn has_credentials_of(&self, other: &Self) -> bool {
        self.credentials == other.credentials
    }

    /// The id of the account.
    pub(crate) fn account_id(&self) -> &str {
        self.tokens.account_id().as_str()
    }

    /// The name of the account, if it is known.
    pub(crate) fn account_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The account's name and id, or its id alone.
    pub(crate) fn account_label(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({})", bounded(name), self.account_id()),
            None => format!("account {}", self.account_id()),
        }
    }

    /// Says that the account has no tokens: it may be the wrong one.
    pub(crate) fn without_tokens(&self) -> String {
        format!("account {} has no service tokens", self.account_id())
    }

    /// Returns a note if this machine's clock differs from the API's.
    pub(crate) fn clock_note(&self) -> Option<String> {
        let ahead = Utc::now() - self.tokens.now();
        // The two agree if the client takes its own clock for the API's.
        let differs = ahead.abs() > TimeDelta::minutes(1);
        differs.then(|| format!("{}, which expiry goes by", time::clock_difference(ahead)))
    }

    /// All the tokens of a listing, in memory.
    pub(crate) async fn all(list: ListServiceTokens) -> Result<Vec<ServiceToken>, Error> {
        let mut stream = list.stream();
        let mut tokens = Vec::new();
        while let Some(token) = stream.next().await {
            tokens.push(token?);
        }
        Ok(tokens)
    }
}

/// Neither the arguments nor the environment name an account.
fn no_account() -> Failure {
    let failure = Failure::usage("no account given");
    match is_set("CF_ACCOUNT_ID") {
        true => failure.next(
            "CF_ACCOUNT_ID is set, but the command reads CLOUDFLARE_ACCOUNT_ID: \
             export CLOUDFLARE_ACCOUNT_ID=\"$CF_ACCOUNT_ID\"",
        ),
        false => failure.next(
            "use --account or set CLOUDFLARE_ACCOUNT_ID; the dashboard shows the id on the \
             account's overview page",
        ),
    }
}

/// Why there is no client, or no account. An invalid id here is the account's, and
/// elsewhere a token's.
fn unusable(error: &Error) -> Failure {
    let failure = Failure::from(error);
    let text = error.to_string();
    let has_none = !has_credentials();
    let failure = match text.starts_with("the environment has no credentials") {
        true => Failure::new(Exit::Credentials, "no API token given"),
        false => failure,
    };
    let is_account = text.starts_with("CLOUDFLARE_ACCOUNT_ID ");
    match error.kind() {
        // The error says where the dashboard shows the id.
        kind if kind == ErrorKind::InvalidId || is_account => {
            failure.next(match text.contains("',' at") {
                true => "for several accounts, repeat --account",
                false => "copy the id from there",
            })
        }
        // The SDK's advice names a method, which the command has no option for.
        ErrorKind::Configuration if text.contains("allow_http") => Failure::usage(
            "CLOUDFLARE_BASE_URL uses http, which would send the credentials unencrypted",
        )
        .next("use https; http is for a simulator on this machine"),
        ErrorKind::Credentials if has_none && is_set("CF_API_TOKEN") => failure.next(
            "CF_API_TOKEN is set, but the command reads CLOUDFLARE_API_TOKEN: \
             export CLOUDFLARE_API_TOKEN=\"$CF_API_TOKEN\"",
        ),
        ErrorKind::Credentials if has_none => failure.next(
            "set CLOUDFLARE_API_TOKEN to an API token, or give a file that holds only the API token \
             with --api-token-file or CLOUDFLARE_API_TOKEN_FILE; to try the command without one, add \
             --simulate",
        ),
        _ => failure,
    }
}
