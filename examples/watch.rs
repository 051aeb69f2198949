//! Watches an account, and renews each service token before it expires.
//!
//! On a simulator of Cloudflare's API, three years pass within seconds:
//!
//! ```sh
//! cargo run --example watch
//! ```
//!
//! On the account in the environment, it runs until it is interrupted:
//!
//! ```sh
//! export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
//! cargo run --example watch -- --real
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;

use cf_service_tokens::renewal::{RenewalEvent, RenewalPolicy, WatchEvent};
use cf_service_tokens::{Client, Clock, ManualClock, ServiceTokens};
use cf_service_tokens_simulator::Simulator;
use chrono::{DateTime, TimeDelta, Utc};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|argument| argument == "--real") {
        let tokens = Client::from_env()?.default_account()?.service_tokens();
        println!("On the account {}:\n", tokens.account_id());
        watch(&tokens, DateTime::<Utc>::MAX_UTC, Utc::now).await;
        return Ok(());
    }
    let clock = ManualClock::new(Utc::now());
    let simulator = Simulator::builder()
        .believable_account()
        .clock(clock.reader())
        .start()
        .await?;
    println!(
        "On a simulator at {}, where three years pass in seconds:\n",
        simulator.base_url()
    );
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .clock(clock.clone())
        .build()?;
    let tokens = client.account(simulator.account_id())?.service_tokens();
    let in_three_years = clock.now() + TimeDelta::days(3 * 365);
    watch(&tokens, in_three_years, || clock.now()).await;
    Ok(())
}

async fn watch(tokens: &ServiceTokens, end: DateTime<Utc>, now: impl Fn() -> DateTime<Utc>) {
    let mut watch = tokens.watch(&RenewalPolicy::new());
    while now() < end {
        match watch.next().await {
            WatchEvent::Renewal(RenewalEvent::Settled(token)) => {
                let name = token.name.as_deref().unwrap_or("-");
                println!("{}  {name}: {}", now().format("%Y-%m-%d"), token.outcome);
            }
            WatchEvent::Renewal(RenewalEvent::Finished(report)) if !report.is_success() => {
                println!("{}  {report}", now().format("%Y-%m-%d"));
            }
            _ => {}
        }
    }
}
