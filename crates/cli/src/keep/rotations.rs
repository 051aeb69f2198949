//! The rotation rules of an account, and how they are followed.

use std::sync::Arc;

use cf_service_tokens::ServiceToken;
use tokio::sync::Mutex;

use super::Keeper;
use super::record::RotationRecord;
use crate::commands::select::{self, Chosen, Ids};
use crate::config::{AccountRules, RotationRule};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::notify::Fault;
use crate::secret::binding;
use crate::secret::journal::Journal;
use crate::secret::reading::Reading;
use crate::secret::rotation::{self, Due, Grace, LockedToken, Rotation};

/// The rotation rules of an account. Clones are the same rules.
#[derive(Clone)]
pub(crate) struct Rotations {
    rules: Arc<[Rule]>,
    /// `None` only without rules.
    journal: Option<Arc<Journal>>,
    /// The turn to rotate, for which the rules of all accounts wait.
    turn: Arc<Mutex<()>>,
    dry_run: bool,
}

/// A rule: a token, and how it is rotated.
struct Rule {
    /// The token's name, id or client id.
    token: String,
    rotation: Rotation,
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
            turn: Arc::clone(&keeper.turn),
            dry_run: keeper.dry_run,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Follows each rule, one after the other. The tokens are those of the account, as they
    /// were listed.
    pub(crate) async fn follow(
        &self,
        account: &Connection,
        tokens: &[ServiceToken],
    ) -> Vec<Followed> {
        let mut followed = Vec::new();
        if let Some(journal) = &self.journal {
            for rule in self.rules.iter() {
                followed.push(self.follow_one(account, journal, tokens, rule).await);
            }
        }
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

    /// Completes when no rotation is under way, and lets none begin.
    pub(crate) async fn end(&self) {
        std::mem::forget(Arc::clone(&self.turn).lock_owned().await);
    }

    async fn follow_one(
        &self,
        account: &Connection,
        journal: &Journal,
        tokens: &[ServiceToken],
        rule: &Rule,
    ) -> Followed {
        let mut record = RotationRecord::not_tried(&rule.token, &rule.rotation);
        let followed = self
            .try_follow(account, journal, tokens, rule, &mut record)
            .await;
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
        if token.enabled == Some(false) {
            record.skipped("disabled");
            return Ok(Vec::new());
        }
        if self.dry_run {
            let known = journal.read(&id)?;
            let at = account.tokens.now();
            let reading = Reading { token, id, at };
            let due = rotation::decide(known.as_ref(), &reading, &rule.rotation);
            record.planned(&due);
            return match (known, due) {
                (Some(known), due @ (Due::Lost { .. } | Due::Arriving { .. })) => {
                    let refusal =
                        rotation::refusal(account, &known, &reading, &rule.rotation, &due);
                    Err(refusal)
                }
                _ => Ok(Vec::new()),
            };
        }
        let _turn = self.turn.lock().await;
        let listed = token;
        let mut token = LockedToken::lock(account, journal, &id, false).await?;
        token.learn_from(journal, &listed)?;
        let due = token.due(&rule.rotation);
        record.due(&due);
        let is_expired = token.reading.token.is_expired(token.reading.at);
        match due {
            Due::InGrace { .. } => return Ok(Vec::new()),
            // The renewal says so, and a new secret would not help.
            Due::Rotate { .. } if is_expired => {
                record.skipped("expired");
                return Ok(Vec::new());
            }
            _ => {}
        }
        let rotation = &rule.rotation;
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
                keep_env: Vec::new(),
                verify: rule.verify.clone(),
                then: rule.then.clone(),
            },
        }
    }
}
