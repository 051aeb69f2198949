//! What an attempt came to: a response that may be relied on, or an error that
//! tells all that is known.

use std::time::Duration;

use http::StatusCode;
use reqwest::Url;
use serde::de::DeserializeOwned;

use crate::decode::{Decoded, Undecodable};
use crate::envelope::{Delivered, Envelope, Undelivered};
use crate::error::{Error, FailedResponse, Kind};
use crate::exchange::{BodyEnd, Notes};
use crate::generated::types::{ApiMessage, FailureEnvelope};
use crate::generated::{self, ResponseValue};
use crate::operation::Operation;
use crate::received::Received;
use crate::redact::Redactor;
use crate::response::Response;
use crate::tidied::Tidied;

/// What the generated code made of an answer.
pub(crate) type Generated<E> = Result<ResponseValue<E>, generated::Error<FailureEnvelope>>;

/// The attempt that is judged.
pub(crate) struct Attempt<'a> {
    pub(crate) operation: &'static Operation,
    pub(crate) timeout: Duration,
    pub(crate) body_limit: usize,
    pub(crate) base_url: &'a str,
    pub(crate) redactor: &'a Redactor,
}

impl Attempt<'_> {
    /// Weighs the notes against what the generated code made of the answer.
    pub(crate) fn outcome<E: Envelope + DeserializeOwned>(
        &self,
        notes: Option<Notes>,
        decoded: Generated<E>,
    ) -> Result<Response<E::Result>, Error> {
        let Some(Notes {
            mut received,
            body_end,
        }) = notes
        else {
            return Err(self.incomplete(None, decoded));
        };
        received.drop_headers_with_secrets(self.redactor);
        match body_end {
            BodyEnd::Complete => {}
            BodyEnd::Broken => return Err(self.incomplete(Some(received), decoded)),
            BodyEnd::TooLarge => {
                return Err(self.failure(Kind::BodyTooLarge(self.body_limit), received, None));
            }
        }
        if received.status.is_redirection() {
            let kind = Kind::Redirect(self.redirect_host(&received));
            return Err(self.failure(kind, received, None));
        }
        if !received.status.is_success() {
            let (kind, envelope) = failed(decoded, &received.body);
            return Err(self.failure(kind, received, Some(envelope)));
        }
        match delivered(self.operation, decoded, &received) {
            Ok((delivered, unreadable)) => Ok(Response {
                value: delivered.result,
                errors: self.redacted(delivered.errors),
                messages: self.redacted(delivered.messages),
                unreadable,
                received,
                attempts: 1,
                operation: self.operation,
            }),
            Err((kind, envelope)) => Err(self.failure(kind, received, Some(envelope))),
        }
    }

    /// A request that got no answer, or only the beginning of one.
    fn incomplete<E>(&self, received: Option<Received>, decoded: Generated<E>) -> Error {
        let response = received.map(|received| self.failed_response(received, None));
        let Err(generated::Error::CommunicationError(error)) = decoded else {
            // The generated code fails without sending only where it can't make
            // a request of its arguments, which ids and base URL rule out.
            return Error::call(Kind::Transport, self.operation, response);
        };
        // A connection that did not come about in time is both; nothing was sent.
        let kind = if error.is_connect() && is_tls(&error) {
            Kind::Tls
        } else if error.is_connect() {
            Kind::Connect
        } else if error.is_timeout() {
            Kind::Timeout(self.timeout)
        } else {
            Kind::Transport
        };
        Error::call(kind, self.operation, response).with_source(error.without_url())
    }

    fn failure(&self, kind: Kind, received: Received, envelope: Option<Undelivered>) -> Error {
        let response = self.failed_response(received, envelope);
        Error::call(kind, self.operation, Some(response))
    }

    fn failed_response(&self, received: Received, envelope: Option<Undelivered>) -> FailedResponse {
        let (errors, messages) = match envelope {
            Some(envelope) => (
                self.redacted(envelope.errors),
                self.redacted(envelope.messages),
            ),
            None => (Vec::new(), Vec::new()),
        };
        // The body of a success may hold a secret in a form that nothing
        // recognises, so no part of it is ever printed.
        let excerpt = if received.status.is_success() {
            String::new()
        } else {
            received.excerpt(self.redactor)
        };
        FailedResponse {
            received,
            excerpt,
            errors,
            messages,
        }
    }

    /// The host that a redirect leads to, if it can be told.
    fn redirect_host(&self, received: &Received) -> Option<String> {
        let target = Url::parse(self.base_url)
            .ok()?
            .join(received.location()?)
            .ok()?;
        target.host_str().map(ToOwned::to_owned)
    }

    fn redacted(&self, mut messages: Vec<ApiMessage>) -> Vec<ApiMessage> {
        for message in &mut messages {
            let pointer = message.source.as_mut().map(|source| &mut source.pointer);
            let texts = [
                Some(&mut message.message),
                message.documentation_url.as_mut(),
                pointer.and_then(Option::as_mut),
            ];
            for text in texts.into_iter().flatten() {
                *text = self.redactor.redact(text);
            }
        }
        messages
    }
}

/// Why an answer is no success, with what its envelope says.
type Failure = (Kind, Undelivered);

/// What a success delivers, with the paths of what in it could not be read; or
/// what keeps it from being a success.
fn delivered<E: Envelope + DeserializeOwned>(
    operation: &Operation,
    decoded: Generated<E>,
    received: &Received,
) -> Result<(Delivered<E::Result>, Vec<String>), Failure> {
    // An answer to HEAD has no body by definition.
    if (received.status == StatusCode::NO_CONTENT || operation.method == "HEAD")
        && let Some(result) = E::nothing()
    {
        let (errors, messages) = (Vec::new(), Vec::new());
        return Ok((
            Delivered {
                result,
                errors,
                messages,
            },
            Vec::new(),
        ));
    }
    let (kind, envelope) = match read(decoded, &received.body) {
        Ok(Decoded { value, unreadable }) => match value.into_result() {
            Ok(delivered) => return Ok((delivered, unreadable)),
            Err(envelope) => (Kind::NoResult, envelope),
        },
        Err(failure) => failure,
    };
    // What the API itself calls a failure is one, whatever else it holds.
    if envelope.refused {
        return Err((Kind::Refused, envelope));
    }
    let rescued = serde_json::from_slice(&received.body)
        .ok()
        .and_then(|document| E::rescue(&document));
    let Some(Decoded { value, unreadable }) = rescued else {
        return Err((kind, envelope));
    };
    let delivered = Delivered {
        result: value,
        errors: envelope.errors,
        messages: envelope.messages,
    };
    Ok((delivered, unreadable))
}

/// The envelope, by a second look where the generated code could not read it, or
/// may have read what is none.
fn read<E: Envelope + DeserializeOwned>(
    decoded: Generated<E>,
    body: &[u8],
) -> Result<Decoded<E>, Failure> {
    if let Ok(answer) = decoded {
        let value = answer.into_inner();
        if body.trim_ascii_start().starts_with(b"{") && !value.is_doubtful() {
            return Ok(Decoded {
                value,
                unreadable: Vec::new(),
            });
        }
    }
    let document =
        serde_json::from_slice(body).map_err(|_| (Kind::NotJson, Undelivered::default()))?;
    let tidied = Tidied::new(document);
    let remarks = tidied.remarks();
    tidied
        .envelope()
        .map_err(|Undecodable { path, fault }| (Kind::Shape { path, fault }, remarks))
}

/// What an error status comes to. Whatever the rest of the body is like, what it
/// says in the envelope's lists is kept.
fn failed<E>(decoded: Generated<E>, body: &[u8]) -> Failure {
    let envelope = match decoded {
        Err(generated::Error::ErrorResponse(envelope)) => {
            let envelope = envelope.into_inner();
            Undelivered {
                refused: !envelope.success,
                errors: envelope.errors,
                messages: envelope.messages,
            }
        }
        _ => serde_json::from_slice(body)
            .map(|document| Tidied::new(document).remarks())
            .unwrap_or_default(),
    };
    let kind = if envelope.refused {
        Kind::Refused
    } else {
        Kind::Status
    };
    (kind, envelope)
}

/// Whether TLS is what a connection failed at.
#[cfg(feature = "rustls")]
fn is_tls(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An `io::Error` has the source of what it holds, not what it holds.
        let held = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        source = match held {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    false
}

/// Without TLS of its own, the client can't tell it from other failures.
#[cfg(not(feature = "rustls"))]
fn is_tls(_: &reqwest::Error) -> bool {
    false
}
