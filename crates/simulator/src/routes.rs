//! From a request to an answer.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, RawPathParams, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::routing::{get, post};

use crate::envelope::{self, Refusal};
use crate::fields::{Create, List, Rotate, Update};
use crate::operation::{Operation, Scope};
use crate::protected;
use crate::rate_limit::Standing;
use crate::request_log::ReceivedRequest;
use crate::shared::Shared;
use crate::state::Rejection;

pub(crate) const API: &str = "/client/v4";

/// Far more than any body that the API knows.
const MAX_BODY_BYTES: usize = 64 * 1024;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .merge(api(Scope::Account))
        .merge(api(Scope::Zone))
        .fallback(async |uri: Uri| Refusal::no_route(uri.path()).into_response())
        .layer(middleware::from_fn_with_state(shared.clone(), count))
        .merge(protected::router())
        .layer(middleware::from_fn_with_state(shared.clone(), record))
        .with_state(shared)
}

/// The paths of one scope. Only an account has refresh and rotate.
fn api(scope: Scope) -> Router<Arc<Shared>> {
    let on = |operation: Operation| {
        move |State(shared): State<Arc<Shared>>, target: Target, request: Request| {
            answer(shared, scope, operation, target, request)
        }
    };
    // `get` alone would answer HEAD as well.
    let only = |allow: &'static str| {
        move || async move { Refusal::method_not_allowed(allow).into_response() }
    };

    let segment = match scope {
        Scope::Account => "accounts",
        Scope::Zone => "zones",
    };
    let tokens = format!("{API}/{segment}/{{scope_id}}/access/service_tokens");
    let token = format!("{tokens}/{{token_id}}");
    let read_write = only("GET, POST");
    let read_change = only("GET, PUT, DELETE");

    let router = Router::new()
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
        );
    match scope {
        Scope::Zone => router,
        Scope::Account => router
            .route(
                &format!("{token}/refresh"),
                post(on(Operation::Refresh)).fallback(only("POST")),
            )
            .route(
                &format!("{token}/rotate"),
                post(on(Operation::Rotate)).fallback(only("POST")),
            ),
    }
}

/// The ids in a path, or why they can't be read.
type Target = Result<RawPathParams, RawPathParamsRejection>;

/// A call of the API, known from path and method alone.
struct Call {
    scope: Scope,
    operation: Operation,
    scope_id: String,
    /// Empty where the operation is about no single token.
    token_id: String,
}

impl Call {
    /// `None` if an id is empty or isn't text: no such path is routed.
    fn identify(scope: Scope, operation: Operation, target: Target) -> Option<Self> {
        let target = target.ok()?;
        if target.iter().any(|(_, id)| id.is_empty()) {
            return None;
        }
        let id = |wanted| {
            let found = target.iter().find(|(name, _)| *name == wanted);
            found.map_or_else(String::new, |(_, id)| id.to_owned())
        };
        Some(Self {
            scope,
            operation,
            scope_id: id("scope_id"),
            token_id: id("token_id"),
        })
    }
}

/// Answers a call: once it is known by name, it is judged, then done.
async fn answer(
    shared: Arc<Shared>,
    scope: Scope,
    operation: Operation,
    target: Target,
    request: Request,
) -> Response<Body> {
    let Some(call) = Call::identify(scope, operation, target) else {
        return Refusal::no_route(request.uri().path()).into_response();
    };
    let mut response = judge(&shared, &call, request)
        .await
        .unwrap_or_else(Refusal::into_response);
    response.extensions_mut().insert(operation);
    response
}

/// Who asks, of what, with which words; then the call itself.
async fn judge(shared: &Shared, call: &Call, request: Request) -> Result<Response<Body>, Refusal> {
    shared.credentials.check(request.headers())?;
    if call.scope_id != shared.scope_id(call.scope) {
        return Err(Refusal::forbidden());
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| Refusal::body_too_large(MAX_BODY_BYTES))?;
    apply(shared, call, &head.uri, &body)
}

/// What the call does to the state, and the answer to it.
fn apply(shared: &Shared, call: &Call, uri: &Uri, body: &Bytes) -> Result<Response<Body>, Refusal> {
    let (scope, id, now) = (call.scope, call.token_id.as_str(), shared.now());
    let answer = match call.operation {
        Operation::List => {
            let Query(parameters) = Query::<Vec<_>>::try_from_uri(uri)
                .map_err(|_| Rejection::body("the query can't be read"))?;
            let list = List::from_query(&parameters)?;
            let page = shared.state().list(scope, &list);
            return Ok(envelope::page(&list, &page));
        }
        Operation::Create => {
            let create = Create::from_body(body)?;
            let answer = shared.state().create(scope, create, now);
            return Ok(envelope::single(StatusCode::CREATED, &answer));
        }
        Operation::Get => shared.state().get(scope, id)?,
        Operation::Update => {
            let update = Update::from_body(body)?;
            shared.state().update(scope, id, update, now)?
        }
        Operation::Delete => shared.state().delete(scope, id)?,
        Operation::Refresh => shared.state().refresh(scope, id, now)?,
        Operation::Rotate => {
            let rotate = Rotate::from_body(body)?;
            shared.state().rotate(scope, id, &rotate, now)?
        }
    };
    Ok(envelope::single(StatusCode::OK, &answer))
}

/// Counts a request against the rate limit and says where the client stands.
async fn count(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response<Body> {
    let standing = shared.count_request();
    let mut response = next.run(request).await;
    set(&mut response, "ratelimit", &standing.header());
    set(&mut response, "ratelimit-policy", &Standing::policy());
    response
}

/// Names the request with a ray id, and keeps a record of it.
async fn record(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response<Body> {
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().map(str::to_owned);
    let mut response = next.run(request).await;
    set(&mut response, "cf-ray", &shared.next_ray());
    shared.record(ReceivedRequest {
        method,
        path,
        query,
        operation: response.extensions().get().copied(),
        status: response.status().as_u16(),
    });
    response
}

fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
