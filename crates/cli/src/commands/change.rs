//! `update`, and the commands that change several tokens: `refresh`, `enable`,
//! `disable`, `delete`.

use cf_service_tokens::renewal::RenewalError;
use cf_service_tokens::{
    Error, Response, ServiceToken, ServiceTokenId, ServiceTokens, UpdateServiceToken,
};
use chrono::{DateTime, TimeDelta, Utc};

use crate::arguments::{Delete, Format, Update};
use crate::commands::confirm;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::records::{ChangeRecord, TokenRecord};
use crate::secret::journal::{Journal, RecordName};
use crate::secret::reading::{self, Reading};
use crate::time::When;

/// A refreshed token expires in a year, give or take the difference of two clocks.
const NEARLY_A_YEAR: TimeDelta = TimeDelta::days(364);

pub(crate) async fn refresh(
    connection: &Connection,
    output: &Output,
    ids: &[String],
) -> Result<Exit, Failure> {
    each(connection, output, ids, "refreshed", async |id| {
        refreshed(&connection.tokens, id).await
    })
    .await
}

/// Refreshes a token, and checks that it expires in a year.
async fn refreshed(tokens: &ServiceTokens, id: &str) -> Result<ServiceToken, RenewalError> {
    let is_refreshed = |token: &ServiceToken| {
        let in_a_year = tokens.now() + NEARLY_A_YEAR;
        token.never_expires() || token.expires_at.is_some_and(|at| at >= in_a_year)
    };
    let answer = of_asked(id, tokens.refresh(id).await)?;
    if answer.id.is_some() && is_refreshed(&answer) {
        return Ok(answer);
    }
    // The token itself may show what the response does not.
    let token = of_asked(id, tokens.get(id).await)?;
    match is_refreshed(&token) {
        true => Ok(token),
        false => Err(RenewalError::NotExtended {
            expires_at: token.expires_at,
        }),
    }
}

/// Returns the token of an answer, unless the answer is about another token than the one
/// that was asked for.
fn of_asked(
    asked: &str,
    answer: Result<Response<ServiceToken>, Error>,
) -> Result<ServiceToken, RenewalError> {
    let token = answer.map_err(RenewalError::Call)?.into_inner();
    match &token.id {
        Some(id) if !reading::is_same(asked, id) => Err(RenewalError::OtherToken { id: token.id }),
        _ => Ok(token),
    }
}

pub(crate) async fn enable(
    connection: &Connection,
    output: &Output,
    ids: &[String],
    enabled: bool,
) -> Result<Exit, Failure> {
    let request = UpdateServiceToken::new().enabled(enabled);
    let outcome = if enabled { "enabled" } else { "disabled" };
    each(connection, output, ids, outcome, async |id| {
        of_asked(id, connection.tokens.update(id, &request).await)
    })
    .await
}

pub(crate) async fn delete(
    connection: &Connection,
    output: &Output,
    arguments: &Delete,
) -> Result<Exit, Failure> {
    let ids = &arguments.tokens.ids;
    let question = format!(
        "Deleted tokens can't be restored. Delete {}?",
        ids.join(", ")
    );
    confirm::ask(&question, arguments.yes)?;
    each(connection, output, ids, "deleted", async |id| {
        of_asked(id, connection.tokens.delete(id).await)
    })
    .await
}

pub(crate) async fn update(
    connection: &Connection,
    journal: Result<Journal, Failure>,
    output: &Output,
    arguments: Update,
) -> Result<Exit, Failure> {
    let mut request = UpdateServiceToken::new();
    if let Some(name) = arguments.name {
        request = request.name(name);
    }
    if let Some(duration) = arguments.duration {
        request = request.duration(duration);
    }
    let mut moved = None;
    if let Some(until) = arguments.old_secret_until {
        let journal = journal?;
        let reading = Reading::of(connection, &arguments.id.parse()?).await?;
        let until = point(until, reading.at)?;
        request = request.previous_client_secret_expires_at(until);
        // Keeps out a concurrent rotate, which sets a grace period of its own.
        let mut record = journal.lock(&RecordName::rotate(&reading.id))?;
        let known = record.grace();
        // If the response is lost, either end may be the real one.
        record
            .set_grace(known.max(Some(until)))
            .map_err(|error| journal.unusable(&error))?;
        moved = Some((
            record,
            known,
            Some(until).filter(|until| *until > reading.at),
        ));
    }
    let answer = connection.tokens.update(&arguments.id, &request).await;
    let answer = of_asked(&arguments.id, answer);
    if let Some((mut record, known, until)) = moved {
        let noted = match &answer {
            Ok(_) => record.set_grace(until),
            Err(RenewalError::Call(error)) if !error.may_have_been_applied() => {
                record.set_grace(known)
            }
            Err(_) => Ok(()),
        };
        if let Err(error) = noted {
            output::remark(format!(
                "can't record in the journal when the old secret expires: {error}; the next rotate may \
                 be refused for too long, or not be refused: make sure that none runs too early"
            ));
        }
    }
    let token = answer.map_err(|error| Failure::from(&error))?;
    let now = connection.tokens.now();
    let record = TokenRecord::new(&token, now);
    output.record(&record, &record.fields(now))?;
    Ok(Exit::Success)
}

fn point(when: When, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    match when {
        When::At(at) => Ok(at),
        When::In(span) => TimeDelta::from_std(span)
            .ok()
            .and_then(|span| now.checked_add_signed(span))
            .ok_or_else(|| Failure::usage("--old-secret-until is too far in the future")),
    }
}

/// Changes one token after the other, and shows the outcome of each. A failure stops no
/// other token, unless the API does not accept the credentials: then the remaining
/// tokens are shown as not tried. Nor does output that can't be written.
async fn each(
    connection: &Connection,
    output: &Output,
    ids: &[String],
    outcome: &'static str,
    change: impl AsyncFn(&str) -> Result<ServiceToken, RenewalError>,
) -> Result<Exit, Failure> {
    let mut shown = Ok(());
    let mut records = Vec::new();
    let mut failures = Vec::new();
    let mut exits = Vec::new();
    let mut is_over = false;
    for id in ids {
        let record = if is_over {
            exits.push(Exit::Credentials);
            ChangeRecord::not_tried(id)
        } else {
            match change(id).await {
                Ok(token) => {
                    exits.push(Exit::Success);
                    ChangeRecord::changed(outcome, &token, connection.tokens.now())
                }
                Err(error) => {
                    let mut failure = connection.explain(Failure::from(&error));
                    if ids.len() > 1 && ServiceTokenId::new(id).is_ok() {
                        failure = failure.about(id);
                    }
                    exits.push(failure.exit);
                    failures.push(failure);
                    is_over =
                        matches!(&error, RenewalError::Call(error) if error.is_unauthenticated());
                    ChangeRecord::failed(id, &error)
                }
            }
        };
        match output.format {
            Format::Jsonl => shown = shown.and(output.json_line(&record)),
            _ => records.push(record),
        }
    }
    if output.format != Format::Jsonl {
        shown = output.outcomes(&records, connection.tokens.now());
    }
    for failure in &failures {
        failure.show();
    }
    Exit::of_all(exits).unless_unwritten(shown)
}
