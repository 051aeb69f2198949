//! The read-only HTTP server. Whatever clients do, it holds few files and little memory,
//! so that renewals go on.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::metrics::Format;
use super::page;
use super::{Monitor, lock};

/// The most connections at a time, where many files may be open.
const MAX_CONNECTIONS: usize = 32;
/// How long a client may take to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection lasts at most: its one request and the response.
const MAX_LIFETIME: Duration = Duration::from_secs(20);
/// How long a connection lasts at least, even if others wait for its place.
const MIN_LIFETIME: Duration = Duration::from_millis(50);
/// The most bytes that a request's head may have.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long to wait for a file where all are open.
const PAUSE_WITHOUT_FILES: Duration = Duration::from_millis(100);

/// Answers requests for as long as it is polled. A new connection takes the place of the
/// oldest one where all places are taken, so that idle clients keep no health check out.
pub(super) async fn serve(listener: TcpListener, routes: Router) -> ! {
    let max_connections = max_connections();
    let mut connections = JoinSet::new();
    let mut by_age: VecDeque<(Instant, AbortHandle)> = VecDeque::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE_WITHOUT_FILES).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        by_age.retain(|(_, connection)| !connection.is_finished());
        if connections.len() >= max_connections
            && let Some((since, oldest)) = by_age.front()
            && timeout_at(*since + MIN_LIFETIME, connections.join_next())
                .await
                .is_err()
        {
            oldest.abort();
            // Its file is closed once it has ended.
            connections.join_next().await;
        }
        let connection = connections.spawn(converse(stream, routes.clone()));
        by_age.push_back((Instant::now(), connection));
    }
}

/// Returns the most connections at a time: a quarter of the files that may be open, so
/// that calls to the API have theirs.
fn max_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / 4)
        .unwrap_or(usize::MAX)
        .clamp(1, MAX_CONNECTIONS)
}

/// Answers one request.
async fn converse(stream: TcpStream, routes: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    // The client sees the failure itself.
    let _ = timeout(MAX_LIFETIME, connection).await;
}

/// Returns the four routes. On a loopback address they serve only this machine.
pub(super) fn routes(monitor: Monitor, is_loopback: bool) -> Router {
    let routes = Router::new()
        .route("/", get(report))
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .with_state(monitor);
    let routes = match is_loopback {
        true => routes.layer(middleware::from_fn(refuse_other_hosts)),
        false => routes,
    };
    routes.layer(middleware::map_response(with_safe_headers))
}

async fn report(State(monitor): State<Monitor>) -> Html<String> {
    let now = (monitor.shared.time)().now;
    let last_failure = monitor.shared.calls.last_failure();
    let pages = lock(&monitor.shared.state).pages(now, last_failure.as_deref());
    Html(page::html_of_all(&pages))
}

async fn metrics(State(monitor): State<Monitor>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accept.unwrap_or_default());
    match monitor.shared.metrics.text(format) {
        Ok(metrics) => ([(CONTENT_TYPE, format.content_type())], metrics).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn health(State(monitor): State<Monitor>) -> (StatusCode, String) {
    let moment = (monitor.shared.time)();
    answer(lock(&monitor.shared.state).health(moment))
}

async fn readiness(State(monitor): State<Monitor>) -> (StatusCode, String) {
    answer(lock(&monitor.shared.state).readiness())
}

fn answer(result: Result<String, String>) -> (StatusCode, String) {
    match result {
        Ok(words) => (StatusCode::OK, words + "\n"),
        Err(words) => (StatusCode::SERVICE_UNAVAILABLE, words + "\n"),
    }
}

/// Refuses requests for other hosts, against DNS rebinding.
async fn refuse_other_hosts(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST);
    if host.is_some_and(|host| !is_this_machine(host)) {
        let words = "this server listens on a loopback address, and accepts only requests for \
                     localhost, 127.0.0.1 and [::1]\n";
        return (StatusCode::MISDIRECTED_REQUEST, words).into_response();
    }
    next.run(request).await
}

fn is_this_machine(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Headers for all answers: no other page may hold, guess at or keep them.
async fn with_safe_headers(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 4] = [
        (CACHE_CONTROL, "no-store"),
        // Beside what the page itself says.
        (CONTENT_SECURITY_POLICY, "frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
