//! From a call to its answer.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, RawPathParams, Request};
use axum::http::{Response, StatusCode, Uri};
use chrono::{DateTime, Utc};

use crate::api::Operation;
use crate::api::envelope::{self, Refusal};
use crate::api::limits::Standing;
use crate::api::requests::{Create, List, Rotate, Update};
use crate::behavior::Behavior;
use crate::faults::Fault;
use crate::faults::plan::Strike;
use crate::faults::spoil::spoil;
use crate::shared::Shared;
use crate::state::Rejection;
use crate::state::State;
use crate::wire::connection::Peer;
use crate::wire::delivery::Delivery;

/// Far more than any body that the API knows.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The ids in a path, or why they can't be read.
pub(crate) type Target = Result<RawPathParams, RawPathParamsRejection>;

/// A call of the API, known from path and method alone.
struct Call {
    operation: Operation,
    account_id: String,
    /// Empty where the operation is about no single token.
    token_id: String,
}

impl Call {
    /// `None` if an id is empty or isn't text: no such path is routed.
    fn identify(operation: Operation, target: Target) -> Option<Self> {
        let target = target.ok()?;
        if target.iter().any(|(_, id)| id.is_empty()) {
            return None;
        }
        let id = |wanted| {
            let found = target.iter().find(|(name, _)| *name == wanted);
            found.map_or_else(String::new, |(_, id)| id.to_owned())
        };
        Some(Self {
            operation,
            account_id: id("account_id"),
            token_id: id("token_id"),
        })
    }
}

/// The facts about a call that go into the request log.
#[derive(Clone)]
pub(crate) struct Note {
    pub(crate) account_id: String,
    pub(crate) operation: Operation,
    pub(crate) fault: Option<Fault>,
    pub(crate) changed: bool,
}

/// Answers a call, unless the rate limit refuses it or it meets a fault.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    operation: Operation,
    target: Target,
    request: Request,
) -> Response<Body> {
    let Some(call) = Call::identify(operation, target) else {
        return Refusal::no_route(request.uri().path()).into_response();
    };
    let standing = request.extensions().get::<Standing>();
    let lock_out = standing.and_then(Standing::lock_out_seconds);
    let (mut response, fault, changed) = if let Some(seconds) = lock_out {
        let refusal = Refusal::throttled(Some(seconds));
        (refusal.into_response(), None, false)
    } else if let Some(strike) = shared.next_strike(operation) {
        let (response, changed) = fail(&shared, &call, request, &strike).await;
        (response, Some(strike.fault), changed)
    } else {
        let (response, changed) = judge(&shared, &call, request, true).await;
        (response, None, changed)
    };
    response.extensions_mut().insert(Note {
        account_id: call.account_id,
        operation,
        fault,
        changed,
    });
    response
}

/// The answer to a call that meets a fault, and whether the call changed anything.
async fn fail(
    shared: &Shared,
    call: &Call,
    request: Request,
    strike: &Strike,
) -> (Response<Body>, bool) {
    match strike.fault {
        Fault::ResetAfterHead => return (reset(), false),
        Fault::ResetDuringRequest => {
            let mut body = request.into_body();
            // The frame may also be the end of the body.
            let _ = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            return (reset(), false);
        }
        Fault::LockOut => {
            let standing = shared.lock_out();
            let mut refusal = Refusal::throttled(standing.lock_out_seconds()).into_response();
            refusal.extensions_mut().insert(standing);
            return (refusal, false);
        }
        Fault::StaleAnswer => {
            return answer_stale(shared, call, request, strike.takes_effect).await;
        }
        _ => {}
    }
    let (right, changed) = judge(shared, call, request, strike.takes_effect).await;
    (spoil(&strike.fault, right).await, changed)
}

/// Answers with the token as it is before the call.
async fn answer_stale(
    shared: &Shared,
    call: &Call,
    request: Request,
    takes_effect: bool,
) -> (Response<Body>, bool) {
    let stale = shared.state().get(&call.account_id, &call.token_id);
    let (right, changed) = judge(shared, call, request, takes_effect).await;
    let may_be_stale = matches!(call.operation, Operation::Update | Operation::Refresh);
    match stale {
        Ok(stale) if may_be_stale && right.status().is_success() => {
            (envelope::single(&stale, &shared.behavior), changed)
        }
        _ => (right, changed),
    }
}

fn reset() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Delivery::Reset);
    response
}

/// The right answer to a call, and whether it changed anything. A call that
/// takes no effect is carried out on a copy of the state.
async fn judge(
    shared: &Shared,
    call: &Call,
    request: Request,
    takes_effect: bool,
) -> (Response<Body>, bool) {
    let done = match admit(shared, call, request).await {
        Ok((uri, body)) => {
            let now = shared.now();
            let mut state = shared.state();
            if takes_effect {
                apply(&mut state, &shared.behavior, call, &uri, &body, now)
            } else {
                apply(&mut state.copy(), &shared.behavior, call, &uri, &body, now)
            }
        }
        Err(refusal) => Err(refusal),
    };
    let changed = takes_effect && done.is_ok() && call.operation.is_change();
    (done.unwrap_or_else(Refusal::into_response), changed)
}

/// Checks credentials and account, and reads the body.
async fn admit(shared: &Shared, call: &Call, request: Request) -> Result<(Uri, Bytes), Refusal> {
    let Some(Peer(peer)) = request.extensions().get().copied() else {
        // A request always comes over a connection.
        return Err(Refusal::forbidden());
    };
    let (headers, now) = (request.headers(), shared.now());
    shared
        .credentials()
        .check(headers, peer, now, &call.account_id, call.operation)?;
    if !shared.state().has_account(&call.account_id) {
        return Err(Refusal::forbidden());
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| Refusal::body_too_large(MAX_BODY_BYTES))?;
    Ok((head.uri, body))
}

/// Carries the call out on the state and returns the answer.
fn apply(
    state: &mut State,
    behavior: &Behavior,
    call: &Call,
    uri: &Uri,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Response<Body>, Refusal> {
    let (account, id) = (call.account_id.as_str(), call.token_id.as_str());
    let answer = match call.operation {
        Operation::List => {
            let Query(parameters) = Query::<Vec<_>>::try_from_uri(uri)
                .map_err(|_| Rejection::body("the query can't be read"))?;
            let list = List::from_query(&parameters)?;
            let page = state.list(account, &list, behavior);
            return Ok(envelope::page(&list, &page, behavior));
        }
        Operation::Create => {
            let answer = state.create(account, Create::from_body(body)?, now)?;
            return Ok(envelope::issued(StatusCode::CREATED, &answer, behavior));
        }
        Operation::Rotate => {
            let answer = state.rotate(account, id, &Rotate::from_body(body)?, now)?;
            return Ok(envelope::issued(StatusCode::OK, &answer, behavior));
        }
        Operation::Get => state.get(account, id)?,
        Operation::Update => state.update(account, id, Update::from_body(body)?, now)?,
        Operation::Delete => state.delete(account, id)?,
        Operation::Refresh => state.refresh(account, id, now)?,
    };
    Ok(envelope::single(&answer, behavior))
}
