//! A bare HTTP client against a simulator whose clock the test sets.

#![allow(dead_code, reason = "each test binary uses its own part of it")]
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

use std::sync::{Arc, Mutex};

use cf_service_tokens_simulator::{Simulator, SimulatorBuilder};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

/// When the clock of every test stands at first.
pub fn start() -> DateTime<Utc> {
    "2026-11-24T05:00:00Z".parse().unwrap()
}

pub struct Api {
    pub simulator: Simulator,
    pub http: Client,
    now: Arc<Mutex<DateTime<Utc>>>,
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Api {
    pub async fn start(builder: SimulatorBuilder) -> Self {
        let now = Arc::new(Mutex::new(start()));
        let clock = now.clone();
        let builder = builder.clock(move || *clock.lock().unwrap());
        Self {
            simulator: builder.start().await.unwrap(),
            http: http_client(),
            now,
        }
    }

    pub fn advance(&self, time: TimeDelta) {
        *self.now.lock().unwrap() += time;
    }

    /// The path of the account's tokens, with what follows it.
    pub fn account(&self, rest: &str) -> String {
        let id = self.simulator.account_id();
        format!("/accounts/{id}/access/service_tokens{rest}")
    }

    /// A request without credentials.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.simulator.base_url());
        self.http.request(method, url)
    }

    /// A request with the API token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path)
            .bearer_auth(self.simulator.api_token())
    }

    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        send(self.request(Method::DELETE, path)).await
    }

    pub async fn post(&self, path: &str) -> Reply {
        send(self.request(Method::POST, path)).await
    }

    pub async fn post_json(&self, path: &str, body: Value) -> Reply {
        send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn put_json(&self, path: &str, body: Value) -> Reply {
        send(self.request(Method::PUT, path).json(&body)).await
    }

    /// A call of the protected app with these credentials.
    pub async fn knock(&self, client_id: &str, client_secret: &str) -> Reply {
        let request = self
            .http
            .get(self.simulator.protected_url())
            .header("CF-Access-Client-Id", client_id)
            .header("CF-Access-Client-Secret", client_secret);
        send(request).await
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The result of a success.
    #[track_caller]
    pub fn result(&self) -> Value {
        let envelope = self.json();
        assert_eq!(envelope["success"], true, "{envelope}");
        assert_eq!(envelope["errors"], serde_json::json!([]));
        assert_eq!(envelope["messages"], serde_json::json!([]));
        envelope["result"].clone()
    }

    /// The codes of a failure, whose envelope is checked on the way.
    #[track_caller]
    pub fn codes(&self) -> Vec<u64> {
        assert_eq!(self.header("content-type"), "application/json");
        let envelope = self.json();
        assert_eq!(envelope["success"], false, "{envelope}");
        assert_eq!(envelope["messages"], serde_json::json!([]));
        assert_eq!(envelope.get("result"), Some(&Value::Null));
        let errors = envelope["errors"].as_array().unwrap();
        errors
            .iter()
            .map(|error| {
                assert!(error["message"].is_string(), "{error}");
                error["code"].as_u64().unwrap()
            })
            .collect()
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }
}

pub fn http_client() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// A request to the control plane, without the header that it asks for.
pub fn bare_control(api: &Api, method: Method, path: &str) -> RequestBuilder {
    let origin = api.simulator.base_url().replace("/client/v4", "");
    api.http
        .request(method, format!("{origin}/_simulator{path}"))
}

pub async fn control(api: &Api, method: Method, path: &str) -> Reply {
    let request = bare_control(api, method, path).header("X-Simulator-Control", "1");
    send(request).await
}

pub async fn control_json(api: &Api, method: Method, path: &str, body: Value) -> Reply {
    let request = bare_control(api, method, path).header("X-Simulator-Control", "1");
    send(request.json(&body)).await
}

pub async fn send(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    Reply {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.text().await.unwrap(),
    }
}

/// The text of a field.
#[track_caller]
pub fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap()
}
