//! What an interrupted `create` or `rotate` left in the journal: every command reports
//! it, and the next `create` or `rotate` of the token settles it first.

use cf_service_tokens::ServiceToken;
use chrono::{DateTime, TimeDelta, Utc};

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::secret::journal::{Journal, RecordName};
use crate::secret::record::{Answer, Intent, Operation, Record, Run};
use crate::secret::sink::Sink;
use crate::time;

/// Reports the runs that were interrupted.
pub(crate) fn tell(journal: &Journal) {
    for record in journal.left_or_unreadable() {
        let words = match &record {
            Ok(record) => record.run().map(words),
            Err(error) => Some(format!(
                "can't read the journal, which may hold a secret: {error}"
            )),
        };
        if let Some(words) = words {
            output::remark(format!(
                "{words}; `cf-service-tokens journal` says what to do"
            ));
        }
    }
}

/// Describes an interrupted run.
fn words(run: &Run) -> String {
    let intent = &run.intent;
    let what = match intent.operation {
        Operation::Create => "create of",
        Operation::Rotate => "rotate of",
    };
    let token = intent.name.as_deref().or(intent.token_id.as_deref());
    let came = match &run.answer {
        Some(Answer::Secret(_)) => "its new secret is in the journal, but not yet in its sink",
        Some(Answer::Kept) => "its response is in the journal, but could not be read",
        None => "it may have been sent, and its response was lost",
    };
    format!(
        "a {what} {:?}, started at {}, was interrupted: {came}",
        token.unwrap_or("-"),
        time::minute(intent.started_at)
    )
}

/// Returns what to do about an interrupted run.
pub(crate) fn advice(record: &Record, run: &Run) -> String {
    let name = &record.name;
    match &run.answer {
        Some(Answer::Secret(_)) => format!("cf-service-tokens journal finish {name}"),
        Some(Answer::Kept) => format!(
            "look for the secret in {}, then run: cf-service-tokens journal discard {name}",
            record.path.display()
        ),
        None => advice_for_lost(name, &run.intent),
    }
}

/// Returns what to do if a secret may have been made and lost.
pub(crate) fn advice_for_lost(name: &RecordName, intent: &Intent) -> String {
    match intent.operation {
        Operation::Create => format!(
            "run the same create again: it checks whether the first one took effect (or check with \
             cf-service-tokens list, then run: cf-service-tokens journal discard {name})"
        ),
        Operation::Rotate => {
            let old = match intent.old_secret_valid_until {
                Some(at) => format!("works until {}", time::minute(at)),
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
pub(crate) fn settle_rotate(record: &mut Record, token: &ServiceToken) -> Result<(), Failure> {
    let Some(run) = record.run() else {
        return Ok(());
    };
    if run.answer.is_some() {
        return Err(unsettled(record, run));
    }
    let intent = &run.intent;
    let started_at = time::minute(intent.started_at);
    let why = match (intent.updated_at, token.updated_at) {
        (Some(before), Some(now)) if before == now => {
            output::remark(format!(
                "an earlier rotate, started at {started_at}, had no effect; nothing was lost"
            ));
            return forget(record);
        }
        (Some(_), Some(now)) => format!(
            "the token has been updated since, at {}, by that rotate or by another change such as \
             an update or a refresh",
            time::minute(now)
        ),
        _ => "the API does not say when the token was last updated".to_owned(),
    };
    let name = &record.name;
    let next = match intent.old_secret_valid_until {
        Some(at) => format!(
            "if it took effect, its new secret is lost, the old one works until {}, and another \
             rotate ends it at once. When the token's users are ready for a new secret, run: \
             cf-service-tokens journal discard {name}, then rotate with --end-grace. To change \
             over slowly, create a second token",
            time::minute(at)
        ),
        None => format!(
            "if it took effect, its new secret is lost and the old one no longer works; `verify` \
             shows whether it does. When the token's users are ready for a new secret, run: \
             cf-service-tokens journal discard {name}, then rotate again"
        ),
    };
    let what = format!("an earlier rotate, started at {started_at}, may have taken effect");
    Err(Failure::new(Exit::Failed, what).because(why).next(next))
}

/// Makes sure that no grace runs, as far as the journal knows: a second rotate ends
/// the secret before the last at once, whatever was promised to its users.
pub(crate) fn require_no_grace(record: &Record, now: DateTime<Utc>) -> Result<(), Failure> {
    let Some(until) = record.grace().filter(|until| *until > now) else {
        return Ok(());
    };
    Err(Failure::new(
        Exit::Failed,
        format!(
            "the grace period of an earlier rotate runs until {}; another rotate would end its old secret at once",
            time::minute(until)
        ),
    )
    .next(
        "nothing was changed; wait until then, or, if all users have the newest secret, rotate with \
         --end-grace; --revoke-now ends the newest one too",
    ))
}

/// Makes sure that no earlier create of this name is unsettled: a second one would
/// make a second token.
pub(crate) async fn settle_create(
    connection: &Connection,
    record: &mut Record,
    name: &str,
) -> Result<(), Failure> {
    let Some(run) = record.run() else {
        return Ok(());
    };
    if run.answer.is_some() {
        return Err(unsettled(record, run));
    }
    let namesakes = Connection::all(connection.tokens.list().name(name)).await?;
    // The two clocks may differ by a little.
    let since = run.intent.started_at - TimeDelta::minutes(5);
    let made = namesakes
        .iter()
        .find(|token| token.created_at.is_none_or(|at| at >= since));
    let Some(token) = made else {
        output::remark("an earlier create of this name had no effect");
        return forget(record);
    };
    // The server chose the id, and the advice is a command to copy.
    let id = output::quoted(token.id.as_deref().unwrap_or("ID"));
    Err(Failure::new(
        Exit::Failed,
        format!("an earlier create of {name:?} took effect, but its secret is lost"),
    )
    .next(format!(
        "give that token a new secret: cf-service-tokens rotate {id} --revoke-now \
         --secret-to ...; then run: cf-service-tokens journal discard {}",
        record.name
    )))
}

/// Brings the secret of an interrupted run to a sink, and settles the record.
pub(crate) fn finish(
    mut record: Record,
    sink: Option<Sink>,
    keep_env: Vec<String>,
) -> Result<Sink, Failure> {
    let Some(run) = record.run() else {
        return Err(Failure::new(Exit::Failed, "this entry holds no secret"));
    };
    let Some(Answer::Secret(secret)) = &run.answer else {
        return Err(
            Failure::new(Exit::Failed, "this entry holds no secret").next(advice(&record, run))
        );
    };
    let sink = match sink {
        Some(sink) => sink.absolute(),
        None => run.intent.sink.parse().map_err(Failure::usage)?,
    };
    if run.intent.operation == Operation::Rotate {
        sink.require_lasting()?;
    }
    let sink = sink.keep_env(keep_env)?;
    let proved = sink.prove(record.directory())?;
    proved.deliver(secret, &run.intent).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("could not store the secret in {sink}"),
        )
        .because(error)
        .next("it is still in the journal; try again with another --secret-to")
    })?;
    remove_leftover(&run.intent);
    let grace = run.intent.old_secret_valid_until;
    settle(&mut record, grace)?;
    Ok(sink)
}

/// Gives up an interrupted run, and its secret. If it is unknown whether a rotate took
/// effect, the longest grace that may run stays recorded.
pub(crate) fn discard(mut record: Record) -> Result<(), Failure> {
    let Some(run) = record.run() else {
        return Ok(());
    };
    remove_leftover(&run.intent);
    let until = run.intent.old_secret_valid_until;
    let grace = match run.answer {
        Some(_) => until,
        None => record.grace().max(until),
    };
    settle(&mut record, grace)
}

/// Removes a temporary file that the run may have left beside its sink.
fn remove_leftover(intent: &Intent) {
    let sink = &intent.sink;
    let removed = sink.parse::<Sink>().map(|sink| sink.remove_leftover());
    if let Ok(Err(error)) = removed {
        output::remark(format!(
            "can't remove the temporary file beside {sink}, which may hold the secret: {error}"
        ));
    }
}

fn unsettled(record: &Record, run: &Run) -> Failure {
    Failure::new(Exit::Failed, words(run)).next(advice(record, run))
}

fn forget(record: &mut Record) -> Result<(), Failure> {
    let grace = record.grace();
    settle(record, grace)
}

fn settle(record: &mut Record, grace: Option<DateTime<Utc>>) -> Result<(), Failure> {
    record.settle(grace).map_err(|error| {
        let path = record.path.display();
        Failure::new(Exit::Failed, format!("can't remove the entry {path}")).because(error)
    })
}
