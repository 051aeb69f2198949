//! The time of many calls that go on at once.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part of this, and a test may panic"
)]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cf_service_tokens::Clock;
use chrono::{DateTime, Utc};

/// A clock on which every wait is soon over. Waits that go on at the same time
/// take no longer than the longest of them.
#[derive(Clone, Debug, Default)]
pub struct SharedClock(Arc<Mutex<Duration>>);

impl SharedClock {
    pub fn pass(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }

    /// How many have this clock, whoever asks included.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Clock for SharedClock {
    fn now(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-24T12:00:00Z".parse().unwrap();
        start + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (clock, until) = (self.clone(), self.elapsed().saturating_add(duration));
        Box::pin(async move {
            // So that others begin their waits before this one is over.
            tokio::task::yield_now().await;
            let mut elapsed = clock.0.lock().unwrap();
            *elapsed = until.max(*elapsed);
        })
    }
}
