//! `list`: the tokens of the account.

use clap::Args;

use crate::commands::select;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::records::TokenRecord;

#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  cf-service-tokens list
  cf-service-tokens list --search deploy
  cf-service-tokens list -o json | jq -r '.[] | select(.state == \"expired\").name'")]
pub(crate) struct List {
    /// Only these tokens: their names, ids, beginnings of ids, or client ids
    #[arg(value_name = "TOKEN")]
    pub(crate) tokens: Vec<String>,
    /// Only tokens with exactly this name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only tokens with this text in the name or id
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
}

pub(crate) async fn list(
    connection: &Connection,
    output: &Output,
    arguments: &List,
) -> Result<Exit, Failure> {
    for asked in arguments.name.iter().chain(&arguments.search) {
        select::require_no_secret(asked)?;
    }
    let mut list = connection.tokens.list();
    if let Some(name) = &arguments.name {
        list = list.name(name);
    }
    if let Some(text) = &arguments.search {
        list = list.search(text);
    }
    let tokens = Connection::all(list).await?;
    let tokens = select::narrow(connection, tokens, &arguments.tokens)?;
    let now = connection.tokens.now();
    let records: Vec<_> = tokens.iter().map(|t| TokenRecord::new(t, now)).collect();
    output.records(&records, now)?;
    if output.is_table() && records.is_empty() && !output.quiet {
        let is_narrowed = arguments.name.is_some() || arguments.search.is_some();
        output.line(&match is_narrowed {
            true => "no such tokens".to_owned(),
            false => connection.without_tokens(),
        })?;
    }
    if !output.quiet {
        let shared = output.is_table().then(|| select::shared_names(&tokens));
        let notes = shared.into_iter().flatten().chain(connection.clock_note());
        notes.for_each(output::remark);
    }
    Ok(Exit::Success)
}
