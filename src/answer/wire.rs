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
use crate::call::clock::Clock;
use crate::call::trace;
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
    /// The attempt's span. Where it is disabled, the current one is a caller's.
    pub(crate) span: Span,
}

/// The place where the hook leaves the answer.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Option<(Answer, BodyEnd)>>>);

impl Kept {
    fn keep(&self, answer: Answer, body_end: BodyEnd) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((answer, body_end));
    }

    /// Takes the answer, if there was one.
    pub(crate) fn take(&self) -> Option<(Answer, BodyEnd)> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take()
    }
}

/// How reading a body ended.
#[derive(Clone, Copy)]
pub(crate) enum BodyEnd {
    Complete,
    Broken,
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
        trace::request(&exchange.span, request.url());
        *request.timeout_mut() = Some(exchange.timeout);

        let mut response = self.client.execute(request).await?;
        let received_at = exchange.clock.now();
        let (status, url) = (response.status(), response.url().clone());
        let headers = mem::take(response.headers_mut());
        let (body, body_end, error) = read_body(response, exchange.body_limit).await;
        let answer = Answer::new(status, headers, body, received_at);
        exchange.kept.keep(answer, body_end);
        match error {
            Some(error) => Err(error),
            None => Ok(nothing_to_decode(url)),
        }
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

/// Reads a body up to `limit` bytes. Returns what arrived, how that ended, and why.
async fn read_body(
    mut response: reqwest::Response,
    limit: usize,
) -> (Bytes, BodyEnd, Option<reqwest::Error>) {
    let announced = response.content_length().unwrap_or_default();
    let room = usize::try_from(announced).unwrap_or(usize::MAX);
    let mut body = BytesMut::with_capacity(room.min(limit).min(MAX_RESERVED));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                return (body.freeze(), BodyEnd::TooLarge, None);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (body.freeze(), BodyEnd::Complete, None),
            Err(error) => return (body.freeze(), BodyEnd::Broken, Some(error)),
        }
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
        clone.keep(answer, BodyEnd::Complete);
        assert!(kept.take().is_some());
        assert!(clone.take().is_none(), "it is taken once");
    }
}
