//! The app that Access protects.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::routing::{any, get};
use serde_json::{Value, json};

use crate::behavior::AppAuthentication;
use crate::shared::Shared;
use crate::state::Admission;

pub(crate) const APP: &str = "/app";
const LOGIN: &str = "/cdn-cgi/access/login/app";

pub(crate) fn router() -> Router<Arc<Shared>> {
    let app = any(
        |State(shared): State<Arc<Shared>>, headers: HeaderMap| async move { answer(&shared, &headers) },
    );
    Router::new()
        .route(APP, app.clone())
        .route(&format!("{APP}/{{*path}}"), app)
        .route(LOGIN, get(|| async { page(StatusCode::OK, "Sign in") }))
}

fn answer(shared: &Shared, headers: &HeaderMap) -> Response<Body> {
    let credentials = header_pair(headers).or_else(|| single_header(headers));
    let admission = match credentials {
        None => Admission::NotAuthenticated,
        Some((client_id, client_secret)) => {
            let now = shared.now();
            shared.state().admit(&client_id, &client_secret, now)
        }
    };
    match (shared.behavior.app, admission) {
        (_, Admission::Granted(name)) => {
            let greeting = json!({ "message": "Access granted.", "service_token": name });
            let mut response = Response::new(Body::from(greeting.to_string()));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            response
        }
        (AppAuthentication::Strict, Admission::NotAuthenticated) => {
            page(StatusCode::UNAUTHORIZED, "Unauthorized")
        }
        (AppAuthentication::Strict, Admission::NotAllowed) | (AppAuthentication::Forbid, _) => {
            page(StatusCode::FORBIDDEN, "Forbidden")
        }
        (AppAuthentication::Login, _) => {
            let mut response = page(StatusCode::FOUND, "Found");
            let login = HeaderValue::from_static(LOGIN);
            response.headers_mut().insert(LOCATION, login);
            response
        }
    }
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

/// A page with nothing but a title.
pub(crate) fn page(status: StatusCode, title: &str) -> Response<Body> {
    let html = format!(
        "<!DOCTYPE html>\n<html><head><title>{title} - Cloudflare Access</title></head>\
         <body><h1>{title}</h1></body></html>\n"
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}
