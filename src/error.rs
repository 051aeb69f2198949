//! The one error of the crate.

use std::error::Error as StdError;
use std::fmt;
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
/// ```no_run
/// # async fn example(tokens: cf_service_tokens::AccountServiceTokens, id: &str) {
/// match tokens.refresh(id).await {
///     Ok(token) => println!("good until {:?}", token.expires_at),
///     Err(error) if error.is_not_found() => println!("no such token: {id}"),
///     Err(error) => {
///         println!("{error}");
///         println!("ray id {:?}", error.ray_id());
///         println!("may have been refreshed: {}", error.may_have_been_applied());
///     }
/// }
/// # }
/// ```
///
/// What it prints never holds a credential, nor anything that looks like the
/// secret of a service token. [`body`](Self::body) is as it came.
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
    Shape { path: String, fault: String },
    NoResult,
    OtherType { path: String, fault: String },
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
    pub fn is_configuration(&self) -> bool {
        matches!(self.0.kind, Kind::Configuration(_) | Kind::Credentials(_))
    }

    /// Whether what the client was set up wrongly with is its credentials: there
    /// are none, or several, or some that no request can carry.
    /// [`is_configuration`](Self::is_configuration) holds as well; whether the API
    /// accepts them, [`is_auth`](Self::is_auth) tells.
    pub fn is_credentials(&self) -> bool {
        matches!(self.0.kind, Kind::Credentials(_))
    }

    /// Whether a text that should be an id can't be one; no call was made.
    pub fn is_invalid_id(&self) -> bool {
        matches!(self.0.kind, Kind::InvalidId(_))
    }

    /// Whether a request asks for what the API can't do; no call was made.
    pub fn is_invalid_request(&self) -> bool {
        matches!(self.0.kind, Kind::InvalidRequest(_))
    }

    /// Whether no connection came about, so that nothing was sent. A failed TLS
    /// handshake counts; [`is_tls`](Self::is_tls) tells it apart.
    pub fn is_connect(&self) -> bool {
        matches!(self.0.kind, Kind::Connect | Kind::Tls)
    }

    /// Whether the two sides found no common ground for TLS, such as a
    /// certificate that the system does not trust.
    pub fn is_tls(&self) -> bool {
        matches!(self.0.kind, Kind::Tls)
    }

    /// Whether the answer, its body included, was not there in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, Kind::Timeout(_))
    }

    /// Whether the connection broke before the answer was complete.
    pub fn is_interrupted(&self) -> bool {
        matches!(self.0.kind, Kind::Transport)
    }

    /// Whether the body was larger than the client accepts.
    pub fn is_body_too_large(&self) -> bool {
        matches!(self.0.kind, Kind::BodyTooLarge(_))
    }

    /// Whether the answer was a redirect, which is never followed.
    pub fn is_redirect(&self) -> bool {
        matches!(self.0.kind, Kind::Redirect(_))
    }

    /// Whether the API itself refused the call, in an envelope with
    /// [`api_errors`](Self::api_errors).
    pub fn is_refused(&self) -> bool {
        matches!(self.0.kind, Kind::Refused)
    }

    /// Whether no sense could be made of the answer: it was not JSON, or JSON of
    /// another shape than the API documents or the caller asked for, or a success
    /// without a result, or pages of a listing that have no end.
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
    /// ```no_run
    /// # async fn example(tokens: cf_service_tokens::AccountServiceTokens, ids: &[&str]) {
    /// for id in ids {
    ///     match tokens.refresh(*id).await {
    ///         Ok(token) => println!("{id}: good until {:?}", token.expires_at),
    ///         Err(error) => {
    ///             println!("{id}: {error}");
    ///             if error.is_unauthenticated() {
    ///                 break;
    ///             }
    ///         }
    ///     }
    /// }
    /// # }
    /// ```
    pub fn is_unauthenticated(&self) -> bool {
        self.status() == Some(StatusCode::UNAUTHORIZED)
            || self.has_code(AUTHENTICATION_ERROR)
            || self.has_code(INVALID_ACCESS_TOKEN)
    }

    /// Whether there is no such service token, account or route: HTTP 404.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Whether there is no service token of the id that the call was given: HTTP
    /// 404 to a call on one token, unless Cloudflare's code 7000 or 7003 says that
    /// there is no such route. [`is_not_found`](Self::is_not_found) holds as well.
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
    pub fn is_rate_limited(&self) -> bool {
        self.status() == Some(StatusCode::TOO_MANY_REQUESTS)
            || self.has_code(971)
            || matches!(self.0.kind, Kind::Throttled(_))
    }

    /// The HTTP status, if there was a response.
    pub fn status(&self) -> Option<StatusCode> {
        self.received().map(|received| received.status)
    }

    /// The response's headers, if there was a response; without a `cf-ray`,
    /// `content-type` or `location` that repeats a credential.
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.received().map(|received| &received.headers)
    }

    /// As much of the response's body as arrived, exactly as it came.
    ///
    /// **It may hold a secret**, in memory that is not wiped when it is dropped: it is
    /// for programs, and printed by nothing here.
    pub fn body(&self) -> Option<&[u8]> {
        self.received().map(|received| received.body.as_ref())
    }

    /// Cloudflare's name for the request (`cf-ray`), which its support asks for.
    pub fn ray_id(&self) -> Option<&str> {
        self.received().and_then(Received::ray_id)
    }

    /// How long the API asked to be left alone (`Retry-After`), or how long the
    /// client's own [`RateLimit`](crate::RateLimit) would have held the call up.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.kind {
            Kind::Throttled(wait) => Some(wait),
            _ => self.received().and_then(Received::retry_after),
        }
    }

    /// The `errors` of the envelope; empty where there was none.
    pub fn api_errors(&self) -> &[ApiMessage] {
        self.response()
            .map_or(&[], |response| response.errors.as_slice())
    }

    /// The `messages` of the envelope; empty where there was none.
    pub fn api_messages(&self) -> &[ApiMessage] {
        self.response()
            .map_or(&[], |response| response.messages.as_slice())
    }

    /// How often the request was sent, or tried to be sent; 0 where the call
    /// failed before that.
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

    /// What the reader can do about it.
    fn advice(&self) -> Option<&'static str> {
        if self.is_auth() {
            return Some(
                "check that the credentials are right, that they have the permission \"Access: Service Tokens Write\", and that the account or zone is one that they are for",
            );
        }
        if matches!(self.0.kind, Kind::Throttled(_)) {
            return Some("wait, or give the call a longer deadline");
        }
        if self.is_rate_limited() {
            return Some("wait as long as `Retry-After` says, or five minutes");
        }
        if self.is_token_not_found() {
            return Some("check the id: a service token's `client_id` is not its `id`");
        }
        if self.is_not_found() || self.is_no_route() {
            return Some("check the base URL and the ids");
        }
        match &self.0.kind {
            Kind::Connect => Some("check the network, the proxy settings and the base URL"),
            Kind::Tls => Some("check the system's certificates and clock, and the base URL"),
            Kind::Redirect(_) => Some("check the base URL"),
            // The caller holds the answer that tells of it.
            Kind::OtherType { .. } => None,
            _ if self.may_have_been_applied() => {
                Some("the call may have taken effect; look at the token to be sure")
            }
            _ => None,
        }
    }

    fn fmt_kind(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::Configuration(words)
            | Kind::Credentials(words)
            | Kind::InvalidId(words)
            | Kind::InvalidRequest(words) => f.write_str(words),
            Kind::Throttled(wait) => write!(
                f,
                "the rate limit holds the call up for {wait:?}, which is past its deadline"
            ),
            Kind::Connect => f.write_str("no connection came about"),
            Kind::Tls => f.write_str("no secure connection came about"),
            Kind::Timeout(limit) => {
                let limit = limit.as_millis();
                write!(f, "no complete answer within {limit} ms")
            }
            Kind::Transport => f.write_str("the connection broke before the answer was complete"),
            Kind::BodyTooLarge(limit) => {
                write!(
                    f,
                    "the answer's body is larger than the {limit} bytes allowed"
                )
            }
            Kind::Redirect(Some(host)) => {
                write!(
                    f,
                    "the answer is a redirect to {host:?}, which is not followed"
                )
            }
            Kind::Redirect(None) => f.write_str("the answer is a redirect, which is not followed"),
            Kind::Refused => f.write_str("the API refused the call"),
            Kind::Status if self.api_errors().is_empty() => {
                f.write_str("the answer is an error without the API's envelope")
            }
            Kind::Status => {
                f.write_str("the answer is an error, though its envelope does not say so")
            }
            Kind::NotJson => f.write_str("the answer is not JSON"),
            Kind::Shape { path, fault } => {
                write!(f, "the answer's JSON can't be read at `{path}`: {fault}")
            }
            Kind::NoResult => f.write_str("the answer says success but holds no result"),
            Kind::OtherType { path, fault } => write!(
                f,
                "the call succeeded, but its answer is not of the type asked for at `{path}`: {fault}"
            ),
            Kind::Pages(words) => f.write_str(words),
        }
    }

    fn fmt_response(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(response) = self.response() else {
            return Ok(());
        };
        write!(f, " (HTTP {}", response.received.status.as_u16())?;
        if let Some(ray_id) = self.ray_id() {
            write!(f, ", ray id {}", ray_id.escape_debug())?;
        }
        if let Some(wait) = self.retry_after() {
            write!(f, ", retry after {wait:?}")?;
        }
        if self.is_decode() || matches!(self.0.kind, Kind::Status) {
            match response.received.content_type() {
                Some(content_type) => write!(f, ", {}", content_type.escape_debug())?,
                None => f.write_str(", no content type")?,
            }
            write!(f, ", {} bytes", response.received.body.len())?;
        }
        f.write_str(")")?;
        for (index, error) in response.errors.iter().enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            write!(
                f,
                "{separator}{} {}",
                error.code,
                error.message.escape_debug()
            )?;
            if let Some(pointer) = error.source.as_ref().and_then(|s| s.pointer.as_ref()) {
                write!(f, " at {}", pointer.escape_debug())?;
            }
        }
        if response.errors.is_empty() && !response.excerpt.is_empty() {
            write!(f, ": {:?}", response.excerpt)?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(call) = &self.0.call {
            write!(f, "{}: ", call.operation.words())?;
        }
        self.fmt_kind(f)?;
        if self.attempts() > 1 {
            write!(f, ", at the last of {} attempts", self.attempts())?;
        }
        self.fmt_response(f)?;
        if let Some(advice) = self.advice() {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        // A program whose `main` returns an error shows this to its users.
        debug.field("message", &format_args!("{self}"));
        debug.field("kind", &self.kind_name());
        if let Some(call) = &self.0.call {
            debug
                .field("operation", &call.operation.id)
                .field("attempts", &call.attempts);
        }
        if let Some(response) = self.response() {
            debug
                .field("status", &response.received.status)
                .field("ray_id", &self.ray_id())
                .field("api_errors", &response.errors)
                .field("api_messages", &response.messages)
                .field("excerpt", &response.excerpt);
        }
        debug.field("source", &self.0.source).finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
