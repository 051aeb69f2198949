//! A refresh by reqwest and serde, by hand: the same decode, the API's errors, a timeout, and
//! nothing else of what the SDK does.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contender::{BoxError, Contender, Target};
use serde::Deserialize;

#[derive(Clone)]
struct ByHand {
    client: reqwest::Client,
    target: Target,
}

#[derive(Deserialize)]
struct Envelope {
    success: bool,
    errors: Vec<ApiMessage>,
    #[expect(dead_code, reason = "it is decoded, as the SDK decodes it")]
    messages: Vec<ApiMessage>,
    result: Option<ServiceToken>,
}

#[derive(Deserialize)]
struct ApiMessage {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is decoded, as the SDK decodes it")]
struct ServiceToken {
    id: Option<String>,
    client_id: Option<String>,
    name: Option<String>,
    duration: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    last_seen_at: Option<DateTime<Utc>>,
    enabled: Option<bool>,
    client_secret_version: Option<i64>,
    previous_client_secret_expires_at: Option<DateTime<Utc>>,
}

impl Contender for ByHand {
    fn new(target: Target) -> Result<Self, BoxError> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self { client, target })
    }

    async fn refresh(&mut self) -> Result<(), BoxError> {
        let response = self
            .client
            .post(format!("{}{}", self.target.base_url, self.target.path()))
            .bearer_auth(&self.target.api_token)
            .send()
            .await?;
        let status = response.status();
        let body = response.bytes().await?;
        let envelope: Envelope = serde_json::from_slice(&body)
            .map_err(|error| format!("HTTP {status} without an envelope: {error}"))?;
        if !status.is_success() || !envelope.success {
            let errors = envelope.errors.iter();
            let errors = errors.map(|error| format!(", {} {}", error.code, error.message));
            return Err(format!("HTTP {status}{}", errors.collect::<String>()).into());
        }
        envelope
            .result
            .and_then(|token| token.expires_at)
            .ok_or("no expiry")?;
        Ok(())
    }
}

fn main() -> Result<(), BoxError> {
    #[cfg(feature = "ring")]
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "another provider is installed")?;
    contender::run::<ByHand>()
}
