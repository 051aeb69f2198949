//! `show`: every detail of one token.

use clap::Args;

use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::records::TokenRecord;

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The token's id, as `list` shows it; not the client id
    pub(crate) id: String,
}

pub(crate) async fn show(
    connection: &Connection,
    output: &Output,
    arguments: &Show,
) -> Result<Exit, Failure> {
    let token = connection.tokens.get(&arguments.id).await?;
    let now = connection.tokens.now();
    let record = TokenRecord::new(&token, now);
    output.record(&record, &record.fields(now))?;
    Ok(Exit::Success)
}
