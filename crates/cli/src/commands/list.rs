//! `list` and `show`: tokens as they stand.

use crate::arguments::List;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::records::TokenRecord;

pub(crate) async fn list(
    connection: &Connection,
    output: &Output,
    arguments: &List,
) -> Result<Exit, Failure> {
    let mut list = connection.tokens.list();
    if let Some(name) = &arguments.name {
        list = list.name(name);
    }
    if let Some(text) = &arguments.search {
        list = list.search(text);
    }
    let tokens = Connection::all(list).await?;
    let now = connection.tokens.now();
    let records: Vec<_> = tokens.iter().map(|t| TokenRecord::new(t, now)).collect();
    output.records(&records, now)?;
    if output.is_table() && records.is_empty() && !output.quiet {
        output.line("no tokens")?;
    }
    Ok(Exit::Success)
}

pub(crate) async fn show(
    connection: &Connection,
    output: &Output,
    id: &str,
) -> Result<Exit, Failure> {
    let token = connection.tokens.get(id).await?;
    let now = connection.tokens.now();
    let record = TokenRecord::new(&token, now);
    output.record(&record, &record.fields(now))?;
    Ok(Exit::Success)
}
