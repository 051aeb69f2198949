//! Calls the API for a new secret, and brings the secret to its sink.

use std::io;

use cf_service_tokens::{Error, IssuedServiceToken, Response, ServiceToken};

use crate::arguments;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::secret::journal::Journal;
use crate::secret::record::{Intent, Record};
use crate::secret::recover;
use crate::secret::sink::{IssuedSecret, ProvedSink, Sink};

/// A sink that was tested before the API is called.
pub(crate) struct Delivery {
    /// The sink by its absolute path.
    pub(crate) sink: Sink,
    proved: ProvedSink,
}

impl Delivery {
    /// Tests the sink, which must also be harmless if the secret is made up.
    pub(crate) fn prepare(
        connection: &Connection,
        journal: &Journal,
        arguments: arguments::Delivery,
    ) -> Result<Self, Failure> {
        let sink = arguments
            .secret_to
            .absolute()
            .keep_env(arguments.keep_env)?;
        if connection.simulator.is_some() {
            sink.require_harmless()?;
        }
        let proved = sink.prove(journal.directory())?;
        Ok(Self { sink, proved })
    }

    /// Records the intent, makes the call, records the secret, and brings it to the sink.
    pub(crate) async fn carry_out(
        self,
        mut record: Record,
        intent: Intent,
        call: impl Future<Output = Result<Response<IssuedServiceToken>, Error>>,
    ) -> Result<ServiceToken, Failure> {
        record
            .begin(intent.clone())
            .map_err(|error| unwritable(&record, &error))?;
        match call.await {
            Ok(answer) => self.bring_home(record, &intent, answer.into_inner()),
            Err(error) => Err(failed(record, &intent, &error)),
        }
    }

    /// Brings the secret into the record, then to the sink, and then settles the record.
    fn bring_home(
        self,
        mut record: Record,
        intent: &Intent,
        answer: IssuedServiceToken,
    ) -> Result<ServiceToken, Failure> {
        let (token, credentials) = answer.into_parts();
        let secret = IssuedSecret {
            client_id: credentials
                .client_id()
                .map(str::to_owned)
                .or_else(|| intent.client_id.clone()),
            client_secret: credentials.client_secret().clone(),
            token_id: token.id.clone(),
            version: token.client_secret_version,
        };
        let noted = record.note_secret(&secret);
        // The journal is a net. Without it the sink is all there is.
        let delivered = self.proved.deliver(&secret, intent);
        match (noted, delivered) {
            (Ok(()), Err(error)) => Err(Failure::new(
                Exit::Failed,
                format!("could not store the new secret in {}", intent.sink),
            )
            .because(error)
            .next(format!(
                "the secret is safe in the journal; fix the sink, then run: cf-service-tokens journal finish {}",
                record.name
            ))),
            (Err(noted), Err(error)) => Err(Failure::new(
                Exit::Failed,
                "the new secret is lost: neither the journal nor its sink could store it",
            )
            .because(noted)
            .because(error)
            .next(recover::advice_for_lost(&record.name, intent))),
            (_, Ok(())) => {
                record.settle(intent.old_secret_valid_until).map_err(|error| {
                    Failure::new(
                        Exit::Failed,
                        "the sink has the secret, but the entry can't be removed from the journal",
                    )
                    .because(error)
                    .next("remove the entry with `cf-service-tokens journal discard`")
                })?;
                Ok(token)
            }
        }
    }
}

fn unwritable(record: &Record, error: &io::Error) -> Failure {
    Failure::usage(format!("can't write {}", record.path.display()))
        .because(error)
        .next("nothing was changed; fix the cause, or use --journal with another directory")
}

/// Settles the record of a failed call: the run is forgotten if the call certainly had no
/// effect.
fn failed(mut record: Record, intent: &Intent, error: &Error) -> Failure {
    let failure = Failure::from(error);
    if !error.may_have_been_applied() {
        return match record.forget() {
            Ok(()) => failure,
            Err(kept) => failure.because(format!("can't remove the journal entry: {kept}")),
        };
    }
    let is_success = error.status().is_some_and(|status| status.is_success());
    if let Some(body) = error.body().filter(|body| is_success && !body.is_empty()) {
        let path = record.path.display().to_string();
        return match record.note_answer(body) {
            Ok(()) => failure.next(format!(
                "the response is in {path}, readable only by its owner; it may hold a new secret"
            )),
            Err(lost) => failure.because(format!("can't save the response: {lost}")),
        };
    }
    let next = recover::advice_for_lost(&record.name, intent);
    failure.next(next)
}
