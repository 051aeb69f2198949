//! `renew`: all tokens that fall due, once.

mod pass;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use cf_service_tokens::renewal::{RenewalEvent, RenewalReport};
use tokio::task::JoinSet;

use self::pass::Pass;
pub(super) use self::pass::{advice_for_expired, counts, long_expired};
use crate::arguments::Format;
use crate::commands::select;
use crate::connection::{Api, Connection};
use crate::failure::{Exit, Failure};
use crate::keep::RotationRecord;
use crate::notify::Fault;
use crate::output::{self, JsonList, Output, Record as _};
use crate::progress::Progress;
use crate::renew::record::{Event, OfAccount, RenewalRecord};
use crate::renew::{Job, Renew};

/// How many accounts are renewed at the same time. Their calls share the rate limit, and no
/// call may wait longer for it than its deadline.
const MAX_ACCOUNTS: usize = 16;

pub(crate) async fn renew(
    api: &Api,
    output: &Output,
    arguments: &Renew,
    progress: Progress,
) -> Result<Exit, Failure> {
    let jobs = arguments.jobs(api.accounts().await?, output)?;
    let view = View {
        all: arguments.passes.all,
        dry_run: arguments.dry_run,
        shared_names: Some(arguments.names()),
    };
    let ended = run(api, output, jobs, view, progress).await?;
    ended.exit.unless_unwritten(ended.shown)
}

/// How the passes of a command ended.
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    /// What failed.
    pub(crate) faults: Vec<Fault>,
    /// Whether all of the output was written.
    pub(crate) shown: Result<(), Failure>,
}

/// What a command shows of its passes.
pub(crate) struct View {
    /// Whether to show the tokens that are not due, too.
    pub(crate) all: bool,
    pub(crate) dry_run: bool,
    /// The names and ids in the arguments, which one account or another must have; `None` if
    /// each account has names of its own.
    pub(crate) shared_names: Option<Vec<String>>,
}

/// Makes a pass over each account, and shows it.
pub(crate) async fn run(
    api: &Api,
    output: &Output,
    jobs: Vec<Job>,
    view: View,
    mut progress: Progress,
) -> Result<Ended, Failure> {
    if view.all && output.quiet {
        let what = "--all shows more, and --quiet less";
        return Err(Failure::usage(what).next("use one of them"));
    }
    progress.expect(jobs.len());
    let progress = Arc::new(Mutex::new(progress));
    let mut passes = Passes::begin(api, output, view, jobs.len());
    let mut waiting = jobs.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < MAX_ACCOUNTS
            && let Some(job) = waiting.next()
        {
            if passes.are_refused(&job.account) {
                passes.untried += 1;
                continue;
            }
            let (output, progress) = (output.clone(), Arc::clone(&progress));
            running.spawn(pass(job, output, progress));
        }
        match running.join_next().await {
            Some(Ok(Ok(pass))) => passes.add(pass),
            Some(Ok(Err(failure))) => passes.fail(&failure),
            Some(Err(error)) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Nothing cancels it.
                Err(_) => continue,
            },
            None => break,
        }
    }
    Ok(passes.end())
}

/// Makes a pass over an account.
async fn pass(job: Job, output: Output, progress: Arc<Mutex<Progress>>) -> Result<Pass, Failure> {
    let account = &job.account;
    let mut shown = Ok(());
    let mut tokens = Vec::new();
    let mut renewal = account.tokens.renew(&job.policy);
    let mut finished = None;
    while let Some(event) = renewal.next().await {
        let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.note(&event);
        match event {
            RenewalEvent::Decided { token, decision } => {
                // All are listed before the first is renewed.
                if let Some(kept) = &job.kept {
                    kept.rotations.note_first_sight(account, &token);
                }
                tokens.push((*token, decision));
            }
            RenewalEvent::Settled(token) if output.format == Format::Jsonl => {
                // Output that can't be written stops no renewal.
                let record = RenewalRecord::new(&token);
                let record = OfAccount::new(account, &record);
                shown = shown.and(output.json_line(&Event::Token(record)));
            }
            RenewalEvent::Finished(report) => finished = Some(report),
            _ => {}
        }
    }
    let report =
        finished.ok_or_else(|| Failure::new(Exit::Failed, "the renewal did not complete"))?;
    let mut followed = Vec::new();
    if let Some(kept) = &job.kept {
        followed = match is_listed(&report) {
            true => kept.rotations.follow(account, &tokens, |_| {}).await,
            false => kept.rotations.not_tried(Exit::of_pass(&report)),
        };
    }
    Ok(Pass {
        now: account.tokens.now(),
        job,
        report,
        tokens,
        followed,
        shown,
    })
}

/// Whether a pass has listed all tokens.
pub(super) fn is_listed(report: &RenewalReport) -> bool {
    report.error.is_none()
}

/// The passes over all accounts. Only the last one is in memory as a whole.
struct Passes<'a> {
    api: &'a Api,
    output: &'a Output,
    view: View,
    /// How many accounts there are to renew.
    count: usize,
    /// The list of a JSON document.
    list: Option<JsonList<'a>>,
    shown: Result<(), Failure>,
    exits: Vec<Exit>,
    faults: Vec<Fault>,
    /// The names and ids in the arguments that no account has.
    unmatched: Option<BTreeSet<String>>,
    /// The similar names, for the next step.
    meant: BTreeMap<String, String>,
    /// The accounts for which the API refused the credentials, one for each of these. No other
    /// account with the same ones is tried.
    refused: Vec<Connection>,
    /// How many accounts were not tried.
    untried: usize,
    is_clock_noted: bool,
    has_output: bool,
}

impl<'a> Passes<'a> {
    fn begin(api: &'a Api, output: &'a Output, view: View, count: usize) -> Self {
        let mut shown = Ok(());
        let list = (output.format == Format::Json).then(|| output.json_list("accounts"));
        let list = list.and_then(|list| list.map_err(|failure| shown = Err(failure)).ok());
        Self {
            api,
            output,
            view,
            count,
            list,
            shown,
            exits: Vec::new(),
            faults: Vec::new(),
            unmatched: None,
            meant: BTreeMap::new(),
            refused: Vec::new(),
            untried: 0,
            is_clock_noted: false,
            has_output: false,
        }
    }

    /// Whether accounts without Access count as accounts without tokens.
    fn may_lack_access(&self) -> bool {
        self.api.has_all_accounts()
    }

    /// Shows the failure of an account without a finished pass.
    fn fail(&mut self, failure: &Failure) {
        self.exits.push(failure.exit);
        self.faults.push(Fault::new(failure));
        failure.show();
    }

    /// Shows a finished pass.
    fn add(&mut self, mut pass: Pass) {
        let shown = std::mem::replace(&mut pass.shown, Ok(()));
        let shown = shown.and(self.show(&pass));
        if let Err(failure) = shown
            && self.shown.is_ok()
        {
            self.shown = Err(failure);
        }
        let is_without_access = pass.is_without_access();
        if let Some(names) = &self.view.shared_names {
            // Another account may have them.
            let unmatched = std::mem::take(&mut pass.report.unmatched);
            let unmatched: Option<BTreeSet<String>> = match &pass.report.error {
                None => Some(unmatched.into_iter().collect()),
                Some(_) if is_without_access => Some(names.iter().cloned().collect()),
                Some(_) => None,
            };
            self.note_unmatched(&pass, unmatched);
        }
        if !self.output.quiet
            && !self.is_clock_noted
            && let Some(note) = pass.job.account.clock_note()
        {
            self.is_clock_noted = true;
            output::remark(note);
        }
        if is_without_access && self.may_lack_access() {
            self.exits.push(Exit::Success);
            return;
        }
        let followed = std::mem::take(&mut pass.followed);
        self.exits.push(pass.exit());
        self.exits.extend(followed.iter().map(|rule| rule.exit));
        let is_refused = pass.is_refused();
        let account = &pass.job.account;
        // It is the same for each account with these credentials.
        if is_refused && self.are_refused(account) {
            return;
        }
        let (id, name) = (account.account_id(), account.account_name());
        let of_pass = pass.failures().into_iter().map(|failure| {
            let fault = Fault::new(&failure).of_account(id, name);
            (failure, fault)
        });
        let of_rules = followed
            .into_iter()
            .flat_map(|rule| rule.with_faults(id, name));
        for (failure, fault) in of_pass.chain(of_rules) {
            self.faults.push(fault);
            let failure = match self.count > 1 && !is_refused {
                true => failure.about(&account.account_label()),
                false => failure,
            };
            account.explain(failure).show();
        }
        if is_refused {
            self.refused.push(account.clone());
        }
    }

    /// Whether the API has refused the credentials of an account.
    fn are_refused(&self, account: &Connection) -> bool {
        let mut refused = self.refused.iter();
        refused.any(|other| other.has_credentials_of(account))
    }

    /// Notes which names an account does not have; `None` if its tokens are unknown.
    fn note_unmatched(&mut self, pass: &Pass, unmatched: Option<BTreeSet<String>>) {
        let Some(unmatched) = unmatched else {
            return;
        };
        for name in &unmatched {
            let tokens = pass.tokens.iter().map(|(token, _)| token);
            let meant = self.meant.entry(name.clone()).or_default();
            meant.push_str(&select::meant(tokens, name));
        }
        self.unmatched = Some(match self.unmatched.take() {
            Some(others) => others.intersection(&unmatched).cloned().collect(),
            None => unmatched,
        });
    }

    fn show(&mut self, pass: &Pass) -> Result<(), Failure> {
        let (output, view) = (self.output, &self.view);
        let account = &pass.job.account;
        let is_several = self.count > 1;
        match output.format {
            Format::Jsonl => pass.show_lines(output, view),
            Format::Json => {
                let document = OfAccount::new(account, pass.document(view));
                self.list
                    .as_mut()
                    .map_or(Ok(()), |list| list.push(&document))
            }
            Format::Table => {
                let records = pass.shown_records(view);
                // Nothing is known of the tokens if the listing failed.
                let is_known = pass.report.error.is_none()
                    || !pass.tokens.is_empty()
                    || (pass.is_without_access() && self.may_lack_access());
                let has_rows = match output.quiet {
                    true => {
                        records.iter().any(RenewalRecord::is_news)
                            || pass.rotations().any(RotationRecord::is_news)
                    }
                    false => is_known,
                };
                if is_several && has_rows {
                    let gap = if self.has_output { "\n" } else { "" };
                    self.has_output = true;
                    let label = output::printable(&account.account_label());
                    output.line(&format!("{gap}{label}"))?;
                }
                output.outcomes(&records, pass.now)?;
                if !output.quiet && is_known {
                    let gap = if records.is_empty() { "" } else { "\n" };
                    output.line(&format!("{gap}{}", pass.summary(self.may_lack_access())))?;
                }
                let rotations: Vec<_> = pass.rotations().cloned().collect();
                if !output.quiet && is_known && !rotations.is_empty() {
                    output.line("")?;
                }
                output.outcomes(&rotations, pass.now)
            }
        }
    }

    /// Ends the output.
    fn end(mut self) -> Ended {
        if let Some(list) = &self.list {
            self.shown = self.shown.and(list.end());
        }
        for name in self.unmatched.iter().flatten() {
            self.exits.push(Exit::Failed);
            let what = format!("no token has the id, client id or name {name:?}");
            let meant = self.meant.get(name).map(String::as_str).unwrap_or_default();
            let next = format!("{meant}`cf-service-tokens list` shows the names and ids");
            let failure = Failure::new(Exit::Failed, what).next(next);
            self.api.explain(failure).show();
        }
        if self.untried > 0 {
            self.exits.push(Exit::Credentials);
            let what = match self.untried {
                1 => "1 account was not tried, since the API refuses the credentials".to_owned(),
                count => format!(
                    "{count} accounts were not tried, since the API refuses the credentials"
                ),
            };
            Failure::new(Exit::Credentials, what).show();
        }
        Ended {
            exit: Exit::of_accounts(&self.exits),
            faults: self.faults,
            shown: self.shown,
        }
    }
}
