//! The entry that an interrupted `create` or `rotate` left in the journal: every command
//! reports it, and the next `create` or `rotate` of the token settles it first.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use cf_service_tokens::{ServiceToken, ServiceTokenId};
use chrono::{DateTime, TimeDelta, Utc};

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::secret::journal::{Journal, RecordName};
use crate::secret::reading::{self, Reading};
use crate::secret::record::{Intent, Known, Operation, Record, Run, Stage};
use crate::secret::sink::{NamedBy, Sink};
use crate::time;

/// How far apart the API is asked twice whether a call had no effect.
const BETWEEN_READINGS: Duration = Duration::from_secs(10);

/// Reports the runs that were interrupted.
pub(crate) fn tell(journal: &Journal) {
    for record in journal.left_or_unreadable() {
        let words = match &record {
            Ok(record) => record.run().map(words),
            Err(error) => Some(unreadable(error).line()),
        };
        if let Some(words) = words {
            output::remark(format!("{words}; `{}` says what to do", journal.command()));
        }
    }
}

/// An entry of the journal can't be read.
pub(crate) fn unreadable(error: &io::Error) -> Failure {
    let what = "can't read the journal, which may hold a secret";
    Failure::new(Exit::Failed, what).because(error)
}

/// Describes an interrupted run.
pub(crate) fn words(run: &Run) -> String {
    let intent = &run.intent;
    let came = match &run.stage {
        Stage::Called => "it may have been sent, and its response was lost",
        Stage::Kept => "its response is in the journal, but is not the documented one",
        Stage::Answered(_) => "its new secret is in the journal, but not yet in its sink",
        Stage::Delivered(_) => "its new secret is in its sink, but not yet verified",
        Stage::Settled => "its new secret is in its sink, but its hook has not succeeded",
    };
    format!(
        "{}, started at {}, was interrupted: {came}",
        intent.named(),
        time::minute(intent.started_at)
    )
}

/// Returns what to do about an interrupted run.
pub(crate) fn advice(record: &Record, run: &Run) -> String {
    match &run.stage {
        Stage::Answered(_) => record.command("finish"),
        Stage::Delivered(_) => format!(
            "the next `keep` verifies the secret; to settle the entry without that, run: {}",
            record.command("discard")
        ),
        Stage::Settled => format!(
            "the next `keep` runs the hook; to settle the entry without that, run: {}",
            record.command("discard")
        ),
        Stage::Kept => format!(
            "look for the secret in the response: {}; then run: {}",
            record.show_answer(),
            record.command("discard")
        ),
        Stage::Called => advice_for_lost(record, &run.intent),
    }
}

/// Returns what to do if a secret may have been made and lost.
pub(crate) fn advice_for_lost(record: &Record, intent: &Intent) -> String {
    let after = intent.may_arrive_until.format("%H:%M:%S UTC");
    match intent.operation {
        Operation::Create => format!(
            "run the same command again after {after}: it checks whether the first one took effect \
             (or check with cf-service-tokens list, then run: {})",
            record.command("discard")
        ),
        Operation::Rotate => {
            let old = match intent.old_secret_works_until() {
                Some(at) => format!("works until {}", time::minute(at)),
                None => "no longer works if the first one took effect".to_owned(),
            };
            format!(
                "run the same command again after {after}: it continues if the first one had no \
                 effect; the old secret {old}"
            )
        }
    }
}

/// Forgets an earlier rotate without a response that certainly had no effect. Returns the
/// token as it is then.
///
/// While the rotate may still take effect, it waits only if somebody can see why and stop
/// it.
pub(crate) async fn settle_rotate(
    connection: &Connection,
    record: &mut Record,
    reading: Reading,
    waits: bool,
) -> Result<Reading, Failure> {
    let intent = match record.run() {
        Some(run) if matches!(run.stage, Stage::Called) => run.intent.clone(),
        _ => return Ok(reading),
    };
    let first = match intent.arrives_until(reading.at) {
        None => reading,
        Some(_) if !waits => return Ok(reading),
        Some(until) => {
            wait_until(until, &intent, reading.at).await;
            Reading::of(connection, &reading.id).await?
        }
    };
    // A run that replaces a lost secret stays, since the secret is still lost.
    if intent.outage_since.is_some() || changed(&intent, &first.token).is_some() {
        return Ok(first);
    }
    tokio::time::sleep(BETWEEN_READINGS).await;
    let second = Reading::of(connection, &first.id).await?;
    if changed(&intent, &second.token).is_some() {
        return Ok(second);
    }
    output::remark(format!(
        "an earlier rotate, started at {}, had no effect; nothing was lost",
        time::minute(intent.started_at)
    ));
    forget(record)?;
    Ok(second)
}

/// Returns why an earlier rotate without a response may have taken effect. `None` if nothing
/// has changed the token since.
pub(crate) fn changed(intent: &Intent, token: &ServiceToken) -> Option<String> {
    match (intent.updated_at, token.updated_at) {
        (Some(before), Some(now)) if before == now => None,
        (Some(_), Some(now)) => Some(format!(
            "the token has been updated since, at {}, by that rotate or by another change such as \
             an update or a refresh",
            time::minute(now)
        )),
        _ => Some("the API does not say when the token was last updated".to_owned()),
    }
}

/// Returns the intent of an interrupted run that got no answer, if there is one.
fn unanswered(record: &Record) -> Result<Option<Intent>, Failure> {
    match record.run() {
        None => Ok(None),
        Some(run) if matches!(run.stage, Stage::Called) => Ok(Some(run.intent.clone())),
        Some(run) => Err(unfinished(record, run)),
    }
}

/// An interrupted run is still to be finished.
pub(crate) fn unfinished(record: &Record, run: &Run) -> Failure {
    Failure::new(Exit::Failed, words(run)).next(advice(record, run))
}

/// The call of an interrupted run may still arrive at the API.
pub(crate) fn arriving(intent: &Intent, until: DateTime<Utc>) -> Failure {
    let until = until.format("%H:%M:%S UTC");
    Failure::new(Exit::Unreachable, may_arrive(intent)).next(format!(
        "nothing was changed; run the same command again after {until}"
    ))
}

fn may_arrive(intent: &Intent) -> String {
    let operation = match intent.operation {
        Operation::Create => "create",
        Operation::Rotate => "rotate",
    };
    format!("an earlier {operation} was interrupted, and may still take effect")
}

/// Waits until the call of an interrupted run can no longer arrive at the API.
async fn wait_until(until: DateTime<Utc>, intent: &Intent, now: DateTime<Utc>) {
    let shown = until.format("%H:%M:%S UTC");
    output::remark(format!("{}; waiting until {shown}", may_arrive(intent)));
    tokio::time::sleep((until - now).to_std().unwrap_or_default()).await;
}

/// The grace period of an earlier rotate runs, as far as the journal knows: a second rotate
/// ends the secret before the last at once, whatever was promised to its users.
pub(crate) fn in_grace(until: DateTime<Utc>) -> Failure {
    Failure::new(
        Exit::Failed,
        format!(
            "the grace period of an earlier rotate runs until {}; another rotate would end its old secret at once",
            time::minute(until)
        ),
    )
    .next(
        "nothing was changed; wait until then, or, if all users have the newest secret, rotate with \
         --end-grace; --revoke-now ends the newest one too",
    )
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
        if let Some(until) = intent.arrives_until(namesakes.at) {
            if !io::stderr().is_terminal() {
                return Err(arriving(&intent, until));
            }
            wait_until(until, &intent, namesakes.at).await;
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

/// Brings the secret of an interrupted run to a sink, and settles the record, unless `keep`
/// has more to do.
pub(crate) async fn finish(
    journal: &Journal,
    mut record: Record,
    sink: Option<Sink>,
    keep_env: Vec<String>,
) -> Result<Sink, Failure> {
    let Some(run) = record.run() else {
        return Err(Failure::new(Exit::Failed, "this entry holds no secret"));
    };
    let Stage::Answered(secret) = &run.stage else {
        return Err(
            Failure::new(Exit::Failed, "this entry holds no secret").next(advice(&record, run))
        );
    };
    let intent = run.intent.clone();
    let sink = match sink {
        Some(sink) => sink.absolute(),
        None => intent.sink.parse().map_err(Failure::usage)?,
    };
    if intent.operation == Operation::Rotate {
        sink.require_lasting()?;
    }
    let sink = sink.keep_env(keep_env)?;
    let proved = sink.prove(record.directory(), NamedBy::Option)?;
    proved.deliver(secret, &intent).await.map_err(|error| {
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
    remove_leftover(&intent);
    let known = Known::after(&intent, secret.version);
    let token_id = secret.token_id.clone();
    match (intent.operation, &intent.then_steps) {
        (Operation::Create, _) => {
            settle(&mut record, None)?;
            created(journal, token_id.as_deref(), known);
        }
        (Operation::Rotate, steps) if steps.verify.is_some() => {
            let noted = record.note_delivered();
            noted.map_err(|error| unrecorded(&record, error))?;
        }
        (Operation::Rotate, steps) if steps.hook => {
            let noted = record.note_settled();
            noted.map_err(|error| unrecorded(&record, error))?;
        }
        (Operation::Rotate, _) => settle(&mut record, Some(known))?,
    }
    Ok(sink)
}

/// Settles the record of a create whose secret is in its sink.
pub(crate) fn settle_created(
    journal: &Journal,
    record: &mut Record,
    intent: &Intent,
    created_token: &ServiceToken,
) -> Result<(), Failure> {
    settle(record, None)?;
    let known = Known::after(intent, created_token.client_secret_version);
    created(journal, created_token.id.as_deref(), known);
    Ok(())
}

/// Records the age of a new token's secret. Without that, the age is an estimate at first
/// sight.
fn created(journal: &Journal, token_id: Option<&str>, known: Known) {
    let Some(id) = token_id.and_then(|id| ServiceTokenId::new(id).ok()) else {
        return;
    };
    let learnt = journal
        .lock(&RecordName::rotate(&id))
        .and_then(|mut record| {
            let learnt = record.learn(known);
            learnt.map_err(|error| journal.unusable(&error))
        });
    if let Err(failure) = learnt {
        let (line, _) = failure.in_one_line();
        output::remark(format!(
            "the secret is safe, but the journal can't record how old it is: {line}"
        ));
    }
}

/// Gives up an interrupted run, and its secret. If it is unknown whether a rotate took
/// effect, the longest grace that may run stays recorded.
pub(crate) fn discard(mut record: Record) -> Result<(), Failure> {
    let Some(run) = record.run() else {
        return Ok(());
    };
    remove_leftover(&run.intent);
    let until = run.intent.old_secret_valid_until;
    let grace = match run.stage {
        Stage::Called => record.grace().max(until),
        Stage::Kept | Stage::Answered(_) => until,
        // The sink has the secret.
        Stage::Delivered(_) | Stage::Settled => {
            let known = Known::after(&run.intent, None);
            return settle(&mut record, Some(known));
        }
    };
    if run.intent.operation == Operation::Create {
        return settle(&mut record, None);
    }
    // The users still have the secret from before, which is as old as it was.
    let known = Known {
        version: None,
        old_secret_valid_until: grace,
        ..record.known().cloned().unwrap_or(Known::NOTHING)
    };
    settle(
        &mut record,
        Some(known).filter(|known| *known != Known::NOTHING),
    )
}

/// Removes a temporary file that the run may have left beside its sink.
pub(crate) fn remove_leftover(intent: &Intent) {
    let sink = &intent.sink;
    let removed = sink.parse::<Sink>().map(|sink| sink.remove_leftover());
    if let Ok(Err(error)) = removed {
        output::remark(format!(
            "can't remove the temporary file beside {sink}, which may hold the secret: {error}"
        ));
    }
}

fn forget(record: &mut Record) -> Result<(), Failure> {
    let forgotten = record.forget();
    forgotten.map_err(|error| unrecorded(record, error))
}

fn settle(record: &mut Record, known: Option<Known>) -> Result<(), Failure> {
    let settled = record.settle(known);
    settled.map_err(|error| unrecorded(record, error))
}

fn unrecorded(record: &Record, error: io::Error) -> Failure {
    let path = record.path.display();
    Failure::new(Exit::Failed, format!("can't change the entry {path}")).because(error)
}
