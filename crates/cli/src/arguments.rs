//! The command line: the common options, which commands take them, and the help.

mod mistake;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, StyledStr, TypedValueParser as _};
use clap::{
    Arg, ArgAction, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand as _,
    ValueEnum, ValueHint,
};

use crate::commands::{AccountCommand, Command};
use crate::time;

/// The name of the program, as its help shows it.
pub(crate) const NAME: &str = "cf-service-tokens";

/// The exit codes, as the help shows them; the README has the same.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  all is well
  1  failure: a token was not found or not renewed, has expired, or does not open the app,
     or a rotation or a check of `doctor` failed
  2  invalid usage; nothing was changed
  3  the credentials are missing, refused, or lack a permission; or Cloudflare's edge, a
     proxy, or an account without Access refuses the caller
  4  the API, or the app of `verify`, is unreachable or unavailable, its answer is unclear,
     or an interrupted create or rotate may still take effect; try again later
  5  --dry-run found something to do, and no failure

Try it with nothing configured:
  cf-service-tokens --simulate list
  cf-service-tokens --simulate renew --dry-run

With an API token that has the permission \"Access: Service Tokens Write\":
  export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
  cf-service-tokens renew --within 30d";

/// The end of the short help.
const FIRST_STEPS: &str = "\
Try it with nothing configured:
  cf-service-tokens --simulate list

`cf-service-tokens help COMMAND` explains a command.";

/// Keep Cloudflare Access service tokens alive.
///
/// A service token lets a machine pass Cloudflare Access. It expires a year after it
/// was created, and then the app behind Access refuses it with 401 or 403. `renew` moves
/// the expiry of every due token to a year from now; the secret stays the same.
/// `rotate` makes a new secret and stores it safely.
///
/// Credentials come from the environment (CLOUDFLARE_API_TOKEN, or
/// CLOUDFLARE_EMAIL with CLOUDFLARE_API_KEY) or from a file (--api-token-file),
/// never from the command line, which other users of the machine can read. Times
/// are in UTC. A SPAN of time has the units w, d, h, m and s, such as 30d or 1d12h.
#[derive(Debug, Parser)]
#[command(name = "cf-service-tokens", version, max_term_width = 100)]
#[command(after_help = FIRST_STEPS, after_long_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The common options, which may be given before the command, too. [`common_options`] says
/// which command takes which.
#[derive(Args, Debug)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Global {
    /// The id of the account; `renew`, `report` and `doctor` take several [env: CLOUDFLARE_ACCOUNT_ID]
    #[arg(long, value_name = "ID", action = ArgAction::Append)]
    pub(crate) account: Vec<String>,
    /// A file that holds only the API token, or - for standard input; replaces the
    /// credentials in the environment [env: CLOUDFLARE_API_TOKEN_FILE]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) api_token_file: Option<PathBuf>,
    /// The format of results on standard output
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
    /// Use a throwaway simulated account
    ///
    /// The account has ten tokens: some are due, expired or disabled, or never expire.
    /// It needs no credentials, and nothing leaves the machine.
    /// To keep a simulated account between commands, use `simulate`.
    #[arg(long)]
    pub(crate) simulate: bool,
    /// Print only results and errors; of several tokens, `report`, `renew`, `keep` and changes
    /// show only those that failed, have expired or are due
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Show each request to the API, and each wait, on standard error, without secrets;
    /// -vv also shows the traces of the SDK
    #[arg(long, short, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How long each call may take, with its retries and its waits for the rate limit, at
    /// most 15m [default: 3m, and 15m for renewals]
    #[arg(long, value_name = "SPAN", hide_short_help = true, value_parser = time::deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Where `create`, `rotate` and `keep` record their intent, and the secret until it is
    /// stored
    ///
    /// The default is $STATE_DIRECTORY, or the directory cf-service-tokens in
    /// $XDG_STATE_HOME or ~/.local/state. The directory must survive a crash, belong to
    /// the user who runs the command, and be writable by nobody else.
    #[arg(
        long,
        value_name = "DIRECTORY",
        value_hint = ValueHint::DirPath,
        env = "CF_SERVICE_TOKENS_JOURNAL",
        hide_env_values = true,
        hide_short_help = true,
        // An empty variable counts as one that is not set.
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    pub(crate) journal: Option<PathBuf>,
}

/// The format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: aligned columns, fitted to the terminal
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line, as results arrive
    Jsonl,
}

/// Returns the ids of the common options that a command takes: those it does not ignore.
fn common_options(command: &str) -> &'static [&'static str] {
    match command {
        "verify" => &["output", "simulate", "quiet", "verbose"],
        "journal" => &["output", "quiet", "journal"],
        "simulate" => &["quiet"],
        // The file names the accounts.
        "keep" => &["output", "quiet", "verbose", "deadline", "journal"],
        command if AccountCommand::has_subcommand(command) => &[
            "account",
            "api_token_file",
            "output",
            "simulate",
            "quiet",
            "verbose",
            "deadline",
            "journal",
        ],
        _ => &[],
    }
}

/// Returns the definition of the command line, with the common options of each command
/// among its own, as completions and manual pages show it.
pub(crate) fn definition() -> clap::Command {
    let common = Global::augment_args(clap::Command::new(NAME));
    Arguments::command().mut_subcommands(|command| {
        let taken = common_options(command.get_name());
        let taken = common
            .get_arguments()
            .filter(|option| taken.contains(&option.get_id().as_str()));
        // So that their values count wherever they stand.
        let taken = taken.map(|option| option.clone().global(true));
        command.args(taken.collect::<Vec<_>>())
    })
}

/// Returns the definition as the help shows it: each command with its own options, and the
/// common ones in one paragraph.
fn with_short_help() -> clap::Command {
    definition().mut_subcommands(|command| {
        let common: Vec<_> = command
            .get_arguments()
            .filter(|arg| is_common(arg))
            .collect();
        if common.is_empty() {
            return command;
        }
        let names: Vec<String> = common.into_iter().map(short_form).collect();
        let paragraph = format!(
            "Common options: {}\n`{NAME} help options` explains them.",
            names.join(", ")
        );
        let command = command.mut_args(|arg| {
            let hide = arg.is_hide_set() || is_common(&arg);
            arg.hide(hide)
        });
        followed_by(command, &paragraph)
    })
}

fn is_common(arg: &Arg) -> bool {
    arg.is_global_set()
}

/// Returns the shortest form of an option, such as `-o`.
fn short_form(option: &Arg) -> String {
    match (option.get_short(), option.get_long()) {
        (Some(short), _) => format!("-{short}"),
        (None, long) => format!("--{}", long.unwrap_or_default()),
    }
}

/// Ends the help of a command, and of those below it, with a paragraph.
fn followed_by(command: clap::Command, paragraph: &str) -> clap::Command {
    let long = command
        .get_after_long_help()
        .map(|text| format!("{text}\n\n{paragraph}"));
    let command = match long {
        Some(long) => command.after_long_help(long),
        None => command,
    };
    command
        .after_help(paragraph.to_owned())
        .mut_subcommands(|command| followed_by(command, paragraph))
}

/// Reads a command line, which begins with the name of the program. An error may also be
/// the help that the line asks for.
pub(crate) fn parse(
    line: impl IntoIterator<Item = impl Into<OsString>>,
) -> Result<Arguments, clap::Error> {
    let line: Vec<OsString> = line.into_iter().map(Into::into).collect();
    let mut definition = with_short_help();
    definition
        .try_get_matches_from_mut(&line)
        .map_err(|error| mistake::explained(error, &definition, &line))
        .and_then(|mut matches| {
            mistake::refuse_ignored(&mut definition, &matches)?;
            let arguments = Arguments::from_arg_matches_mut(&mut matches);
            arguments.map_err(|error| error.format(&mut definition))
        })
        .map_err(mistake::without_secrets)
}

/// Returns the help of a command, as the error that clap makes of it, or the error about a
/// command that does not exist.
pub(crate) fn help_of(command: &[String]) -> Result<Arguments, clap::Error> {
    let mut definition = with_short_help();
    // So that the usage of a command below another one is complete.
    definition.build();
    let mut parent = &mut definition;
    for name in command {
        let unknown = mistake::without_secrets(mistake::unknown_command(parent, name));
        parent = parent.find_subcommand_mut(name).ok_or(unknown)?;
    }
    let line = [NAME].into_iter().chain(command.iter().map(String::as_str));
    parse(line.chain(["--help"]))
}

/// Returns the help of the common options.
pub(crate) fn help_of_common_options() -> StyledStr {
    Global::augment_args(clap::Command::new(NAME))
        .disable_help_flag(true)
        .help_template("{all-args}")
        .max_term_width(100)
        .render_long_help()
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464".to_owned()
    })
}
