//! Shows the result of `create` and `rotate` once the new secret is in its sink.

use cf_service_tokens::ServiceToken;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{Cell, Output};
use crate::records::expiry_cell;
use crate::secret::sink::Sink;
use crate::time;

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
pub(crate) fn shows_result(output: &Output) -> bool {
    !(output.quiet && output.is_table())
}

pub(crate) fn show(
    output: &Output,
    sink: &Sink,
    token: &ServiceToken,
    rotated: Option<Option<DateTime<Utc>>>,
    now: DateTime<Utc>,
) -> Result<Exit, Failure> {
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
        ("Secret", Cell::good(sink.whereabouts())),
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
                    Cell::warning(format!("works until {}", time::date_and_distance(at, now)))
                }
                None => Cell::bad("no longer works"),
            },
        ));
    }
    if shows_result(output) {
        output.record(&record, &fields).map_err(|failure| {
            failure.next(format!(
                "the secret {}; `cf-service-tokens list` shows the token",
                sink.whereabouts()
            ))
        })?;
    }
    Ok(Exit::Success)
}
