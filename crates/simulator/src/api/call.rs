//! Carries out a call, and makes its response.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Query, RawPathParams, Request};
use axum::http::{Response, StatusCode, Uri};
use chrono::{DateTime, Utc};

use crate::api::authentication::Caller;
use crate::api::envelope::{self, Refusal};
use crate::api::limits::Standing;
use crate::api::requests::{Create, List, Paging, PerPage, Rotate, Update};
use crate::api::{Operation, neighbours};
use crate::behavior::Behavior;
use crate::faults::Fault;
use crate::faults::plan::Strike;
use crate::faults::spoil::spoil;
use crate::shared::Shared;
use crate::state::Rejection;
use crate::state::State;
use crate::state::account::{StoredAccess, StoredAccount};
use crate::wire::connection::Peer;
use crate::wire::delivery::Delivery;

/// The longest body, in bytes: far more than any request needs.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The ids in a path, or why they can't be read.
pub(crate) type Target = Result<RawPathParams, RawPathParamsRejection>;

/// A call of the API, known from path and method alone.
struct Call {
    operation: Operation,
    /// `None` where the operation is about no single account.
    account_id: Option<String>,
    /// `None` where the operation is about no single token.
    token_id: Option<String>,
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
            found.map(|(_, id)| id.to_owned())
        };
        Some(Self {
            operation,
            account_id: id("account_id"),
            token_id: id("token_id"),
        })
    }

    /// The ids of account and token, empty where the operation is about none.
    fn ids(&self) -> (&str, &str) {
        let (account, token) = (self.account_id.as_deref(), self.token_id.as_deref());
        (account.unwrap_or_default(), token.unwrap_or_default())
    }
}

/// The facts about a call that go into the request log.
#[derive(Clone)]
pub(crate) struct Note {
    pub(crate) account_id: Option<String>,
    pub(crate) operation: Operation,
    pub(crate) fault: Option<Fault>,
    pub(crate) changed: bool,
}

/// Responds to a call, unless the rate limit refuses it or it meets a fault.
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

/// Returns the response to a call that meets a fault, and whether the call changed anything.
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
            let standing = shared.lock_out(request.headers());
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

/// Responds with the token as it is before the call.
async fn answer_stale(
    shared: &Shared,
    call: &Call,
    request: Request,
    takes_effect: bool,
) -> (Response<Body>, bool) {
    let (account, id) = call.ids();
    let stale = shared.state().get(account, id);
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

/// Returns the correct response to a call, and whether it changed anything. A call that
/// must not take effect is carried out on a copy of the state.
async fn judge(
    shared: &Shared,
    call: &Call,
    request: Request,
    takes_effect: bool,
) -> (Response<Body>, bool) {
    let done = match admit(shared, call, request).await {
        Ok(admitted) => {
            let now = shared.now();
            let mut state = shared.state();
            if takes_effect {
                apply(&mut state, &shared.behavior, call, &admitted, now)
            } else {
                apply(&mut state.copy(), &shared.behavior, call, &admitted, now)
            }
        }
        Err(refusal) => Err(refusal),
    };
    let changed = takes_effect && done.is_ok() && call.operation.is_change();
    (done.unwrap_or_else(Refusal::into_response), changed)
}

/// A request that may be carried out.
struct Admitted {
    caller: Caller,
    uri: Uri,
    body: Bytes,
}

impl Admitted {
    /// The decoded query parameters.
    fn query(&self) -> Result<Vec<(String, String)>, Rejection> {
        let Query(parameters) = Query::try_from_uri(&self.uri)
            .map_err(|_| Rejection::body("the query can't be read"))?;
        Ok(parameters)
    }

    fn paging(&self, per_page: PerPage) -> Result<Paging, Rejection> {
        Paging::from_query(&self.query()?, per_page)
    }
}

/// Checks credentials and account, and reads the body.
async fn admit(shared: &Shared, call: &Call, request: Request) -> Result<Admitted, Refusal> {
    let Some(Peer(peer)) = request.extensions().get().copied() else {
        // A request always comes over a connection.
        return Err(Refusal::forbidden());
    };
    let (headers, now) = (request.headers(), shared.now());
    let account_id = call.account_id.as_deref();
    let caller = shared
        .credentials()
        .check(headers, peer, now, account_id, call.operation)?;
    if let Some(id) = account_id {
        let state = shared.state();
        let account = state.account(id).ok_or_else(Refusal::forbidden)?;
        if call.operation.needs_access() && account.access.is_none() {
            return Err(Refusal::access_not_enabled());
        }
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| Refusal::body_too_large(MAX_BODY_BYTES))?;
    Ok(Admitted {
        caller,
        uri: head.uri,
        body,
    })
}

/// Carries out the call on the state, and returns the response.
fn apply(
    state: &mut State,
    behavior: &Behavior,
    call: &Call,
    request: &Admitted,
    now: DateTime<Utc>,
) -> Result<Response<Body>, Refusal> {
    let (account, id) = call.ids();
    let body = &request.body;
    let answer = match call.operation {
        Operation::List => {
            let list = List::from_query(&request.query()?)?;
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
        Operation::VerifyApiToken => {
            let Caller::ApiToken(token) = &request.caller else {
                return Err(Refusal::no_api_token_to_verify());
            };
            return Ok(envelope::result(&neighbours::verification(token, now)));
        }
        Operation::ListAccounts => {
            let paging = request.paging(PerPage::OF_ACCOUNTS)?;
            let accounts = state.accounts().iter();
            let accounts = accounts.filter(|account| request.caller.sees(&account.id));
            let accounts: Vec<_> = accounts.map(neighbours::account).collect();
            let total = accounts.len();
            let page = paging.of(accounts.into_iter(), behavior.page_cap);
            return Ok(envelope::accounts(&page, paging, total, behavior));
        }
        Operation::GetOrganization
        | Operation::ListPolicies
        | Operation::ListGroups
        | Operation::ListApps => {
            let account = state.account(account).ok_or_else(Refusal::forbidden)?;
            let access = account.access.as_ref();
            let access = access.ok_or_else(Refusal::access_not_enabled)?;
            return about_access(account, access, behavior, call.operation, request);
        }
    };
    Ok(envelope::single(&answer, behavior))
}

/// Returns the response to a call about an account's Access configuration.
fn about_access(
    account: &StoredAccount,
    access: &StoredAccess,
    behavior: &Behavior,
    operation: Operation,
    request: &Admitted,
) -> Result<Response<Body>, Refusal> {
    let (entries, per_page) = match operation {
        Operation::ListPolicies => (neighbours::policies(access), PerPage::OF_POLICIES),
        Operation::ListGroups => (neighbours::groups(access), PerPage::OF_GROUPS_AND_APPS),
        Operation::ListApps => (neighbours::apps(access), PerPage::OF_GROUPS_AND_APPS),
        _ => {
            let organization = neighbours::organization(account, access, behavior);
            return Ok(envelope::result(&organization));
        }
    };
    let paging = request.paging(per_page)?;
    let total = entries.len();
    let page = paging.of(entries.into_iter(), behavior.page_cap);
    Ok(envelope::collection(&page, paging, total, behavior))
}
