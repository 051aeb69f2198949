//! The rotation rules of an account, and how they are followed.

use std::sync::Arc;

use cf_service_tokens::renewal::Decision;
use cf_service_tokens::{ServiceToken, ServiceTokenId};

use super::Keeper;
use super::left::Left;
use super::record::RotationRecord;
use super::turn::{Taken, Turn};
use crate::commands::select::{self, Chosen, Ids};
use crate::config::{AccountRules, RotationRule};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::notify::Fault;
use crate::secret::binding;
use crate::secret::journal::Journal;
use crate::secret::reading::Reading;
use crate::secret::rotation::{self, Due, Grace, LockedToken, Rotation};
use crate::secret::sink::NamedBy;

/// The rotation rules of an account. Clones are the same rules.
#[derive(Clone)]
pub(crate) struct Rotations {
    rules: Arc<[Rule]>,
    /// `None` only without rules, if there is no place for one.
    journal: Option<Arc<Journal>>,
    left: Arc<Left>,
    /// The turn to rotate, for which the rules of all accounts wait.
    turn: Arc<Turn>,
    dry_run: bool,
}

/// A rule: a token, and how it is rotated.
struct Rule {
    /// The token's name, id or client id.
    token: String,
    rotation: Rotation,
}

/// The progress through the rules of an account.
pub(crate) enum Step<'a> {
    /// A rule waits until those of other accounts were followed.
    Waits,
    Begins,
    /// No rule of another account begins, and no watcher ends, before the outcome of a rule is
    /// noted. What no rule finishes any more is noted at any time.
    Ended(&'a Followed),
}

/// What became of a rule.
pub(crate) struct Followed {
    pub(crate) record: RotationRecord,
    pub(crate) failures: Vec<Failure>,
    pub(crate) exit: Exit,
}

impl Followed {
    /// Returns each failure, and as the hook of failures reads it.
    pub(crate) fn with_faults(
        self,
        account_id: &str,
        account_name: Option<&str>,
    ) -> impl Iterator<Item = (Failure, Fault)> {
        let Self {
            record, failures, ..
        } = self;
        failures.into_iter().map(move |failure| {
            let fault = Fault::new(&failure).of_account(account_id, account_name);
            let name = record.name.as_deref().unwrap_or(&record.token);
            let fault = fault.of_token(record.id.as_deref(), Some(name));
            (failure, fault)
        })
    }
}

impl Rotations {
    pub(super) fn new(rules: &AccountRules, keeper: &Keeper) -> Self {
        Self {
            rules: rules.rotate.iter().map(Rule::from).collect(),
            journal: keeper.journal.clone(),
            left: Arc::clone(&keeper.left),
            turn: Arc::clone(&keeper.turn),
            dry_run: keeper.dry_run,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Records how old the secret of a token is at least, if a rule names the token and
    /// nothing is recorded yet. A renewal moves the date that tells.
    pub(crate) fn note_first_sight(&self, account: &Connection, token: &ServiceToken) {
        let (Some(journal), false) = (&self.journal, self.dry_run) else {
            return;
        };
        let is_named = |rule: &Rule| {
            let one = std::slice::from_ref(token);
            !select::matching(one, &rule.token, Ids::Whole).is_empty()
        };
        let id = token.id.as_deref().map(ServiceTokenId::new);
        if let Some(Ok(id)) = id
            && self.rules.iter().any(is_named)
        {
            // An unusable journal fails the rule, and a record in use is known already.
            let _ = rotation::note_first_sight(journal, &id, token, account.tokens.now());
        }
    }

    /// Follows one rule after the other, and notes the progress. The tokens are those of the
    /// account, as they were listed.
    pub(crate) async fn follow(
        &self,
        account: &Connection,
        tokens: &[(ServiceToken, Decision)],
        mut note: impl FnMut(Step<'_>),
    ) -> Vec<Followed> {
        let mut followed = Vec::new();
        let Some(journal) = &self.journal else {
            return followed;
        };
        let listed: Vec<ServiceToken> = tokens.iter().map(|(token, _)| token.clone()).collect();
        let named = |rule: &Rule| select::matching(&listed, &rule.token, Ids::Whole);
        let named: Vec<Vec<usize>> = self.rules.iter().map(named).collect();
        for (at, rule) in self.rules.iter().enumerate() {
            let mut others = self.rules.iter().zip(&named).enumerate();
            let twin = others.find(|(other, (_, tokens))| {
                *other != at && tokens.len() == 1 && **tokens == named[at]
            });
            let twin = twin.map(|(_, (twin, _))| twin.token.as_str());
            let is_renewed = |id: &ServiceTokenId| {
                tokens.iter().any(|(token, decision)| {
                    token.id.as_deref() == Some(id.as_str())
                        && matches!(decision, Decision::Renew(_))
                })
            };
            note(Step::Waits);
            let turn = self.take_turn().await;
            let is_turn = turn.is_ok();
            let may_follow = match (&turn, twin) {
                (Err(interrupted), _) => Err(interrupted.clone()),
                (Ok(_), Some(twin)) => Err(one_too_many(&rule.token, twin)),
                (Ok(_), None) => Ok(()),
            };
            note(Step::Begins);
            let one = self.follow_one(account, journal, &listed, rule, may_follow, is_renewed);
            let one = one.await;
            if is_turn {
                note(Step::Ended(&one));
            }
            followed.push(one);
        }
        let left = self.left.without_rule(account.account_id(), &followed);
        left.iter().for_each(|one| note(Step::Ended(one)));
        followed.extend(left);
        followed
    }

    /// Returns the outcome of each rule in an account whose tokens could not be listed, for the
    /// reason that this code stands for.
    pub(crate) fn not_tried(&self, exit: Exit) -> Vec<Followed> {
        let rules = self.rules.iter();
        let not_tried = rules.map(|rule| Followed {
            record: RotationRecord::not_tried(&rule.token, &rule.rotation),
            failures: Vec::new(),
            exit,
        });
        not_tried.collect()
    }

    /// Lets no rotation begin, and completes when none is under way.
    pub(crate) async fn end(&self) {
        self.turn.close();
        self.turn.is_free().await;
    }

    /// Waits for the turn to rotate, which a dry run does not need.
    async fn take_turn(&self) -> Result<Option<Taken<'_>>, Failure> {
        if self.dry_run {
            return Ok(None);
        }
        let taken = self.turn.take().await;
        let what = "interrupted before the age of the secret was known";
        taken
            .map(Some)
            .ok_or_else(|| Failure::new(Exit::Failed, what))
    }

    async fn follow_one(
        &self,
        account: &Connection,
        journal: &Journal,
        tokens: &[ServiceToken],
        rule: &Rule,
        may_follow: Result<(), Failure>,
        is_renewed: impl Fn(&ServiceTokenId) -> bool,
    ) -> Followed {
        let mut record = RotationRecord::not_tried(&rule.token, &rule.rotation);
        let followed = match may_follow {
            Err(failure) => Err(failure),
            Ok(()) => {
                self.try_follow(account, journal, tokens, rule, is_renewed, &mut record)
                    .await
            }
        };
        let (failures, exit) = match followed {
            Ok(faults) if !faults.is_empty() => (faults, Exit::Failed),
            Ok(none) if record.is_planned() => (none, Exit::Due),
            Ok(none) => (none, Exit::Success),
            Err(failure) => {
                record.failed(&failure);
                let exit = failure.exit;
                (vec![failure], exit)
            }
        };
        let about = |failure: Failure| failure.about(&format!("{:?}", rule.token));
        Followed {
            record,
            failures: failures.into_iter().map(about).collect(),
            exit,
        }
    }

    /// Does what the rule demands, and returns what somebody must know about all the same.
    async fn try_follow(
        &self,
        account: &Connection,
        journal: &Journal,
        tokens: &[ServiceToken],
        rule: &Rule,
        is_renewed: impl Fn(&ServiceTokenId) -> bool,
        record: &mut RotationRecord,
    ) -> Result<Vec<Failure>, Failure> {
        let chosen = select::one_of(account, tokens, &rule.token, Ids::Whole)?;
        record.of_token(&chosen);
        let Chosen { id, listed } = chosen;
        let token = listed.unwrap_or_default();
        if token.name.as_ref() == Some(&rule.token) {
            let account_id = account.account_id();
            match self.dry_run {
                true => binding::check(journal, account_id, &rule.token, id.as_str())?,
                false => binding::require_same(journal, account_id, &rule.token, id.as_str())?,
            }
        }
        let rotation = &rule.rotation;
        if self.dry_run {
            let is_renewed = is_renewed(&id);
            let known = journal.read(&id)?;
            let at = account.tokens.now();
            let reading = Reading { token, id, at };
            let due = rotation::decide(known.as_ref(), &reading, rotation);
            record.planned(&due);
            let why = unusable(&reading).filter(|why| *why != EXPIRED || !is_renewed);
            match (due, why, &known) {
                (Due::Young { .. } | Due::Rotate { .. } | Due::Outage { .. }, Some(why), _) => {
                    record.skipped(why);
                }
                (due @ (Due::Arriving { .. } | Due::Lost { .. }), _, Some(known)) => {
                    return Err(rotation::refusal(account, known, &reading, rotation, &due));
                }
                _ => {}
            }
            let known = known.filter(|known| known.run().is_none());
            let fault = known.and_then(|known| rotation::changed_by_others(&known, &reading));
            return Ok(fault.into_iter().collect());
        }
        let token = LockedToken::lock(account, journal, &id, false).await?;
        let due = token.due(rotation);
        record.due(&due);
        match (&due, unusable(&token.reading)) {
            (Due::InGrace { .. }, _) => return Ok(Vec::new()),
            // A new secret would not help.
            (Due::Young { .. } | Due::Rotate { .. } | Due::Outage { .. }, Some(why)) => {
                record.skipped(why);
                return Ok(Vec::new());
            }
            _ => {}
        }
        let outcome = rotation::carry_out(account, journal, token, due, rotation, None).await?;
        if let Some(rotated) = &outcome.rotated {
            record.rotated(rotated, rotation);
        }
        Ok(outcome.faults)
    }
}

impl From<&RotationRule> for Rule {
    fn from(rule: &RotationRule) -> Self {
        Self {
            token: rule.token.clone(),
            rotation: Rotation {
                every: Some(rule.every),
                grace: Grace::For(rule.grace),
                end_grace: false,
                sink: rule.secret_to.clone(),
                named_by: NamedBy::Key,
                keep_env: Vec::new(),
                verify: rule.verify.clone(),
                then: rule.then.clone(),
            },
        }
    }
}

const EXPIRED: &str = "expired";

/// Returns why nobody can use a token.
fn unusable(reading: &Reading) -> Option<&'static str> {
    if reading.token.enabled == Some(false) {
        return Some("disabled");
    }
    reading.token.is_expired(reading.at).then_some(EXPIRED)
}

/// Two rules would each bring every second secret to its sink.
fn one_too_many(token: &str, twin: &str) -> Failure {
    let what = format!("the rule {twin:?} names the same token");
    let next = format!(
        "nothing was changed; remove the rule {token:?} or {twin:?} from the configuration file"
    );
    Failure::new(Exit::Failed, what).next(next)
}
