//! The one error of the crate.

mod display;

use std::error::Error as StdError;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::generated::types::ApiMessage;
use crate::operation::Operation;
use crate::received::Received;

/// Cloudflare's codes for credentials that are not accepted.
const AUTHENTICATION_ERROR: i64 = 10_000;
const INVALID_ACCESS_TOKEN: i64 = 9109;

/// What went wrong, with everything that is known about it.
///
/// The kinds of failure are asked for by predicates, such as
/// [`is_timeout`](Self::is_timeout); what a response said is kept whenever
/// there was a response at all, whether or not it made sense.
///
/// ```
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?.service_tokens();
/// let id = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
/// match tokens.refresh(id).await {
///     Ok(token) => println!("good until {:?}", token.expires_at),
///     Err(error) if error.is_not_found() => println!("no such token: {id}"),
///     Err(error) => {
///         println!("{error}");
///         println!("ray id {:?}", error.ray_id());
///         println!("may have been refreshed: {}", error.may_have_been_applied());
/// #       return Err(error.into());
///     }
/// }
/// # assert!(tokens.refresh(id).await.unwrap_err().is_not_found());
/// # Ok(())
/// # }
/// ```
///
/// What it prints never holds a credential, nor anything that looks like the
/// secret of a service token. [`body`](Self::body) is as it came.
///
/// # The kinds of failure
///
/// Each has a predicate, and most can be had from the simulator:
///
/// ```
/// use cf_service_tokens::{Error, Retry};
/// use cf_service_tokens_simulator::{Fault, SeedToken, Simulator, WrongJson};
/// # use cf_service_tokens::Client;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder()
/// #     .base_url(simulator.base_url())
/// #     .api_token(simulator.api_token())
/// #     .retry(Retry::none())
/// #     .build()?;
/// # let tokens = client.account(simulator.account_id())?.service_tokens();
/// # let id = simulator.tokens()[0].id.clone();
///
/// simulator.go_offline().await?;
/// let error = tokens.refresh(&id).await.unwrap_err();
/// assert!(error.is_connect() && !error.may_have_been_applied());
/// simulator.come_back().await?;
///
/// let kinds: [(Fault, fn(&Error) -> bool); 6] = [
///     (Fault::ResetAfterRequest, Error::is_interrupted),
///     (Fault::Redirect, Error::is_redirect),
///     (Fault::SuccessFalse, Error::is_refused),
///     (Fault::Status(401), Error::is_auth),
///     (Fault::WrongJson(WrongJson::ResultMissing), Error::is_decode),
///     (Fault::LockOut, Error::is_rate_limited),
/// ];
/// for (fault, is_of_the_kind) in kinds {
///     simulator.inject(fault);
///     let error = tokens.refresh(&id).await.unwrap_err();
///     assert!(is_of_the_kind(&error), "{error}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What the API said
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
/// let error = tokens.refresh("00000000-0000-0000-0000-000000000000").await.unwrap_err();
/// assert!(error.is_not_found() && error.is_refused());
/// assert_eq!(error.status().map(|status| status.as_u16()), Some(404));
/// assert_eq!(error.api_errors()[0].message, "access.api.error.service_token_not_found");
/// assert!(error.api_messages().is_empty());
/// assert!(error.ray_id().is_some());
/// assert!(error.headers().is_some_and(|headers| headers.contains_key("ratelimit")));
/// assert!(error.body().is_some_and(|body| body.starts_with(b"{")));
/// assert_eq!(error.attempts(), 1);
/// assert!(!error.may_have_been_applied());
/// # Ok(())
/// # }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    call: Option<Call>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What an error knows of the call that failed.
struct Call {
    operation: &'static Operation,
    attempts: u32,
    an_earlier_attempt_may_have_been_applied: bool,
    response: Option<FailedResponse>,
}

/// A response that was no success.
pub(crate) struct FailedResponse {
    pub(crate) received: Received,
    /// The start of the body, fit to be printed; empty where the body of a
    /// success must not be.
    pub(crate) excerpt: String,
    pub(crate) errors: Vec<ApiMessage>,
    pub(crate) messages: Vec<ApiMessage>,
}

/// The kinds of failure, each with the words that belong to it.
#[derive(Debug)]
pub(crate) enum Kind {
    Configuration(String),
    Credentials(String),
    InvalidId(String),
    InvalidRequest(String),
    /// The listing has no token of the name.
    NoMatch(String),
    /// The listing has several tokens of the name.
    Ambiguous(String),
    Throttled(Duration),
    Connect,
    Tls,
    Timeout(Duration),
    Transport,
    BodyTooLarge(usize),
    Redirect(Option<String>),
    Refused,
    Status,
    NotJson,
    Shape {
        path: String,
        fault: String,
    },
    NoResult,
    OtherType {
        path: String,
        fault: String,
    },
    Pages(String),
}

impl Error {
    pub(crate) fn configuration(words: impl Into<String>) -> Self {
        Self::outside_a_call(Kind::Configuration(words.into()))
    }

    /// Credentials that are missing, or that no request can carry.
    pub(crate) fn credentials(words: impl Into<String>) -> Self {
        Self::outside_a_call(Kind::Credentials(words.into()))
    }

    /// The same wrong set-up, if it is one, known to be about the credentials.
    pub(crate) fn about_credentials(mut self) -> Self {
        if let Kind::Configuration(words) = &mut self.0.kind {
            self.0.kind = Kind::Credentials(std::mem::take(words));
        }
        self
    }

    pub(crate) fn invalid_id(what: &str, id: &str, fault: String, hint: &str) -> Self {
        // An id that is a secret pasted into the wrong place must not be printed.
        let shown = match id.len() {
            0..=36 if !id.contains("cfast_") => format!("{id:?} "),
            _ => "what was given ".to_owned(),
        };
        Self::outside_a_call(Kind::InvalidId(format!(
            "{shown}is no {what} id: {fault}; {hint}"
        )))
    }

    pub(crate) fn invalid_request(words: impl Into<String>) -> Self {
        Self::outside_a_call(Kind::InvalidRequest(words.into()))
    }

    /// A token that a call is about, and whose id is not known.
    pub(crate) fn service_token_without_id(name: Option<&str>) -> Self {
        let name = name.map(|name| format!(" {name:?}")).unwrap_or_default();
        Self::outside_a_call(Kind::InvalidId(format!(
            "the service token{name} has no id; list the tokens, and take it from there"
        )))
    }

    /// A name that no token has, where one was to be found.
    pub(crate) fn no_match(words: impl Into<String>) -> Self {
        Self::outside_a_call(Kind::NoMatch(words.into()))
    }

    /// A name that several tokens have, where one was to be found.
    pub(crate) fn ambiguous(words: impl Into<String>) -> Self {
        Self::outside_a_call(Kind::Ambiguous(words.into()))
    }

    fn outside_a_call(kind: Kind) -> Self {
        Self(Box::new(Inner {
            kind,
            call: None,
            source: None,
        }))
    }

    /// A call that the client's own rate limit holds up for too long.
    pub(crate) fn throttled(operation: &'static Operation, wait: Duration) -> Self {
        let mut error = Self::call(Kind::Throttled(wait), operation, None);
        if let Some(call) = &mut error.0.call {
            call.attempts = 0;
        }
        error
    }

    /// The error of a call whose last attempt, of so many, failed with this.
    pub(crate) fn after(mut self, attempts: u32, earlier: Option<&Self>) -> Self {
        if let Some(call) = &mut self.0.call {
            call.attempts = attempts;
            call.an_earlier_attempt_may_have_been_applied =
                earlier.is_some_and(Self::may_have_been_applied);
        }
        self
    }

    /// A call that failed, with what is known of its last attempt.
    pub(crate) fn call(
        kind: Kind,
        operation: &'static Operation,
        response: Option<FailedResponse>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            call: Some(Call {
                operation,
                attempts: 1,
                an_earlier_attempt_may_have_been_applied: false,
                response,
            }),
            source: None,
        }))
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Whether the client was set up wrongly; no call was made.
    ///
    /// ```
    /// let error = cf_service_tokens::Client::builder().build().unwrap_err();
    /// assert!(error.is_configuration());
    /// assert_eq!(error.attempts(), 0);
    /// ```
    pub fn is_configuration(&self) -> bool {
        matches!(self.0.kind, Kind::Configuration(_) | Kind::Credentials(_))
    }

    /// Whether what the client was set up wrongly with is its credentials: there
    /// are none, or several, or some that no request can carry.
    /// [`is_configuration`](Self::is_configuration) holds as well; whether the API
    /// accepts them, [`is_auth`](Self::is_auth) tells.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// let error = Client::builder().api_token("").build().unwrap_err();
    /// assert!(error.is_credentials() && error.is_configuration());
    /// let error = Client::builder().api_token("token").base_url("?").build().unwrap_err();
    /// assert!(!error.is_credentials() && error.is_configuration());
    /// ```
    pub fn is_credentials(&self) -> bool {
        matches!(self.0.kind, Kind::Credentials(_))
    }

    /// Whether a text that should be an id can't be one; no call was made.
    ///
    /// ```
    /// let error = cf_service_tokens::AccountId::new("example.com").unwrap_err();
    /// assert!(error.is_invalid_id());
    /// ```
    pub fn is_invalid_id(&self) -> bool {
        matches!(self.0.kind, Kind::InvalidId(_))
    }

    /// Whether a request asks for what the API can't do; no call was made.
    ///
    /// See the example of [`UpdateServiceToken::new`](crate::UpdateServiceToken::new).
    pub fn is_invalid_request(&self) -> bool {
        matches!(self.0.kind, Kind::InvalidRequest(_))
    }

    /// Whether no connection came about, so that nothing was sent. A failed TLS
    /// handshake counts; [`is_tls`](Self::is_tls) tells it apart.
    ///
    /// See the [kinds of failure](Self#the-kinds-of-failure).
    pub fn is_connect(&self) -> bool {
        matches!(self.0.kind, Kind::Connect | Kind::Tls)
    }

    /// Whether the two sides found no common ground for TLS, such as a
    /// certificate that the system does not trust.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().start().await?;
    /// # let builder = cf_service_tokens::Client::builder().api_token("token");
    /// # let builder = builder.retry(cf_service_tokens::Retry::none());
    /// // The simulator speaks no TLS.
    /// let client = builder.base_url(simulator.base_url().replace("http://", "https://")).build()?;
    /// let error = client.account(simulator.account_id())?.service_tokens().list().page(1).await.unwrap_err();
    /// assert!(error.is_tls() && error.is_connect());
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_tls(&self) -> bool {
        matches!(self.0.kind, Kind::Tls)
    }

    /// Whether the answer, its body included, was not there in time.
    ///
    /// See the example of [`CallOptions::deadline`](crate::CallOptions::deadline).
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::Timeout(_))
    }

    /// Whether the connection broke before the answer was complete.
    ///
    /// See the [kinds of failure](Self#the-kinds-of-failure).
    pub fn is_interrupted(&self) -> bool {
        matches!(self.0.kind, Kind::Transport)
    }

    /// Whether the body was larger than the client accepts.
    ///
    /// See the example of [`ClientBuilder::body_limit`](crate::ClientBuilder::body_limit).
    pub fn is_body_too_large(&self) -> bool {
        matches!(self.0.kind, Kind::BodyTooLarge(_))
    }

    /// Whether the answer was a redirect, which is never followed.
    ///
    /// See the [kinds of failure](Self#the-kinds-of-failure).
    pub fn is_redirect(&self) -> bool {
        matches!(self.0.kind, Kind::Redirect(_))
    }

    /// Whether the API itself refused the call, in an envelope with
    /// [`api_errors`](Self::api_errors).
    ///
    /// See the [kinds of failure](Self#the-kinds-of-failure).
    pub fn is_refused(&self) -> bool {
        matches!(self.0.kind, Kind::Refused)
    }

    /// Whether no sense could be made of the answer: it was not JSON, or JSON of
    /// another shape than the API documents or the caller asked for, or a success
    /// without a result, or pages of a listing that have no end.
    ///
    /// See the [kinds of failure](Self#the-kinds-of-failure).
    pub fn is_decode(&self) -> bool {
        matches!(
            self.0.kind,
            Kind::NotJson
                | Kind::Shape { .. }
                | Kind::NoResult
                | Kind::OtherType { .. }
                | Kind::Pages(_)
        )
    }

    /// Whether the credentials were not accepted: HTTP 401, HTTP 403 from the
    /// API itself, or Cloudflare's code 10000 or 9109.
    ///
    /// See the [kinds of failure](Self#the-kinds-of-failure).
    pub fn is_auth(&self) -> bool {
        self.is_unauthenticated()
            || self.status() == Some(StatusCode::FORBIDDEN) && self.is_refused()
    }

    /// Whether the API does not know who calls: HTTP 401, or Cloudflare's code
    /// 10000 or 9109. [`is_auth`](Self::is_auth) holds as well.
    ///
    /// No other call with these credentials can fare better, so there is no use in
    /// going on. A 403 alone may be about one token.
    ///
    /// ```
    /// use cf_service_tokens_simulator::Fault;
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).token(SeedToken::new("backup")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let ids: Vec<String> = simulator.tokens().into_iter().map(|token| token.id).collect();
    ///
    /// simulator.inject(Fault::Status(401));
    /// for id in &ids {
    ///     match tokens.refresh(id).await {
    ///         Ok(token) => println!("{id}: good until {:?}", token.expires_at),
    ///         Err(error) => {
    ///             println!("{id}: {error}");
    ///             if error.is_unauthenticated() {
    ///                 break;
    ///             }
    ///         }
    ///     }
    /// }
    /// assert_eq!(simulator.requests().len(), 1, "the other token was not tried");
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_unauthenticated(&self) -> bool {
        self.status() == Some(StatusCode::UNAUTHORIZED)
            || self.has_code(AUTHENTICATION_ERROR)
            || self.has_code(INVALID_ACCESS_TOKEN)
    }

    /// Whether there is no such service token, account or route: HTTP 404, or
    /// [`find`](crate::ServiceTokens::find) found no token of the name.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND) || matches!(self.0.kind, Kind::NoMatch(_))
    }

    /// Whether [`find`](crate::ServiceTokens::find) found several tokens of the name.
    ///
    /// See the example of [`find`](crate::ServiceTokens::find).
    pub fn is_ambiguous(&self) -> bool {
        matches!(self.0.kind, Kind::Ambiguous(_))
    }

    /// Whether there is no service token of the id that the call was given: HTTP
    /// 404 to a call on one token, unless Cloudflare's code 7000 or 7003 says that
    /// there is no such route. [`is_not_found`](Self::is_not_found) holds as well.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::Simulator;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    ///
    /// let error = tokens.delete("f174e90a-fafe-4643-bbbc-4a0ed4fc8415").await.unwrap_err();
    /// assert!(error.is_token_not_found(), "somebody else has deleted it");
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_token_not_found(&self) -> bool {
        let is_of_one_token = self
            .0
            .call
            .as_ref()
            .is_some_and(|call| call.operation.is_of_one_token());
        self.is_not_found() && is_of_one_token && !self.is_no_route()
    }

    /// Whether the API has had too many calls: HTTP 429, or Cloudflare's code
    /// 971, or the client's own [`RateLimit`](crate::RateLimit) left no room
    /// before the deadline.
    ///
    /// See the example of [`retry_after`](Self::retry_after).
    pub fn is_rate_limited(&self) -> bool {
        self.status() == Some(StatusCode::TOO_MANY_REQUESTS)
            || self.has_code(971)
            || matches!(self.0.kind, Kind::Throttled(_))
    }

    /// The HTTP status, if there was a response.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn status(&self) -> Option<StatusCode> {
        self.received().map(|received| received.status)
    }

    /// The response's headers, if there was a response; without a `cf-ray`,
    /// `content-type` or `location` that repeats a credential.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.received().map(|received| &received.headers)
    }

    /// As much of the response's body as arrived, exactly as it came.
    ///
    /// **It may hold a secret**, in memory that is not wiped when it is dropped: it is
    /// for programs, and printed by nothing here.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn body(&self) -> Option<&[u8]> {
        self.received().map(|received| received.body.as_ref())
    }

    /// Cloudflare's name for the request (`cf-ray`), which its support asks for.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn ray_id(&self) -> Option<&str> {
        self.received().and_then(Received::ray_id)
    }

    /// How long the API asked to be left alone (`Retry-After`), or how long the
    /// client's own [`RateLimit`](crate::RateLimit) would have held the call up.
    ///
    /// The API says it in whole seconds.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use cf_service_tokens_simulator::Fault;
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    ///
    /// simulator.inject(Fault::TooManyRequests { retry_after_seconds: Some(300) });
    /// let error = tokens.get(&id).await.unwrap_err(); // the deadline is 3 minutes
    /// assert!(error.is_rate_limited());
    /// assert_eq!(error.retry_after(), Some(Duration::from_secs(300)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.kind {
            Kind::Throttled(wait) => Some(wait),
            _ => self.received().and_then(Received::retry_after),
        }
    }

    /// The `errors` of the envelope; empty where there was none.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn api_errors(&self) -> &[ApiMessage] {
        self.response()
            .map_or(&[], |response| response.errors.as_slice())
    }

    /// The `messages` of the envelope; empty where there was none.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn api_messages(&self) -> &[ApiMessage] {
        self.response()
            .map_or(&[], |response| response.messages.as_slice())
    }

    /// How often the request was sent, or tried to be sent; 0 where the call
    /// failed before that.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn attempts(&self) -> u32 {
        self.0.call.as_ref().map_or(0, |call| call.attempts)
    }

    /// Whether the call may have taken effect although it failed.
    ///
    /// `false` is certain: the request was never sent, the call only reads, or
    /// the API turned it away (a status from 300 to 499 other than 303, which says
    /// where to see what was done, and 408).
    /// `true` is not: the answer was lost, could not be read, or told of a
    /// failure on the other side. To refresh again is harmless in either case.
    ///
    /// ```
    /// use cf_service_tokens::RotateServiceToken;
    /// use cf_service_tokens_simulator::{Fault, Injection};
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    ///
    /// // The rotation takes place, and its answer is lost.
    /// simulator.inject(Injection::new(Fault::ResetAfterRequest).taking_effect());
    /// let error = tokens.rotate(&id, &RotateServiceToken::revoke_now()).await.unwrap_err();
    /// assert!(error.may_have_been_applied());
    /// # Ok(())
    /// # }
    /// ```
    pub fn may_have_been_applied(&self) -> bool {
        let Some(call) = &self.0.call else {
            return false;
        };
        if call.an_earlier_attempt_may_have_been_applied {
            return true;
        }
        let turned_away = self.status().is_some_and(|status| {
            (300..500).contains(&status.as_u16())
                && status != StatusCode::SEE_OTHER
                && status != StatusCode::REQUEST_TIMEOUT
        });
        let unsent = self.is_connect() || matches!(self.0.kind, Kind::Throttled(_));
        !call.operation.is_read() && !unsent && !turned_away
    }

    /// Whether the API has nothing at the path of the call.
    fn is_no_route(&self) -> bool {
        self.has_code(7000) || self.has_code(7003)
    }

    fn has_code(&self, code: i64) -> bool {
        self.api_errors().iter().any(|error| error.code == code)
    }

    fn response(&self) -> Option<&FailedResponse> {
        self.0.call.as_ref()?.response.as_ref()
    }

    pub(crate) fn received(&self) -> Option<&Received> {
        self.response().map(|response| &response.received)
    }

    /// The kind of failure in one word, for machines.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self.0.kind {
            Kind::Configuration(_) => "configuration",
            Kind::Credentials(_) => "credentials",
            Kind::InvalidId(_) => "invalid_id",
            Kind::InvalidRequest(_) => "invalid_request",
            Kind::NoMatch(_) => "no_match",
            Kind::Ambiguous(_) => "ambiguous",
            Kind::Throttled(_) => "throttled",
            Kind::Connect => "connect",
            Kind::Tls => "tls",
            Kind::Timeout(_) => "timeout",
            Kind::Transport => "interrupted",
            Kind::BodyTooLarge(_) => "body_too_large",
            Kind::Redirect(_) => "redirect",
            Kind::Refused => "refused",
            Kind::Status => "status",
            Kind::NotJson => "not_json",
            Kind::Shape { .. } => "shape",
            Kind::NoResult => "no_result",
            Kind::OtherType { .. } => "other_type",
            Kind::Pages(_) => "pages",
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
