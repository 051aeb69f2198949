//! A function that works on service tokens, and its tests with the simulator.
//!
//! ```sh
//! cargo test --example testing
//! ```
//!
//! On the account in the environment:
//!
//! ```sh
//! export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
//! cargo run --example testing -- deploy
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use cf_service_tokens::{Client, Error, ServiceTokens};
use chrono::{TimeDelta, Utc};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = env::args().nth(1).ok_or("give the name of a token")?;
    let tokens = Client::from_env()?.default_account()?.service_tokens();
    if refresh_before_deploy(&tokens, &name).await? {
        println!("{name} is valid for another year");
    } else {
        println!("{name} is valid for more than a week");
    }
    Ok(())
}

/// Refreshes a token that expires within a week; returns whether it did.
async fn refresh_before_deploy(tokens: &ServiceTokens, name: &str) -> Result<bool, Error> {
    let token = tokens.find(name).await?;
    let is_due = token
        .expires_in(Utc::now())
        .is_some_and(|left| left < TimeDelta::weeks(1));
    if is_due {
        tokens.refresh(&token).await?;
    }
    Ok(is_due)
}

#[cfg(test)]
mod tests {
    use cf_service_tokens::ErrorKind;
    use cf_service_tokens_simulator::{Fault, Injection, Operation, SeedToken, Simulator};

    use super::*;

    /// Starts a simulator with one token, and returns it with a client's tokens.
    async fn simulator(days_left: i64) -> (Simulator, ServiceTokens) {
        let token = SeedToken::new("deploy").expires_in(TimeDelta::days(days_left));
        let simulator = Simulator::builder().token(token).start().await.unwrap();
        let client = Client::builder()
            .base_url(simulator.base_url())
            .api_token(simulator.api_token())
            .build()
            .unwrap();
        let account = client.account(simulator.account_id()).unwrap();
        (simulator, account.service_tokens())
    }

    #[tokio::test]
    async fn a_token_that_expires_soon_is_refreshed() {
        let (simulator, tokens) = simulator(6).await;
        assert!(refresh_before_deploy(&tokens, "deploy").await.unwrap());
        assert!(simulator.tokens()[0].expires_at > Utc::now() + TimeDelta::days(364));
    }

    #[tokio::test]
    async fn a_token_that_expires_later_is_left_alone() {
        let (simulator, tokens) = simulator(8).await;
        assert!(!refresh_before_deploy(&tokens, "deploy").await.unwrap());
        assert_eq!(simulator.count(Operation::Refresh), 0);
    }

    #[tokio::test]
    async fn a_refusal_of_the_api_is_an_error() {
        let (simulator, tokens) = simulator(6).await;
        simulator.inject(Injection::new(Fault::Status(400)).on(Operation::Refresh));
        let error = refresh_before_deploy(&tokens, "deploy").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
    }
}
