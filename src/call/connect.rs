//! Detects an attempt that ends while it still connects, and so has sent nothing of its
//! request.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

tokio::task_local! {
    /// Whether the attempt dropped a connection before it was established.
    static IS_UNCONNECTED: Cell<bool>;
}

/// Runs an attempt. Returns its output, and whether it ended before it had a
/// connection.
pub(crate) async fn watch<F: Future>(attempt: F) -> (F::Output, bool) {
    let watched = async {
        let output = attempt.await;
        (output, IS_UNCONNECTED.with(Cell::get))
    };
    IS_UNCONNECTED.scope(Cell::new(false), watched).await
}

/// Wraps the HTTP client's connector, and detects a connection that is dropped before
/// it is established.
///
/// reqwest clones it several times for each request, so clones share the connector, and only a
/// new connection clones that.
#[derive(Clone)]
pub(crate) struct WatchedConnector<S>(Arc<S>);

impl<S> WatchedConnector<S> {
    pub(crate) fn new(connector: S) -> Self {
        Self(Arc::new(connector))
    }
}

impl<S, R> Service<R> for WatchedConnector<S>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut connector = S::clone(&self.0);
        Box::pin(async move {
            let mut connection = Connection { is_made: false };
            let connecting = async {
                poll_fn(|context| connector.poll_ready(context)).await?;
                connector.call(request).await
            };
            let result = connecting.await;
            connection.is_made = true;
            result
        })
    }
}

/// A connection that is being established. An attempt that times out drops it. An
/// attempt that meanwhile reuses another call's connection does not: hyper then finishes
/// this one in a separate task, where the task-local flag does not exist.
struct Connection {
    is_made: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = IS_UNCONNECTED.try_with(|flag| flag.set(!self.is_made));
    }
}
