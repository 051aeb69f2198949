//! The client, and how to set one up.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, header};
use reqwest::Url;
use secrecy::SecretString;

use crate::clock::{Clock, SystemClock};
use crate::credentials::Credentials;
use crate::environment::{ACCOUNT_ID, BASE_URL, Environment};
use crate::error::Error;
use crate::id::{AccountId, ZoneId};
use crate::options::CallOptions;
use crate::rate_limit::{RateLimit, RateLimiter};
use crate::raw::RawRequest;
use crate::redact::Redactor;
use crate::retry::{Retrier, Retry};
use crate::service_tokens::{AccountServiceTokens, ZoneServiceTokens};
use crate::trace::Server;
use crate::transport::Transport;

const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";
const USER_AGENT: &str = concat!("cf-service-tokens/", env!("CARGO_PKG_VERSION"));
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(120);
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// A client of Cloudflare's API for service tokens.
///
/// It is cheap to clone, and clones share their connections. Calls are made
/// through a scope, such as [`account`](Self::account).
///
/// ```no_run
/// # async fn example() -> Result<(), cf_service_tokens::Error> {
/// use cf_service_tokens::Client;
///
/// let client = Client::from_env()?;
/// let tokens = client.account("023e105f4ecef8ad9ca31a8372d0c353")?;
/// let token = tokens.refresh("f174e90a-fafe-4643-bbbc-4a0ed4fc8415").await?;
/// println!("good until {:?}", token.expires_at);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    transport: Arc<Transport>,
    default_account: Option<AccountId>,
    options: CallOptions,
}

impl Client {
    /// Starts to set up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client as the environment describes it; see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_configuration`] holds, if the environment
    /// holds no credentials, or more than one kind, or a value that can't be used.
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env().build()
    }

    /// The service tokens of an account.
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_invalid_id`] holds, if the text can't be an
    /// account's id.
    pub fn account(&self, id: impl AsRef<str>) -> Result<AccountServiceTokens, Error> {
        Ok(self.tokens_of(AccountId::new(id)?))
    }

    /// The service tokens of the account that the client was set up with, by
    /// [`ClientBuilder::account_id`] or `CLOUDFLARE_ACCOUNT_ID`.
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_configuration`] holds, if there was none.
    pub fn default_account(&self) -> Result<AccountServiceTokens, Error> {
        let account = self.default_account.clone().ok_or_else(|| {
            Error::configuration(format!(
                "no account is configured; name one to `account`, or set {ACCOUNT_ID}"
            ))
        })?;
        Ok(self.tokens_of(account))
    }

    fn tokens_of(&self, account: AccountId) -> AccountServiceTokens {
        AccountServiceTokens::new(Arc::clone(&self.transport), account, self.options.clone())
    }

    /// The service tokens of a zone.
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_invalid_id`] holds, if the text can't be a
    /// zone's id.
    pub fn zone(&self, id: impl AsRef<str>) -> Result<ZoneServiceTokens, Error> {
        Ok(ZoneServiceTokens::new(
            Arc::clone(&self.transport),
            ZoneId::new(id)?,
            self.options.clone(),
        ))
    }

    /// The same client, whose calls differ from its settings as `set` says.
    pub fn with(&self, set: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        Self {
            options: set(self.options.clone()),
            ..self.clone()
        }
    }

    /// A call to an endpoint that this crate has no method for, such as
    /// `/accounts/{account_id}/access/apps`. The path goes after the base URL.
    pub fn request(&self, method: Method, path: impl Into<String>) -> RawRequest {
        RawRequest::new(
            Arc::clone(&self.transport),
            self.options.clone(),
            method,
            path.into(),
        )
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.transport.base_url)
            .field("default_account", &self.default_account)
            .finish_non_exhaustive()
    }
}

/// How to set up a [`Client`].
///
/// ```
/// use std::time::Duration;
/// use cf_service_tokens::Client;
///
/// let client = Client::builder()
///     .api_token("an API token")
///     .timeout(Duration::from_secs(10))
///     .build();
/// # assert!(client.is_err(), "the token has spaces");
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder {
    credentials: Vec<Credentials>,
    environment: Option<Environment>,
    base_url: Option<String>,
    account_id: Option<String>,
    allow_http: bool,
    timeout: Duration,
    deadline: Duration,
    body_limit: usize,
    user_agent: String,
    retry: Retry,
    rate_limit: RateLimit,
    clock: Arc<dyn Clock>,
    http: Option<reqwest::Client>,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            credentials: Vec::new(),
            environment: None,
            base_url: None,
            account_id: None,
            allow_http: false,
            timeout: TIMEOUT,
            deadline: DEADLINE,
            body_limit: BODY_LIMIT,
            user_agent: USER_AGENT.to_owned(),
            retry: Retry::default(),
            rate_limit: RateLimit::default(),
            clock: Arc::new(SystemClock::new()),
            http: None,
        }
    }
}

impl ClientBuilder {
    /// Starts from the environment; what is then set on the builder goes before
    /// it.
    ///
    /// It looks at the variables that Cloudflare's own SDKs and tools use:
    ///
    /// | variable | for |
    /// |---|---|
    /// | `CLOUDFLARE_API_TOKEN` | [`api_token`](Self::api_token) |
    /// | `CLOUDFLARE_EMAIL` with `CLOUDFLARE_API_KEY` | [`global_key`](Self::global_key) |
    /// | `CLOUDFLARE_API_USER_SERVICE_KEY` | [`user_service_key`](Self::user_service_key) |
    /// | `CLOUDFLARE_BASE_URL` | [`base_url`](Self::base_url) |
    /// | `CLOUDFLARE_ACCOUNT_ID` | [`account_id`](Self::account_id) |
    ///
    /// Credentials set on the builder replace those of the environment whole:
    /// the two are never mixed. What is wrong with a variable that is needed is
    /// told by [`build`](Self::build).
    pub fn from_env() -> Self {
        Self {
            environment: Some(Environment::read()),
            ..Self::default()
        }
    }

    /// Authenticates with an API token. It needs the permission "Access:
    /// Service Tokens Write".
    pub fn api_token(mut self, token: impl Into<SecretString>) -> Self {
        self.credentials.push(Credentials::ApiToken(token.into()));
        self
    }

    /// Authenticates with the global API key of the user who has this e-mail
    /// address. An API token, which can be limited to service tokens, is better.
    pub fn global_key(mut self, email: impl Into<String>, key: impl Into<SecretString>) -> Self {
        self.credentials.push(Credentials::GlobalKey {
            email: email.into(),
            key: key.into(),
        });
        self
    }

    /// Authenticates with a user service key.
    pub fn user_service_key(mut self, key: impl Into<SecretString>) -> Self {
        self.credentials
            .push(Credentials::UserServiceKey(key.into()));
        self
    }

    /// Where the API is, `https://api.cloudflare.com/client/v4` by default.
    ///
    /// It must be `https`, unless it leads to this very machine or
    /// [`allow_http`](Self::allow_http) says otherwise.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Allows a base URL without TLS that leads to another machine, such as a
    /// gateway in a network that is trusted. **Whoever sees the traffic sees the
    /// credentials.**
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// The account that [`Client::default_account`] is about.
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.account_id = Some(id.into());
        self
    }

    /// How long one attempt may take, from looking up the host to the last byte
    /// of the body; 30 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a call may take as a whole, all its attempts and the pauses
    /// between them included; 2 minutes by default.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whether and when a call that failed is made again.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How many requests are sent in a window of time; Cloudflare's own limit by
    /// default.
    pub fn rate_limit(mut self, rate_limit: RateLimit) -> Self {
        self.rate_limit = rate_limit;
        self
    }

    /// The time that the client goes by; the system's by default.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The most bytes that an answer's body may have; 4 MiB by default.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// What the client calls itself, `cf-service-tokens/<version>` by default.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sends requests through this HTTP client rather than one of its own.
    ///
    /// Its own settings hold for what the builder does not set: proxies, TLS,
    /// connections. Build it with [`reqwest::redirect::Policy::none`], or it
    /// may carry credentials to wherever a redirect points.
    pub fn http_client(mut self, http: reqwest::Client) -> Self {
        self.http = Some(http);
        self
    }

    /// Builds the client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_configuration`] holds, that says which setting
    /// or variable can't be used and why; or [`Error::is_invalid_id`] for the
    /// account's id.
    pub fn build(self) -> Result<Client, Error> {
        let from_environment = |name| match &self.environment {
            Some(environment) => environment.text(name),
            None => Ok(None),
        };
        let base_url = match self.base_url {
            Some(url) => checked_base_url(&url, "the base URL", self.allow_http)?,
            None => match from_environment(BASE_URL)? {
                Some(url) => checked_base_url(&url, BASE_URL, self.allow_http)?,
                None => checked_base_url(CLOUDFLARE, "the base URL", self.allow_http)?,
            },
        };
        let default_account = match self.account_id {
            Some(id) => Some(id),
            None => from_environment(ACCOUNT_ID)?,
        }
        .map(AccountId::new)
        .transpose()?;

        let credentials = Credentials::choose(self.credentials, self.environment.as_ref())?;
        let mut headers = credentials.headers()?;
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(|_| {
            Error::configuration(format!(
                "the user agent {:?} can't be sent in a header; use printable ASCII",
                self.user_agent
            ))
        })?;
        headers.insert(header::USER_AGENT, user_agent);

        if self.timeout.is_zero() || self.deadline.is_zero() {
            return Err(Error::configuration(
                "the timeout or the deadline is zero, so that no call could succeed; give it some seconds",
            ));
        }
        let http = match self.http {
            Some(http) => http,
            None => http_client(&base_url)?,
        };
        Ok(Client {
            transport: Arc::new(Transport {
                http,
                server: Server::of(&base_url),
                base_url: base_url.as_str().trim_end_matches('/').to_owned(),
                headers: Arc::new(headers),
                timeout: self.timeout,
                deadline: self.deadline,
                body_limit: self.body_limit,
                redactor: Redactor::new(credentials.secrets()),
                retrier: Retrier::new(self.retry),
                rate_limiter: RateLimiter::new(&self.rate_limit),
                clock: self.clock,
            }),
            default_account,
            options: CallOptions::default(),
        })
    }

    /// Builds a client whose calls wait for their answers. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// As for [`build`](Self::build).
    #[cfg(feature = "blocking")]
    pub fn build_blocking(self) -> Result<crate::blocking::Client, Error> {
        crate::blocking::Client::new(self.build()?)
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes: Vec<_> = self.credentials.iter().map(Credentials::scheme).collect();
        // The base URL has not been checked yet: it may hold a password.
        f.debug_struct("ClientBuilder")
            .field("credentials", &schemes)
            .field("account_id", &self.account_id)
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("retry", &self.retry)
            .field("rate_limit", &self.rate_limit)
            .field("body_limit", &self.body_limit)
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}

/// The URL, if credentials may be sent there.
fn checked_base_url(text: &str, what: &str, allow_http: bool) -> Result<Url, Error> {
    // The text is not shown: it may hold a password.
    let refuse = |fault: &str| Err(Error::configuration(format!("{what} {fault}")));
    let Ok(url) = Url::parse(text) else {
        return refuse("is no URL; it should look like https://api.cloudflare.com/client/v4");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds a user name or a password; leave them out");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("holds a query or a fragment; leave them out");
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(&url) => {}
        "http" => {
            return refuse(
                "is http, which would show the credentials to the network; use https, or allow it with `allow_http`",
            );
        }
        _ => return refuse("is neither https nor http; use https"),
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn http_client(base_url: &Url) -> Result<reqwest::Client, Error> {
    if cfg!(not(feature = "rustls")) && base_url.scheme() == "https" {
        return Err(Error::configuration(
            "https needs TLS: turn on the feature `rustls`, or give the builder an `http_client` that has TLS",
        ));
    }
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .referer(false)
        .build()
        .map_err(|error| {
            Error::configuration("the HTTP client can't be set up; its cause says more")
                .with_source(error)
        })
}
