//! The simulator as a program: serves until interrupted, and prints what a
//! client needs to use it.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use cf_service_tokens_simulator::Simulator;
use clap::{Arg, ArgAction, Command, value_parser};

/// The code of a wrong command line, which clap uses as well.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = command().get_matches();
    let address: SocketAddr = arguments
        .get_one("listen")
        .copied()
        .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let seed: u64 = arguments.get_one("seed").copied().unwrap_or_default();
    let empty = arguments.get_flag("empty");

    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, format!("can't start: {error}")),
    };
    runtime.block_on(serve(address, seed, empty))
}

fn command() -> Command {
    Command::new("cf-service-tokens-simulator")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Simulates Cloudflare's API for Access service tokens on a loopback port")
        .long_about(
            "Simulates Cloudflare's API for Access service tokens on a loopback port.\n\n\
             Prints CLOUDFLARE_BASE_URL, CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID and \
             CLOUDFLARE_ZONE_ID, one NAME=value a line, and serves until interrupted. \
             What it holds is gone when it ends.",
        )
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDRESS")
                .value_parser(value_parser!(SocketAddr))
                .help("The loopback address to listen on [default: 127.0.0.1:0, a free port]"),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("N")
                .value_parser(value_parser!(u64))
                .help("What ids, secrets and credentials are generated from [default: 0]"),
        )
        .arg(
            Arg::new("empty")
                .long("empty")
                .action(ArgAction::SetTrue)
                .help("Starts without tokens, not with those of a believable account"),
        )
}

async fn serve(address: SocketAddr, seed: u64, empty: bool) -> ExitCode {
    let builder = Simulator::builder().listen(address).seed(seed);
    let builder = if empty {
        builder
    } else {
        builder.believable_account()
    };
    let simulator = match builder.start().await {
        Ok(simulator) => simulator,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return fail(USAGE, error),
        Err(error) => return fail(1, format!("can't listen on {address}: {error}")),
    };
    // Before the first line: who has read it may send the signal at once.
    let interruption = match interruption() {
        Ok(interruption) => interruption,
        Err(error) => return fail(1, format!("can't wait for signals: {error}")),
    };
    if let Err(error) = introduce(&simulator) {
        return fail(1, format!("can't write to standard output: {error}"));
    }
    interruption.await;
    ExitCode::SUCCESS
}

/// Prints the environment of a client.
fn introduce(simulator: &Simulator) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "CLOUDFLARE_BASE_URL={}", simulator.base_url())?;
    writeln!(out, "CLOUDFLARE_API_TOKEN={}", simulator.api_token())?;
    writeln!(out, "CLOUDFLARE_ACCOUNT_ID={}", simulator.account_id())?;
    writeln!(out, "CLOUDFLARE_ZONE_ID={}", simulator.zone_id())?;
    out.flush()
}

/// Ends with ctrl-c or SIGTERM.
#[cfg(unix)]
fn interruption() -> io::Result<impl Future<Output = ()>> {
    use std::task::Poll;
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(std::future::poll_fn(move |context| {
        match (interrupt.poll_recv(context), terminate.poll_recv(context)) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }))
}

/// Ends with ctrl-c.
#[cfg(not(unix))]
fn interruption() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

fn fail(code: u8, message: impl Display) -> ExitCode {
    // Nobody is left to tell if this can't be written either.
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::from(code)
}
