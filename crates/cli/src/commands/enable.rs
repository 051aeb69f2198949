//! `enable` and `disable`.

use cf_service_tokens::UpdateServiceToken;

use crate::commands::each::{Tokens, each, of_asked};
use crate::commands::select;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;

pub(crate) async fn enable(
    connection: &Connection,
    output: &Output,
    tokens: &Tokens,
    enabled: bool,
) -> Result<Exit, Failure> {
    let request = UpdateServiceToken::new().enabled(enabled);
    let outcome = if enabled { "enabled" } else { "disabled" };
    let tokens = select::each(connection, &tokens.tokens, false).await?;
    each(connection, output, &tokens, outcome, async |token| {
        let answer = connection.tokens.update(&token.id, &request).await;
        of_asked(&token.id, answer)
    })
    .await
}
