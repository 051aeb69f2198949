//! What follows once the sink has the secret: its verification, and the hook.

use std::io;

use cf_service_tokens::ServiceTokenCredentials;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Rotation;
use crate::commands::verify;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::secret::deliver::HeldSignals;
use crate::secret::reading::Reading;
use crate::secret::record::{Known, Record, Run, Stage};
use crate::secret::sink::Sink;
use crate::time;

/// Does what is left once the sink has the secret, and settles the record.
pub(super) async fn complete(
    record: &mut Record,
    rotation: &Rotation,
    known: Known,
    about: &About<'_>,
    signals: &mut HeldSignals,
) -> Result<(), Failure> {
    let is_answered = |record: &Record| matches!(record.run(), Some(run) if matches!(run.stage, Stage::Answered(_)));
    if is_answered(record) && rotation.verify.is_some() {
        let noted = record.note_delivered();
        noted.map_err(|error| unrecorded(record, error))?;
    }
    if let (
        Some(url),
        Some(Run {
            stage: Stage::Delivered(secret),
            ..
        }),
    ) = (&rotation.verify, record.run())
    {
        let client_id = secret.client_id.as_deref().ok_or_else(|| {
            Failure::new(
                Exit::Failed,
                "the client id is unknown, so the secret can't be tried",
            )
        });
        let credentials = client_id
            .map(|client_id| ServiceTokenCredentials::new(client_id, secret.client_secret.clone()));
        let verified = match credentials {
            Ok(credentials) => {
                let trial = verify::try_secret(url, credentials);
                signals.until_first(trial).await.unwrap_or_else(|| {
                    let what = "interrupted before the app accepted the new secret";
                    Err(Failure::new(Exit::Failed, what))
                })
            }
            Err(failure) => Err(failure),
        };
        verified.map_err(|failure| unverified(record, &failure, about))?;
    }
    if let Some(hook) = &rotation.then {
        if !matches!(record.run(), Some(run) if matches!(run.stage, Stage::Settled)) {
            let noted = record.note_settled();
            noted.map_err(|error| unrecorded(record, error))?;
        }
        if signals.is_asked_to_end {
            let what = "interrupted before the hook ran";
            let failure = Failure::new(Exit::Failed, what);
            return Err(hook_left(&failure, record, about));
        }
        let ran = hook.run(about).await.map_err(Failure::from);
        ran.map_err(|failure| hook_left(&failure, record, about))?;
    }
    let settled = record.settle(Some(known));
    settled.map_err(|error| unrecorded(record, error))
}

fn unrecorded(record: &Record, error: io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        "the sink has the secret, but the entry can't be changed in the journal",
    )
    .because(error)
    .next(format!("remove the entry: {}", record.command("discard")))
}

/// The new secret is in its sink, and the next `keep` verifies it again.
fn unverified(record: &Record, failure: &Failure, about: &About<'_>) -> Failure {
    let sink = &about.secret_to;
    let what = format!("the new secret is in {sink}, but could not be verified");
    let unverified = Failure::new(failure.exit, what).because_of(failure);
    unverified.next(format!(
        "{}; fix the cause: the next `keep` verifies the secret again; to settle the entry without \
         that, run: {}",
        about.old_secret(),
        record.command("discard")
    ))
}

/// The new secret is in its sink and verified, and the next `keep` runs the hook.
fn hook_left(failure: &Failure, record: &Record, about: &About<'_>) -> Failure {
    let sink = &about.secret_to;
    let what = format!("the new secret is in {sink}, but the hook did not succeed");
    let (_, _, next) = failure.parts();
    let advice = next.map_or_else(String::new, |next| format!("{next}; "));
    let left = Failure::new(failure.exit, what).because_of(failure);
    left.next(format!(
        "{advice}{}; the next `keep` runs the hook again; to settle the entry without that, run: {}",
        about.old_secret(),
        record.command("discard")
    ))
}

/// What a hook gets to know, without any secret.
#[derive(Serialize)]
pub(super) struct About<'a> {
    event: &'static str,
    account: AboutAccount<'a>,
    token: AboutToken<'a>,
    secret_to: String,
    old_secret_valid_until: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct AboutAccount<'a> {
    id: &'a str,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct AboutToken<'a> {
    id: &'a str,
    name: Option<&'a str>,
    client_id: Option<&'a str>,
}

impl<'a> About<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        reading: &'a Reading,
        sink: &Sink,
        works_until: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            event: "rotated",
            account: AboutAccount {
                id: connection.account_id(),
                name: connection.account_name(),
            },
            token: AboutToken {
                id: reading.id.as_str(),
                name: reading.token.name.as_deref(),
                client_id: reading.token.client_id.as_deref(),
            },
            secret_to: sink.to_string(),
            old_secret_valid_until: works_until,
        }
    }

    fn old_secret(&self) -> String {
        match self.old_secret_valid_until {
            Some(until) => format!("the old secret works until {}", time::minute(until)),
            None => "the old secret no longer works".to_owned(),
        }
    }
}
