//! The API's rate limit: always counted and reported in headers, enforced on request.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::api::authentication::Holder;

/// Counts requests in windows that begin with the first request after the last one's end.
#[derive(Clone, Debug)]
pub(crate) struct RateLimit {
    quota: u32,
    length: TimeDelta,
    is_enforced: bool,
    window: Option<Window>,
}

/// A limit for each credential.
pub(crate) struct RateLimits {
    unused: RateLimit,
    used: HashMap<Holder, RateLimit>,
}

impl RateLimits {
    pub(crate) fn new(unused: RateLimit) -> Self {
        Self {
            unused,
            used: HashMap::new(),
        }
    }

    pub(crate) fn of(&mut self, holder: Holder) -> &mut RateLimit {
        self.used
            .entry(holder)
            .or_insert_with(|| self.unused.clone())
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    ends_at: DateTime<Utc>,
    used: u32,
    /// Whether every request is refused until the window ends.
    is_lock_out: bool,
}

/// The state of the rate limit after a request was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    quota: u32,
    length_in_seconds: i64,
    remaining: u32,
    resets_in_seconds: u32,
    is_locked_out: bool,
}

impl RateLimit {
    /// Cloudflare's limit, reported but not enforced: 1,200 requests in five minutes.
    pub(crate) fn reported() -> Self {
        Self {
            quota: 1200,
            length: TimeDelta::minutes(5),
            is_enforced: false,
            window: None,
        }
    }

    pub(crate) fn enforced(quota: u32, length: TimeDelta) -> Self {
        Self {
            quota,
            length,
            is_enforced: true,
            window: None,
        }
    }

    pub(crate) fn count(&mut self, now: DateTime<Utc>) -> Standing {
        let window = self.spend(1, now);
        let milliseconds = (window.ends_at - now).num_milliseconds();
        Standing {
            quota: self.quota,
            length_in_seconds: self.length.num_seconds(),
            remaining: self.quota.saturating_sub(window.used),
            resets_in_seconds: ((milliseconds + 999) / 1000).try_into().unwrap_or(u32::MAX),
            is_locked_out: window.is_lock_out,
        }
    }

    /// Counts requests. Beyond the quota, a window begins in which all are refused.
    pub(crate) fn spend(&mut self, requests: u32, now: DateTime<Utc>) -> Window {
        let mut window = self
            .window
            // A clock that was set back must not leave a window open for ever.
            .filter(|window| now < window.ends_at && window.ends_at - now <= self.length)
            .unwrap_or(Window {
                ends_at: now + self.length,
                used: 0,
                is_lock_out: false,
            });
        window.used = window.used.saturating_add(requests);
        self.window = Some(window);
        if self.is_enforced && window.used > self.quota && !window.is_lock_out {
            return self.lock_out(now);
        }
        window
    }

    /// Begins a window in which every request is refused, even if the limit is not enforced.
    pub(crate) fn lock_out(&mut self, now: DateTime<Utc>) -> Window {
        *self.window.insert(Window {
            ends_at: now + self.length,
            used: self.quota,
            is_lock_out: true,
        })
    }
}

impl Standing {
    /// Returns how long the lock-out still lasts, if there is one.
    pub(crate) fn lock_out_seconds(&self) -> Option<u32> {
        self.is_locked_out.then_some(self.resets_in_seconds)
    }

    /// Returns the value of `Ratelimit`.
    pub(crate) fn header(&self) -> String {
        let (remaining, resets_in) = (self.remaining, self.resets_in_seconds);
        format!("\"default\";r={remaining};t={resets_in}")
    }

    /// Returns the value of `Ratelimit-Policy`.
    pub(crate) fn policy(&self) -> String {
        let (quota, length) = (self.quota, self.length_in_seconds);
        format!("\"default\";q={quota};w={length}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_runs_down_and_starts_again() {
        let start: DateTime<Utc> = "2026-11-24T05:00:00Z".parse().unwrap();
        let mut limit = RateLimit::reported();
        let mut header_at = |offset| limit.count(start + offset).header();

        assert_eq!(header_at(TimeDelta::zero()), r#""default";r=1199;t=300"#);
        assert_eq!(
            header_at(TimeDelta::seconds(10)),
            r#""default";r=1198;t=290"#
        );
        assert_eq!(
            header_at(TimeDelta::milliseconds(299_999)),
            r#""default";r=1197;t=1"#
        );
        assert_eq!(
            header_at(TimeDelta::seconds(300)),
            r#""default";r=1199;t=300"#
        );
        assert_eq!(
            header_at(TimeDelta::seconds(-60)),
            r#""default";r=1199;t=300"#
        );
        for _ in 0..1300 {
            header_at(TimeDelta::seconds(-60));
        }
        assert_eq!(header_at(TimeDelta::seconds(-60)), r#""default";r=0;t=300"#);
    }

    #[test]
    fn the_policy_states_quota_and_window() {
        let reported = RateLimit::reported().count(Utc::now());
        assert_eq!(reported.policy(), r#""default";q=1200;w=300"#);
        let enforced = RateLimit::enforced(10, TimeDelta::minutes(1)).count(Utc::now());
        assert_eq!(enforced.policy(), r#""default";q=10;w=60"#);
    }

    #[test]
    fn past_the_quota_everything_is_refused_for_as_long_as_a_window() {
        let start: DateTime<Utc> = "2026-11-24T05:00:00Z".parse().unwrap();
        let at = |seconds| start + TimeDelta::seconds(seconds);
        let mut limit = RateLimit::enforced(3, TimeDelta::seconds(60));
        assert_eq!(limit.count(at(0)).lock_out_seconds(), None);
        limit.spend(1, at(5));
        assert_eq!(limit.count(at(10)).lock_out_seconds(), None);
        assert_eq!(limit.count(at(20)).lock_out_seconds(), Some(60));
        assert_eq!(limit.count(at(79)).lock_out_seconds(), Some(1));
        assert_eq!(limit.count(at(79)).header(), r#""default";r=0;t=1"#);
        assert_eq!(limit.count(at(80)).lock_out_seconds(), None);

        let mut reported = RateLimit::reported();
        reported.spend(5000, at(0));
        assert_eq!(reported.count(at(1)).lock_out_seconds(), None);
        reported.lock_out(at(2));
        assert_eq!(reported.count(at(301)).lock_out_seconds(), Some(1));
        assert_eq!(reported.count(at(302)).lock_out_seconds(), None);
    }
}
