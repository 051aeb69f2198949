//! The routes, and the steps that every request passes.

pub(crate) mod authentication;
pub(crate) mod call;
pub(crate) mod envelope;
pub(crate) mod limits;
pub(crate) mod neighbours;
pub(crate) mod requests;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, Uri};
use axum::middleware::{self, Next};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::api::call::{Note, Target};
use crate::api::envelope::Refusal;
use crate::app;
use crate::control::{self, ControlPlane};
use crate::request_log::{ReceivedRequest, mask, masked_headers, masked_query};
use crate::shared::Shared;
use crate::wire::delivery::Delivery;

pub(crate) const API: &str = "/client/v4";

/// An operation of the API.
///
/// Path and method alone identify it.
///
/// See the examples of [`Simulator::requests`](crate::Simulator::requests) and
/// [`Injection`](crate::Injection).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// `GET …/service_tokens`
    List,
    /// `POST …/service_tokens`
    Create,
    /// `GET …/service_tokens/{id}`
    Get,
    /// `PUT …/service_tokens/{id}`
    Update,
    /// `DELETE …/service_tokens/{id}`
    Delete,
    /// `POST …/service_tokens/{id}/refresh`
    Refresh,
    /// `POST …/service_tokens/{id}/rotate`
    Rotate,
    /// `GET /accounts`
    ListAccounts,
    /// `GET …/access/organizations`
    GetOrganization,
    /// `GET …/access/policies`
    ListPolicies,
    /// `GET …/access/groups`
    ListGroups,
    /// `GET …/access/apps`
    ListApps,
    /// `GET /user/tokens/verify` or `GET /accounts/{id}/tokens/verify`
    VerifyApiToken,
}

impl Operation {
    /// Returns whether it changes anything, if it succeeds.
    pub(crate) fn is_change(self) -> bool {
        matches!(
            self,
            Self::Create | Self::Update | Self::Delete | Self::Refresh | Self::Rotate
        )
    }

    /// Returns whether it is about the Access configuration of an account.
    pub(crate) fn needs_access(self) -> bool {
        !matches!(self, Self::ListAccounts | Self::VerifyApiToken)
    }
}

pub(crate) fn router(shared: Arc<Shared>, control_plane: ControlPlane) -> Router {
    Router::new()
        .merge(api())
        .fallback(async |uri: Uri| Refusal::no_route(uri.path()).into_response())
        .layer(middleware::from_fn_with_state(shared.clone(), count))
        .merge(app::router())
        .layer(middleware::from_fn_with_state(shared.clone(), record))
        .merge(control::router(control_plane))
        .layer(middleware::from_fn_with_state(shared.clone(), date))
        .with_state(shared)
}

fn api() -> Router<Arc<Shared>> {
    let on = |operation: Operation| {
        move |State(shared): State<Arc<Shared>>, target: Target, request: Request| {
            call::answer(shared, operation, target, request)
        }
    };
    // `get` alone would answer HEAD as well.
    let only = |allow: &'static str| {
        move || async move { Refusal::method_not_allowed(allow).into_response() }
    };

    let account = format!("{API}/accounts/{{account_id}}");
    let tokens = format!("{account}/access/service_tokens");
    let token = format!("{tokens}/{{token_id}}");
    let read_write = only("GET, POST");
    let read_change = only("GET, PUT, DELETE");
    let read = only("GET");

    let mut router = Router::new();
    for (path, operation) in [
        (format!("{API}/accounts"), Operation::ListAccounts),
        (
            format!("{account}/access/organizations"),
            Operation::GetOrganization,
        ),
        (
            format!("{account}/access/policies"),
            Operation::ListPolicies,
        ),
        (format!("{account}/access/groups"), Operation::ListGroups),
        (format!("{account}/access/apps"), Operation::ListApps),
        (
            format!("{API}/user/tokens/verify"),
            Operation::VerifyApiToken,
        ),
        (
            format!("{account}/tokens/verify"),
            Operation::VerifyApiToken,
        ),
    ] {
        router = router.route(&path, get(on(operation)).head(read).fallback(read));
    }
    router
        .route(
            &tokens,
            get(on(Operation::List))
                .post(on(Operation::Create))
                .head(read_write)
                .fallback(read_write),
        )
        .route(
            &token,
            get(on(Operation::Get))
                .put(on(Operation::Update))
                .delete(on(Operation::Delete))
                .head(read_change)
                .fallback(read_change),
        )
        .route(
            &format!("{token}/refresh"),
            post(on(Operation::Refresh)).fallback(only("POST")),
        )
        .route(
            &format!("{token}/rotate"),
            post(on(Operation::Rotate)).fallback(only("POST")),
        )
}

/// Counts a request against the rate limit and says where the client stands.
async fn count(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let standing = shared.count_request(request.headers());
    request.extensions_mut().insert(standing);
    let mut response = next.run(request).await;
    // A lock-out begins with the answer.
    let standing = response.extensions_mut().remove().unwrap_or(standing);
    append(&mut response, "ratelimit", &standing.header());
    append(&mut response, "ratelimit-policy", &standing.policy());
    response
}

/// Names the request with a ray id, and keeps a record of it.
async fn record(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response<Body> {
    let method = request.method().to_string();
    let path = mask(request.uri().path());
    let query = request.uri().query().map(masked_query);
    let headers = masked_headers(request.headers());
    let mut response = next.run(request).await;
    append(&mut response, "cf-ray", &shared.next_ray());
    let note = response.extensions_mut().remove::<Note>();
    let (account_id, operation, fault, changed) = match note {
        Some(note) => (
            note.account_id.as_deref().map(mask),
            Some(note.operation),
            note.fault,
            note.changed,
        ),
        None => (None, None, None, false),
    };
    let delivery = response.extensions().get::<Delivery>();
    let is_answered = delivery.is_none_or(|delivery| delivery.shows_status());
    shared.record(ReceivedRequest {
        method,
        path,
        query,
        headers,
        account_id,
        operation,
        status: is_answered.then(|| response.status().as_u16()),
        fault,
        changed,
    });
    response
}

/// Sets `Date` by the simulator's clock. Otherwise hyper would add the system's time.
async fn date(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    let date = shared.now().format("%a, %d %b %Y %H:%M:%S GMT");
    append(&mut response, "date", &date.to_string());
    response
}

/// Adds a header, and keeps any of the same name that a fault has added.
fn append(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
}
