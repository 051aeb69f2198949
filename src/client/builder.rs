//! The builder of a client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use secrecy::SecretString;
use tower::layer::layer_fn;

use crate::call::clock::api::ApiClock;
use crate::call::clock::{Clock, SystemClock};
use crate::call::connect::WatchedConnector;
use crate::call::event::{Event, Listener};
use crate::call::options::CallOptions;
use crate::call::rate_limit::RateLimit;
use crate::call::request::Requests;
use crate::call::retry::Retry;
use crate::call::{Settings, Transport};
use crate::client::Client;
use crate::client::base_url::BaseUrl;
use crate::client::credentials::Credentials;
use crate::client::environment::{ACCOUNT_ID, BASE_URL, Environment};
use crate::client::tls;
use crate::error::Error;
use crate::tokens::id::AccountId;

const USER_AGENT: &str = concat!("cf-service-tokens/", env!("CARGO_PKG_VERSION"));
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// A builder for a [`Client`]; returned by [`Client::builder`].
///
/// ```
/// use std::time::Duration;
/// use cf_service_tokens::Client;
///
/// # let token = "token";
/// let client = Client::builder()
///     .api_token(token)
///     .account_id("023e105f4ecef8ad9ca31a8372d0c353")
///     .timeout(Duration::from_secs(10))
///     .build()?;
/// let tokens = client.default_account()?.service_tokens();
/// # Ok::<(), cf_service_tokens::Error>(())
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct ClientBuilder {
    credentials: Vec<Credentials>,
    environment: Option<Environment>,
    base_url: Option<String>,
    account_id: Option<String>,
    allow_http: bool,
    timeout: Duration,
    deadline: Option<Duration>,
    body_limit: usize,
    user_agent: String,
    retry: Retry,
    rate_limit: RateLimit,
    clock: Arc<dyn Clock>,
    listener: Listener,
    http: Option<HttpSettings>,
}

/// The caller's settings of the HTTP client.
type HttpSettings = Box<dyn FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync>;

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            credentials: Vec::new(),
            environment: None,
            base_url: None,
            account_id: None,
            allow_http: false,
            timeout: TIMEOUT,
            deadline: None,
            body_limit: BODY_LIMIT,
            user_agent: USER_AGENT.to_owned(),
            retry: Retry::default(),
            rate_limit: RateLimit::default(),
            clock: Arc::new(SystemClock::new()),
            listener: Listener::default(),
            http: None,
        }
    }
}

impl ClientBuilder {
    /// Starts from the environment; values set on the builder take precedence.
    ///
    /// It reads the variables that Cloudflare's own SDKs and tools use:
    ///
    /// | variable | for |
    /// |---|---|
    /// | `CLOUDFLARE_API_TOKEN` | [`api_token`](Self::api_token) |
    /// | `CLOUDFLARE_EMAIL` with `CLOUDFLARE_API_KEY` | [`global_key`](Self::global_key) |
    /// | `CLOUDFLARE_BASE_URL` | [`base_url`](Self::base_url) |
    /// | `CLOUDFLARE_ACCOUNT_ID` | [`account_id`](Self::account_id) |
    ///
    /// Credentials set on the builder replace all credentials in the environment: the
    /// client never mixes the two. An empty variable counts as unset.
    /// [`build`](Self::build) returns an error for a variable that is needed and can't
    /// be used.
    ///
    /// Service keys (`CLOUDFLARE_API_USER_SERVICE_KEY`) stopped working on 2026-09-30.
    /// The client ignores the variable if there are other credentials. Otherwise the
    /// error of [`build`](Self::build) says to create an API token.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cf_service_tokens::ClientBuilder;
    ///
    /// let client = ClientBuilder::from_env()
    ///     .api_token("token")
    ///     .account_id("023e105f4ecef8ad9ca31a8372d0c353")
    /// #   .base_url("http://127.0.0.1:8787/client/v4")
    ///     .timeout(Duration::from_secs(10))
    ///     .build()?;
    /// let account = client.default_account()?.id().clone();
    /// assert_eq!(account.as_str(), "023e105f4ecef8ad9ca31a8372d0c353", "whatever the environment says");
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn from_env() -> Self {
        Self {
            environment: Some(Environment::read()),
            ..Self::default()
        }
    }

    /// Authenticates with an API token. It needs the permission "Access:
    /// Service Tokens Write".
    ///
    /// ```
    /// use cf_service_tokens::{Client, ErrorKind};
    ///
    /// let client = Client::builder().api_token("token").build()?;
    /// let error = Client::builder().api_token("tok en").build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Credentials);
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn api_token(mut self, token: impl Into<SecretString>) -> Self {
        self.credentials.push(Credentials::ApiToken(token.into()));
        self
    }

    /// Authenticates with the global API key of the user who has this e-mail address.
    /// Prefer an API token, which can be limited to service tokens.
    ///
    /// ```
    /// use cf_service_tokens::{Client, ErrorKind};
    ///
    /// let client = Client::builder().global_key("admin@example.com", "key").build()?;
    /// let both = Client::builder().global_key("admin@example.com", "key").api_token("token");
    /// assert_eq!(both.build().unwrap_err().kind(), ErrorKind::Credentials);
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn global_key(mut self, email: impl Into<String>, key: impl Into<SecretString>) -> Self {
        self.credentials.push(Credentials::GlobalKey {
            email: email.into(),
            key: key.into(),
        });
        self
    }

    /// Sets the base URL of the API, `https://api.cloudflare.com/client/v4` by default.
    ///
    /// It must be `https`, unless it leads to this machine or
    /// [`allow_http`](Self::allow_http) is set. Requests to this machine use no proxy.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// let here = Client::builder().api_token("token").base_url("http://127.0.0.1:8787/client/v4");
    /// assert!(here.build().is_ok());
    /// let elsewhere = Client::builder().api_token("token").base_url("http://gateway.internal/cf");
    /// assert!(elsewhere.build().unwrap_err().is_configuration());
    /// ```
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// Allows a base URL without TLS that leads to another machine, such as a gateway
    /// in a trusted network. **The credentials are visible to anyone who can see the
    /// traffic.**
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// let client = Client::builder()
    ///     .api_token("token")
    ///     .base_url("http://gateway.internal/cf")
    ///     .allow_http()
    ///     .build()?;
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// Sets the account that [`Client::default_account`] returns.
    ///
    /// See the example of [`Client::default_account`].
    pub fn account_id(mut self, id: impl Into<String>) -> Self {
        self.account_id = Some(id.into());
        self
    }

    /// Sets how long one attempt may take, from the lookup of the host to the last byte of
    /// the body; 30 seconds by default.
    ///
    /// ```
    /// # use std::time::Duration; use cf_service_tokens::Client;
    /// let client = Client::builder().api_token("token").timeout(Duration::from_secs(10)).build()?;
    /// let none = Client::builder().api_token("token").timeout(Duration::ZERO);
    /// assert!(none.build().unwrap_err().is_configuration());
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how long a call may take as a whole, including all attempts and the pauses
    /// between them; 3 minutes by default, and 15 minutes for each call of a renewal.
    /// Three minutes leave time for one `Retry-After` of two minutes, which Cloudflare
    /// documents.
    ///
    /// ```
    /// # use std::time::Duration; use cf_service_tokens::Client;
    /// let client = Client::builder().api_token("token").deadline(Duration::from_secs(300)).build()?;
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets whether and when a failed call is retried.
    ///
    /// ```
    /// # use cf_service_tokens::{Client, Retry};
    /// let client = Client::builder().api_token("token").retry(Retry::none()).build()?;
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets how many requests are sent in a window of time; Cloudflare's own limit by
    /// default.
    ///
    /// See the example of [`RateLimit`].
    pub fn rate_limit(mut self, rate_limit: RateLimit) -> Self {
        self.rate_limit = rate_limit;
        self
    }

    /// Sets the clock of the client; the system clock by default.
    ///
    /// See the examples of [`Clock`] and [`ManualClock`](crate::ManualClock).
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the maximum size of a response's body, in bytes; 4 MiB by default.
    /// A whole listing may be as large as well, or 5 MiB if that is more.
    /// [`build`](Self::build) refuses zero.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens_simulator::{Fault, Simulator};
    /// # let builder = client_builder(&simulator);
    ///
    /// let client = builder.body_limit(64 * 1024).build()?;
    /// simulator.inject(Fault::EndlessBody);
    /// let error = client.account(simulator.account_id())?.service_tokens().list().page(1).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
    /// # Ok(()) }) }
    /// ```
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets the `User-Agent` of requests, `cf-service-tokens/<version>` by default.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// let client = Client::builder().api_token("token").user_agent("deploy-bot/2.1").build()?;
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Changes settings of the HTTP client, such as its proxies, TLS and connections.
    ///
    /// The function receives reqwest's builder with the client's own settings, and
    /// returns it with its changes. Redirects and reqwest's own retries stay off,
    /// whatever the function sets: a redirect would send the credentials to another
    /// host, and a retry could repeat a call that must not be repeated.
    /// [`Client::with_credentials`] makes another client on the same connections.
    ///
    /// With the feature `rustls-no-provider` and without `rustls`, [`build`](Self::build)
    /// needs an installed crypto provider, even if the function configures TLS itself.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// let client = Client::builder()
    ///     .api_token("token")
    ///     .http_client(|http| http.pool_max_idle_per_host(1).http1_only())
    ///     .build()?;
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn http_client(
        mut self,
        set: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        self.http = Some(Box::new(set));
        self
    }

    /// Sets a function that receives an event for each attempt and wait, such as to show
    /// progress or to count requests.
    ///
    /// It runs in the task of the call, and delays that call. The client holds no lock
    /// while it runs, so other calls continue, and the function may itself make calls.
    ///
    /// See the example of [`Event`].
    pub fn on_event(mut self, function: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.listener = Listener::new(function);
        self
    }

    /// Builds the client. Nothing is sent yet.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// let error = Client::builder().build().unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "no credentials are configured; give the builder an API token with `api_token`"
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// An error for which [`Error::is_configuration`] holds, which names the setting or
    /// variable that can't be used, and says why; or
    /// [`InvalidId`](crate::ErrorKind::InvalidId) for the id given to
    /// [`account_id`](Self::account_id).
    pub fn build(self) -> Result<Client, Error> {
        let from_environment = |name| match &self.environment {
            Some(environment) => environment.text(name),
            None => Ok(None),
        };
        let base_url = match self.base_url {
            Some(url) => BaseUrl::parse(&url, "the base URL", self.allow_http)?,
            None => match from_environment(BASE_URL)? {
                Some(url) => BaseUrl::parse(&url, BASE_URL, self.allow_http)?,
                None => BaseUrl::cloudflare()?,
            },
        };
        let default_account = match self.account_id {
            Some(id) => Some(AccountId::new(id)?),
            None => from_environment(ACCOUNT_ID)?
                .map(AccountId::new)
                .transpose()
                .map_err(|error| {
                    Error::configuration(format!("{ACCOUNT_ID} can't be used: {error}"))
                })?,
        };

        let credentials = Credentials::choose(self.credentials, self.environment.as_ref())?;
        let user_agent = HeaderValue::from_str(&self.user_agent).map_err(|_| {
            Error::configuration(format!(
                "the user agent {:?} can't be sent in a header; use printable ASCII",
                self.user_agent
            ))
        })?;
        let zero = [
            ("timeout", self.timeout.is_zero()),
            ("deadline", self.deadline == Some(Duration::ZERO)),
            ("body limit", self.body_limit == 0),
        ];
        if let Some((setting, _)) = zero.iter().find(|(_, is_zero)| *is_zero) {
            return Err(Error::configuration(format!(
                "the {setting} is zero, so no call can succeed; set a larger one"
            )));
        }
        let http = http_client(&base_url, self.timeout, self.http)?;
        let settings = Settings {
            requests: Requests::new(http.clone(), &base_url),
            http,
            base_url,
            user_agent,
            timeout: self.timeout,
            deadline: self.deadline,
            body_limit: self.body_limit,
            retry: self.retry,
            address_limiter: self.rate_limit.for_address(),
            rate_limit: self.rate_limit,
            listener: self.listener,
            api_clock: ApiClock::new(Arc::clone(&self.clock)),
            clock: self.clock,
        };
        Ok(Client {
            transport: Arc::new(Transport::new(Arc::new(settings), &credentials)?),
            default_account,
            options: CallOptions::default(),
        })
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

fn http_client(
    base_url: &BaseUrl,
    timeout: Duration,
    settings: Option<HttpSettings>,
) -> Result<reqwest::Client, Error> {
    tls::check(base_url, settings.is_some())?;
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .connector_layer(layer_fn(WatchedConnector::new))
        .referer(false);
    let builder = tls::select(builder);
    // Requests to this machine may be plain HTTP, which must not reach a proxy.
    let builder = if base_url.is_loopback() {
        builder.no_proxy()
    } else {
        builder
    };
    let builder = match settings {
        Some(settings) => settings(builder),
        None if base_url.is_loopback() && !base_url.needs_tls() => tls::trust_none(builder),
        None => builder,
    };
    // Override the caller's settings: the timeout is that of `ClientBuilder::timeout`, a redirect
    // would send the credentials to another host, and a retry by reqwest could repeat a call
    // that must not be repeated.
    let builder = builder
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    builder.build().map_err(|error| {
        Error::configuration("could not set up the HTTP client; see the cause").with_source(error)
    })
}
