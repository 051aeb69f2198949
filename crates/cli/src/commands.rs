//! The commands.

mod completions;
mod config_schema;
mod confirm;
mod create;
mod delete;
pub(crate) mod doctor;
mod each;
mod enable;
mod help;
pub(crate) mod issue;
pub(crate) mod journal;
mod list;
mod man;
mod refresh;
pub(crate) mod report;
mod rotate;
pub(crate) mod select;
pub(crate) mod show;
mod simulate;
pub(crate) mod update;
pub(crate) mod verify;

use cf_service_tokens::{Event, Retry};
use clap::Subcommand;

use crate::arguments::{Arguments, Global};
use crate::connection::{Api, Connection};
use crate::failure::{Exit, Failure, Permission};
use crate::keep::{self, Keep, Keeper};
use crate::notify::Fault;
use crate::output::{self, Output};
use crate::progress::{CallLog, Progress};
use crate::renew::{Renew, once, watch};
use crate::secret::journal::Journal;
use crate::secret::recover;
use crate::serve::Calls;
use crate::signal;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    OnAccount(AccountCommand),
    /// Try a token's secret on an app behind Access
    Verify(verify::Verify),
    /// List, finish or discard an interrupted `create` or `rotate`
    Journal(journal::JournalArguments),
    /// Run a simulator of Cloudflare's API, to try the command without an account
    Simulate(simulate::Simulate),
    /// Print the script that completes commands and options in a shell
    Completions(completions::Completions),
    /// Print the JSON Schema of the configuration file, for editors
    #[command(after_long_help = config_schema::EXAMPLES)]
    ConfigSchema,
    /// Print the manual page, or write one for each command
    Man(man::Man),
    /// Print the help of a command, or of the common options
    Help(help::Help),
}

/// The commands that call the API.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// List service tokens and their expiry
    List(list::List),
    /// Show upcoming expirations, soonest first
    Report(report::Report),
    /// Show one token, what uses it and what may end it
    Show(show::Show),
    /// Renew all due tokens
    Renew(Renew),
    /// Renew due tokens and rotate old secrets, by the rules of a configuration file
    Keep(Keep),
    /// Move the expiry of tokens to a year from now; their secrets stay the same
    Refresh(each::Tokens),
    /// Give a token a new secret, and store it in --secret-to
    Rotate(rotate::Rotate),
    /// Create a token, and store its secret in --secret-to
    Create(create::Create),
    /// Change a token's name or duration, or when its old secret expires
    Update(update::Update),
    /// Enable disabled tokens
    Enable(each::Tokens),
    /// Disable tokens without deleting them
    Disable(each::Tokens),
    /// Delete tokens
    Delete(delete::Delete),
    /// Check everything that renewals depend on, and say what to do
    Doctor(doctor::Doctor),
}

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
        Command::Completions(arguments) => completions::completions(&output, &arguments),
        Command::ConfigSchema => config_schema::config_schema(&output),
        Command::Man(arguments) => man::man(&output, &arguments),
        Command::Help(arguments) => help::help(&output, &arguments),
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
    let watches = match &command {
        AccountCommand::Renew(arguments) => arguments.passes.watch,
        AccountCommand::Keep(arguments) => arguments.passes.watch,
        _ => false,
    };
    if watches {
        output::start_writers()?;
    }
    // A renewal, which nobody waits for, has more patience than what people do.
    let retry = match &command {
        AccountCommand::Renew(_) | AccountCommand::Keep(_) => Retry::default(),
        _ => Retry::default().attempts(4),
    };
    let needs = match &command {
        AccountCommand::List(_) | AccountCommand::Show(_) | AccountCommand::Report(_) => {
            Permission::Read
        }
        AccountCommand::Renew(arguments) if arguments.dry_run => Permission::Read,
        AccountCommand::Keep(arguments) if arguments.dry_run => Permission::Read,
        _ => Permission::Write,
    };
    let log = CallLog::new(global.quiet, global.verbose > 0);
    let calls = Calls::new();
    let on_event = {
        let (log, calls) = (log.clone(), calls.clone());
        move |event: &Event<'_>| {
            log.note(event);
            calls.note(event);
        }
    };
    let config = match &command {
        AccountCommand::Report(arguments) => {
            let all_accounts = arguments.everywhere.all_accounts;
            arguments.config.read(global, all_accounts)?
        }
        AccountCommand::Doctor(arguments) => {
            let all_accounts = arguments.everywhere.all_accounts;
            arguments.config.read(global, all_accounts)?
        }
        AccountCommand::Keep(arguments) => Some(arguments.config(global)?),
        _ => None,
    };
    let all_accounts = match &command {
        AccountCommand::Renew(arguments) => arguments.everywhere.all_accounts,
        AccountCommand::Report(arguments) => arguments.everywhere.all_accounts,
        AccountCommand::Doctor(arguments) => arguments.everywhere.all_accounts,
        _ => false,
    };
    let api = match &config {
        Some(config) => Api::configured(config, global, retry, needs, on_event),
        None => Api::open(global, all_accounts, retry, needs, on_event).await,
    };
    let api = match (api, &config, &command) {
        (Err(failure), Some(config), AccountCommand::Keep(arguments)) if !arguments.dry_run => {
            config.notify.report(&[Fault::new(&failure)]).await;
            return Err(failure);
        }
        (api, ..) => api?,
    };
    // These find what an earlier run left by themselves.
    let looks_itself = matches!(
        command,
        AccountCommand::Create(_)
            | AccountCommand::Rotate(_)
            | AccountCommand::Keep(_)
            | AccountCommand::Doctor(_)
    );
    if let (Ok(journal), false) = (&journal, looks_itself) {
        recover::tell(journal);
    }
    match command {
        AccountCommand::List(arguments) => {
            let list = async |connection: &_| list::list(connection, &output, &arguments).await;
            on_one(&api, list).await
        }
        AccountCommand::Show(arguments) => {
            let journal = journal.as_ref().ok();
            let show =
                async |connection: &_| show::show(connection, journal, &output, &arguments).await;
            on_one(&api, show).await
        }
        AccountCommand::Create(arguments) => {
            let journal = journal?;
            let create = async |connection: &_| {
                create::create(connection, &journal, output, arguments).await
            };
            on_one(&api, create).await
        }
        AccountCommand::Update(arguments) => {
            let update = async |connection: &_| {
                update::update(connection, journal, &output, arguments).await
            };
            on_one(&api, update).await
        }
        AccountCommand::Enable(tokens) => {
            let enable =
                async |connection: &_| enable::enable(connection, &output, &tokens, true).await;
            on_one(&api, enable).await
        }
        AccountCommand::Disable(tokens) => {
            let disable =
                async |connection: &_| enable::enable(connection, &output, &tokens, false).await;
            on_one(&api, disable).await
        }
        AccountCommand::Delete(arguments) => {
            let journal = journal.as_ref().ok();
            let delete = async |connection: &_| {
                delete::delete(connection, journal, &output, &arguments).await
            };
            on_one(&api, delete).await
        }
        AccountCommand::Refresh(tokens) => {
            let refresh =
                async |connection: &_| refresh::refresh(connection, &output, &tokens).await;
            on_one(&api, refresh).await
        }
        AccountCommand::Rotate(arguments) => {
            let journal = journal?;
            let rotate = async |connection: &_| {
                rotate::rotate(connection, &journal, output, arguments).await
            };
            on_one(&api, rotate).await
        }
        AccountCommand::Renew(arguments) if arguments.passes.watch => {
            watch::watch(api, &output, &arguments, calls).await
        }
        AccountCommand::Renew(arguments) => {
            let is_silent = global.quiet || !output.is_table();
            let progress = Progress::new(is_silent, global.verbose > 0, &log);
            once::renew(&api, &output, &arguments, progress).await
        }
        AccountCommand::Keep(arguments) => {
            // It is read for this command.
            let Some(config) = config else {
                return Err(keep::no_file());
            };
            let keeper = Keeper::new(config, journal, arguments.dry_run)?;
            if arguments.passes.watch {
                return keep::watch(api, keeper, &output, &arguments, calls).await;
            }
            let is_silent = global.quiet || !output.is_table();
            let progress = Progress::new(is_silent, global.verbose > 0, &log);
            keep::keep(&api, &keeper, &output, &arguments, progress).await
        }
        AccountCommand::Report(arguments) => {
            let journal = journal.as_ref().ok();
            report::report(&api, config.as_ref(), journal, &output, &arguments).await
        }
        AccountCommand::Doctor(arguments) => {
            let config = config.as_ref();
            doctor::doctor(&api, config, global, journal, &output, &arguments).await
        }
    }
}

/// Carries out a command that works on one account.
async fn on_one(
    api: &Api,
    run: impl AsyncFnOnce(&Connection) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let connection = api.account()?;
    let exit = run(&connection).await;
    exit.map_err(|failure| connection.explain(failure))
}
