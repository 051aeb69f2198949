//! The result of a successful call.

use std::fmt;
use std::ops::Deref;

use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::answer::Answer;
use crate::answer::message::ApiMessage;
use crate::answer::read::{Undecodable, exactly};
use crate::answer::redact::Redactor;
use crate::call::operation::Operation;
use crate::error::{Error, ErrorKind, Prose};

/// The result of a successful call: a value, and the response that contained it.
///
/// It derefs to the value, so the value's fields and methods are available on it:
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use cf_service_tokens::ServiceToken;
///
/// let token = tokens.refresh(&id).await?;
/// println!("{:?} expires at {:?}", token.name, token.expires_at);
/// println!("ray id {:?}", token.ray_id());
/// let token: ServiceToken = token.into_inner();
/// assert_eq!(token.name.as_deref(), Some("deploy"));
/// # Ok(()) }) }
/// ```
///
/// The rest of the response:
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// let token = tokens.refresh(&id).await?;
/// assert_eq!(token.status(), 200);
/// assert_eq!(token.attempts(), 1);
/// assert!(token.ray_id().is_some());
/// assert!(token.headers().contains_key("ratelimit"));
/// assert!(token.body().starts_with(b"{"));
/// assert!(token.api_errors().is_empty() && token.api_messages().is_empty());
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct Response<T> {
    pub(crate) value: T,
    pub(crate) unreadable: Vec<String>,
    pub(crate) operation: Operation,
    pub(crate) attempts: u32,
    /// Redacts errors about the body, which may contain a secret.
    pub(crate) redactor: Redactor,
    pub(crate) answer: Box<Answer>,
}

impl<T> Response<T> {
    /// Changes the value, and keeps the rest of the response.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Response<U> {
        Response {
            value: change(self.value),
            unreadable: self.unreadable,
            operation: self.operation,
            attempts: self.attempts,
            redactor: self.redactor,
            answer: self.answer,
        }
    }

    /// Returns the value alone.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// let token: ServiceToken = tokens.get(&id).await?.into_inner();
    /// assert_eq!(token.name.as_deref(), Some("deploy"));
    /// # Ok(()) }) }
    /// ```
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Returns the `errors` of the envelope, which Cloudflare documents for a success as
    /// well; usually empty.
    ///
    /// See the example of [`Response`].
    pub fn api_errors(&self) -> &[ApiMessage] {
        &self.answer.errors
    }

    /// Returns the `messages` of the envelope, which the API adds to the result.
    ///
    /// See the example of [`Response`].
    pub fn api_messages(&self) -> &[ApiMessage] {
        &self.answer.messages
    }

    /// Returns the paths of the parts of the response that could not be read, such as
    /// `result.last_seen_at`; the value lacks them. Usually empty.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens_simulator::{Fault, WrongJson};
    ///
    /// simulator.inject(Fault::WrongJson(WrongJson::FieldsOfAnotherType));
    /// let token = tokens.get(&id).await?;
    /// assert_eq!(token.unreadable(), ["result.enabled", "result.expires_at"]);
    /// assert_eq!((token.enabled, token.expires_at), (None, None));
    /// assert_eq!(token.name.as_deref(), Some("deploy"));
    /// # Ok(()) }) }
    /// ```
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// Returns the HTTP status.
    ///
    /// See the example of [`Response`].
    pub fn status(&self) -> StatusCode {
        self.answer.status
    }

    /// Returns the response's headers, without a `cf-ray`, `content-type` or `location` that
    /// repeats a credential.
    ///
    /// See the example of [`Response`].
    pub fn headers(&self) -> &HeaderMap {
        &self.answer.headers
    }

    /// Returns the ray id (`cf-ray`), by which Cloudflare's support identifies the
    /// request.
    ///
    /// See the example of [`Response`].
    pub fn ray_id(&self) -> Option<&str> {
        self.answer.ray_id()
    }

    /// Returns the response's body, unchanged.
    ///
    /// After create and rotate **it holds the client secret**, in memory that is not
    /// wiped when it is dropped. [`into_inner`](Self::into_inner) drops it.
    ///
    /// See the example of [`Response`].
    pub fn body(&self) -> &[u8] {
        &self.answer.body
    }

    /// Deserializes the body as a type of the caller, such as for fields that this crate
    /// lacks. The body is the whole envelope, not its `result` alone.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// #[derive(serde::Deserialize)]
    /// struct Envelope {
    ///     success: bool,
    /// }
    ///
    /// let token = tokens.get(&id).await?;
    /// assert!(token.json::<Envelope>()?.success);
    /// assert_eq!(token.json::<Vec<u8>>().unwrap_err().kind(), ErrorKind::Decode);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An error of the kind [`Decode`](crate::ErrorKind::Decode), with the path to the
    /// part that does not fit `U`. The call itself has succeeded.
    pub fn json<U: DeserializeOwned>(&self) -> Result<U, Error> {
        exactly(self.body()).map_err(|Undecodable { path, fault }| {
            let path = self.redactor.redact(&path);
            let words = format!(
                "the call succeeded, but its answer does not have the requested type at `{}`: {fault}",
                Prose(&path)
            );
            self.unusable(words).after_success()
        })
    }

    /// Returns the error of a success that can't be used; `words` say why.
    pub(crate) fn unusable(&self, words: String) -> Error {
        let answer = Some(self.answer.clone());
        Error::call(ErrorKind::Decode, words, &self.operation, answer).after(self.attempts, None)
    }

    /// Returns the number of attempts that the call took.
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
            .field("api_errors", &self.api_errors())
            .field("api_messages", &self.api_messages())
            .field("unreadable", &self.unreadable)
            .finish_non_exhaustive()
    }
}
