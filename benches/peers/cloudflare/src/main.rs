//! A refresh by the crate `cloudflare`, which has no endpoint for it: one is
//! written here as its documentation says.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use cloudflare::framework::Environment;
use cloudflare::framework::auth::Credentials;
use cloudflare::framework::client::ClientConfig;
use cloudflare::framework::client::async_api::Client;
use cloudflare::framework::endpoint::{Method, spec::EndpointSpec};
use cloudflare::framework::response::{ApiResult, ApiSuccess};
use contender::{BoxError, Contender, Target};
use serde::Deserialize;

#[derive(Clone)]
struct Cloudflare {
    client: Arc<Client>,
    target: Target,
}

#[derive(Debug, Deserialize)]
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

impl ApiResult for ServiceToken {}

struct RefreshServiceToken<'a>(&'a Target);

impl EndpointSpec for RefreshServiceToken<'_> {
    type JsonResponse = ServiceToken;
    type ResponseType = ApiSuccess<ServiceToken>;

    fn method(&self) -> Method {
        Method::POST
    }

    fn path(&self) -> String {
        let path = self.0.path();
        // It goes after the slash that the environment's URL must end with.
        path.trim_start_matches('/').to_owned()
    }
}

impl Contender for Cloudflare {
    fn new(target: Target) -> Result<Self, BoxError> {
        let credentials = Credentials::UserAuthToken {
            token: target.api_token.clone(),
        };
        let environment = Environment::Custom(format!("{}/", target.base_url));
        let client = Client::new(credentials, ClientConfig::default(), environment)?;
        Ok(Self {
            client: Arc::new(client),
            target,
        })
    }

    async fn refresh(&mut self) -> Result<(), BoxError> {
        let answer = self
            .client
            .request(&RefreshServiceToken(&self.target))
            .await?;
        answer.result.expires_at.ok_or("no expiry")?;
        Ok(())
    }
}

fn main() -> Result<(), BoxError> {
    contender::run::<Cloudflare>()
}
