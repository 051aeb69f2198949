//! Connections that stay open, close while they are idle, or close without notice.

use std::time::Duration;

use crate::pauses::page;
use crate::support::{
    ACCOUNT, RawServer, Reply, TOKEN, Then, clock, exact_clock, json, service_tokens,
};
use cf_service_tokens::{CreateServiceToken, ErrorKind, RateLimit, Retry};
use fastrand::Rng;

const FINE: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"id":"f174e90a-fafe-4643-bbbc-4a0ed4fc8415","name":"ci","client_secret":"cfsec2_0123456789abcdef"}}"#;

#[tokio::test]
async fn calls_share_a_connection() {
    let server = RawServer::start(json("200 OK", FINE)).await;
    let tokens = server.tokens();
    for _ in 0..20 {
        tokens.refresh(TOKEN).await.unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (20, 1));
}

#[tokio::test]
async fn an_error_that_is_read_to_its_end_keeps_the_connection() {
    let refused = r#"{"success":false,"errors":[{"code":1000,"message":"no"}],"result":null}"#;
    let answers = [json("400 Bad Request", refused), json("200 OK", FINE)];
    let server = RawServer::in_turn(&answers).await;
    let tokens = server.tokens();
    tokens.refresh(TOKEN).await.unwrap_err();
    tokens.refresh(TOKEN).await.unwrap();
    assert_eq!(server.connections(), 1);
}

/// Creates ten tokens, with pauses after which the server has closed the connection.
/// Returns how many calls succeeded, and how many requests came.
async fn creates_on_connections_that_close(pause: Duration) -> (usize, usize) {
    let idle_limit = Duration::from_millis(5);
    let reply = (json("200 OK", FINE), Then::KeepAlive(idle_limit));
    let server = RawServer::start(reply).await;
    let tokens = server.tokens();
    let mut succeeded = 0;
    for _ in 0..10 {
        let outcome = tokens.create(&CreateServiceToken::new("ci")).await;
        succeeded += usize::from(outcome.is_ok());
        while server.open_connections() > 0 {
            tokio::time::sleep(idle_limit).await;
        }
        tokio::time::sleep(pause).await;
    }
    (succeeded, server.requests().len())
}

#[tokio::test]
async fn a_connection_that_closed_while_idle_is_not_used_again() {
    let mut pause = Duration::from_millis(5);
    // A busy machine may need longer to notice that a connection is closed.
    while creates_on_connections_that_close(pause).await != (10, 10) {
        pause *= 4;
        assert!(pause < Duration::from_secs(2), "10 creates do not succeed");
    }
}

/// A server that closes a connection without notice after some of its answers, just when
/// the client may send the next request.
async fn closing_server(seed: u64) -> RawServer {
    RawServer::scripted(move |index, _| {
        let mut random = Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(index as u64));
        let then = match random.u8(..3) {
            0 => Then::Close,
            1 => Then::KeepAlive(Duration::from_micros(random.u64(..2_000))),
            _ => return Reply::from(json("200 OK", FINE)),
        };
        Reply::from((json("200 OK", FINE), then))
    })
    .await
}

#[tokio::test]
async fn a_request_into_a_closing_connection_is_repeated_only_if_that_is_safe() {
    for seed in 1..=5 {
        let server = closing_server(seed).await;
        let builder = server.builder().retry(Retry::default().seed(seed));
        let tokens = service_tokens(builder.rate_limit(RateLimit::none()).clock(exact_clock()));
        for _ in 0..40 {
            let refreshed = tokens.refresh(TOKEN).await;
            assert!(refreshed.is_ok(), "seed {seed}: {refreshed:?}");
        }
        let before = server.requests().len();
        let (mut created, mut unknown) = (0, 0);
        for _ in 0..40 {
            match tokens.create(&CreateServiceToken::new("ci")).await {
                Ok(_) => created += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Interrupted, "seed {seed}: {error}");
                    assert!(error.may_have_been_applied(), "seed {seed}: {error}");
                    unknown += 1;
                }
            }
        }
        let received = server.requests().len() - before;
        assert!(
            (created..=created + unknown).contains(&received),
            "seed {seed}: {created} created, {unknown} unknown, {received} received"
        );
    }
}

#[tokio::test]
async fn a_listing_over_closing_connections_is_complete() {
    for seed in 1..=5 {
        let server = RawServer::scripted(move |index, request| {
            let mut random = Rng::with_seed(seed * 1_000 + index as u64);
            let answer = page(request);
            match random.bool() {
                true => Reply::from((answer, Then::Close)),
                false => Reply::from(answer),
            }
        })
        .await;
        let builder = server.builder().retry(Retry::default().seed(seed));
        let client = builder.clock(clock()).build().unwrap();
        let list = client.account(ACCOUNT).unwrap().service_tokens().list();
        let mut stream = list.per_page(5).stream();
        let mut listed = 0;
        while let Some(token) = stream.next().await {
            token.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            listed += 1;
        }
        assert_eq!(listed, 15, "seed {seed}");
    }
}
