//! Keeps a client below the API's rate limit, so that it is never locked out.
//!
//! The API counts requests in windows of time. After too many it refuses all requests
//! for minutes. Each response states the requests left (`Ratelimit`) and the limit
//! (`Ratelimit-Policy`), even if other programs share it.

mod address;
mod headers;
mod window;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select;
use http::StatusCode;
use tokio::sync::Notify;

use crate::answer::Answer;
use crate::call::clock::Clock;
use crate::call::trace;

pub(crate) use address::AddressLimiter;
pub(crate) use headers::RateLimitHeaders;
use window::Window;

/// The longest time for which a response can lock the client out.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// How often a waiter checks the limit. The notification that there is room may have
/// gone to a waiter that is no longer polled.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A limit on the number of requests that a client sends in a window of time.
///
/// Calls beyond the limit wait for the next window, in no particular order; a call that
/// would have to wait past its deadline fails at once. The limit that the API states in
/// its responses takes precedence over the default. If the caller sets a limit, both
/// apply: a request is sent once both have room for it.
///
/// Each of these limits is one of the credentials. The API also limits an IP address to
/// [200 requests a second][limits], whatever the credentials. The client and the clients
/// that [`Client::with_credentials`](crate::Client::with_credentials) makes from it share
/// that limit.
///
/// ```
/// use std::time::Duration;
/// use cf_service_tokens::{Client, RateLimit};
///
/// // Leave half of Cloudflare's limit to other programs with the same API token.
/// let half = RateLimit::new(600, Duration::from_secs(300));
/// let client = Client::builder().api_token("token").rate_limit(half).build()?;
/// # Ok::<(), cf_service_tokens::Error>(())
/// ```
///
/// [limits]: https://developers.cloudflare.com/fundamentals/api/reference/limits/
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// The caller's own limit.
    own: Option<Rule>,
    /// The API's limit, until a response states it.
    api: Option<Rule>,
}

/// 1,200 requests in five minutes.
const CLOUDFLARE: Rule = Rule {
    quota: 1200,
    window: Duration::from_secs(300),
};

impl Default for RateLimit {
    /// [Cloudflare's own limit][limits]: 1,200 requests in five minutes, until the
    /// first response states it.
    ///
    /// [limits]: https://developers.cloudflare.com/fundamentals/api/reference/limits/
    fn default() -> Self {
        Self {
            own: None,
            api: Some(CLOUDFLARE),
        }
    }
}

impl RateLimit {
    /// Returns a limit of this many requests in each window of this length. Zero requests
    /// count as one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use std::time::Duration;
    /// use cf_service_tokens::{Client, RateLimit};
    /// # let builder = client_builder(&simulator);
    ///
    /// let client = builder.rate_limit(RateLimit::new(1, Duration::from_secs(300))).build()?;
    /// let tokens = client.account(simulator.account_id())?.service_tokens();
    /// assert!(tokens.list().page(1).await.is_ok());
    /// let error = tokens.list().page(2).await.unwrap_err(); // the deadline is 3 minutes
    /// assert!(error.is_rate_limited() && error.attempts() == 0);
    /// # Ok(()) }) }
    /// ```
    pub fn new(requests: u32, window: Duration) -> Self {
        let own = Rule {
            quota: requests.max(1),
            window,
        };
        Self {
            own: Some(own),
            api: None,
        }
    }

    /// Turns off the client's limits. The API locks out a caller that exceeds its own
    /// limit for five minutes.
    ///
    /// ```
    /// # use cf_service_tokens::{Client, RateLimit};
    /// let client = Client::builder().api_token("token").rate_limit(RateLimit::none()).build()?;
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    pub fn none() -> Self {
        Self {
            own: None,
            api: None,
        }
    }
}

impl RateLimit {
    /// Returns the limiter for the IP address, unless there is no limit.
    pub(crate) fn for_address(&self) -> Option<AddressLimiter> {
        let is_limited = self.own.is_some() || self.api.is_some();
        is_limited.then(AddressLimiter::default)
    }
}

/// A number of requests in a window of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rule {
    quota: u32,
    window: Duration,
}

/// Lets requests through as the limits allow.
pub(crate) struct RateLimiter {
    /// `None` without a limit.
    limits: Option<Mutex<Limits>>,
    /// Notified when the available quota changes.
    change: Notify,
}

/// The limits of a request.
struct Limits {
    /// The caller's limit, if there is one.
    own: Window,
    /// The API's limit, if it is known.
    api: Window,
    /// The end of a lock-out, during which no window has room.
    locked_out_until: Duration,
}

impl Limits {
    /// Returns how long until one more request may be sent.
    fn wait(&mut self, now: Duration) -> Duration {
        self.own.roll_over(now);
        self.api.roll_over(now);
        self.own
            .wait(now)
            .max(self.api.wait(now))
            .max(self.locked_out_until.saturating_sub(now))
    }
}

impl RateLimiter {
    pub(crate) fn new(limit: &RateLimit) -> Self {
        let is_limited = limit.own.is_some() || limit.api.is_some();
        let limits = is_limited.then(|| Limits {
            own: Window::new(limit.own),
            api: Window::new(limit.api),
            locked_out_until: Duration::ZERO,
        });
        Self {
            limits: limits.map(Mutex::new),
            change: Notify::new(),
        }
    }

    /// Waits until a request may be sent. Before it waits, it passes the expected wait
    /// to `announce`, and holds the returned value during the wait. Where the clock's sleep
    /// ends late, it may return after `patience`.
    ///
    /// # Errors
    ///
    /// The time to wait, without waiting, if it is not shorter than `patience`.
    pub(crate) async fn enter<W>(
        self: &Arc<Self>,
        clock: &dyn Clock,
        patience: Duration,
        announce: impl Fn(Duration) -> W,
    ) -> Result<Permit, Duration> {
        let arrived_at = clock.elapsed();
        let give_up_at = arrived_at.saturating_add(patience);
        let mut announced: Option<(Duration, W)> = None;
        loop {
            let change = pin!(self.change.notified());
            let now = clock.elapsed();
            let wait = match self.permit(now) {
                Ok(permit) => {
                    if announced.is_some() {
                        trace::waited_for_room(now.saturating_sub(arrived_at));
                    }
                    return Ok(permit);
                }
                Err(wait) => wait,
            };
            let end = now.saturating_add(wait);
            if end >= give_up_at {
                if announced.is_some() {
                    // Pass the notification on, since this waiter does not use the
                    // room.
                    self.change.notify_one();
                }
                return Err(wait);
            }
            if announced.as_ref().is_none_or(|(known, _)| *known != end) {
                drop(announced.take());
                announced = Some((end, announce(wait)));
            }
            select(change, clock.sleep(wait.min(LOOK_AGAIN))).await;
        }
    }

    /// Lets a request through, or returns how long it has to wait.
    fn permit(self: &Arc<Self>, now: Duration) -> Result<Permit, Duration> {
        let (mut own_epoch, mut api_epoch) = (0, 0);
        if let Some(limits) = &self.limits {
            let mut limits = lock(limits);
            let wait = limits.wait(now);
            if !wait.is_zero() {
                return Err(wait);
            }
            own_epoch = limits.own.enter(now);
            api_epoch = limits.api.enter(now);
        }
        Ok(Permit {
            limiter: Arc::clone(self),
            own_epoch,
            api_epoch,
        })
    }
}

/// A request that was let through. It counts as sent, unless [`unsent`](Self::unsent) is
/// called.
pub(crate) struct Permit {
    limiter: Arc<RateLimiter>,
    own_epoch: u64,
    api_epoch: u64,
}

impl Permit {
    /// Updates the limits from the headers of a response.
    pub(crate) fn answered(&self, clock: &dyn Clock, answer: &Answer) {
        let Some(limits) = &self.limiter.limits else {
            return;
        };
        let now = clock.elapsed();
        let stated = RateLimitHeaders::read(&answer.headers);
        let mut limits = lock(limits);
        let wait_before = limits.wait(now);
        limits.own.answered(self.own_epoch, now);
        limits.api.answered(self.api_epoch, now);
        if let Some(stated) = stated {
            limits.api.observe(self.api_epoch, now, &stated);
        }
        if answer.status == StatusCode::TOO_MANY_REQUESTS
            && let Some(wait) = answer.retry_after()
        {
            let until = now.saturating_add(wait.min(MAX_WAIT));
            limits.locked_out_until = limits.locked_out_until.max(until);
        }
        let has_changed = limits.wait(now) != wait_before;
        // Release the lock before waking waiters.
        drop(limits);
        if has_changed {
            self.limiter.change.notify_waiters();
        }
    }

    /// Notes that the request was not sent, and makes room for another.
    pub(crate) fn unsent(&self) {
        if let Some(limits) = &self.limiter.limits {
            let mut limits = lock(limits);
            limits.own.release();
            limits.api.release();
            drop(limits);
            self.limiter.change.notify_one();
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limits) = &self.limiter.limits {
            let mut limits = lock(limits);
            limits.own.finish();
            limits.api.finish();
            let has_room = limits.own.has_room() && limits.api.has_room();
            drop(limits);
            if has_room {
                self.limiter.change.notify_one();
            }
        }
    }
}

fn lock(limits: &Mutex<Limits>) -> MutexGuard<'_, Limits> {
    limits.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
