//! The other side of a service token: an app that Access protects.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::{any, get};
use serde_json::{Value, json};

use crate::html;
use crate::shared::Shared;

pub(crate) const APP: &str = "/app";
pub(crate) const APP_WITH_LOGIN: &str = "/app-with-login";
const LOGIN: &str = "/cdn-cgi/access/login/app";

pub(crate) fn router() -> Router<Arc<Shared>> {
    let strict = any(
        |State(shared): State<Arc<Shared>>, headers: HeaderMap| async move {
            admit(&shared, &headers).unwrap_or_else(forbidden)
        },
    );
    let with_login = any(
        |State(shared): State<Arc<Shared>>, headers: HeaderMap| async move {
            admit(&shared, &headers).unwrap_or_else(to_login)
        },
    );
    Router::new()
        .route(APP, strict.clone())
        .route(&format!("{APP}/{{*path}}"), strict)
        .route(APP_WITH_LOGIN, with_login.clone())
        .route(&format!("{APP_WITH_LOGIN}/{{*path}}"), with_login)
        .route(
            LOGIN,
            get(|| async { html::page(StatusCode::OK, "Sign in") }),
        )
}

/// The app's answer to a caller with a good token.
fn admit(shared: &Shared, headers: &HeaderMap) -> Option<Response<Body>> {
    let (client_id, client_secret) = header_pair(headers).or_else(|| single_header(headers))?;
    let now = shared.now();
    let name = shared.state().admit(&client_id, &client_secret, now)?;
    let greeting = json!({ "message": "Access granted.", "service_token": name });
    let mut response = Response::new(Body::from(greeting.to_string()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(response)
}

fn header_pair(headers: &HeaderMap) -> Option<(String, String)> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
    Some((
        text("cf-access-client-id")?,
        text("cf-access-client-secret")?,
    ))
}

/// The form where one header holds both halves as JSON.
fn single_header(headers: &HeaderMap) -> Option<(String, String)> {
    let value: Value = serde_json::from_slice(headers.get(AUTHORIZATION)?.as_bytes()).ok()?;
    let text = |name| Some(value.get(name)?.as_str()?.to_owned());
    Some((
        text("cf-access-client-id")?,
        text("cf-access-client-secret")?,
    ))
}

fn forbidden() -> Response<Body> {
    html::page(StatusCode::FORBIDDEN, "Forbidden")
}

fn to_login() -> Response<Body> {
    let mut response = html::page(StatusCode::FOUND, "Found");
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static(LOGIN));
    response
}
