//! The parts that `create` and `rotate` share: where the secret goes, and the result once
//! it is there.

use cf_service_tokens::ServiceToken;
use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{Cell, Output};
use crate::records::expiry_cell;
use crate::secret::reading::Reading;
use crate::secret::rotation::Due;
use crate::secret::sink::{API_CREDENTIALS, Sink};
use crate::time;

/// Where a new secret goes.
#[derive(Args, Debug)]
pub(crate) struct Destination {
    /// Where the secret goes: FILE, env-file:FILE, command:COMMAND, github-env or stdout
    ///
    /// The API shows a secret only once. So the command tests the destination before it
    /// calls the API, and keeps the secret in the journal until it is stored.
    ///
    ///   FILE              holds only the secret, without a line break; a file that holds
    ///                     anything but such a secret is refused
    ///   file:FILE         the same, whatever the file holds
    ///   env-file:FILE     CF_ACCESS_CLIENT_ID=... and CF_ACCESS_CLIENT_SECRET=...;
    ///                     other lines of the file stay
    ///   command:COMMAND   run by `sh -c`, with the secret on its standard input
    ///   github-env        the same variables as in an env-file, for the later steps of
    ///                     this GitHub Actions job; refused by `rotate`
    ///   stdout, -         standard output; everything else goes to standard error
    ///
    /// A new file is readable only by its owner (0600). A file is replaced as a whole, and
    /// keeps its owner, group and mode.
    ///
    /// A command must read all of its input, and fail if it could not store the secret. It
    /// finds CF_ACCESS_CLIENT_ID, CF_SERVICE_TOKEN_ID, CF_SERVICE_TOKEN_NAME,
    /// CF_SERVICE_TOKEN_SECRET_VERSION and CF_SERVICE_TOKEN_OLD_SECRET_UNTIL in its
    /// environment, as far as they are known. CLOUDFLARE_API_TOKEN, CLOUDFLARE_API_KEY,
    /// CLOUDFLARE_EMAIL and CF_ACCESS_CLIENT_SECRET are removed from it; see --keep-env.
    #[arg(long, value_name = "SINK", verbatim_doc_comment)]
    pub(crate) secret_to: Sink,
    /// Keep this API credential, such as CLOUDFLARE_API_TOKEN, in the environment of
    /// command:COMMAND; may be repeated
    #[arg(long, value_name = "NAME", value_parser = API_CREDENTIALS, hide_possible_values = true)]
    pub(crate) keep_env: Vec<String>,
}

/// A token whose new secret is stored.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct IssuedRecord {
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(super) enum Expiry {
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

/// A token that was not rotated, since its secret is young enough.
#[derive(Debug, Serialize)]
pub(crate) struct YoungRecord {
    id: String,
    name: Option<String>,
    client_id: Option<String>,
    secret_since: DateTime<Utc>,
    secret_may_be_older: bool,
    due_at: DateTime<Utc>,
    #[serde(skip)]
    at: DateTime<Utc>,
}

impl YoungRecord {
    /// `None` if the token is due.
    pub(crate) fn new(reading: &Reading, due: &Due) -> Option<Self> {
        let Due::Young {
            secret_since,
            is_estimate,
            due_at,
        } = *due
        else {
            return None;
        };
        Some(Self {
            id: reading.id.to_string(),
            name: reading.token.name.clone(),
            client_id: reading.token.client_id.clone(),
            secret_since,
            secret_may_be_older: is_estimate,
            due_at,
            at: reading.at,
        })
    }

    pub(crate) fn show(&self, output: &Output) -> Result<(), Failure> {
        let due = time::distance_and_date(self.due_at, self.at);
        let secret = age_cell(self.secret_since, self.secret_may_be_older, self.at);
        let fields = [
            ("Name", Cell::maybe(self.name.clone())),
            ("Id", Cell::plain(self.id.clone())),
            ("Client id", Cell::maybe(self.client_id.clone())),
            ("Secret", secret),
            ("Rotated", Cell::plain(format!("no, since it is due {due}"))),
        ];
        match shows_result(output) {
            true => output.record(self, &fields),
            false => Ok(()),
        }
    }
}

/// How old a secret is, as a cell.
pub(crate) fn age_cell(
    secret_since: DateTime<Utc>,
    may_be_older: bool,
    now: DateTime<Utc>,
) -> Cell {
    let age = time::age_words(now - secret_since);
    Cell::plain(match may_be_older {
        true => format!("at least {age} old"),
        false => format!("{age} old"),
    })
}

/// Whether the result is written at all.
pub(crate) fn shows_result(output: &Output) -> bool {
    !(output.quiet && output.is_table())
}

/// Until when the secret before the newest one works, as a cell.
pub(crate) fn old_secret_cell(valid_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Cell {
    match valid_until {
        Some(at) => Cell::warning(format!("works until {}", time::date_and_distance(at, now))),
        None => Cell::bad("no longer works"),
    }
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
        fields.push(("Old secret", old_secret_cell(valid_until, now)));
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
