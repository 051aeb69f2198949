//! The servers that the contenders talk to.
//!
//! - `canned` sends the simulator's response to a refresh to every request, byte for byte
//!   except for a rate limit that is never reached. It does nothing else, so that a fast
//!   contender does not wait for it.
//! - `simulator TOKENS DUE LIMIT LATENCY` is the simulator with one account of this many
//!   tokens, of which this many are due. It enforces a limit of requests a second, or none
//!   if that is 0, and delays each response by this many milliseconds.
//! - `accounts ACCOUNTS DUE LIMIT WINDOW` has this many accounts of 50 tokens, of which this
//!   many are due in each. It enforces a limit of requests in a window of seconds for each
//!   API token, and 200 requests a second in all.
//!
//! `canned` and `simulator` speak TLS if `tls FILE` follows, and write the certificate of their
//! authority to the file.
//!
//! Each prints the variables that a client needs, one `NAME=value` a line, and serves until
//! its standard input ends. `simulator` and `accounts` then print a line of JSON: the
//! requests, the refused ones, and the tokens that were renewed.

mod accounts;
mod canned;
mod tls;

use std::error::Error;
use std::io::Read;
use std::time::Duration;

use cf_service_tokens_simulator::{Fault, Injection, SeedToken, Simulator};
use chrono::{TimeDelta, Utc};

type BoxError = Box<dyn Error + Send + Sync>;

/// A limit that no contender reaches. Without one, the simulator would report Cloudflare's.
const NO_LIMIT: u32 = 1_000_000_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (arguments, tls) = match arguments[..] {
        [ref others @ .., "tls", file] => (others, Some(file)),
        _ => (&arguments[..], None),
    };
    match *arguments {
        ["canned"] => canned::serve(tls).await,
        ["simulator", tokens, due, limit, latency] => {
            let latency = Duration::from_millis(latency.parse()?);
            simulator(tokens.parse()?, due.parse()?, limit.parse()?, latency, tls).await
        }
        ["accounts", accounts, due, limit, window] => {
            let window = Duration::from_secs(window.parse()?);
            accounts::serve(accounts.parse()?, due.parse()?, limit.parse()?, window).await
        }
        _ => Err(
            "the arguments are `canned`, `simulator TOKENS DUE LIMIT LATENCY`, either with \
                  `tls FILE`, or `accounts ACCOUNTS DUE LIMIT WINDOW`"
                .into(),
        ),
    }
}

async fn simulator(
    tokens: usize,
    due: usize,
    limit: u32,
    latency: Duration,
    tls: Option<&str>,
) -> Result<(), BoxError> {
    let mut builder = Simulator::builder();
    for number in 0..tokens {
        // The due ones are spread over the account.
        let is_due = (number + 1) * due / tokens > number * due / tokens;
        let days = if is_due { 9 } else { 200 };
        let name = format!("a token whose name is number {number}");
        builder = builder.token(SeedToken::new(name).expires_in(TimeDelta::days(days)));
    }
    let limit = if limit == 0 { NO_LIMIT } else { limit };
    let simulator = builder
        .enforce_rate_limit(limit, TimeDelta::seconds(1))
        .start()
        .await?;
    if !latency.is_zero() {
        simulator.inject(Injection::new(Fault::Latency(latency)).always());
    }
    introduce(&simulator, simulator.base_url(), tls).await?;
    wait_for_the_end().await?;

    let requests = simulator.requests();
    let refused = requests.iter().filter(|r| r.status == Some(429)).count();
    let in_300_days = Utc::now() + TimeDelta::days(300);
    let renewed = simulator
        .tokens()
        .iter()
        .filter(|token| token.expires_at > in_300_days)
        .count();
    println!(
        "{{\"requests\": {}, \"refused\": {refused}, \"renewed\": {renewed}}}",
        requests.len()
    );
    Ok(())
}

async fn introduce(
    simulator: &Simulator,
    base_url: &str,
    tls: Option<&str>,
) -> Result<(), BoxError> {
    let base_url = match tls {
        Some(file) => tls::in_front_of(base_url, file).await?,
        None => base_url.to_owned(),
    };
    let first = simulator.tokens().first().map(|token| token.id.clone());
    println!("BENCH_TOKEN_ID={}", first.unwrap_or_default());
    println!("CLOUDFLARE_BASE_URL={base_url}");
    println!("CLOUDFLARE_API_TOKEN={}", simulator.api_token());
    println!("CLOUDFLARE_ACCOUNT_ID={}", simulator.account_id());
    Ok(())
}

async fn wait_for_the_end() -> Result<(), BoxError> {
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
