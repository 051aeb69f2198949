//! The way of an answer to its client, as it should be or as a fault makes it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::http::Response;
use axum::http::header::CONTENT_LENGTH;
use hyper::body::Frame;
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};

/// The mark of an answer that a fault changes on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    /// After a while.
    Late(Duration),
    /// A reset in place of the answer.
    Reset,
    /// Silence in place of the answer.
    Never,
    /// One byte at a time, with a pause before each.
    Drip(Duration),
    /// Half of the body, and then this.
    Half(Ending),
}

impl Delivery {
    /// Whether the client gets to see a status.
    pub(crate) fn shows_status(self) -> bool {
        !matches!(self, Self::Reset | Self::Never)
    }
}

/// The end of a body that breaks off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Reset,
    Close,
    Stall,
    Blanks,
}

/// The way in which a connection is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    /// With a reset: what is under way is lost.
    Reset,
    /// In good order.
    Close,
}

/// Tells a connection to be cut, once what was written has been sent.
#[derive(Clone)]
pub(crate) struct Scissors(pub(crate) mpsc::Sender<Cut>);

impl Scissors {
    fn cut(&self, cut: Cut) {
        // Full only if the connection is to be cut already.
        let _ = self.0.try_send(cut);
    }
}

/// Makes of an answer what its mark says.
pub(crate) async fn deliver(mut answer: Response<Body>, scissors: &Scissors) -> Response<Body> {
    let Some(delivery) = answer.extensions_mut().remove::<Delivery>() else {
        return answer;
    };
    match delivery {
        Delivery::Late(by) => {
            sleep(by).await;
            answer
        }
        Delivery::Reset => {
            scissors.cut(Cut::Reset);
            std::future::pending().await
        }
        Delivery::Never => std::future::pending().await,
        Delivery::Drip(pause) => drip(answer, pause).await,
        Delivery::Half(ending) => half(answer, ending, scissors.clone()).await,
    }
}

async fn drip(answer: Response<Body>, pause: Duration) -> Response<Body> {
    collected(answer).await.map(|body| {
        Body::new(Drip {
            rest: body,
            pause,
            sleep: Box::pin(sleep(pause)),
        })
    })
}

async fn half(answer: Response<Body>, ending: Ending, scissors: Scissors) -> Response<Body> {
    let mut answer = collected(answer).await;
    if matches!(ending, Ending::Blanks) {
        // It was set when the answer was whole.
        answer.headers_mut().remove(CONTENT_LENGTH);
    }
    answer.map(|body| {
        Body::new(Half {
            first: Some(body.slice(..body.len() / 2)),
            ending,
            scissors,
        })
    })
}

/// The answer with its body at hand. All bodies are in memory as a whole, so
/// reading one neither fails nor waits.
pub(crate) async fn collected(answer: Response<Body>) -> Response<Bytes> {
    let (head, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    Response::from_parts(head, body)
}

/// A body that comes byte by byte.
struct Drip {
    rest: Bytes,
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl HttpBody for Drip {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        std::task::ready!(self.sleep.as_mut().poll(context));
        self.sleep = Box::pin(sleep(self.pause));
        let byte = self.rest.split_to(1);
        Poll::Ready(Some(Ok(Frame::data(byte))))
    }
}

/// A body of which the second half does not come.
struct Half {
    first: Option<Bytes>,
    ending: Ending,
    scissors: Scissors,
}

impl HttpBody for Half {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        const BLANKS: &[u8] = &[b' '; 16 * 1024];

        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        // hyper sends what it has while it waits for more, and only then looks
        // the connection after the scissors.
        match self.ending {
            Ending::Blanks => {
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(BLANKS)))));
            }
            Ending::Reset => self.scissors.cut(Cut::Reset),
            Ending::Close => self.scissors.cut(Cut::Close),
            Ending::Stall => {}
        }
        Poll::Pending
    }
}
