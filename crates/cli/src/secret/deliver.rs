//! Calls the API for a new secret, and brings the secret to its sink.

use std::io;
use std::pin::pin;

use cf_service_tokens::{Error, ErrorKind, IssuedServiceToken, Response, ServiceToken};

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::secret::journal::Journal;
use crate::secret::record::{Intent, Record, Run, Stage};
use crate::secret::recover;
use crate::secret::sink::{IssuedSecret, NamedBy, ProvedSink, Sink};
use crate::signal::Signals;

/// The length below which a text is taken for no secret. Both known forms are longer
/// than fifty characters.
const MIN_SECRET_LEN: usize = 20;

/// A sink that was tested before the API is called.
pub(crate) struct Delivery {
    /// The sink by its absolute path.
    pub(crate) sink: Sink,
    proved: ProvedSink,
    named_by: NamedBy,
}

impl Delivery {
    /// Tests the sink, which must also be harmless if the secret is made up.
    pub(crate) fn prepare(
        connection: &Connection,
        journal: &Journal,
        sink: Sink,
        keep_env: Vec<String>,
        named_by: NamedBy,
    ) -> Result<Self, Failure> {
        let sink = sink.absolute().keep_env(keep_env)?;
        if connection.simulator.is_some() {
            sink.require_harmless()?;
        }
        let proved = sink.prove(journal.directory(), named_by)?;
        Ok(Self {
            sink,
            proved,
            named_by,
        })
    }

    /// Records the intent, makes the call, records the secret, and brings it to the sink.
    /// Returns the API's answer.
    ///
    /// The first signal to end is only noted: the answer that is on its way may be the
    /// only one with the secret. A second one ends the call, or the command of the sink.
    pub(crate) async fn issue(
        self,
        record: &mut Record,
        signals: &mut HeldSignals,
        intent: Intent,
        call: impl Future<Output = Result<Response<IssuedServiceToken>, Error>>,
    ) -> Result<ServiceToken, Failure> {
        record
            .begin(intent.clone())
            .map_err(|error| unwritable(record, &error))?;
        let waits_for = "waiting for the API's response, which holds the new secret; \
                         interrupt again to end without it";
        match signals.until_second(waits_for, call).await {
            Some(Ok(answer)) => self.bring_home(record, &intent, &answer, signals).await,
            Some(Err(error)) => Err(failed(record, &intent, &error)),
            None => Err(interrupted(record, &intent)),
        }
    }

    /// Brings the secret into the record, and then to the sink.
    async fn bring_home(
        self,
        record: &mut Record,
        intent: &Intent,
        answer: &Response<IssuedServiceToken>,
        signals: &mut HeldSignals,
    ) -> Result<ServiceToken, Failure> {
        if let Err(fault) = require_documented(answer, intent) {
            let what = "the API's response is not the documented one, so no secret was stored";
            let failure = Failure::new(Exit::Failed, what).because(fault);
            return Err(kept(record, intent, answer.body(), failure));
        }
        let client_id = answer.client_id.as_ref().filter(is_given);
        let secret = IssuedSecret {
            client_id: client_id.or(intent.client_id.as_ref()).cloned(),
            client_secret: answer.credentials().client_secret().clone(),
            token_id: answer.id.clone(),
            version: answer.client_secret_version,
        };
        let noted = record.note_secret(&secret);
        let named_by = self.named_by;
        // The journal is a net. Without it the sink is all there is.
        let delivered = self.bring(&secret, intent, signals).await;
        match (noted, delivered) {
            (Ok(()), Err(error)) => Err(undelivered(record, &intent.sink, named_by, &error)),
            (Err(noted), Err(error)) => Err(Failure::new(
                Exit::Failed,
                "the new secret is lost: neither the journal nor its sink could store it",
            )
            .because(noted)
            .because(error)
            .next(recover::advice_for_lost(record, intent))),
            (_, Ok(())) => Ok(answer.token().clone()),
        }
    }

    /// Brings a secret to the sink.
    async fn bring(
        self,
        secret: &IssuedSecret,
        intent: &Intent,
        signals: &mut HeldSignals,
    ) -> io::Result<()> {
        let waits_for = "waiting until the new secret is in its sink; interrupt again to end \
                         without that";
        let delivery = self.proved.deliver(secret, intent);
        let delivered = signals.until_second(waits_for, delivery).await;
        delivered.unwrap_or_else(|| {
            Err(io::Error::other(
                "interrupted before the sink's command ended",
            ))
        })
    }

    /// Brings the secret of an earlier run to the sink.
    pub(crate) async fn redeliver(
        self,
        record: &Record,
        signals: &mut HeldSignals,
    ) -> Result<(), Failure> {
        let Some(Run {
            intent,
            stage: Stage::Answered(secret) | Stage::Delivered(secret),
        }) = record.run()
        else {
            return Ok(());
        };
        let (sink, named_by) = (self.sink.to_string(), self.named_by);
        let delivered = self.bring(secret, intent, signals).await;
        delivered.map_err(|error| undelivered(record, &sink, named_by, &error))?;
        recover::remove_leftover(intent);
        Ok(())
    }
}

/// A secret is in the journal, but not in its sink.
fn undelivered(record: &Record, sink: &str, named_by: NamedBy, error: &io::Error) -> Failure {
    let finish = record.command("finish");
    let next = match named_by {
        NamedBy::Key => format!(
            "the secret is safe in the journal; fix the sink, or set another {named_by}: the next \
             `keep` delivers the secret; to deliver it now, run: {finish}"
        ),
        NamedBy::Option => format!(
            "the secret is safe in the journal; fix the sink, or give another one with {named_by}, and \
             run: {finish}"
        ),
    };
    Failure::new(
        Exit::Failed,
        format!("could not store the new secret in {sink}"),
    )
    .because(error)
    .next(next)
}

/// Makes sure that an answer is about the token of the intent, and that its secret can be
/// one. The sink has a secret that works; only a documented answer may replace it.
fn require_documented(
    answer: &Response<IssuedServiceToken>,
    intent: &Intent,
) -> Result<(), String> {
    let secret = answer.credentials().expose_secret();
    let first = secret.bytes().next();
    if secret.len() < MIN_SECRET_LEN
        || !secret.bytes().all(|byte| byte.is_ascii_graphic())
        || secret.bytes().all(|byte| Some(byte) == first)
    {
        return Err("the value of `client_secret` can't be a secret".to_owned());
    }
    let client_id = answer.client_id.as_ref().filter(is_given);
    // The name of an existing token may be changed at any time.
    let name = intent.name.as_ref().filter(|_| intent.token_id.is_none());
    let fields = [
        ("id", intent.token_id.as_ref(), answer.id.as_ref()),
        ("client_id", intent.client_id.as_ref(), client_id),
        ("name", name, answer.name.as_ref()),
    ];
    let mut is_named = intent.token_id.is_none() && client_id.is_some();
    for (field, asked, answered) in fields {
        let (Some(asked), Some(answered)) = (asked, answered.filter(is_given)) else {
            continue;
        };
        if asked.trim() != answered.trim() {
            return Err(format!(
                "it is about another token: its {field} is {answered:?}, not {asked:?}"
            ));
        }
        is_named |= intent.token_id.is_some();
    }
    match is_named {
        true => Ok(()),
        false => Err("it does not say which token the secret belongs to".to_owned()),
    }
}

/// Whether a field says anything.
pub(crate) fn is_given(field: &&String) -> bool {
    !field.trim().is_empty()
}

/// Settles the record of a failed call: the run is forgotten if the call certainly had no
/// effect.
fn failed(record: &mut Record, intent: &Intent, error: &Error) -> Failure {
    let failure = Failure::from(error);
    // A run that replaces a lost secret stays, since the secret is still lost.
    if certainly_had_no_effect(error) && intent.outage_since.is_some() {
        return failure;
    }
    if certainly_had_no_effect(error) {
        return match record.forget() {
            Ok(()) => failure,
            Err(kept) => failure.because(format!("can't remove the journal entry: {kept}")),
        };
    }
    let is_success = error.status().is_some_and(|status| status.is_success());
    match error.body() {
        Some(body) if !body.is_empty() && (is_success || names_secret(body)) => {
            kept(record, intent, body, failure)
        }
        _ => failure.next(recover::advice_for_lost(record, intent)),
    }
}

/// Whether the body of an error may hold a secret, unlike the page of a gateway.
fn names_secret(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.contains("client_secret") || text.contains("cfast_")
}

/// Whether a failed call certainly changed nothing. A refusal proves that only if it comes
/// from the API itself: a filter on the way may refuse to pass on a success.
fn certainly_had_no_effect(error: &Error) -> bool {
    let is_replaced = matches!(error.kind(), ErrorKind::Status | ErrorKind::Redirect);
    !error.may_have_been_applied() && !is_replaced
}

/// Keeps an answer that is not the documented one: a secret may be in it. Whatever the
/// failure was, to try again would not help.
fn kept(record: &mut Record, intent: &Intent, body: &[u8], mut failure: Failure) -> Failure {
    failure.exit = Exit::Failed;
    match record.note_answer(body) {
        Ok(()) => failure.next(format!(
            "the response may hold a new secret; the journal keeps it, readable only by its \
             owner: {}; then run: {}",
            record.show_answer(),
            record.command("discard")
        )),
        Err(lost) => failure
            .because(format!("can't save the response: {lost}"))
            .next(recover::advice_for_lost(record, intent)),
    }
}

/// Signals to end, the first of which is only noted.
pub(crate) struct HeldSignals {
    signals: Signals,
    /// Whether one has come.
    pub(crate) is_asked_to_end: bool,
}

impl HeldSignals {
    pub(crate) fn hold() -> Result<Self, Failure> {
        Ok(Self {
            signals: Signals::hold()?,
            is_asked_to_end: false,
        })
    }

    /// Waits for work that can be repeated. Returns `None` if a signal ends it.
    pub(crate) async fn until_first<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        if self.is_asked_to_end {
            return None;
        }
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.signals.next() => {
                self.is_asked_to_end = true;
                None
            }
        }
    }

    /// Waits for work that loses a secret if it ends early: the first signal only shows what
    /// it waits for. Returns `None` if a second one gives the work up.
    async fn until_second<T>(
        &mut self,
        waits_for: &str,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = self.signals.next() => output::remark(waits_for),
        }
        self.is_asked_to_end = true;
        tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = self.signals.next() => None,
        }
    }
}

fn interrupted(record: &Record, intent: &Intent) -> Failure {
    Failure::new(Exit::Failed, "interrupted before the API's response")
        .next(recover::advice_for_lost(record, intent))
}

fn unwritable(record: &Record, error: &io::Error) -> Failure {
    Failure::usage(format!("can't write {}", record.path.display()))
        .because(error)
        .next("nothing was changed; fix the cause, or use --journal with another directory")
}
