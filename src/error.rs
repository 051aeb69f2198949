//! The error of the crate.

mod display;
mod kind;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::answer::Answer;
use crate::answer::meaning::Meaning;
use crate::answer::message::ApiMessage;
use crate::answer::problem::Problem;
use crate::call::operation::Operation;
pub(crate) use display::Prose;
pub use kind::ErrorKind;

/// The error of every call, with everything known about the failure.
///
/// [`kind`](Self::kind) says what failed. The predicates, such as
/// [`is_not_found`](Self::is_not_found), answer questions about several kinds. An error
/// keeps the response, valid or not. A clone is cheap.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
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
/// # Ok(()) }) }
/// ```
///
/// `{}` ends with advice, which names methods and variables; `{:#}` leaves it out, for a
/// program that gives its own.
///
/// Neither `Display` nor `Debug` shows a credential, or anything that looks like the
/// secret of a service token. [`body`](Self::body) is not redacted.
///
/// # The response of the API
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// let error = tokens.refresh("00000000-0000-0000-0000-000000000000").await.unwrap_err();
/// assert!(error.is_not_found() && error.kind() == ErrorKind::Refused);
/// assert_eq!(error.status().map(|status| status.as_u16()), Some(404));
/// assert_eq!(error.api_errors()[0].message, "access.api.error.service_token_not_found");
/// assert!(error.to_string().starts_with(&format!("{error:#}; check the id")));
/// assert!(error.api_messages().is_empty());
/// assert!(error.ray_id().is_some());
/// assert!(error.headers().is_some_and(|headers| headers.contains_key("ratelimit")));
/// assert!(error.body().is_some_and(|body| body.starts_with(b"{")));
/// assert_eq!(error.attempts(), 1);
/// assert!(!error.may_have_been_applied());
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    /// The failure and its cause.
    words: String,
    /// How long the client's own rate limit would delay the call.
    delay: Option<Duration>,
    call: Option<Call>,
    answer: Option<Box<Answer>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The call that failed.
#[derive(Clone)]
struct Call {
    operation: Operation,
    attempts: u32,
    an_earlier_attempt_may_have_been_applied: bool,
    /// Whether the call succeeded, and only reading its response as another type
    /// failed.
    has_succeeded: bool,
}

impl Error {
    /// Creates the error of a failure before any call.
    pub(crate) fn new(kind: ErrorKind, words: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            words: words.into(),
            delay: None,
            call: None,
            answer: None,
            source: None,
        }))
    }

    pub(crate) fn configuration(words: impl Into<String>) -> Self {
        Self::new(ErrorKind::Configuration, words)
    }

    /// Creates the error of a runtime without a timer or I/O.
    pub(crate) fn without_driver() -> Self {
        Self::configuration(
            "the tokio runtime of the call has no timer or no I/O; build it with `enable_all`",
        )
    }

    pub(crate) fn invalid_request(words: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, words)
    }

    /// Creates the error of a call, with the response to its last attempt.
    pub(crate) fn call(
        kind: ErrorKind,
        words: impl Into<String>,
        operation: &Operation,
        answer: Option<Box<Answer>>,
    ) -> Self {
        let call = Call {
            operation: operation.clone(),
            attempts: 1,
            an_earlier_attempt_may_have_been_applied: false,
            has_succeeded: false,
        };
        Self::new(kind, words).with(|inner| {
            inner.call = Some(call);
            inner.answer = answer;
        })
    }

    /// Creates the error of a call that the client's own rate limit would delay past its
    /// deadline.
    pub(crate) fn throttled(operation: &Operation, delay: Duration) -> Self {
        let words =
            format!("the client's rate limit would delay the call by {delay:?}, past its deadline");
        Self::call(ErrorKind::Throttled, words, operation, None)
            .after(0, None)
            .with(|inner| inner.delay = Some(delay))
    }

    /// Creates the error of a call that has no time left before its first attempt.
    pub(crate) fn out_of_time(operation: &Operation) -> Self {
        let words = "the deadline passed before the request could be sent";
        Self::call(ErrorKind::Timeout, words, operation, None).after(0, None)
    }

    /// Sets the number of attempts, and notes whether an earlier one may have been
    /// applied.
    pub(crate) fn after(self, attempts: u32, earlier: Option<&Self>) -> Self {
        self.with(|inner| {
            if let Some(call) = &mut inner.call {
                call.attempts = attempts;
                call.an_earlier_attempt_may_have_been_applied =
                    earlier.is_some_and(Self::may_have_been_applied);
            }
        })
    }

    /// Marks the error as one of reading the response to a call that succeeded.
    pub(crate) fn after_success(self) -> Self {
        self.with(|inner| {
            if let Some(call) = &mut inner.call {
                call.has_succeeded = true;
            }
        })
    }

    pub(crate) fn with_kind(self, kind: ErrorKind) -> Self {
        self.with(|inner| inner.kind = kind)
    }

    pub(crate) fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.with(|inner| inner.source = Some(Arc::new(source)))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Returns the kind of failure.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{ErrorKind, Retry};
    /// use cf_service_tokens_simulator::{Fault, SeedToken, Simulator, WrongJson};
    /// # let client = client_builder(&simulator).retry(Retry::none()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    ///
    /// for (fault, kind) in [
    ///     (Fault::ResetAfterRequest, ErrorKind::Interrupted),
    ///     (Fault::Redirect, ErrorKind::Redirect),
    ///     (Fault::SuccessFalse, ErrorKind::Refused),
    ///     (Fault::HtmlPage(502), ErrorKind::Status),
    ///     (Fault::WrongJson(WrongJson::ResultMissing), ErrorKind::Decode),
    /// ] {
    ///     simulator.inject(fault);
    ///     let error = tokens.refresh(&id).await.unwrap_err();
    ///     assert_eq!(error.kind(), kind, "{error}");
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the client's configuration or credentials are faulty, so that no
    /// call was made. [`is_auth`](Self::is_auth) is about credentials that the API
    /// rejects.
    ///
    /// ```
    /// let error = cf_service_tokens::Client::builder().build().unwrap_err();
    /// assert!(error.is_configuration());
    /// assert_eq!(error.attempts(), 0);
    /// ```
    pub fn is_configuration(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Configuration | ErrorKind::Credentials
        )
    }

    /// Returns whether there was no connection to the API, so that nothing was sent:
    /// the network, TLS or a proxy failed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::ErrorKind;
    /// # let client = client_builder(&simulator).retry(Retry::none()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    ///
    /// simulator.go_offline().await?;
    /// let error = tokens.refresh(&id).await.unwrap_err();
    /// assert!(error.is_connect() && !error.may_have_been_applied());
    /// assert_eq!(error.kind(), ErrorKind::Connect);
    /// # Ok(()) }) }
    /// ```
    pub fn is_connect(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Proxy
        )
    }

    /// Returns whether the same call may succeed later, without a change by the caller:
    /// there was no connection or no complete response, the API had too many calls, or
    /// it responded with HTTP 408, 500, 502, 503, 504 or 520 to 524.
    ///
    /// The client retries such calls by itself, unless that could do harm.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens_simulator::Fault;
    /// # let client = client_builder(&simulator).retry(Retry::none()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    ///
    /// simulator.inject(Fault::HtmlPage(502));
    /// assert!(tokens.get(&id).await.unwrap_err().is_transient());
    /// simulator.inject(Fault::Status(403));
    /// assert!(!tokens.get(&id).await.unwrap_err().is_transient());
    /// # Ok(()) }) }
    /// ```
    pub fn is_transient(&self) -> bool {
        let by_kind = matches!(
            self.kind(),
            ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Interrupted | ErrorKind::Throttled
        );
        by_kind || self.means(Meaning::Transient) || self.is_rate_limited()
    }

    /// Returns whether the API rejects the credentials, either altogether or for this
    /// call: HTTP 401, HTTP 403 from the API itself, or one of Cloudflare's codes for
    /// credentials, such as 10000 and 9109, even if the code is only in the
    /// [`error_chain`](crate::ApiMessage::error_chain).
    ///
    /// An account without Access also causes HTTP 403; that is not about credentials.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens_simulator::Fault;
    ///
    /// simulator.inject(Fault::Status(403));
    /// let error = tokens.get(&id).await.unwrap_err();
    /// assert!(error.is_auth() && !error.is_unauthenticated());
    /// # Ok(()) }) }
    /// ```
    pub fn is_auth(&self) -> bool {
        let is_forbidden = self.means(Meaning::Forbidden)
            && self.kind() == ErrorKind::Refused
            && !self.means(Meaning::AccessNotEnabled);
        self.is_unauthenticated() || is_forbidden
    }

    /// Returns whether the API does not know the caller: HTTP 401, or one of
    /// Cloudflare's codes for credentials. [`is_auth`](Self::is_auth) holds as well.
    ///
    /// Every other call with these credentials fails as well, whereas a 403 may concern
    /// a single token.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens_simulator::Fault;
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).token(SeedToken::new("backup")).start().await?;
    /// # let (client, tokens) = connect(&simulator);
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
    /// # Ok(()) }) }
    /// ```
    pub fn is_unauthenticated(&self) -> bool {
        self.means(Meaning::Unauthenticated) || self.means(Meaning::AddressNotAllowed)
    }

    /// Returns the permission that the API token probably lacks for this call, as Cloudflare
    /// names it: the API responded with HTTP 403, and stated no other reason. An account that
    /// the API token has no access to may cause the same.
    ///
    /// Calls that need another permission may still succeed. The names are those of
    /// `x-api-token-group` in Cloudflare's OpenAPI document, which has none for the
    /// [list of accounts](crate::Client::accounts).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens_simulator::Fault;
    ///
    /// simulator.inject(Fault::Status(403));
    /// let error = tokens.get(&id).await.unwrap_err();
    /// assert_eq!(error.missing_permission(), Some("Access: Service Tokens Write"));
    /// # Ok(()) }) }
    /// ```
    pub fn missing_permission(&self) -> Option<&'static str> {
        let says_otherwise = self.api_errors().iter().any(|error| {
            // 10000 stands for a lack of permission as well as for unknown credentials.
            let mut messages = error.with_chain().filter(|message| message.code != 10_000);
            messages.any(|message| Meaning::of_message(message).is_some())
        });
        let is_refused = self.kind() == ErrorKind::Refused && self.means(Meaning::Forbidden);
        let call = self.0.call.as_ref()?;
        call.operation
            .permission
            .filter(|_| is_refused && !says_otherwise)
    }

    /// Returns whether there is no such service token, account or route: HTTP 404, or
    /// [`find`](crate::ServiceTokens::find) found no token of the name.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn is_not_found(&self) -> bool {
        self.means(Meaning::NotFound) || self.kind() == ErrorKind::NoMatch
    }

    /// Returns whether there is no service token with the id of the call: HTTP 404 to a
    /// call for one token, unless Cloudflare's code 7000 or 7003 says that there is no
    /// such route. [`is_not_found`](Self::is_not_found) holds as well.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    ///
    /// let error =
    /// tokens.delete("f174e90a-fafe-4643-bbbc-4a0ed4fc8415").await.unwrap_err();
    /// assert!(error.is_token_not_found(), "another program has deleted it");
    /// # Ok(()) }) }
    /// ```
    pub fn is_token_not_found(&self) -> bool {
        let is_about_one_token = self
            .0
            .call
            .as_ref()
            .is_some_and(|call| call.operation.is_about_one_token());
        self.is_not_found() && is_about_one_token && !self.means(Meaning::NoRoute)
    }

    /// Returns whether there were too many calls: HTTP 429, or Cloudflare's code 971,
    /// or the client's own [`RateLimit`](crate::RateLimit) would delay the call past
    /// its deadline.
    ///
    /// See the example of [`retry_after`](Self::retry_after).
    pub fn is_rate_limited(&self) -> bool {
        self.means(Meaning::RateLimited) || self.kind() == ErrorKind::Throttled
    }

    /// Returns the HTTP status, if there was a response.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn status(&self) -> Option<StatusCode> {
        self.answer().map(|answer| answer.status)
    }

    /// Returns the response's headers, if there was a response; without a `cf-ray`,
    /// `content-type` or `location` that repeats a credential.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.answer().map(|answer| &answer.headers)
    }

    /// Returns the response's body, unchanged and as far as it arrived.
    ///
    /// **It may hold a secret**, in memory that is not wiped when it is dropped. No
    /// method prints it.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn body(&self) -> Option<&[u8]> {
        self.answer().map(|answer| answer.body.as_ref())
    }

    /// Returns the ray id (`cf-ray`), by which Cloudflare's support identifies the
    /// request.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn ray_id(&self) -> Option<&str> {
        self.answer().and_then(Answer::ray_id)
    }

    /// Returns how long the API asks the caller to wait (`Retry-After`, in whole
    /// seconds), or how long the client's own [`RateLimit`](crate::RateLimit) would
    /// delay the call.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens_simulator::Fault;
    ///
    /// simulator.inject(Fault::TooManyRequests { retry_after_seconds: Some(300) });
    /// let error = tokens.get(&id).await.unwrap_err(); // the deadline is 3 minutes
    /// assert!(error.is_rate_limited());
    /// assert_eq!(error.retry_after(), Some(Duration::from_secs(300)));
    /// # Ok(()) }) }
    /// ```
    pub fn retry_after(&self) -> Option<Duration> {
        self.0
            .delay
            .or_else(|| self.answer().and_then(Answer::retry_after))
    }

    /// Returns the `errors` of the envelope; empty if there was none.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn api_errors(&self) -> &[ApiMessage] {
        self.answer().map_or(&[], |answer| answer.errors.as_slice())
    }

    /// Returns the `messages` of the envelope; empty if there was none.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn api_messages(&self) -> &[ApiMessage] {
        self.answer()
            .map_or(&[], |answer| answer.messages.as_slice())
    }

    /// Returns the report of Cloudflare's edge, if it responded in place of the API.
    ///
    /// ```
    /// # async fn example(tokens: cf_service_tokens::ServiceTokens, id: &str) {
    /// if let Err(error) = tokens.refresh(id).await {
    ///     if let Some(problem) = error.problem() {
    ///         println!("{:?}: {:?}", problem.title, problem.detail);
    ///         println!("code {:?}, retryable: {:?}", problem.error_code, problem.retryable);
    ///     }
    /// }
    /// # }
    /// ```
    pub fn problem(&self) -> Option<&Problem> {
        self.answer()?.problem.as_ref()
    }

    /// Returns the paths in the body's JSON at which a new client secret may be, such as
    /// `result[0].client_secret`; or `body`, if a secret is somewhere in a body that is not
    /// JSON.
    ///
    /// The API documents the secret at `result.client_secret` of a success. In any other
    /// case a call that makes a secret returns an error, and [`body`](Self::body) keeps
    /// everything that arrived. A text at one of these paths may or may not be the
    /// secret; only a person can tell.
    ///
    /// ```
    /// # async fn example(tokens: cf_service_tokens::ServiceTokens, id: &str) {
    /// use cf_service_tokens::RotateServiceToken;
    ///
    /// if let Err(error) = tokens.rotate(id, &RotateServiceToken::revoke_now()).await {
    ///     if !error.secret_places().is_empty() {
    ///         println!("keep the body; look at {}", error.secret_places().join(", "));
    ///     }
    /// }
    /// # }
    /// ```
    pub fn secret_places(&self) -> &[String] {
        self.answer().map_or(&[], |answer| &answer.secret_places)
    }

    /// Returns the number of attempts; 0 if the call failed before the first.
    ///
    /// See the example of [what the API said](Self#what-the-api-said).
    pub fn attempts(&self) -> u32 {
        self.0.call.as_ref().map_or(0, |call| call.attempts)
    }

    /// Returns whether the call may have taken effect although it failed.
    ///
    /// `false` is certain: the request was never sent, the call only reads, or the API
    /// rejected it (a status from 300 to 499 other than 408 and 303, which redirects to
    /// a result). `true` is not: the response was lost, could not be read, or reports a
    /// failure of the server. Another refresh is harmless in either case.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::RotateServiceToken;
    /// use cf_service_tokens_simulator::{Fault, Injection};
    ///
    /// // The rotation takes place, and its answer is lost.
    /// simulator.inject(Injection::new(Fault::ResetAfterRequest).taking_effect());
    /// let error = tokens.rotate(&id, &RotateServiceToken::revoke_now()).await.unwrap_err();
    /// assert!(error.may_have_been_applied());
    /// # Ok(()) }) }
    /// ```
    pub fn may_have_been_applied(&self) -> bool {
        let Some(call) = &self.0.call else {
            return false;
        };
        if call.an_earlier_attempt_may_have_been_applied {
            return true;
        }
        let meaning = self.status().and_then(Meaning::of_status);
        let is_rejected = meaning.is_some_and(Meaning::is_rejection);
        let is_unsent = self.is_connect() || self.attempts() == 0;
        !call.operation.is_read() && !is_unsent && !is_rejected
    }

    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.0.answer.as_deref()
    }

    fn means(&self, meaning: Meaning) -> bool {
        self.answer().is_some_and(|answer| answer.means(meaning))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
