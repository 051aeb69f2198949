//! The one way to rotate, for `rotate` and `keep`: what there is to do for a token, and how
//! it is done.

mod complete;
#[cfg(test)]
mod tests;
mod words;

use std::time::Duration;

use cf_service_tokens::{RotateServiceToken, ServiceToken, ServiceTokenId};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;

use self::complete::{About, complete};
pub(crate) use self::words::{changed_by_others, refusal};
use self::words::{outage, with_faults};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::hook::Hook;
use crate::output;
use crate::secret::deliver::{Delivery, HeldSignals, is_given};
use crate::secret::journal::{Journal, RecordName};
use crate::secret::reading::Reading;
use crate::secret::record::{Intent, Known, Operation, Record, Run, Stage, Steps};
use crate::secret::recover;
use crate::secret::sink::{NamedBy, Sink};

/// How long to wait for the token after its rotate, when the secret is safe already.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// How a token is rotated.
#[derive(Debug)]
pub(crate) struct Rotation {
    /// How old a secret may become. Without it, a person wants a rotate now, and finishes
    /// earlier runs by hand.
    pub(crate) every: Option<Duration>,
    pub(crate) grace: Grace,
    /// Whether to rotate during the grace period of an earlier rotate.
    pub(crate) end_grace: bool,
    pub(crate) sink: Sink,
    pub(crate) named_by: NamedBy,
    pub(crate) keep_env: Vec<String>,
    /// The app that must accept the new secret before the hook runs.
    pub(crate) verify: Option<Url>,
    pub(crate) then: Option<Hook>,
}

/// How long the old secret works after a rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grace {
    For(Duration),
    RevokeNow,
}

/// What there is to do for a token, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The secret is young enough.
    Young {
        secret_since: DateTime<Utc>,
        /// Whether the secret may be older.
        is_estimate: bool,
        due_at: DateTime<Utc>,
    },
    /// The secret is old enough, or a person wants a rotate.
    Rotate {
        secret_since: DateTime<Utc>,
        is_estimate: bool,
        /// Since when the secret is due. A rotate by hand has none.
        due_at: Option<DateTime<Utc>>,
    },
    /// The secret is old enough, but the grace period of an earlier rotate runs.
    InGrace { until: DateTime<Utc> },
    /// An earlier run has more to do.
    Finish { left: Left },
    /// The call of an earlier run may still take effect.
    Arriving { until: DateTime<Utc> },
    /// An earlier rotate may have taken effect, and its secret is lost. The old secret works
    /// for now.
    Lost {
        old_secret_works_until: DateTime<Utc>,
    },
    /// An earlier rotate may have taken effect, its secret is lost, and the old secret works
    /// no longer.
    Outage { since: DateTime<Utc> },
}

/// What an earlier run has left to do first. The rest follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Delivery,
    Verification,
    Hook,
}

/// A token whose record is locked, as the API shows it since.
pub(crate) struct LockedToken {
    pub(crate) record: Record,
    pub(crate) reading: Reading,
}

/// What was done for a token.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` if nothing was due.
    pub(crate) rotated: Option<Rotated>,
    /// What somebody must know about all the same.
    pub(crate) faults: Vec<Failure>,
}

/// A token whose new secret is in its sink, verified, and announced by the hook.
#[derive(Debug)]
pub(crate) struct Rotated {
    /// The token, as it was read before.
    pub(crate) token: ServiceToken,
    pub(crate) sink: Sink,
    /// `None` if the old secret no longer works.
    pub(crate) old_secret_works_until: Option<DateTime<Utc>>,
    /// When the token was read, by the API's clock.
    pub(crate) at: DateTime<Utc>,
    /// Since when the token has its newest secret.
    pub(crate) secret_since: Option<DateTime<Utc>>,
}

impl Rotation {
    /// Tests the sink.
    pub(crate) fn prepare(
        &self,
        connection: &Connection,
        journal: &Journal,
    ) -> Result<Delivery, Failure> {
        self.sink.require_lasting()?;
        Delivery::prepare(
            connection,
            journal,
            self.sink.clone(),
            self.keep_env.clone(),
            self.named_by,
        )
    }

    /// Whether a running grace period keeps nothing from being done.
    fn ends_grace(&self) -> bool {
        self.end_grace || self.grace == Grace::RevokeNow
    }

    fn steps(&self) -> Steps {
        Steps {
            verify: self.verify.as_ref().map(ToString::to_string),
            hook: self.then.is_some(),
        }
    }
}

impl LockedToken {
    /// Locks the record of a token, reads the token, and forgets an earlier rotate that
    /// certainly had no effect. The id must be written as the API does.
    ///
    /// While an earlier rotate may still take effect, this waits only if somebody can see why
    /// and stop it.
    pub(crate) async fn lock(
        connection: &Connection,
        journal: &Journal,
        id: &ServiceTokenId,
        waits: bool,
    ) -> Result<Self, Failure> {
        let mut record = journal.lock(&RecordName::rotate(id))?;
        let reading = Reading::of(connection, id).await?;
        let reading = recover::settle_rotate(connection, &mut record, reading, waits).await?;
        Ok(Self { record, reading })
    }

    /// Returns what there is to do for the token.
    pub(crate) fn due(&self, rotation: &Rotation) -> Due {
        decide(Some(&self.record), &self.reading, rotation)
    }
}

/// Records how old the secret of a listed token is at least, if nothing is recorded yet. The
/// id must be written as the API does.
pub(crate) fn note_first_sight(
    journal: &Journal,
    id: &ServiceTokenId,
    listed: &ServiceToken,
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    let is_seen = |record: &Record| record.run().is_some() || record.is_dated();
    if journal.read(id)?.as_ref().is_some_and(is_seen) {
        return Ok(());
    }
    let mut record = journal.lock(&RecordName::rotate(id))?;
    if is_seen(&record) {
        return Ok(());
    }
    let learnt = record.learn(seen(record.known(), listed, now));
    learnt.map_err(|error| journal.unusable(&error))
}

/// Returns what there is to do for a token, whose record may not exist yet.
pub(crate) fn decide(record: Option<&Record>, reading: &Reading, rotation: &Rotation) -> Due {
    due(
        record.and_then(Record::known),
        record.and_then(Record::run),
        reading,
        rotation.every,
        rotation.ends_grace(),
    )
}

fn due(
    known: Option<&Known>,
    run: Option<&Run>,
    reading: &Reading,
    every: Option<Duration>,
    ends_grace: bool,
) -> Due {
    if let Some(unfinished) = run.and_then(|run| unfinished(run, reading)) {
        return unfinished;
    }
    let now = reading.at;
    let known = seen(known, &reading.token, reading.at);
    let secret_since = known.secret_since.unwrap_or(now);
    let is_estimate = known.is_estimate;
    let every = every.map(|every| TimeDelta::from_std(every).unwrap_or(TimeDelta::MAX));
    let due_at = every.map(|every| {
        let due_at = secret_since.checked_add_signed(every);
        due_at.unwrap_or(DateTime::<Utc>::MAX_UTC)
    });
    if let Some(due_at) = due_at.filter(|due_at| *due_at > now) {
        return Due::Young {
            secret_since,
            is_estimate,
            due_at,
        };
    }
    match known.old_secret_valid_until {
        Some(until) if until > now && !ends_grace => Due::InGrace { until },
        _ => Due::Rotate {
            secret_since,
            is_estimate,
            due_at,
        },
    }
}

/// Returns what an unfinished run demands. `None` if it certainly had no effect.
fn unfinished(run: &Run, reading: &Reading) -> Option<Due> {
    let intent = &run.intent;
    let left = match &run.stage {
        Stage::Called => {
            if let Some(until) = intent.arrives_until(reading.at) {
                return Some(Due::Arriving { until });
            }
            let is_unchanged = recover::changed(intent, &reading.token).is_none();
            return match is_unchanged && intent.outage_since.is_none() {
                true => None,
                false => Some(lost(intent, reading.at)),
            };
        }
        Stage::Kept => return Some(lost(intent, reading.at)),
        Stage::Answered(_) => Left::Delivery,
        Stage::Delivered(_) => Left::Verification,
        Stage::Settled => Left::Hook,
    };
    Some(Due::Finish { left })
}

fn lost(intent: &Intent, now: DateTime<Utc>) -> Due {
    let ended_at = match (intent.outage_since, intent.old_secret_valid_until) {
        (Some(since), _) => since,
        // The token's expiry ends the old secret too, but a renewal moves it.
        (None, Some(until)) if until > now => {
            return Due::Lost {
                old_secret_works_until: until,
            };
        }
        (None, Some(until)) => until.max(intent.started_at),
        (None, None) => intent.started_at,
    };
    Due::Outage { since: ended_at }
}

/// Returns what is known of a token's secrets once the token was read. Without a record, or
/// after somebody else's rotate, the secret is at least as old as the token's last change.
fn seen(known: Option<&Known>, token: &ServiceToken, now: DateTime<Utc>) -> Known {
    let version = token.client_secret_version;
    let known = known.unwrap_or(&Known::NOTHING);
    if known.secret_since.is_some() && !is_of_others(known, version) {
        return Known {
            version: version.or(known.version),
            ..known.clone()
        };
    }
    let updated_at = token.updated_at.unwrap_or(now);
    Known {
        secret_since: Some(updated_at.min(now)),
        is_estimate: true,
        version,
        old_secret_valid_until: known.old_secret_valid_until,
    }
}

/// Whether the newest secret is not the one that the journal knows.
fn is_of_others(known: &Known, version: Option<i64>) -> bool {
    matches!((known.version, version), (Some(known), Some(shown)) if known != shown)
}

/// Does what is due for a token: delivers its secret, verifies it and runs the hook, and
/// records each stage before the next one. `delivery` is the sink, if it was tested already.
///
/// # Errors
///
/// If anything is left for another run, or for a person.
pub(crate) async fn carry_out(
    connection: &Connection,
    journal: &Journal,
    token: LockedToken,
    due: Due,
    rotation: &Rotation,
    delivery: Option<Delivery>,
) -> Result<Outcome, Failure> {
    let LockedToken {
        mut record,
        reading,
    } = token;
    let mut faults = Vec::new();
    if rotation.every.is_some() && record.run().is_none() {
        faults.extend(changed_by_others(&record, &reading));
        if matches!(due, Due::Young { .. } | Due::InGrace { .. }) {
            let seen = seen(record.known(), &reading.token, reading.at);
            let learnt = record.learn(seen);
            learnt.map_err(|error| journal.unusable(&error))?;
        }
    }
    let is_by_hand = rotation.every.is_none();
    let delivery = || match delivery {
        Some(delivery) => Ok(delivery),
        None => rotation.prepare(connection, journal),
    };
    let (mut signals, known, sink) = match due {
        Due::Young { .. } => {
            return Ok(Outcome {
                rotated: None,
                faults,
            });
        }
        Due::InGrace { until } => return Err(with_faults(recover::in_grace(until), faults)),
        Due::Arriving { .. } | Due::Lost { .. } => {
            return Err(refusal(connection, &record, &reading, rotation, &due));
        }
        Due::Finish { .. } | Due::Outage { .. } if is_by_hand => {
            return Err(refusal(connection, &record, &reading, rotation, &due));
        }
        Due::Finish { left } => {
            let mut signals = HeldSignals::hold()?;
            let mut sink = rotation.sink.clone().absolute();
            let is_elsewhere = record
                .run()
                .is_some_and(|run| run.intent.sink != sink.to_string());
            // The secret is still at hand if the rule has got another sink since.
            if left == Left::Delivery || (left == Left::Verification && is_elsewhere) {
                let delivery = delivery()?;
                sink = delivery.sink.clone();
                delivery.redeliver(&record, &mut signals).await?;
            }
            let known = finished(&record, Some(&reading), None, &mut faults);
            (signals, known, sink)
        }
        Due::Rotate { .. } | Due::Outage { .. } => {
            let delivery = delivery()?;
            let sink = delivery.sink.clone();
            let outage_since = match due {
                Due::Outage { since } => Some(since),
                _ => None,
            };
            let (request, intent) = request(connection, &reading, rotation, &sink, outage_since)?;
            let mut signals = HeldSignals::hold()?;
            let call = connection.tokens.rotate(&reading.id, &request);
            let answer = delivery
                .issue(&mut record, &mut signals, intent, call)
                .await
                .map_err(|failure| with_faults(failure, std::mem::take(&mut faults)))?;
            let after = signals.until_first(read_back(connection, &reading.id));
            let after = after.await.flatten();
            let known = finished(&record, after.as_ref(), answer.updated_at, &mut faults);
            (signals, known, sink)
        }
    };
    let intent = record.run().map(|run| &run.intent);
    // Also that of an earlier run, which may have failed before it said so.
    let outage_since = intent.and_then(|intent| intent.outage_since);
    faults.extend(outage_since.map(|since| outage(since, &sink)));
    let works_until = intent.and_then(Intent::old_secret_works_until);
    let about = About::new(connection, &reading, &sink, works_until);
    let secret_since = known.secret_since;
    complete(&mut record, rotation, known, &about, &mut signals)
        .await
        .map_err(|failure| with_faults(failure, std::mem::take(&mut faults)))?;
    Ok(Outcome {
        rotated: Some(Rotated {
            token: reading.token,
            sink,
            old_secret_works_until: works_until,
            at: reading.at,
            secret_since,
        }),
        faults,
    })
}

/// Returns the call that rotates a token, and the intent to record before it.
fn request(
    connection: &Connection,
    reading: &Reading,
    rotation: &Rotation,
    sink: &Sink,
    outage_since: Option<DateTime<Utc>>,
) -> Result<(RotateServiceToken, Intent), Failure> {
    let Reading { token, id, at } = reading;
    let (request, valid_until) = match rotation.grace {
        Grace::RevokeNow => (RotateServiceToken::revoke_now(), None),
        Grace::For(grace) => {
            let grace = TimeDelta::from_std(grace).ok();
            let valid_until = grace.and_then(|grace| at.checked_add_signed(grace));
            let valid_until =
                valid_until.ok_or_else(|| Failure::usage("the grace period is too long"))?;
            let request = RotateServiceToken::grace_until(valid_until);
            (request, Some(valid_until))
        }
    };
    let intent = Intent {
        operation: Operation::Rotate,
        account_id: connection.account_id().to_owned(),
        token_id: Some(id.to_string()),
        name: token.name.clone(),
        client_id: token.client_id.clone().filter(|id| is_given(&id)),
        updated_at: token.updated_at,
        expires_at: token.expires_at.filter(|_| !token.never_expires()),
        old_secret_valid_until: valid_until,
        version: token.client_secret_version,
        started_at: *at,
        may_arrive_until: *at + connection.may_arrive(),
        sink: sink.to_string(),
        then_steps: rotation.steps(),
        outage_since,
    };
    Ok((request, intent))
}

/// Reads the token again once its secret is safe.
async fn read_back(connection: &Connection, id: &ServiceTokenId) -> Option<Reading> {
    let mut hurried = connection.clone();
    hurried.tokens = hurried.tokens.with(|call| call.deadline(READ_DEADLINE));
    match Reading::of(&hurried, id).await {
        Ok(reading) => Some(reading),
        Err(failure) => {
            let (line, _) = failure.in_one_line();
            output::remark(format!(
                "the secret is safe, but the token can't be read again, so a rotate by somebody \
                 else would go unnoticed: {line}"
            ));
            None
        }
    }
}

/// Returns what is known once the run is settled, and reports a rotate that was not its own:
/// one between the reading and the call, or after the call.
fn finished(
    record: &Record,
    after: Option<&Reading>,
    answered_at: Option<DateTime<Utc>>,
    faults: &mut Vec<Failure>,
) -> Known {
    let Some(Run { intent, stage }) = record.run() else {
        return record.known().cloned().unwrap_or(Known::NOTHING);
    };
    let answered = match stage {
        Stage::Answered(secret) | Stage::Delivered(secret) => secret.version,
        Stage::Called | Stage::Kept | Stage::Settled => None,
    };
    let newest = after.and_then(|after| after.token.client_secret_version);
    let newest = newest.max(answered);
    let expected = intent.version.map(|version| version + 1).or(answered);
    let updated_at = after.and_then(|after| after.token.updated_at);
    let why = match (expected, newest, answered_at, updated_at) {
        (Some(expected), Some(newest), ..) if newest > expected => Some(format!(
            "the newest secret has version {newest}; that of this rotate would have {expected}"
        )),
        (_, None, Some(answered_at), Some(updated_at)) if updated_at > answered_at => {
            Some("the token was changed after this rotate".to_owned())
        }
        _ => None,
    };
    if let Some(why) = why {
        let what = "something else rotated the token at the same time, or changed it";
        faults.push(Failure::new(Exit::Failed, what).because(why).next(
            "check with `verify` that the secret in the sink works; let only one program rotate \
             the token",
        ));
    }
    Known::after(intent, newest.or(expected))
}
