//! The app behind Access, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use cf_service_tokens_simulator::{AppAuthentication, SeedToken, Simulator};
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::json;
use support::{Api, send, start};

const CLIENT_ID: &str = "88bf3b6d86161464f6509f7219099e57.access";
const SECRET: &str = "bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420346af9d326b1d2a5";

fn seed() -> SeedToken {
    SeedToken::new("CI deploy")
        .client_id(CLIENT_ID)
        .client_secret(SECRET)
}

#[tokio::test]
async fn a_good_token_is_let_in_and_seen() {
    let api = Api::start(Simulator::builder().token(seed())).await;
    api.advance(TimeDelta::minutes(5));
    let reply = api.knock(CLIENT_ID, SECRET).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.json()["service_token"], "CI deploy");
    assert!(reply.headers.contains_key("cf-ray"));
    assert!(!reply.headers.contains_key("ratelimit"));

    let held = api.simulator.tokens().remove(0);
    assert_eq!(held.last_seen_at, Some(start() + TimeDelta::minutes(5)));
    assert_eq!(held.updated_at, start());
}

#[tokio::test]
async fn one_header_may_hold_both_halves() {
    let api = Api::start(Simulator::builder().token(seed())).await;
    let knock = async |value: String| {
        let url = format!("{}/deep/path?x=1", api.simulator.protected_url());
        let request = api.http.request(Method::POST, url);
        send(request.header("authorization", value)).await.status
    };
    let credentials =
        json!({ "cf-access-client-id": CLIENT_ID, "cf-access-client-secret": SECRET });
    assert_eq!(knock(credentials.to_string()).await, StatusCode::OK);
    let half = json!({ "cf-access-client-id": CLIENT_ID });
    assert_eq!(knock(half.to_string()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(knock("Bearer x".to_owned()).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_caller_who_cannot_authenticate_gets_401() {
    for (seed, client_id, secret) in [
        (seed(), CLIENT_ID, "wrong"),
        (seed(), "wrong.access", SECRET),
        (seed().disabled(), CLIENT_ID, SECRET),
        (seed().expires_in(TimeDelta::zero()), CLIENT_ID, SECRET),
        (seed().not_allowed_at_app(), CLIENT_ID, "wrong"),
    ] {
        let api = Api::start(Simulator::builder().token(seed)).await;
        let reply = api.knock(client_id, secret).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(api.simulator.tokens()[0].last_seen_at, None);
    }
    let api = Api::start(Simulator::builder()).await;
    let reply = send(api.http.get(api.simulator.protected_url())).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_valid_token_that_is_not_allowed_gets_403() {
    let api = Api::start(Simulator::builder().token(seed().not_allowed_at_app())).await;
    let knock = async || api.knock(CLIENT_ID, SECRET).await.status;
    assert_eq!(knock().await, StatusCode::FORBIDDEN);
    assert_eq!(api.simulator.tokens()[0].last_seen_at, None);
    let id = api.simulator.tokens().remove(0).id;
    assert!(api.simulator.set_allowed_at_app(&id, true).is_some());
    assert_eq!(knock().await, StatusCode::OK);
}

#[tokio::test]
async fn without_strict_authentication_every_refusal_looks_the_same() {
    for (authentication, expected) in [
        (AppAuthentication::Forbid, StatusCode::FORBIDDEN),
        (AppAuthentication::Login, StatusCode::FOUND),
    ] {
        let builder = Simulator::builder().app_authentication(authentication);
        let api = Api::start(builder.token(seed().not_allowed_at_app())).await;
        for secret in ["wrong", SECRET] {
            assert_eq!(api.knock(CLIENT_ID, secret).await.status, expected);
        }
    }
}

#[tokio::test]
async fn a_caller_can_be_sent_to_a_login_page() {
    let builder = Simulator::builder().app_authentication(AppAuthentication::Login);
    let api = Api::start(builder.token(seed())).await;
    let url = api.simulator.protected_url().to_owned();
    for url in [url.clone(), format!("{url}/deep/path")] {
        let reply = send(api.http.get(&url)).await;
        assert_eq!(reply.status, StatusCode::FOUND);
        let location = reply.header("location");
        assert!(location.starts_with("/cdn-cgi/access/login/"));

        let login = reqwest::Url::parse(&url).unwrap().join(location).unwrap();
        let page = send(api.http.get(login)).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");

        let request = api
            .http
            .get(&url)
            .header("CF-Access-Client-Id", CLIENT_ID)
            .header("CF-Access-Client-Secret", SECRET);
        assert_eq!(send(request).await.status, StatusCode::OK);
    }
}
