//! Watching an account: passes, with pauses until the next token falls due.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::Stream;
use tokio::task::JoinSet;

use crate::call::clock::api::Moment;
use crate::renewal::outcome::RenewalError;
use crate::renewal::pass::{Pass, RenewalEvent, next_done, spawn};
use crate::renewal::policy::RenewalPolicy;
use crate::renewal::report::RenewalReport;
use crate::tokens::ServiceTokens;

/// The longest pause after a successful pass, unless the caller sets a shorter one.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest pause after the first failed pass, and after many.
const A_MINUTE: Duration = Duration::from_secs(60);
const AN_HOUR: Duration = Duration::from_secs(60 * 60);
/// The shortest pause.
const SHORTEST_PAUSE: Duration = Duration::from_secs(30);
/// The interval for checking the date during a pause. A timer does not notice that the
/// machine was suspended or that its clock was set.
const NAP: Duration = Duration::from_secs(15 * 60);

/// An event of a watched account.
///
/// See the example of [`Watch`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WatchEvent {
    /// A pass begins. Tokens that [`Watch::set_tokens`] sets now are already those of this
    /// pass.
    Starting,
    /// An event of a pass.
    Renewal(RenewalEvent),
    /// The pass has ended, and the watch waits for the next one.
    Waiting {
        /// When the next pass begins, by the client's clock.
        until: DateTime<Utc>,
    },
}

/// A watched account; returned by [`ServiceTokens::watch`].
///
/// It is a [`Stream`] of events, which never ends. Poll it inside a tokio runtime: outside
/// one, each pass ends with [`RenewalError::NoRuntime`](super::RenewalError::NoRuntime), and
/// the next one begins without a pause. To stop it, drop it: no more calls are made, and tokens that were being renewed may have been
/// renewed, which the next watch finds out.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use cf_service_tokens::renewal::{RenewalEvent, RenewalPolicy, WatchEvent};
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy").expires_in(TimeDelta::days(9))).start().await?;
/// # let (client, tokens) = connect(&simulator);
///
/// let mut watch = tokens.watch(&RenewalPolicy::new());
/// loop {
///     match watch.next().await {
///         WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
///             println!("{report}");
///             assert!(report.is_success());
///         }
///         WatchEvent::Waiting { until } => {
///             println!("nothing to do until {until}");
/// #           break;
///         }
///         _ => {}
///     }
/// }
/// # Ok(()) }) }
/// ```
#[must_use = "nothing is renewed until the events are awaited"]
pub struct Watch {
    tokens: ServiceTokens,
    policy: RenewalPolicy,
    /// The longest pause.
    interval: Duration,
    stage: Stage,
    /// The number of failed passes since the last successful one.
    failures: u32,
    /// When the first token expires, according to the last complete pass.
    next_expiry: Option<DateTime<Utc>>,
    /// The start of the last successful pass, or of the watch. A token that expires later
    /// stays due until it is renewed.
    since: Moment,
}

enum Stage {
    Starting {
        /// Whether the event has been returned.
        is_reported: bool,
    },
    Passing(Box<Pass>),
    Pausing(Pause),
}

/// A pause between two passes. It ends by the date or by the timer, whichever is first.
struct Pause {
    until: DateTime<Utc>,
    /// By the clock's `elapsed`.
    wake_at: Duration,
    is_reported: bool,
    /// The task of the current nap.
    nap: JoinSet<()>,
}

impl ServiceTokens {
    /// Renews the tokens of the account whenever one falls due, until it is dropped.
    ///
    /// After a pass it waits until the next token falls due, but at most about a day, to
    /// notice tokens changed elsewhere. After a failed pass it tries again within a minute,
    /// then less and less often, at least once an hour, and sooner if a token would expire
    /// meanwhile. It checks the date every 15 minutes, in case the machine was suspended or
    /// its clock was set. A token that expires while passes fail stays due until it is
    /// renewed, however long that takes.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::renewal::{RenewalPolicy, WatchEvent};
    ///
    /// let mut watch = tokens.watch(&RenewalPolicy::new());
    /// let until = loop {
    ///     if let WatchEvent::Waiting { until } = watch.next().await {
    ///         break until;
    ///     }
    /// };
    /// assert!(until < Utc::now() + TimeDelta::hours(25), "about a day");
    /// # Ok(()) }) }
    /// ```
    pub fn watch(&self, policy: &RenewalPolicy) -> Watch {
        let since = self.api_clock().moment();
        Watch {
            tokens: self.clone(),
            policy: policy.clone(),
            interval: A_DAY,
            stage: Stage::Starting { is_reported: false },
            failures: 0,
            next_expiry: None,
            since,
        }
    }
}

impl Watch {
    /// Sets the longest pause between two passes: a day by default and at most. A pause is
    /// up to a tenth shorter, at random, and never shorter than half a minute.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use std::time::Duration;
    /// use cf_service_tokens::renewal::{RenewalPolicy, WatchEvent};
    ///
    /// let hour = Duration::from_secs(60 * 60);
    /// let mut watch = tokens.watch(&RenewalPolicy::new()).interval(hour);
    /// let until = loop {
    ///     if let WatchEvent::Waiting { until } = watch.next().await {
    ///         break until;
    ///     }
    /// };
    /// assert!(until <= Utc::now() + TimeDelta::hours(1));
    /// # Ok(()) }) }
    /// ```
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.min(A_DAY);
        self
    }

    /// Begins the next pass at once, if the watch pauses. A running pass continues.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::renewal::{RenewalPolicy, WatchEvent};
    ///
    /// let mut watch = tokens.watch(&RenewalPolicy::new());
    /// while !matches!(watch.next().await, WatchEvent::Waiting { .. }) {}
    /// watch.pass_now();
    /// assert!(matches!(watch.next().await, WatchEvent::Starting));
    /// # Ok(()) }) }
    /// ```
    pub fn pass_now(&mut self) {
        if matches!(self.stage, Stage::Pausing(_)) {
            self.stage = Stage::Starting { is_reported: false };
        }
    }

    /// Sets the tokens that later passes renew: those of the same account, of a client
    /// with new [credentials](crate::Client::with_credentials). A running pass continues
    /// with the earlier tokens.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::Credentials;
    /// use cf_service_tokens::renewal::{RenewalEvent, RenewalPolicy, WatchEvent};
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token("revoked").build()?;
    /// # let account = simulator.account_id();
    /// # let read_api_token = || Credentials::ApiToken(simulator.api_token().into());
    ///
    /// let mut watch = client.account(account)?.service_tokens().watch(&RenewalPolicy::new());
    /// loop {
    ///     match watch.next().await {
    ///         WatchEvent::Starting => {
    ///             let client = client.with_credentials(read_api_token())?;
    ///             watch.set_tokens(client.account(account)?.service_tokens());
    ///         }
    ///         WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
    ///             assert!(report.is_success());
    /// #           break;
    ///         }
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn set_tokens(&mut self, tokens: ServiceTokens) {
        self.tokens = tokens;
    }

    /// Returns the next event. This method is cancel safe.
    ///
    /// See the example of [`Watch`].
    pub async fn next(&mut self) -> WatchEvent {
        loop {
            match &mut self.stage {
                Stage::Starting { is_reported: false } => {
                    self.stage = Stage::Starting { is_reported: true };
                    return WatchEvent::Starting;
                }
                Stage::Starting { is_reported: true } => {
                    let pass = Pass::new(&self.tokens, self.policy.clone(), self.since);
                    self.stage = Stage::Passing(Box::new(pass));
                }
                Stage::Passing(pass) => match pass.next().await {
                    Some(event) => {
                        if let RenewalEvent::Finished(report) = &event {
                            if report.is_success() {
                                self.since = pass.began;
                            }
                            self.pause_after(report);
                        }
                        return WatchEvent::Renewal(event);
                    }
                    None => self.stage = Stage::Starting { is_reported: false },
                },
                Stage::Pausing(pause) if !pause.is_reported => {
                    pause.is_reported = true;
                    return WatchEvent::Waiting { until: pause.until };
                }
                Stage::Pausing(pause) => {
                    let napped = next_done(&mut pause.nap).await;
                    // Without a timer, the next pass reports the error.
                    let has_no_timer = matches!(napped, Some((_, Err(RenewalError::Call(_)))));
                    let clock = self.tokens.clock();
                    let left = pause.left(clock.now(), clock.elapsed());
                    let is_over = has_no_timer
                        || left.is_none_or(|left| {
                            let tokens = self.tokens.clone();
                            let nap = async move { tokens.clock().sleep(left.min(NAP)).await };
                            // Without a runtime, the next pass reports the error.
                            spawn(&mut pause.nap, nap).is_err()
                        });
                    if is_over {
                        self.stage = Stage::Starting { is_reported: false };
                    }
                }
            }
        }
    }

    /// Starts the pause after a pass.
    fn pause_after(&mut self, report: &RenewalReport) {
        let clock = self.tokens.clock();
        let now = self.tokens.now();
        let is_still_due = report.next_due.is_some_and(|due_at| due_at <= now);
        self.failures = match report.is_worth_another_pass() || is_still_due {
            true => self.failures.saturating_add(1),
            false => 0,
        };
        // An incomplete listing may lack the token that expires first.
        let known = self
            .next_expiry
            .filter(|at| report.error.is_some() && *at > now);
        self.next_expiry = known.into_iter().chain(report.next_expiry).min();

        let pause = longest_pause(self.failures, self.tokens.random(), self.interval)
            .min(self.time_to_act(report, now).unwrap_or(Duration::MAX))
            .max(SHORTEST_PAUSE);
        self.stage = Stage::Pausing(Pause {
            until: TimeDelta::from_std(pause)
                .ok()
                .and_then(|pause| clock.now().checked_add_signed(pause))
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
            wake_at: clock.elapsed().saturating_add(pause),
            is_reported: false,
            nap: JoinSet::new(),
        });
    }

    /// Returns the time until the next token falls due, and after a failed pass at most half
    /// of the time until the first token expires.
    fn time_to_act(&self, report: &RenewalReport, now: DateTime<Utc>) -> Option<Duration> {
        let until = |at: Option<DateTime<Utc>>| {
            let left = (at? - now).to_std().ok()?;
            (!left.is_zero()).then_some(left)
        };
        let until_due = until(report.next_due);
        let until_late = until(self.next_expiry)
            .filter(|_| self.failures > 0)
            .map(|left| left / 2);
        until_due.into_iter().chain(until_late).min()
    }
}

/// Returns the longest pause after this many failed passes in a row. The random number,
/// from 0 to 1, adds jitter.
fn longest_pause(failures: u32, random: f64, interval: Duration) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return interval.mul_f64(0.9 + 0.1 * random);
    };
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    let longest = A_MINUTE.saturating_mul(factor).min(AN_HOUR);
    longest.mul_f64(0.5 + 0.5 * random).min(interval)
}

impl Pause {
    /// Returns the rest of the pause; `None` if it has ended.
    fn left(&self, now: DateTime<Utc>, elapsed: Duration) -> Option<Duration> {
        let by_date = (self.until - now).to_std().unwrap_or_default();
        let by_timer = self.wake_at.saturating_sub(elapsed);
        let left = by_date.min(by_timer);
        (!left.is_zero()).then_some(left)
    }
}

impl Stream for Watch {
    type Item = WatchEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // `self.next()` may resolve to the stream's method, which calls this one.
        pin!(Self::next(self.get_mut())).poll(context).map(Some)
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("policy", &self.policy)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}
