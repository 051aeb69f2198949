//! The state that all requests of a simulator share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;

use crate::api::Operation;
use crate::api::authentication::Credentials;
use crate::api::limits::{RateLimit, Standing};
use crate::behavior::Behavior;
use crate::faults::plan::{FaultPlan, Strike};
use crate::request_log::{Listener, ReceivedRequest, RequestLog};
use crate::start::{Start, World};
use crate::state::clock::Clock;
use crate::state::{State, generator};

/// The state that all requests of a simulator share.
pub(crate) struct Shared {
    pub(crate) start: Start,
    pub(crate) behavior: Behavior,
    pub(crate) clock: Clock,
    state: Mutex<State>,
    credentials: Mutex<Credentials>,
    rate_limit: Mutex<RateLimit>,
    faults: Mutex<FaultPlan>,
    rays: Mutex<StdRng>,
    log: Mutex<RequestLog>,
    listener: Option<Listener>,
}

impl Shared {
    pub(crate) fn new(
        start: Start,
        world: World,
        behavior: Behavior,
        clock: Clock,
        listener: Option<Listener>,
    ) -> Self {
        Self {
            start,
            behavior,
            clock,
            state: Mutex::new(world.state),
            credentials: Mutex::new(world.credentials),
            rate_limit: Mutex::new(world.rate_limit),
            faults: Mutex::new(world.faults),
            rays: Mutex::new(world.rays),
            log: Mutex::default(),
            listener,
        }
    }

    /// Resets everything to the start, the clock and the log included.
    pub(crate) fn reset(&self) {
        self.clock.reset();
        let world = self.start.world(self.now());
        *self.state() = world.state;
        *self.credentials() = world.credentials;
        *lock(&self.rate_limit) = world.rate_limit;
        *self.faults() = world.faults;
        *lock(&self.rays) = world.rays;
        self.log().clear();
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn credentials(&self) -> MutexGuard<'_, Credentials> {
        lock(&self.credentials)
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

    pub(crate) fn log(&self) -> MutexGuard<'_, RequestLog> {
        lock(&self.log)
    }

    pub(crate) fn record(&self, request: ReceivedRequest) {
        self.log().push(request.clone());
        // The log is free again: a listener may read it.
        if let Some(listener) = &self.listener {
            listener(&request);
        }
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
