//! The commands.

mod change;
mod confirm;
mod create;
mod issued;
mod journal;
mod list;
mod paper;
mod report;
mod rotate;
mod simulate;
mod verify;

use cf_service_tokens::Retry;

use crate::arguments::{Arguments, Command};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::renew;
use crate::secret::journal::Journal;
use crate::secret::recover;

pub(crate) use verify::Verify;

/// Carries the command out.
pub(crate) async fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { global, command } = arguments;
    let output = Output::new(&global);
    let journal = Journal::locate(&global);
    // A renewal, which nobody waits for, has more patience than what people do.
    let retry = match &command {
        Command::Renew(_) => Retry::default(),
        _ => Retry::default().attempts(4),
    };
    let connect = async || {
        let connection = Connection::open(&global, retry.clone()).await?;
        if let Ok(journal) = &journal {
            recover::tell(journal);
        }
        Ok::<_, Failure>(connection)
    };
    match command {
        Command::List(arguments) => list::list(&connect().await?, &output, &arguments).await,
        Command::Show(token) => list::show(&connect().await?, &output, &token.id).await,
        Command::Create(arguments) => {
            let connection = Connection::open(&global, retry.clone()).await?;
            create::create(&connection, &journal?, output, arguments).await
        }
        Command::Update(arguments) => {
            change::update(&connect().await?, journal, &output, arguments).await
        }
        Command::Enable(tokens) => {
            change::enable(&connect().await?, &output, &tokens.ids, true).await
        }
        Command::Disable(tokens) => {
            change::enable(&connect().await?, &output, &tokens.ids, false).await
        }
        Command::Delete(arguments) => change::delete(&connect().await?, &output, &arguments).await,
        Command::Refresh(tokens) => change::refresh(&connect().await?, &output, &tokens.ids).await,
        Command::Rotate(arguments) => {
            let connection = Connection::open(&global, retry.clone()).await?;
            rotate::rotate(&connection, &journal?, output, arguments).await
        }
        Command::Renew(arguments) if arguments.watch => {
            renew::watch::watch(&connect().await?, &output, &arguments, global.verbose).await
        }
        Command::Renew(arguments) => {
            renew::once::renew(&connect().await?, &output, &arguments).await
        }
        Command::Verify(arguments) => verify::verify(&global, &output, arguments).await,
        Command::Report(arguments) => report::report(&connect().await?, &output, &arguments).await,
        Command::Journal(arguments) => journal::run(&journal?, output, arguments.command),
        Command::Simulate(arguments) => simulate::simulate(&output, &arguments).await,
        Command::Completions(arguments) => paper::completions(&output, &arguments),
        Command::Man(arguments) => paper::man(&output, &arguments),
    }
}
