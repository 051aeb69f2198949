//! The command `cf-service-tokens`: keeps Cloudflare Access service tokens alive.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

#[cfg(not(unix))]
compile_error!("the command supports Linux and macOS; the SDK also works elsewhere");

mod arguments;
mod commands;
mod config;
mod connection;
mod credential;
mod failure;
mod hook;
mod keep;
mod notify;
mod output;
mod progress;
mod records;
mod renew;
mod risk;
#[cfg(test)]
mod schemas;
mod secret;
mod serve;
mod signal;
mod time;
mod tracing;

use std::env;
use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};

fn main() -> ExitCode {
    let arguments = arguments::parse(env::args_os()).unwrap_or_else(|error| error.exit());
    if arguments.global.verbose > 1 {
        tracing::to_stderr();
    }
    let exit = run(arguments).unwrap_or_else(|failure| {
        failure.show();
        failure.exit
    });
    exit.into()
}

fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, "the command can't start").because(error))?;
    runtime.block_on(commands::run(arguments))
}
