//! The exchange of one attempt over the wire.

use std::any::Any;
use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use reqwest::Request;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, Span};

use crate::answer::Answer;
use crate::call::rate_limit::Permit;
use crate::call::{Settings, connect};

/// The maximum memory to reserve for the `Content-Length` of an answer.
const MAX_RESERVED: usize = 64 * 1024;

/// Sends a request, reads the answer, and settles the permit. Returns `None` if the runtime
/// has ended.
///
/// This takes a task: reqwest checks the timeout before the answer, so a caller that polls
/// rarely would lose an answer that has arrived, and it would delay the calls that wait for
/// the permit. The task is aborted when the call is dropped.
pub(crate) async fn exchange(
    settings: Arc<Settings>,
    permit: Permit,
    request: Request,
    span: Span,
) -> Option<Exchanged> {
    let runtime = Handle::try_current().ok()?;
    let attempt = async move {
        let exchanged = send(&settings, request).await;
        match &exchanged {
            Exchanged::Answered(answer, _) => permit.answered(&*settings.clock, answer),
            Exchanged::Unconnected(_) | Exchanged::WithoutDriver => permit.unsent(),
            Exchanged::Unanswered(_) => {}
        }
        exchanged
    };
    let attempt = attempt.instrument(span).with_current_subscriber();
    let mut task = AbortOnDrop(runtime.spawn(attempt));
    match (&mut task.0).await {
        Ok(exchanged) => Some(exchanged),
        Err(error) => match error.try_into_panic() {
            Ok(panic) if lacks_driver(&*panic) => Some(Exchanged::WithoutDriver),
            Ok(panic) => resume_unwind(panic),
            Err(_) => None,
        },
    }
}

/// Returns whether a task panicked because its runtime has no timer or no I/O. tokio has no
/// other way to find out.
pub(crate) fn lacks_driver(panic: &(dyn Any + Send)) -> bool {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
    words.is_some_and(|words| words.starts_with("A Tokio 1.x context was found, but "))
}

/// Aborts a task when it is dropped.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The result of an attempt.
pub(crate) enum Exchanged {
    /// The runtime has no timer or no I/O, so nothing was sent.
    WithoutDriver,
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

async fn send(settings: &Settings, request: Request) -> Exchanged {
    match connect::watch(settings.http.execute(request)).await {
        (Ok(response), _) => read(settings, response).await,
        (Err(error), is_unconnected) if is_unconnected || error.is_connect() => {
            Exchanged::Unconnected(error)
        }
        (Err(error), _) => Exchanged::Unanswered(error),
    }
}

/// Reads an answer, with its body up to the limit.
async fn read(settings: &Settings, mut response: reqwest::Response) -> Exchanged {
    let limit = settings.body_limit;
    let received_at = settings.clock.now();
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
