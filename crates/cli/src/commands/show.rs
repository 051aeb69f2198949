//! `show`: every detail of one token.

use clap::Args;

use crate::commands::select::{self, Ids};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::records::TokenRecord;

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The token's name, id or client id, or the first eight or more characters of its id
    pub(crate) token: String,
}

pub(crate) async fn show(
    connection: &Connection,
    output: &Output,
    arguments: &Show,
) -> Result<Exit, Failure> {
    let chosen = select::one(connection, &arguments.token, Ids::Prefix).await?;
    let token = connection.tokens.get(&chosen.id).await?;
    let now = connection.tokens.now();
    let record = TokenRecord::new(&token, now);
    output.record(&record, &record.fields(now))?;
    Ok(Exit::Success)
}
