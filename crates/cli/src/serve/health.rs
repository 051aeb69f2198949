//! Whether the watcher is alive, and whether it can do its work.

use std::time::Duration;

use cf_service_tokens::renewal::{RenewalEvent, WatchEvent};
use chrono::{DateTime, Utc};

use super::Moment;
use crate::failure::Exit;

/// The longest that a watcher is silent in a pass, and some more: a renewal is one
/// call and one look at the token, and each may wait a quarter of an hour for the
/// rate limit. A rotation is as many calls, a sink's command and a hook.
pub(super) const LONGEST_SILENCE: Duration = Duration::from_secs(45 * 60);

/// The watcher's signs of life.
///
/// They are timed by the clock that never goes back and stands still while the
/// machine is suspended, since the watcher stands still then too.
#[derive(Debug)]
pub(super) struct Pulse {
    /// By when something must happen, unless the watcher is stuck.
    expected_by: Duration,
    activity: Activity,
    /// Whether a pass has completed: all tokens were listed, and the credentials accepted.
    has_passed: bool,
    /// Whether the API refused the credentials in the last pass.
    is_refused: bool,
}

/// What the watcher does.
#[derive(Clone, Copy, Debug)]
enum Activity {
    Passing,
    /// It waits for the passes or the rotations of other accounts.
    Queued,
    FollowingRule,
    /// It waits for the next pass.
    WaitingUntil(DateTime<Utc>),
    /// There is nothing to do.
    Resting,
}

impl Pulse {
    pub(super) fn new(elapsed: Duration) -> Self {
        Self {
            expected_by: elapsed.saturating_add(LONGEST_SILENCE),
            activity: Activity::Passing,
            has_passed: false,
            is_refused: false,
        }
    }

    /// Expects nothing as long as other accounts have their turn.
    pub(super) fn queue(&mut self) {
        self.expected_by = Duration::MAX;
        self.activity = Activity::Queued;
    }

    /// Expects a rotation rule to be followed.
    pub(super) fn follow_rule(&mut self, moment: Moment) {
        self.expect_after(Duration::ZERO, moment);
        self.activity = Activity::FollowingRule;
    }

    /// Expects nothing, since there is nothing to do.
    pub(super) fn rest(&mut self) {
        self.expected_by = Duration::MAX;
        self.activity = Activity::Resting;
        self.has_passed = true;
        self.is_refused = false;
    }

    fn expect_after(&mut self, pause: Duration, moment: Moment) {
        self.expected_by = moment
            .elapsed
            .saturating_add(pause)
            .saturating_add(LONGEST_SILENCE);
    }

    /// Records an event.
    pub(super) fn beat(&mut self, event: &WatchEvent, moment: Moment) {
        let mut pause = Duration::ZERO;
        self.activity = match event {
            WatchEvent::Waiting { until } => {
                pause = (*until - moment.now).to_std().unwrap_or_default();
                Activity::WaitingUntil(*until)
            }
            _ => Activity::Passing,
        };
        self.expect_after(pause, moment);
        if let WatchEvent::Renewal(RenewalEvent::Finished(report)) = event {
            self.has_passed |= report.error.is_none();
            self.is_refused = Exit::of_pass(report) == Exit::Credentials;
        }
    }

    /// Describes the watcher's activity.
    ///
    /// # Errors
    ///
    /// Describes the problem, if it is stuck.
    pub(super) fn health(&self, moment: Moment) -> Result<String, String> {
        if moment.elapsed > self.expected_by {
            let late = (moment.elapsed - self.expected_by).saturating_add(LONGEST_SILENCE);
            return Err(format!(
                "stuck: nothing has happened for {} minutes",
                late.as_secs() / 60
            ));
        }
        Ok(match self.activity {
            Activity::Passing => "ok: a pass is running".to_owned(),
            Activity::Queued => "ok: waiting for other accounts".to_owned(),
            Activity::FollowingRule => "ok: following a rotation rule".to_owned(),
            Activity::WaitingUntil(until) => format!(
                "ok: the next pass begins at {}",
                until.format("%Y-%m-%d %H:%M:%S UTC")
            ),
            Activity::Resting => "ok: nothing to do".to_owned(),
        })
    }

    /// Whether the watcher has shown that it can do its work.
    ///
    /// # Errors
    ///
    /// Describes what is missing, if it is not ready.
    pub(super) fn readiness(&self) -> Result<String, String> {
        if self.is_refused {
            return Err("not ready: the API refuses the credentials".to_owned());
        }
        match self.has_passed {
            true => Ok("ok: a pass has completed".to_owned()),
            false => Err(
                "not ready: no pass has completed yet with all tokens listed and the credentials accepted"
                    .to_owned(),
            ),
        }
    }
}
