//! Callers of a renewal that pause, or whose runtime ends.

use super::pass::{LATER, SOON, account, id, success, token, tokens_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::support::{RawServer, Reply, Then};
use cf_service_tokens::Client;
use cf_service_tokens::renewal::{RenewalError, RenewalEvent, RenewalPolicy};
use futures_util::FutureExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::watch;

/// Renews 40 tokens for a caller that pauses after the first renewal, for twice the
/// timeout of an attempt. Only then does the server answer the other calls. Returns the
/// report, and the number of refreshes.
async fn renew_for_a_caller_that_pauses(timeout: Duration) -> (String, usize) {
    let (paused, is_paused) = watch::channel(false);
    let refreshes = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/client/v4", listener.local_addr().unwrap());
    let counted = Arc::clone(&refreshes);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (mut is_paused, counted) = (is_paused.clone(), counted.clone());
            tokio::spawn(async move {
                let request = crate::support::read_request(&mut socket).await.unwrap();
                let answer = if request.starts_with("GET ") {
                    success((1..=40).map(|number| token(number, SOON)).collect())
                } else {
                    if counted.fetch_add(1, SeqCst) > 0 {
                        is_paused.wait_for(|paused| *paused).await.unwrap();
                    }
                    let number = (1..=40).find(|number| request.contains(&id(*number)));
                    success(token(number.unwrap(), LATER))
                };
                // The client may have closed the connection.
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    let client = Client::builder()
        .api_token("t")
        .base_url(base_url)
        .timeout(timeout)
        .build();
    let tokens = client
        .unwrap()
        .account(crate::support::ACCOUNT)
        .unwrap()
        .service_tokens();
    let policy = RenewalPolicy::new().include_expired(true);
    let mut renewal = tokens.renew(&policy);
    while let Some(event) = renewal.next().await {
        if matches!(event, RenewalEvent::Settled(_)) && !*paused.borrow() {
            paused.send_replace(true);
            tokio::time::sleep(timeout * 2).await;
        }
        if let RenewalEvent::Finished(report) = event {
            return (report.to_string(), refreshes.load(SeqCst));
        }
    }
    panic!("the pass ended without a report")
}

#[tokio::test]
async fn a_pause_between_events_does_not_time_out_renewals() {
    let mut timeout = Duration::from_millis(250);
    let all = ("40 tokens: 40 renewed".to_owned(), 40);
    loop {
        let outcome = renew_for_a_caller_that_pauses(timeout).await;
        // A busy machine may need longer for the answers themselves.
        if outcome == all {
            break;
        }
        timeout *= 4;
        assert!(timeout < Duration::from_secs(10), "{outcome:?}");
    }
}

/// Renews for a caller that drops the first `next` once the listing is requested, and
/// then pauses for twice the timeout of an attempt. Meanwhile the server answers.
/// Returns the report, and the number of requests.
async fn renew_for_a_caller_that_pauses_while_listing(timeout: Duration) -> (String, usize) {
    let (asked, mut is_asked) = watch::channel(0_usize);
    let (paused, is_paused) = watch::channel(false);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/client/v4", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (mut is_paused, asked) = (is_paused.clone(), asked.clone());
            tokio::spawn(async move {
                crate::support::read_request(&mut socket).await.unwrap();
                asked.send_modify(|count| *count += 1);
                is_paused.wait_for(|paused| *paused).await.unwrap();
                let body = json!({
                    "success": true, "errors": [], "messages": [],
                    "result": [token(1, LATER)], "result_info": { "total_count": 1 },
                });
                let answer = crate::support::json("200 OK", &body.to_string());
                // The client may have closed the connection.
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    let client = Client::builder()
        .api_token("t")
        .base_url(base_url)
        .timeout(timeout)
        .clock(crate::support::clock());
    let client = client.build().unwrap();
    let account = client.account(crate::support::ACCOUNT).unwrap();
    let mut renewal = account.service_tokens().renew(&RenewalPolicy::new());
    tokio::select! {
        event = renewal.next() => panic!("{event:?}"),
        _ = is_asked.wait_for(|asked| *asked > 0) => {}
    }
    paused.send_replace(true);
    tokio::time::sleep(timeout * 2).await;
    let report = renewal.await;
    (report.to_string(), *is_asked.borrow())
}

#[tokio::test]
async fn a_pause_during_the_listing_does_not_time_out_the_page() {
    let mut timeout = Duration::from_millis(250);
    let expected = ("1 token: 1 skipped".to_owned(), 1);
    loop {
        let outcome = renew_for_a_caller_that_pauses_while_listing(timeout).await;
        // A busy machine may need longer for the answer itself.
        if outcome == expected {
            break;
        }
        timeout *= 4;
        assert!(timeout < Duration::from_secs(10), "{outcome:?}");
    }
}

#[test]
fn a_pass_ends_with_an_error_after_its_runtime() {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let servers = tokio::runtime::Runtime::new().unwrap();
    let stalled = |_, _: &str| Reply::from(("HTTP/1.1 200 OK\r\n", Then::Stall));
    let stalls_at_once = servers.block_on(RawServer::scripted(stalled));
    let stalls_after_the_list =
        servers.block_on(account((1..=9).map(|n| token(n, SOON)).collect(), stalled));
    for (server, events, expected) in [
        (&stalls_at_once, 0, "0 tokens: nothing was done"),
        (
            &stalls_after_the_list,
            9,
            "9 tokens: 8 failed, 1 not tried; not renewed: token 1, token 2, token 3, token 4, \
             token 5, token 6, token 7, token 8, token 9",
        ),
    ] {
        let mut renewal = tokens_of(server).renew(&RenewalPolicy::new());
        runtime().block_on(async {
            for _ in 0..events {
                renewal.next().await.unwrap();
            }
            let poll = tokio::time::timeout(Duration::from_millis(50), renewal.next());
            assert!(poll.await.is_err(), "the server stalls");
        });
        let limit = Duration::from_secs(20);
        let report = runtime().block_on(async { tokio::time::timeout(limit, renewal).await });
        let report = report.unwrap();
        let ended = "; stopped early: there is no tokio runtime: the pass was polled outside of \
                     one, or its runtime has shut down; poll the pass inside a running runtime";
        assert_eq!(report.to_string(), format!("{expected}{ended}"));
    }
}

#[test]
fn a_pass_outside_of_a_runtime_is_an_error() {
    let servers = tokio::runtime::Runtime::new().unwrap();
    let server = servers.block_on(account(vec![token(1, SOON)], |_, _| -> String {
        unreachable!()
    }));
    let mut renewal = tokens_of(&server).renew(&RenewalPolicy::new());
    let Some(RenewalEvent::Finished(report)) = renewal.next().now_or_never().unwrap() else {
        panic!("the pass has not ended");
    };
    assert!(matches!(report.error, Some(RenewalError::NoRuntime)));
}
