//! What can be set for some calls alone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use support::{ACCOUNT, RawServer, TOKEN, Then, json};

const ANSWER: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#;

#[tokio::test]
async fn a_timeout_of_its_own() {
    let server = RawServer::start("", Then::Stall).await;
    for set in ["timeout", "deadline"] {
        let hurried = server.tokens().with(|call| match set {
            "timeout" => call.timeout(Duration::from_millis(50)),
            _ => call.deadline(Duration::from_millis(50)),
        });
        let error = hurried.refresh(TOKEN).await.unwrap_err();
        assert!(error.is_timeout(), "{set}: {error}");
    }
}

#[tokio::test]
async fn extra_headers_are_sent_and_only_by_the_calls_they_are_for() {
    let server = RawServer::start(json("200 OK", ANSWER), Then::Close).await;
    let tokens = server.tokens();
    let marked = tokens.with(|call| {
        call.header(
            HeaderName::from_static("x-request-source"),
            HeaderValue::from_static("nightly"),
        )
    });
    marked.refresh(TOKEN).await.unwrap();
    tokens.refresh(TOKEN).await.unwrap();
    let [first, second] = &server.requests()[..] else {
        panic!("two calls are two requests");
    };
    assert!(first.contains("x-request-source: nightly\r\n"), "{first}");
    assert!(!second.contains("x-request-source"), "{second}");
}

#[tokio::test]
async fn options_of_the_client_hold_for_its_accounts() {
    let server = RawServer::start(json("200 OK", ANSWER), Then::Close).await;
    let client = server.builder().build().unwrap().with(|call| {
        call.header(
            HeaderName::from_static("x-request-source"),
            HeaderValue::from_static("nightly"),
        )
    });
    client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .get(TOKEN)
        .await
        .unwrap();
    client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .get(TOKEN)
        .await
        .unwrap();
    for request in server.requests() {
        assert!(
            request.contains("x-request-source: nightly\r\n"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn credentials_cannot_be_set_for_a_call() {
    let server = RawServer::start(json("200 OK", ANSWER), Then::Close).await;
    for name in ["authorization", "x-auth-email", "x-auth-key", "host"] {
        let tokens = server.tokens().with(|call| {
            call.header(
                HeaderName::from_static(name),
                HeaderValue::from_static("other"),
            )
        });
        let error = tokens.refresh(TOKEN).await.unwrap_err();
        assert!(error.is_invalid_request(), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn a_call_that_has_no_time_is_not_sent() {
    let server = RawServer::start(json("200 OK", ANSWER), Then::Close).await;
    for set in ["timeout", "deadline"] {
        let tokens = server.tokens().with(|call| match set {
            "timeout" => call.timeout(Duration::ZERO),
            _ => call.deadline(Duration::ZERO),
        });
        let error = tokens.refresh(TOKEN).await.unwrap_err();
        assert!(error.is_invalid_request(), "{set}: {error}");
        assert!(!error.may_have_been_applied());
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn the_user_agent_of_a_call_takes_precedence_over_the_clients() {
    let server = RawServer::start(json("200 OK", ANSWER), Then::Close).await;
    let own = HeaderValue::from_static("nightly-job/3");
    let tokens = server
        .tokens()
        .with(|call| call.header(http::header::USER_AGENT, own));
    tokens.refresh(TOKEN).await.unwrap();
    let request = server.request();
    assert!(request.contains("user-agent: nightly-job/3\n"), "{request}");
    assert_eq!(request.matches("user-agent").count(), 1, "{request}");
    assert!(request.contains("authorization: Bearer"), "{request}");
}
