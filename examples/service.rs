//! A web server that keeps the service tokens of an account from expiring in the
//! background, and reports on them at `/healthz`.
//!
//! On a simulator of Cloudflare's API it stops by itself, after one request:
//!
//! ```sh
//! cargo run --example service
//! ```
//!
//! On the account in the environment it runs until SIGINT or SIGTERM:
//!
//! ```sh
//! export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
//! cargo run --example service -- --real
//! curl -i http://127.0.0.1:8080/healthz
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Router, routing::get};
use cf_service_tokens::renewal::{RenewalEvent, RenewalPolicy, RenewalReport, WatchEvent};
use cf_service_tokens::{Client, ServiceTokens};
use cf_service_tokens_simulator::Simulator;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The report of the last pass; `None` until the first pass has ended.
type LastReport = Option<Arc<RenewalReport>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::args().any(|argument| argument == "--real") {
        let tokens = Client::from_env()?.default_account()?.service_tokens();
        let listener = TcpListener::bind("127.0.0.1:8080").await?;
        println!("Listening on http://{}", listener.local_addr()?);
        return serve(listener, tokens, watch::Sender::default(), interrupt()).await;
    }
    let simulator = Simulator::builder().believable_account().start().await?;
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .build()?;
    let tokens = client.account(simulator.account_id())?.service_tokens();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let reports = watch::Sender::default();
    let visit = visit(listener.local_addr()?, reports.subscribe());
    serve(listener, tokens, reports, visit).await
}

/// Serves, and renews in the background, until `stop`.
async fn serve(
    listener: TcpListener,
    tokens: ServiceTokens,
    reports: watch::Sender<LastReport>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let app = Router::new()
        .route("/healthz", get(health))
        .with_state(reports.subscribe());
    // Requests in flight end before the server does.
    let server = axum::serve(listener, app).with_graceful_shutdown(stop);
    tokio::select! {
        served = server.into_future() => served?,
        never = renew(&tokens, &reports) => match never {},
    }
    // Stopping in the middle of a pass does no harm: the next pass renews what is still due.
    println!("Stopped");
    Ok(())
}

async fn renew(tokens: &ServiceTokens, reports: &watch::Sender<LastReport>) -> Infallible {
    let mut watch = tokens.watch(&RenewalPolicy::new());
    loop {
        if let WatchEvent::Renewal(RenewalEvent::Finished(report)) = watch.next().await {
            println!("{report}");
            reports.send_replace(Some(Arc::new(report)));
        }
    }
}

async fn health(State(reports): State<watch::Receiver<LastReport>>) -> (StatusCode, String) {
    match reports.borrow().as_deref() {
        Some(report) if report.is_success() => (StatusCode::OK, format!("{report}\n")),
        Some(report) => (StatusCode::SERVICE_UNAVAILABLE, format!("{report}\n")),
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
    }
}

/// Completes when the process receives SIGINT or SIGTERM.
async fn interrupt() {
    let interrupt = async {
        // Without a handler, the signal ends the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        _ = terminate => {}
    }
}

/// Asks for the health once the first pass has ended.
async fn visit(server: SocketAddr, mut reports: watch::Receiver<LastReport>) {
    let url = format!("http://{server}/healthz");
    if reports.wait_for(Option::is_some).await.is_err() {
        return;
    }
    match reqwest::get(&url).await {
        Ok(response) => println!("GET /healthz: {}", response.status()),
        Err(error) => println!("GET /healthz: {error}"),
    }
}
