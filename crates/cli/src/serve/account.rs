//! The known state of the account and of the watcher.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cf_service_tokens::ServiceToken;
use cf_service_tokens::renewal::{
    Decision, RenewalEvent, RenewalOutcome, RenewalPolicy, RenewalReport, SkipReason, TokenRenewal,
    WatchEvent,
};
use chrono::{DateTime, Utc};

use super::Moment;
use super::health::Pulse;
use super::{page, rotation};
use crate::config;
use crate::failure::{Exit, Failure, with_causes};
use crate::keep::RotationRecord;
use crate::output::bounded;
use crate::records::State;
use crate::risk::{self, Neighbours, Risk};
use crate::time;

/// The known state of the account and of the watcher.
#[derive(Debug)]
pub(super) struct Account {
    id: String,
    name: Option<String>,
    /// Since when the API no longer lists the account.
    pub(super) vanished_at: Option<DateTime<Utc>>,
    policy: RenewalPolicy,
    pub(super) window: Duration,
    /// The least number of tokens that the configuration file expects.
    pub(super) expect_at_least: Option<usize>,
    tokens: BTreeMap<Key, Listed>,
    /// The names of the tokens that the watcher looked after, and that the last complete list
    /// lacked.
    missing: BTreeMap<Key, String>,
    /// Counts the passes, so that it is known which tokens the last one found.
    pass: u64,
    /// How many tokens this pass has listed.
    listed: usize,
    /// Why the state may be incomplete or stale.
    problem: Option<String>,
    /// When the last pass ended, and the last one that listed all tokens.
    pub(super) last_pass: Option<DateTime<Utc>>,
    listed_at: Option<DateTime<Utc>>,
    /// When the next pass begins; `None` while one is running.
    pub(super) next_pass: Option<DateTime<Utc>>,
    /// When the last successful pass ended.
    pub(super) last_success: Option<DateTime<Utc>>,
    /// When the API token expires, if that is known.
    pub(super) api_token_expires_at: Option<DateTime<Utc>>,
    /// Whether the risks of the tokens were read.
    pub(super) knows_risks: bool,
    /// What became of the rotation rules.
    pub(super) rules: Vec<RotationRecord>,
    pub(super) pulse: Pulse,
}

/// When a token falls due and expires.
pub(super) struct Expiry<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) due_at: Option<DateTime<Utc>>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Identifies a token: by its id, or without one by its place in the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Id(String),
    Place(usize),
}

#[derive(Debug)]
struct Listed {
    token: Arc<page::Token>,
    /// In which pass it was listed last.
    pass: u64,
}

impl Account {
    pub(super) fn new(
        id: &str,
        policy: &RenewalPolicy,
        window: Duration,
        elapsed: Duration,
    ) -> Self {
        Self {
            id: id.to_owned(),
            name: None,
            vanished_at: None,
            policy: policy.clone(),
            window,
            expect_at_least: None,
            tokens: BTreeMap::new(),
            missing: BTreeMap::new(),
            pass: 0,
            listed: 0,
            problem: Some("The tokens have not all been listed yet.".to_owned()),
            last_pass: None,
            listed_at: None,
            next_pass: None,
            last_success: None,
            api_token_expires_at: None,
            knows_risks: false,
            rules: Vec::new(),
            pulse: Pulse::new(elapsed),
        }
    }

    /// Notes that the account is there, with its name if that is known.
    pub(super) fn appeared(&mut self, name: Option<&str>) {
        self.name = name.map(str::to_owned);
    }

    /// Notes whether the API still lists the account.
    pub(super) fn set_listed(&mut self, is_listed: bool, moment: Moment) {
        self.vanished_at = (!is_listed).then_some(moment.now);
    }

    /// Notes a pass that found the account without Access, which has nothing to renew.
    pub(super) fn without_access(&mut self, moment: Moment) {
        self.tokens.clear();
        self.problem = None;
        self.next_pass = None;
        self.listed_at = Some(moment.now);
        self.last_pass = self.listed_at;
        self.last_success = self.listed_at;
        self.pulse.rest();
    }

    /// Notes what is known of the account beside its tokens. What a failed call leaves
    /// unknown stays as it was known before.
    pub(super) fn know(
        &mut self,
        neighbours: &Neighbours,
        api_token_expires_at: Option<Option<DateTime<Utc>>>,
        now: DateTime<Utc>,
    ) {
        if let Some(at) = api_token_expires_at {
            self.api_token_expires_at = at;
        }
        if self.knows_risks && neighbours.has_failed() {
            return;
        }
        self.knows_risks = true;
        for listed in self.tokens.values_mut() {
            Arc::make_mut(&mut listed.token).assess(neighbours, now);
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The account's name and id, or its id alone.
    pub(super) fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({})", bounded(name), self.id),
            None => self.id.clone(),
        }
    }

    /// Notes an event. Returns whether tokens are missing since this one.
    pub(super) fn observe(&mut self, event: &WatchEvent, moment: Moment) -> bool {
        let mut is_missing_more = false;
        self.pulse.beat(event, moment);
        self.next_pass = match event {
            WatchEvent::Waiting { until } => Some(*until),
            _ => None,
        };
        let WatchEvent::Renewal(event) = event else {
            return false;
        };
        match event {
            RenewalEvent::Decided { token, decision } => self.decided(token, *decision),
            RenewalEvent::Settled(renewal) => self.settled(renewal),
            RenewalEvent::Finished(report) => {
                self.last_pass = Some(report.finished_at);
                if report.error.is_none() {
                    self.listed_at = self.last_pass;
                    is_missing_more = self.forget_unlisted();
                }
                let too_few = self.too_few(report);
                if report.is_success() && too_few.is_none() {
                    self.last_success = Some(report.finished_at);
                }
                self.problem = report.error.as_ref().map(|error| {
                    format!(
                        "The last pass, at {}, stopped early: {}",
                        time::minute(report.finished_at),
                        with_causes(error)
                    )
                });
                let too_few = too_few.map(|failure| format!("Too few tokens: {}.", failure.line()));
                self.problem = self.problem.take().or(too_few);
                self.pass += 1;
                self.listed = 0;
            }
            _ => {}
        }
        is_missing_more
    }

    /// Returns the exit code of a run whose pass this was.
    pub(super) fn exit(&self, report: &RenewalReport) -> Exit {
        match Exit::of_pass(report) {
            Exit::Success if self.too_few(report).is_some() => Exit::Failed,
            exit => exit,
        }
    }

    /// Returns a failure if a complete pass has listed fewer tokens than the file expects.
    fn too_few(&self, report: &RenewalReport) -> Option<Failure> {
        let least = self.expect_at_least?;
        let is_too_few = report.error.is_none() && self.listed < least;
        is_too_few.then(|| config::too_few(self.listed, least))
    }

    /// Forgets the tokens that the complete list of this pass lacked, but not the names of
    /// those that the watcher looked after. Returns whether there are any.
    fn forget_unlisted(&mut self) -> bool {
        let mut is_missing_more = false;
        for (key, Listed { token, pass }) in &self.tokens {
            if *pass == self.pass {
                self.missing.remove(key);
            } else if let (Key::Id(id), true) = (key, is_looked_after(token.decision)) {
                let name = token.name.as_ref().unwrap_or(id).clone();
                self.missing.insert(key.clone(), name);
                is_missing_more = true;
            }
        }
        self.tokens.retain(|_, listed| listed.pass == self.pass);
        is_missing_more
    }

    /// The number of tokens that are missing.
    pub(super) fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Says which tokens are missing, if any are.
    pub(super) fn missing_words(&self) -> Option<String> {
        const MAX_NAMED: usize = 10;
        let names = self.missing.values().take(MAX_NAMED);
        let names: Vec<_> = names.map(|name| bounded(name)).collect();
        let others = match self.missing.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let are = match self.missing.len() {
            0 => return None,
            1 => "1 token that was seen before is".to_owned(),
            count => format!("{count} tokens that were seen before are"),
        };
        Some(format!(
            "{are} no longer listed: {}{others}",
            names.join(", ")
        ))
    }

    fn decided(&mut self, token: &ServiceToken, decision: Decision) {
        let key = match &token.id {
            Some(id) => Key::Id(id.clone()),
            None => Key::Place(self.listed),
        };
        self.listed += 1;
        // They are read again after the pass.
        let risks = self.tokens.get(&key).map(|known| known.token.risks.clone());
        let token = page::Token::new(token, self.policy.due_at(token), decision);
        let listed = Listed {
            token: Arc::new(token.at(risks.unwrap_or_default())),
            pass: self.pass,
        };
        self.tokens.insert(key, listed);
    }

    fn settled(&mut self, renewal: &TokenRenewal) {
        let key = renewal.id.clone().map(Key::Id);
        let Some(listed) = key.and_then(|key| self.tokens.get_mut(&key)) else {
            return;
        };
        let token = Arc::make_mut(&mut listed.token);
        match &renewal.outcome {
            RenewalOutcome::Renewed { expires_at } => {
                // The token falls due as long before its expiry as before.
                let moved = token.expires_at.map(|before| *expires_at - before);
                let due_at = token.due_at.zip(moved);
                token.due_at = due_at.and_then(|(due_at, by)| due_at.checked_add_signed(by));
                token.expires_at = Some(*expires_at);
                token.decision = Decision::Skip(SkipReason::NotDue);
            }
            RenewalOutcome::Failed { error } => {
                token.problem = Some(format!("renewal failed: {}", with_causes(error)));
            }
            outcome => token.problem = Some(outcome.to_string()),
        }
    }

    /// The tokens that this watcher looks after and that expire: id, name, and when they
    /// fall due and expire.
    pub(super) fn expiries(&self) -> impl Iterator<Item = Expiry<'_>> {
        self.tokens.iter().filter_map(|(key, listed)| {
            let Key::Id(id) = key else {
                return None;
            };
            let token = &listed.token;
            let expires_at = token
                .expires_at
                .filter(|_| is_looked_after(token.decision))?;
            let name = token.name.as_deref().unwrap_or_default();
            Some(Expiry {
                id,
                name,
                due_at: token.due_at,
                expires_at,
            })
        })
    }

    /// The tokens with an id, and their risks.
    pub(super) fn risks(&self) -> impl Iterator<Item = (&str, &str, &[Risk])> {
        self.tokens.values().filter_map(|Listed { token, .. }| {
            let name = token.name.as_deref().unwrap_or_default();
            Some((token.id.as_deref()?, name, &token.risks[..]))
        })
    }

    /// Returns the number of tokens in each state at `now`.
    pub(super) fn states(&self, now: DateTime<Utc>) -> BTreeMap<State, i64> {
        let mut counts: BTreeMap<State, i64> = State::ALL.map(|state| (state, 0)).into();
        for listed in self.tokens.values() {
            *counts.entry(listed.token.state(now)).or_default() += 1;
        }
        counts
    }

    pub(super) fn page(&self, now: DateTime<Utc>, last_failure: Option<&str>) -> page::Report {
        let mut problem = self.problem.clone();
        if let Some(at) = self.vanished_at {
            let at = time::minute(at);
            let vanished = format!("Since {at}, the account is no longer listed.");
            problem = Some(match problem {
                Some(problem) => format!("{vanished} {problem}"),
                None => vanished,
            });
        }
        if let Some(rotation) = rotation::problem(self) {
            problem = Some(match problem {
                Some(problem) => format!("{problem} {rotation}"),
                None => rotation,
            });
        }
        // While the first pass retries, no report of a pass says why.
        if let (Some(problem), None, Some(failure)) = (&mut problem, self.last_pass, last_failure) {
            *problem += &format!(" The last request failed: {failure}");
        }
        let of_risks = risk::note_of_account(self.tokens.len(), self.api_token_expires_at, now);
        let missing = self.missing_words().map(|words| format!("{words}."));
        let notes: Vec<_> = missing.into_iter().chain(of_risks).collect();
        page::Report {
            account: self.label(),
            time: now,
            listed_at: self.listed_at,
            next_pass: self.next_pass,
            window: self.window,
            problem,
            note: (!notes.is_empty()).then(|| notes.join(" ")),
            tokens: self
                .tokens
                .values()
                .map(|listed| Arc::clone(&listed.token))
                .collect(),
            unlisted: 0,
        }
    }
}

/// Whether the watcher would renew the token when it falls due, or when it could. It
/// was told to leave the others alone.
fn is_looked_after(decision: Decision) -> bool {
    !matches!(
        decision,
        Decision::Skip(SkipReason::Disabled | SkipReason::Excluded | SkipReason::NotSelected)
    )
}
