//! Renews the tokens of an account that expire within 30 days, by reqwest and serde. The
//! refreshes run at the same time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contender::{BoxError, variable};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

#[derive(Deserialize)]
struct Envelope<T> {
    success: bool,
    errors: Vec<ApiMessage>,
    result: Option<T>,
}

#[derive(Deserialize)]
struct ApiMessage {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
struct ServiceToken {
    id: String,
    expires_at: DateTime<Utc>,
}

fn main() -> Result<(), BoxError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(renew())
}

async fn renew() -> Result<(), BoxError> {
    let tokens = format!(
        "{}/accounts/{}/access/service_tokens",
        variable("CLOUDFLARE_BASE_URL")?,
        variable("CLOUDFLARE_ACCOUNT_ID")?,
    );
    let api_token = variable("CLOUDFLARE_API_TOKEN")?;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()?;
    let list = client.get(format!("{tokens}?per_page=1000"));
    let listed: Vec<ServiceToken> = call(list.bearer_auth(&api_token)).await?;
    let due_before = Utc::now() + TimeDelta::days(30);
    let mut refreshes = JoinSet::new();
    for token in listed {
        if token.expires_at < due_before {
            let refresh = client.post(format!("{tokens}/{}/refresh", token.id));
            let refresh = refresh.bearer_auth(&api_token);
            refreshes.spawn(async move { (call::<ServiceToken>(refresh).await, token) });
        }
    }
    let mut failed = false;
    while let Some(refreshed) = refreshes.join_next().await {
        let (after, before) = refreshed?;
        let (id, from) = (before.id, before.expires_at);
        match after {
            Ok(after) if after.expires_at > from => {
                println!("{id}: {from} -> {}", after.expires_at)
            }
            Ok(_) => {
                eprintln!("{id}: not renewed");
                failed = true;
            }
            Err(error) => {
                eprintln!("{id}: not renewed: {error}");
                failed = true;
            }
        }
    }
    match failed {
        true => Err("a token was not renewed".into()),
        false => Ok(()),
    }
}

async fn call<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, BoxError> {
    let response = request.send().await?;
    let status = response.status();
    let envelope: Envelope<T> = response.json().await?;
    if !status.is_success() || !envelope.success {
        let errors = envelope.errors.iter();
        let errors: Vec<_> = errors
            .map(|error| format!("{} ({})", error.message, error.code))
            .collect();
        return Err(format!("{status}: {}", errors.join(", ")).into());
    }
    Ok(envelope.result.ok_or("no result")?)
}
