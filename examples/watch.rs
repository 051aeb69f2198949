//! Keeps the service tokens of an account alive, for as long as it runs.
//!
//! It watches a simulator of Cloudflare's API, where three years pass in seconds:
//!
//! ```sh
//! cargo run --example watch
//! ```
//!
//! Asked to, it watches the account that the environment names, until it is
//! interrupted:
//!
//! ```sh
//! export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
//! cargo run --example watch -- --real
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cf_service_tokens::renewal::{RenewalEvent, RenewalPolicy, WatchEvent};
use cf_service_tokens::{Client, Clock, ServiceTokens};
use cf_service_tokens_simulator::Simulator;
use chrono::{DateTime, TimeDelta, Utc};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|argument| argument == "--real") {
        let tokens = Client::from_env()?.default_account()?;
        println!("On the account {}:\n", tokens.account_id());
        watch(&tokens, DateTime::<Utc>::MAX_UTC, Utc::now).await;
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
        "On a simulator at {}, where three years pass in seconds:\n",
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

async fn watch(tokens: &ServiceTokens, end: DateTime<Utc>, now: impl Fn() -> DateTime<Utc>) {
    let mut watch = tokens.watch(&RenewalPolicy::new());
    while now() < end {
        match watch.next().await {
            WatchEvent::Renewal(RenewalEvent::Settled(token)) => {
                let name = token.name.as_deref().unwrap_or("-");
                println!("{}  {name:<24} {}", now().format("%Y-%m-%d"), token.outcome);
            }
            WatchEvent::Renewal(RenewalEvent::Finished(report)) if !report.is_success() => {
                println!("{}  {report}", now().format("%Y-%m-%d"));
            }
            _ => {}
        }
    }
}

/// A clock on which a day is over in five milliseconds.
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
            let day = |time: Duration| time.as_secs() / (24 * 60 * 60);
            let is_new_day = {
                let mut elapsed = elapsed.lock().unwrap_or_else(PoisonError::into_inner);
                let before = *elapsed;
                *elapsed += duration;
                day(*elapsed) > day(before)
            };
            if is_new_day {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    }
}
