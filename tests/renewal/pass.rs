//! A pass over an account: its calls and its report.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::support::{LATEST, LateClock, RawServer, Reply};
use cf_service_tokens::renewal::{RenewBy, RenewalEvent, RenewalPolicy, RenewalReport};
use cf_service_tokens::{Client, ClientBuilder, Clock, Retry, ServiceTokens};
use cf_service_tokens_simulator::{
    Fault, Injection, Operation, SeedToken, Simulator, SimulatorBuilder, TokenField,
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

/// A simulator and a client with the same clock.
pub(super) async fn simulated(
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

pub(super) fn in_days(name: &str, days: i64) -> SeedToken {
    SeedToken::new(name).expires_in(TimeDelta::days(days))
}

/// Returns how many requests of this kind the simulator received.
pub(super) fn count(simulator: &Simulator, operation: Operation) -> usize {
    let requests = simulator.requests();
    requests
        .iter()
        .filter(|request| request.operation == Some(operation))
        .count()
}

/// Returns the outcomes as a table.
pub(super) fn table(report: &RenewalReport) -> String {
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
    let two = simulator.tokens()[1].clone();
    let policy = RenewalPolicy::new()
        .only(["one", &two.id, "three", "tow"])
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
    let policy = RenewalPolicy::new().dry_run(true);
    let three = &simulator.tokens()[2];
    let report = tokens.renew(&policy.clone().only([&three.client_id])).await;
    assert!(report.unmatched.is_empty(), "{report}");
    assert_eq!(report.tokens[0].name.as_deref(), Some("three"));
    let report = tokens.renew(&policy.except([&three.client_id])).await;
    let names: Vec<_> = report
        .tokens
        .iter()
        .map(|token| token.name.as_deref())
        .collect();
    assert_eq!(names, [Some("four")]);
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
pub(super) fn token(number: u32, expires_at: &str) -> Value {
    json!({ "id": id(number), "name": format!("token {number}"), "expires_at": expires_at })
}

pub(super) fn id(number: u32) -> String {
    format!("f174e90a-fafe-4643-bbbc-{number:012}")
}

pub(super) fn success(result: Value) -> String {
    let body = json!({ "success": true, "errors": [], "messages": [], "result": result });
    crate::support::json("200 OK", &body.to_string())
}

/// Starts a server of an account with these tokens. The function answers the calls that
/// change one.
pub(super) async fn account<R: Into<Reply>>(
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

pub(super) const SOON: &str = "2026-11-30T00:00:00Z";
pub(super) const LATER: &str = "2027-11-24T12:00:00Z";

pub(super) fn tokens_of(server: &RawServer) -> ServiceTokens {
    let client = server.builder().clock(crate::support::clock());
    client
        .build()
        .unwrap()
        .account(crate::support::ACCOUNT)
        .unwrap()
        .service_tokens()
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
    insta::assert_snapshot!(failure, @r#"the renewal is incomplete: odd\n can't be renewed: its duration is missing or can't be read; no token has the id, client id or name "gone""#);
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
