//! Callers that stop polling for longer than every timeout, and then continue.

use std::pin::pin;
use std::time::Duration;

use crate::support::{ACCOUNT, RawServer, TOKEN, Then, clock, json};
use cf_service_tokens::{ErrorKind, Retry};
use futures_util::FutureExt;
use serde_json::json as value;

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
    let runtime = tokio::runtime::Runtime::new().unwrap();
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
