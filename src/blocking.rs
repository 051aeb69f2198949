//! A blocking client, for programs without an asynchronous runtime.
//!
//! Each type has the name of its counterpart in the crate's root, and each call waits
//! for its response. Instead of a stream there is an iterator, `list().iter()`.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { blocking_example(|runtime, simulator, client, tokens, id| {
//! use cf_service_tokens::blocking::Client;
//!
//! let client = Client::builder()
//!     .api_token(simulator.api_token())
//! #   .base_url(simulator.base_url())
//!     .build()?;
//! let tokens = client.account(simulator.account_id())?.service_tokens();
//! let token = tokens.refresh(&tokens.find("deploy")?)?;
//! println!("{token}");
//! # assert_eq!(token.name.as_deref(), Some("deploy"));
//! # Ok(()) }) }
//! ```
//!
//! # Inside an asynchronous runtime
//!
//! A blocking call blocks its thread, which is fine inside `tokio::task::spawn_blocking` and
//! `block_in_place`. In an asynchronous task it would block the runtime, so there it returns
//! an error for which [`Error::is_configuration`](crate::Error::is_configuration) holds. Use
//! the asynchronous client in a task.
//!
//! ```
//! # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { blocking_example(|runtime, simulator, client, tokens, id| {
//! runtime.block_on(async {
//!     assert!(tokens.find("deploy").unwrap_err().is_configuration());
//!
//!     let found = tokio::task::spawn_blocking(move || tokens.find("deploy")).await?;
//!     assert_eq!(found?.name.as_deref(), Some("deploy"));
//!     Ok(())
//! })
//! # }) }
//! ```

use std::fmt;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::coop::consume_budget;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use crate::renewal::{RenewalPolicy, RenewalReport};
use crate::{
    AccountId, AccountInfo, ApiToken, CallOptions, Clock, CreateServiceToken, Credentials,
    EntryStream, Error, Event, IssuedServiceToken, Method, Organization, RateLimit, Response,
    Retry, RotateServiceToken, ServiceToken, ServiceTokenPage, ToServiceTokenId,
    UpdateServiceToken, Usage,
};

/// The name of each thread that is started here.
const THREAD_NAME: &str = "cf-service-tokens";

/// Waits for calls.
#[derive(Clone)]
struct Waiter {
    handle: Handle,
    _runtime: Arc<OwnRuntime>,
}

/// A runtime that may be dropped anywhere.
struct OwnRuntime(Option<Runtime>);

impl Waiter {
    fn new() -> Result<Self, Error> {
        // A driver thread polls the connections between calls, so that a connection that
        // the server closes while it is idle is not used again.
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(THREAD_NAME)
            .enable_all()
            .build()
            .map_err(|error| {
                Error::configuration("could not start the thread of a blocking client")
                    .with_source(error)
            })?;
        Ok(Self {
            handle: runtime.handle().clone(),
            _runtime: Arc::new(OwnRuntime(Some(runtime))),
        })
    }

    fn wait<T: Send>(&self, call: impl Future<Output = T> + Send) -> Result<T, Error> {
        if Handle::try_current().is_err() {
            return Ok(self.handle.block_on(call));
        }
        if is_in_a_task() {
            return Err(Error::configuration(
                "a blocking call was made in an asynchronous task, and would block the runtime; \
                 use the asynchronous client, or make the call inside `spawn_blocking`",
            ));
        }
        // An `unconstrained` task looks like `spawn_blocking`, but waiting in it panics.
        // A new thread belongs to no runtime.
        let call = call.in_current_span().with_current_subscriber();
        thread::scope(|scope| {
            let thread = thread::Builder::new()
                .name(THREAD_NAME.to_owned())
                .spawn_scoped(scope, || self.handle.block_on(call));
            let thread = thread.map_err(|error| {
                Error::configuration("could not start a thread for a blocking call")
                    .with_source(error)
            })?;
            thread.join().map_err(|panic| resume_unwind(panic))
        })
    }
}

/// Returns whether the caller is being polled by a task, where waiting would block the
/// runtime.
///
/// Tokio has no function for this. But it limits how much a task does in one poll, and
/// sets no limit inside `spawn_blocking`. A task that uses up the limit yields once,
/// later.
fn is_in_a_task() -> bool {
    /// More than tokio's limit, which is 128.
    const PLENTY: usize = 1024;
    let mut context = Context::from_waker(Waker::noop());
    (0..PLENTY).any(|_| pin!(consume_budget()).poll(&mut context).is_pending())
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // Waiting for the end of a runtime panics inside another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Defines methods that call the asynchronous method of the same name: `set` for a builder's
/// method, `set_ref` for a method that returns a changed copy, `get` for one that returns a
/// value, and `wait` for one that makes a call.
macro_rules! forward {
    ($to:literal: $($kind:ident $name:ident($($argument:ident: $type:ty),*) $(-> $answer:ty)?;)+) => {
        $(forward! { @$kind $to, $name($($argument: $type),*) $(-> $answer)? })+
    };
    (@set $to:literal, $name:ident($($argument:ident: $type:ty),*)) => {
        #[doc = concat!("See [`", stringify!($name), "`](crate::", $to, "::", stringify!($name), ").")]
        pub fn $name(mut self, $($argument: $type),*) -> Self {
            self.inner = self.inner.$name($($argument),*);
            self
        }
    };
    (@set_ref $to:literal, $name:ident($($argument:ident: $type:ty),*)) => {
        #[doc = concat!("See [`", stringify!($name), "`](crate::", $to, "::", stringify!($name), ").")]
        #[must_use]
        pub fn $name(&self, $($argument: $type),*) -> Self {
            Self { inner: self.inner.$name($($argument),*), waiter: self.waiter.clone() }
        }
    };
    (@get $to:literal, $name:ident() -> $answer:ty) => {
        #[doc = concat!("See [`", stringify!($name), "`](crate::", $to, "::", stringify!($name), ").")]
        pub fn $name(&self) -> $answer {
            self.inner.$name()
        }
    };
    (@wait $to:literal, $name:ident($($argument:ident: $type:ty),*) -> $answer:ty) => {
        #[doc = concat!("Waits for [`", stringify!($name), "`](crate::", $to, "::", stringify!($name), ").")]
        ///
        /// # Errors
        ///
        /// The same as for the asynchronous call. In an asynchronous task, an error for which
        /// [`Error::is_configuration`] holds.
        pub fn $name(&self, $($argument: $type),*) -> Result<$answer, Error> {
            self.waiter.wait(self.inner.$name($($argument),*))?
        }
    };
}

/// Implements `Debug` as the asynchronous type of the same name does.
macro_rules! debug_as_inner {
    ($($name:ident)+) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        })+
    };
}

debug_as_inner! { ClientBuilder Client Account ServiceTokens ListServiceTokens RawRequest }

/// A builder for a blocking [`Client`]; see [`crate::ClientBuilder`].
///
/// See the example of the [module](self).
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct ClientBuilder {
    inner: crate::ClientBuilder,
}

impl ClientBuilder {
    /// Starts from the environment; see [`crate::ClientBuilder::from_env`].
    ///
    /// ```no_run
    /// use cf_service_tokens::blocking::ClientBuilder;
    ///
    /// // CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID
    /// let client = ClientBuilder::from_env().user_agent("deploy-bot/2.1").build()?;
    /// let tokens = client.default_account()?.service_tokens();
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn from_env() -> Self {
        Self {
            inner: crate::ClientBuilder::from_env(),
        }
    }

    forward! { "ClientBuilder":
        set api_token(token: impl Into<SecretString>);
        set global_key(email: impl Into<String>, key: impl Into<SecretString>);
        set base_url(url: impl Into<String>);
        set allow_http();
        set account_id(id: impl Into<String>);
        set timeout(timeout: Duration);
        set deadline(deadline: Duration);
        set retry(retry: Retry);
        set rate_limit(rate_limit: RateLimit);
        set clock(clock: impl Clock + 'static);
        set body_limit(bytes: usize);
        set user_agent(user_agent: impl Into<String>);
        set http_client(set: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static);
        set on_event(function: impl Fn(&Event<'_>) + Send + Sync + 'static);
    }

    /// Builds the client, and starts its thread. Nothing is sent yet.
    ///
    /// See the example of the [module](self).
    ///
    /// # Errors
    ///
    /// The same as for [`crate::ClientBuilder::build`], and an error for which
    /// [`Error::is_configuration`] holds, if the thread can't be started.
    pub fn build(self) -> Result<Client, Error> {
        Ok(Client {
            inner: self.inner.build()?,
            waiter: Waiter::new()?,
        })
    }
}

/// A client with calls that wait for their responses; see [`crate::Client`].
///
/// It is cheap to clone, and clones share their connections and a thread.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { blocking_example(|runtime, simulator, client, tokens, id| {
/// use std::time::Duration;
///
/// let hurried = client.with(|call| call.timeout(Duration::from_secs(2)));
/// let tokens = hurried.account(simulator.account_id())?.service_tokens();
/// assert_eq!(tokens.refresh(&id)?.name.as_deref(), Some("deploy"));
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: crate::Client,
    waiter: Waiter,
}

impl Client {
    /// Returns a builder for a client.
    ///
    /// See the example of the [module](self).
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Builds a client from environment variables; see
    /// [`crate::ClientBuilder::from_env`].
    ///
    /// ```no_run
    /// let client = cf_service_tokens::blocking::Client::from_env()?;
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The same as for [`ClientBuilder::build`].
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env().build()
    }

    forward! { "Client":
        set_ref with(set: impl FnOnce(CallOptions) -> CallOptions);
        wait verify_api_token() -> Response<ApiToken>;
    }

    /// Returns an iterator over the accounts that the credentials have access to, which
    /// requests them page by page; see [`crate::Client::accounts`]. It ends after the first error.
    ///
    /// ```no_run
    /// use cf_service_tokens::blocking::Client;
    ///
    /// for account in Client::from_env()?.accounts() {
    ///     println!("{:?}", account?.name);
    /// }
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn accounts(&self) -> EntryIter<AccountInfo> {
        EntryIter {
            stream: Some(self.inner.accounts()),
            waiter: self.waiter.clone(),
        }
    }

    /// Returns a client with other credentials on the same connections; see
    /// [`crate::Client::with_credentials`], which has an example.
    ///
    /// # Errors
    ///
    /// The same as for [`crate::Client::with_credentials`].
    pub fn with_credentials(&self, credentials: Credentials) -> Result<Self, Error> {
        Ok(Self {
            inner: self.inner.with_credentials(credentials)?,
            waiter: self.waiter.clone(),
        })
    }

    /// Returns an account; see [`crate::Client::account`].
    ///
    /// See the example of [`Client`].
    ///
    /// # Errors
    ///
    /// The same as for [`crate::Client::account`].
    pub fn account(&self, id: impl AsRef<str>) -> Result<Account, Error> {
        Ok(Account {
            inner: self.inner.account(id)?,
            waiter: self.waiter.clone(),
        })
    }

    /// Returns the account that the builder or the environment sets; see
    /// [`crate::Client::default_account`].
    ///
    /// See the example of [`ClientBuilder::from_env`].
    ///
    /// # Errors
    ///
    /// The same as for [`crate::Client::default_account`].
    pub fn default_account(&self) -> Result<Account, Error> {
        Ok(Account {
            inner: self.inner.default_account()?,
            waiter: self.waiter.clone(),
        })
    }

    /// Starts a call to an endpoint that this crate has no method for; see
    /// [`crate::Client::request`].
    ///
    /// See the example of [`RawRequest`].
    pub fn request(&self, method: Method, path: impl Into<String>) -> RawRequest {
        RawRequest {
            inner: self.inner.request(method, path),
            waiter: self.waiter.clone(),
        }
    }
}

/// An account; see [`crate::Account`].
///
/// See the example of [`Client`].
#[derive(Clone)]
pub struct Account {
    inner: crate::Account,
    waiter: Waiter,
}

impl Account {
    forward! { "Account":
        get id() -> &AccountId;
        wait organization() -> Response<Organization>;
        wait usage() -> Usage;
        wait verify_api_token() -> Response<ApiToken>;
    }

    /// Returns the service tokens of the account, on which calls are made.
    ///
    /// See the example of [`Client`].
    pub fn service_tokens(&self) -> ServiceTokens {
        ServiceTokens {
            inner: self.inner.service_tokens(),
            waiter: self.waiter.clone(),
        }
    }
}

/// The service tokens of an account; see [`crate::ServiceTokens`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { blocking_example(|runtime, simulator, client, tokens, id| {
/// use cf_service_tokens::renewal::RenewalPolicy;
/// use cf_service_tokens::{CreateServiceToken, RotateServiceToken, UpdateServiceToken};
///
/// let issued = tokens.create(&CreateServiceToken::new("backup"))?;
/// assert!(!issued.credentials().expose_secret().is_empty()); // store it now
/// tokens.update(&issued, &UpdateServiceToken::new().enabled(false))?;
/// assert_eq!(tokens.get(&issued)?.enabled, Some(false));
/// let a_day = RotateServiceToken::grace(Duration::from_secs(24 * 60 * 60));
/// let rotated = tokens.rotate(&issued, &a_day)?;
/// tokens.delete(&issued)?;
/// assert!(tokens.get(&issued).unwrap_err().is_not_found());
///
/// let report = tokens.renew(&RenewalPolicy::new())?;
/// assert_eq!(report.to_string(), "1 token: 1 skipped");
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct ServiceTokens {
    inner: crate::ServiceTokens,
    waiter: Waiter,
}

impl ServiceTokens {
    /// Returns a builder for a listing, by page or as an iterator.
    ///
    /// See the example of [`ListServiceTokens`].
    pub fn list(&self) -> ListServiceTokens {
        ListServiceTokens {
            inner: self.inner.list(),
            waiter: self.waiter.clone(),
        }
    }

    forward! { "ServiceTokens":
        get account_id() -> &AccountId;
        get now() -> DateTime<Utc>;
        set_ref with(set: impl FnOnce(CallOptions) -> CallOptions);
        wait find(name: &str) -> ServiceToken;
        wait create(request: &CreateServiceToken) -> Response<IssuedServiceToken>;
        wait get(token: impl ToServiceTokenId) -> Response<ServiceToken>;
        wait update(token: impl ToServiceTokenId, request: &UpdateServiceToken) -> Response<ServiceToken>;
        wait delete(token: impl ToServiceTokenId) -> Response<ServiceToken>;
        wait refresh(token: impl ToServiceTokenId) -> Response<ServiceToken>;
        wait rotate(token: impl ToServiceTokenId, request: &RotateServiceToken) -> Response<IssuedServiceToken>;
    }

    /// Renews the due tokens of the account; see [`crate::ServiceTokens::renew`]. The report
    /// says what failed.
    ///
    /// See the example of [`ServiceTokens`].
    ///
    /// # Errors
    ///
    /// In an asynchronous task, an error for which [`Error::is_configuration`] holds.
    pub fn renew(&self, policy: &RenewalPolicy) -> Result<RenewalReport, Error> {
        self.waiter.wait(self.inner.renew(policy).into_future())
    }
}

/// A listing of service tokens; see [`crate::ListServiceTokens`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { blocking_example(|runtime, simulator, client, tokens, id| {
/// let page = tokens.list().search("dep").per_page(10).page(1)?;
/// assert_eq!(page.tokens.len(), 1);
/// for token in tokens.list().name("deploy").iter() {
///     assert_eq!(token?.name.as_deref(), Some("deploy"));
/// }
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
#[must_use = "nothing is listed until `page` or `iter` is called"]
pub struct ListServiceTokens {
    inner: crate::ListServiceTokens,
    waiter: Waiter,
}

impl ListServiceTokens {
    forward! { "ListServiceTokens":
        set name(name: impl Into<String>);
        set search(text: impl Into<String>);
        set per_page(tokens: u32);
        wait page(page: u32) -> Response<ServiceTokenPage>;
    }

    /// Returns an iterator over all tokens, which requests them page by page; see
    /// [`crate::ListServiceTokens::stream`].
    ///
    /// See the example of [`ListServiceTokens`].
    pub fn iter(self) -> EntryIter<ServiceToken> {
        EntryIter {
            stream: Some(self.inner.stream()),
            waiter: self.waiter,
        }
    }
}

/// An iterator over all entries of a listing; returned by [`ListServiceTokens::iter`] and
/// [`Client::accounts`]. It ends after the first error.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { blocking_example(|runtime, simulator, client, tokens, id| {
/// let all = tokens.list().iter().collect::<Result<Vec<ServiceToken>, Error>>()?;
/// assert_eq!(all.len(), 1);
/// # Ok(()) }) }
/// ```
#[must_use = "nothing is listed until `next` is called"]
pub struct EntryIter<T> {
    /// `None` after a call in an asynchronous task.
    stream: Option<EntryStream<T>>,
    waiter: Waiter,
}

impl<T: Send> Iterator for EntryIter<T> {
    type Item = Result<T, Error>;

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

impl<T> fmt::Debug for EntryIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryIter").finish_non_exhaustive()
    }
}

/// A call to an endpoint that this crate has no method for; see
/// [`crate::RawRequest`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { blocking_example(|runtime, simulator, client, tokens, id| {
/// use cf_service_tokens::{Method, ServiceToken};
///
/// let path = format!("/accounts/{}/access/service_tokens", simulator.account_id());
/// let request = client.request(Method::GET, path).query("per_page", "5");
/// let found = request.send::<Vec<ServiceToken>>()?;
/// assert_eq!(found[0].name.as_deref(), Some("deploy"));
/// # Ok(()) }) }
/// ```
#[must_use = "nothing is sent until `send` is called"]
pub struct RawRequest {
    inner: crate::RawRequest,
    waiter: Waiter,
}

impl RawRequest {
    forward! { "RawRequest":
        set query(name: impl Into<String>, value: impl Into<String>);
        set json(body: &(impl Serialize + ?Sized));
        set idempotent();
    }

    /// Waits for [`send`](crate::RawRequest::send).
    ///
    /// See the example of [`RawRequest`].
    ///
    /// # Errors
    ///
    /// The same as for the asynchronous call. In an asynchronous task, an error for which
    /// [`Error::is_configuration`] holds.
    pub fn send<T: DeserializeOwned + Send>(self) -> Result<Response<T>, Error> {
        self.waiter.wait(self.inner.send())?
    }
}
