//! The JSON of answers, written out by hand so that no mistake of a client's
//! types can hide behind the same mistake here.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use crate::fields::List;
use crate::rejection::Rejection;
use crate::state::{Answer, Page};
use crate::token::{StoredToken, TokenField, Withheld};

/// The code beside `access.api.error.service_token_not_found`.
///
/// The message is Cloudflare's; the number is this simulator's own, since the
/// real one isn't documented.
pub const SERVICE_TOKEN_NOT_FOUND: u32 = 12_132;

const AUTHENTICATION_ERROR: u32 = 10_000;
const INVALID_REQUEST_HEADERS: u32 = 6003;
const INVALID_REQUEST: u32 = 12_130;
const THROTTLED: u32 = 971;
/// The simulator's own.
const INJECTED_FAULT: u32 = 1000;

/// An answer that refuses.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    errors: Vec<Value>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            errors: vec![json!({ "code": code, "message": message.into() })],
            header: None,
        }
    }

    pub(crate) fn no_route(path: &str) -> Self {
        let message =
            format!("Could not route to {path}, perhaps your object identifier is invalid?");
        let mut refusal = Self::new(StatusCode::NOT_FOUND, 7003, message);
        refusal
            .errors
            .push(json!({ "code": 7000, "message": "No route for that URI" }));
        refusal
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let message = "Method not allowed for this authentication scheme";
        Self {
            header: Some((ALLOW, HeaderValue::from_static(allow))),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, 10_405, message)
        }
    }

    pub(crate) fn not_authenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            AUTHENTICATION_ERROR,
            "Authentication error",
        )
    }

    pub(crate) fn forbidden() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            AUTHENTICATION_ERROR,
            "Authentication error",
        )
    }

    pub(crate) fn invalid_headers() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            INVALID_REQUEST_HEADERS,
            "Invalid request headers",
        )
    }

    pub(crate) fn throttled(retry_after_seconds: Option<u32>) -> Self {
        let message = "Please wait and consider throttling your request speed";
        Self {
            header: retry_after_seconds.map(|seconds| (RETRY_AFTER, seconds.into())),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, THROTTLED, message)
        }
    }

    pub(crate) fn injected(status: StatusCode) -> Self {
        Self::new(status, INJECTED_FAULT, "injected fault")
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message =
            format!("access.api.error.invalid_request: the body is longer than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, message)
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let envelope = json!({
            "success": false,
            "errors": self.errors,
            "messages": [],
            "result": null,
        });
        let mut response = respond(self.status, &envelope);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                SERVICE_TOKEN_NOT_FOUND,
                "access.api.error.service_token_not_found",
            ),
            Rejection::InUse => Self::new(
                StatusCode::BAD_REQUEST,
                12_139,
                "access.api.error.service_token_in_use",
            ),
            Rejection::Invalid { field, reason } => {
                let mut error = json!({
                    "code": INVALID_REQUEST,
                    "message": format!("access.api.error.invalid_request: {reason}"),
                });
                if let (Some(field), Value::Object(error)) = (field, &mut error) {
                    error.insert("source".into(), json!({ "pointer": format!("/{field}") }));
                }
                Self {
                    status: StatusCode::BAD_REQUEST,
                    errors: vec![error],
                    header: None,
                }
            }
        }
    }
}

/// The answer about one token, with the secret if the call made one.
pub(crate) fn single(status: StatusCode, answer: &Answer) -> Response<Body> {
    let mut result = token(&answer.stored);
    if let Some(secret) = &answer.client_secret {
        result.insert("client_secret".into(), secret.expose().into());
    }
    let envelope = json!({
        "success": true,
        "errors": [],
        "messages": [],
        "result": result,
    });
    respond(status, &envelope)
}

/// The answer to a list.
pub(crate) fn page(list: &List, page: &Page) -> Response<Body> {
    let envelope = json!({
        "success": true,
        "errors": [],
        "messages": [],
        "result": page.tokens.iter().map(token).collect::<Vec<_>>(),
        "result_info": {
            "count": page.tokens.len(),
            "page": list.page,
            "per_page": list.per_page,
            "total_count": page.total,
            "total_pages": page.total.div_ceil(list.per_page),
        },
    });
    respond(StatusCode::OK, &envelope)
}

fn token(stored: &StoredToken) -> Map<String, Value> {
    let token = &stored.token;
    let fields = [
        (TokenField::Id, "id", json!(token.id)),
        (TokenField::ClientId, "client_id", json!(token.client_id)),
        (TokenField::Name, "name", json!(token.name)),
        (TokenField::Duration, "duration", json!(token.duration)),
        (
            TokenField::ExpiresAt,
            "expires_at",
            timestamp(token.expires_at),
        ),
        (
            TokenField::CreatedAt,
            "created_at",
            timestamp(token.created_at),
        ),
        (
            TokenField::UpdatedAt,
            "updated_at",
            timestamp(token.updated_at),
        ),
        (
            TokenField::LastSeenAt,
            "last_seen_at",
            token.last_seen_at.map_or(Value::Null, timestamp),
        ),
        (TokenField::Enabled, "enabled", json!(token.enabled)),
        (
            TokenField::ClientSecretVersion,
            "client_secret_version",
            json!(token.client_secret_version),
        ),
    ];
    fields
        .into_iter()
        .filter_map(|(field, name, value)| match stored.withheld.get(&field) {
            None => Some((name.to_owned(), value)),
            Some(Withheld::Null) => Some((name.to_owned(), Value::Null)),
            Some(Withheld::Absent) => None,
        })
        .collect()
}

/// RFC 3339 in UTC, with as many decimals as it takes to lose nothing.
fn timestamp(time: DateTime<Utc>) -> Value {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()
}

fn respond(status: StatusCode, envelope: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(envelope.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_keeps_what_it_has_and_ends_in_z() {
        for text in [
            "2026-11-24T05:00:00Z",
            "2026-11-24T05:00:00.123Z",
            "2014-01-01T05:20:00.123450Z",
            "2026-11-24T05:00:00.123456789Z",
        ] {
            assert_eq!(timestamp(text.parse().unwrap()), json!(text));
        }
    }
}
