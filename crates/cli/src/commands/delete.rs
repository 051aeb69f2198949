//! `delete`: deletes tokens for good.

use chrono::{DateTime, Utc};
use clap::Args;

use crate::commands::confirm;
use crate::commands::each::{Tokens, each, of_asked};
use crate::commands::select::{self, Chosen, last_seen};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) tokens: Tokens,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub(crate) yes: bool,
}

pub(crate) async fn delete(
    connection: &Connection,
    output: &Output,
    arguments: &Delete,
) -> Result<Exit, Failure> {
    confirm::require_possible(arguments.yes)?;
    let must_list = !arguments.yes;
    let tokens = select::each(connection, &arguments.tokens.tokens, must_list).await?;
    confirm::ask(&question(&tokens, connection.tokens.now()), arguments.yes)?;
    each(connection, output, &tokens, "deleted", async |token| {
        of_asked(&token.id, connection.tokens.delete(&token.id).await)
    })
    .await
}

/// Returns the question, with all that tells one token from another.
fn question(tokens: &[Chosen], now: DateTime<Utc>) -> String {
    let shown = |token: &Chosen| {
        let seen = token.listed.as_ref().map(|token| last_seen(token, now));
        let details = [Some(token.id.to_string()), seen];
        let details: Vec<_> = details.into_iter().flatten().collect();
        match token.name() {
            Some(name) => format!("{name:?} ({})", details.join(", ")),
            None => details.join(", "),
        }
    };
    match tokens {
        [token] => format!("Delete {}? It cannot be restored.", shown(token)),
        _ => {
            let tokens: Vec<_> = tokens
                .iter()
                .map(|token| format!("  {}\n", shown(token)))
                .collect();
            format!(
                "{}Delete these {} tokens? They cannot be restored.",
                tokens.concat(),
                tokens.len()
            )
        }
    }
}
