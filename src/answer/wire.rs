//! The exchange of one attempt over the wire.
//!
//! A generated method makes the request and runs a hook. The hook sends the request, reads
//! the answer up to a limit, and keeps all of it. It returns an empty answer, with a
//! status that the method does not decode, so that only the facade reads the answer.

use std::fmt;
use std::mem;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use progenitor_client::{ClientHooks, OperationInfo};
use reqwest::{Request, ResponseBuilderExt, Url};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, Span};

use crate::answer::Answer;
use crate::answer::redact::Redactor;
use crate::call::rate_limit::Permit;
use crate::call::{Settings, connect, trace};
use crate::generated;

/// The maximum memory to reserve for the `Content-Length` of an answer.
const MAX_RESERVED: usize = 64 * 1024;
/// A status that no generated method decodes: the build refuses a fragment with it.
const NOT_DECODED: StatusCode = StatusCode::NO_CONTENT;

/// One attempt: the parts of its request, and the slot for its result.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) settings: Arc<Settings>,
    pub(crate) redactor: Redactor,
    /// The headers to add to those of the generated code.
    pub(crate) headers: Arc<HeaderMap>,
    /// The time limit of the attempt, including the answer's body.
    pub(crate) timeout: Duration,
    /// The permit of the rate limit, which the hook takes.
    pub(crate) permit: Arc<Mutex<Option<Permit>>>,
    pub(crate) kept: Kept,
    /// The path of the request, for events.
    pub(crate) path: Arc<OnceLock<String>>,
    /// The attempt's span. The current span is the caller's if this one is disabled.
    pub(crate) span: Span,
}

/// The slot for the result of the attempt, which the hook fills.
pub(crate) type Kept = Arc<Mutex<Option<Exchanged>>>;

/// The result of an attempt.
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
        // The generator adds a header with the version of the document, which is not
        // part of Cloudflare's API.
        request.headers_mut().remove("api-version");
        extend(request.headers_mut(), &exchange.headers);
        trace::request(&exchange.span, request.url(), &exchange.redactor);
        exchange.note_path(request.url());
        *request.timeout_mut() = Some(exchange.timeout);

        let url = request.url().clone();
        // A task rather than a future: reqwest checks the timeout before the answer, so a
        // caller that polls rarely would lose an answer that has arrived. The task is
        // aborted when the call is dropped. It settles the permit, so that a caller that does
        // not poll delays no other one.
        let attempt = exchange.clone().run(self.client.clone(), request);
        let Ok(runtime) = Handle::try_current() else {
            return Ok(nothing_to_decode(url));
        };
        let mut task = JoinSet::new();
        let attempt = attempt.in_current_span().with_current_subscriber();
        task.spawn_on(attempt, &runtime);
        let exchanged = match task.join_next().await {
            Some(Ok(exchanged)) => exchanged,
            Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime of the task has ended.
            Some(Err(_)) | None => return Ok(nothing_to_decode(url)),
        };
        *lock(&exchange.kept) = Some(exchanged);
        Ok(nothing_to_decode(url))
    }
}

impl Exchange {
    /// Keeps the part of a URL below the base URL, if anyone listens to events.
    fn note_path(&self, url: &Url) {
        if self.settings.listener.listens() {
            let url = url.as_str();
            let path = url.strip_prefix(self.settings.base_url.as_str());
            let path = self.redactor.redact(path.unwrap_or(url));
            self.path.get_or_init(|| path);
        }
    }

    /// Sends the request, reads the answer, and settles the permit.
    async fn run(self, client: reqwest::Client, request: Request) -> Exchanged {
        let permit = lock(&self.permit).take();
        let exchanged = self.send(client, request).await;
        if let Some(permit) = permit {
            match &exchanged {
                Exchanged::Answered(answer, _) => permit.answered(&*self.settings.clock, answer),
                Exchanged::Unconnected(_) => permit.unsent(),
                Exchanged::Unanswered(_) => {}
            }
        }
        exchanged
    }

    async fn send(&self, client: reqwest::Client, request: Request) -> Exchanged {
        match connect::watch(client.execute(request)).await {
            (Ok(response), _) => self.read(response).await,
            (Err(error), is_unconnected) if is_unconnected || error.is_connect() => {
                Exchanged::Unconnected(error)
            }
            (Err(error), _) => Exchanged::Unanswered(error),
        }
    }

    /// Reads an answer, with its body up to the limit.
    async fn read(&self, mut response: reqwest::Response) -> Exchanged {
        let limit = self.settings.body_limit;
        let received_at = self.settings.clock.now();
        let headers = mem::take(response.headers_mut());
        let mut answer = Answer::new(response.status(), headers, Bytes::new(), received_at);
        let announced = response.content_length().unwrap_or_default();
        let room = usize::try_from(announced).unwrap_or(usize::MAX);
        let mut body = BytesMut::with_capacity(room.min(limit).min(MAX_RESERVED));
        let end = loop {
            let room = limit - body.len();
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

pub(crate) fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds headers, which replace those of the same names.
fn extend(headers: &mut HeaderMap, others: &HeaderMap) {
    for name in others.keys() {
        headers.remove(name);
    }
    for (name, value) in others {
        headers.append(name, value.clone());
    }
}

/// Creates the answer for the generated method.
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
