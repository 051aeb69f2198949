//! Where a client takes the time from.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// The time that a client goes by: when to try again, how long it has waited,
/// when a rate limit is over. Given to [`ClientBuilder::clock`], so that a test
/// can let hours pass at once.
///
/// The timeout of a single attempt does not go by it: that is real time, since
/// the network is real.
///
/// ```
/// use std::pin::Pin;
/// use std::sync::Mutex;
/// use std::time::Duration;
/// use cf_service_tokens::{Client, Clock};
/// use chrono::{DateTime, Utc};
///
/// /// A clock on which every wait is over at once, and counts all the same.
/// #[derive(Debug, Default)]
/// struct Impatient(Mutex<Duration>);
///
/// impl Clock for Impatient {
///     fn now(&self) -> DateTime<Utc> {
///         DateTime::UNIX_EPOCH + self.elapsed()
///     }
///     fn elapsed(&self) -> Duration {
///         *self.0.lock().unwrap()
///     }
///     fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
///         *self.0.lock().unwrap() += duration;
///         Box::pin(std::future::ready(()))
///     }
/// }
///
/// let client = Client::builder().api_token("token").clock(Impatient::default()).build()?;
/// # Ok::<(), cf_service_tokens::Error>(())
/// ```
///
/// [`ClientBuilder::clock`]: crate::ClientBuilder::clock
pub trait Clock: fmt::Debug + Send + Sync {
    /// The date and time, which may be set forth and back.
    fn now(&self) -> DateTime<Utc>;

    /// How long it is since some fixed moment. It never goes back.
    fn elapsed(&self) -> Duration;

    /// Is over once [`elapsed`](Self::elapsed) has grown by `duration`.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The system's clocks, and tokio's timer.
#[derive(Debug)]
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
