//! Callers that stop polling for longer than every timeout, and then continue.

use std::pin::pin;
use std::time::Duration;

use crate::support::{ACCOUNT, RawServer, TOKEN, Then, clock, json};
use cf_service_tokens::renewal::RenewalPolicy;
use cf_service_tokens::{Client, Error, ErrorKind, Method, RateLimit, Retry, RotateServiceToken};
use chrono::TimeDelta;
use futures_util::FutureExt;
use serde_json::json as value;
use tokio::runtime::{Builder, Runtime};

const FINE: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"id":"f174e90a-fafe-4643-bbbc-4a0ed4fc8415","name":"ci"}}"#;
const TIMEOUT: Duration = Duration::from_millis(300);

/// Returns one of three pages of five tokens, or an empty one.
pub fn page(request: &str) -> String {
    let page = (1..=3).find(|page| request.contains(&format!("page={page}&")));
    let tokens: Vec<_> = page
        .map(|page| (1..=5).map(move |n| page * 5 + n))
        .into_iter()
        .flatten()
        .map(|number| value!({ "id": number.to_string() }))
        .collect();
    let body = value!({ "success": true, "errors": [], "messages": [], "result": tokens });
    json("200 OK", &body.to_string())
}

#[tokio::test]
async fn a_pause_between_tokens_does_not_time_out_a_listing() {
    let server = RawServer::scripted(|_, request| page(request)).await;
    let builder = server.builder().timeout(TIMEOUT).clock(clock());
    let client = builder.build().unwrap();
    let list = client.account(ACCOUNT).unwrap().service_tokens().list();
    let mut stream = list.per_page(5).stream();
    let mut listed = 0;
    while let Some(token) = stream.next().await {
        token.unwrap();
        listed += 1;
        if listed % 5 == 0 {
            tokio::time::sleep(TIMEOUT * 2).await;
        }
    }
    assert_eq!((listed, server.requests().len()), (15, 4));
}

#[tokio::test]
async fn a_call_gets_an_answer_that_arrives_during_a_pause() {
    let server = RawServer::start(json("200 OK", FINE)).await;
    let builder = server.builder().retry(Retry::default().seed(1));
    let client = builder.timeout(TIMEOUT).clock(clock()).build().unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let mut call = pin!(tokens.refresh(TOKEN));
    // Until the request is sent, the call must be polled.
    while server.requests().is_empty() {
        assert!(call.as_mut().now_or_never().is_none());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(TIMEOUT * 2).await;
    assert_eq!(call.await.unwrap().attempts(), 1);
    assert_eq!(server.requests().len(), 1);
}

#[cfg(feature = "blocking")]
#[test]
fn a_pause_of_a_blocking_caller_does_not_time_out_a_listing() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(RawServer::scripted(|_, request| page(request)));
    let client = cf_service_tokens::blocking::Client::builder()
        .api_token("t")
        .base_url(server.base_url())
        .timeout(TIMEOUT)
        .build()
        .unwrap();
    let list = client.account(ACCOUNT).unwrap().service_tokens().list();
    let mut listed = 0;
    for token in list.per_page(5).iter() {
        token.unwrap();
        listed += 1;
        if listed % 5 == 0 {
            std::thread::sleep(TIMEOUT * 2);
        }
    }
    assert_eq!((listed, server.requests().len()), (15, 4));
}

#[tokio::test]
async fn an_answer_that_arrives_during_a_pause_makes_room_for_others() {
    const WINDOW: Duration = Duration::from_secs(300);
    let server = RawServer::start(json("200 OK", FINE)).await;
    let clock = crate::support::exact_clock();
    let builder = server.builder().clock(clock.clone());
    let client = builder.rate_limit(RateLimit::new(2, WINDOW)).build();
    let tokens = client.unwrap().account(ACCOUNT).unwrap().service_tokens();
    let mut calls = [pin!(tokens.get(TOKEN)), pin!(tokens.get(TOKEN))];
    while server.requests().len() < calls.len() {
        for call in &mut calls {
            assert!(call.as_mut().now_or_never().is_none());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    clock.advance(WINDOW);
    // The answers arrive, although nobody polls the two calls. The deadline is 3 minutes.
    let mut looks = 0;
    let other = loop {
        match tokens.get(TOKEN).await {
            Err(error) if error.kind() == ErrorKind::Throttled && looks < 1000 => looks += 1,
            other => break other,
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(other.is_ok(), "{other:?}");
}

#[tokio::test]
async fn a_call_times_out_during_a_pause() {
    let server = RawServer::start(("", Then::Stall)).await;
    let client = server.builder().timeout(TIMEOUT).build().unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let mut call = pin!(tokens.refresh(TOKEN));
    while server.requests().is_empty() {
        assert!(call.as_mut().now_or_never().is_none());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(TIMEOUT * 2).await;
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::Timeout);
}

fn now<T>(call: impl Future<Output = Result<T, Error>>) -> Error {
    match call.now_or_never() {
        Some(Err(error)) => error,
        _ => panic!("the call did not fail at once"),
    }
}

#[test]
fn a_call_outside_a_runtime_is_an_error() {
    let builder = Client::builder().api_token("t");
    let client = builder.base_url("http://127.0.0.1:9").build().unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    for error in [
        now(tokens.refresh(TOKEN)),
        now(tokens.list().page(1)),
        now(tokens.rotate(TOKEN, &RotateServiceToken::grace(TimeDelta::hours(1)))),
        now(client
            .request(Method::GET, "/user")
            .send::<serde_json::Value>()),
    ] {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(
            error.to_string(),
            "the call was polled outside a tokio runtime; poll it inside one"
        );
        assert!(!error.may_have_been_applied());
    }
}

#[test]
fn a_call_on_a_runtime_without_timer_or_io_is_an_error() {
    let client = Client::builder()
        .api_token("t")
        .base_url("http://127.0.0.1:9");
    let client = client.build().unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let without_timer = Builder::new_current_thread().enable_io().build().unwrap();
    let without_io = Builder::new_current_thread().enable_time().build().unwrap();
    for runtime in [without_timer, without_io] {
        let error = runtime.block_on(tokens.refresh(TOKEN)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(
            error.to_string(),
            "the tokio runtime of the call has no timer or no I/O; build it with `enable_all`"
        );
        assert!(!error.may_have_been_applied());
        let report = runtime.block_on(async { tokens.renew(&RenewalPolicy::new()).await });
        assert!(report.error.unwrap().to_string().contains("enable_all"));
    }
}

#[test]
fn a_call_that_leaves_its_runtime_is_not_retried() {
    let runtime = Runtime::new().unwrap();
    let unavailable = json("503 Service Unavailable", "{}");
    let server = runtime.block_on(RawServer::start(unavailable));
    let builder = server.builder().retry(Retry::default().seed(1));
    let client = builder.build().unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let mut call = pin!(tokens.refresh(TOKEN));
    let inside = runtime.enter();
    assert!(call.as_mut().now_or_never().is_none());
    drop(inside);
    let error = loop {
        match call.as_mut().now_or_never() {
            Some(outcome) => break outcome.unwrap_err(),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Status, 1));
}
