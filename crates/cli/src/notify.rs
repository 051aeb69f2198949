//! Tells others how a run ended: the hook `on_failure`, and a ping.
//!
//! Neither changes the run's exit code. A failure of theirs is shown on standard error.

mod ping;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cf_service_tokens::renewal::{RenewalOutcome, RenewalReport};
use serde::Serialize;
use tokio::time::sleep;

use crate::config::Notify;
use crate::failure::{Exit, Failure};
use crate::hook::Hook;
use crate::output;

/// How long a watcher says nothing again of a failure that it has reported. Less than a day,
/// so that passes of each day report it each day.
const SILENCE: Duration = Duration::from_secs(23 * 60 * 60);

/// The shortest time between two reports of a watcher. Failures that many accounts share
/// arrive in a few reports.
const PAUSE: Duration = Duration::from_secs(60);

/// A failure, as `on_failure` reads it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fault {
    /// `None` if the failure concerns no certain account.
    account: Option<Named>,
    /// `None` if the failure concerns no certain token.
    token: Option<Named>,
    what: String,
    because: Vec<String>,
    next: Option<String>,
    #[serde(skip)]
    exit: Exit,
}

/// An account or a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Named {
    id: Option<String>,
    name: Option<String>,
}

impl Named {
    fn new(id: Option<&str>, name: Option<&str>) -> Self {
        Self {
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
        }
    }
}

impl Fault {
    pub(crate) fn new(failure: &Failure) -> Self {
        let (what, because, next) = failure.parts();
        Self {
            account: None,
            token: None,
            what: what.to_owned(),
            because,
            next: next.map(str::to_owned),
            exit: failure.exit,
        }
    }

    /// Names the account.
    pub(crate) fn of_account(mut self, id: &str, name: Option<&str>) -> Self {
        self.account = Some(Named::new(Some(id), name));
        self
    }

    /// Names the token.
    pub(crate) fn of_token(mut self, id: Option<&str>, name: Option<&str>) -> Self {
        self.token = Some(Named::new(id, name));
        self
    }

    /// Returns what failed in a pass over an account.
    pub(crate) fn of_pass(report: &RenewalReport, id: &str, name: Option<&str>) -> Vec<Self> {
        let of_account = |failure: Failure| Self::new(&failure).of_account(id, name);
        let mut faults = Vec::new();
        if let Some(error) = &report.error {
            faults.push(of_account(Failure::from(error)));
        }
        for name in &report.unmatched {
            let what = format!("no token has the id, client id or name {name:?}");
            let failure = Failure::new(Exit::Failed, what).next("correct the configuration file");
            faults.push(of_account(failure));
        }
        for token in report.at_risk() {
            let failure = match &token.outcome {
                RenewalOutcome::Failed { error } => {
                    let why = Failure::from(error);
                    let failure = Failure::new(why.exit, "could not renew the token");
                    let failure = failure.because_of(&why);
                    match why.parts().2 {
                        Some(next) => failure.next(next),
                        None => failure,
                    }
                }
                outcome => Failure::new(Exit::Failed, outcome),
            };
            let fault = of_account(failure);
            faults.push(fault.of_token(token.id.as_deref(), token.name.as_deref()));
        }
        faults
    }

    /// Tells failures apart, and takes those for the same that only other words describe.
    fn key(&self) -> Key {
        (self.account.clone(), self.token.clone(), self.exit as u8)
    }
}

type Key = (Option<Named>, Option<Named>, u8);

/// What `on_failure` reads.
#[derive(Serialize)]
struct About<'a> {
    event: &'static str,
    failures: &'a [Fault],
}

impl Notify {
    /// Reports a run that has ended: its failures, if there are any, to the hook, and to the
    /// health check whether it went well.
    pub(crate) async fn report(&self, faults: &[Fault]) {
        tokio::join!(self.tell(faults), self.ping(faults.is_empty()));
    }

    /// Runs the hook. Returns whether that went well.
    async fn tell(&self, faults: &[Fault]) -> bool {
        match &self.on_failure {
            Some(hook) if !faults.is_empty() => match run(hook, faults).await {
                Ok(()) => true,
                Err(failure) => {
                    failure.show();
                    false
                }
            },
            _ => true,
        }
    }

    /// Pings the health check.
    async fn ping(&self, is_well: bool) {
        if let Some(source) = &self.ping
            && let Err(failure) = source.ping(is_well).await
        {
            let (line, next) = failure.in_one_line();
            let next = next.map_or_else(String::new, |next| format!("; {next}"));
            output::remark(format!("{line}{next}"));
        }
    }
}

async fn run(hook: &Hook, failures: &[Fault]) -> Result<(), Failure> {
    let about = About {
        event: "failure",
        failures,
    };
    Ok(hook.run(&about).await?)
}

/// Reports what the passes of a watcher find.
///
/// `on_failure` runs with the new failures. A failure that lasts is new again after 23 hours, and
/// one that comes back after a pass without it is new at once. A ping of success is sent once each
/// account has had a pass since the last one and no account's latest pass failed, and a ping of
/// failure when `on_failure` runs or would. Two reports are at least a minute apart.
pub(crate) struct Reporter {
    notify: Notify,
    ledger: Mutex<Ledger>,
    changed: tokio::sync::Notify,
}

impl Reporter {
    /// Reports for a watcher of the accounts with these ids.
    pub(crate) fn new(notify: Notify, accounts: impl IntoIterator<Item = String>) -> Self {
        Self {
            notify,
            ledger: Mutex::new(Ledger::new(accounts)),
            changed: tokio::sync::Notify::new(),
        }
    }

    /// Notes a complete pass over an account: a failure that it did not find is over.
    pub(crate) fn passed(&self, account_id: &str, faults: Vec<Fault>) {
        self.ledger().passed(account_id, faults);
        self.changed.notify_one();
    }

    /// Notes why a pass over an account stopped early, or why there was none.
    pub(crate) fn stopped(&self, account_id: &str, faults: Vec<Fault>) {
        self.ledger().stopped(account_id, faults);
        self.changed.notify_one();
    }

    /// Reports for as long as it is polled.
    pub(crate) async fn run(&self) -> Infallible {
        loop {
            self.changed.notified().await;
            if self.report(Instant::now()).await {
                sleep(PAUSE).await;
            }
        }
    }

    /// Reports what is to be reported at `now`. Returns whether a hook ran or a ping was sent.
    async fn report(&self, now: Instant) -> bool {
        let News { faults, ping } = self.ledger().take(now);
        let pinged = async {
            if let Some(is_well) = ping {
                self.notify.ping(is_well).await;
            }
        };
        let (is_told, ()) = tokio::join!(self.notify.tell(&faults), pinged);
        if !is_told {
            self.ledger().take_back(&faults);
        }
        let has_run = self.notify.on_failure.is_some() && !faults.is_empty();
        has_run || (self.notify.ping.is_some() && ping.is_some())
    }

    /// Locks the ledger, which no panic leaves half changed.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the passes found, and what was reported of it.
struct Ledger {
    accounts: BTreeSet<String>,
    /// The failures of the latest pass, by account.
    current: BTreeMap<String, Vec<Fault>>,
    /// When each failure was reported last.
    told: BTreeMap<Key, Instant>,
    /// The accounts that had a pass since the last ping.
    passed: BTreeSet<String>,
    /// The last ping; `None` before the first one.
    pinged: Option<bool>,
}

/// What is to be reported.
#[derive(Debug)]
struct News {
    faults: Vec<Fault>,
    /// Whether all is well; `None` if no ping is due.
    ping: Option<bool>,
}

impl Ledger {
    fn new(accounts: impl IntoIterator<Item = String>) -> Self {
        Self {
            accounts: accounts.into_iter().collect(),
            current: BTreeMap::new(),
            told: BTreeMap::new(),
            passed: BTreeSet::new(),
            pinged: None,
        }
    }

    /// A failure that is over is new when it comes back.
    fn passed(&mut self, account_id: &str, faults: Vec<Fault>) {
        let current: BTreeSet<Key> = faults.iter().map(Fault::key).collect();
        self.told.retain(|key, _| {
            let (account, ..) = key;
            let id = account.as_ref().and_then(|account| account.id.as_deref());
            id.unwrap_or_default() != account_id || current.contains(key)
        });
        self.stopped(account_id, faults);
    }

    fn stopped(&mut self, account_id: &str, faults: Vec<Fault>) {
        self.passed.insert(account_id.to_owned());
        self.current.insert(account_id.to_owned(), faults);
    }

    fn take(&mut self, now: Instant) -> News {
        self.told
            .retain(|_, told| now.saturating_duration_since(*told) < SILENCE);
        let current = self.current.values().flatten();
        let faults = current.filter(|fault| !self.told.contains_key(&fault.key()));
        let faults: Vec<_> = faults.cloned().collect();
        self.told
            .extend(faults.iter().map(|fault| (fault.key(), now)));

        let is_known = |passed: &BTreeSet<String>| passed.is_superset(&self.accounts);
        let is_round = is_known(&self.passed);
        let is_well = self.current.values().all(Vec::is_empty);
        let all_seen = self.current.keys().cloned().collect();
        // Whoever got an alarm learns at once that it is over.
        let is_over = self.pinged == Some(false) && is_well && is_known(&all_seen);
        let ping = match !faults.is_empty() {
            true => Some(false),
            false => (is_round || is_over).then_some(is_well),
        };
        if ping.is_some() {
            self.pinged = ping;
            self.passed.clear();
        }
        News { faults, ping }
    }

    /// Notes that failures could not be reported: the next report tries again.
    fn take_back(&mut self, faults: &[Fault]) {
        for fault in faults {
            self.told.remove(&fault.key());
        }
    }
}
