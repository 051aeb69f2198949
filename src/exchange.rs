//! What happens between a call and the wire.
//!
//! The generated methods make a request and decode its answer, but they forget
//! whatever they can't decode. So the hook that they run here sends the request
//! itself, reads the answer up to a limit, notes all of it, and only then hands
//! the generated code a copy to decode. Whatever becomes of that, the notes tell
//! what happened.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::Utc;
use http::{HeaderMap, StatusCode};
use progenitor_client::{ClientHooks, OperationInfo};
use reqwest::Request;
use serde::de::DeserializeOwned;

use crate::envelope::Envelope;
use crate::error::Error;
use crate::generated::types::FailureEnvelope;
use crate::generated::{self, ResponseValue};
use crate::operation::Operation;
use crate::options::CallOptions;
use crate::outcome::Attempt;
use crate::received::Received;
use crate::redact::Redactor;
use crate::response::Response;

/// What all calls of a client share.
pub(crate) struct Transport {
    pub(crate) http: reqwest::Client,
    /// Without a slash at its end.
    pub(crate) base_url: String,
    /// What every request carries: the credentials and the user agent.
    pub(crate) headers: HeaderMap,
    /// How long one attempt may take, the answer's body included.
    pub(crate) timeout: Duration,
    /// The most bytes that an answer's body may have.
    pub(crate) body_limit: usize,
    pub(crate) redactor: Redactor,
}

impl Transport {
    /// Carries out one operation: `send` runs its generated method.
    pub(crate) async fn call<E, S>(
        &self,
        operation: &'static Operation,
        options: &CallOptions,
        send: S,
    ) -> Result<Response<E::Result>, Error>
    where
        E: Envelope + DeserializeOwned,
        S: AsyncFnOnce(
            &generated::Client,
        ) -> Result<ResponseValue<E>, generated::Error<FailureEnvelope>>,
    {
        let mut headers = options.checked_headers()?.clone();
        // The client's own come last, so that they replace any namesake.
        headers.extend(self.headers.clone());
        let timeout = options.timeout.unwrap_or(self.timeout);
        let timeout = options.deadline.unwrap_or(timeout).min(timeout);

        let client = generated::Client {
            baseurl: self.base_url.clone(),
            client: self.http.clone(),
            inner: Exchange {
                headers,
                timeout,
                body_limit: self.body_limit,
                notes: OnceLock::new(),
            },
        };
        let decoded = send(&client).await;
        let attempt = Attempt {
            operation,
            timeout,
            body_limit: self.body_limit,
            redactor: &self.redactor,
        };
        attempt.outcome(client.inner.notes.into_inner(), decoded)
    }
}

/// One attempt: how to make it, and the notes of what came back.
#[derive(Clone)]
pub(crate) struct Exchange {
    headers: HeaderMap,
    timeout: Duration,
    body_limit: usize,
    notes: OnceLock<Notes>,
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
        request.headers_mut().extend(exchange.headers.clone());
        *request.timeout_mut() = Some(exchange.timeout);

        let response = self.client.execute(request).await?;
        let status = response.status();
        let headers = response.headers().clone();
        let at = Utc::now();
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
            None => Ok(copy_for_decoding(status, body)),
        }
    }
}

/// Reads a body up to `limit` bytes: what arrived, how that ended, and why.
async fn read_body(
    mut response: reqwest::Response,
    limit: usize,
) -> (Bytes, BodyEnd, Option<reqwest::Error>) {
    let mut body = BytesMut::new();
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
fn copy_for_decoding(status: StatusCode, body: Bytes) -> reqwest::Response {
    let mut copy = http::Response::new(body);
    *copy.status_mut() = status;
    copy.into()
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
