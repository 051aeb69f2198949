//! The state that all requests of a simulator share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;

use crate::api::Operation;
use crate::api::authentication::{Credentials, Holder};
use crate::api::limits::{RateLimits, Standing};
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
    rate_limits: Mutex<RateLimits>,
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
            rate_limits: Mutex::new(world.rate_limits),
            faults: Mutex::new(world.faults),
            rays: Mutex::new(world.rays),
            log: Mutex::default(),
            listener,
        }
    }

    /// Resets everything to the start, the clock and the log included.
    pub(crate) fn reset(&self) {
        self.clock.reset();
        // The simulator has started with these seeds, so they make a world.
        let Ok(world) = self.start.world(self.now()) else {
            return;
        };
        *self.state() = world.state;
        *self.credentials() = world.credentials;
        *lock(&self.rate_limits) = world.rate_limits;
        *self.faults() = world.faults;
        *lock(&self.rays) = world.rays;
        self.log().clear();
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The state as it is now, after the clean-up of inactive tokens.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        let state = lock(&self.state);
        if !state.has_clean_up() {
            return state;
        }
        // The clock's function may use the simulator.
        drop(state);
        let now = self.now();
        let mut state = lock(&self.state);
        state.clean_up(now);
        state
    }

    pub(crate) fn credentials(&self) -> MutexGuard<'_, Credentials> {
        lock(&self.credentials)
    }

    pub(crate) fn count_request(&self, headers: &HeaderMap) -> Standing {
        let holder = self.credentials().holder(headers);
        let now = self.now();
        lock(&self.rate_limits).of(holder).count(now)
    }

    /// Counts requests with the first API token.
    pub(crate) fn spend(&self, requests: u32) {
        let now = self.now();
        lock(&self.rate_limits)
            .of(Holder::ApiToken(0))
            .spend(requests, now);
    }

    pub(crate) fn lock_out(&self, headers: &HeaderMap) -> Standing {
        let holder = self.credentials().holder(headers);
        let now = self.now();
        let mut rate_limits = lock(&self.rate_limits);
        let rate_limit = rate_limits.of(holder);
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
