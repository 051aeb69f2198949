//! Renews the service tokens of an account that fall due, and says what was done
//! with each, and why.
//!
//! It does so on a simulator of Cloudflare's API, whose account has tokens of all
//! kinds, and then once more, to show that nothing is left to do:
//!
//! ```sh
//! cargo run --example renew
//! ```
//!
//! Asked to, it renews the account that the environment names:
//!
//! ```sh
//! export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
//! cargo run --example renew -- --real
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;

use cf_service_tokens::renewal::{Decision, RenewalEvent, RenewalPolicy};
use cf_service_tokens::{Client, ServiceToken, ServiceTokens, TokenDuration};
use cf_service_tokens_simulator::Simulator;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|argument| argument == "--real") {
        let tokens = Client::from_env()?.default_account()?.service_tokens();
        println!("On the account {}:\n", tokens.account_id());
        return renew(&tokens).await;
    }
    let simulator = Simulator::builder().believable_account().start().await?;
    println!("On a simulator at {}:\n", simulator.base_url());
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .build()?;
    let tokens = client.account(simulator.account_id())?.service_tokens();
    renew(&tokens).await?;
    println!("\nAnd once more:\n");
    renew(&tokens).await
}

async fn renew(tokens: &ServiceTokens) -> Result<(), Box<dyn Error>> {
    let mut renewal = tokens.renew(&RenewalPolicy::new());
    while let Some(event) = renewal.next().await {
        match event {
            RenewalEvent::Decided { token, decision } => {
                println!(
                    "{:<24} {:<10} {:<11} {}",
                    name(&token),
                    duration(&token),
                    expiry(&token),
                    words(decision)
                );
            }
            RenewalEvent::Settled(token) => {
                println!(
                    "{:<47} {}",
                    token.name.as_deref().unwrap_or("-"),
                    token.outcome
                );
            }
            RenewalEvent::Finished(report) if report.is_success() => println!("\n{report}"),
            RenewalEvent::Finished(report) => return Err(report.to_string().into()),
            _ => {}
        }
    }
    Ok(())
}

fn name(token: &ServiceToken) -> &str {
    token.name.as_deref().unwrap_or("-")
}

fn duration(token: &ServiceToken) -> &str {
    token.duration.as_ref().map_or("-", TokenDuration::as_str)
}

fn expiry(token: &ServiceToken) -> String {
    match token.expires_at {
        _ if token.never_expires() => "never".to_owned(),
        Some(expires_at) => expires_at.format("%Y-%m-%d").to_string(),
        None => "-".to_owned(),
    }
}

fn words(decision: Decision) -> String {
    match decision {
        Decision::Renew(reason) => format!("renew: {reason}"),
        Decision::Skip(reason) => format!("skip: {reason}"),
        Decision::Unable(reason) => format!("can't renew: {reason}"),
        _ => "-".to_owned(),
    }
}
