//! How a watcher follows the rotation rules of an account.

use std::collections::BTreeMap;
use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use cf_service_tokens::ServiceToken;
use cf_service_tokens::renewal::{Decision, RenewalReport};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, sleep};

use super::{A_DAY, A_MINUTE, AN_HOUR, Shared};
use crate::config;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::keep::{Followed, Kept, Step};
use crate::notify::Fault;
use crate::renew::once;
use crate::serve::AccountMonitor;

/// The shortest pause before a rule that falls due: the API's clock is known to the second.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// How often a pause looks at the date.
const NAP: Duration = Duration::from_secs(15 * 60);

/// How `keep` follows the rotation rules of an account.
#[derive(Default)]
pub(super) struct Rules {
    /// The tokens that the pass has listed.
    tokens: Vec<(ServiceToken, Decision)>,
    /// How often in a row a rule could not be followed.
    failed: u32,
    /// When to follow them again, if that is sooner than the next pass.
    again: Option<Again>,
    /// The failures of the last pass, and when each was shown.
    shown: BTreeMap<String, Instant>,
}

/// A time by the date and by the timer, whichever comes first: a timer does not notice that
/// the machine was suspended.
struct Again {
    date: DateTime<Utc>,
    timer: Instant,
}

impl Rules {
    /// Notes that a pass begins.
    pub(super) fn begin_pass(&mut self) {
        self.tokens.clear();
        self.again = None;
    }

    /// Notes a token that the pass has listed.
    pub(super) fn listed(&mut self, token: &ServiceToken, decision: Decision) {
        self.tokens.push((token.clone(), decision));
    }

    /// Ends a pause early if the rules are to be followed before.
    pub(super) fn shorten(&mut self, until: &mut DateTime<Utc>) {
        match &self.again {
            Some(again) if again.date < *until => *until = again.date,
            _ => self.again = None,
        }
    }

    /// Completes when the rules are to be followed again, if that is before the next pass.
    pub(super) async fn next_try(&mut self) {
        let Some(again) = &self.again else {
            return pending().await;
        };
        while let Some(left) = again.left() {
            sleep(left.min(NAP)).await;
        }
        self.again = None;
    }

    /// Follows the rules after a pass, in a task of its own: the end of the watcher must not
    /// end a rotation.
    pub(super) async fn follow(
        self,
        kept: Kept,
        account: Connection,
        report: &RenewalReport,
        shared: Arc<Shared>,
        monitor: AccountMonitor,
    ) -> Self {
        let faults = Fault::of_pass(report, account.account_id(), account.account_name());
        if report.error.is_some() {
            // The next pass comes soon.
            if let Some(reporter) = &shared.reporter {
                reporter.stopped(account.account_id(), faults);
            }
            return self;
        }
        let following = self.follow_listed(kept, account, faults, shared, monitor);
        match tokio::spawn(following).await {
            Ok(rules) => rules,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Only the end of the program cancels it.
                Err(_) => Self::default(),
            },
        }
    }

    async fn follow_listed(
        mut self,
        kept: Kept,
        account: Connection,
        mut faults: Vec<Fault>,
        shared: Arc<Shared>,
        monitor: AccountMonitor,
    ) -> Self {
        let tokens = std::mem::take(&mut self.tokens);
        let (id, name) = (account.account_id(), account.account_name());
        let too_few = kept
            .expect_at_least
            .filter(|least| tokens.len() < *least)
            .map(|least| config::too_few(tokens.len(), least));
        // The log has those that expired long ago.
        let of_tokens = once::long_expired(&tokens, true);
        for failure in too_few.iter().chain(&of_tokens) {
            faults.push(Fault::new(failure).of_account(id, name));
        }
        let before = std::mem::take(&mut self.shown);
        let mut show = |failure: &Failure| {
            let failure = failure.clone().about(&account.account_label());
            let (line, at) = show(&before, &account, failure);
            self.shown.insert(line, at);
        };
        too_few.iter().for_each(&mut show);
        // Only while it has the turn may a rotation outlive the watcher.
        let note = |step: Step<'_>| match step {
            Step::Waits => monitor.queued(),
            Step::Begins => monitor.begins_rule(),
            Step::Ended(rule) => {
                shared.log.followed(&account, rule);
                rule.failures.iter().for_each(&mut show);
            }
        };
        let followed = kept.rotations.follow(&account, &tokens, note).await;
        monitor.followed(&followed);
        self.plan(&account, &followed);
        let of_rules = followed
            .into_iter()
            .flat_map(|rule| rule.with_faults(id, name));
        faults.extend(of_rules.map(|(_, fault)| fault));
        if let Some(reporter) = &shared.reporter {
            reporter.passed(id, faults);
        }
        self
    }

    /// Plans when to follow the rules again: when the first one falls due, and soon after a
    /// failure.
    fn plan(&mut self, account: &Connection, followed: &[Followed]) {
        self.failed = match followed.iter().all(|rule| rule.exit == Exit::Success) {
            true => 0,
            false => self.failed.saturating_add(1),
        };
        let doublings = self.failed.checked_sub(1);
        let retry = doublings.map(|doublings| A_MINUTE.saturating_mul(1 << doublings.min(6)));
        let retry = retry.map(|pause| pause.min(AN_HOUR));
        let due = followed
            .iter()
            .filter_map(|rule| rule.record.next_at())
            .min();
        let due = due.map(|due| (due - account.tokens.now()).to_std().unwrap_or_default());
        let due = due.map(|pause| pause.max(SHORTEST_PAUSE));
        let pause = retry.into_iter().chain(due).min();
        self.again = pause.and_then(Again::after);
    }
}

impl Again {
    /// `None` if that is too far away.
    fn after(pause: Duration) -> Option<Self> {
        Some(Self {
            date: Utc::now().checked_add_signed(TimeDelta::from_std(pause).ok()?)?,
            timer: Instant::now().checked_add(pause)?,
        })
    }

    /// Returns the time that is left; `None` if it has come.
    fn left(&self) -> Option<Duration> {
        let by_date = (self.date - Utc::now()).to_std().unwrap_or_default();
        let by_timer = self.timer.saturating_duration_since(Instant::now());
        let left = by_date.min(by_timer);
        (!left.is_zero()).then_some(left)
    }
}

/// Shows a failure if it is new, or was last shown a day ago. Returns its line, and when it was
/// last shown.
fn show(
    before: &BTreeMap<String, Instant>,
    account: &Connection,
    failure: Failure,
) -> (String, Instant) {
    let line = failure.line();
    let shown = before.get(&line).filter(|shown| shown.elapsed() < A_DAY);
    let shown = shown.copied().unwrap_or_else(|| {
        account.explain(failure).show();
        Instant::now()
    });
    (line, shown)
}
