//! What each command does.

mod change;
mod list;
mod renew;

use crate::arguments::{Arguments, Command};
use crate::connect::Connection;
use crate::exit::Exit;
use crate::explain::Failure;
use crate::output::Output;

/// Carries the command out.
pub(crate) async fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { global, command } = arguments;
    let output = Output::new(&global);
    let connection = Connection::open(&global).await?;
    match command {
        Command::List(arguments) => list::list(&connection, &output, &arguments).await,
        Command::Show(token) => list::show(&connection, &output, &token.id).await,
        Command::Enable(tokens) => change::enable(&connection, &output, &tokens.ids, true).await,
        Command::Disable(tokens) => change::enable(&connection, &output, &tokens.ids, false).await,
        Command::Refresh(tokens) => change::refresh(&connection, &output, &tokens.ids).await,
        Command::Renew(arguments) => renew::renew(&connection, &output, &arguments).await,
        _ => Err(Failure::usage("not yet")),
    }
}
