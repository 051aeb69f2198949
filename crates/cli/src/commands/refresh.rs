//! `refresh`: moves the expiry of tokens to a year from now.

use cf_service_tokens::renewal::RenewalError;
use cf_service_tokens::{ServiceToken, ServiceTokenId, ServiceTokens};
use chrono::TimeDelta;

use crate::commands::each::{Tokens, each, of_asked};
use crate::commands::select;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// A refreshed token expires in a year, give or take the difference of two clocks.
const NEARLY_A_YEAR: TimeDelta = TimeDelta::days(364);

pub(crate) async fn refresh(
    connection: &Connection,
    output: &Output,
    tokens: &Tokens,
) -> Result<Exit, Failure> {
    let tokens = select::each(connection, &tokens.tokens, false).await?;
    each(connection, output, &tokens, "refreshed", async |token| {
        refreshed(&connection.tokens, &token.id).await
    })
    .await
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
