//! Serves the state of a running watcher: metrics for Prometheus, health checks, and the
//! report as a page.
//!
//! One state serves all of them, so that they never disagree.

mod account;
mod health;
mod metrics;
pub(crate) mod page;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cf_service_tokens::AccountId;
use cf_service_tokens::renewal::{RenewalEvent, RenewalOutcome, RenewalPolicy, WatchEvent};
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;

use account::Account;
pub(crate) use metrics::Calls;
use metrics::Metrics;

/// The state of a watcher, as served over HTTP. Clones share it.
#[derive(Clone)]
pub(crate) struct Monitor {
    shared: Arc<Shared>,
}

struct Shared {
    state: Arc<Mutex<Account>>,
    metrics: Metrics,
    calls: Calls,
    time: Time,
}

/// The clocks.
type Time = Arc<dyn Fn() -> Moment + Send + Sync>;

/// A moment, by the two clocks that a machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The date and time.
    pub(crate) now: DateTime<Utc>,
    /// How long it is since some fixed moment; it never goes back.
    pub(crate) elapsed: Duration,
}

impl Monitor {
    /// Creates the state of an account before the first pass, by the system's clocks.
    pub(crate) fn new(
        account: &AccountId,
        policy: &RenewalPolicy,
        window: Duration,
        calls: Calls,
    ) -> Self {
        let started = Instant::now();
        Self::with_time(account, policy, window, calls, move || Moment {
            now: Utc::now(),
            elapsed: started.elapsed(),
        })
    }

    /// Creates the same by the caller's clocks.
    fn with_time(
        account: &AccountId,
        policy: &RenewalPolicy,
        window: Duration,
        calls: Calls,
        time: impl Fn() -> Moment + Send + Sync + 'static,
    ) -> Self {
        let state = Account::new(account, policy, window, time().elapsed);
        let state = Arc::new(Mutex::new(state));
        let time: Time = Arc::new(time);
        Self {
            shared: Arc::new(Shared {
                metrics: Metrics::new(&state, &time, calls.clone()),
                state,
                calls,
                time,
            }),
        }
    }

    /// Records an event. It needs each event of the watch, in order.
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
            WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
                self.shared.metrics.passed(report);
            }
            _ => {}
        }
        let moment = (self.shared.time)();
        lock(&self.shared.state).observe(event, moment);
    }

    /// Answers requests for `/`, `/metrics`, `/healthz` and `/readyz`, for as long as it is
    /// polled.
    ///
    /// On a loopback address it answers only requests that were meant for this
    /// machine, by their `Host`: a page in a browser must not read it under a name
    /// that its owner lets point here.
    pub(crate) async fn serve(&self, listener: TcpListener, address: IpAddr) -> ! {
        let routes = server::routes(self.clone(), address.is_loopback());
        server::serve(listener, routes).await
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// Locks the state. A change to it can't panic halfway, so a poisoned lock guards a valid
/// state.
fn lock(state: &Mutex<Account>) -> MutexGuard<'_, Account> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
