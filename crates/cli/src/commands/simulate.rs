//! `simulate`: the simulator in the foreground, with each request shown.

use std::io::{self, Write};
use std::net::SocketAddr;

use cf_service_tokens_simulator::{ReceivedRequest, Simulator};
use chrono::Utc;
use clap::Args;

use crate::arguments::address;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};

#[derive(Args, Debug)]
#[command(after_long_help = "\
Prints the variables that the command needs, as shell commands, and shows each request
on standard error. In one terminal:
  cf-service-tokens simulate > simulator.env

In another:
  . ./simulator.env
  cf-service-tokens list

Its responses hold what Cloudflare's document promises and nothing more. The program
cf-service-tokens-simulator has options for an API that differs from the document.")]
pub(crate) struct Simulate {
    /// The loopback address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = address)]
    pub(crate) listen: SocketAddr,
}

pub(crate) async fn simulate(output: &Output, arguments: &Simulate) -> Result<Exit, Failure> {
    if !arguments.listen.ip().is_loopback() {
        let words = format!("{} is not a loopback address", arguments.listen);
        return Err(Failure::usage(words).next(
            "choose one, such as 127.0.0.1:0; the program cf-service-tokens-simulator \
             listens on any address",
        ));
    }
    let quiet = output.quiet;
    let simulator = Simulator::builder()
        .believable_account()
        .listen(arguments.listen)
        .on_request(move |request| {
            if !quiet {
                output::progress(&words(request));
            }
        })
        .start()
        .await
        .map_err(|error| {
            Failure::usage(format!("can't simulate on {}", arguments.listen))
                .because(error)
                .next("use a free port of a loopback address, such as 127.0.0.1:0")
        })?;
    simulator
        .serve_until_interrupted(|simulator| output.try_write(|out, _| introduce(out, simulator)))
        .await
        .map_err(|error| Failure::new(Exit::Failed, "the simulator has stopped").because(error))?;
    Ok(Exit::Success)
}

/// Writes the environment of a client, as a shell reads it.
fn introduce(out: &mut dyn Write, simulator: &Simulator) -> io::Result<()> {
    for (name, value) in simulator.environment() {
        writeln!(out, "export {name}={value}")?;
    }
    writeln!(out, "# an app behind Access: {}", simulator.protected_url())
}

fn words(request: &ReceivedRequest) -> String {
    let status = match request.status {
        Some(status) => status.to_string(),
        None => "no response".to_owned(),
    };
    let query = request.query.as_ref().map(|query| format!("?{query}"));
    format!(
        "{} {} {}{} {status}{}",
        Utc::now().format("%H:%M:%S"),
        request.method,
        request.path,
        query.unwrap_or_default(),
        if request.changed { ", changed" } else { "" },
    )
}
