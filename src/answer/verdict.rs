//! Turns the result of an attempt into a response, or into an error with everything
//! known about the failure.

use std::mem;
use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::Url;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::answer::envelope::{Envelope, Failure};
use crate::answer::meaning::Meaning;
use crate::answer::payload::Payload;
use crate::answer::problem::{self, Problem};
use crate::answer::read::{Undecodable, Unreadable};
use crate::answer::redact::Redactor;
use crate::answer::rescue;
use crate::answer::wire::{BodyEnd, Exchanged};
use crate::call::operation::Operation;
use crate::client::base_url::BaseUrl;
use crate::client::tls;
use crate::error::{Error, ErrorKind, Prose};
use crate::response::Response;

const UNUSABLE_PROXY: &str = "could not use the proxy";

/// The kind of a failure, and its words.
type Fault = (ErrorKind, String);

/// The attempt to judge.
pub(crate) struct Attempt<'a> {
    pub(crate) operation: &'a Operation,
    /// The number of the attempt; the first is 1.
    pub(crate) number: u32,
    pub(crate) began_at: Instant,
    pub(crate) timeout: Duration,
    pub(crate) body_limit: usize,
    pub(crate) base_url: &'a BaseUrl,
    pub(crate) redactor: &'a Redactor,
}

impl Attempt<'_> {
    /// Judges the result of the attempt.
    pub(crate) fn judge<T: Payload>(
        &self,
        exchanged: Option<Exchanged>,
    ) -> Result<Response<T>, Error> {
        let (mut answer, body_end) = match exchanged {
            Some(Exchanged::Answered(answer, body_end)) => (answer, body_end),
            Some(Exchanged::Unanswered(error)) => return Err(self.interrupted(None, error)),
            Some(Exchanged::Unconnected(error)) => {
                let fault = connection_fault(&error, self.base_url);
                return Err(self.failed(fault, None).with_source(error.without_url()));
            }
            Some(Exchanged::WithoutDriver) => return Err(Error::without_driver()),
            // The runtime has ended.
            None => return Err(self.failed(broken(), None)),
        };
        answer.drop_headers_with_secrets(self.redactor);
        if self.may_quote(&answer) {
            answer.excerpt = answer.excerpt(self.redactor);
        }
        match body_end {
            BodyEnd::Complete => {}
            BodyEnd::Broken(error) => return Err(self.interrupted(Some(answer), error)),
            BodyEnd::TooLarge => {
                let limit = self.body_limit;
                let words = format!("the answer's body is larger than the {limit} bytes allowed");
                return Err(self.failed((ErrorKind::BodyTooLarge, words), Some(answer)));
            }
        }
        if answer.status.is_redirection() {
            let fault = self.redirect(&answer);
            return Err(self.failed(fault, Some(answer)));
        }
        if !answer.status.is_success() {
            let fault = self.refusal(&mut answer);
            return Err(self.failed(fault, Some(answer)));
        }
        match self.result(&mut answer) {
            Ok((value, unreadable)) => Ok(Response {
                value,
                unreadable: unreadable.0,
                operation: self.operation.clone(),
                attempts: self.number,
                redactor: self.redactor.clone(),
                answer,
            }),
            Err(fault) => Err(self.failed(fault, Some(answer))),
        }
    }

    /// Returns the error of a request that got no answer, or only the start of one.
    fn interrupted(&self, answer: Option<Box<Answer>>, error: reqwest::Error) -> Error {
        let fault = if error.is_timeout() {
            // `ClientBuilder::http_client` can set other timeouts, which are shorter.
            let limit = if self.began_at.elapsed() < self.timeout {
                "the HTTP client's own limit".to_owned()
            } else {
                format!("{} ms", self.timeout.as_millis())
            };
            let words = format!("timed out: no complete answer within {limit}");
            (ErrorKind::Timeout, words)
        } else {
            broken()
        };
        self.failed(fault, answer).with_source(error.without_url())
    }

    fn failed(&self, (kind, words): Fault, mut answer: Option<Box<Answer>>) -> Error {
        // A call that makes a secret is not idempotent.
        if !self.operation.idempotent
            && let Some(answer) = &mut answer
        {
            answer.find_secrets(self.redactor);
        }
        Error::call(kind, words, self.operation, answer)
    }

    /// Whether the start of the body may be shown.
    fn may_quote(&self, answer: &Answer) -> bool {
        // The body of a success may hold a secret in an unknown form. So may any answer to a
        // call that makes a secret; such a call is not idempotent.
        !answer.status.is_success() && self.operation.idempotent
    }

    /// Returns the fault of a redirect, with the host that it leads to.
    fn redirect(&self, answer: &Answer) -> Fault {
        let target = answer.location().and_then(|to| self.base_url.join(to));
        let host = target.as_ref().and_then(Url::host_str);
        let to = host.map(|host| format!(" to {host:?}")).unwrap_or_default();
        let words = format!("the answer is a redirect{to}, which the client does not follow");
        (ErrorKind::Redirect, words)
    }

    /// Reads an answer with an error status. The envelope's lists are kept, even if the
    /// rest of the body can't be read.
    fn refusal(&self, answer: &mut Answer) -> Fault {
        let envelope = Failure::read(&answer.body).ok();
        let is_refused = envelope.as_ref().is_some_and(|e| e.success == Some(false));
        if let Some(mut envelope) = envelope {
            self.keep_envelope(answer, &mut envelope);
        }
        if is_refused {
            return refused();
        }
        answer.problem = Problem::read(answer, self.redactor);
        let (kind, words) = if answer.means(Meaning::ProxyAuthentication) {
            (ErrorKind::Proxy, UNUSABLE_PROXY)
        } else if problem::is_blocked(answer) {
            let words = "Cloudflare's edge blocked the request before it reached the API";
            (ErrorKind::Blocked, words)
        } else if answer.errors.is_empty() {
            let words = "the server answered with an error that does not come from the API";
            (ErrorKind::Status, words)
        } else {
            let words =
                "the answer has an error status, but its envelope does not report a failure";
            (ErrorKind::Status, words)
        };
        (kind, words.to_owned())
    }

    /// Reads the result of an answer that has the status of a success.
    fn result<T: Payload>(&self, answer: &mut Answer) -> Result<(T, Unreadable), Fault> {
        // An answer to HEAD has no body by definition.
        let has_no_body =
            answer.status == StatusCode::NO_CONTENT || self.operation.method == Method::HEAD;
        if has_no_body && let Some(nothing) = T::nothing() {
            return Ok((nothing, Unreadable::default()));
        }
        let mut envelope = match Envelope::<T>::read(&answer.body) {
            Ok(envelope) => envelope,
            Err(fault) => return Err(self.undecodable::<T>(answer, fault)),
        };
        self.keep_envelope(answer, &mut envelope);
        // A failure that the API reports takes precedence over a result.
        if envelope.success == Some(false) {
            return Err(refused());
        }
        let fault = match envelope.result {
            Ok(Some(result)) if envelope.success.is_some() || T::IS_SHOWN_ONCE => {
                return Ok((result, envelope.unreadable));
            }
            Ok(_) if envelope.success.is_none() => Undecodable::at("success", "expected a boolean"),
            Ok(_) => match T::nothing() {
                Some(nothing) => return Ok((nothing, envelope.unreadable)),
                None => Undecodable::at("", "the answer reports success but has no result"),
            },
            Err(fault) => fault,
        };
        Err(self.undecodable::<T>(answer, fault))
    }

    /// Returns the fault of an answer without a readable result.
    fn undecodable<T: Payload>(&self, answer: &Answer, fault: Undecodable) -> Fault {
        let Undecodable {
            path,
            fault: mut words,
        } = fault;
        // A fault with a path is in valid JSON, so only its depth can stop the search.
        if T::IS_SHOWN_ONCE && !path.is_empty() && !rescue::places(&answer.body).is_whole {
            words += ", and the answer is nested too deeply to be searched for it";
        }
        if !path.is_empty() {
            let path = self.redactor.redact(&path);
            words = format!("the answer can't be read at `{}`: {words}", Prose(&path));
        }
        (ErrorKind::Decode, words)
    }

    /// Moves the lists of the envelope to the answer.
    fn keep_envelope<T>(&self, answer: &mut Answer, envelope: &mut Envelope<T>) {
        answer.errors = mem::take(&mut envelope.errors);
        answer.messages = mem::take(&mut envelope.messages);
        // Without the envelope, the `Date` may come from another server, such as a
        // proxy.
        answer.api_time = envelope.success.and_then(|_| answer.date());
        for message in answer.errors.iter_mut().chain(&mut answer.messages) {
            message.redact(self.redactor);
        }
    }
}

fn refused() -> Fault {
    (ErrorKind::Refused, "the API refused the call".to_owned())
}

fn broken() -> Fault {
    let words = "the connection broke before the answer was complete";
    (ErrorKind::Interrupted, words.to_owned())
}

/// Returns why there is no connection: TLS, a proxy, or anything else.
fn connection_fault(error: &reqwest::Error, base_url: &BaseUrl) -> Fault {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if tls::is_fault(cause) {
            let words = format!("the TLS handshake with {} failed", base_url.host_and_port());
            return (ErrorKind::Tls, words);
        }
        // reqwest has no types for these errors.
        let words = cause.to_string();
        if words.contains("unsupported scheme") || words.contains("proxy authorization required") {
            return (ErrorKind::Proxy, UNUSABLE_PROXY.to_owned());
        }
        // `io::Error::source` skips the error that the `io::Error` wraps.
        let held = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        source = match held {
            Some(held) => Some(held),
            None => cause.source(),
        };
    }
    let words = format!("could not connect to {}", base_url.host_and_port());
    (ErrorKind::Connect, words)
}
