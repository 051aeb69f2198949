//! `completions`: made from the command line's own definition.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  cf-service-tokens completions bash > /etc/bash_completion.d/cf-service-tokens
  cf-service-tokens completions zsh > \"${fpath[1]}/_cf-service-tokens\"
  cf-service-tokens completions fish > ~/.config/fish/completions/cf-service-tokens.fish")]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

pub(crate) fn completions(output: &Output, arguments: &Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(
        arguments.shell,
        &mut command,
        "cf-service-tokens",
        &mut script,
    );
    output.write(|out, _| out.write_all(&script))?;
    Ok(Exit::Success)
}
