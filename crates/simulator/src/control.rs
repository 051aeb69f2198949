//! The control plane: tokens, accounts, API tokens, clock, faults and log over HTTP, for
//! tests in other languages.
//!
//! A web page that is open in a browser must not reach it. So a request must name a
//! loopback host, against DNS rebinding, and carry a header that no browser sends to
//! another site without a preflight; no preflight is ever granted. Where other machines
//! reach the simulator, the control plane is off unless asked for. Then a request may name
//! any host, since the simulator doesn't know its names in their network.

mod bodies;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::any;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::control::bodies::{
    ChangeToken, Count, MoveClock, NewAccount, NewApiToken, NewToken, shown_account,
};
use crate::faults::injection::Injection;
use crate::faults::plan::FaultPlan;
use crate::request_log::{ReceivedRequest, mask};
use crate::shared::Shared;
use crate::state::account::AccountChange;
use crate::state::token::Token;

const PREFIX: &str = "/_simulator";
const CONTROL_HEADER: &str = "x-simulator-control";
const MAX_BODY_BYTES: usize = 1 << 20;

/// The paths below the prefix, and the methods that each takes.
const PATHS: [(&str, &str); 10] = [
    ("/tokens", "GET, POST"),
    ("/tokens/{id}", "GET, PATCH, DELETE"),
    ("/accounts", "GET, POST"),
    ("/accounts/{id}", "PATCH, DELETE"),
    ("/api_tokens", "POST"),
    ("/clock", "GET, POST"),
    ("/faults", "GET, POST, DELETE"),
    ("/requests", "GET, DELETE"),
    ("/requests/count", "GET"),
    ("/reset", "POST"),
];

/// The requests that the control plane takes.
#[derive(Clone, Copy)]
pub(crate) enum ControlPlane {
    Off,
    LoopbackHost,
    AnyHost,
}

impl ControlPlane {
    /// The control plane of a simulator that listens on this address.
    pub(crate) fn at(address: IpAddr, asked_for: Option<bool>) -> Self {
        match (address.is_loopback(), asked_for) {
            (_, Some(false)) | (false, None) => Self::Off,
            (true, _) => Self::LoopbackHost,
            (false, Some(true)) => Self::AnyHost,
        }
    }
}

pub(crate) fn router(control_plane: ControlPlane) -> Router<Arc<Shared>> {
    let control = any(
        move |State(shared): State<Arc<Shared>>, request: Request| async move {
            let answer = answer(&shared, control_plane, request).await;
            answer.unwrap_or_else(Failure::into_response)
        },
    );
    Router::new()
        .route(PREFIX, control.clone())
        .route(&format!("{PREFIX}/"), control.clone())
        .route(&format!("{PREFIX}/{{*path}}"), control)
}

/// A request that the control plane refused.
struct Failure {
    status: StatusCode,
    error: String,
    /// The alternatives, where the error doesn't name them.
    allowed: Vec<String>,
}

impl Failure {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            allowed: Vec::new(),
        }
    }

    fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    fn no_token(id: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("no token has the id {id}"))
    }

    fn into_response(self) -> Response<Body> {
        // The caller may have sent a secret in the wrong place.
        let mut body = json!({ "error": mask(&self.error) });
        if !self.allowed.is_empty() {
            body["allowed"] = json!(self.allowed);
        }
        let mut response = respond(self.status, &body);
        if self.status == StatusCode::METHOD_NOT_ALLOWED
            && let Ok(allow) = HeaderValue::try_from(self.allowed.join(", "))
        {
            response.headers_mut().insert(ALLOW, allow);
        }
        response
    }
}

async fn answer(
    shared: &Shared,
    control_plane: ControlPlane,
    request: Request,
) -> Result<Response<Body>, Failure> {
    match control_plane {
        ControlPlane::Off => {
            return Err(Failure::new(
                StatusCode::FORBIDDEN,
                "the control plane is off, as it is by default on an address that isn't a \
                 loopback one; start the simulator with --control or \
                 SimulatorBuilder::control_plane(true) to turn it on",
            ));
        }
        ControlPlane::LoopbackHost => check_host(&request)?,
        ControlPlane::AnyHost => {}
    }
    if !request.headers().contains_key(CONTROL_HEADER) {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "the control plane accepts only requests with the header X-Simulator-Control: 1",
        ));
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|_| {
        let error = format!("the body is longer than {MAX_BODY_BYTES} bytes");
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    })?;
    let path = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    if head.uri.query().is_some() && segments != ["requests", "count"] {
        let error = format!("{} accepts no query", head.uri.path());
        return Err(Failure::bad_request(error));
    }

    let now = shared.now();
    Ok(match (head.method.as_str(), &segments[..]) {
        ("GET", ["tokens"]) => {
            let state = shared.state();
            respond(StatusCode::OK, &state.tokens().collect::<Vec<_>>())
        }
        ("POST", ["tokens"]) => respond(StatusCode::CREATED, &add(shared, &body)?),
        ("GET", ["tokens", id]) => {
            let state = shared.state();
            let token = state.tokens().find(|token| token.id == *id);
            respond(StatusCode::OK, token.ok_or_else(|| Failure::no_token(id))?)
        }
        ("PATCH", ["tokens", id]) => {
            let change: ChangeToken = read(&body)?;
            change.check().map_err(Failure::bad_request)?;
            let changed = shared
                .state()
                .change(id, |stored| change.apply(stored, now));
            respond(
                StatusCode::OK,
                &changed.ok_or_else(|| Failure::no_token(id))?,
            )
        }
        ("DELETE", ["tokens", id]) => {
            let removed = shared.state().remove(id);
            respond(
                StatusCode::OK,
                &removed.ok_or_else(|| Failure::no_token(id))?,
            )
        }
        ("POST", ["accounts"]) => {
            let account = read::<NewAccount>(&body)?.into_seed();
            let id = account.id.clone();
            let mut state = shared.state();
            let added = state.add_account(account, now);
            added.map_err(Failure::bad_request)?;
            let added = state.account(&id);
            let added = added.map(|account| shown_account(account, &shared.behavior));
            respond(StatusCode::CREATED, &added)
        }
        ("GET", ["accounts"]) => {
            let state = shared.state();
            let accounts = state.accounts().iter();
            let accounts = accounts.map(|account| shown_account(account, &shared.behavior));
            respond(StatusCode::OK, &accounts.collect::<Vec<_>>())
        }
        ("PATCH", ["accounts", id]) => {
            let change: AccountChange = read(&body)?;
            find_account(shared, id)?;
            let mut state = shared.state();
            let changed = state.change_account(id, change, now);
            changed.map_err(Failure::bad_request)?;
            let changed = state.account(id);
            let changed = changed.map(|account| shown_account(account, &shared.behavior));
            respond(StatusCode::OK, &changed)
        }
        ("DELETE", ["accounts", id]) => {
            find_account(shared, id)?;
            shared.state().remove_account(id);
            done()
        }
        ("POST", ["api_tokens"]) => {
            let new: NewApiToken = read(&body)?;
            new.check().map_err(Failure::bad_request)?;
            for id in new
                .owned_by_account
                .iter()
                .chain(new.accounts.iter().flatten())
            {
                check_account(shared, id)?;
            }
            let mut credentials = shared.credentials();
            credentials
                .add(new.to_seed())
                .map_err(Failure::bad_request)?;
            respond(StatusCode::CREATED, &new)
        }
        ("GET", ["clock"]) => clock(shared),
        ("POST", ["clock"]) => {
            match read(&body)? {
                MoveClock::Advance(by) => shared.clock.advance(by),
                MoveClock::Now(time) => shared.clock.set(time),
            }
            clock(shared)
        }
        ("GET", ["faults"]) => respond(StatusCode::OK, shared.faults().script()),
        ("POST", ["faults"]) => {
            let injection: Injection = read(&body)?;
            shared.faults().inject(injection.clone());
            respond(StatusCode::CREATED, &injection)
        }
        ("DELETE", ["faults"]) => {
            *shared.faults() = FaultPlan::default();
            done()
        }
        ("GET", ["requests"]) => {
            let log = shared.log();
            respond(StatusCode::OK, &log.iter().collect::<Vec<_>>())
        }
        ("DELETE", ["requests"]) => {
            shared.log().clear();
            done()
        }
        ("GET", ["requests", "count"]) => {
            let Query(Count { operation }) = Query::try_from_uri(&head.uri)
                .map_err(|error| Failure::bad_request(error.body_text()))?;
            let counts =
                |request: &&ReceivedRequest| operation.is_none() || request.operation == operation;
            let count = shared.log().iter().filter(counts).count();
            respond(StatusCode::OK, &json!({ "count": count }))
        }
        ("POST", ["reset"]) => {
            shared.reset();
            done()
        }
        _ => return Err(unknown(head.method.as_str(), path)),
    })
}

/// Checks that the request names loopback hosts alone, in header and target.
fn check_host(request: &Request) -> Result<(), Failure> {
    let of_header = request.headers().get_all(HOST).iter().map(|host| {
        let host = Authority::try_from(host.as_bytes()).ok()?;
        Some(is_loopback(host.host()))
    });
    let of_target = request
        .uri()
        .authority()
        .map(|host| Some(is_loopback(host.host())));
    let hosts: Vec<Option<bool>> = of_header.chain(of_target).collect();
    if !hosts.is_empty() && hosts.iter().all(|host| *host == Some(true)) {
        return Ok(());
    }
    Err(Failure {
        allowed: ["localhost", "127.0.0.0/8", "[::1]"]
            .map(str::to_owned)
            .into(),
        ..Failure::new(
            StatusCode::FORBIDDEN,
            "the control plane accepts only requests with a loopback Host",
        )
    })
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

fn add(shared: &Shared, body: &[u8]) -> Result<Token, Failure> {
    let mut new: NewToken = read(body)?;
    new.check().map_err(Failure::bad_request)?;
    let account = new.account_id.take();
    let account = account.as_deref().unwrap_or(shared.start.account_id());
    check_account(shared, account)?;
    let now = shared.now();
    let mut state = shared.state();
    state
        .add(account, new.into_seed(), now)
        .map_err(Failure::bad_request)
}

fn check_account(shared: &Shared, id: &str) -> Result<(), Failure> {
    let state = shared.state();
    if state.account(id).is_some() {
        return Ok(());
    }
    let accounts = state.accounts().iter();
    Err(Failure {
        allowed: accounts.map(|account| account.id.clone()).collect(),
        ..Failure::bad_request(format!("no account has the id {id}"))
    })
}

/// Checks that the account that the path names exists.
fn find_account(shared: &Shared, id: &str) -> Result<(), Failure> {
    check_account(shared, id).map_err(|failure| Failure {
        status: StatusCode::NOT_FOUND,
        ..failure
    })
}

fn clock(shared: &Shared) -> Response<Body> {
    respond(StatusCode::OK, &json!({ "now": shared.now() }))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::bad_request(format!("the body: {error}")))
}

fn unknown(method: &str, path: &str) -> Failure {
    let is_pattern_of = |pattern: &str| {
        let (pattern, path) = (pattern.split('/'), path.split('/'));
        pattern.clone().count() == path.clone().count()
            && pattern
                .zip(path)
                .all(|(part, segment)| part == segment || part == "{id}")
    };
    let known = PATHS.iter().find(|(pattern, _)| is_pattern_of(pattern));
    match known {
        Some((_, methods)) => Failure {
            allowed: methods.split(", ").map(str::to_owned).collect(),
            ..Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{PREFIX}{path} does not support {method}"),
            )
        },
        None => Failure {
            allowed: PATHS
                .iter()
                .map(|(pattern, methods)| format!("{PREFIX}{pattern}: {methods}"))
                .collect(),
            ..Failure::new(
                StatusCode::NOT_FOUND,
                format!("unknown path {PREFIX}{path}"),
            )
        },
    }
}

fn done() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn respond(status: StatusCode, body: &(impl Serialize + ?Sized)) -> Response<Body> {
    let (status, body) = match serde_json::to_vec(body) {
        // The newline is for people who call it with curl.
        Ok(json) => (status, Bytes::from([&json[..], b"\n"].concat())),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()),
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::PATHS;

    #[test]
    fn the_reference_has_every_path_with_its_methods() {
        let mut rows = Vec::new();
        for line in include_str!("../CONTROL.md").lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            if let ["", path, method, _, ""] = cells[..] {
                rows.push((path.to_owned(), method.to_owned()));
            }
        }
        let mut expected = Vec::new();
        for (path, methods) in PATHS {
            let mut path = format!("`{path}`");
            for method in methods.split(", ") {
                // A path stands in the first of its rows alone.
                expected.push((std::mem::take(&mut path), format!("`{method}`")));
            }
        }
        assert_eq!(rows[2..], expected);
    }
}
