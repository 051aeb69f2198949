//! The policy of a renewal: which tokens are renewed, when, and by how much.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::duration::{DurationRangeError, GoDuration, saturated};
use crate::generated::types::ServiceToken;

/// How long a token is valid after a refresh.
const A_YEAR: TimeDelta = TimeDelta::hours(8760);

/// Selects the tokens of an account that are renewed, when, and by how much.
///
/// By default, every enabled token that expires within 30 days, or expired less than 30 days
/// ago, is refreshed.
///
/// ```
/// use std::time::Duration;
/// use cf_service_tokens::renewal::{RenewBy, RenewalPolicy};
///
/// let policy = RenewalPolicy::new()
///     .window(Duration::from_secs(14 * 24 * 60 * 60))
///     .by(RenewBy::Duration)
///     .except(["contractor, ends in June"])
///     .dry_run(true);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a policy does nothing by itself"]
pub struct RenewalPolicy {
    pub(super) window: TimeDelta,
    pub(super) by: RenewBy,
    pub(super) include_expired: bool,
    pub(super) include_disabled: bool,
    /// Names and ids; `None` for all tokens.
    pub(super) only: Option<BTreeSet<String>>,
    pub(super) except: BTreeSet<String>,
    pub(super) dry_run: bool,
    pub(super) concurrency: usize,
}

/// The call that renews a token.
///
/// See the example of [`RenewalPolicy::by`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RenewBy {
    /// A refresh: the token is valid for one year from now, whatever its own duration.
    #[default]
    Refresh,
    /// An update with the token's own duration, which counts from now.
    Duration,
}

impl Default for RenewalPolicy {
    fn default() -> Self {
        Self {
            window: TimeDelta::days(30),
            by: RenewBy::default(),
            include_expired: false,
            include_disabled: false,
            only: None,
            except: BTreeSet::new(),
            dry_run: false,
            concurrency: 8,
        }
    }
}

impl RenewalPolicy {
    /// Returns the default policy.
    ///
    /// See the example of [`decide`](Self::decide).
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long before its expiry a token falls due; 30 days by default. It takes a
    /// [`GoDuration`], or a duration of `std` or `chrono`. A negative one counts as zero.
    ///
    /// The window is at most half of the time that a renewal adds: a token that is renewed
    /// for ten days at a time falls due when it has five left. Otherwise it would be due
    /// again right after each renewal.
    ///
    /// ```
    /// # use cf_service_tokens::{ServiceToken, renewal::RenewalPolicy}; use chrono::{TimeDelta, Utc};
    /// let week = RenewalPolicy::new().window(TimeDelta::days(7));
    /// let mut token = ServiceToken::default();
    /// token.expires_at = Some(Utc::now() + TimeDelta::days(40));
    /// assert_eq!(week.due_at(&token), token.expires_at.map(|at| at - TimeDelta::days(7)));
    /// ```
    pub fn window(
        mut self,
        window: impl TryInto<GoDuration, Error: Into<DurationRangeError>>,
    ) -> Self {
        self.window = saturated(window).max(GoDuration::ZERO).into();
        self
    }

    /// Sets the call that renews tokens; a refresh by default.
    ///
    /// ```
    /// # use cf_service_tokens::{ServiceToken, TokenDuration, renewal::{RenewBy, RenewalPolicy}}; use chrono::{TimeDelta, Utc};
    /// let policy = RenewalPolicy::new().by(RenewBy::Duration);
    /// let mut token = ServiceToken::default();
    /// token.duration = Some("240h".parse::<TokenDuration>()?);
    /// token.expires_at = Some(Utc::now() + TimeDelta::days(9));
    /// assert_eq!(policy.due_at(&token), token.expires_at.map(|at| at - TimeDelta::days(5)));
    /// # Ok::<(), cf_service_tokens::ParseDurationError>(())
    /// ```
    pub fn by(mut self, by: RenewBy) -> Self {
        self.by = by;
        self
    }

    /// Sets whether tokens that expired longer ago than the [window](Self::window) are
    /// renewed as well, which makes them work again. Not by default: such a token may
    /// have been left to expire on purpose. A token that expired more recently is
    /// always renewed.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { decision_example(|policy, mut token, now| {
    /// token.expires_at = Some(now - TimeDelta::days(1));
    /// assert_eq!(policy.decide(&token, now), Decision::Renew(RenewReason::Expired));
    /// token.expires_at = Some(now - TimeDelta::days(31));
    /// assert_eq!(policy.decide(&token, now), Decision::Skip(SkipReason::Expired));
    /// let policy = policy.include_expired(true);
    /// assert_eq!(policy.decide(&token, now), Decision::Renew(RenewReason::Expired));
    /// # }) }
    /// ```
    pub fn include_expired(mut self, include: bool) -> Self {
        self.include_expired = include;
        self
    }

    /// Sets whether disabled tokens are renewed as well, which does not enable them.
    /// Not by default.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { decision_example(|policy, mut token, now| {
    /// token.enabled = Some(false);
    /// assert_eq!(policy.decide(&token, now), Decision::Skip(SkipReason::Disabled));
    /// let policy = policy.include_disabled(true);
    /// assert_eq!(policy.decide(&token, now), Decision::Renew(RenewReason::Due));
    /// # }) }
    /// ```
    pub fn include_disabled(mut self, include: bool) -> Self {
        self.include_disabled = include;
        self
    }

    /// Renews only the tokens with these names, ids and client ids. An empty list selects
    /// no token.
    ///
    /// The [report](super::RenewalReport::unmatched) lists those that match no token.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { decision_example(|policy, mut token, now| {
    /// token.name = Some("deploy".to_owned());
    /// let policy = policy.only(["backup"]);
    /// assert_eq!(policy.decide(&token, now), Decision::Skip(SkipReason::NotSelected));
    /// # }) }
    /// ```
    pub fn only<T: Into<String>>(mut self, names_and_ids: impl IntoIterator<Item = T>) -> Self {
        self.only = Some(names_and_ids.into_iter().map(Into::into).collect());
        self
    }

    /// Excludes the tokens with these names, ids and client ids. It takes precedence over
    /// [`only`](Self::only).
    ///
    /// The [report](super::RenewalReport::unmatched) lists those that match no token.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { decision_example(|policy, mut token, now| {
    /// token.name = Some("deploy".to_owned());
    /// let policy = policy.except(["deploy"]);
    /// assert_eq!(policy.decide(&token, now), Decision::Skip(SkipReason::Excluded));
    /// # }) }
    /// ```
    pub fn except<T: Into<String>>(mut self, names_and_ids: impl IntoIterator<Item = T>) -> Self {
        self.except = names_and_ids.into_iter().map(Into::into).collect();
        self
    }

    /// Sets whether a pass only decides, without changing anything.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::renewal::RenewalPolicy;
    /// use cf_service_tokens_simulator::{SeedToken, Simulator};
    ///
    /// let due = SeedToken::new("deploy").expires_in(chrono::TimeDelta::days(9));
    /// let simulator = Simulator::builder().token(due).start().await?;
    /// # let (client, tokens) = connect(&simulator);
    /// let report = tokens.renew(&RenewalPolicy::new().dry_run(true)).await;
    /// assert_eq!(report.to_string(), "1 token: 1 to renew");
    /// # Ok(()) }) }
    /// ```
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Sets how many tokens are renewed at the same time; 8 by default. Zero counts
    /// as one.
    ///
    /// ```
    /// # use cf_service_tokens::renewal::RenewalPolicy;
    /// let one_after_the_other = RenewalPolicy::new().concurrency(1);
    /// ```
    pub fn concurrency(mut self, tokens: usize) -> Self {
        self.concurrency = tokens.max(1);
        self
    }

    /// Returns when the token falls due; `None` if it never expires, or if the API did
    /// not say when it does.
    ///
    /// ```
    /// use cf_service_tokens::ServiceToken;
    /// use cf_service_tokens::renewal::RenewalPolicy;
    /// use chrono::{TimeDelta, Utc};
    ///
    /// let mut token = ServiceToken::default();
    /// token.expires_at = Some(Utc::now() + TimeDelta::days(40));
    /// let due_at = RenewalPolicy::new().due_at(&token);
    /// assert_eq!(due_at, token.expires_at.map(|at| at - TimeDelta::days(30)));
    /// ```
    pub fn due_at(&self, token: &ServiceToken) -> Option<DateTime<Utc>> {
        if token.never_expires() {
            return None;
        }
        let window = match self.gain(token) {
            Some(gain) => self.window.min(gain / 2),
            None => self.window,
        };
        let due_at = token.known_expiry()?.checked_sub_signed(window);
        Some(due_at.unwrap_or(DateTime::<Utc>::MIN_UTC))
    }

    /// Returns how long the token would be valid after a renewal now; `None` if that is
    /// unknown.
    pub(super) fn gain(&self, token: &ServiceToken) -> Option<TimeDelta> {
        match self.by {
            RenewBy::Refresh => Some(A_YEAR),
            RenewBy::Duration => {
                let nanos = token.duration.as_ref()?.finite()?.as_nanos();
                (nanos > 0).then_some(TimeDelta::nanoseconds(nanos))
            }
        }
    }

    /// Returns the values by which `only` and `except` may name a token.
    pub(super) fn names(token: &ServiceToken) -> impl Iterator<Item = &str> + Clone {
        let names = [&token.id, &token.client_id, &token.name];
        names.into_iter().flatten().map(String::as_str)
    }

    /// Returns the names and ids in `only` and `except`.
    pub(super) fn named(&self) -> BTreeSet<String> {
        self.only
            .iter()
            .flatten()
            .chain(&self.except)
            .cloned()
            .collect()
    }
}
