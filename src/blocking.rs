//! The same calls for programs without an asynchronous runtime.
//!
//! Everything has the name that it has in the crate's root, and waits for the
//! answer. Only a stream of tokens is an iterator here: `list().iter()`.
//! [`Client::from_env`] sets a client up as the environment says.
//!
//! ```
//! use cf_service_tokens::blocking::Client;
//! # use cf_service_tokens_simulator::{SeedToken, Simulator};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # let simulator = runtime.block_on(Simulator::builder().token(SeedToken::new("deploy")).start())?;
//! # let id = simulator.tokens()[0].id.clone();
//!
//! let client = Client::builder()
//!     .api_token(simulator.api_token())
//! #   .base_url(simulator.base_url())
//!     .build_blocking()?;
//! let tokens = client.account(simulator.account_id())?;
//! let token = tokens.refresh(&id)?;
//! println!("good until {:?}", token.expires_at);
//! assert_eq!(token.name.as_deref(), Some("deploy"));
//! # Ok(())
//! # }
//! ```
//!
//! Where there is a runtime already, use the asynchronous client: a call from
//! here would hold up everything else that the runtime does, so it is an error,
//! inside `spawn_blocking` as well.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::renewal::{RenewalPolicy, RenewalReport};
use crate::{
    AccountId, CallOptions, ClientBuilder, CreateServiceToken, Error, IssuedServiceToken, Method,
    Response, RotateServiceToken, ServiceToken, ServiceTokenPage, ServiceTokenStream,
    UpdateServiceToken,
};

/// Runs calls to their end.
#[derive(Clone)]
struct Waiter(Arc<OwnRuntime>);

/// A runtime that may be dropped anywhere.
struct OwnRuntime(Option<Runtime>);

impl Waiter {
    fn new() -> Result<Self, Error> {
        // A thread of its own polls the connections between calls, so that one that
        // the server has closed while idle is not used again.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cf-service-tokens")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::configuration("no runtime can be started; its cause says more")
                    .with_source(error)
            })?;
        Ok(Self(Arc::new(OwnRuntime(Some(runtime)))))
    }

    fn wait<T>(&self, call: impl Future<Output = T>) -> Result<T, Error> {
        match &self.0.0 {
            Some(runtime) if Handle::try_current().is_err() => Ok(runtime.block_on(call)),
            _ => Err(Error::configuration(
                "a blocking call was made inside an asynchronous runtime, which it would hold up; \
                 use the client in the crate's root and await its calls",
            )),
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // To wait for a runtime's end panics inside another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A client whose calls wait for their answers; see [`crate::Client`].
///
/// ```
/// # use cf_service_tokens::blocking::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let simulator = runtime.block_on(Simulator::builder().token(SeedToken::new("deploy")).start())?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build_blocking()?;
/// # let tokens = client.account(simulator.account_id())?;
/// # let id = simulator.tokens()[0].id.clone();
/// let hurried = client.with(|call| call.timeout(std::time::Duration::from_secs(2)));
/// let tokens = hurried.account(simulator.account_id())?;
/// assert_eq!(tokens.refresh(&id)?.name.as_deref(), Some("deploy"));
///
/// let inside = runtime.block_on(async { tokens.refresh(&id) });
/// assert!(inside.unwrap_err().is_configuration(), "there is a runtime already");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    client: crate::Client,
    waiter: Waiter,
}

impl Client {
    /// Starts to set up a client; end with [`ClientBuilder::build_blocking`].
    ///
    /// See the example of [`ClientBuilder::build_blocking`].
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// A client as the environment describes it; see [`ClientBuilder::from_env`].
    ///
    /// ```no_run
    /// let client = cf_service_tokens::blocking::Client::from_env()?;
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`crate::Client::from_env`].
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env().build_blocking()
    }

    pub(crate) fn new(client: crate::Client) -> Result<Self, Error> {
        Ok(Self {
            client,
            waiter: Waiter::new()?,
        })
    }

    /// The same client, whose calls differ from its settings as `set` says.
    ///
    /// See the example of [`Client`].
    pub fn with(&self, set: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        Self {
            client: self.client.with(set),
            waiter: self.waiter.clone(),
        }
    }

    /// The service tokens of an account.
    ///
    /// See the example of [`Client`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::account`].
    pub fn account(&self, id: impl AsRef<str>) -> Result<ServiceTokens, Error> {
        Ok(ServiceTokens {
            tokens: self.client.account(id)?,
            waiter: self.waiter.clone(),
        })
    }

    /// The service tokens of the account that the client was set up with.
    ///
    /// See the example of [`crate::Client::default_account`].
    ///
    /// # Errors
    ///
    /// As [`crate::Client::default_account`].
    pub fn default_account(&self) -> Result<ServiceTokens, Error> {
        Ok(ServiceTokens {
            tokens: self.client.default_account()?,
            waiter: self.waiter.clone(),
        })
    }

    /// A call to an endpoint that this crate has no method for.
    ///
    /// See the example of [`RawRequest`].
    pub fn request(&self, method: Method, path: impl Into<String>) -> RawRequest {
        RawRequest {
            request: self.client.request(method, path),
            waiter: self.waiter.clone(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.fmt(f)
    }
}

/// The service tokens of an account; see [`crate::ServiceTokens`].
///
/// ```
/// use cf_service_tokens::{CreateServiceToken, UpdateServiceToken};
/// # use cf_service_tokens::blocking::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let simulator = runtime.block_on(Simulator::builder().token(SeedToken::new("deploy")).start())?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build_blocking()?;
/// # let tokens = client.account(simulator.account_id())?;
/// # let id = simulator.tokens()[0].id.clone();
///
/// let issued = tokens.create(&CreateServiceToken::new("backup"))?;
/// let id = issued.id.as_deref().ok_or("the API gave no id")?;
/// tokens.update(id, &UpdateServiceToken::new().enabled(false))?;
/// assert_eq!(tokens.get(id)?.enabled, Some(false));
/// tokens.delete(id)?;
/// assert!(tokens.get(id).unwrap_err().is_not_found());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServiceTokens {
    tokens: crate::ServiceTokens,
    waiter: Waiter,
}

impl ServiceTokens {
    /// Returns the id of the account.
    ///
    /// See the example of [`crate::Client::account`].
    pub fn account_id(&self) -> &AccountId {
        self.tokens.account_id()
    }

    /// Returns the same service tokens, with call options that `set` changes.
    ///
    /// See the example of [`Client`], whose calls are set in the same way.
    pub fn with(&self, set: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        Self {
            tokens: self.tokens.with(set),
            waiter: self.waiter.clone(),
        }
    }

    /// Returns a builder for a listing, by page or as an iterator.
    ///
    /// See the example of [`ListServiceTokens`].
    pub fn list(&self) -> ListServiceTokens {
        ListServiceTokens {
            list: self.tokens.list(),
            waiter: self.waiter.clone(),
        }
    }

    /// Creates a service token. The answer holds its secret, which **no later
    /// call shows again**, so store it before anything else.
    ///
    /// See the example of [`ServiceTokens`].
    ///
    /// # Errors
    ///
    /// As the asynchronous call, and one for which
    /// [`Error::is_configuration`] holds inside a runtime.
    pub fn create(
        &self,
        request: &CreateServiceToken,
    ) -> Result<Response<IssuedServiceToken>, Error> {
        self.waiter.wait(self.tokens.create(request))?
    }

    /// Returns one service token, without its secret.
    ///
    /// See the example of [`ServiceTokens`].
    ///
    /// # Errors
    ///
    /// As the asynchronous call, and one for which
    /// [`Error::is_configuration`] holds inside a runtime.
    pub fn get(&self, id: impl AsRef<str>) -> Result<Response<ServiceToken>, Error> {
        self.waiter.wait(self.tokens.get(id))?
    }

    /// Changes the fields of a service token that the request names, and keeps
    /// all others.
    ///
    /// See the example of [`ServiceTokens`].
    ///
    /// # Errors
    ///
    /// As the asynchronous call, and one for which
    /// [`Error::is_configuration`] holds inside a runtime.
    pub fn update(
        &self,
        id: impl AsRef<str>,
        request: &UpdateServiceToken,
    ) -> Result<Response<ServiceToken>, Error> {
        self.waiter.wait(self.tokens.update(id, request))?
    }

    /// Deletes a service token, and returns it for the last time.
    ///
    /// See the example of [`ServiceTokens`].
    ///
    /// # Errors
    ///
    /// As the asynchronous call, and one for which
    /// [`Error::is_configuration`] holds inside a runtime.
    pub fn delete(&self, id: impl AsRef<str>) -> Result<Response<ServiceToken>, Error> {
        self.waiter.wait(self.tokens.delete(id))?
    }

    /// Moves the expiry of a service token to one year from now; see
    /// [`crate::ServiceTokens::refresh`].
    ///
    /// See the example of [`Client`].
    ///
    /// # Errors
    ///
    /// As the asynchronous call, and one for which
    /// [`Error::is_configuration`] holds inside a runtime.
    pub fn refresh(&self, id: impl AsRef<str>) -> Result<Response<ServiceToken>, Error> {
        self.waiter.wait(self.tokens.refresh(id))?
    }

    /// Replaces the secret of a service token; see
    /// [`crate::ServiceTokens::rotate`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use cf_service_tokens::RotateServiceToken;
    /// # use cf_service_tokens::blocking::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let runtime = tokio::runtime::Runtime::new()?;
    /// # let simulator = runtime.block_on(Simulator::builder().token(SeedToken::new("deploy")).start())?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build_blocking()?;
    /// # let tokens = client.account(simulator.account_id())?;
    /// # let id = simulator.tokens()[0].id.clone();
    ///
    /// let a_day = RotateServiceToken::with_grace(Duration::from_secs(24 * 60 * 60));
    /// let issued = tokens.rotate(&id, &a_day)?;
    /// assert!(!issued.credentials().expose_secret().is_empty()); // store it now
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As the asynchronous call, and one for which
    /// [`Error::is_configuration`] holds inside a runtime.
    pub fn rotate(
        &self,
        id: impl AsRef<str>,
        request: &RotateServiceToken,
    ) -> Result<Response<IssuedServiceToken>, Error> {
        self.waiter.wait(self.tokens.rotate(id, request))?
    }

    /// Renews the tokens of the account that fall due, as the policy says; see
    /// [`crate::ServiceTokens::renew`]. What went wrong on the way is in
    /// the report.
    ///
    /// ```
    /// use cf_service_tokens::renewal::RenewalPolicy;
    /// # use cf_service_tokens::blocking::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let runtime = tokio::runtime::Runtime::new()?;
    /// # let simulator = runtime.block_on(Simulator::builder().token(SeedToken::new("deploy")).start())?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build_blocking()?;
    /// # let tokens = client.account(simulator.account_id())?;
    /// # let id = simulator.tokens()[0].id.clone();
    ///
    /// let report = tokens.renew(&RenewalPolicy::new())?;
    /// assert_eq!(report.to_string(), "1 token: 1 skipped");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_configuration`] holds inside a runtime.
    pub fn renew(&self, policy: &RenewalPolicy) -> Result<RenewalReport, Error> {
        self.waiter.wait(self.tokens.renew(policy).report())
    }
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.fmt(f)
    }
}

/// Which service tokens to list; see [`crate::ListServiceTokens`].
///
/// ```
/// # use cf_service_tokens::blocking::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let simulator = runtime.block_on(Simulator::builder().token(SeedToken::new("deploy")).start())?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build_blocking()?;
/// # let tokens = client.account(simulator.account_id())?;
/// # let id = simulator.tokens()[0].id.clone();
/// let page = tokens.list().search("dep").per_page(10).page(1)?;
/// assert_eq!(page.tokens.len(), 1);
/// for token in tokens.list().name("deploy").iter() {
///     assert_eq!(token?.name.as_deref(), Some("deploy"));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is listed until `page` or `iter` is called"]
pub struct ListServiceTokens {
    list: crate::ListServiceTokens,
    waiter: Waiter,
}

impl ListServiceTokens {
    /// Only the tokens of this very name.
    ///
    /// See the example of [`ListServiceTokens`].
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.list = self.list.name(name);
        self
    }

    /// Only the tokens that the API finds by this text, in their names or ids.
    ///
    /// See the example of [`ListServiceTokens`].
    pub fn search(mut self, text: impl Into<String>) -> Self {
        self.list = self.list.search(text);
        self
    }

    /// How many tokens to ask for at a time, 1000 by default.
    ///
    /// See the example of [`ListServiceTokens`].
    pub fn per_page(mut self, tokens: u32) -> Self {
        self.list = self.list.per_page(tokens);
        self
    }

    /// One page, counted from 1.
    ///
    /// See the example of [`ListServiceTokens`].
    ///
    /// # Errors
    ///
    /// As [`crate::ListServiceTokens::page`], and one for which
    /// [`Error::is_configuration`] holds inside a runtime.
    pub fn page(&self, page: u32) -> Result<Response<ServiceTokenPage>, Error> {
        self.waiter.wait(self.list.page(page))?
    }

    /// All the tokens, page after page as they are asked for: what
    /// [`stream`](crate::ListServiceTokens::stream) is where there is a runtime.
    ///
    /// See the example of [`ServiceTokenIter`].
    pub fn iter(self) -> ServiceTokenIter {
        ServiceTokenIter {
            stream: Some(self.list.stream()),
            waiter: self.waiter,
        }
    }
}

impl fmt::Debug for ListServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.fmt(f)
    }
}

/// All the service tokens of a listing; made by [`ListServiceTokens::iter`].
///
/// ```
/// # use cf_service_tokens::{Error, ServiceToken};
/// # use cf_service_tokens::blocking::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let simulator = runtime.block_on(Simulator::builder().token(SeedToken::new("deploy")).start())?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build_blocking()?;
/// # let tokens = client.account(simulator.account_id())?;
/// # let id = simulator.tokens()[0].id.clone();
/// let all = tokens.list().iter().collect::<Result<Vec<ServiceToken>, Error>>()?;
/// assert_eq!(all.len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct ServiceTokenIter {
    /// `None` once the stream can't be waited for.
    stream: Option<ServiceTokenStream>,
    waiter: Waiter,
}

impl Iterator for ServiceTokenIter {
    type Item = Result<ServiceToken, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.waiter.wait(self.stream.as_mut()?.next()) {
            Ok(next) => next,
            Err(error) => {
                self.stream = None;
                Some(Err(error))
            }
        }
    }
}

impl fmt::Debug for ServiceTokenIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokenIter").finish_non_exhaustive()
    }
}

/// A call to an endpoint that this crate has no method for; see
/// [`crate::RawRequest`].
///
/// ```
/// use cf_service_tokens::{Method, ServiceToken};
/// # use cf_service_tokens::blocking::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let simulator = runtime.block_on(Simulator::builder().token(SeedToken::new("deploy")).start())?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build_blocking()?;
/// # let tokens = client.account(simulator.account_id())?;
/// # let id = simulator.tokens()[0].id.clone();
///
/// let path = format!("/accounts/{}/access/service_tokens", simulator.account_id());
/// let request = client.request(Method::GET, path).query("per_page", "5");
/// let found = request.send::<Vec<ServiceToken>>()?;
/// assert_eq!(found[0].name.as_deref(), Some("deploy"));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent until `send` is called"]
pub struct RawRequest {
    request: crate::RawRequest,
    waiter: Waiter,
}

impl RawRequest {
    /// Adds a parameter to the query; both parts are encoded.
    ///
    /// See the example of [`RawRequest`].
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.request = self.request.query(name, value);
        self
    }

    /// Sends this as the body, in JSON.
    ///
    /// See the example of [`crate::RawRequest::json`].
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// Says that the call may be sent twice without harm.
    ///
    /// See the example of [`crate::RawRequest::idempotent`].
    pub fn idempotent(mut self) -> Self {
        self.request = self.request.idempotent();
        self
    }

    /// Makes the call, and reads the envelope's `result` as a `T`; see
    /// [`crate::RawRequest::send`].
    ///
    /// See the example of [`RawRequest`].
    ///
    /// # Errors
    ///
    /// As [`crate::RawRequest::send`], and one for which
    /// [`Error::is_configuration`] holds inside a runtime.
    pub fn send<T: DeserializeOwned>(self) -> Result<Response<T>, Error> {
        self.waiter.wait(self.request.send())?
    }
}

impl fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt(f)
    }
}
