//! A pass over an account: its calls and its report.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::support::{LATEST, LateClock, RawServer, Reply, Then};
use cf_service_tokens::renewal::{
    RenewBy, RenewalError, RenewalEvent, RenewalOutcome, RenewalPolicy, RenewalReport, Shard,
};
use cf_service_tokens::{Client, ClientBuilder, Clock, Retry, ServiceTokens};
use cf_service_tokens_simulator::{
    Fault, Injection, Operation, SeedToken, Simulator, SimulatorBuilder, TokenField,
};
use chrono::TimeDelta;
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Barrier, watch};

/// A simulator and a client with the same clock.
async fn simulated(
    clock: &LateClock,
    seed: impl FnOnce(SimulatorBuilder) -> SimulatorBuilder,
) -> (Simulator, ServiceTokens) {
    let time = clock.clone();
    let simulator = seed(Simulator::builder().clock(move || time.now()));
    let simulator = simulator.start().await.unwrap();
    let tokens = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .clock(clock.clone())
        .build()
        .unwrap()
        .account(simulator.account_id())
        .unwrap()
        .service_tokens();
    (simulator, tokens)
}

fn in_days(name: &str, days: i64) -> SeedToken {
    SeedToken::new(name).expires_in(TimeDelta::days(days))
}

/// Returns how many requests of this kind the simulator received.
fn count(simulator: &Simulator, operation: Operation) -> usize {
    let requests = simulator.requests();
    requests
        .iter()
        .filter(|request| request.operation == Some(operation))
        .count()
}

/// Returns the outcomes as a table.
fn table(report: &RenewalReport) -> String {
    let mut lines = vec![report.to_string()];
    for token in &report.tokens {
        let name = token.name.as_deref().unwrap_or("-");
        let expires_at = token.expires_at.map(|at| at.format("%F").to_string());
        let expires_at = expires_at.unwrap_or_default();
        lines.push(format!("{name:<22} {expires_at:<11} {}", token.outcome));
    }
    for (reason, tokens) in &report.skipped {
        lines.push(format!("skipped: {tokens} {reason}"));
    }
    lines.join("\n")
}

#[tokio::test]
async fn the_report_has_the_reason_and_the_outcome_of_a_renewal() {
    let clock = crate::support::clock();
    let (simulator, tokens) = simulated(&clock, |builder| {
        builder
            .token(in_days("soon", 3))
            .token(in_days("over", -3))
            .token(in_days("odd", 4).duration("1 year"))
    })
    .await;
    simulator.inject(Injection::new(Fault::Status(400)).on(Operation::Update));
    let policy = RenewalPolicy::new()
        .include_expired(true)
        .by(RenewBy::Duration);
    for (dry_run, over, soon) in [(true, "planned", "planned"), (false, "failed", "renewed")] {
        let policy = policy.clone().dry_run(dry_run).concurrency(1);
        let report = tokens.renew(&policy).await;
        let mut told: Vec<_> = report
            .tokens
            .iter()
            .map(|token| {
                let name = token.name.as_deref().unwrap();
                format!("{name} {} {:?}", token.outcome.as_str(), token.reason)
            })
            .collect();
        told.sort();
        assert_eq!(
            told,
            [
                "odd unable None".to_owned(),
                format!("over {over} Some(Expired)"),
                format!("soon {soon} Some(Due)"),
            ]
        );
    }
}

#[tokio::test]
async fn a_second_pass_finds_no_due_token() {
    let clock = crate::support::clock();
    let (simulator, tokens) = simulated(&clock, |builder| builder.believable_account()).await;

    let policy = RenewalPolicy::new();
    let mut decided = Vec::new();
    let mut renewal = tokens.renew(&policy);
    while let Some(event) = renewal.next().await {
        if let RenewalEvent::Decided { token, decision } = event {
            decided.push(format!("{:<24} {decision:?}", token.name.unwrap()));
        }
    }
    insta::assert_snapshot!(decided.join("\n"), @"
    GitHub Actions deploy    Skip(NotDue)
    Terraform Cloud          Skip(NotDue)
    Grafana scraper          Renew(Due)
    Nightly backup           Renew(Due)
    Staging smoke tests      Renew(Due)
    Partner API (Northwind)  Renew(Expired)
    Legacy Jenkins           Skip(Disabled)
    Status page probe        Skip(NeverExpires)
    Data warehouse import    Skip(NotDue)
    Mobile beta gateway      Skip(NotDue)
    ");
    insta::assert_snapshot!(table(&renewal.await), @"
    10 tokens: 4 renewed, 6 skipped, 1 of them disabled
    Partner API (Northwind) 2026-11-21  renewed until 2027-11-24 12:00 UTC
    Staging smoke tests    2026-11-25  renewed until 2027-11-24 12:00 UTC
    Nightly backup         2026-11-29  renewed until 2027-11-24 12:00 UTC
    Grafana scraper        2026-12-15  renewed until 2027-11-24 12:00 UTC
    skipped: 4 not due yet
    skipped: 1 never expires
    skipped: 1 is disabled
    ");

    let again = tokens.renew(&policy).await;
    insta::assert_snapshot!(table(&again), @"
    10 tokens: 10 skipped, 1 of them disabled
    skipped: 8 not due yet
    skipped: 1 never expires
    skipped: 1 is disabled
    ");
    assert!(again.is_success());
    assert_eq!(count(&simulator, Operation::Refresh), 4);
    assert_eq!(again.next_due, Some(again.started_at + TimeDelta::days(58)));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let clock = crate::support::clock();
    let (simulator, tokens) = simulated(&clock, |builder| builder.believable_account()).await;
    let before = simulator.tokens();
    let report = tokens.renew(&RenewalPolicy::new().dry_run(true)).await;
    insta::assert_snapshot!(table(&report), @"
    10 tokens: 4 to renew, 6 skipped, 1 of them disabled
    Partner API (Northwind) 2026-11-21  would be renewed
    Staging smoke tests    2026-11-25  would be renewed
    Nightly backup         2026-11-29  would be renewed
    Grafana scraper        2026-12-15  would be renewed
    skipped: 4 not due yet
    skipped: 1 never expires
    skipped: 1 is disabled
    ");
    assert!(report.is_success());
    assert_eq!(simulator.tokens(), before);
    assert_eq!(
        count(&simulator, Operation::List),
        simulator.requests().len()
    );
}

#[tokio::test]
async fn included_tokens_are_renewed() {
    let clock = crate::support::clock();
    let (simulator, tokens) = simulated(&clock, |builder| {
        builder
            .token(in_days("expired", -40))
            .token(in_days("disabled", 3).disabled())
    })
    .await;
    let policy = RenewalPolicy::new()
        .include_expired(true)
        .include_disabled(true);
    let report = tokens.renew(&policy).await;
    insta::assert_snapshot!(table(&report), @"
    2 tokens: 2 renewed
    expired                2026-10-15  renewed until 2027-11-24 12:00 UTC
    disabled               2026-11-27  renewed until 2027-11-24 12:00 UTC
    ");
    let disabled = &simulator.tokens()[1];
    assert!(!disabled.enabled, "a renewal does not enable the token");
}

#[tokio::test]
async fn tokens_are_selected_by_name_or_id() {
    let clock = crate::support::clock();
    let (simulator, tokens) = simulated(&clock, |builder| {
        let names = ["one", "two", "three", "four"];
        names
            .into_iter()
            .fold(builder, |builder, name| builder.token(in_days(name, 3)))
    })
    .await;
    let id_of_two = simulator.tokens()[1].id.clone();
    let policy = RenewalPolicy::new()
        .only(["one", &id_of_two, "three", "tow"])
        .except(["three", "for"]);
    let report = tokens.renew(&policy).await;
    insta::assert_snapshot!(table(&report), @"
    4 tokens: 2 renewed, 2 skipped; no such token: for, tow
    one                    2026-11-27  renewed until 2027-11-24 12:00 UTC
    two                    2026-11-27  renewed until 2027-11-24 12:00 UTC
    skipped: 1 is excluded by name or id
    skipped: 1 is not named by the policy
    ");
    assert!(
        !report.is_success(),
        "the report lists a name without a token"
    );
}

#[tokio::test]
async fn renewal_by_duration_uses_the_duration_of_each_token() {
    let clock = crate::support::clock();
    let (simulator, tokens) = simulated(&clock, |builder| {
        builder
            .token(in_days("two years", 3).duration("17520h"))
            .token(in_days("ten days, six left", 6).duration("240h"))
            .token(in_days("ten days, five left", 5).duration("240h"))
            .token(in_days("unreadable", 3).duration("1 year"))
            .token(in_days("unreadable, not due", 90).duration("1 year"))
    })
    .await;
    let policy = RenewalPolicy::new().by(RenewBy::Duration);
    let report = tokens.renew(&policy).await;
    insta::assert_snapshot!(table(&report), @"
    5 tokens: 2 renewed, 1 can't be renewed, 2 skipped; not renewed: unreadable
    unreadable             2026-11-27  can't be renewed: its duration is missing or can't be read
    two years              2026-11-27  renewed until 2028-11-23 12:00 UTC
    ten days, five left    2026-11-29  renewed until 2026-12-04 12:00 UTC
    skipped: 2 not due yet
    ");
    assert!(!report.is_success(), "one token could not be renewed");
    assert_eq!(count(&simulator, Operation::Refresh), 0);
    assert_eq!(count(&simulator, Operation::Update), 2);
    let durations: Vec<String> = simulator
        .tokens()
        .into_iter()
        .map(|token| token.duration)
        .collect();
    assert_eq!(durations, ["17520h", "240h", "240h", "1 year", "1 year"]);
}

#[tokio::test]
async fn every_token_belongs_to_one_shard() {
    let clock = crate::support::clock();
    let (simulator, tokens) = simulated(&clock, |builder| {
        (0..40).fold(builder, |builder, n| {
            builder.token(in_days(&format!("token {n}"), 3))
        })
    })
    .await;
    let mut renewed = 0;
    for index in 0..3 {
        let policy = RenewalPolicy::new().shard(Shard::new(index, 3).unwrap());
        let report = tokens.renew(&policy).await;
        assert!(report.tokens.len() > 5, "{report}");
        renewed += report.tokens.len();
    }
    assert_eq!(renewed, 40);
    assert_eq!(count(&simulator, Operation::Refresh), 40);
}

#[tokio::test]
async fn tokens_are_renewed_in_the_order_of_their_expiry() {
    let clock = crate::support::clock();
    let (simulator, tokens) = simulated(&clock, |builder| {
        let days = [9, 2, 20, 1];
        days.into_iter().fold(builder, |builder, days| {
            builder.token(in_days("token", days))
        })
    })
    .await;
    let listed = simulator.tokens();
    tokens.renew(&RenewalPolicy::new().concurrency(1)).await;
    let refreshed: Vec<String> = simulator
        .requests()
        .iter()
        .filter(|request| request.operation == Some(Operation::Refresh))
        .map(|request| request.path.split('/').rev().nth(1).unwrap().to_owned())
        .collect();
    let soonest_first = [3, 1, 0, 2].map(|index: usize| listed[index].id.clone());
    assert_eq!(refreshed, soonest_first);
}

/// Returns a token as JSON for the answers of a [`RawServer`].
fn token(number: u32, expires_at: &str) -> Value {
    json!({ "id": id(number), "name": format!("token {number}"), "expires_at": expires_at })
}

fn id(number: u32) -> String {
    format!("f174e90a-fafe-4643-bbbc-{number:012}")
}

fn success(result: Value) -> String {
    let body = json!({ "success": true, "errors": [], "messages": [], "result": result });
    crate::support::json("200 OK", &body.to_string())
}

/// Starts a server of an account with these tokens. The function answers the calls that
/// change one.
async fn account<R: Into<Reply>>(
    tokens: Vec<Value>,
    answer: impl Fn(usize, &str) -> R + Send + Sync + 'static,
) -> RawServer {
    RawServer::scripted(move |index, request| {
        if request.starts_with("GET ") && request.contains("/service_tokens?") {
            let body = json!({
                "success": true, "errors": [], "messages": [], "result": tokens,
                "result_info": { "page": 1, "total_count": tokens.len() },
            });
            let listed = crate::support::json("200 OK", &body.to_string());
            return Reply::from(listed);
        }
        answer(index, request).into()
    })
    .await
}

fn tokens_of(server: &RawServer) -> ServiceTokens {
    let client = server.builder().clock(crate::support::clock());
    client
        .build()
        .unwrap()
        .account(crate::support::ACCOUNT)
        .unwrap()
        .service_tokens()
}

const SOON: &str = "2026-11-30T00:00:00Z";
const LATER: &str = "2027-11-24T12:00:00Z";

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

#[tokio::test]
async fn the_policy_limits_concurrent_renewals() {
    // The server answers a refresh once three are in flight.
    let three = Arc::new(Barrier::new(3));
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/client/v4", listener.local_addr().unwrap());
    let most_so_far = Arc::clone(&most);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (three, under_way, most) = (three.clone(), under_way.clone(), most_so_far.clone());
            tokio::spawn(async move {
                let request = crate::support::read_request(&mut socket).await.unwrap();
                let answer = if request.starts_with("GET ") {
                    success((1..=9).map(|number| token(number, SOON)).collect())
                } else {
                    most.fetch_max(under_way.fetch_add(1, SeqCst) + 1, SeqCst);
                    three.wait().await;
                    under_way.fetch_sub(1, SeqCst);
                    let number = (1..=9).find(|number| request.contains(&id(*number)));
                    success(token(number.unwrap(), LATER))
                };
                socket.write_all(answer.as_bytes()).await.unwrap();
            });
        }
    });
    let client = Client::builder().api_token("t").base_url(base_url).build();
    let tokens = client
        .unwrap()
        .account(crate::support::ACCOUNT)
        .unwrap()
        .service_tokens();
    let policy = RenewalPolicy::new().concurrency(3).include_expired(true);
    let report = tokens.renew(&policy).await;
    assert_eq!(report.to_string(), "9 tokens: 9 renewed");
    assert_eq!(most.load(SeqCst), 3);
}

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

#[tokio::test]
async fn the_deadline_of_the_client_applies_to_renewals() {
    let server = RawServer::in_turn(&[crate::support::answer(
        "503 Service Unavailable",
        "text/plain",
        "",
    )])
    .await;
    let waited = async |set: fn(ClientBuilder) -> ClientBuilder| {
        let clock = crate::support::clock();
        let retry = Retry::default().attempts(1000).seed(1);
        let client = set(server.builder().retry(retry).clock(clock.clone())).build();
        let tokens = client
            .unwrap()
            .account(crate::support::ACCOUNT)
            .unwrap()
            .service_tokens();
        let report = tokens.renew(&RenewalPolicy::new()).await;
        assert!(!report.is_success());
        clock.elapsed().as_secs()
    };
    let by_default = waited(|client| client).await;
    assert!(
        (600..=900 + LATEST.as_secs()).contains(&by_default),
        "{by_default}"
    );
    let with_a_deadline = waited(|client| client.deadline(Duration::from_secs(60))).await;
    assert!(
        (30..=60 + LATEST.as_secs()).contains(&with_a_deadline),
        "{with_a_deadline}"
    );
}

#[tokio::test]
async fn the_error_of_a_report_names_the_failures() {
    let clock = crate::support::clock();
    let (_simulator, tokens) = simulated(&clock, |builder| {
        builder
            .token(in_days("fine", 3))
            .token(in_days("odd\n", 4).duration("1 year"))
    })
    .await;
    let policy = RenewalPolicy::new()
        .by(RenewBy::Duration)
        .only(["fine", "odd\n", "gone"]);
    let report = tokens.renew(&policy).await;
    let failure = report.into_result().unwrap_err();
    insta::assert_snapshot!(failure, @r#"the renewal is incomplete: odd\n can't be renewed: its duration is missing or can't be read; no token has the name or id "gone""#);
    assert_eq!(format!("{failure:?}"), failure.to_string());
    assert_eq!(failure.report().listed, 2);

    let again = tokens.renew(&RenewalPolicy::new().only(["fine"])).await;
    assert_eq!(again.into_result().unwrap().listed, 2);
}

#[tokio::test]
async fn a_report_as_json() {
    let clock = crate::support::clock();
    let (simulator, tokens) = simulated(&clock, |builder| {
        builder
            .token(in_days("due", 3))
            .token(in_days("later", 90))
            .token(in_days("odd", 4).null(TokenField::ExpiresAt))
            .token(in_days("refused", 2))
    })
    .await;
    simulator.inject(Injection::new(Fault::Status(400)).on(Operation::Refresh));
    let report = tokens.renew(&RenewalPolicy::new().concurrency(1)).await;
    let json = serde_json::to_value(&report).unwrap();
    let outcomes: Vec<String> = json["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| format!("{} {} {}", token["name"], token["reason"], token["outcome"]))
        .collect();
    insta::assert_snapshot!(outcomes.join("\n"), @r#"
    "refused" "due" {"error":"refresh account service token: the API refused the call (HTTP 400, ray id 0b4fa34e3a73462a-FRA): 1000 injected fault","status":"failed"}
    "odd" null {"reason":"no_expiry","status":"unable"}
    "due" "due" {"expires_at":"2027-11-24T12:00:00Z","status":"renewed"}
    "#);
    assert_eq!(json["skipped"], serde_json::json!({ "not_due": 1 }));
    assert_eq!(json["started_at"], "2026-11-24T12:00:00Z");

    let read: RenewalReport = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(read.to_string(), report.to_string());
    assert_eq!(serde_json::to_value(&read).unwrap(), json);

    #[cfg(feature = "schemars")]
    {
        let schema = schemars::schema_for!(cf_service_tokens::renewal::RenewalReport);
        let schema = serde_json::to_value(schema).unwrap();
        let described: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        let written: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(described, written);
    }
}
