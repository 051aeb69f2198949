//! How a watcher follows the rotation rules of an account.

use std::collections::BTreeMap;
use std::future::pending;
use std::panic::resume_unwind;

use cf_service_tokens::ServiceToken;
use cf_service_tokens::renewal::{Decision, RenewalReport};
use tokio::time::{Instant, sleep_until};

use super::{A_DAY, A_MINUTE, AN_HOUR, Shared, lock};
use crate::config;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::keep::{Followed, Kept};
use crate::notify::Fault;
use crate::renew::once;
use crate::serve::AccountMonitor;

/// How `keep` follows the rotation rules of an account.
#[derive(Default)]
pub(super) struct Rules {
    /// The tokens that the pass has listed.
    pub(super) tokens: Vec<(ServiceToken, Decision)>,
    /// How often in a row a rule could not be followed.
    failed: u32,
    /// When to try again, if that is sooner than the next pass.
    try_at: Option<Instant>,
    /// The failures of the last try, and when each was shown.
    shown: BTreeMap<String, Instant>,
}

impl Rules {
    /// Completes when a rule that could not be followed is to be tried again.
    pub(super) async fn next_try(&mut self) {
        match self.try_at {
            Some(at) => sleep_until(at).await,
            None => pending().await,
        }
        self.try_at = None;
    }

    /// Follows the rules after a pass.
    pub(super) async fn follow(
        &mut self,
        kept: &Kept,
        account: &Connection,
        report: &RenewalReport,
        shared: &Shared,
        monitor: &AccountMonitor,
    ) {
        let tokens = std::mem::take(&mut self.tokens);
        let (id, name) = (account.account_id(), account.account_name());
        let mut faults = Fault::of_pass(report, id, name);
        let mut failures = Vec::new();
        if report.error.is_none() {
            let too_few = kept
                .expect_at_least
                .filter(|least| tokens.len() < *least)
                .map(|least| config::too_few(tokens.len(), least));
            // The log has those that expired long ago.
            let of_tokens = once::long_expired(&tokens, true);
            for failure in too_few.iter().chain(&of_tokens) {
                faults.push(Fault::new(failure).of_account(id, name));
            }
            failures.extend(too_few);
            let followed = follow(kept, account, tokens).await;
            monitor.followed(&followed);
            lock(&shared.log).followed(account, &followed);
            self.failed = match followed.iter().all(|rule| rule.exit == Exit::Success) {
                true => 0,
                false => self.failed.saturating_add(1),
            };
            // After a failed pass, the next one comes soon.
            let pause = A_MINUTE.saturating_mul(1 << self.failed.saturating_sub(1).min(6));
            self.try_at = (self.failed > 0).then(|| Instant::now() + pause.min(AN_HOUR));
            for rule in followed {
                for (failure, fault) in rule.with_faults(id, name) {
                    failures.push(failure);
                    faults.push(fault);
                }
            }
            self.show(account, failures);
        }
        if let Some(reporter) = &shared.reporter {
            reporter.passed(id, faults);
        }
    }

    /// Shows the failures that are new, and the others once a day.
    fn show(&mut self, account: &Connection, failures: Vec<Failure>) {
        let before = std::mem::take(&mut self.shown);
        for failure in failures {
            let failure = failure.about(&account.account_label());
            let line = failure.line();
            let shown = before.get(&line).filter(|shown| shown.elapsed() < A_DAY);
            let shown = shown.copied();
            if shown.is_none() {
                account.explain(failure).show();
            }
            self.shown.insert(line, shown.unwrap_or_else(Instant::now));
        }
    }
}

/// Follows the rotation rules of an account, in a task of its own: the end of the watcher must
/// not end a rotation.
async fn follow(
    kept: &Kept,
    account: &Connection,
    tokens: Vec<(ServiceToken, Decision)>,
) -> Vec<Followed> {
    let (kept, account) = (kept.clone(), account.clone());
    let followed = tokio::spawn(async move { kept.rotations.follow(&account, &tokens).await });
    match followed.await {
        Ok(followed) => followed,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // Only the end of the program cancels it.
            Err(_) => Vec::new(),
        },
    }
}
