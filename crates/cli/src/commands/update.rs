//! `update`: changes a token's name or duration, or when its old secret expires.

use cf_service_tokens::renewal::RenewalError;
use cf_service_tokens::{TokenDuration, UpdateServiceToken};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde::Serialize;

use crate::commands::each::of_asked;
use crate::commands::issue;
use crate::commands::select::{self, Ids};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::records::TokenRecord;
use crate::secret::journal::{Journal, RecordName};
use crate::secret::reading::Reading;
use crate::time::{self, When};

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
#[command(after_long_help = "\
Examples:
  cf-service-tokens update grafana --duration 90d
  cf-service-tokens update grafana --old-secret-until 0s")]
pub(crate) struct Update {
    /// The token's name, id or client id
    pub(crate) token: String,
    /// A new name
    #[arg(long, group = "change")]
    pub(crate) name: Option<String>,
    /// How long the token is valid from now on: a span, such as 90d, or `forever`
    #[arg(long, group = "change", value_name = "SPAN", value_parser = time::token_duration)]
    pub(crate) duration: Option<TokenDuration>,
    /// When the previous secret expires: a time such as 2027-01-31T12:00:00Z, a date, or a
    /// span from now such as 2h; 0s ends it at once
    #[arg(long, group = "change", value_name = "WHEN", value_parser = time::When::parse)]
    pub(crate) old_secret_until: Option<time::When>,
}

pub(crate) async fn update(
    connection: &Connection,
    journal: Result<Journal, Failure>,
    output: &Output,
    arguments: Update,
) -> Result<Exit, Failure> {
    let mut request = UpdateServiceToken::new();
    if let Some(name) = arguments.name {
        request = request.name(name);
    }
    if let Some(duration) = arguments.duration {
        request = request.duration(duration);
    }
    let chosen = select::one(connection, &arguments.token, Ids::Whole).await?;
    let id = &chosen.id;
    let mut moved = None;
    let mut old_secret = None;
    if let Some(when) = arguments.old_secret_until {
        let journal = journal?;
        let reading = Reading::of(connection, id).await?;
        let until = point(when, reading.at)?;
        let grace = Some(until).filter(|until| *until > reading.at);
        request = request.previous_client_secret_expires_at(until);
        // Keeps out a concurrent rotate, which sets a grace period of its own.
        let mut record = journal.lock(&RecordName::rotate(&reading.id))?;
        let known = record.grace();
        // If the response is lost, either end may be the real one.
        record
            .set_grace(known.max(Some(until)))
            .map_err(|error| journal.unusable(&error))?;
        moved = Some((record, known, grace));
        old_secret = Some((until, grace));
    }
    let answer = of_asked(id, connection.tokens.update(id, &request).await);
    if let Some((mut record, known, grace)) = moved {
        let noted = match &answer {
            Ok(_) => record.set_grace(grace),
            Err(RenewalError::Call(error)) if !error.may_have_been_applied() => {
                record.set_grace(known)
            }
            Err(_) => Ok(()),
        };
        if let Err(error) = noted {
            output::remark(format!(
                "can't record in the journal when the old secret expires: {error}; the next rotate may \
                 be refused for too long, or not be refused: make sure that none runs too early"
            ));
        }
    }
    let token = chosen.complete(answer.map_err(|error| Failure::from(&error))?);
    let now = connection.tokens.now();
    let record = UpdatedRecord {
        token: TokenRecord::new(&token, now),
        old_secret_valid_until: old_secret.map(|(until, _)| until),
    };
    let mut fields = record.token.fields(now);
    if let Some((_, grace)) = old_secret {
        fields.push(("Old secret", issue::old_secret_cell(grace, now)));
    }
    output.record(&record, &fields)?;
    Ok(Exit::Success)
}

/// A token after its update.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct UpdatedRecord {
    #[serde(flatten)]
    token: TokenRecord,
    /// When the old secret expires or expired, if the update set it; the API does not say.
    old_secret_valid_until: Option<DateTime<Utc>>,
}

fn point(when: When, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    match when {
        When::At(at) => Ok(at),
        When::In(span) => TimeDelta::from_std(span)
            .ok()
            .and_then(|span| now.checked_add_signed(span))
            .ok_or_else(|| Failure::usage("--old-secret-until is too far in the future")),
    }
}
