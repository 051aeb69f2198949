//! Why a token is not rotated, what somebody must know about all the same, and what to do.

use chrono::{DateTime, Utc};

use super::{Due, Grace, Rotation, is_of_others};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::quoted;
use crate::secret::journal;
use crate::secret::reading::Reading;
use crate::secret::record::{Record, Stage};
use crate::secret::recover;
use crate::secret::sink::Sink;
use crate::time;

/// Says why nothing is done, and what a person can do.
pub(crate) fn refusal(
    connection: &Connection,
    record: &Record,
    reading: &Reading,
    rotation: &Rotation,
    due: &Due,
) -> Failure {
    let Some(run) = record.run() else {
        return Failure::new(Exit::Failed, "the journal has no earlier run");
    };
    let intent = &run.intent;
    let works_until = match due {
        Due::Arriving { until } => return recover::arriving(intent, *until),
        Due::Lost {
            old_secret_works_until,
        } => Some(*old_secret_works_until),
        _ => None,
    };
    let why = match &run.stage {
        Stage::Called => recover::changed(intent, &reading.token),
        _ => {
            let failure = recover::unfinished(record, run);
            return match works_until {
                Some(until) => {
                    let until = time::minute(until);
                    failure.because(format!("the old secret works until {until}"))
                }
                None => failure,
            };
        }
    };
    let command = command_again(connection, record, reading, rotation);
    let next = match works_until {
        Some(until) => format!(
            "if it took effect, its new secret is lost, the old one works until {}, and another \
             rotate ends it at once. To change over slowly, create a second token. When the \
             token's users are ready for a new secret, run: {command}",
            time::minute(until)
        ),
        None => format!(
            "if it took effect, its new secret is lost and the old one no longer works; `verify` \
             shows whether it does. When the token's users are ready for a new secret, run: \
             {command}"
        ),
    };
    let started_at = time::minute(intent.started_at);
    let what = format!("an earlier rotate, started at {started_at}, may have taken effect");
    why.into_iter()
        .fold(Failure::new(Exit::Failed, what), Failure::because)
        .next(next)
}

/// Returns the shell's command that gives a lost secret up, and rotates again.
fn command_again(
    connection: &Connection,
    record: &Record,
    reading: &Reading,
    rotation: &Rotation,
) -> String {
    let command = connection.command().unwrap_or("cf-service-tokens");
    let mut rotate = command.to_owned();
    rotate += &format!(" rotate {}", reading.id);
    rotate += &match rotation.grace {
        Grace::RevokeNow => " --revoke-now".to_owned(),
        Grace::For(grace) => format!(" --end-grace --grace {}", time::short(grace)),
    };
    let sink = rotation.sink.clone().absolute().to_string();
    rotate += &format!(" --secret-to {}", quoted(&sink));
    for name in &rotation.keep_env {
        rotate += &format!(" --keep-env {name}");
    }
    format!(
        "{} --yes && {rotate}{}",
        record.command("discard"),
        journal::option(record.directory())
    )
}

/// The newest secret is not the one that the journal knows.
pub(crate) fn changed_by_others(record: &Record, reading: &Reading) -> Option<Failure> {
    let version = reading.token.client_secret_version;
    let known = record
        .known()
        .filter(|known| is_of_others(known, version))?;
    let what = "something else has rotated the token since the journal last saw it";
    let why = format!(
        "its secret has version {}, and not {}",
        version.unwrap_or_default(),
        known.version.unwrap_or_default()
    );
    Some(Failure::new(Exit::Failed, what).because(why).next(
        "bring the newest secret to all users of the token before the old one expires; its age is \
         now counted from the token's last change; let only one program rotate the token",
    ))
}

/// A lost secret was replaced after its users were locked out.
pub(super) fn outage(since: DateTime<Utc>, sink: &Sink) -> Failure {
    let what = format!(
        "the secret of an earlier rotate was lost, and the one before it has not worked since {}",
        time::minute(since)
    );
    Failure::new(Exit::Failed, what).next(format!(
        "the token was rotated again: bring the secret, which {}, to all other users of the token",
        sink.whereabouts()
    ))
}

/// Adds what somebody must know about all the same.
pub(super) fn with_faults(failure: Failure, faults: Vec<Failure>) -> Failure {
    let faults = faults.iter();
    faults.fold(failure, Failure::because_of)
}
