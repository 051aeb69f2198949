//! A refresh by this SDK with its defaults: retries, rate limiter and spans on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cf_service_tokens::external::chrono::{DateTime, Utc};
use cf_service_tokens::{Client, Clock, ServiceTokens};
use contender::{BoxError, Contender, Target};

#[derive(Clone)]
struct Sdk {
    tokens: ServiceTokens,
    token_id: String,
    clock: FastClock,
}

/// A clock that goes ahead by 6 ms for each refresh. Otherwise the client's rate limiter
/// would let only 200 requests a second through, as the API does.
#[derive(Clone)]
struct FastClock {
    started: Instant,
    refreshes: Arc<AtomicU32>,
}

impl Clock for FastClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    fn elapsed(&self) -> Duration {
        let ahead = Duration::from_millis(6) * self.refreshes.load(Ordering::Relaxed);
        self.started.elapsed() + ahead
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

impl Contender for Sdk {
    fn new(target: Target) -> Result<Self, BoxError> {
        let clock = FastClock {
            started: Instant::now(),
            refreshes: Arc::default(),
        };
        let client = Client::builder()
            .api_token(target.api_token)
            .base_url(target.base_url)
            .clock(clock.clone())
            .build()?;
        Ok(Self {
            tokens: client.account(target.account_id)?.service_tokens(),
            token_id: target.token_id,
            clock,
        })
    }

    async fn refresh(&mut self) -> Result<(), BoxError> {
        self.clock.refreshes.fetch_add(1, Ordering::Relaxed);
        let token = self.tokens.refresh(&self.token_id).await?;
        token.expires_at.ok_or("no expiry")?;
        Ok(())
    }
}

fn main() -> Result<(), BoxError> {
    #[cfg(feature = "ring")]
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "another provider is installed")?;
    contender::run::<Sdk>()
}
