//! Changes beside the API: of tokens, clock and log.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cf_service_tokens_simulator::{Access, Operation, Rule, SeedPolicy, SeedToken, Simulator};
use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::json;
use support::{Api, send, start};

const TOKEN: &str = "/f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
const ID: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";

fn seed() -> SeedToken {
    SeedToken::new("CI")
        .id(ID)
        .client_id("ci.access")
        .client_secret("secret")
}

/// A policy names the token.
fn named() -> Access {
    Access::new().policy(SeedPolicy::new("CI").include(Rule::service_token(ID)))
}

#[tokio::test]
async fn a_token_changes_behind_the_clients_back() {
    let api = Api::start(Simulator::builder().token(seed()).access(named())).await;
    let knock = async || api.knock("ci.access", "secret").await.status;
    api.advance(TimeDelta::hours(1));
    let now = start() + TimeDelta::hours(1);

    let renamed = api.simulator.rename(ID, "CD").unwrap();
    assert_eq!((renamed.name.as_str(), renamed.updated_at), ("CD", now));
    let got = api.get(&api.account(TOKEN)).await.result();
    assert_eq!(got["name"], "CD");
    assert_eq!(got["updated_at"], "2026-11-24T06:00:00Z");

    assert_eq!(knock().await, StatusCode::OK);
    api.simulator.disable(ID).unwrap();
    assert_eq!(knock().await, StatusCode::UNAUTHORIZED);
    let enable = json!({ "enabled": true });
    api.put_json(&api.account(TOKEN), enable).await.result();
    assert_eq!(knock().await, StatusCode::OK);

    let expired = api.simulator.expire(ID).unwrap();
    assert_eq!(expired.expires_at, now);
    assert_eq!(knock().await, StatusCode::UNAUTHORIZED);

    let deleted = api.simulator.delete(ID).unwrap();
    assert_eq!(deleted.name, "CD");
    let got = api.get(&api.account(TOKEN)).await;
    assert_eq!(got.status, StatusCode::NOT_FOUND);
    assert_eq!(api.simulator.rename(ID, "CI"), None);
    assert_eq!(api.simulator.disable(ID), None);
    assert_eq!(api.simulator.expire(ID), None);
}

#[tokio::test]
async fn a_token_that_never_expires_can_be_made_to() {
    let api = Api::start(Simulator::builder().token(seed().duration("forever"))).await;
    assert_eq!(api.simulator.expire(ID).unwrap().duration, "8760h");
    let knock = api.knock("ci.access", "secret").await;
    assert_eq!(knock.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_clock_moves_on_top_of_the_one_that_was_given() {
    let api = Api::start(Simulator::builder().token(seed())).await;
    let refreshed = async || {
        let reply = api.post(&api.account(&format!("{TOKEN}/refresh"))).await;
        reply.result()["updated_at"].as_str().unwrap().to_owned()
    };
    api.simulator.advance(TimeDelta::hours(2));
    assert_eq!(refreshed().await, "2026-11-24T07:00:00Z");
    api.advance(TimeDelta::hours(1));
    assert_eq!(refreshed().await, "2026-11-24T08:00:00Z");
    api.simulator.advance(TimeDelta::hours(-3));
    assert_eq!(refreshed().await, "2026-11-24T05:00:00Z");
    api.simulator.advance(TimeDelta::MAX);
    api.simulator.advance(TimeDelta::MAX);
    assert_eq!(api.get(&api.account("")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn requests_are_counted_and_forgotten() {
    let api = Api::start(Simulator::builder().token(seed())).await;
    for _ in 0..3 {
        api.get(&api.account(TOKEN)).await;
    }
    send(api.bare(reqwest::Method::GET, &api.account(""))).await;
    api.knock("ci.access", "secret").await;
    let count = |operation| api.simulator.count(operation);
    assert_eq!(count(Operation::Get), 3);
    assert_eq!(count(Operation::List), 1, "refused ones count as well");
    assert_eq!(count(Operation::Rotate), 0);
    api.simulator.clear_requests();
    assert_eq!(count(Operation::Get), 0);
    assert_eq!(api.simulator.requests(), []);
}

/// A deadlock stops the whole runtime, so another thread has to notice it.
#[test]
fn a_callback_may_ask_the_simulator() {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let seen = runtime.unwrap().block_on(ask_from_a_callback());
        done.send(seen).unwrap();
    });
    let seen = is_done.recv_timeout(Duration::from_secs(60));
    assert_eq!(seen, Ok(vec![(1, 1)]));
}

/// The numbers of list calls and of tokens that a callback gets during a list call.
async fn ask_from_a_callback() -> Vec<(usize, usize)> {
    let simulator = Arc::new(OnceLock::<Simulator>::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let builder = Simulator::builder().token(seed()).on_request({
        let (simulator, seen) = (simulator.clone(), seen.clone());
        move |request| {
            let simulator = simulator.get().unwrap();
            assert_eq!(simulator.requests().last(), Some(request));
            let asked = (simulator.count(Operation::List), simulator.tokens().len());
            seen.lock().unwrap().push(asked);
        }
    });
    let started = builder.start().await.unwrap();
    let url = format!(
        "{}/accounts/{}/access/service_tokens",
        started.base_url(),
        started.account_id()
    );
    simulator.set(started).unwrap();
    let reply = send(support::http_client().get(url)).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    seen.lock().unwrap().clone()
}
