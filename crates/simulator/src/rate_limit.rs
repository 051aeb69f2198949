//! The API's rate limit: counted here, told in headers, not enforced.

use chrono::{DateTime, TimeDelta, Utc};

/// Requests in a window, and the window's length in seconds.
const QUOTA: u32 = 1200;
const WINDOW_SECONDS: i64 = 300;

/// Counts requests in windows that begin with the first request after the last one's end.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    window: Option<Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_at: DateTime<Utc>,
    used: u32,
}

/// Where a client stands once its request was counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    remaining: u32,
    resets_in_seconds: i64,
}

impl RateLimit {
    pub(crate) fn count(&mut self, now: DateTime<Utc>) -> Standing {
        let length = TimeDelta::seconds(WINDOW_SECONDS);
        let mut window = self
            .window
            // A clock that was set back must not leave a window open for ever.
            .filter(|window| now < window.ends_at && window.ends_at - now <= length)
            .unwrap_or(Window {
                ends_at: now + length,
                used: 0,
            });
        window.used = window.used.saturating_add(1);
        self.window = Some(window);

        let milliseconds = (window.ends_at - now).num_milliseconds();
        Standing {
            remaining: QUOTA.saturating_sub(window.used),
            resets_in_seconds: (milliseconds + 999) / 1000,
        }
    }
}

impl Standing {
    /// The value of `Ratelimit`.
    pub(crate) fn header(&self) -> String {
        format!(
            "\"default\";r={};t={}",
            self.remaining, self.resets_in_seconds
        )
    }

    /// The value of `Ratelimit-Policy`.
    pub(crate) fn policy() -> String {
        format!("\"default\";q={QUOTA};w={WINDOW_SECONDS}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_runs_down_and_starts_again() {
        let start: DateTime<Utc> = "2026-11-24T05:00:00Z".parse().unwrap();
        let mut limit = RateLimit::default();
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
        assert_eq!(Standing::policy(), r#""default";q=1200;w=300"#);
    }
}
