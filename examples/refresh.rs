//! Refreshes a service token and shows what changed.
//!
//! With nothing configured it does so on a simulator of Cloudflare's API that it
//! starts itself:
//!
//! ```sh
//! cargo run --example refresh
//! ```
//!
//! With credentials and an account in the environment it refreshes a real token,
//! at Cloudflare or wherever `CLOUDFLARE_BASE_URL` says:
//!
//! ```sh
//! export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
//! cargo run --example refresh -- f174e90a-fafe-4643-bbbc-4a0ed4fc8415
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;

use cf_service_tokens::{Client, ServiceToken, ServiceTokens};
use cf_service_tokens_simulator::{SeedToken, Simulator};
use chrono::{DateTime, TimeDelta, Utc};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match env::args().nth(1) {
        Some(id) => refresh(&Client::from_env()?.default_account()?.service_tokens(), &id).await,
        None if env::var_os("CLOUDFLARE_API_TOKEN").is_some() => {
            Err("CLOUDFLARE_API_TOKEN is set: name the token to refresh, as in `cargo run --example refresh -- <token id>`, or unset it to use the simulator".into())
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
        "Nothing is configured, so this is a simulator at {}\n",
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
    let before = tokens.get(id).await?;
    let after = tokens.refresh(id).await?;
    println!("         {:<20} {:<10} expires", "name", "duration");
    show("before", &before);
    show("after", &after);
    Ok(())
}

fn show(when: &str, token: &ServiceToken) {
    let name = token.name.as_deref().unwrap_or("(no name)");
    let duration = token
        .duration
        .as_ref()
        .map_or("(none)", |duration| duration.as_str());
    println!(
        "{when:<8} {name:<20} {duration:<10} {}",
        expiry(token, Utc::now())
    );
}

fn expiry(token: &ServiceToken, now: DateTime<Utc>) -> String {
    match (token.expires_at, token.expires_in(now)) {
        _ if token.never_expires() => "never".to_owned(),
        (Some(at), Some(left)) => {
            // Half a day more rounds to the nearest day.
            let days = (left + TimeDelta::hours(12)).num_days();
            format!("{}, in {days} days", at.format("%Y-%m-%d %H:%M UTC"))
        }
        _ => "at a time that the API did not tell".to_owned(),
    }
}
