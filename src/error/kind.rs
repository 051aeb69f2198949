//! The kinds of failure.

use std::fmt;

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
    /// There are no credentials, or several, or they can't be sent in a header. No call
    /// was made.
    Credentials,
    /// A text can't be an id. No call was made.
    InvalidId,
    /// The API could not accept the request. No call was made.
    InvalidRequest,
    /// [`find`](crate::ServiceTokens::find) found no token with the name.
    NoMatch,
    /// [`find`](crate::ServiceTokens::find) found several tokens with the name.
    Ambiguous,
    /// The client's own [`RateLimit`](crate::RateLimit) would delay the call past its
    /// deadline. Nothing was sent.
    Throttled,
    /// There was no connection. Nothing was sent.
    Connect,
    /// The TLS handshake failed. Nothing was sent.
    Tls,
    /// The proxy can't be used: its URL has an unsupported scheme, or it requires a
    /// user name and a password. Nothing reached the API.
    Proxy,
    /// There was no complete response in time.
    Timeout,
    /// The connection broke before the response was complete.
    Interrupted,
    /// The body is larger than the client accepts.
    BodyTooLarge,
    /// The response is a redirect, which is never followed.
    Redirect,
    /// Cloudflare's edge blocked the caller. Nothing reached the API.
    Blocked,
    /// The API refused the call, in an envelope with
    /// [`api_errors`](crate::Error::api_errors).
    Refused,
    /// The response is an error that does not come from the API, such as a page of a
    /// gateway.
    Status,
    /// The response could not be read, or holds no result.
    Decode,
}

impl ErrorKind {
    /// Returns the name of the kind, for programs.
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
