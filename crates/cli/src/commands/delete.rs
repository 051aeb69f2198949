//! `delete`: deletes tokens for good.

use clap::Args;

use crate::commands::confirm;
use crate::commands::each::{Tokens, each, of_asked};
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
    let question = format!(
        "Deleted tokens can't be restored. Delete {}?",
        arguments.tokens.ids.join(", ")
    );
    confirm::ask(&question, arguments.yes)?;
    each(
        connection,
        output,
        &arguments.tokens,
        "deleted",
        async |id| of_asked(id, connection.tokens.delete(id).await),
    )
    .await
}
