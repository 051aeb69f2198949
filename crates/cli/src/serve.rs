//! Serves the state of a running watcher: metrics for Prometheus, health checks, and the
//! report as a page.
//!
//! A [`Monitor`] receives the events of a
//! [`Watch`](cf_service_tokens::renewal::Watch), and by a layer for `tracing` each
//! request and each wait. It keeps one state, so that the page, the metrics and the
//! health checks never disagree.
//!
//! ```text
//! let monitor = Monitor::new(tokens.account_id(), window);
//! tracing_subscriber::registry().with(monitor.layer()).init();
//! let listener = TcpListener::bind(address).await?;
//! let watching = async {
//!     let mut watch = tokens.watch(&policy);
//!     loop {
//!         monitor.observe(&watch.next().await);
//!     }
//! };
//! tokio::select! {
//!     result = monitor.serve(listener) => result?,
//!     () = watching => {}
//! }
//! ```

mod account;
mod health;
mod metrics;
pub(crate) mod page;
mod server;
#[cfg(test)]
mod tests;
mod traces;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use cf_service_tokens::AccountId;
use cf_service_tokens::renewal::{RenewalEvent, RenewalOutcome, WatchEvent};
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use account::Account;
use metrics::Metrics;

/// The state of a watcher, as served over HTTP. Clones share it.
#[derive(Clone)]
pub(crate) struct Monitor {
    shared: Arc<Shared>,
}

struct Shared {
    state: Arc<Mutex<Account>>,
    metrics: Metrics,
    time: Box<dyn Fn() -> Moment + Send + Sync>,
}

/// A moment, by the two clocks that a machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The date and time.
    pub(crate) now: DateTime<Utc>,
    /// How long it is since some fixed moment; it never goes back.
    pub(crate) elapsed: Duration,
}

impl Monitor {
    /// Knows nothing yet of this account, whose tokens fall due so long before they
    /// expire. It goes by the system's clocks.
    pub(crate) fn new(account: &AccountId, window: Duration) -> Self {
        let started = Instant::now();
        Self::with_time(account, window, move || Moment {
            now: Utc::now(),
            elapsed: started.elapsed(),
        })
    }

    /// As [`new`](Self::new), by clocks of one's own.
    fn with_time(
        account: &AccountId,
        window: Duration,
        time: impl Fn() -> Moment + Send + Sync + 'static,
    ) -> Self {
        let state = Account::new(account, window, time().elapsed);
        let state = Arc::new(Mutex::new(state));
        Self {
            shared: Arc::new(Shared {
                metrics: Metrics::new(&state),
                state,
                time: Box::new(time),
            }),
        }
    }

    /// Notes what happened. Each event of the watch is to be given, in order.
    pub(crate) fn observe(&self, event: &WatchEvent) {
        match event {
            WatchEvent::Renewal(RenewalEvent::Decided { decision, .. }) => {
                self.shared.metrics.decided(*decision);
            }
            WatchEvent::Renewal(RenewalEvent::Settled(token)) => match &token.outcome {
                RenewalOutcome::Renewed { .. } => self.shared.metrics.renewed(),
                outcome if outcome.is_at_risk() => self.shared.metrics.failed(outcome.as_str()),
                _ => {}
            },
            _ => {}
        }
        let moment = (self.shared.time)();
        lock(&self.shared.state).observe(event, moment);
    }

    /// Counts the requests to the API and the waits, of all clients in the process.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        traces::layer(self.shared.metrics.calls.clone())
    }

    /// Answers requests for `/`, `/metrics`, `/healthz` and `/readyz`, for as long as
    /// it is awaited.
    ///
    /// On a loopback address it answers only requests that were meant for this
    /// machine, by their `Host`: a page in a browser must not read it under a name
    /// that its owner lets point here.
    ///
    /// # Errors
    ///
    /// If the listener has no address, which the system decides.
    pub(crate) async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        let is_loopback = listener.local_addr()?.ip().is_loopback();
        axum::serve(listener, server::routes(self.clone(), is_loopback)).await
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// Locks. No change to the state can panic halfway, so a poisoned lock guards
/// nothing broken.
fn lock(state: &Mutex<Account>) -> MutexGuard<'_, Account> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
