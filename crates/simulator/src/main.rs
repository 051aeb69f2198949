//! The simulator as a program: prints the variables that a client needs, and serves
//! until interrupted.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;

use cf_service_tokens_simulator::{AppAuthentication, SeedAccount, Simulator, SimulatorBuilder};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

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
    let faults: Option<RandomFaults> = arguments.get_one("faults").copied();

    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, format!("can't start: {error}")),
    };

    let mut builder = Simulator::builder().listen(address).seed(seed);
    if arguments.get_flag("control") {
        builder = builder.control_plane(true);
    }
    if !empty {
        builder = builder.believable_account();
    }
    if let Some(RandomFaults { seed, probability }) = faults {
        builder = builder.random_faults(seed, probability);
    }
    for id in arguments.get_many::<String>("account").unwrap_or_default() {
        builder = builder.account(SeedAccount::new(id));
    }
    runtime.block_on(serve(address, departures(builder, &arguments)))
}

/// Departs from Cloudflare's document where the arguments ask for it.
fn departures(mut builder: SimulatorBuilder, arguments: &ArgMatches) -> SimulatorBuilder {
    if let Some(limit) = arguments.get_one("token-limit") {
        builder = builder.token_limit(*limit);
    }
    if arguments.get_flag("lenient-answers") {
        builder = builder.lenient_answers();
    }
    if arguments.get_flag("null-timestamps") {
        builder = builder.null_timestamps();
    }
    if let Some(visible) = arguments.get_many::<String>("list-only") {
        builder = builder.list_only(visible);
    }
    if let Some(tokens) = arguments.get_one("capped-pages") {
        builder = builder.capped_pages(*tokens);
    }
    match arguments.get_one("app-authentication").map(String::as_str) {
        Some("forbid") => builder.app_authentication(AppAuthentication::Forbid),
        Some("login") => builder.app_authentication(AppAuthentication::Login),
        _ => builder,
    }
}

fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let number = |name: &'static str, help: &'static str| {
        let value = value_parser!(usize);
        Arg::new(name)
            .long(name)
            .value_name("N")
            .value_parser(value)
            .help(help)
    };
    Command::new("cf-service-tokens-simulator")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Simulate Cloudflare's API for Access service tokens")
        .long_about(
            "Simulate Cloudflare's API for Access service tokens.\n\n\
             Prints CLOUDFLARE_BASE_URL, CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID, \
             one NAME=value per line, and serves until interrupted. \
             Its state is lost when it exits.",
        )
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDRESS")
                .value_parser(value_parser!(SocketAddr))
                .help("Address to listen on [default: 127.0.0.1:0, a free port]")
                .long_help(
                    "Address to listen on. Other machines and containers can reach an address \
                     that isn't a loopback one, such as 0.0.0.0:8787. Don't expose it outside \
                     a test network: anyone can guess the credentials of the simulator. \
                     [default: 127.0.0.1:0, a free port]",
                ),
        )
        .arg(
            flag(
                "control",
                "Turn the control plane on, also if other machines can reach it",
            )
            .long_help(
                "Turn the control plane on, under /_simulator/. By default it is on if the \
                 simulator listens on a loopback address, and off on any other, where anyone who \
                 can reach the port can use it.",
            ),
        )
        .arg(
            Arg::new("seed")
                .long("seed")
                .value_name("N")
                .value_parser(value_parser!(u64))
                .help("Seed for generating ids, secrets and credentials [default: 0]"),
        )
        .arg(
            Arg::new("empty")
                .long("empty")
                .action(ArgAction::SetTrue)
                .help("Start without tokens instead of a realistic account"),
        )
        .arg(
            Arg::new("account")
                .long("account")
                .value_name("ID")
                .action(ArgAction::Append)
                .help("Add an empty account beside the first one; may be repeated"),
        )
        .arg(
            Arg::new("faults")
                .long("faults")
                .value_name("SEED:PROBABILITY")
                .value_parser(value_parser!(RandomFaults))
                .help("Inject faults at random, such as 7:0.1 for one call in ten")
                .long_help(
                    "Inject faults at random: resets, stalls, endless bodies, refusals, \
                     lockouts, error statuses, unreadable responses. \
                     Each call meets one with this probability, from 0 to 1. The same seed \
                     gives the same faults to the same calls in the same order. \
                     A stall lasts until the client disconnects.",
                ),
        )
        .arg(number(
            "token-limit",
            "Maximum number of tokens of the account [default: 50]",
        ))
        .arg(flag(
            "lenient-answers",
            "Add undocumented fields to responses, such as client_secret_version",
        ))
        .arg(flag(
            "null-timestamps",
            "Return null for an unknown timestamp, rather than omitting it",
        ))
        .arg(
            Arg::new("list-only")
                .long("list-only")
                .value_name("NAME|ID")
                .action(ArgAction::Append)
                .help("Hide all other tokens from lists; may be repeated"),
        )
        .arg(number(
            "capped-pages",
            "List at most N tokens a page, without result_info",
        ))
        .arg(
            Arg::new("app-authentication")
                .long("app-authentication")
                .value_name("MODE")
                .value_parser(["strict", "forbid", "login"])
                .help("How the protected app refuses: 401 and 403, always 403, or 302 to a login page [default: strict]")
                .hide_possible_values(true),
        )
}

/// The value of `--faults`.
#[derive(Clone, Copy)]
struct RandomFaults {
    seed: u64,
    probability: f64,
}

impl FromStr for RandomFaults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected SEED:PROBABILITY, such as 7:0.1";
        let (seed, probability) = text.split_once(':').ok_or(expected)?;
        let seed = seed
            .parse()
            .map_err(|_| format!("the seed must be a whole number; {expected}"))?;
        let probability = probability
            .parse()
            .ok()
            .filter(|probability| (0.0..=1.0).contains(probability))
            .ok_or_else(|| format!("the probability must be from 0 to 1; {expected}"))?;
        Ok(Self { seed, probability })
    }
}

async fn serve(address: SocketAddr, builder: SimulatorBuilder) -> ExitCode {
    let simulator = match builder.start().await {
        Ok(simulator) => simulator,
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return fail(USAGE, error),
        Err(error) => return fail(1, format!("can't listen on {address}: {error}")),
    };
    match simulator.serve_until_interrupted(introduce).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, error),
    }
}

/// Prints the environment of a client. Scripts wait for the last line.
fn introduce(simulator: &Simulator) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut print = || {
        for (name, value) in simulator.environment() {
            writeln!(out, "{name}={value}")?;
        }
        out.flush()
    };
    print().map_err(|error: io::Error| {
        let message = format!("can't write to standard output: {error}");
        io::Error::new(error.kind(), message)
    })
}

fn fail(code: u8, message: impl Display) -> ExitCode {
    // If standard error can't be written either, nowhere is left to report it.
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::from(code)
}
