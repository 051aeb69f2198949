//! Renews the service tokens of an account, and shows each decision, its reason and its
//! outcome.
//!
//! On a simulator of Cloudflare's API, it renews an account with tokens of all kinds, and
//! then once more, to show that nothing is left to do:
//!
//! ```sh
//! cargo run --example renew
//! ```
//!
//! On the account in the environment:
//!
//! ```sh
//! export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
//! cargo run --example renew -- --real
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;

use cf_service_tokens::renewal::{Decision, RenewalEvent, RenewalPolicy};
use cf_service_tokens::{Client, ServiceTokens};
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
                println!("{token} ({})", words(decision));
            }
            RenewalEvent::Settled(token) => {
                println!(
                    "{}: {}",
                    token.name.as_deref().unwrap_or("-"),
                    token.outcome
                );
            }
            RenewalEvent::Finished(report) => println!("\n{}", report.into_result()?),
            _ => {}
        }
    }
    Ok(())
}

fn words(decision: Decision) -> String {
    match decision {
        Decision::Renew(reason) => format!("renew: {reason}"),
        Decision::Skip(reason) => format!("skip: {reason}"),
        Decision::Unable(reason) => format!("can't renew: {reason}"),
        _ => "unknown decision".to_owned(),
    }
}
