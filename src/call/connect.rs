//! Notes whether an attempt ends while its connection is still being made, so that
//! nothing of its request was sent.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::Service;

tokio::task_local! {
    /// Whether the attempt dropped a connection that was still being made.
    static IS_UNCONNECTED: Cell<bool>;
}

/// Runs an attempt. Returns its output, and whether it ended without a connection.
pub(crate) async fn watch<F: Future>(attempt: F) -> (F::Output, bool) {
    let watched = async {
        let output = attempt.await;
        (output, IS_UNCONNECTED.with(Cell::get))
    };
    IS_UNCONNECTED.scope(Cell::new(false), watched).await
}

/// The HTTP client's connector, which notes a connection that is dropped unfinished.
#[derive(Clone)]
pub(crate) struct WatchedConnector<S>(pub(crate) S);

impl<S, R> Service<R> for WatchedConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.0.call(request);
        Box::pin(async move {
            let mut connection = Connection { is_made: false };
            let result = connecting.await;
            connection.is_made = true;
            result
        })
    }
}

/// A connection that is being made. An attempt that times out drops it unfinished. An
/// attempt that gets a connection of another call meanwhile does not: hyper finishes the
/// connection in a task of its own, which has no attempt to note anything for.
struct Connection {
    is_made: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = IS_UNCONNECTED.try_with(|flag| flag.set(!self.is_made));
    }
}
