//! The JSON of answers. Its types are the simulator's own, so that no mistake of a
//! client's types can hide behind the same mistake here.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::fields::List;
use crate::rejection::Rejection;
use crate::secret::ClientSecret;
use crate::state::{Answer, Page};
use crate::token::StoredToken;

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

/// What every success is wrapped in.
#[derive(Serialize)]
struct Success<R> {
    errors: [(); 0],
    messages: [(); 0],
    success: bool,
    result: R,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_info: Option<Value>,
}

impl<R: Serialize> Success<R> {
    fn new(result: R, result_info: Option<Value>) -> Self {
        Self {
            errors: [],
            messages: [],
            success: true,
            result,
            result_info,
        }
    }
}

/// A token, with the secret if the call made one.
#[derive(Serialize)]
struct Issued<'a> {
    /// It comes first, so that an answer that breaks off in the middle still holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    #[serde(flatten)]
    token: &'a StoredToken,
}

/// The answer about one token.
pub(crate) fn single(status: StatusCode, answer: &Answer) -> Response<Body> {
    let issued = Issued {
        client_secret: answer.client_secret.as_ref().map(ClientSecret::expose),
        token: &answer.stored,
    };
    respond(status, &Success::new(issued, None))
}

/// The answer to a list.
pub(crate) fn page(list: &List, page: &Page<'_>) -> Response<Body> {
    let result_info = json!({
        "count": page.tokens.len(),
        "page": list.page,
        "per_page": list.per_page,
        "total_count": page.total,
        "total_pages": page.total.div_ceil(list.per_page),
    });
    respond(
        StatusCode::OK,
        &Success::new(&page.tokens, Some(result_info)),
    )
}

fn respond(status: StatusCode, envelope: &impl Serialize) -> Response<Body> {
    let (status, body) = match serde_json::to_vec(envelope) {
        Ok(json) => (status, json),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_has_no_form_in_json_is_no_success() {
        let response = respond(
            StatusCode::OK,
            &BTreeMap::from([([0], "no text for a key")]),
        );
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
