//! What earlier runs left in the journal, and no rule finishes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Followed, RotationRecord};
use crate::config::Config;
use crate::failure::Failure;
use crate::secret::journal::Journal;
use crate::secret::recover;

/// How long the passes of other accounts rely on one reading of the journal.
const FRESH: Duration = Duration::from_secs(60);

/// The unfinished runs in a journal.
pub(super) struct Left {
    /// `None` if there is no place for one.
    journal: Option<Arc<Journal>>,
    accounts: Mutex<Option<Accounts>>,
}

/// The accounts that have an unfinished run, and when the journal said so.
struct Accounts {
    read_at: Instant,
    ids: BTreeSet<String>,
}

impl Left {
    pub(super) fn new(journal: Option<Arc<Journal>>) -> Self {
        Self {
            journal,
            accounts: Mutex::new(None),
        }
    }

    /// Returns what earlier runs left in accounts that the file does not have, and which
    /// records can't be read.
    pub(super) fn elsewhere(&self, config: &Config) -> Vec<Failure> {
        let left = self.journal.iter().flat_map(|j| j.left_or_unreadable());
        let left = left.filter_map(|record| match record {
            Ok(record) => {
                let run = record.run()?;
                let is_here = config.rules(&run.intent.account_id).is_some();
                let why = "its account is not in the configuration file";
                (!is_here).then(|| recover::unfinished(&record, run).because(why))
            }
            Err(error) => Some(recover::unreadable(&error)),
        });
        left.collect()
    }

    /// Returns what earlier runs left in an account for tokens that no rule names.
    pub(super) fn without_rule(&self, account_id: &str, followed: &[Followed]) -> Vec<Followed> {
        let Some(journal) = &self.journal else {
            return Vec::new();
        };
        if !self.may_be_in(account_id, Instant::now(), || accounts(journal)) {
            return Vec::new();
        }
        let is_named = |id: &String| {
            followed
                .iter()
                .any(|rule| rule.record.id.as_ref() == Some(id))
        };
        let left = journal.left_or_unreadable().into_iter().flatten();
        let left = left.filter_map(|record| {
            let run = record.run()?;
            let is_here = run.intent.account_id == account_id;
            if !is_here || run.intent.token_id.as_ref().is_some_and(is_named) {
                return None;
            }
            let why = "no rule of the configuration file names the token";
            let failure = recover::unfinished(&record, run).because(why);
            let mut record = RotationRecord::without_rule(&run.intent);
            record.failed(&failure);
            Some(Followed {
                record,
                exit: failure.exit,
                failures: vec![failure],
            })
        });
        left.collect()
    }

    /// Whether the account had an unfinished run when the journal was last read. A thousand
    /// accounts would read it a thousand times.
    fn may_be_in(
        &self,
        account_id: &str,
        now: Instant,
        read: impl FnOnce() -> BTreeSet<String>,
    ) -> bool {
        let mut known = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |known: &Accounts| now.saturating_duration_since(known.read_at) < FRESH;
        let fresh = known.take().filter(is_fresh);
        let accounts = fresh.unwrap_or_else(|| Accounts {
            read_at: now,
            ids: read(),
        });
        let is_in = accounts.ids.contains(account_id);
        *known = Some(accounts);
        is_in
    }
}

/// Returns the accounts that have an unfinished run.
fn accounts(journal: &Journal) -> BTreeSet<String> {
    let left = journal.left_or_unreadable().into_iter().flatten();
    let ids = left.filter_map(|record| Some(record.run()?.intent.account_id.clone()));
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reading_serves_the_passes_of_a_minute() {
        let left = Left::new(None);
        let start = Instant::now();
        let mut readings = 0;
        for second in 0..FRESH.as_secs() {
            for account in ["a1", "a2", "a3"] {
                let now = start + Duration::from_secs(second);
                let may_be = left.may_be_in(account, now, || {
                    readings += 1;
                    BTreeSet::from(["a2".to_owned()])
                });
                assert_eq!(may_be, account == "a2");
            }
        }
        assert_eq!(readings, 1);
        assert!(!left.may_be_in("a2", start + FRESH, BTreeSet::new));
    }
}
