//! Calls to endpoints that the fragment lacks.

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Method, header};
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::payload::Strict;
use crate::call::Transport;
use crate::call::operation::Operation;
use crate::call::options::CallOptions;
use crate::call::request::Prepared;
use crate::error::Error;
use crate::response::Response;

/// A call to an endpoint of Cloudflare's API that this crate has no method for;
/// made by [`Client::request`](crate::Client::request).
///
/// It has the credentials, limits, envelope and errors of every other call.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use cf_service_tokens::Method;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Named {
///     name: String,
/// }
///
/// // The simulator has no other endpoints; for Access apps the path ends in `apps`.
/// let path = format!("/accounts/{}/access/service_tokens", simulator.account_id());
/// let all = client.request(Method::GET, path).query("per_page", "5").send::<Vec<Named>>().await?;
/// assert_eq!(all[0].name, "deploy");
/// # Ok(()) }) }
/// ```
#[must_use = "nothing is sent until `send` is called"]
pub struct RawRequest {
    transport: Arc<Transport>,
    options: CallOptions,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Option<Result<Vec<u8>, serde_json::Error>>,
    idempotent: bool,
}

impl RawRequest {
    pub(crate) fn new(
        transport: Arc<Transport>,
        options: CallOptions,
        method: Method,
        path: String,
    ) -> Self {
        Self {
            transport,
            options,
            idempotent: matches!(method, Method::GET | Method::HEAD),
            method,
            path,
            query: Vec::new(),
            body: None,
        }
    }

    /// Adds a parameter to the query; both parts are encoded.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{Method, ServiceToken};
    ///
    /// let path = format!("/accounts/{}/access/service_tokens", simulator.account_id());
    /// let page = client.request(Method::GET, path).query("name", "a&b").send::<Vec<ServiceToken>>().await?;
    /// assert!(page.is_empty());
    /// assert_eq!(simulator.requests()[0].query.as_deref(), Some("name=a%26b"));
    /// # Ok(()) }) }
    /// ```
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Sets the body, which is sent as JSON.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{Method, ServiceToken};
    ///
    /// let path = format!("/accounts/{}/access/service_tokens/{id}", simulator.account_id());
    /// let renamed = serde_json::json!({ "name": "deploy (old)" });
    /// let token = client.request(Method::PUT, path).json(&renamed).send::<ServiceToken>().await?;
    /// assert_eq!(token.name.as_deref(), Some("deploy (old)"));
    /// # Ok(()) }) }
    /// ```
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        self.body = Some(serde_json::to_vec(body));
        self
    }

    /// Allows the call to be sent more than once. By default, only `GET` and `HEAD` are
    /// idempotent.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{Method, ServiceToken};
    /// use cf_service_tokens_simulator::Fault;
    ///
    /// let path = format!("/accounts/{}/access/service_tokens/{id}/refresh", simulator.account_id());
    /// simulator.inject(Fault::Status(503));
    /// let token = client.request(Method::POST, path).idempotent().send::<ServiceToken>().await?;
    /// assert_eq!(token.attempts(), 2);
    /// # Ok(()) }) }
    /// ```
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// Makes the call, and reads the envelope's `result` strictly as a `T`: a field that
    /// does not fit is an error.
    ///
    /// Use an `Option` as `T` if a success may have no result, or `()` if it never has
    /// one. For other types, null, an absent result, HTTP 204 and any response to
    /// `HEAD` are errors.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{ErrorKind, Method, ServiceToken};
    ///
    /// let path = format!("/accounts/{}/access/service_tokens/{id}", simulator.account_id());
    /// let token = client.request(Method::GET, path).send::<ServiceToken>().await?;
    /// assert_eq!(token.name.as_deref(), Some("deploy"));
    ///
    /// let elsewhere = client.request(Method::GET, "/../v3").send::<()>().await;
    /// assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::InvalidRequest);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error of the kind
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest), if the path leads elsewhere
    /// or the body can't be JSON; an error of the kind
    /// [`Decode`](crate::ErrorKind::Decode), if the result does not fit `T`; otherwise
    /// any failure of the call.
    pub async fn send<T: DeserializeOwned>(self) -> Result<Response<T>, Error> {
        let url = self.url()?;
        let body = self.body.transpose().map_err(|error| {
            Error::invalid_request("the body can't be serialized as JSON; see the cause")
                .with_source(error)
        })?;
        let operation = &Operation {
            id: "raw_request",
            method: self.method,
            path: "",
            idempotent: self.idempotent,
            permission: None,
        };
        let mut request = reqwest::Request::new(operation.method.clone(), url);
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::ACCEPT, json.clone());
        if let Some(body) = body {
            request.headers_mut().insert(header::CONTENT_TYPE, json);
            *request.body_mut() = Some(body.into());
        }
        let request = Ok(Prepared::new(request));
        let answer = self
            .transport
            .call::<Strict<T>>(operation, &self.options, request)
            .await?;
        Ok(answer.map(|Strict(value)| value))
    }

    /// Returns the whole URL, if it stays below the base URL.
    fn url(&self) -> Result<Url, Error> {
        let refuse = |fault: &str| {
            let path = self.shown_path();
            Err(Error::invalid_request(format!("the path {path:?} {fault}")))
        };
        if !self.path.starts_with('/') {
            return refuse("does not begin with `/`; write the part that follows the base URL");
        }
        if self.path.contains(['?', '#']) {
            return refuse("contains a query or a fragment; add parameters with `query`");
        }
        let base_url = self.transport.settings.base_url.as_str();
        let Ok(mut url) = Url::parse(&format!("{base_url}{}", self.path)) else {
            return refuse("can't be part of a URL; percent-encode its special characters");
        };
        // The segment `..` leads upwards, whether plain or encoded.
        if !url.as_str().starts_with(&format!("{base_url}/")) || url.path().contains("//") {
            return refuse(
                "leaves the base URL or contains an empty segment; remove `.`, `..` and `//`",
            );
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }
}

impl RawRequest {
    /// Returns the path without a query or a fragment, which may hold a secret, and
    /// without credentials.
    fn shown_path(&self) -> String {
        let end = self.path.find(['?', '#']).unwrap_or(self.path.len());
        self.transport.redactor.redact(&self.path[..end])
    }
}

impl fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Leave out the query and the body, which may hold secrets.
        f.debug_struct("RawRequest")
            .field("method", &self.method)
            .field("path", &self.shown_path())
            .field("idempotent", &self.idempotent)
            .finish_non_exhaustive()
    }
}
