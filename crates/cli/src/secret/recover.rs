//! The entry that an interrupted `create` or `rotate` left in the journal: every command
//! reports it, and the next `create` or `rotate` of the token settles it first.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use cf_service_tokens::{ServiceToken, ServiceTokenId};
use chrono::{DateTime, TimeDelta, Utc};

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::secret::journal::Journal;
use crate::secret::reading::{self, Reading};
use crate::secret::record::{Answer, Intent, Operation, Record, Run};
use crate::secret::sink::Sink;
use crate::time;

/// How far apart the API is asked twice whether a call had no effect.
const BETWEEN_READINGS: Duration = Duration::from_secs(10);

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
            output::remark(format!("{words}; `{}` says what to do", journal.command()));
        }
    }
}

/// Describes an interrupted run.
fn words(run: &Run) -> String {
    let intent = &run.intent;
    let came = match &run.answer {
        Some(Answer::Secret(_)) => "its new secret is in the journal, but not yet in its sink",
        Some(Answer::Kept) => "its response is in the journal, but is not the documented one",
        None => "it may have been sent, and its response was lost",
    };
    format!(
        "{}, started at {}, was interrupted: {came}",
        intent.named(),
        time::minute(intent.started_at)
    )
}

/// Returns what to do about an interrupted run.
pub(crate) fn advice(record: &Record, run: &Run) -> String {
    match &run.answer {
        Some(Answer::Secret(_)) => record.command("finish"),
        Some(Answer::Kept) => format!(
            "look for the secret in the response: {}; then run: {}",
            record.show_answer(),
            record.command("discard")
        ),
        None => advice_for_lost(record, &run.intent),
    }
}

/// Returns what to do if a secret may have been made and lost.
pub(crate) fn advice_for_lost(record: &Record, intent: &Intent) -> String {
    let after = intent.may_arrive_until.format("%H:%M:%S UTC");
    match intent.operation {
        Operation::Create => format!(
            "run the same create again after {after}: it checks whether the first one took effect \
             (or check with cf-service-tokens list, then run: {})",
            record.command("discard")
        ),
        Operation::Rotate => {
            let old = match intent.old_secret_works_until() {
                Some(at) => format!("works until {}", time::minute(at)),
                None => "no longer works if the first one took effect".to_owned(),
            };
            format!(
                "run the same rotate again after {after}: it continues if the first one had no \
                 effect; the old secret {old}"
            )
        }
    }
}

/// Makes sure that no earlier rotate of the token is unsettled: a second one ends
/// the secret before the last, which may be the one in use. Returns the token as it is
/// then.
pub(crate) async fn settle_rotate(
    connection: &Connection,
    record: &mut Record,
    reading: Reading,
) -> Result<Reading, Failure> {
    let Some(intent) = unanswered(record)? else {
        return Ok(reading);
    };
    let first = match wait_for_arrival(&intent, reading.at).await? {
        true => Reading::of(connection, &reading.id).await?,
        false => reading,
    };
    require_unchanged(record, &intent, &first.token)?;
    tokio::time::sleep(BETWEEN_READINGS).await;
    let second = Reading::of(connection, &first.id).await?;
    require_unchanged(record, &intent, &second.token)?;
    output::remark(format!(
        "an earlier rotate, started at {}, had no effect; nothing was lost",
        time::minute(intent.started_at)
    ));
    forget(record)?;
    Ok(second)
}

/// Makes sure that nothing has changed the token since before an earlier rotate.
fn require_unchanged(
    record: &Record,
    intent: &Intent,
    token: &ServiceToken,
) -> Result<(), Failure> {
    let why = match (intent.updated_at, token.updated_at) {
        (Some(before), Some(now)) if before == now => return Ok(()),
        (Some(_), Some(now)) => format!(
            "the token has been updated since, at {}, by that rotate or by another change such as \
             an update or a refresh",
            time::minute(now)
        ),
        _ => "the API does not say when the token was last updated".to_owned(),
    };
    let discard = record.command("discard");
    let next = match intent.old_secret_works_until() {
        Some(at) => format!(
            "if it took effect, its new secret is lost, the old one works until {}, and another \
             rotate ends it at once. When the token's users are ready for a new secret, run: \
             {discard}; then rotate with --end-grace. To change \
             over slowly, create a second token",
            time::minute(at)
        ),
        None => format!(
            "if it took effect, its new secret is lost and the old one no longer works; `verify` \
             shows whether it does. When the token's users are ready for a new secret, run: \
             {discard}; then rotate again"
        ),
    };
    let started_at = time::minute(intent.started_at);
    let what = format!("an earlier rotate, started at {started_at}, may have taken effect");
    Err(Failure::new(Exit::Failed, what).because(why).next(next))
}

/// Returns the intent of an interrupted run that got no answer, if there is one.
fn unanswered(record: &Record) -> Result<Option<Intent>, Failure> {
    match record.run() {
        None => Ok(None),
        Some(run) if run.answer.is_some() => {
            Err(Failure::new(Exit::Failed, words(run)).next(advice(record, run)))
        }
        Some(run) => Ok(Some(run.intent.clone())),
    }
}

/// Waits until the call of an interrupted run can no longer arrive at the API, and returns
/// whether it had to.
///
/// # Errors
///
/// It waits only on a terminal, where somebody can see why and stop it.
async fn wait_for_arrival(intent: &Intent, now: DateTime<Utc>) -> Result<bool, Failure> {
    let until = intent.may_arrive_until;
    // A wait must end even if the clock was set back.
    let left = (until - now).min(until - intent.started_at);
    let Some(left) = left.to_std().ok().filter(|left| !left.is_zero()) else {
        return Ok(false);
    };
    let operation = match intent.operation {
        Operation::Create => "create",
        Operation::Rotate => "rotate",
    };
    let what = format!("an earlier {operation} was interrupted, and may still take effect");
    let until = until.format("%H:%M:%S UTC");
    if !io::stderr().is_terminal() {
        return Err(Failure::new(Exit::Unreachable, what).next(format!(
            "nothing was changed; run the same command again after {until}"
        )));
    }
    output::remark(format!("{what}; waiting until {until}"));
    tokio::time::sleep(left).await;
    Ok(true)
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

/// Makes sure that no earlier create of this name is unsettled, and that no token has
/// the name, unless a second one is wanted. Returns the time by the API's clock, and how
/// many tokens have the name.
pub(crate) async fn settle_create(
    connection: &Connection,
    record: &mut Record,
    name: &str,
    allow_duplicate: bool,
) -> Result<(DateTime<Utc>, usize), Failure> {
    let mut namesakes = Namesakes::of(connection, name).await?;
    if let Some(intent) = unanswered(record)? {
        if wait_for_arrival(&intent, namesakes.at).await? {
            namesakes = Namesakes::of(connection, name).await?;
        }
        namesakes.require_none_since(record, &intent)?;
        tokio::time::sleep(BETWEEN_READINGS).await;
        namesakes = Namesakes::of(connection, name).await?;
        namesakes.require_none_since(record, &intent)?;
        output::remark("an earlier create of this name had no effect");
        forget(record)?;
    }
    match namesakes.tokens.first() {
        Some(token) if !allow_duplicate => Err(Failure::usage(format!(
            "a token named {name:?} exists already: {}",
            shown_id(token)
        ))
        .next(
            "nothing was changed; use another name, give that token a new secret with `rotate`, \
             or make a second token of this name with --allow-duplicate",
        )),
        _ => Ok((namesakes.at, namesakes.tokens.len())),
    }
}

/// The tokens of a name.
struct Namesakes {
    tokens: Vec<ServiceToken>,
    /// When the API answered.
    at: DateTime<Utc>,
}

impl Namesakes {
    async fn of(connection: &Connection, name: &str) -> Result<Self, Failure> {
        // A narrowed listing can't tell whether it is complete: the API counts all tokens.
        let list = connection.tokens.list();
        let page = list.page(1).await?;
        let at = reading::time_of(&page);
        let is_complete = page.result_info.as_ref().is_some_and(|info| {
            info.total_count == Some(page.tokens.len() as f64)
                && info.total_pages.is_none_or(|pages| pages <= 1.0)
        });
        let mut tokens = match is_complete {
            true => page.into_inner().tokens,
            false => Connection::all(list).await?,
        };
        tokens.retain(|token| token.name.as_deref() == Some(name));
        Ok(Self { tokens, at })
    }

    /// Makes sure that an earlier create made none of them.
    fn require_none_since(&self, record: &Record, intent: &Intent) -> Result<(), Failure> {
        // Without a date in the API's answers, the two clocks may differ by a little.
        let since = intent.started_at - TimeDelta::minutes(5);
        let is_made = |token: &&ServiceToken| token.created_at.is_none_or(|at| at >= since);
        let Some(token) = self.tokens.iter().find(is_made) else {
            return Ok(());
        };
        let name = intent.name.as_deref().unwrap_or("-");
        Err(Failure::new(
            Exit::Failed,
            format!("an earlier create of {name:?} took effect, but its secret is lost"),
        )
        .next(format!(
            "give that token a new secret: cf-service-tokens rotate {} --revoke-now \
             --secret-to ...; then run: {}",
            shown_id(token),
            record.command("discard")
        )))
    }
}

/// Returns a token's id in a form that is safe to print and to copy.
fn shown_id(token: &ServiceToken) -> &str {
    let id = token.id.as_deref();
    id.filter(|id| ServiceTokenId::new(*id).is_ok())
        .unwrap_or("ID")
}

/// Brings the secret of an interrupted run to a sink, and settles the record.
pub(crate) async fn finish(
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
    proved.deliver(secret, &run.intent).await.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("could not store the secret in {sink}"),
        )
        .because(error)
        .next(format!(
            "it is still in the journal; fix the sink, or give another one with --secret-to, and \
             run: {}",
            record.command("finish")
        ))
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
