//! `renew --watch`: keeps running, and renews each token when it falls due.

mod log;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cf_service_tokens::Account;
use cf_service_tokens::renewal::{RenewalEvent, RenewalReport, WatchEvent};
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::sync::watch::Sender;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::log::Log;
use self::rules::Rules;
use crate::arguments::Format;
use crate::connection::{Api, Connection};
use crate::failure::{Exit, Failure, is_refused_everywhere, is_without_access};
use crate::notify::{Fault, Reporter};
use crate::output::{self, Output};
use crate::renew::{Job, Renew};
use crate::risk::{self, Neighbours};
use crate::serve::{AccountMonitor, Calls, Monitor};
use crate::signal;

/// How soon a new API token is noticed while the API refuses the one in use.
const REREAD_INTERVAL: Duration = Duration::from_secs(5);

/// How many accounts have a pass at the same time. Their calls share the rate limit, and no
/// call may wait longer for it than its deadline.
const MAX_PASSES: usize = 16;

/// Of how many accounts the neighbours of the tokens are read at the same time, which
/// nothing waits for.
const MAX_READINGS: usize = 4;

/// How long a call about what is beside the tokens may wait, as long as a call of a pass:
/// the passes and these calls share the rate limit, whose window has five minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The longest time between two looks for new accounts, as between two passes.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How soon the accounts are listed again after a failure, and after many.
const A_MINUTE: Duration = Duration::from_secs(60);
const AN_HOUR: Duration = Duration::from_secs(60 * 60);

pub(crate) async fn watch(
    api: Api,
    output: &Output,
    arguments: &Renew,
    calls: Calls,
) -> Result<Exit, Failure> {
    // The others can't be known before they are listed, which is tried again and again.
    let jobs = match api.has_all_accounts() {
        true => arguments.policy().map(|_| Vec::new()),
        false => arguments.jobs(api.accounts().await?, output),
    };
    let jobs = jobs?;
    let plan = Plan {
        names_accounts: jobs.len() != 1,
        jobs,
        find: match api.has_all_accounts() {
            true => {
                let output = output.clone();
                Some(Box::new(move |accounts| arguments.jobs(accounts, &output)))
            }
            false => None,
        },
        reporter: None,
        listen: arguments.passes.listen,
        interval: arguments.passes.interval,
        window: arguments.window.within(),
    };
    run(api, output, plan, calls).await
}

/// The accounts to watch, and how.
pub(crate) struct Plan<'a> {
    pub(crate) jobs: Vec<Job>,
    /// Whether lines of the log begin with the account.
    pub(crate) names_accounts: bool,
    /// Returns the jobs of accounts that are listed later; `None` if none are.
    pub(crate) find: Option<Find<'a>>,
    /// Who is told of failures.
    pub(crate) reporter: Option<Arc<Reporter>>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) interval: Option<Duration>,
    /// The window to show as long as no account is known.
    pub(crate) window: Duration,
}

/// Returns the jobs of accounts.
pub(crate) type Find<'a> = Box<dyn Fn(Vec<Connection>) -> Result<Vec<Job>, Failure> + 'a>;

/// Watches the accounts until a signal ends it.
pub(crate) async fn run(
    api: Api,
    output: &Output,
    plan: Plan<'_>,
    calls: Calls,
) -> Result<Exit, Failure> {
    if output.format == Format::Json {
        return Err(
            Failure::usage("--watch never ends, so it can't write a JSON document")
                .next("use --output jsonl, which writes a line for each event"),
        );
    }
    if plan.jobs.is_empty() && plan.find.is_none() {
        return Ok(Exit::Success);
    }
    let monitor = Monitor::new(plan.window, calls);
    let serving = serve(&monitor, output, plan.listen).await?;
    let mut end = std::pin::pin!(signal::end()?);
    let hang_up = signal::hang_up()?;
    let watcher = Watcher {
        shared: Arc::new(Shared {
            log: Log {
                output: output.clone(),
                names_accounts: plan.names_accounts,
                has_file: plan.reporter.is_some(),
            },
            api: Mutex::new(api),
            interval: plan.interval,
            monitor,
            turns: Semaphore::new(MAX_PASSES),
            readings: plan.listen.map(|_| Semaphore::new(MAX_READINGS)),
            pass_now: Sender::default(),
            refusals: Mutex::default(),
            refused: Notify::new(),
            reporter: plan.reporter.clone(),
        }),
        find: plan.find,
        watched: BTreeMap::new(),
        tasks: JoinSet::new(),
        failed_listings: 0,
        is_listing_refused: false,
    };
    let kept = plan.jobs.iter().find_map(|job| job.kept.clone());
    let reporting = async {
        match &plan.reporter {
            Some(reporter) => reporter.run().await,
            None => pending().await,
        }
    };
    tokio::select! {
        never = watcher.run(plan.jobs, hang_up) => match never {},
        never = serving => match never {},
        never = reporting => match never {},
        () = &mut end => {}
    }
    // A new secret that is on its way still arrives.
    if let Some(kept) = kept {
        kept.rotations.end().await;
    }
    Ok(Exit::Success)
}

/// Listens at the address, if there is one, and then serves for as long as it is polled.
async fn serve(
    monitor: &Monitor,
    output: &Output,
    address: Option<SocketAddr>,
) -> Result<impl Future<Output = Infallible> + use<>, Failure> {
    let mut listener = None;
    if let Some(address) = address {
        let unusable = |error| {
            Failure::usage(format!("can't listen on {address}"))
                .because(error)
                .next("use another address or port; port 0 selects a free one")
        };
        let bound = TcpListener::bind(address).await.map_err(unusable)?;
        let address = bound.local_addr().map_err(unusable)?;
        if !output.quiet {
            output::remark(format!(
                "the report is at http://{address}/, the metrics at http://{address}/metrics"
            ));
        }
        listener = Some((bound, address.ip()));
    }
    let monitor = monitor.clone();
    Ok(async move {
        match listener {
            Some((listener, address)) => monitor.serve(listener, address).await,
            None => pending().await,
        }
    })
}

/// The watches of all accounts, each in a task of its own.
struct Watcher<'a> {
    shared: Arc<Shared>,
    /// Returns the jobs of new accounts, if they are looked for.
    find: Option<Find<'a>>,
    /// The accounts by their ids.
    watched: BTreeMap<String, Watched>,
    /// Each returns the id of its account.
    tasks: JoinSet<String>,
    /// How often in a row the accounts could not be listed.
    failed_listings: u32,
    /// Whether the API refused to list them.
    is_listing_refused: bool,
}

struct Watched {
    label: String,
    monitor: AccountMonitor,
    is_listed: bool,
}

/// The state that the watches of all accounts share.
struct Shared {
    api: Mutex<Api>,
    interval: Option<Duration>,
    monitor: Monitor,
    log: Log,
    turns: Semaphore,
    /// The turns to read the neighbours of the tokens; `None` if nobody can see the risks.
    readings: Option<Semaphore>,
    /// Tells the watches that pause to begin a pass.
    pass_now: Sender<()>,
    refusals: Mutex<Refusals>,
    /// Tells the loop that reads the API token again of a refusal.
    refused: Notify,
    reporter: Option<Arc<Reporter>>,
}

/// The accounts for which the API refused the credentials in the last pass.
#[derive(Default)]
struct Refusals {
    accounts: BTreeSet<String>,
    /// Whether an error has said that the API refuses the credentials in any account.
    is_shown: bool,
    /// Whether the file of the API token could not be read.
    is_unreadable: bool,
}

impl Watcher<'_> {
    async fn run(mut self, jobs: Vec<Job>, mut hang_up: Signal) -> Infallible {
        for job in jobs {
            self.start(job);
        }
        let mut look_at = Instant::now();
        let mut pass_now = self.shared.pass_now.subscribe();
        loop {
            tokio::select! {
                _ = hang_up.recv() => self.shared.pass_now.send_replace(()),
                Ok(()) = pass_now.changed() => look_at = Instant::now(),
                () = sleep(REREAD_INTERVAL), if self.waits_for_api_token() => {
                    let _ = self.shared.reread_api_token();
                }
                // The condition above may have changed.
                () = self.shared.refused.notified() => {}
                () = sleep_until(look_at), if self.find.is_some() => {
                    look_at = Instant::now() + self.look().await;
                }
                Some(ended) = self.tasks.join_next() => match ended {
                    // An account without Access is tried again after the next look.
                    Ok(id) => drop(self.watched.remove(&id)),
                    Err(error) => if let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic);
                    },
                },
            }
        }
    }

    /// Whether a new API token in a file would help, since the API refuses the one in use or
    /// there is none.
    fn waits_for_api_token(&self) -> bool {
        let api = self.shared.api();
        let is_refused =
            || self.is_listing_refused || !lock(&self.shared.refusals).accounts.is_empty();
        api.lacks_token_of_file() || (api.reads_file() && is_refused())
    }

    fn start(&mut self, job: Job) {
        let id = job.account.account_id().to_owned();
        let monitor = self.shared.monitor.add(&job);
        let label = job.account.account_label();
        let task = watch_account(Arc::clone(&self.shared), job, monitor.clone());
        self.tasks.spawn(task);
        let watched = Watched {
            label,
            monitor,
            is_listed: true,
        };
        self.watched.insert(id, watched);
    }

    /// Notes the accounts of a configuration file that have no usable credentials, as each look
    /// finds them.
    fn note_unusable(&self, api: &Api) {
        let mut why = None;
        for (id, name, failure) in api.failures() {
            why.get_or_insert_with(|| failure.line());
            if let Some(reporter) = &self.shared.reporter {
                let fault = Fault::new(&failure).of_account(id, Some(name));
                reporter.stopped(id, vec![fault]);
            }
        }
        self.shared.monitor.not_listed(why);
    }

    /// Lists the accounts, and watches the new ones. Returns when to do so again.
    async fn look(&mut self) -> Duration {
        // Without a pass, nothing else would notice a new API token.
        let _ = self.shared.reread_api_token();
        let api = self.shared.api().clone();
        let accounts = api.accounts().await;
        let jobs = accounts.and_then(|accounts| match &self.find {
            Some(find) => find(accounts),
            None => Ok(Vec::new()),
        });
        let jobs = match jobs {
            Ok(jobs) => jobs,
            Err(failure) => {
                if self.failed_listings == 0 {
                    failure.show();
                }
                let why = format!("The accounts could not be listed: {}", failure.line());
                self.shared.monitor.not_listed(Some(why));
                self.is_listing_refused = failure.exit == Exit::Credentials;
                let pause = A_MINUTE.saturating_mul(1 << self.failed_listings.min(6));
                self.failed_listings += 1;
                return pause.min(AN_HOUR);
            }
        };
        self.failed_listings = 0;
        self.is_listing_refused = false;
        self.note_unusable(&api);
        let ids: BTreeSet<&str> = jobs.iter().map(|job| job.account.account_id()).collect();
        for (id, watched) in &mut self.watched {
            let was_listed = watched.is_listed;
            watched.is_listed = ids.contains(id.as_str());
            if was_listed != watched.is_listed {
                watched.monitor.set_listed(watched.is_listed);
            }
            // Its tokens are still renewed: a list may lack it only because the API token was
            // changed.
            if was_listed && !watched.is_listed {
                Failure::new(
                    Exit::Failed,
                    format!("{} is no longer listed", watched.label),
                )
                .next("check that the account exists, and that the API token includes it")
                .show();
            }
        }
        for job in jobs {
            if !self.watched.contains_key(job.account.account_id()) {
                self.start(job);
            }
        }
        self.shared.interval.unwrap_or(A_DAY)
    }
}

/// Watches an account, until it turns out that it has no Access.
async fn watch_account(shared: Arc<Shared>, job: Job, monitor: AccountMonitor) -> String {
    let mut account = job.account;
    let mut watch = account.tokens.watch(&job.policy);
    if let Some(interval) = shared.interval {
        watch = watch.interval(interval);
    }
    let mut pass_now = shared.pass_now.subscribe();
    let mut turn = None;
    let mut reading = JoinSet::new();
    let mut rules = Rules::default();
    loop {
        let mut event = tokio::select! {
            event = watch.next() => event,
            Ok(()) = pass_now.changed() => {
                watch.pass_now();
                continue;
            }
            () = rules.next_try() => {
                watch.pass_now();
                continue;
            }
        };
        match &mut event {
            WatchEvent::Starting => {
                monitor.queued();
                turn = shared.turns.acquire().await.ok();
                // If the file can't be read, the known token stays in use.
                if let Err(failure) = shared.reread_api_token() {
                    failure.show();
                }
                if let Some(current) = shared.api().current(&account) {
                    watch.set_tokens(current.tokens.clone());
                    account = current;
                }
                rules.begin_pass();
            }
            WatchEvent::Renewal(RenewalEvent::Decided { token, decision })
                if job.kept.is_some() =>
            {
                if let Some(kept) = &job.kept {
                    kept.rotations.note_first_sight(&account, token);
                }
                rules.listed(token, *decision);
            }
            WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
                drop(turn.take());
                let is_without_access = report.error.as_ref().is_some_and(is_without_access);
                if is_without_access && shared.api().has_all_accounts() {
                    monitor.without_access();
                    shared.log.without_access(&account);
                    return account.account_id().to_owned();
                }
                // Another account may have the token, unless the account has its own rules.
                if job.kept.is_none() && shared.log.names_accounts {
                    report.unmatched.clear();
                }
                shared.note_refusal(&account, report);
            }
            WatchEvent::Waiting { until } => rules.shorten(until),
            _ => {}
        }
        if let Some(missing) = monitor.observe(&event) {
            Failure::new(Exit::Failed, missing)
                .about(&account.account_label())
                .next(
                    "if they were not deleted on purpose, check that the API token still includes \
                     them: one with narrower permissions lists fewer tokens; a restart forgets them",
                )
                .show();
        }
        shared.log.write(&account, &event);
        if let (Some(kept), WatchEvent::Renewal(RenewalEvent::Finished(report))) =
            (&job.kept, &event)
        {
            let (kept, account) = (kept.clone(), account.clone());
            let following =
                rules.follow(kept, account, report, Arc::clone(&shared), monitor.clone());
            rules = following.await;
        }
        let is_pass = matches!(
            &event,
            WatchEvent::Renewal(RenewalEvent::Finished(report)) if report.error.is_none()
        );
        let current = shared.api().account_of(&account, PATIENCE);
        if let (true, Some(account)) = (is_pass, current) {
            // One that still runs has been overtaken.
            reading.shutdown().await;
            reading.spawn(read_around(Arc::clone(&shared), account, monitor.clone()));
        }
    }
}

/// Reads what may end the tokens beside their expiry, for the page and the metrics. No pass
/// waits for it, and it fails none.
async fn read_around(shared: Arc<Shared>, account: Account, monitor: AccountMonitor) {
    let Some(readings) = &shared.readings else {
        return;
    };
    let _turn = readings.acquire().await;
    // Boxed, since a thousand accounts may wait for their turns, and the calls take 36 KiB.
    let read = Box::pin(async {
        tokio::join!(
            Neighbours::read(&account, PATIENCE),
            risk::api_token_expiry(&account, PATIENCE)
        )
    });
    let (neighbours, api_token_expires_at) = read.await;
    monitor.know(&neighbours, api_token_expires_at.as_ref().ok().copied());
}

impl Shared {
    fn api(&self) -> MutexGuard<'_, Api> {
        lock(&self.api)
    }

    /// Reads the file of the API token again. If there is another one, says so and begins a
    /// pass in each account, since the API may have refused the old one in any of them. That
    /// the file can't be read is an error once.
    fn reread_api_token(&self) -> Result<(), Failure> {
        let read = self.api().reread_api_token();
        let mut refusals = lock(&self.refusals);
        let was_unreadable = std::mem::replace(&mut refusals.is_unreadable, read.is_err());
        match read {
            Ok(true) => {
                output::remark("the API token has changed, and is used from now on");
                self.pass_now.send_replace(());
                Ok(())
            }
            Err(failure) if !was_unreadable => Err(failure),
            _ => Ok(()),
        }
    }

    /// Explains a refusal that is new.
    fn note_refusal(&self, account: &Connection, report: &RenewalReport) {
        let id = account.account_id();
        let mut refusals = lock(&self.refusals);
        let error = report.error.as_ref();
        let Some(error) = error.filter(|_| Exit::of_pass(report) == Exit::Credentials) else {
            refusals.accounts.remove(id);
            refusals.is_shown &= !refusals.accounts.is_empty();
            return;
        };
        let is_new = refusals.accounts.insert(id.to_owned());
        if is_new {
            self.refused.notify_one();
        }
        let is_of_all = is_refused_everywhere(error);
        if is_new && !(is_of_all && refusals.is_shown) {
            refusals.is_shown |= is_of_all;
            account.explain(Failure::from(error)).show();
        }
    }
}

/// Locks a value that no panic leaves half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
