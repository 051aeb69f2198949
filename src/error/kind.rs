//! The kinds of failure.

use std::fmt;
use std::time::Duration;

use crate::answer::envelope::Undecodable;

/// The kind of a failure; returned by [`Error::kind`](crate::Error::kind).
///
/// ```
/// use cf_service_tokens::{Client, ErrorKind};
///
/// let error = Client::builder().api_token("").build().unwrap_err();
/// match error.kind() {
///     ErrorKind::Credentials => println!("set CLOUDFLARE_API_TOKEN: {error}"),
///     kind => println!("{kind}: {error}"),
/// }
/// assert_eq!(error.kind(), ErrorKind::Credentials);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The client's configuration is faulty. No call was made.
    Configuration,
    /// There are no credentials, or several, or no request can carry them. No call was
    /// made.
    Credentials,
    /// A text can't be an id. No call was made.
    InvalidId,
    /// The API could not accept the request. No call was made.
    InvalidRequest,
    /// [`find`](crate::ServiceTokens::find) found no token of the name.
    NoMatch,
    /// [`find`](crate::ServiceTokens::find) found several tokens of the name.
    Ambiguous,
    /// The client's own [`RateLimit`](crate::RateLimit) would delay the call past its
    /// deadline. Nothing was sent.
    Throttled,
    /// There was no connection. Nothing was sent.
    Connect,
    /// The TLS handshake failed. Nothing was sent.
    Tls,
    /// The proxy can't be used: its URL has an unsupported scheme, or it wants a user
    /// name and a password. Nothing reached the API.
    Proxy,
    /// There was no complete answer in time.
    Timeout,
    /// The connection broke before the answer was complete.
    Interrupted,
    /// The body is larger than the client accepts.
    BodyTooLarge,
    /// The answer is a redirect, which is never followed.
    Redirect,
    /// Cloudflare's edge blocked the caller. Nothing reached the API.
    Blocked,
    /// The API refused the call, in an envelope with
    /// [`api_errors`](crate::Error::api_errors).
    Refused,
    /// The answer is an error that does not come from the API, such as a page of a
    /// gateway.
    Status,
    /// The answer could not be read, or holds no result.
    Decode,
}

impl ErrorKind {
    /// Returns the kind in one word, for machines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Credentials => "credentials",
            Self::InvalidId => "invalid_id",
            Self::InvalidRequest => "invalid_request",
            Self::NoMatch => "no_match",
            Self::Ambiguous => "ambiguous",
            Self::Throttled => "throttled",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::BodyTooLarge => "body_too_large",
            Self::Redirect => "redirect",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Status => "status",
            Self::Decode => "decode",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A kind of failure, with the facts that belong to it.
#[derive(Clone)]
pub(crate) enum Kind {
    Configuration(String),
    Credentials(String),
    InvalidId(String),
    InvalidRequest(String),
    NoMatch(String),
    Ambiguous(String),
    /// How long the call would wait.
    Throttled(Duration),
    /// The server's host and port.
    Connect(String),
    Tls,
    Proxy,
    /// How long there was time.
    Timeout(Duration),
    Interrupted,
    /// The most bytes allowed.
    BodyTooLarge(usize),
    /// The host that the redirect leads to.
    Redirect(Option<String>),
    Blocked,
    Refused,
    Status,
    Decode(Decode),
}

/// An answer that could not be read.
#[derive(Clone)]
pub(crate) struct Decode {
    pub(crate) fault: Undecodable,
    /// Whether the call succeeded, and its answer is only not of the type that the
    /// caller asked for.
    pub(crate) is_callers_type: bool,
}

impl Decode {
    pub(crate) fn new(fault: Undecodable) -> Self {
        Self {
            fault,
            is_callers_type: false,
        }
    }
}

impl Kind {
    pub(crate) fn public(&self) -> ErrorKind {
        match self {
            Self::Configuration(_) => ErrorKind::Configuration,
            Self::Credentials(_) => ErrorKind::Credentials,
            Self::InvalidId(_) => ErrorKind::InvalidId,
            Self::InvalidRequest(_) => ErrorKind::InvalidRequest,
            Self::NoMatch(_) => ErrorKind::NoMatch,
            Self::Ambiguous(_) => ErrorKind::Ambiguous,
            Self::Throttled(_) => ErrorKind::Throttled,
            Self::Connect(_) => ErrorKind::Connect,
            Self::Tls => ErrorKind::Tls,
            Self::Proxy => ErrorKind::Proxy,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Interrupted => ErrorKind::Interrupted,
            Self::BodyTooLarge(_) => ErrorKind::BodyTooLarge,
            Self::Redirect(_) => ErrorKind::Redirect,
            Self::Blocked => ErrorKind::Blocked,
            Self::Refused => ErrorKind::Refused,
            Self::Status => ErrorKind::Status,
            Self::Decode(_) => ErrorKind::Decode,
        }
    }
}
