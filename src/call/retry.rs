//! Decides whether and when a failed call is retried.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::call::operation::Operation;
use crate::error::Error;

/// The number of attempts, and the pauses between them.
///
/// A call is retried after a [transient](crate::Error::is_transient) failure: no
/// connection, a timeout, a connection that broke, HTTP 408, 429, 500, 502, 503, 504
/// and 520 to 524, and Cloudflare's code 971 (throttled). A call that makes a secret
/// (create, rotate, and an update of `client_secret_version`) is retried only if the
/// request had no effect: there was no connection, or the response was 429.
///
/// The backoff is exponential with full jitter: the first pause takes up to the first
/// delay, each later one up to twice as much as the one before, and none is shorter than
/// `Retry-After`. If a pause would reach past the call's deadline, the call fails at once.
///
/// All calls of a client and of its clones share a budget of retries. Each retry takes
/// from it and each success gives a little back, so that, while the API is down, the
/// client soon tries each call only once.
///
/// ```
/// use std::time::Duration;
/// use cf_service_tokens::{Client, Retry};
///
/// let patient = Retry::default().attempts(20).backoff(Duration::from_secs(1), Duration::from_secs(60));
/// let client = Client::builder().api_token("token").retry(patient).build()?;
/// # Ok::<(), cf_service_tokens::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Retry {
    attempts: u32,
    first_delay: Duration,
    longest_delay: Duration,
    seed: Option<u64>,
}

impl Default for Retry {
    /// Up to 10 attempts, with pauses of up to half a second at first and up to
    /// 20 seconds at last: about a minute in all.
    fn default() -> Self {
        Self {
            attempts: 10,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(20),
            seed: None,
        }
    }
}

impl Retry {
    /// Returns a policy of one attempt.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{Client, Retry};
    /// use cf_service_tokens_simulator::{Fault, Simulator};
    /// # let builder = client_builder(&simulator);
    ///
    /// let client = builder.retry(Retry::none()).build()?;
    /// simulator.inject(Fault::Status(503));
    /// let error = client.account(simulator.account_id())?.service_tokens().list().page(1).await.unwrap_err();
    /// assert_eq!(error.attempts(), 1);
    /// # Ok(()) }) }
    /// ```
    pub fn none() -> Self {
        Self::default().attempts(1)
    }

    /// Sets the maximum number of attempts of a call, including the first. Zero counts
    /// as one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use std::time::Duration;
    /// use cf_service_tokens::{Client, Retry};
    /// use cf_service_tokens_simulator::{Fault, Injection, Simulator};
    /// # let builder = client_builder(&simulator);
    ///
    /// let quick = Retry::default().attempts(3).backoff(Duration::from_millis(1), Duration::from_millis(5));
    /// let client = builder.retry(quick).build()?;
    /// simulator.inject(Injection::new(Fault::Status(503)).always());
    /// let error = client.account(simulator.account_id())?.service_tokens().list().page(1).await.unwrap_err();
    /// assert_eq!(error.attempts(), 3);
    /// # Ok(()) }) }
    /// ```
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets the maximum length of the first pause, and of any pause.
    ///
    /// See the example of [`attempts`](Self::attempts).
    #[must_use]
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.first_delay = first;
        self.longest_delay = longest;
        self
    }

    /// Sets the seed of the jitter, so that the pauses of a test are reproducible.
    ///
    /// ```
    /// # use cf_service_tokens::{Client, Retry};
    /// let client = Client::builder().api_token("token").retry(Retry::default().seed(7)).build()?;
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }
}

/// The state of a client's retries.
pub(crate) struct Retrier {
    policy: Retry,
    budget: Mutex<Budget>,
    random: Mutex<fastrand::Rng>,
}

/// The budget for retries: enough for a hundred in a row. A success earns a fifth of a
/// retry.
struct Budget(u32);

impl Budget {
    const FULL: u32 = 500;
    const RETRY: u32 = 5;
    const SUCCESS: u32 = 1;

    fn spend(&mut self) -> bool {
        let left = self.0.checked_sub(Self::RETRY);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    fn earn(&mut self) {
        self.0 = (self.0 + Self::SUCCESS).min(Self::FULL);
    }
}

impl Retrier {
    pub(crate) fn new(policy: Retry) -> Self {
        let random = policy
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self {
            policy,
            budget: Mutex::new(Budget(Budget::FULL)),
            random: Mutex::new(random),
        }
    }

    /// Notes that a call succeeded.
    pub(crate) fn succeeded(&self) {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.earn();
    }

    /// Returns the pause before the next attempt, given the failed attempts and the time
    /// left; `None` if the call should not be retried.
    pub(crate) fn pause(
        &self,
        operation: &Operation,
        error: &Error,
        attempts: u32,
        left: Duration,
    ) -> Option<Duration> {
        if attempts >= self.policy.attempts || !may_pass(operation, error) {
            return None;
        }
        let asked_for = error.retry_after().unwrap_or_default();
        let pause = self.backoff(attempts).max(asked_for);
        if pause >= left {
            return None;
        }
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.spend().then_some(pause)
    }

    fn backoff(&self, attempts: u32) -> Duration {
        let doublings = 1_u32
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let most = self
            .policy
            .first_delay
            .saturating_mul(doublings)
            .min(self.policy.longest_delay);
        most.mul_f64(self.random())
    }

    /// Returns a random number from 0 to 1.
    pub(crate) fn random(&self) -> f64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.f64()
    }
}

/// Whether another attempt may succeed and is harmless.
fn may_pass(operation: &Operation, error: &Error) -> bool {
    error.is_transient() && (operation.idempotent || !error.may_have_been_applied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_with_jitter() {
        let policy = Retry::default()
            .backoff(Duration::from_secs(1), Duration::from_secs(10))
            .seed(7);
        let retrier = Retrier::new(policy.clone());
        for (attempts, most) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (4, 8),
            (5, 10),
            (40, 10),
            (u32::MAX, 10),
        ] {
            let most = Duration::from_secs(most);
            let pauses: Vec<Duration> = (0..200).map(|_| retrier.backoff(attempts)).collect();
            assert!(pauses.iter().all(|pause| *pause <= most));
            assert!(pauses.iter().any(|pause| *pause > most.mul_f64(0.9)));
            assert!(pauses.iter().any(|pause| *pause < most.mul_f64(0.1)));
        }
        let again = Retrier::new(policy);
        let first: Vec<Duration> = (0..5).map(|_| Retrier::backoff(&again, 3)).collect();
        let replay = Retrier::new(again.policy.clone());
        let second: Vec<Duration> = (0..5).map(|_| replay.backoff(3)).collect();
        assert_eq!(first, second, "the same seed gives the same pauses");
    }

    #[test]
    fn the_budget_runs_out_and_fills_up_again() {
        let mut budget = Budget(Budget::FULL);
        assert_eq!((0..200).filter(|_| budget.spend()).count(), 100);
        for _ in 0..5 {
            assert!(!budget.spend());
            budget.earn();
        }
        assert!(budget.spend());
        for _ in 0..10_000 {
            budget.earn();
        }
        assert_eq!(budget.0, Budget::FULL);
    }
}
