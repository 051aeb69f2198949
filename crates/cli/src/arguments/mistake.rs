//! The advice of errors about a command line, in place of clap's guesses: the nearest
//! option or command, or the command that has the option.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Error};

use super::NAME;
use crate::credential::SECRET_PREFIXES;

/// The options of other programs, and the option here with the same purpose.
const OPTIONS_ELSEWHERE: &[(&str, &str)] = &[
    ("json", "-o json"),
    ("jsonl", "-o jsonl"),
    ("format", "--output"),
    ("force", "--yes"),
    ("token", "--api-token-file"),
    ("api-token", "--api-token-file"),
    ("days", "--within"),
];

/// The commands of other programs, and the command here with the same purpose.
const COMMANDS_ELSEWHERE: &[(&str, &str)] = &[
    ("ls", "list"),
    ("get", "show"),
    ("describe", "show"),
    ("new", "create"),
    ("add", "create"),
    ("rm", "delete"),
    ("remove", "delete"),
    ("status", "report"),
    ("check", "report"),
    ("test", "verify"),
];

/// Replaces clap's guesses by advice.
pub(super) fn explained(mut error: Error, definition: &Command, line: &[OsString]) -> Error {
    let tip = match error.kind() {
        ErrorKind::UnknownArgument => invalid(&error, ContextKind::InvalidArg)
            .and_then(|option| about_option(definition, called(definition, line), &option)),
        ErrorKind::InvalidSubcommand => invalid(&error, ContextKind::InvalidSubcommand)
            .map(|name| about_command(called(definition, line), &name)),
        _ => return error,
    };
    for guess in [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::Suggested,
    ] {
        error.remove(guess);
    }
    if let Some(tip) = tip {
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

/// The maximum length of an id, the longest text to type that is no secret.
const MAX_ID_LEN: usize = 36;

/// Removes from an error what may be a secret, which someone has typed in place of an id or
/// after an option that does not exist.
pub(super) fn without_secrets(error: Error) -> Error {
    let text = error.render().to_string();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_secret = |word: &&str| {
        word.len() > MAX_ID_LEN || SECRET_PREFIXES.iter().any(|start| word.contains(start))
    };
    let secrets: Vec<&str> = text.split(|c| !is_word(c)).filter(is_secret).collect();
    // Help contains none.
    if secrets.is_empty() || !error.use_stderr() {
        return error;
    }
    let shown = secrets.into_iter().fold(text.clone(), |text, secret| {
        text.replace(secret, "[redacted]")
    });
    Error::raw(error.kind(), shown.trim_start_matches("error: "))
}

/// The options that say where a real account and its secrets are.
const OF_REAL_ACCOUNT: [&str; 2] = ["api_token_file", "journal"];

/// Refuses a common option before a command that would ignore it, and with `--simulate`.
pub(super) fn refuse_ignored(definition: &mut Command, matches: &ArgMatches) -> Result<(), Error> {
    let Some((name, _)) = matches.subcommand() else {
        return Ok(());
    };
    let Some(command) = definition.find_subcommand(name) else {
        return Ok(());
    };
    let is_simulated = matches.get_flag("simulate");
    let ignored = definition.get_arguments().find_map(|option| {
        if !is_typed(matches, option) {
            return None;
        }
        let id = option.get_id();
        let is_taken = command.get_arguments().any(|taken| taken.get_id() == id);
        let is_of_real = OF_REAL_ACCOUNT.contains(&id.as_str());
        let by = match is_taken {
            true if is_simulated && is_of_real => "--simulate",
            true => return None,
            false => name,
        };
        Some(no_use(by, &format!("--{}", option.get_long()?)))
    });
    match ignored {
        None => Ok(()),
        Some(message) => Err(definition.error(ErrorKind::ArgumentConflict, message)),
    }
}

/// Whether an option is on the command line, and not only in the environment.
fn is_typed(matches: &ArgMatches, option: &Arg) -> bool {
    let source = matches.value_source(option.get_id().as_str());
    source == Some(ValueSource::CommandLine)
}

/// Returns the error about a command that does not exist.
pub(super) fn unknown_command(parent: &mut Command, name: &str) -> Error {
    let message = format!(
        "there is no command `{name}`; {}",
        about_command(parent, name)
    );
    parent.error(ErrorKind::InvalidSubcommand, message)
}

fn invalid(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(value) => Some(value.clone()),
        _ => None,
    }
}

/// Returns the command that a line calls, as far as the line names one.
fn called<'a>(definition: &'a Command, line: &[OsString]) -> &'a Command {
    line.iter().skip(1).fold(definition, |command, word| {
        command.find_subcommand(word).unwrap_or(command)
    })
}

fn about_option(definition: &Command, command: &Command, option: &str) -> Option<String> {
    let is_common = definition.get_arguments().any(|arg| {
        let long = arg
            .get_long()
            .is_some_and(|long| option == format!("--{long}"));
        long || arg
            .get_short()
            .is_some_and(|short| option == format!("-{short}"))
    });
    if is_common {
        return Some(no_use(full_name(command), option));
    }
    if command.get_name() == "renew" && !option.starts_with('-') {
        let tip = "`renew` renews all due tokens; for one token, use `refresh`, or `renew --only`";
        return Some(tip.to_owned());
    }
    let name = option.strip_prefix("--")?;
    let has = |command: &Command, long: &str| {
        command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(long))
    };
    let elsewhere = same_purpose(OPTIONS_ELSEWHERE, name).filter(|same| {
        let long = same.strip_prefix("--").unwrap_or("output");
        has(command, long)
    });
    if let Some(same) = elsewhere {
        return Some(format!("use `{same}`"));
    }
    let options = command.get_arguments().filter_map(|arg| arg.get_long());
    if let Some(near) = nearest(name, options) {
        return Some(format!("a similar option exists: `--{near}`"));
    }
    let owners: Vec<String> = definition
        .get_subcommands()
        .filter(|command| has(command, name))
        .map(|command| format!("`{}`", command.get_name()))
        .collect();
    match owners.split_last() {
        // Such as `update --enabled false`.
        None => {
            let mut commands = definition.get_subcommands().map(Command::get_name);
            let near = commands.find(|command| name.starts_with(command))?;
            Some(format!("a similar command exists: `{near}`"))
        }
        Some((only, [])) => Some(format!("`{option}` is an option of {only}")),
        Some((last, others)) => {
            let others = others.join(", ");
            Some(format!("`{option}` is an option of {others} and {last}"))
        }
    }
}

/// Returns the name of a command with those of the commands above it, such as `journal list`.
fn full_name(command: &Command) -> &str {
    let with_program = command.get_bin_name().and_then(|name| name.split_once(' '));
    with_program.map_or(command.get_name(), |(_, name)| name)
}

fn no_use(command: &str, option: &str) -> String {
    format!("`{command}` has no use for `{option}`")
}

fn about_command(command: &Command, name: &str) -> String {
    let same = same_purpose(COMMANDS_ELSEWHERE, name)
        .filter(|same| command.find_subcommand(same).is_some());
    let names = command.get_subcommands().map(Command::get_name);
    match same.or_else(|| nearest(name, names)) {
        Some(near) => format!("a similar command exists: `{near}`"),
        None if command.get_name() == NAME => format!("`{NAME} help` lists the commands"),
        None => format!("`{NAME} help {}` lists the commands", command.get_name()),
    }
}

fn same_purpose(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let row = table.iter().find(|(elsewhere, _)| *elsewhere == name)?;
    Some(row.1)
}

/// Returns the name that `typed` was probably meant to be: one that it begins, or one that
/// few slips of the finger make of it.
fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let slips = |name: &str| match typed.len() >= 3 && name.starts_with(typed) {
        true => 0,
        false => strsim::damerau_levenshtein(typed, name),
    };
    let (slips, name) = names.map(|name| (slips(name), name)).min()?;
    (slips <= 1 + typed.len() / 5).then_some(name)
}
