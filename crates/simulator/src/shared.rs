//! What the requests of one simulator share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;

use crate::authentication::Credentials;
use crate::generator;
use crate::operation::Scope;
use crate::rate_limit::{RateLimit, Standing};
use crate::request_log::{ReceivedRequest, RequestLog};
use crate::state::State;

/// Where the time comes from.
pub(crate) type Clock = Box<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// What the requests share.
pub(crate) struct Shared {
    pub(crate) credentials: Credentials,
    account_id: String,
    zone_id: String,
    clock: Clock,
    state: Mutex<State>,
    rate_limit: Mutex<RateLimit>,
    log: Mutex<RequestLog>,
    rays: Mutex<StdRng>,
}

impl Shared {
    pub(crate) fn new(
        credentials: Credentials,
        account_id: String,
        zone_id: String,
        clock: Clock,
        state: State,
        rays: StdRng,
    ) -> Self {
        Self {
            credentials,
            account_id,
            zone_id,
            clock,
            state: Mutex::new(state),
            rate_limit: Mutex::default(),
            log: Mutex::default(),
            rays: Mutex::new(rays),
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn scope_id(&self, scope: Scope) -> &str {
        match scope {
            Scope::Account => &self.account_id,
            Scope::Zone => &self.zone_id,
        }
    }

    pub(crate) fn count_request(&self) -> Standing {
        let now = self.now();
        lock(&self.rate_limit).count(now)
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
