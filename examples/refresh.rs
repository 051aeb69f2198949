//! Refreshes a service token and shows what changed.
//!
//! Without credentials it starts a simulator of Cloudflare's API:
//!
//! ```sh
//! cargo run --example refresh
//! ```
//!
//! With credentials and an account in the environment it refreshes a token of that account,
//! at Cloudflare or at `CLOUDFLARE_BASE_URL`:
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
        Some(id) => refresh(&Client::from_env()?.default_account()?.service_tokens(), &id).await,
        None if env::var_os("CLOUDFLARE_API_TOKEN").is_some() => {
            Err("CLOUDFLARE_API_TOKEN is set, but no token is named: run `cargo run --example refresh -- <token id>`, or unset the variable to use a simulator".into())
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
        "CLOUDFLARE_API_TOKEN is not set, so this is a simulator at {}\n",
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
