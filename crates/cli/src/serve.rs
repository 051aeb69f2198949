//! Serves the state of a running watcher: metrics for Prometheus, health checks, and the
//! report as a page.
//!
//! One state serves all of them, so that they never disagree.

mod account;
mod health;
mod metrics;
pub(crate) mod page;
mod rotation;
mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cf_service_tokens::renewal::{RenewalEvent, RenewalOutcome, RenewalPolicy, WatchEvent};
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;

use account::Account;
pub(crate) use metrics::Calls;
use metrics::{Metrics, OfAccount};

use crate::failure::Exit;
use crate::keep::Followed;
use crate::renew::Job;
use crate::risk::Neighbours;

/// The state of a watcher, as served over HTTP. Clones share it.
#[derive(Clone)]
pub(crate) struct Monitor {
    shared: Arc<Shared>,
}

/// The state of one account in it. Clones share it.
#[derive(Clone)]
pub(crate) struct AccountMonitor {
    shared: Arc<Shared>,
    labels: OfAccount,
}

struct Shared {
    state: Arc<Mutex<State>>,
    metrics: Metrics,
    calls: Calls,
    time: Time,
}

/// The known state of all accounts.
struct State {
    /// By their ids.
    accounts: BTreeMap<String, Account>,
    /// Why not all accounts can be watched.
    problem: Option<String>,
    /// The window to show as long as no account is known.
    window: Duration,
}

/// The clocks.
type Time = Arc<dyn Fn() -> Moment + Send + Sync>;

/// A moment, by the two clocks that a machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The date and time.
    pub(crate) now: DateTime<Utc>,
    /// How long it is since some fixed moment; it never goes back.
    pub(crate) elapsed: Duration,
}

impl Monitor {
    /// Creates the state before any account is known, by the system's clocks.
    pub(crate) fn new(window: Duration, calls: Calls) -> Self {
        let started = Instant::now();
        Self::with_time(window, calls, move || Moment {
            now: Utc::now(),
            elapsed: started.elapsed(),
        })
    }

    /// Creates the same by the caller's clocks.
    fn with_time(
        window: Duration,
        calls: Calls,
        time: impl Fn() -> Moment + Send + Sync + 'static,
    ) -> Self {
        let state = Arc::new(Mutex::new(State {
            accounts: BTreeMap::new(),
            problem: None,
            window,
        }));
        let time: Time = Arc::new(time);
        Self {
            shared: Arc::new(Shared {
                metrics: Metrics::new(&state, &time, calls.clone()),
                state,
                calls,
                time,
            }),
        }
    }

    /// Adds an account before its first pass, or goes on with one that is known.
    pub(crate) fn add(&self, job: &Job) -> AccountMonitor {
        let (id, name) = (job.account.account_id(), job.account.account_name());
        let account = self.add_account(id, name, &job.policy, job.window);
        if let Some(kept) = &job.kept {
            if kept.has_rotations() {
                self.shared.metrics.begin_rotations(&account.labels);
            }
            account.change(|account, _| account.expect_at_least = kept.expect_at_least);
        }
        account
    }

    fn add_account(
        &self,
        id: &str,
        name: Option<&str>,
        policy: &RenewalPolicy,
        window: Duration,
    ) -> AccountMonitor {
        let labels = OfAccount::new(id, name);
        self.shared.metrics.begin(&labels);
        let elapsed = (self.shared.time)().elapsed;
        let mut state = lock(&self.shared.state);
        let account = state.accounts.entry(id.to_owned());
        let account = account.or_insert_with(|| Account::new(id, policy, window, elapsed));
        account.appeared(name);
        AccountMonitor {
            shared: Arc::clone(&self.shared),
            labels,
        }
    }

    /// Records why not all accounts can be watched, as a sentence of the page; `None` if they are.
    pub(crate) fn not_listed(&self, why: Option<String>) {
        lock(&self.shared.state).problem = why;
    }

    /// Answers requests for `/`, `/metrics`, `/healthz` and `/readyz`, for as long as it is
    /// polled.
    ///
    /// On a loopback address it answers only requests that were meant for this
    /// machine, by their `Host`: a page in a browser must not read it under a name
    /// that its owner lets point here.
    pub(crate) async fn serve(&self, listener: TcpListener, address: IpAddr) -> ! {
        let routes = server::routes(self.clone(), address.is_loopback());
        server::serve(listener, routes).await
    }
}

impl AccountMonitor {
    /// Records an event. It needs each event of the account's watch, in order. Returns which
    /// tokens are missing, if any are since this event.
    pub(crate) fn observe(&self, event: &WatchEvent) -> Option<String> {
        let (metrics, labels) = (&self.shared.metrics, &self.labels);
        match event {
            WatchEvent::Renewal(RenewalEvent::Decided { decision, .. }) => {
                metrics.decided(labels, *decision);
            }
            WatchEvent::Renewal(RenewalEvent::Settled(token)) => match &token.outcome {
                RenewalOutcome::Renewed { .. } => metrics.renewed(labels),
                outcome if outcome.is_at_risk() => metrics.failed(labels, outcome.as_str()),
                _ => {}
            },
            WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
                let exit = self.change(|account, _| account.exit(report));
                metrics.passed(labels, exit.unwrap_or_else(|| Exit::of_pass(report)));
            }
            _ => {}
        }
        self.change(|account, moment| match account.observe(event, moment) {
            true => account.missing_words(),
            false => None,
        })?
    }

    /// Records that the account waits for the passes or the rotations of others.
    pub(crate) fn queued(&self) {
        self.change(|account, _| account.pulse.queue());
    }

    /// Records that a rotation rule is followed from now on.
    pub(crate) fn begins_rule(&self) {
        self.change(|account, moment| account.pulse.follow_rule(moment));
    }

    /// Records what is known of the account beside its tokens.
    pub(crate) fn know(
        &self,
        neighbours: &Neighbours,
        api_token_expires_at: Option<Option<DateTime<Utc>>>,
    ) {
        self.change(|account, moment| account.know(neighbours, api_token_expires_at, moment.now));
    }

    /// Records what became of the account's rotation rules.
    pub(crate) fn followed(&self, rules: &[Followed]) {
        let records = rules.iter().map(|rule| &rule.record);
        for record in records.clone() {
            self.shared.metrics.followed(&self.labels, record);
        }
        self.change(|account, _| account.rules = records.cloned().collect());
    }

    /// Records that the account has no Access, and so no tokens.
    pub(crate) fn without_access(&self) {
        self.change(|account, moment| account.without_access(moment));
    }

    /// Records whether the account is still listed.
    pub(crate) fn set_listed(&self, is_listed: bool) {
        self.change(|account, moment| account.set_listed(is_listed, moment));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Account, Moment) -> T) -> Option<T> {
        let moment = (self.shared.time)();
        let mut state = lock(&self.shared.state);
        let account = state.accounts.get_mut(&self.labels.account)?;
        Some(change(account, moment))
    }
}

impl State {
    /// Describes what the watcher does.
    ///
    /// # Errors
    ///
    /// Names an account whose watch is stuck.
    fn health(&self, moment: Moment) -> Result<String, String> {
        let mut words = Vec::new();
        for account in self.accounts.values() {
            let health = account.pulse.health(moment);
            words.push(health.map_err(|words| self.of(account, &words))?);
        }
        match &words[..] {
            [words] => Ok(words.clone()),
            all => Ok(format!("ok: {} accounts", all.len())),
        }
    }

    /// Whether each account has had a pass.
    ///
    /// # Errors
    ///
    /// Names the first accounts that have not, and says what is missing.
    fn readiness(&self) -> Result<String, String> {
        const MAX_NAMED: usize = 10;
        if self.accounts.is_empty() {
            return Err("not ready: the accounts have not been listed yet".to_owned());
        }
        let accounts = self.accounts.values();
        let unready = accounts.filter_map(|account| {
            let words = account.pulse.readiness().err()?;
            Some(self.of(account, &words))
        });
        let unready: Vec<String> = unready.collect();
        match unready.len() {
            0 if self.accounts.len() == 1 => Ok("ok: a pass has completed".to_owned()),
            0 => Ok("ok: a pass has completed in each account".to_owned()),
            1..=MAX_NAMED => Err(unready.join("\n")),
            count => {
                let named = unready.into_iter().take(MAX_NAMED).collect::<Vec<_>>();
                Err(format!(
                    "{}\nand {} more",
                    named.join("\n"),
                    count - MAX_NAMED
                ))
            }
        }
    }

    /// Names the account that words are about, if there are several.
    fn of(&self, account: &Account, words: &str) -> String {
        match self.accounts.len() {
            1 => words.to_owned(),
            _ => format!("{}: {words}", account.label()),
        }
    }

    /// The content of the page, an account each.
    fn pages(&self, now: DateTime<Utc>, last_failure: Option<&str>) -> Vec<page::Report> {
        let accounts = self.accounts.values();
        let mut pages: Vec<_> = accounts.map(|a| a.page(now, last_failure)).collect();
        let problem = self.problem.clone();
        if pages.is_empty() {
            let unlisted = || "The accounts have not been listed yet.".to_owned();
            pages.push(page::Report {
                account: "all accounts".to_owned(),
                time: now,
                listed_at: None,
                next_pass: None,
                window: self.window,
                problem: Some(problem.unwrap_or_else(unlisted)),
                note: None,
                tokens: Vec::new(),
                unlisted: 0,
            });
        } else if let Some(problem) = problem {
            // The page names the accounts that may not be up to date.
            for page in pages.iter_mut().filter(|page| page.problem.is_none()) {
                page.problem = Some(problem.clone());
            }
        }
        pages
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

/// Locks the state. A change to it can't panic halfway, so a poisoned lock guards a valid
/// state.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
