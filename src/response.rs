//! A success, and all that came with it.

use std::fmt;
use std::ops::Deref;

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::decode::{self, Undecodable};
use crate::error::{Error, FailedResponse, Kind};
use crate::generated::types::ApiMessage;
use crate::operation::Operation;
use crate::received::Received;

/// What a call answered: the value, and the response that it came in.
///
/// It derefs to the value, so that its fields and methods are at hand:
///
/// ```
/// use cf_service_tokens::ServiceToken;
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?.service_tokens();
/// # let id = simulator.tokens()[0].id.clone();
///
/// let token = tokens.refresh(&id).await?;
/// println!("{:?} lapses at {:?}", token.name, token.expires_at);
/// println!("ray id {:?}", token.ray_id());
/// let token: ServiceToken = token.into_inner();
/// assert_eq!(token.name.as_deref(), Some("deploy"));
/// # Ok(())
/// # }
/// ```
///
/// What came beside the value:
///
/// ```
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?.service_tokens();
/// # let id = simulator.tokens()[0].id.clone();
/// let token = tokens.refresh(&id).await?;
/// assert_eq!(token.status(), 200);
/// assert_eq!(token.attempts(), 1);
/// assert!(token.ray_id().is_some());
/// assert!(token.headers().contains_key("ratelimit"));
/// assert!(token.body().starts_with(b"{"));
/// assert!(token.api_errors().is_empty() && token.messages().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Response<T> {
    pub(crate) value: T,
    pub(crate) errors: Vec<ApiMessage>,
    pub(crate) messages: Vec<ApiMessage>,
    pub(crate) unreadable: Vec<String>,
    pub(crate) received: Received,
    pub(crate) attempts: u32,
    pub(crate) operation: &'static Operation,
}

impl<T> Response<T> {
    /// The response to the last of so many attempts.
    pub(crate) fn after(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The value alone.
    ///
    /// ```
    /// # use cf_service_tokens::ServiceToken;
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    /// let token: ServiceToken = tokens.get(&id).await?.into_inner();
    /// assert_eq!(token.name.as_deref(), Some("deploy"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The `errors` of the envelope, which Cloudflare's documentation shows beside a
    /// success as well; empty as a rule.
    ///
    /// See the example of [`Response`].
    pub fn api_errors(&self) -> &[ApiMessage] {
        &self.errors
    }

    /// Remarks that the API made beside the result.
    ///
    /// See the example of [`Response`].
    pub fn messages(&self) -> &[ApiMessage] {
        &self.messages
    }

    /// The paths of what was in the answer but could not be read, such as
    /// `result.last_seen_at`; the value is without them. Empty as a rule.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{Fault, WrongJson};
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    ///
    /// simulator.inject(Fault::WrongJson(WrongJson::FieldsOfAnotherType));
    /// let token = tokens.get(&id).await?;
    /// assert_eq!(token.unreadable(), ["result.enabled", "result.expires_at"]);
    /// assert_eq!((token.enabled, token.expires_at), (None, None));
    /// assert_eq!(token.name.as_deref(), Some("deploy"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// The HTTP status.
    ///
    /// See the example of [`Response`].
    pub fn status(&self) -> StatusCode {
        self.received.status
    }

    /// The response's headers, without a `cf-ray`, `content-type` or `location` that
    /// repeats a credential.
    ///
    /// See the example of [`Response`].
    pub fn headers(&self) -> &HeaderMap {
        &self.received.headers
    }

    /// Cloudflare's name for the request (`cf-ray`), which its support asks for.
    ///
    /// See the example of [`Response`].
    pub fn ray_id(&self) -> Option<&str> {
        self.received.ray_id()
    }

    /// The response's body, exactly as it came.
    ///
    /// After create and rotate **it holds the client secret**, in memory that is not
    /// wiped when it is dropped. [`into_inner`](Self::into_inner) leaves it behind.
    ///
    /// See the example of [`Response`].
    pub fn body(&self) -> &[u8] {
        &self.received.body
    }

    /// The body once more, read as a `U` of the caller's own: for what this
    /// crate has no field for. It is the whole envelope, not its `result` alone.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    /// #[derive(serde::Deserialize)]
    /// struct Envelope {
    ///     success: bool,
    /// }
    ///
    /// let token = tokens.get(&id).await?;
    /// assert!(token.json::<Envelope>()?.success);
    /// assert!(token.json::<Vec<u8>>().unwrap_err().is_decode());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_decode`] holds, with the path to what does not
    /// fit `U`. The call itself has succeeded all the same.
    pub fn json<U: DeserializeOwned>(&self) -> Result<U, Error> {
        decode::exactly(self.body())
            .map_err(|Undecodable { path, fault }| self.unusable(Kind::OtherType { path, fault }))
    }

    /// The error of a success that is of no use, with all that came with it.
    pub(crate) fn unusable(&self, kind: Kind) -> Error {
        let response = FailedResponse {
            received: self.received.clone(),
            // No part of a success is printed: it may hold a secret.
            excerpt: String::new(),
            errors: self.errors.clone(),
            messages: self.messages.clone(),
        };
        Error::call(kind, self.operation, Some(response)).after(self.attempts, None)
    }

    /// How often the request was sent until this answer came.
    ///
    /// See the example of [`Response`].
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl<T> Deref for Response<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> AsRef<T> for Response<T> {
    fn as_ref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Response<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("value", &self.value)
            .field("status", &self.status())
            .field("ray_id", &self.ray_id())
            .field("attempts", &self.attempts)
            .field("api_errors", &self.errors)
            .field("messages", &self.messages)
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}
