//! The exchange of one attempt over the wire.
//!
//! The generated methods say what to send. The hook that they run sends it, reads the
//! answer up to a limit, and keeps all of it, since a generated method forgets
//! whatever it can't decode. The method itself is handed an empty answer of a status
//! that it does not decode, so that the facade alone reads the answer, once.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use progenitor_client::{ClientHooks, OperationInfo};
use reqwest::{Request, ResponseBuilderExt, Url};
use tracing::Span;

use crate::answer::Answer;
use crate::answer::redact::Redactor;
use crate::call::clock::Clock;
use crate::call::{connect, trace};
use crate::generated;

/// The most memory that is reserved by the length that an answer claims.
const MAX_RESERVED: usize = 64 * 1024;
/// A status that no generated method decodes: the build refuses a fragment with it.
const NOT_DECODED: StatusCode = StatusCode::NO_CONTENT;

/// One attempt: how to make it, and what came back.
#[derive(Clone)]
pub(crate) struct Exchange {
    /// The headers besides those of the generated code.
    pub(crate) headers: Arc<HeaderMap>,
    /// How long the attempt may take, the answer's body included.
    pub(crate) timeout: Duration,
    /// The most bytes that the answer's body may have.
    pub(crate) body_limit: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) kept: Kept,
    pub(crate) redactor: Redactor,
    /// The attempt's span. Where it is disabled, the current one is a caller's.
    pub(crate) span: Span,
}

/// The place where the hook leaves what came of the attempt.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Option<Exchanged>>>);

impl Kept {
    fn keep(&self, exchanged: Exchanged) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(exchanged);
    }

    /// Takes what the hook left, if it ran.
    pub(crate) fn take(&self) -> Option<Exchanged> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take()
    }
}

/// What came of an attempt.
pub(crate) enum Exchanged {
    /// The attempt ended without a connection, so nothing was sent.
    Unconnected(reqwest::Error),
    /// The request may have been sent, and no answer came.
    Unanswered(reqwest::Error),
    /// An answer, or the start of one.
    Answered(Box<Answer>, BodyEnd),
}

/// How reading a body ended.
pub(crate) enum BodyEnd {
    Complete,
    Broken(reqwest::Error),
    TooLarge,
}

impl ClientHooks<Exchange> for generated::Client {
    async fn exec(
        &self,
        mut request: Request,
        _: &OperationInfo,
    ) -> reqwest::Result<reqwest::Response> {
        let exchange = &self.inner;
        // The generator adds a header for the document's version, which
        // Cloudflare's API does not know.
        request.headers_mut().remove("api-version");
        extend(request.headers_mut(), &exchange.headers);
        trace::request(&exchange.span, request.url(), &exchange.redactor);
        *request.timeout_mut() = Some(exchange.timeout);

        let url = request.url().clone();
        let sent = connect::watch(self.client.execute(request)).await;
        exchange.kept.keep(match sent {
            (Ok(response), _) => exchange.read(response).await,
            (Err(error), is_unconnected) if is_unconnected || error.is_connect() => {
                Exchanged::Unconnected(error)
            }
            (Err(error), _) => Exchanged::Unanswered(error),
        });
        Ok(nothing_to_decode(url))
    }
}

impl Exchange {
    /// Reads an answer, with its body up to the limit.
    async fn read(&self, mut response: reqwest::Response) -> Exchanged {
        let received_at = self.clock.now();
        let headers = mem::take(response.headers_mut());
        let mut answer = Answer::new(response.status(), headers, Bytes::new(), received_at);
        let announced = response.content_length().unwrap_or_default();
        let room = usize::try_from(announced).unwrap_or(usize::MAX);
        let mut body = BytesMut::with_capacity(room.min(self.body_limit).min(MAX_RESERVED));
        let end = loop {
            let room = self.body_limit - body.len();
            match response.chunk().await {
                Ok(Some(chunk)) if chunk.len() > room => {
                    body.extend_from_slice(&chunk[..room]);
                    break BodyEnd::TooLarge;
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break BodyEnd::Complete,
                Err(error) => break BodyEnd::Broken(error),
            }
        };
        answer.body = body.freeze();
        Exchanged::Answered(Box::new(answer), end)
    }
}

/// Adds the headers, which replace those with the same names.
fn extend(headers: &mut HeaderMap, others: &HeaderMap) {
    for name in others.keys() {
        headers.remove(name);
    }
    for (name, value) in others {
        headers.append(name, value.clone());
    }
}

/// Makes the answer that the generated method is handed.
fn nothing_to_decode(url: Url) -> reqwest::Response {
    // Without a URL, reqwest would parse one.
    let mut nothing = http::Response::builder()
        .url(url)
        .body(Bytes::new())
        .unwrap_or_default();
    *nothing.status_mut() = NOT_DECODED;
    nothing.into()
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn the_answer_is_there_although_a_clone_of_the_client_outlives_the_call() {
        let kept = Kept::default();
        let clone = kept.clone();
        let at = DateTime::UNIX_EPOCH;
        let answer = Answer::new(StatusCode::OK, HeaderMap::new(), Bytes::new(), at);
        clone.keep(Exchanged::Answered(Box::new(answer), BodyEnd::Complete));
        assert!(kept.take().is_some());
        assert!(clone.take().is_none(), "it is taken once");
    }
}
