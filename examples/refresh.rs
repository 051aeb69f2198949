//! Refreshes a service token and shows what changed.
//!
//! Without a token id it starts a simulator of Cloudflare's API:
//!
//! ```sh
//! cargo run --example refresh
//! ```
//!
//! With one, it refreshes that token with the credentials in the environment, at Cloudflare
//! or at `CLOUDFLARE_BASE_URL`:
//!
//! ```sh
//! export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
//! cargo run --example refresh -- f174e90a-fafe-4643-bbbc-4a0ed4fc8415
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;

use cf_service_tokens::{Client, ServiceTokens};
use cf_service_tokens_simulator::{SeedToken, Simulator};
use chrono::TimeDelta;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(id) => {
            refresh(
                &Client::from_env()?.default_account()?.service_tokens(),
                &id,
            )
            .await
        }
        None => refresh_at_simulator().await,
    }
}

async fn refresh_at_simulator() -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::builder()
        .token(SeedToken::new("CI deploy").expires_in(TimeDelta::days(9)))
        .start()
        .await?;
    println!(
        "no token id is given, so this runs on a simulator at {}\n",
        simulator.base_url()
    );
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .build()?;
    let seeded = simulator.tokens();
    let token = seeded.first().ok_or("the simulator has no token")?;
    refresh(
        &client.account(simulator.account_id())?.service_tokens(),
        &token.id,
    )
    .await
}

async fn refresh(tokens: &ServiceTokens, id: &str) -> Result<(), Box<dyn Error>> {
    println!("before: {}", tokens.get(id).await?);
    println!("after:  {}", tokens.refresh(id).await?);
    Ok(())
}
