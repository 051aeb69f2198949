//! The clock of a client, and that of the API.

pub(crate) mod api;

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// The clock of a client, for its retries, deadlines, rate limit and watches.
///
/// [`ClientBuilder::clock`] sets it, so that a test does not have to wait.
/// [`ManualClock`] is enough for most tests. The timeout of a single attempt uses real
/// time instead.
///
/// ```
/// use std::pin::Pin;
/// use std::time::{Duration, Instant};
/// use cf_service_tokens::{Client, Clock};
/// use chrono::{DateTime, TimeDelta, Utc};
///
/// /// A clock that is a minute slow.
/// struct Slow(Instant);
///
/// impl Clock for Slow {
///     fn now(&self) -> DateTime<Utc> {
///         Utc::now() - TimeDelta::minutes(1)
///     }
///     fn elapsed(&self) -> Duration {
///         self.0.elapsed()
///     }
///     fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
///         Box::pin(tokio::time::sleep(duration))
///     }
/// }
///
/// let client = Client::builder().api_token("token").clock(Slow(Instant::now())).build()?;
/// # Ok::<(), cf_service_tokens::Error>(())
/// ```
///
/// [`ClientBuilder::clock`]: crate::ClientBuilder::clock
pub trait Clock: Send + Sync {
    /// Returns the date and time, which may jump either way.
    fn now(&self) -> DateTime<Utc>;

    /// Returns the time since some fixed moment, which never goes back.
    fn elapsed(&self) -> Duration;

    /// Completes once [`elapsed`](Self::elapsed) has grown by at least `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> DateTime<Utc> {
        (**self).now()
    }

    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        (**self).sleep(duration)
    }
}

/// A clock for tests, which stands still until a test or a sleep moves it.
///
/// [`advance`](Self::advance) moves it. A sleep moves it to the end of the sleep, and then
/// completes. So retries, waits for the rate limit and watches take no real time, and the
/// clock shows how long they would have taken. Concurrent sleeps take as long as the longest
/// of them. A sleep that is dropped before it completes does not move the clock.
///
/// It is cheap to clone, and clones share the time. [`reader`](Self::reader) shares the time
/// with a simulator of the API:
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use std::time::Duration;
/// use cf_service_tokens::{Client, ManualClock};
/// use cf_service_tokens_simulator::{SeedToken, Simulator};
/// use chrono::{TimeDelta, Utc};
///
/// let clock = ManualClock::new(Utc::now());
/// let simulator = Simulator::builder()
///     .token(SeedToken::new("deploy").expires_in(TimeDelta::days(30)))
///     .clock(clock.reader())
///     .start()
///     .await?;
/// let client = Client::builder()
///     .api_token(simulator.api_token())
///     .base_url(simulator.base_url())
///     .clock(clock.clone())
///     .build()?;
/// let tokens = client.account(simulator.account_id())?.service_tokens();
///
/// clock.advance(Duration::from_secs(29 * 24 * 60 * 60));
/// let token = tokens.get(&simulator.tokens()[0].id).await?;
/// assert_eq!(token.expires_in(clock.reader()()), Some(TimeDelta::days(1)));
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<ManualTime>>);

struct ManualTime {
    /// The date and time when `elapsed` was zero.
    start: DateTime<Utc>,
    elapsed: Duration,
}

impl ManualClock {
    /// Creates a clock that shows `now`.
    ///
    /// See the example of [`ManualClock`].
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(ManualTime {
            start: now,
            elapsed: Duration::ZERO,
        })))
    }

    /// Advances the date and [`elapsed`](Clock::elapsed).
    ///
    /// See the example of [`ManualClock`].
    pub fn advance(&self, duration: Duration) {
        let mut time = self.time();
        time.elapsed = time.elapsed.saturating_add(duration);
    }

    /// Sets the date and time, forward or back, like the clock of a machine: no time
    /// passes, so [`elapsed`](Clock::elapsed) does not change.
    ///
    /// ```
    /// use cf_service_tokens::{Clock, ManualClock};
    /// use chrono::{DateTime, TimeDelta};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new(DateTime::UNIX_EPOCH);
    /// clock.advance(Duration::from_secs(60));
    /// clock.set(DateTime::UNIX_EPOCH - TimeDelta::days(1));
    /// assert_eq!(clock.now(), DateTime::UNIX_EPOCH - TimeDelta::days(1));
    /// assert_eq!(clock.elapsed(), Duration::from_secs(60));
    /// ```
    pub fn set(&self, now: DateTime<Utc>) {
        let mut time = self.time();
        time.start = now
            .checked_sub_signed(signed(time.elapsed))
            .unwrap_or(DateTime::<Utc>::MIN_UTC);
    }

    /// Returns a function that reads the date and time of this clock.
    ///
    /// See the example of [`ManualClock`].
    pub fn reader(&self) -> impl Fn() -> DateTime<Utc> + Send + Sync + use<> {
        let clock = self.clone();
        move || clock.now()
    }

    fn time(&self) -> MutexGuard<'_, ManualTime> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        let time = self.time();
        time.start
            .checked_add_signed(signed(time.elapsed))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    fn elapsed(&self) -> Duration {
        self.time().elapsed
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (clock, end) = (self.clone(), self.elapsed().saturating_add(duration));
        let mut is_first_poll = true;
        Box::pin(poll_fn(move |context| {
            // Let other tasks start their sleeps before this one ends.
            if is_first_poll {
                is_first_poll = false;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut time = clock.time();
            time.elapsed = time.elapsed.max(end);
            Poll::Ready(())
        }))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock")
            .field("now", &self.now())
            .field("elapsed", &self.elapsed())
            .finish()
    }
}

fn signed(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// The system's clocks, with tokio's timer.
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn concurrent_sleeps_take_as_long_as_the_longest() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        join(clock.sleep(3 * SECOND), clock.sleep(SECOND)).await;
        assert_eq!(clock.elapsed(), 3 * SECOND);
        clock.sleep(SECOND).await;
        assert_eq!(clock.elapsed(), 4 * SECOND);
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH + 4 * SECOND);
    }

    #[tokio::test]
    async fn a_dropped_sleep_does_not_move_the_clock() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        drop(clock.sleep(SECOND));
        assert_eq!(clock.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_sleep_never_moves_the_clock_back() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let sleep = clock.sleep(SECOND);
        clock.advance(9 * SECOND);
        sleep.await;
        assert_eq!(clock.elapsed(), 9 * SECOND);
    }

    #[test]
    fn a_date_out_of_range_becomes_the_last_one() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), DateTime::<Utc>::MAX_UTC);
        clock.set(DateTime::UNIX_EPOCH);
        clock.advance(SECOND);
        assert!(clock.now() <= DateTime::<Utc>::MAX_UTC);
    }

    #[test]
    fn an_arc_shares_a_clock() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let shared: Arc<dyn Clock> = clock.clone();
        clock.advance(SECOND);
        assert_eq!(Clock::elapsed(&shared), SECOND);
        assert_eq!(Clock::now(&shared), clock.now());
    }
}
