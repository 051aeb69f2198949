//! Options for certain calls of a client.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::client::credentials;
use crate::error::Error;

/// Options that override the client's settings for certain calls; passed to the
/// function that [`Client::with`](crate::Client::with) and
/// [`ServiceTokens::with`](crate::ServiceTokens::with) take.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use std::time::Duration;
///
/// let hurried = tokens.with(|call| call.timeout(Duration::from_secs(2)));
/// let token = hurried.refresh(&id).await?;
/// assert_eq!(token.name.as_deref(), Some("deploy"));
/// # Ok(()) }) }
/// ```
#[derive(Clone, Default)]
#[must_use = "options have no effect unless the function returns them"]
pub struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    /// The deadline if neither the call nor the client sets one.
    pub(crate) default_deadline: Option<Duration>,
    headers: HeaderMap,
}

impl CallOptions {
    /// Sets how long one attempt may take, the body included. A call with a timeout of zero
    /// is refused before it is sent.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use std::time::Duration;
    ///
    /// let never = tokens.with(|call| call.timeout(Duration::ZERO));
    /// assert_eq!(never.get(&id).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    /// # Ok(()) }) }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long a call may take, with all its attempts and the pauses between them.
    /// A call with a deadline of zero is refused before it is sent.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use std::time::Duration;
    /// use cf_service_tokens_simulator::Fault;
    ///
    /// simulator.inject(Fault::StalledBody);
    /// let hurried = tokens.with(|call| call.deadline(Duration::from_secs(1)));
    /// assert_eq!(hurried.get(&id).await.unwrap_err().kind(), ErrorKind::Timeout);
    /// # Ok(()) }) }
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the deadline that applies if neither a call nor the client sets one.
    pub(crate) fn default_deadline(self, deadline: Duration) -> Self {
        Self {
            default_deadline: Some(deadline),
            ..self
        }
    }

    /// Adds a header to the request. It takes precedence over the client's own header
    /// of that name, such as `User-Agent`. A call that sets `Host` or a header for
    /// credentials is refused before it is sent.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use http::{HeaderValue, header::AUTHORIZATION};
    ///
    /// let own = HeaderValue::from_static("Bearer other");
    /// let other = tokens.with(|call| call.header(AUTHORIZATION, own));
    /// assert_eq!(other.get(&id).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    /// # Ok(()) }) }
    /// ```
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Checks the options. Returns the headers to send besides the client's own.
    pub(crate) fn checked(&self) -> Result<&HeaderMap, Error> {
        for (what, time) in [("timeout", self.timeout), ("deadline", self.deadline)] {
            if time.is_some_and(|time| time.is_zero()) {
                return Err(Error::invalid_request(format!(
                    "the call's {what} is zero, so the call can't succeed; set a longer one"
                )));
            }
        }
        let taken = self
            .headers
            .keys()
            .find(|name| *name == header::HOST || credentials::HEADERS.contains(name));
        match taken {
            None => Ok(&self.headers),
            Some(name) => Err(Error::invalid_request(format!(
                "the client sets the header {name} itself; remove it from the call"
            ))),
        }
    }
}

impl fmt::Debug for CallOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values of headers may be secrets, such as those of a gateway.
        let headers: Vec<&HeaderName> = self.headers.keys().collect();
        f.debug_struct("CallOptions")
            .field("timeout", &self.timeout)
            .field("deadline", &self.deadline)
            .field("headers", &headers)
            .finish()
    }
}
