//! What happens between one attempt and the wire.
//!
//! The generated methods make a request and decode its answer, but they forget
//! whatever they can't decode. So the hook that they run here sends the request
//! itself, reads the answer up to a limit, notes all of it, and only then hands
//! the generated code a copy to decode. Whatever becomes of that, the notes tell
//! what happened.

use std::fmt;
use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use progenitor_client::{ClientHooks, OperationInfo};
use reqwest::{Request, ResponseBuilderExt, Url};
use tracing::Span;

use crate::clock::Clock;
use crate::generated;
use crate::received::Received;
use crate::trace;

/// The most that is made room for before anything of a body is there: its length is
/// what the server says.
const MOST_ROOM: usize = 64 * 1024;

/// One attempt: how to make it, and the notes of what came back.
#[derive(Clone)]
pub(crate) struct Exchange {
    /// What the request carries besides what the generated code gives it.
    pub(crate) headers: Arc<HeaderMap>,
    /// How long the attempt may take, the answer's body included.
    pub(crate) timeout: Duration,
    /// The most bytes that the answer's body may have.
    pub(crate) body_limit: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notes: Arc<OnceLock<Notes>>,
    /// The attempt's span. Where it is disabled, the current one is a caller's.
    pub(crate) span: Span,
}

/// What came back of a request.
#[derive(Clone)]
pub(crate) struct Notes {
    pub(crate) received: Received,
    pub(crate) body_end: BodyEnd,
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
        let at = exchange.clock.now();
        let (status, url) = (response.status(), response.url().clone());
        let headers = mem::take(response.headers_mut());
        let (body, body_end, error) = read_body(response, exchange.body_limit).await;
        // The cell is empty: a generated method sends one request.
        let _ = exchange.notes.set(Notes {
            received: Received {
                status,
                headers,
                body: body.clone(),
                at,
            },
            body_end,
        });
        match error {
            Some(error) => Err(error),
            None => Ok(copy_for_decoding(status, url, body)),
        }
    }
}

/// Adds the headers, in the place of those that have the same names.
fn extend(headers: &mut HeaderMap, others: &HeaderMap) {
    for name in others.keys() {
        headers.remove(name);
    }
    for (name, value) in others {
        headers.append(name, value.clone());
    }
}

/// Reads a body up to `limit` bytes: what arrived, how that ended, and why.
async fn read_body(
    mut response: reqwest::Response,
    limit: usize,
) -> (Bytes, BodyEnd, Option<reqwest::Error>) {
    let announced = response.content_length().unwrap_or_default();
    let room = usize::try_from(announced).unwrap_or(usize::MAX);
    let mut body = BytesMut::with_capacity(room.min(limit).min(MOST_ROOM));
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

/// What the generated code decodes: it looks at status and body alone.
fn copy_for_decoding(status: StatusCode, url: Url, body: Bytes) -> reqwest::Response {
    // Without a URL it would be given one that has to be parsed.
    let mut copy = http::Response::builder()
        .url(url)
        .body(body.clone())
        .unwrap_or_else(|_| http::Response::new(body));
    *copy.status_mut() = status;
    copy.into()
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
