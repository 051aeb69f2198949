//! What the requests of one simulator share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;

use crate::api::Operation;
use crate::api::authentication::Credentials;
use crate::api::limits::{RateLimit, Standing};
use crate::behavior::Behavior;
use crate::faults::plan::{FaultPlan, Strike};
use crate::request_log::{ReceivedRequest, RequestLog};
use crate::state::State;
use crate::state::generator;

/// Where the time comes from.
pub(crate) type Clock = Box<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What the requests share.
pub(crate) struct Shared {
    pub(crate) credentials: Credentials,
    pub(crate) account_id: String,
    pub(crate) behavior: Behavior,
    pub(crate) clock: Clock,
    pub(crate) state: Mutex<State>,
    pub(crate) rate_limit: Mutex<RateLimit>,
    pub(crate) faults: Mutex<FaultPlan>,
    pub(crate) log: Mutex<RequestLog>,
    pub(crate) rays: Mutex<StdRng>,
}

impl Shared {
    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn count_request(&self) -> Standing {
        let now = self.now();
        lock(&self.rate_limit).count(now)
    }

    pub(crate) fn spend(&self, requests: u32) {
        let now = self.now();
        lock(&self.rate_limit).spend(requests, now);
    }

    pub(crate) fn lock_out(&self) -> Standing {
        let now = self.now();
        let mut rate_limit = lock(&self.rate_limit);
        rate_limit.lock_out(now);
        rate_limit.count(now)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultPlan> {
        lock(&self.faults)
    }

    pub(crate) fn next_strike(&self, operation: Operation) -> Option<Strike> {
        self.faults().next(operation)
    }

    pub(crate) fn requests(&self) -> Vec<ReceivedRequest> {
        lock(&self.log).to_vec()
    }

    pub(crate) fn record(&self, request: ReceivedRequest) {
        lock(&self.log).push(request);
    }

    /// A ray id as if from the data centre in Frankfurt.
    pub(crate) fn next_ray(&self) -> String {
        format!("{}-FRA", generator::hex(&mut lock(&self.rays), 16))
    }
}

/// Locks. No change to what these mutexes guard can panic halfway, so a
/// poisoned one holds nothing broken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
