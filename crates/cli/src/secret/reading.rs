//! A token as the API shows it, at the time by the API's own clock.

use cf_service_tokens::{Response, ServiceToken, ServiceTokenId};
use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;

use crate::connection::Connection;
use crate::failure::{Exit, Failure};

/// A token, read from the API.
pub(crate) struct Reading {
    pub(crate) token: ServiceToken,
    /// The id as the API writes it.
    pub(crate) id: ServiceTokenId,
    /// When the API answered.
    pub(crate) at: DateTime<Utc>,
}

impl Reading {
    /// Reads a token.
    ///
    /// # Errors
    ///
    /// Also if the API answers with another token than the one that was asked for.
    pub(crate) async fn of(
        connection: &Connection,
        asked: &ServiceTokenId,
    ) -> Result<Self, Failure> {
        let answer = connection.tokens.get(asked).await?;
        let at = time_of(&answer);
        let token = answer.into_inner();
        let id = match token.id.as_deref() {
            Some(answered) if is_same(asked.as_str(), answered) => ServiceTokenId::new(answered)?,
            Some(answered) => {
                return Err(Failure::new(
                    Exit::Failed,
                    format!(
                        "the API was asked for the token {asked}, and answered with {answered:?}"
                    ),
                )
                .next("nothing was changed; -v shows each request"));
            }
            None => asked.clone(),
        };
        Ok(Self { token, id, at })
    }
}

/// Returns the time of an answer by the API's clock, or else by this machine's.
///
/// `ServiceTokens::now` ignores a difference of five minutes, which is as long as a call
/// may take to arrive.
pub(crate) fn time_of<T>(answer: &Response<T>) -> DateTime<Utc> {
    date_of(answer.headers()).unwrap_or_else(Utc::now)
}

/// Returns the time that an answer states, in whole seconds.
pub(crate) fn date_of(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = headers.get("date")?.to_str().ok()?;
    let date = DateTime::parse_from_rfc2822(date).ok()?;
    Some(date.to_utc())
}

/// Whether two spellings name one token: a UUID's case and hyphens don't matter.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

/// Returns the one spelling of an id that [`is_same`] compares.
pub(crate) fn plain(id: &str) -> String {
    id.replace('-', "").to_ascii_lowercase()
}
