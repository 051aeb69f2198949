//! A refresh by hyper and serde, by hand: the floor. One connection for each of
//! the calls in flight, no pool, no TLS, no timeout.

use chrono::{DateTime, Utc};
use contender::{BoxError, Contender, Target};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

struct ByHand {
    target: Target,
    host: String,
    path: String,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

#[derive(Deserialize)]
struct Envelope {
    success: bool,
    #[expect(dead_code, reason = "it is decoded, as the SDK decodes it")]
    errors: Vec<ApiMessage>,
    #[expect(dead_code, reason = "it is decoded, as the SDK decodes it")]
    messages: Vec<ApiMessage>,
    result: Option<ServiceToken>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is decoded, as the SDK decodes it")]
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

impl Clone for ByHand {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            host: self.host.clone(),
            path: self.path.clone(),
            connection: None,
        }
    }
}

impl Contender for ByHand {
    fn new(target: Target) -> Result<Self, BoxError> {
        let rest = target
            .base_url
            .strip_prefix("http://")
            .ok_or("the base URL is not http")?;
        let (host, prefix) = rest.split_once('/').ok_or("the base URL has no path")?;
        Ok(Self {
            host: host.to_owned(),
            path: format!("/{prefix}{}", target.path()),
            target,
            connection: None,
        })
    }

    async fn refresh(&mut self) -> Result<(), BoxError> {
        let request = Request::post(&self.path)
            .header(header::HOST, &self.host)
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.target.api_token),
            )
            .body(Empty::new())?;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            empty => empty.insert(connect(&self.host).await?),
        };
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        if !response.status().is_success() {
            return Err(response.status().as_str().into());
        }
        let body = response.into_body().collect().await?.to_bytes();
        let envelope: Envelope = serde_json::from_slice(&body)?;
        if !envelope.success {
            return Err("no success".into());
        }
        envelope
            .result
            .and_then(|token| token.expires_at)
            .ok_or("no expiry")?;
        Ok(())
    }
}

async fn connect(host: &str) -> Result<SendRequest<Empty<Bytes>>, BoxError> {
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn main() -> Result<(), BoxError> {
    contender::run::<ByHand>()
}
