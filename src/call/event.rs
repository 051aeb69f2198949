//! The events of a call: its attempts, and its waits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, StatusCode};

use crate::call::clock::Clock;
use crate::error::Error;

/// An event of a call, passed to the function that
/// [`ClientBuilder::on_event`](crate::ClientBuilder::on_event) sets.
///
/// The operation is the name of the API's operation, such as
/// `refresh_account_service_token`. No event prints a secret; the body of a response,
/// which an error keeps, may hold one.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use std::sync::{Arc, Mutex};
/// use cf_service_tokens::{Client, Event, ManualClock};
/// use cf_service_tokens_simulator::{Fault, SeedToken, Simulator};
/// # let builder = client_builder(&simulator).clock(ManualClock::new(Utc::now()));
///
/// let lines = Arc::new(Mutex::new(Vec::new()));
/// let log = Arc::clone(&lines);
/// let client = builder
///     .on_event(move |event| log.lock().unwrap().push(match event {
///         Event::AttemptStarted { attempt, .. } => format!("attempt {attempt}"),
///         Event::AttemptEnded { status, .. } => format!("{status:?}"),
///         Event::WaitStarted { reason, .. } => format!("wait: {reason}"),
///         Event::WaitEnded { .. } => "go on".to_owned(),
///         _ => "something else".to_owned(),
///     }))
///     .build()?;
///
/// simulator.inject(Fault::Status(503));
/// client.account(simulator.account_id())?.service_tokens().find("deploy").await?;
/// assert_eq!(
///     *lines.lock().unwrap(),
///     ["attempt 1", "Some(503)", "wait: backoff", "go on", "attempt 2", "Some(200)"],
/// );
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An attempt begins.
    #[non_exhaustive]
    AttemptStarted {
        /// The operation.
        operation: &'a str,
        /// The number of the attempt, from 1.
        attempt: u32,
    },
    /// An attempt ended. There is no such event if the call is dropped during the
    /// attempt.
    #[non_exhaustive]
    AttemptEnded {
        /// The operation.
        operation: &'a str,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The method of the request.
        method: &'a Method,
        /// The path and query of the request below the base URL, such as
        /// `/accounts/{account_id}/access/service_tokens?page=1` with the real id; empty if
        /// there was no request. It shows no secret that the client knows.
        path: &'a str,
        /// How long the attempt took, by the client's clock.
        elapsed: Duration,
        /// The status of the response, if one came.
        status: Option<StatusCode>,
        /// The error that the call returns if it is not retried; `None` after a
        /// success.
        error: Option<&'a Error>,
    },
    /// The call begins to wait.
    #[non_exhaustive]
    WaitStarted {
        /// The operation.
        operation: &'a str,
        /// Why it waits.
        reason: WaitReason,
        /// When the wait ends at the latest, by the client's clock. A wait for the rate
        /// limit may end sooner.
        until: DateTime<Utc>,
    },
    /// A wait ended, or its call was dropped.
    #[non_exhaustive]
    WaitEnded {
        /// The operation.
        operation: &'a str,
        /// Why it waited.
        reason: WaitReason,
    },
}

/// The reason of a wait; see [`Event`].
///
/// ```
/// use cf_service_tokens::WaitReason;
///
/// assert_eq!(WaitReason::RateLimit.to_string(), "rate limit");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitReason {
    /// The rate limit has no room for the request.
    RateLimit,
    /// An attempt failed, and the next one is not due yet.
    Backoff,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RateLimit => "rate limit",
            Self::Backoff => "backoff",
        })
    }
}

type Function = dyn Fn(&Event<'_>) + Send + Sync;

/// The caller's function for events, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<Function>>);

impl Listener {
    pub(crate) fn new(function: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(function)))
    }

    /// Returns whether the caller has set a function.
    pub(crate) fn listens(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn notify(&self, event: &Event<'_>) {
        if let Some(function) = &self.0 {
            function(event);
        }
    }

    /// Reports the start of a wait, and its end when the returned value is dropped.
    pub(crate) fn wait(
        &self,
        clock: &dyn Clock,
        operation: &'static str,
        reason: WaitReason,
        duration: Duration,
    ) -> Wait<'_> {
        let until = TimeDelta::from_std(duration)
            .ok()
            .and_then(|duration| clock.now().checked_add_signed(duration));
        self.notify(&Event::WaitStarted {
            operation,
            reason,
            until: until.unwrap_or(DateTime::<Utc>::MAX_UTC),
        });
        Wait {
            listener: self,
            operation,
            reason,
        }
    }
}

/// A wait. Dropping it reports the end.
pub(crate) struct Wait<'a> {
    listener: &'a Listener,
    operation: &'static str,
    reason: WaitReason,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.listener.notify(&Event::WaitEnded {
            operation: self.operation,
            reason: self.reason,
        });
    }
}
