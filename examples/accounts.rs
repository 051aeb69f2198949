//! Renews two accounts, with an API token each, on one connection pool.
//!
//! ```sh
//! cargo run --example accounts
//! ```
//!
//! It uses a simulator of Cloudflare's API. A real program reads each API token from its
//! own secret.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use cf_service_tokens::renewal::RenewalPolicy;
use cf_service_tokens::{Client, Credentials};
use cf_service_tokens_simulator::{SeedAccount, SeedApiToken, SeedToken, Simulator};
use chrono::TimeDelta;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let due = SeedToken::new("deploy").expires_in(TimeDelta::days(9));
    let simulator = Simulator::builder()
        .account(SeedAccount::new("production").token(due.clone()))
        .account(SeedAccount::new("staging").token(due))
        .add_api_token(SeedApiToken::new("production-secret").account("production"))
        .add_api_token(SeedApiToken::new("staging-secret").account("staging"))
        .start()
        .await?;

    let production = Client::builder()
        .api_token("production-secret")
        .base_url(simulator.base_url())
        .build()?;
    // The settings and the connections are those of `production`. Cloudflare limits the
    // rate of requests for each API token, and so does each client.
    let staging = production.with_credentials(Credentials::ApiToken("staging-secret".into()))?;

    for (client, account) in [(production, "production"), (staging, "staging")] {
        let tokens = client.account(account)?.service_tokens();
        let report = tokens.renew(&RenewalPolicy::new()).await.into_result()?;
        println!("{account}: {report}");
    }
    Ok(())
}
