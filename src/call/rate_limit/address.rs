//! Keeps the clients that share connections below the API's limit for an IP address.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::call::clock::Clock;

/// Cloudflare refuses the requests of an IP address beyond 200 a second.
const QUOTA: usize = 200;

/// The time in which at most [`QUOTA`] requests are sent. It is longer than a second, since
/// the network may deliver requests closer together than they were sent.
const WINDOW: Duration = Duration::from_millis(1030);

/// Waits are rounded up to a multiple of this, so that a crowd of waiters wakes fifty
/// times a second rather than for each request.
const STEP: Duration = Duration::from_millis(20);

/// Lets requests through as the limit allows. It does not know the requests of other programs.
///
/// A waiter reserves nothing, so one that is no longer polled does not delay the others.
#[derive(Debug, Default)]
pub(crate) struct AddressLimiter {
    /// When the last requests were let through, the oldest first; at most [`QUOTA`].
    sent: Mutex<VecDeque<Duration>>,
}

impl AddressLimiter {
    /// Waits until a request may be sent. Before it waits, it passes the expected wait
    /// to `announce`, and holds the returned value during the wait.
    ///
    /// # Errors
    ///
    /// The time to wait, without waiting, if it is not shorter than `patience`.
    pub(crate) async fn enter<W>(
        &self,
        clock: &dyn Clock,
        patience: Duration,
        announce: impl Fn(Duration) -> W,
    ) -> Result<(), Duration> {
        let give_up_at = clock.elapsed().saturating_add(patience);
        let mut announced = None;
        loop {
            let now = clock.elapsed();
            let Some(wait) = self.take(now) else {
                return Ok(());
            };
            if now.saturating_add(wait) >= give_up_at {
                return Err(wait);
            }
            announced.get_or_insert_with(|| announce(wait));
            clock.sleep(wait).await;
        }
    }

    /// Counts a request, or returns how long it has to wait.
    fn take(&self, now: Duration) -> Option<Duration> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() == QUOTA {
            let free_at = sent.front()?.saturating_add(WINDOW);
            if free_at > now {
                return Some(round_up(free_at.saturating_sub(now)));
            }
            sent.pop_front();
        }
        sent.push_back(now);
        None
    }
}

/// Rounds up to a multiple of [`STEP`].
fn round_up(wait: Duration) -> Duration {
    let steps = wait.as_millis().div_ceil(STEP.as_millis());
    STEP.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::clock::ManualClock;

    use chrono::DateTime;
    use futures_util::FutureExt as _;

    /// Sends this many requests, which each take no time. Returns when each was let through.
    async fn sent(requests: usize) -> Vec<Duration> {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let limiter = AddressLimiter::default();
        let mut times = Vec::new();
        for _ in 0..requests {
            limiter.enter(&clock, Duration::MAX, |_| ()).await.unwrap();
            times.push(clock.elapsed());
        }
        times
    }

    #[tokio::test]
    async fn a_second_has_at_most_200_requests_and_hardly_fewer() {
        let times = sent(2000).await;
        for (first, next) in times.iter().zip(&times[QUOTA..]) {
            assert!(*next - *first > Duration::from_secs(1));
        }
        assert!(*times.last().unwrap() < Duration::from_millis(9 * 1050));
    }

    #[tokio::test]
    async fn requests_spread_over_time_never_wait() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let limiter = AddressLimiter::default();
        for _ in 0..2000 {
            clock.advance(WINDOW / 200);
            let entering = limiter.enter(&clock, Duration::ZERO, |_| ());
            assert_eq!(entering.await, Ok(()));
        }
    }

    #[tokio::test]
    async fn a_wait_past_the_patience_fails_at_once_and_counts_nothing() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let limiter = AddressLimiter::default();
        for _ in 0..QUOTA {
            assert_eq!(limiter.enter(&clock, Duration::ZERO, |_| ()).await, Ok(()));
        }
        let before = clock.elapsed();
        let wait = limiter.enter(&clock, Duration::from_millis(900), |_| ());
        assert_eq!(wait.await, Err(Duration::from_millis(1040)));
        assert_eq!(clock.elapsed(), before);
    }

    #[tokio::test]
    async fn a_waiter_that_is_not_polled_holds_up_no_other() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let limiter = AddressLimiter::default();
        for _ in 0..QUOTA {
            assert_eq!(limiter.enter(&clock, Duration::ZERO, |_| ()).await, Ok(()));
        }
        let mut idle = std::pin::pin!(limiter.enter(&clock, Duration::MAX, |_| ()));
        assert_eq!(idle.as_mut().now_or_never(), None, "it waits");
        clock.advance(Duration::from_secs(2));
        for _ in 0..QUOTA {
            assert_eq!(limiter.enter(&clock, Duration::ZERO, |_| ()).await, Ok(()));
        }
    }
}
