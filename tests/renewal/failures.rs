//! Renewals that fail, and responses that only look like a success.

use super::pass::{LATER, SOON, account, id, success, table, token, tokens_of};
use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use crate::support::RawServer;
use cf_service_tokens::renewal::{
    RenewalError, RenewalEvent, RenewalOutcome, RenewalPolicy, RenewalReport,
};
use cf_service_tokens::{Clock, Retry};
use futures_util::StreamExt;
use serde_json::{Value, json};

/// Returns the report on an account with one due token. Its refresh gets this answer.
async fn report_of(refreshed: Value, read: Value) -> (RawServer, RenewalReport) {
    let server = account(vec![token(1, SOON)], move |_, request| {
        let answer = if request.starts_with("POST ") {
            &refreshed
        } else {
            &read
        };
        success(answer.clone())
    })
    .await;
    let report = tokens_of(&server).renew(&RenewalPolicy::new()).await;
    (server, report)
}

#[tokio::test]
async fn a_success_that_does_not_move_the_expiry_is_a_failure() {
    for (refreshed, read) in [
        (token(1, SOON), token(1, SOON)),
        (token(1, "2026-11-01T00:00:00Z"), token(1, SOON)),
        (json!({}), token(1, SOON)),
        (token(1, SOON), json!({ "id": id(1), "expires_at": null })),
        (token(2, LATER), token(2, LATER)),
        (json!({}), json!({ "expires_at": LATER })),
    ] {
        let (server, report) = report_of(refreshed.clone(), read.clone()).await;
        let RenewalOutcome::Failed { error } = &report.tokens[0].outcome else {
            panic!("{refreshed} {read}: {report:?}");
        };
        assert!(!matches!(error, RenewalError::Call(_)), "{error}");
        assert!(!report.is_success());
        assert_eq!(report.at_risk().count(), 1);
        // After an answer that names another token, the pass does not read the token.
        let requests = if refreshed == token(2, LATER) { 2 } else { 3 };
        assert_eq!(server.requests().len(), requests, "list, refresh, get");
    }
    let (_, report) = report_of(token(2, LATER), token(1, LATER)).await;
    assert!(!report.is_success(), "the token itself does not matter");
    let (_, report) = report_of(token(1, SOON), token(1, SOON)).await;
    insta::assert_snapshot!(table(&report), @"
    1 token: 1 failed; not renewed: token 1
    token 1                2026-11-30  failed: the API reported success, but the token still expires at 2026-11-30 00:00 UTC; check it in the dashboard
    ");
    let (_, report) = report_of(token(2, LATER), token(2, LATER)).await;
    insta::assert_snapshot!(table(&report), @"
    1 token: 1 failed; not renewed: token 1
    token 1                2026-11-30  failed: the API reported success, but for another token, f174e90a-fafe-4643-bbbc-000000000002; check both tokens
    ");
}

#[tokio::test]
async fn an_expiry_that_the_answer_lacks_is_read_from_the_token() {
    let (server, report) = report_of(json!({ "id": id(1) }), token(1, LATER)).await;
    insta::assert_snapshot!(table(&report), @"
    1 token: 1 renewed
    token 1                2026-11-30  renewed until 2027-11-24 12:00 UTC
    ");
    assert_eq!(server.requests().len(), 3, "list, refresh, get");

    let (server, report) = report_of(token(1, LATER), json!(null)).await;
    assert!(report.is_success());
    assert_eq!(
        server.requests().len(),
        2,
        "a complete answer needs no other call"
    );
}

#[tokio::test]
async fn a_failed_renewal_does_not_stop_the_others() {
    let tokens = (1..=4).map(|number| token(number, SOON)).collect();
    let server = account(tokens, |_, request| {
        if request.contains(&id(2)) {
            return crate::support::json("500 Internal Server Error", "{}");
        }
        let number = (1..=4)
            .find(|number| request.contains(&id(*number)))
            .unwrap();
        success(token(number, LATER))
    })
    .await;
    let report = tokens_of(&server).renew(&RenewalPolicy::new()).await;
    insta::assert_snapshot!(table(&report), @r#"
    4 tokens: 3 renewed, 1 failed; not renewed: token 2
    token 2                2026-11-30  failed: refresh account service token: the server answered with an error that does not come from the API (HTTP 500, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 2 bytes): "{}"; the call may have taken effect; check the token to be sure
    token 1                2026-11-30  renewed until 2027-11-24 12:00 UTC
    token 3                2026-11-30  renewed until 2027-11-24 12:00 UTC
    token 4                2026-11-30  renewed until 2027-11-24 12:00 UTC
    "#);
}

#[tokio::test]
async fn a_pass_waits_for_the_end_of_a_lock_out() {
    let locked = crate::support::answer("429 Too Many Requests", "text/plain", "");
    let locked = locked.replacen("\r\n", "\r\nretry-after: 300\r\n", 1);
    let server = account(vec![token(1, SOON)], move |index, _| match index {
        1 => locked.clone(),
        _ => success(token(1, LATER)),
    })
    .await;
    let clock = crate::support::clock();
    let client = server.builder().retry(Retry::default().seed(1));
    let client = client.clock(clock.clone()).build().unwrap();
    let tokens = client
        .account(crate::support::ACCOUNT)
        .unwrap()
        .service_tokens();
    let report = tokens.renew(&RenewalPolicy::new()).await;
    assert!(report.is_success(), "{report}");
    assert!(clock.elapsed() >= Duration::from_secs(300));
}

#[tokio::test]
async fn the_source_of_a_failure_is_its_error() {
    let server = account(vec![token(1, SOON)], |_, _| String::new()).await;
    let tokens = tokens_of(&server);
    let report = tokens.renew(&RenewalPolicy::new()).await;
    let RenewalOutcome::Failed { error } = &report.tokens[0].outcome else {
        panic!("{report}");
    };
    let source = error.source().unwrap();
    assert!(source.is::<reqwest::Error>(), "{source}");
}

#[tokio::test]
async fn the_stream_of_a_renewal_has_the_same_events() {
    let server = account(vec![token(1, SOON), token(2, LATER)], |_, _| {
        success(token(1, LATER))
    })
    .await;
    let renewal = tokens_of(&server).renew(&RenewalPolicy::new());
    let events: Vec<RenewalEvent> = renewal.collect().await;
    let [
        RenewalEvent::Decided { .. },
        RenewalEvent::Decided { .. },
        RenewalEvent::Settled(renewed),
        RenewalEvent::Finished(report),
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(renewed.id.as_deref(), Some(id(1).as_str()));
    assert_eq!(report.tokens.len(), 1);
    assert!(report.is_success());
}

#[tokio::test]
async fn rejected_credentials_stop_the_pass() {
    let refused = r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"messages":[],"result":null}"#;
    let tokens = (1..=20).map(|number| token(number, SOON)).collect();
    let server = account(tokens, move |_, _| {
        crate::support::json("403 Forbidden", refused)
    })
    .await;
    let policy = RenewalPolicy::new().concurrency(3);
    let report = tokens_of(&server).renew(&policy).await;
    let outcomes: Vec<&str> = report
        .tokens
        .iter()
        .map(|token| token.outcome.as_str())
        .collect();
    assert_eq!(
        outcomes
            .iter()
            .filter(|outcome| **outcome == "not_tried")
            .count(),
        17
    );
    assert_eq!(
        server.requests().len(),
        4,
        "the listing and the calls in flight"
    );
    insta::assert_snapshot!(report, @r#"20 tokens: 3 failed, 17 not tried; not renewed: token 1, token 10, token 11, token 12, token 13, token 14, token 15, token 16, token 17, token 18, and 10 more; stopped early: refresh account service token: the API refused the call (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): 10000 Authentication error; check that the credentials are right, that they have the permission "Access: Service Tokens Write", and that they belong to the account"#);

    let server = RawServer::start(crate::support::json("403 Forbidden", refused)).await;
    let report = tokens_of(&server).renew(&policy).await;
    insta::assert_snapshot!(report, @r#"0 tokens: nothing was done; stopped early: list account service tokens: the API refused the call (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): 10000 Authentication error; check that the credentials are right, that they have the permission "Access: Service Tokens Write", and that they belong to the account"#);
}

#[tokio::test]
async fn a_refusal_about_one_token_does_not_stop_the_others() {
    let refused = r#"{"success":false,"errors":[{"code":12345,"message":"not this one"}],"messages":[],"result":null}"#;
    let tokens = (1..=9).map(|number| token(number, SOON)).collect();
    let server = account(tokens, move |_, request| {
        let number = (1..=9).find(|number| request.contains(&id(*number)));
        match number.unwrap() {
            2 => crate::support::json("403 Forbidden", refused),
            number => success(token(number, LATER)),
        }
    })
    .await;
    let policy = RenewalPolicy::new().concurrency(1);
    let report = tokens_of(&server).renew(&policy).await;
    assert!(report.error.is_none(), "{report}");
    insta::assert_snapshot!(report, @"9 tokens: 8 renewed, 1 failed; not renewed: token 2");
}

#[tokio::test]
async fn a_token_that_is_listed_twice_is_renewed_once() {
    let tokens = vec![token(1, SOON), token(2, SOON), token(1, SOON)];
    let server = account(tokens, |_, request| {
        let number = if request.contains(&id(1)) { 1 } else { 2 };
        success(token(number, LATER))
    })
    .await;
    let report = tokens_of(&server).renew(&RenewalPolicy::new()).await;
    // The API counts three tokens, so one may be missing.
    let said = report.to_string();
    assert!(
        said.starts_with("2 tokens: 2 renewed; stopped early"),
        "{said}"
    );
    assert!(said.contains("the listing is incomplete"), "{said}");
    assert_eq!(
        server.requests().len(),
        4,
        "expected two pages and two refreshes"
    );
}

#[tokio::test]
async fn an_incomplete_listing_does_not_stop_the_known_renewals() {
    let server = RawServer::scripted(|_, request| {
        if request.contains("&page=2") || request.contains("?page=2") {
            crate::support::json("500 Internal Server Error", "{}")
        } else if request.starts_with("GET ") {
            let page: Vec<Value> = (1..=50).map(|number| token(number, SOON)).collect();
            success(json!(page))
        } else {
            let number = (1..=50)
                .find(|number| request.contains(&id(*number)))
                .unwrap();
            success(token(number, LATER))
        }
    })
    .await;
    let policy = RenewalPolicy::new().except(["on page two"]);
    let report = tokens_of(&server).renew(&policy).await;
    insta::assert_snapshot!(report, @r#"50 tokens: 50 renewed; stopped early: list account service tokens: the server answered with an error that does not come from the API (HTTP 500, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 2 bytes): "{}""#);
    assert!(report.unmatched.is_empty(), "the second page is unknown");
}

#[tokio::test]
async fn a_renewal_with_a_lost_answer_is_found_and_not_repeated() {
    // The refresh takes effect, and its answer is lost.
    let refreshed = AtomicBool::new(false);
    let server = RawServer::scripted(move |_, request| {
        if request.starts_with("POST ") {
            refreshed.store(true, SeqCst);
            return String::new();
        }
        let expires_at = if refreshed.load(SeqCst) { LATER } else { SOON };
        success(json!([token(1, expires_at)]))
    })
    .await;
    let tokens = tokens_of(&server);
    let first = tokens.renew(&RenewalPolicy::new()).await;
    insta::assert_snapshot!(table(&first), @"
    1 token: 1 failed; not renewed: token 1
    token 1                2026-11-30  failed: refresh account service token: the connection broke before the answer was complete; the call may have taken effect; check the token to be sure
    ");
    let RenewalOutcome::Failed { error } = &first.tokens[0].outcome else {
        panic!("{first:?}");
    };
    let RenewalError::Call(error) = error else {
        panic!("{error:?}");
    };
    assert!(error.may_have_been_applied());

    let second = tokens.renew(&RenewalPolicy::new()).await;
    insta::assert_snapshot!(table(&second), @"
    1 token: 1 skipped
    skipped: 1 not due yet
    ");
    let sent = server.requests();
    let refreshes = sent.iter().filter(|request| request.starts_with("POST "));
    assert_eq!(refreshes.count(), 1);
}
