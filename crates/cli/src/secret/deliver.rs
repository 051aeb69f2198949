//! `create` and `rotate`: make a new secret and store it safely.
//!
//! 1. Lock the token, if there is one.
//! 2. Test the sink.
//! 3. Record the intent in the journal.
//! 4. Call the API.
//! 5. Record the secret in the journal, unless there certainly is none.
//! 6. Deliver the secret to the sink.
//! 7. Remove the entry from the journal, and record when the old secret expires.
//! 8. Read a new token once, for its expiry.
//!
//! A run that is killed in between leaves the secret in the sink or in the journal, or
//! an entry that names the token.

use std::time::Duration;

use cf_service_tokens::{
    CreateServiceToken, Error, IssuedServiceToken, Response, RotateServiceToken, ServiceToken,
    ServiceTokenId,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::arguments::{Create, Rotate};
use crate::connect::Connection;
use crate::exit::Exit;
use crate::explain::{self, Failure};
use crate::output::{Cell, Output};
use crate::records::expiry_cell;
use crate::secret::journal::{Entry, Intent, Journal, Operation, TokenLock};
use crate::secret::recover;
use crate::secret::sink::{IssuedSecret, ProvedSink, Sink};
use crate::when;

/// How long to wait for the expiry of a new token, whose secret is safe already.
const READ_DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn create(
    connection: &Connection,
    journal: &Journal,
    output: Output,
    arguments: Create,
) -> Result<Exit, Failure> {
    let (sink, proved) = proved(connection, arguments.delivery.secret_to)?;
    recover::settle_create(connection, journal, &arguments.name).await?;

    let mut request = CreateServiceToken::new(&arguments.name);
    if let Some(duration) = arguments.duration {
        request = request.duration(duration);
    }
    let now = Utc::now();
    let entry = journal.begin(Intent {
        entry: format!("create-{}-{}", now.timestamp_millis(), std::process::id()),
        operation: Operation::Create,
        account_id: connection.account_id().to_owned(),
        token_id: None,
        name: Some(arguments.name),
        client_id: None,
        updated_at: None,
        old_secret_valid_until: None,
        started_at: now,
        sink: sink.to_string(),
    })?;
    let answer = connection.tokens.create(&request).await;
    let created = bring_home(entry, None, answer, proved)?;
    let output = output.beside_secret(sink == Sink::Stdout);
    if !shows_result(&output) {
        return Ok(Exit::Success);
    }
    let token = with_expiry(connection, created).await;
    show(&output, &sink, &token, None)
}

pub(crate) async fn rotate(
    connection: &Connection,
    journal: &Journal,
    output: Output,
    arguments: Rotate,
) -> Result<Exit, Failure> {
    let id: ServiceTokenId = arguments.id.parse()?;
    // Before the token is read, so that no other run changes it afterwards.
    let mut lock = journal.lock_token(&id)?;
    let (sink, proved) = proved(connection, arguments.delivery.secret_to)?;
    // This shows that the id is right, and has the expiry, which a rotate does not change
    // and does not answer.
    let token = connection.tokens.get(&arguments.id).await?;
    let entry_name = format!("rotate-{}", arguments.id);
    recover::settle_rotate(journal, &entry_name, &token)?;
    if !(arguments.end_grace || arguments.revoke_now) {
        recover::require_no_grace(journal, &mut lock)?;
    }

    let now = Utc::now();
    let (request, valid_until) = match arguments.revoke_now {
        true => (RotateServiceToken::revoke_now(), None),
        false => {
            let grace = TimeDelta::from_std(arguments.grace).ok();
            let valid_until = grace.and_then(|grace| now.checked_add_signed(grace));
            let valid_until = valid_until.ok_or_else(|| Failure::usage("--grace is too long"))?;
            let request = RotateServiceToken::grace_until(valid_until);
            (request, Some(valid_until))
        }
    };
    let entry = journal.begin(Intent {
        entry: entry_name,
        operation: Operation::Rotate,
        account_id: connection.account_id().to_owned(),
        token_id: Some(arguments.id.clone()),
        name: token.name.clone(),
        client_id: token.client_id.clone(),
        updated_at: token.updated_at,
        old_secret_valid_until: valid_until,
        started_at: now,
        sink: sink.to_string(),
    })?;
    let answer = connection.tokens.rotate(&arguments.id, &request).await;
    bring_home(entry, Some(&mut lock), answer, proved)?;
    let output = output.beside_secret(sink == Sink::Stdout);
    show(&output, &sink, &token, Some(valid_until))
}

/// The sink by its whole path, proved, and harmless where the secret is made up.
fn proved(connection: &Connection, sink: Sink) -> Result<(Sink, ProvedSink), Failure> {
    let sink = sink.absolute();
    if connection.simulator.is_some() {
        sink.require_harmless()?;
    }
    let proved = sink.prove()?;
    Ok((sink, proved))
}

/// Brings the secret of the answer into the journal, then to the sink, and then
/// clears the journal, but for the grace that now runs.
fn bring_home(
    mut entry: Entry,
    lock: Option<&mut TokenLock>,
    answer: Result<Response<IssuedServiceToken>, Error>,
    sink: ProvedSink,
) -> Result<ServiceToken, Failure> {
    let answer = match answer {
        Ok(answer) => answer.into_inner(),
        Err(error) => return Err(failed(entry, &error)),
    };
    let (token, credentials) = answer.into_parts();
    let secret = IssuedSecret {
        client_id: credentials.client_id().map(str::to_owned),
        client_secret: credentials.client_secret().clone(),
    };
    let noted = entry.note_secret(&secret);
    // The journal is a net. Without it the sink is all there is.
    let delivered = deliver(&entry, sink, secret);
    match (noted, delivered) {
        (Ok(()), Err(error)) => Err(Failure::new(
            Exit::Failed,
            format!("could not store the new secret in {}", entry.intent.sink),
        )
        .because(error)
        .next(format!(
            "the secret is safe in the journal; fix the sink, then run: cf-service-tokens journal finish {}",
            entry.intent.entry
        ))),
        (Err(noted), Err(error)) => Err(Failure::new(
            Exit::Failed,
            "the new secret is lost: neither the journal nor its sink could store it",
        )
        .because(noted)
        .because(error)
        .next(recover::advice_for_lost(&entry.intent))),
        (_, Ok(())) => {
            let noted = match lock {
                Some(lock) => lock.note_grace(entry.intent.old_secret_valid_until),
                None => Ok(()),
            };
            noted.and_then(|()| entry.clear()).map_err(|error| {
                Failure::new(Exit::Failed, "the sink has the secret, but the entry can't be removed from the journal")
                    .because(error)
                    .next("remove the entry with `cf-service-tokens journal discard`")
            })?;
            Ok(token)
        }
    }
}

/// Delivers the secret, with the client id that is known if the answer had none.
pub(crate) fn deliver(
    entry: &Entry,
    sink: ProvedSink,
    mut secret: IssuedSecret,
) -> std::io::Result<()> {
    let known = entry.intent.client_id.clone();
    secret.client_id = secret.client_id.or(known);
    sink.deliver(&secret)
}

/// Settles the entry of a failed call: removes it if the call certainly had no effect.
fn failed(mut entry: Entry, error: &Error) -> Failure {
    let failure = Failure::from(error);
    if !error.may_have_been_applied() {
        return match entry.clear() {
            Ok(()) => failure,
            Err(kept) => failure.because(format!("can't remove the journal entry: {kept}")),
        };
    }
    let is_success = error.status().is_some_and(|status| status.is_success());
    if let Some(body) = error.body().filter(|body| is_success && !body.is_empty()) {
        let path = entry.path.display().to_string();
        return match entry.note_body(body) {
            Ok(()) => failure.next(format!(
                "the response is in {path}, readable only by its owner; it may hold a new secret"
            )),
            Err(lost) => failure.because(format!("can't save the response: {lost}")),
        };
    }
    let next = recover::advice_for_lost(&entry.intent);
    failure.next(next)
}

/// Reads a new token, unless its expiry is known: the API documents none in the answer
/// to create. The secret is safe, so a failure to read is a note.
async fn with_expiry(connection: &Connection, created: ServiceToken) -> ServiceToken {
    if created.never_expires() || created.expires_at.is_some() {
        return created;
    }
    // Without an id, which the API does not promise either, the call fails unsent.
    let id = created.id.as_deref().unwrap_or_default();
    let hurried = connection.tokens.with(|call| call.deadline(READ_DEADLINE));
    match hurried.get(id).await {
        Ok(token) => token.into_inner(),
        Err(error) => {
            explain::remark(format!(
                "the secret is safe, but the new token can't be read, so its expiry is unknown: {error}"
            ));
            created
        }
    }
}

/// A secret that was made and has arrived.
#[derive(Debug, Serialize)]
struct IssuedRecord {
    id: Option<String>,
    name: Option<String>,
    client_id: Option<String>,
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Expiry>,
    secret_to: String,
    old_secret_valid_until: Option<DateTime<Utc>>,
}

/// When a token expires. In JSON, `null` if it never does; an unknown expiry is absent.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
enum Expiry {
    At(DateTime<Utc>),
    Never,
}

impl Expiry {
    fn of(token: &ServiceToken) -> Option<Self> {
        match token.never_expires() {
            true => Some(Self::Never),
            false => token.expires_at.map(Self::At),
        }
    }
}

/// Whether the result is written at all.
fn shows_result(output: &Output) -> bool {
    !(output.quiet && output.is_table())
}

fn show(
    output: &Output,
    sink: &Sink,
    token: &ServiceToken,
    rotated: Option<Option<DateTime<Utc>>>,
) -> Result<Exit, Failure> {
    let now = Utc::now();
    let record = IssuedRecord {
        id: token.id.clone(),
        name: token.name.clone(),
        client_id: token.client_id.clone(),
        duration: token.duration.as_ref().map(ToString::to_string),
        expires_at: Expiry::of(token),
        secret_to: sink.to_string(),
        old_secret_valid_until: rotated.flatten(),
    };
    let mut fields = vec![
        ("Name", Cell::maybe(record.name.clone())),
        ("Id", Cell::maybe(record.id.clone())),
        ("Client id", Cell::maybe(record.client_id.clone())),
        ("Secret", Cell::good(whereabouts(sink))),
        (
            "Expires",
            match record.expires_at {
                Some(_) => expiry_cell(token.expires_at, token.never_expires(), now),
                None => Cell::warning("unknown"),
            },
        ),
    ];
    if let Some(valid_until) = rotated {
        fields.push((
            "Old secret",
            match valid_until {
                Some(at) => {
                    Cell::warning(format!("works until {}", when::date_and_distance(at, now)))
                }
                None => Cell::bad("no longer works"),
            },
        ));
    }
    if shows_result(output) {
        output.record(&record, &fields)?;
    }
    Ok(Exit::Success)
}

/// Describes where the secret is.
pub(crate) fn whereabouts(sink: &Sink) -> String {
    match sink {
        Sink::File(path) | Sink::EnvFile(path) => format!("is in {}", path.display()),
        // Only the command knows whether it stored the secret, or even read it.
        Sink::Command(command) => format!("was piped to {command:?} (exit 0)"),
        Sink::Stdout => "is on standard output".to_owned(),
    }
}
