//! A refresh by this SDK as it comes: retries, rate limiter and traces on.

use std::time::Duration;

use cf_service_tokens::{Client, RateLimit, ServiceTokens};
use contender::{BoxError, Contender, Target};

#[derive(Clone)]
struct Sdk {
    tokens: ServiceTokens,
    token_id: String,
}

impl Contender for Sdk {
    fn new(target: Target) -> Result<Self, BoxError> {
        // The limiter works as ever, with a limit that is never reached.
        let limit = RateLimit::new(u32::MAX, Duration::from_secs(300));
        let client = Client::builder()
            .api_token(target.api_token)
            .base_url(target.base_url)
            .rate_limit(limit)
            .build()?;
        Ok(Self {
            tokens: client.account(target.account_id)?.service_tokens(),
            token_id: target.token_id,
        })
    }

    async fn refresh(&mut self) -> Result<(), BoxError> {
        let token = self.tokens.refresh(&self.token_id).await?;
        token.expires_at.ok_or("no expiry")?;
        Ok(())
    }
}

fn main() -> Result<(), BoxError> {
    contender::run::<Sdk>()
}
