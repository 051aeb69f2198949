//! `refresh`: moves the expiry of tokens to a year from now.

use std::time::Duration;

use cf_service_tokens::renewal::RenewalError;
use cf_service_tokens::{ServiceToken, ServiceTokenId, ServiceTokens};
use chrono::{DateTime, TimeDelta, Utc};

use crate::commands::each::{Tokens, each, of_asked};
use crate::commands::select::{self, Chosen};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::time;

/// How long to wait for what only a note needs.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// A refreshed token expires in a year, give or take the difference of two clocks.
const NEARLY_A_YEAR: TimeDelta = TimeDelta::days(364);

pub(crate) async fn refresh(
    connection: &Connection,
    output: &Output,
    tokens: &Tokens,
) -> Result<Exit, Failure> {
    let mut tokens = select::each(connection, &tokens.tokens, false).await?;
    for token in &mut tokens {
        if token.listed.is_none() {
            token.listed = before(connection, &token.id).await;
        }
    }
    each(connection, output, &tokens, "refreshed", async |token| {
        let answer = refreshed(&connection.tokens, &token.id).await?;
        let words = beside(token, &answer, connection.tokens.now());
        if let Some(words) = words.filter(|_| !output.quiet) {
            output::remark(words);
        }
        Ok(answer)
    })
    .await
}

/// Returns a token as it is before the refresh, which tells whether the refresh revives it and
/// whether it is disabled.
/// That is not worth a failure, or a long wait.
async fn before(connection: &Connection, id: &ServiceTokenId) -> Option<ServiceToken> {
    let hurried = connection.tokens.with(|call| call.deadline(READ_DEADLINE));
    of_asked(id, hurried.get(id).await).ok()
}

/// Says what the new expiry does not show: that the token had expired before, or that it is
/// still of no use.
fn beside(token: &Chosen, after: &ServiceToken, now: DateTime<Utc>) -> Option<String> {
    let before = token.listed.as_ref();
    let expired_at = before.filter(|before| before.is_expired(now));
    let expired_at = expired_at.and_then(|before| before.expires_at);
    let enabled = after.enabled.or(before.and_then(|before| before.enabled));
    match (expired_at, enabled) {
        (Some(at), enabled) => {
            let since = match enabled {
                Some(false) => "it is still disabled",
                _ => "it works again",
            };
            let expired = time::distance(at - now);
            Some(format!("{token} expired {expired}; {since}"))
        }
        (None, Some(false)) => Some(format!(
            "{token} is still disabled: apps refuse it until it is enabled"
        )),
        (None, _) => None,
    }
}

/// Refreshes a token, and checks that it expires in a year.
async fn refreshed(
    tokens: &ServiceTokens,
    id: &ServiceTokenId,
) -> Result<ServiceToken, RenewalError> {
    let is_refreshed = |token: &ServiceToken| {
        let in_a_year = tokens.now() + NEARLY_A_YEAR;
        token.never_expires() || token.expires_at.is_some_and(|at| at >= in_a_year)
    };
    let answer = of_asked(id, tokens.refresh(id).await)?;
    if answer.id.is_some() && is_refreshed(&answer) {
        return Ok(answer);
    }
    // The token itself may show what the response does not.
    let token = of_asked(id, tokens.get(id).await)?;
    match is_refreshed(&token) {
        true => Ok(token),
        false => Err(RenewalError::NotExtended {
            expires_at: token.expires_at,
        }),
    }
}
