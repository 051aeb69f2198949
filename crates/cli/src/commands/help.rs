//! `help`: the help of a command, or of the common options.

use clap::Args;

use crate::arguments;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  cf-service-tokens help rotate
  cf-service-tokens help journal finish
  cf-service-tokens help options")]
pub(crate) struct Help {
    /// A command, or `options` for the common options
    pub(crate) command: Vec<String>,
}

pub(crate) fn help(output: &Output, arguments: &Help) -> Result<Exit, Failure> {
    if arguments.command == ["options"] {
        let options = arguments::help_of_common_options();
        output.write(|out, _| write!(out, "{}", options.ansi()))?;
        return Ok(Exit::Success);
    }
    match arguments::help_of(&arguments.command) {
        Err(answer) => output::answer(&answer),
        Ok(_) => Ok(Exit::Success),
    }
}
