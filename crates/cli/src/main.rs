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
mod prove;
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

use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::{array, env, io, thread};

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};

fn main() -> ExitCode {
    let ended = match arguments::parse(env::args_os()) {
        Ok(arguments) => run(arguments),
        Err(answer) => output::answer(&answer),
    };
    let exit = ended.unwrap_or_else(|failure| {
        failure.show();
        failure.exit
    });
    output::finish();
    exit.into()
}

fn run(arguments: Arguments) -> Result<Exit, Failure> {
    if arguments.global.verbose > 1 {
        tracing::to_stderr();
    }
    check_limits()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot_start)?;
    runtime.block_on(commands::run(arguments))
}

/// Checks that the command may open the files that it needs (its own, connections, and pipes of
/// programs) and start a thread. Otherwise, Tokio panics, and a call that can't open a connection
/// is attempted until its deadline.
fn check_limits() -> Result<(), Failure> {
    let pairs: [_; 12] = array::from_fn(|_| UnixStream::pair());
    pairs
        .into_iter()
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| {
            cannot_start(error).next("allow it to open at least 64 files: `ulimit -n 64`")
        })?;
    thread::Builder::new().spawn(|| {}).map_err(|error| {
        cannot_start(error).next("raise the limit on threads, which `ulimit -u` shows")
    })?;
    Ok(())
}

fn cannot_start(error: io::Error) -> Failure {
    Failure::new(Exit::Failed, "the command can't start").because(error)
}
