//! `completions`: made from the command line's own definition. No completion runs the
//! command, so none calls the API.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Args, Command, ValueEnum, ValueHint};
use clap_complete::Shell as Generator;

use crate::arguments::{self, NAME};
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  cf-service-tokens completions bash > ~/.local/share/bash-completion/completions/cf-service-tokens
  cf-service-tokens completions zsh > \"${fpath[1]}/_cf-service-tokens\"
  cf-service-tokens completions fish > ~/.config/fish/completions/cf-service-tokens.fish")]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The beginnings of a sink that is not only the name of a file.
const SINKS: [&str; 5] = ["file:", "env-file:", "command:", "github-env", "stdout"];

/// The repairs of what clap_complete writes: in bash, an arm of its `case` names a command
/// in another way than the loop above does, if the name of the program has a hyphen
/// (clap-rs/clap#6421), so none would match. And no space may follow `env-file:`.
const BASH: &[(&str, &str)] = &[
    ("cf__subcmd__service__subcmd__tokens", "cf__service__tokens"),
    (
        r#"COMPREPLY=($(compgen -W "file: env-file: command: github-env stdout" -- "${cur}"))"#,
        r#"COMPREPLY=($(compgen -W "file: env-file: command: github-env stdout" -- "${cur}"))
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o nospace
                    fi"#,
    ),
];

/// In zsh and fish, an option with known values would complete no files.
const ZSH: &[(&str, &str)] = &[
    (
        r":SINK:(file\: env-file\: command\: github-env stdout)",
        ":SINK:_cf-service-tokens_sinks",
    ),
    (
        "autoload -U is-at-least\n",
        "autoload -U is-at-least

_cf-service-tokens_sinks() {
    if ! compset -P '(|env-)file:'; then
        compadd -S '' -- file: env-file: command: github-env stdout
    fi
    _files
}
",
    ),
];
const FISH: &[(&str, &str)] = &[("-r -f -a \"file:", "-r -F -a \"file:")];

pub(crate) fn completions(output: &Output, arguments: &Completions) -> Result<Exit, Failure> {
    let script = script(arguments.shell).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "the completions have an unexpected form, and would not work",
        )
    })?;
    output.write(|out, _| out.write_all(script.as_bytes()))?;
    Ok(Exit::Success)
}

/// Returns the script for a shell; `None` if clap writes another one than is repaired here.
fn script(shell: Shell) -> Option<String> {
    let mut definition = definition();
    let (generator, repairs) = match shell {
        Shell::Bash => (Generator::Bash, BASH),
        Shell::Zsh => (Generator::Zsh, ZSH),
        Shell::Fish => (Generator::Fish, FISH),
    };
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut definition, NAME, &mut script);
    let script = String::from_utf8(script).ok()?;
    let script = repairs.iter().try_fold(script, |script, (wrong, right)| {
        script.contains(wrong).then(|| script.replace(wrong, right))
    })?;
    Some(match shell {
        Shell::Fish => script + &positionals(&definition),
        Shell::Bash | Shell::Zsh => script,
    })
}

/// Returns what fish completes in place of an argument with known values, which
/// clap_complete leaves out.
fn positionals(definition: &Command) -> String {
    let mut script = String::new();
    for command in definition.get_subcommands() {
        for argument in command.get_positionals() {
            let values = argument.get_possible_values();
            let values: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
            if !values.is_empty() {
                script += &format!(
                    "complete -c {NAME} -n \"__fish_cf_service_tokens_using_subcommand {}\" -f -a \"{}\"\n",
                    command.get_name(),
                    values.join(" ")
                );
            }
        }
    }
    script
}

/// Returns the definition of the command line, with the values that are known.
fn definition() -> Command {
    let definition = arguments::definition();
    let mut topics: Vec<String> = definition
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    topics.push("options".to_owned());
    fn with_values(command: Command, topics: &[String]) -> Command {
        let is_help = command.get_name() == "help";
        let value = |arg: Arg| match arg.get_id().as_str() {
            "secret_to" => arg.value_parser(PossibleValuesParser::new(SINKS)),
            "command" if is_help => arg.value_parser(PossibleValuesParser::new(topics.to_vec())),
            // Otherwise bash would complete the names of files.
            _ if arg.get_action().takes_values() && arg.get_value_hint() == ValueHint::Unknown => {
                arg.value_hint(ValueHint::Other)
            }
            _ => arg,
        };
        command
            .mut_args(value)
            .mut_subcommands(|command| with_values(command, topics))
    }
    with_values(definition, &topics)
}
