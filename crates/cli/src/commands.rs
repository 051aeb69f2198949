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

use cf_service_tokens::{Event, Retry};

use crate::arguments::{AccountCommand, Arguments, Command, Global};
use crate::connection::Connection;
use crate::failure::{Exit, Failure, Permission};
use crate::output::Output;
use crate::progress::{Progress, Waits};
use crate::renew;
use crate::secret::journal::Journal;
use crate::secret::recover;
use crate::serve::Calls;
use crate::signal;

pub(crate) use verify::Verify;

/// Carries the command out.
pub(crate) async fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { global, command } = arguments;
    signal::survive_file_size_limit()?;
    let output = Output::new(&global);
    let journal = Journal::locate(&global);
    match command {
        Command::Verify(arguments) => verify::verify(&global, &output, arguments).await,
        Command::Journal(arguments) => journal::run(&journal?, output, arguments.command).await,
        Command::Simulate(arguments) => simulate::simulate(&output, &arguments).await,
        Command::Completions(arguments) => paper::completions(&output, &arguments),
        Command::Man(arguments) => paper::man(&output, &arguments),
        Command::OnAccount(command) => on_account(&global, journal, output, command).await,
    }
}

/// Carries out a command that calls the API.
async fn on_account(
    global: &Global,
    journal: Result<Journal, Failure>,
    output: Output,
    command: AccountCommand,
) -> Result<Exit, Failure> {
    // A renewal, which nobody waits for, has more patience than what people do.
    let retry = match &command {
        AccountCommand::Renew(_) => Retry::default(),
        _ => Retry::default().attempts(4),
    };
    let needs = match &command {
        AccountCommand::List(_) | AccountCommand::Show(_) | AccountCommand::Report(_) => {
            Permission::Read
        }
        AccountCommand::Renew(arguments) if arguments.dry_run => Permission::Read,
        _ => Permission::Write,
    };
    let waits = Waits::new(global.quiet, global.verbose);
    let calls = Calls::new();
    let on_event = {
        let (waits, calls) = (waits.clone(), calls.clone());
        move |event: &Event<'_>| {
            waits.note(event);
            calls.note(event);
        }
    };
    let mut connection = Connection::open(global, retry, needs, on_event).await?;
    // These two find what an earlier run left by themselves.
    let is_issue = matches!(
        command,
        AccountCommand::Create(_) | AccountCommand::Rotate(_)
    );
    if let (Ok(journal), false) = (&journal, is_issue) {
        recover::tell(journal);
    }
    let exit = match command {
        AccountCommand::List(arguments) => list::list(&connection, &output, &arguments).await,
        AccountCommand::Show(token) => list::show(&connection, &output, &token.id).await,
        AccountCommand::Create(arguments) => {
            create::create(&connection, &journal?, output, arguments).await
        }
        AccountCommand::Update(arguments) => {
            change::update(&connection, journal, &output, arguments).await
        }
        AccountCommand::Enable(tokens) => {
            change::enable(&connection, &output, &tokens.ids, true).await
        }
        AccountCommand::Disable(tokens) => {
            change::enable(&connection, &output, &tokens.ids, false).await
        }
        AccountCommand::Delete(arguments) => change::delete(&connection, &output, &arguments).await,
        AccountCommand::Refresh(tokens) => change::refresh(&connection, &output, &tokens.ids).await,
        AccountCommand::Rotate(arguments) => {
            rotate::rotate(&connection, &journal?, output, arguments).await
        }
        AccountCommand::Renew(arguments) if arguments.watch => {
            renew::watch::watch(&mut connection, &output, &arguments, calls).await
        }
        AccountCommand::Renew(arguments) => {
            let is_silent = global.quiet || !output.is_table();
            let progress = Progress::new(is_silent, global.verbose, &waits);
            renew::once::renew(&connection, &output, &arguments, progress).await
        }
        AccountCommand::Report(arguments) => report::report(&connection, &output, &arguments).await,
    };
    exit.map_err(|failure| connection.explain(failure))
}
