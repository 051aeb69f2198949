//! Entries that an interrupted `create` or `rotate` left in the journal: every command
//! reports them, and the next `create` or `rotate` settles them first.

use cf_service_tokens::ServiceToken;

use crate::connect::Connection;
use crate::exit::Exit;
use crate::explain::{self, Failure};
use crate::secret::journal::{Answer, Entry, Found, Intent, Journal, Operation, TokenLock};
use crate::when;

/// Reports the entries that were left behind.
pub(crate) fn tell(journal: &Journal) {
    for entry in journal.left_or_unreadable() {
        let words = match entry {
            Ok(entry) => words(&entry),
            Err(error) => format!("can't read the journal, which may hold a secret: {error}"),
        };
        explain::remark(format!(
            "{words}; `cf-service-tokens journal` says what to do"
        ));
    }
}

/// Describes an entry.
pub(crate) fn words(entry: &Entry) -> String {
    let intent = &entry.intent;
    let what = match intent.operation {
        Operation::Create => "create of",
        Operation::Rotate => "rotate of",
    };
    let token = intent.name.as_deref().or(intent.token_id.as_deref());
    let came = match &entry.answer {
        Some(Answer::Secret(_)) => "its new secret is in the journal, but not yet in its sink",
        Some(Answer::Unread) => "its response is in the journal, but could not be read",
        None => "it may have been sent, and its response was lost",
    };
    format!(
        "a {what} {:?}, started at {}, was interrupted: {came}",
        token.unwrap_or("-"),
        when::minute(intent.started_at)
    )
}

/// Returns what to do about an entry.
pub(crate) fn advice(entry: &Entry) -> String {
    let name = &entry.intent.entry;
    match &entry.answer {
        Some(Answer::Secret(_)) => format!("cf-service-tokens journal finish {name}"),
        Some(Answer::Unread) => format!(
            "look for the secret in {}, then run: cf-service-tokens journal discard {name}",
            entry.path.display()
        ),
        None => advice_for_lost(&entry.intent),
    }
}

/// Returns what to do if a secret may have been made and lost.
pub(crate) fn advice_for_lost(intent: &Intent) -> String {
    match intent.operation {
        Operation::Create => format!(
            "run the same create again: it checks whether the first one took effect (or check with \
             cf-service-tokens list, then run: cf-service-tokens journal discard {})",
            intent.entry
        ),
        Operation::Rotate => {
            let old = match intent.old_secret_valid_until {
                Some(at) => format!("works until {}", when::minute(at)),
                None => "no longer works if the first one took effect".to_owned(),
            };
            format!(
                "run the same rotate again: it continues if the first one had no effect; the old \
                 secret {old}"
            )
        }
    }
}

/// Makes sure that no earlier rotate of the token is unsettled: a second one ends
/// the secret before the last, which may be the one in use.
pub(crate) fn settle_rotate(
    journal: &Journal,
    entry_name: &str,
    token: &ServiceToken,
) -> Result<(), Failure> {
    let entry = match journal.find(entry_name)? {
        None => return Ok(()),
        Some(Found::Busy) => {
            return Err(
                Failure::new(Exit::Failed, "another run is rotating this token")
                    .next("wait for it to end"),
            );
        }
        Some(Found::Left(entry)) => *entry,
    };
    if entry.answer.is_some() {
        return Err(unsettled(&entry));
    }
    let started_at = when::minute(entry.intent.started_at);
    let why = match (entry.intent.updated_at, token.updated_at) {
        (Some(before), Some(now)) if before == now => {
            explain::remark(format!(
                "an earlier rotate, started at {started_at}, had no effect; nothing was lost"
            ));
            return clear(entry);
        }
        (Some(_), Some(now)) => format!(
            "the token has been updated since, at {}, by that rotate or by another change such as \
             an update or a refresh",
            when::minute(now)
        ),
        _ => "the API does not say when the token was last updated".to_owned(),
    };
    let next = match entry.intent.old_secret_valid_until {
        Some(at) => format!(
            "if it took effect, its new secret is lost, the old one works until {}, and another \
             rotate ends it at once. When the token's users are ready for a new secret, run: \
             cf-service-tokens journal discard {entry_name}, then rotate with --end-grace. To change \
             over slowly, create a second token",
            when::minute(at)
        ),
        None => format!(
            "if it took effect, its new secret is lost and the old one no longer works; `verify` \
             shows whether it does. When the token's users are ready for a new secret, run: \
             cf-service-tokens journal discard {entry_name}, then rotate again"
        ),
    };
    let what = format!("an earlier rotate, started at {started_at}, may have taken effect");
    Err(Failure::new(Exit::Failed, what).because(why).next(next))
}

/// Makes sure that no grace runs, as far as the journal knows: a second rotate ends
/// the secret before the last at once, whatever was promised to its users.
pub(crate) fn require_no_grace(journal: &Journal, lock: &mut TokenLock) -> Result<(), Failure> {
    let grace = lock.grace().map_err(|error| journal.unreadable(&error))?;
    let Some(until) = grace else { return Ok(()) };
    Err(Failure::new(
        Exit::Failed,
        format!(
            "the grace period of an earlier rotate runs until {}; another rotate would end its old secret at once",
            when::minute(until)
        ),
    )
    .next(
        "nothing was changed; wait until then, or, if all users have the newest secret, rotate with \
         --end-grace; --revoke-now ends the newest one too",
    ))
}

/// Ends an entry, and keeps in mind the grace that runs since its rotate. If it is
/// not known whether that took place, the longest that may run.
pub(crate) fn end(journal: &Journal, entry: Entry, took_place: bool) -> Result<(), Failure> {
    if let (Operation::Rotate, Some(id)) = (entry.intent.operation, &entry.intent.token_id) {
        let mut lock = journal.lock_token(&id.parse()?)?;
        let until = entry.intent.old_secret_valid_until;
        let noted = match took_place {
            true => lock.note_grace(until),
            false => lock
                .grace()
                .and_then(|before| lock.note_grace(before.max(until))),
        };
        noted.map_err(|error| journal.unwritable(&error))?;
    }
    clear(entry)
}

/// Makes sure that no earlier create of this name is unsettled: a second one would
/// make a second token.
pub(crate) async fn settle_create(
    connection: &Connection,
    journal: &Journal,
    name: &str,
) -> Result<(), Failure> {
    for entry in journal.left()? {
        let intent = &entry.intent;
        let is_same = intent.operation == Operation::Create
            && intent.name.as_deref() == Some(name)
            && intent.account_id == connection.account_id();
        if !is_same {
            continue;
        }
        if entry.answer.is_some() {
            return Err(unsettled(&entry));
        }
        let namesakes = Connection::all(connection.tokens.list().name(name)).await?;
        // The two clocks may differ by a little.
        let since = intent.started_at - chrono::TimeDelta::minutes(5);
        let made = namesakes
            .iter()
            .find(|token| token.created_at.is_none_or(|at| at >= since));
        let Some(token) = made else {
            explain::remark("an earlier create of this name had no effect");
            clear(entry)?;
            continue;
        };
        let id = token.id.as_deref().unwrap_or("ID");
        return Err(Failure::new(
            Exit::Failed,
            format!("an earlier create of {name:?} took effect, but its secret is lost"),
        )
        .next(format!(
            "give that token a new secret: cf-service-tokens rotate {id} --revoke-now \
             --secret-to ...; then run: cf-service-tokens journal discard {}",
            intent.entry
        )));
    }
    Ok(())
}

fn unsettled(entry: &Entry) -> Failure {
    Failure::new(Exit::Failed, words(entry)).next(advice(entry))
}

fn clear(entry: Entry) -> Result<(), Failure> {
    let path = entry.path.display().to_string();
    entry.clear().map_err(|error| {
        Failure::new(Exit::Failed, format!("can't remove the entry {path}")).because(error)
    })
}
