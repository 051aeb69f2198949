//! Starting and stopping a simulator.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;

use cf_service_tokens_simulator::{
    SeedAccount, SeedApiToken, SeedToken, Simulator, SimulatorBuilder,
};
use support::Api;

fn address_of(simulator: &Simulator) -> SocketAddr {
    let url = simulator.base_url();
    let authority = url.strip_prefix("http://").unwrap();
    authority
        .strip_suffix("/client/v4")
        .unwrap()
        .parse()
        .unwrap()
}

/// Whether the listener is gone.
async fn is_closed(address: SocketAddr) -> bool {
    tokio::net::TcpStream::connect(address).await.is_err()
}

#[tokio::test]
async fn shutdown_closes_the_port_even_beside_an_idle_connection() {
    let api = Api::start(Simulator::builder()).await;
    let address = address_of(&api.simulator);
    assert!(address.ip().is_loopback());
    api.get(&api.account("")).await; // leaves a connection in the client's pool
    let Api {
        simulator, http, ..
    } = api;
    simulator.shutdown().await;
    assert!(is_closed(address).await);
    drop(http);
}

#[tokio::test]
async fn dropping_closes_the_port() {
    let api = Api::start(Simulator::builder()).await;
    let address = address_of(&api.simulator);
    drop(api);
    // The server ends as soon as its task gets to run.
    for _ in 0..1000 {
        if is_closed(address).await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the port still takes connections");
}

#[tokio::test]
async fn two_simulators_live_side_by_side() {
    let one = Api::start(Simulator::builder().seed(1)).await;
    let two = Api::start(Simulator::builder().seed(2)).await;
    assert_ne!(one.simulator.base_url(), two.simulator.base_url());
    let foreign = two
        .bare(reqwest::Method::GET, &two.account(""))
        .bearer_auth(one.simulator.api_token());
    assert_eq!(support::send(foreign).await.status, 401);
}

#[tokio::test]
async fn the_urls_of_an_unspecified_address_can_be_called_from_this_machine() {
    let builder = Simulator::builder().listen(([0, 0, 0, 0], 0).into());
    let api = Api::start(builder).await;
    for url in [api.simulator.base_url(), api.simulator.protected_url()] {
        assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    }
    assert_eq!(api.get(&api.account("")).await.status, 200);
    api.simulator.go_offline().await.unwrap();
    api.simulator.come_back().await.unwrap();
    assert_eq!(api.get(&api.account("")).await.status, 200);
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let first = Simulator::builder().start().await.unwrap();
    let second = Simulator::builder()
        .listen(address_of(&first))
        .start()
        .await;
    assert_eq!(second.unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[tokio::test]
async fn an_invalid_builder_does_not_start() {
    let twice = |seed: SeedToken| Simulator::builder().token(seed.clone()).token(seed);
    let cases: [(SimulatorBuilder, &str); 11] = [
        (Simulator::builder().account_id("a/b"), "account id \"a/b\""),
        (Simulator::builder().account_id(""), "account id \"\""),
        (
            Simulator::builder().account_id("a".repeat(33)),
            "at most 32",
        ),
        (
            Simulator::builder().api_token("s3cret\n"),
            "the API token is not",
        ),
        (
            Simulator::builder()
                .account_id("a1")
                .account(SeedAccount::new("a1")),
            "duplicate account id \"a1\"",
        ),
        (
            Simulator::builder().account(SeedAccount::new("a_1")),
            "account id \"a_1\"",
        ),
        (
            Simulator::builder().add_api_token(SeedApiToken::new("s3cret").account("a2")),
            "account \"a2\", which doesn't exist",
        ),
        (
            Simulator::builder()
                .api_token("s3cret")
                .add_api_token("s3cret"),
            "duplicate API token",
        ),
        (
            Simulator::builder().token(SeedToken::new("x").id("?")),
            "token id \"?\"",
        ),
        (
            twice(SeedToken::new("x").id("one")),
            "duplicate token id \"one\"",
        ),
        (
            twice(SeedToken::new("x").client_id("one.access")),
            "duplicate Client ID \"one.access\"",
        ),
    ];
    for (builder, expected) in cases {
        let error = builder.start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let message = error.to_string();
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn a_builder_prints_no_secret() {
    let builder = Simulator::builder()
        .api_token("s3cret")
        .email_and_api_key("me@example.com", "s3cret")
        .add_api_token("s3cret")
        .token(SeedToken::new("x").client_secret("s3cret"));
    let api_token = SeedApiToken::new("s3cret");
    assert!(!format!("{builder:?} {api_token:?}").contains("s3cret"));
}
