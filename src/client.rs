//! The client: where calls begin.

pub(crate) mod base_url;
pub(crate) mod builder;
pub(crate) mod credentials;
pub(crate) mod environment;
pub(crate) mod tls;

use std::fmt;
use std::sync::Arc;

use http::Method;

use crate::account::Account;
use crate::call::Transport;
use crate::call::options::CallOptions;
use crate::call::raw::RawRequest;
use crate::client::builder::ClientBuilder;
use crate::client::credentials::Credentials;
use crate::client::environment::ACCOUNT_ID;
use crate::error::Error;
use crate::tokens::id::AccountId;

/// A client of Cloudflare's API for service tokens.
///
/// It is cheap to clone, and clones share their connections. [`account`](Self::account)
/// returns an account, and [`Account::service_tokens`] its service tokens, on which
/// calls are made. [`from_env`](Self::from_env) builds a client from environment
/// variables.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use cf_service_tokens::Client;
///
/// let client = Client::builder()
///     .api_token(simulator.api_token())
/// #   .base_url(simulator.base_url())
///     .build()?;
/// let tokens = client.account(simulator.account_id())?.service_tokens();
/// let token = tokens.refresh(&id).await?;
/// println!("good until {:?}", token.expires_at);
/// assert_eq!(token.name.as_deref(), Some("deploy"));
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Client {
    pub(crate) transport: Arc<Transport>,
    pub(crate) default_account: Option<AccountId>,
    pub(crate) options: CallOptions,
}

impl Client {
    /// Returns a builder for a client.
    ///
    /// ```
    /// use cf_service_tokens::Client;
    ///
    /// let client = Client::builder().api_token("token").build()?;
    /// assert!(client.default_account().is_err(), "no account is configured");
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Builds a client from environment variables; see [`ClientBuilder::from_env`].
    ///
    /// ```no_run
    /// use cf_service_tokens::Client;
    ///
    /// // CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID
    /// let tokens = Client::from_env()?.default_account()?.service_tokens();
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An error for which [`Error::is_configuration`] holds, if the environment
    /// holds no credentials, or more than one kind, or a value that can't be used;
    /// it names the variable.
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env().build()
    }

    /// Returns an account. Nothing is sent.
    ///
    /// ```
    /// use cf_service_tokens::ErrorKind;
    /// # let client = cf_service_tokens::Client::builder().api_token("token").build()?;
    /// let account = client.account("023e105f4ecef8ad9ca31a8372d0c353")?;
    /// let tokens = account.service_tokens();
    /// assert_eq!(client.account("").unwrap_err().kind(), ErrorKind::InvalidId);
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An error of the kind [`InvalidId`](crate::ErrorKind::InvalidId), if the text can't
    /// be an account's id.
    pub fn account(&self, id: impl AsRef<str>) -> Result<Account, Error> {
        Ok(self.account_of(AccountId::new(id)?))
    }

    /// Returns the account that [`ClientBuilder::account_id`] or
    /// `CLOUDFLARE_ACCOUNT_ID` sets. Nothing is sent.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// let client = Client::builder()
    ///     .api_token("token")
    ///     .account_id("023e105f4ecef8ad9ca31a8372d0c353")
    ///     .build()?;
    /// let account = client.default_account()?;
    /// assert_eq!(account.id().as_str(), "023e105f4ecef8ad9ca31a8372d0c353");
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// An error for which [`Error::is_configuration`] holds, if no account is configured.
    pub fn default_account(&self) -> Result<Account, Error> {
        let account = self.default_account.clone().ok_or_else(|| {
            Error::configuration(format!(
                "no account is configured; pass one to `account`, or set {ACCOUNT_ID}"
            ))
        })?;
        Ok(self.account_of(account))
    }

    fn account_of(&self, id: AccountId) -> Account {
        Account::new(Arc::clone(&self.transport), id, self.options.clone())
    }

    /// Returns the same client, with call options that `set` changes.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use std::time::Duration;
    ///
    /// let hurried = client.with(|call| call.timeout(Duration::from_secs(2)));
    /// let page = hurried.account(simulator.account_id())?.service_tokens().list().page(1).await?;
    /// assert_eq!(page.tokens.len(), 1);
    /// # Ok(()) }) }
    /// ```
    pub fn with(&self, set: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        Self {
            options: set(self.options.clone()),
            ..self.clone()
        }
    }

    /// Returns a client with other credentials on the same connections. For several
    /// accounts that each have an API token, this saves connections, and loads the
    /// system's certificates only once.
    ///
    /// All settings stay the same. The new client has its own retry budget, and its own
    /// rate limit, which Cloudflare applies to each user or token.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::Credentials;
    /// # let simulator = Simulator::builder().account(SeedAccount::new("staging").token(SeedToken::new("deploy"))).add_api_token(SeedApiToken::new("staging-token").account("staging")).start().await?;
    /// # let (client, _) = connect(&simulator);
    ///
    /// let staging = client.with_credentials(Credentials::ApiToken("staging-token".into()))?;
    /// let token = staging.account("staging")?.service_tokens().find("deploy").await?;
    /// assert_eq!(token.name.as_deref(), Some("deploy"));
    ///
    /// assert!(client.with_credentials(Credentials::ApiToken("tok en".into())).is_err());
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An error for which [`Error::is_configuration`] holds, if the credentials can't be
    /// sent in a header.
    pub fn with_credentials(&self, credentials: Credentials) -> Result<Self, Error> {
        let settings = Arc::clone(&self.transport.settings);
        Ok(Self {
            transport: Arc::new(Transport::new(settings, &credentials)?),
            ..self.clone()
        })
    }

    /// Starts a call to an endpoint that this crate has no method for, such as
    /// `/accounts/{account_id}/access/apps`. The path follows the base URL.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{Method, ServiceToken};
    ///
    /// let path = format!("/accounts/{}/access/service_tokens", simulator.account_id());
    /// let tokens = client.request(Method::GET, path).send::<Vec<ServiceToken>>().await?;
    /// assert_eq!(tokens[0].name.as_deref(), Some("deploy"));
    /// # Ok(()) }) }
    /// ```
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
            .field("base_url", &self.transport.settings.base_url.as_str())
            .field("default_account", &self.default_account)
            .finish_non_exhaustive()
    }
}
