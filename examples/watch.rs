//! Keeps the service tokens of an account alive, for as long as it runs.
//!
//! With nothing configured it watches a simulator of Cloudflare's API, where
//! three years pass in seconds:
//!
//! ```sh
//! cargo run --example watch
//! ```
//!
//! With credentials and an account in the environment it watches that account
//! until it is interrupted:
//!
//! ```sh
//! export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
//! cargo run --example watch
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cf_service_tokens::renewal::{RenewalEvent, RenewalPolicy, WatchEvent};
use cf_service_tokens::{AccountServiceTokens, Client, Clock};
use cf_service_tokens_simulator::Simulator;
use chrono::{DateTime, TimeDelta, Utc};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::var_os("CLOUDFLARE_API_TOKEN").is_some() {
        watch(
            &Client::from_env()?.default_account()?,
            DateTime::<Utc>::MAX_UTC,
            Utc::now,
        )
        .await;
        return Ok(());
    }
    let clock = FastClock::new();
    let time = clock.clone();
    let simulator = Simulator::builder()
        .believable_account()
        .clock(move || time.now())
        .start()
        .await?;
    println!(
        "Nothing is configured, so this is a simulator at {}, where time flies\n",
        simulator.base_url()
    );
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .clock(clock.clone())
        .build()?;
    let tokens = client.account(simulator.account_id())?;
    let in_three_years = clock.now() + TimeDelta::days(3 * 365);
    watch(&tokens, in_three_years, || clock.now()).await;
    Ok(())
}

async fn watch(tokens: &AccountServiceTokens, end: DateTime<Utc>, now: impl Fn() -> DateTime<Utc>) {
    let mut watch = tokens.watch(&RenewalPolicy::new());
    while now() < end {
        if let WatchEvent::Renewal(RenewalEvent::Settled(token)) = watch.next().await {
            let name = token.name.as_deref().unwrap_or("-");
            println!("{}  {name:<24} {}", now().format("%Y-%m-%d"), token.outcome);
        }
    }
}

/// A clock on which a wait of a day takes two milliseconds.
#[derive(Clone, Debug)]
struct FastClock {
    start: DateTime<Utc>,
    elapsed: Arc<Mutex<Duration>>,
}

impl FastClock {
    fn new() -> Self {
        Self {
            start: Utc::now(),
            elapsed: Arc::default(),
        }
    }
}

impl Clock for FastClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        *self.elapsed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let elapsed = Arc::clone(&self.elapsed);
        Box::pin(async move {
            tokio::time::sleep(duration / (500 * 24 * 60 * 60)).await;
            *elapsed.lock().unwrap_or_else(PoisonError::into_inner) += duration;
        })
    }
}
