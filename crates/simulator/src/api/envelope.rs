//! The JSON of responses. The simulator has its own types, so that it can't share a mistake
//! with those of a client.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::api::requests::{List, Paging};
use crate::behavior::Behavior;
use crate::state::Rejection;
use crate::state::secret::ClientSecret;
use crate::state::token::{StoredToken, TokenField};
use crate::state::{Answer, Page};

/// The code beside `access.api.error.service_token_not_found`.
///
/// The message is Cloudflare's; the number is inferred, since the real one isn't
/// documented.
pub const SERVICE_TOKEN_NOT_FOUND: u32 = 12_135;

const AUTHENTICATION_ERROR: u32 = 10_000;
const INVALID_ACCESS_TOKEN: u32 = 9109;
const INVALID_REQUEST: u32 = 12_130;
const SERVICE_TOKEN_IN_USE: u32 = 12_139;
const ACCESS_NOT_ENABLED: u32 = 9999;
const INVALID_API_TOKEN: u32 = 1000;
/// Of a request whose credentials are of the wrong kind.
const UNSUPPORTED: u32 = 1001;
const THROTTLED: u32 = 971;
/// The simulator's own.
const INJECTED_FAULT: u32 = 1000;

/// A response that refuses the call.
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

    pub(crate) fn access_not_enabled() -> Self {
        let message = "access.api.error.not_enabled: Access is not enabled for this account";
        Self::new(StatusCode::FORBIDDEN, ACCESS_NOT_ENABLED, message)
    }

    pub(crate) fn invalid_api_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            INVALID_API_TOKEN,
            "Invalid API Token",
        )
    }

    pub(crate) fn no_api_token_to_verify() -> Self {
        let message = "Missing \"Authorization\" header";
        Self::new(StatusCode::BAD_REQUEST, UNSUPPORTED, message)
    }

    pub(crate) fn accounts_of_an_account() -> Self {
        let message = "List accounts endpoint does not support account owned tokens.";
        Self::new(StatusCode::BAD_REQUEST, UNSUPPORTED, message)
    }

    pub(crate) fn malformed_authorization() -> Self {
        Self::malformed(6111, "Authorization")
    }

    pub(crate) fn malformed_email() -> Self {
        Self::malformed(6102, "X-Auth-Email")
    }

    pub(crate) fn malformed_key() -> Self {
        Self::malformed(6103, "X-Auth-Key")
    }

    /// The code that says which header is meant comes in the undocumented `error_chain`.
    fn malformed(code: u32, header: &str) -> Self {
        let message = format!("Invalid format for {header} header");
        Self {
            status: StatusCode::BAD_REQUEST,
            errors: vec![json!({
                "code": 6003,
                "message": "Invalid request headers",
                "error_chain": [{ "code": code, "message": message }],
            })],
            header: None,
        }
    }

    pub(crate) fn half_a_scheme() -> Self {
        let message = "Missing X-Auth-Key, X-Auth-Email or Authorization headers";
        Self::new(StatusCode::BAD_REQUEST, 9106, message)
    }

    pub(crate) fn invalid_access_token() -> Self {
        let message = "Invalid access token";
        Self::new(StatusCode::UNAUTHORIZED, INVALID_ACCESS_TOKEN, message)
    }

    pub(crate) fn wrong_location(peer: IpAddr) -> Self {
        let message = format!("Cannot use the access token from location: {peer}");
        Self::new(StatusCode::FORBIDDEN, INVALID_ACCESS_TOKEN, message)
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
                SERVICE_TOKEN_IN_USE,
                "access.api.error.service_token_in_use: cannot delete service token because \
                 it is used by a policy, group, or app SCIM configuration.",
            ),
            Rejection::LimitReached { limit } => Self::new(
                StatusCode::BAD_REQUEST,
                INVALID_REQUEST,
                format!(
                    "access.api.error.invalid_request: \
                     the account has reached its limit of {limit} service tokens"
                ),
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

/// The envelope of a success.
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

/// The fields of a token in a response.
struct Shown<'a> {
    stored: &'a StoredToken,
    client_secret: Option<&'a str>,
    fields: &'static [TokenField],
    null_timestamps: bool,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // It comes first, so that a response that breaks off in the middle still holds it.
        if let Some(secret) = self.client_secret {
            map.serialize_entry("client_secret", secret)?;
        }
        for field in self.fields {
            if let Some(value) = self.stored.shown(*field, self.null_timestamps) {
                map.serialize_entry(field.name(), &value)?;
            }
        }
        map.end()
    }
}

/// Returns the response about one token, to any call but create and rotate.
pub(crate) fn single(answer: &Answer, behavior: &Behavior) -> Response<Body> {
    about(StatusCode::OK, answer, behavior, TokenField::OF_TOKEN)
}

/// Returns the response to create and rotate.
pub(crate) fn issued(status: StatusCode, answer: &Answer, behavior: &Behavior) -> Response<Body> {
    about(status, answer, behavior, TokenField::OF_ISSUED)
}

fn about(
    status: StatusCode,
    answer: &Answer,
    behavior: &Behavior,
    documented: &'static [TokenField],
) -> Response<Body> {
    let is_issued = documented == TokenField::OF_ISSUED;
    // An update can make a secret as well, but its documented response doesn't show it.
    let secret = answer
        .client_secret
        .as_ref()
        .filter(|_| is_issued || behavior.lenient_answers);
    let shown = Shown {
        stored: &answer.stored,
        client_secret: secret.map(ClientSecret::expose),
        fields: fields(documented, behavior),
        null_timestamps: behavior.null_timestamps,
    };
    respond(status, &Success::new(shown, None))
}

fn fields(documented: &'static [TokenField], behavior: &Behavior) -> &'static [TokenField] {
    if behavior.lenient_answers {
        TokenField::ALL
    } else {
        documented
    }
}

/// Returns the response to a list.
pub(crate) fn page(list: &List, page: &Page<'_>, behavior: &Behavior) -> Response<Body> {
    let tokens: Vec<Shown<'_>> = page
        .tokens
        .iter()
        .map(|stored| Shown {
            stored,
            client_secret: None,
            fields: fields(TokenField::OF_TOKEN, behavior),
            null_timestamps: behavior.null_timestamps,
        })
        .collect();
    collection(&tokens, list.paging, page.total, behavior)
}

/// Returns the response to a list of anything in an account.
pub(crate) fn collection(
    entries: &[impl Serialize],
    paging: Paging,
    total: usize,
    behavior: &Behavior,
) -> Response<Body> {
    let result_info = behavior.page_cap.is_none().then(|| {
        let mut info = counts(entries.len(), paging, total);
        info["total_pages"] = json!(total.div_ceil(paging.per_page));
        info
    });
    respond(StatusCode::OK, &Success::new(entries, result_info))
}

/// Returns the response to the list of accounts, whose counts lack `total_pages` in the
/// document.
pub(crate) fn accounts(
    entries: &[Value],
    paging: Paging,
    total: usize,
    behavior: &Behavior,
) -> Response<Body> {
    let has_counts = behavior.page_cap.is_none();
    let result_info = has_counts.then(|| counts(entries.len(), paging, total));
    respond(StatusCode::OK, &Success::new(entries, result_info))
}

/// Returns a response that holds only a result.
pub(crate) fn result(result: &Value) -> Response<Body> {
    respond(StatusCode::OK, &Success::new(result, None))
}

fn counts(count: usize, paging: Paging, total: usize) -> Value {
    json!({
        "count": count,
        "page": paging.page,
        "per_page": paging.per_page,
        "total_count": total,
    })
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
