//! Several accounts and API tokens, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use cf_service_tokens_simulator::{SeedAccount, SeedApiToken, SeedToken, Simulator};
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Api, Reply, control, control_json, send, start};

const TOKEN: &str = "/f174e90a-fafe-4643-bbbc-4a0ed4fc8415";

fn tokens_of(account: &str, rest: &str) -> String {
    format!("/accounts/{account}/access/service_tokens{rest}")
}

/// Two accounts, `a1` with the token, and `a2`.
async fn two_accounts(api_token: SeedApiToken) -> Api {
    let builder = Simulator::builder()
        .account_id("a1")
        .token(SeedToken::new("CI").id(&TOKEN[1..]))
        .account(SeedAccount::new("a2").token(SeedToken::new("other")))
        .add_api_token(api_token);
    Api::start(builder).await
}

/// A request with the API token that `two_accounts` was given.
async fn call(api: &Api, method: Method, path: &str) -> Reply {
    let request = api.bare(method, path).bearer_auth("limited");
    send(request.json(&json!({ "name": "renamed" }))).await
}

fn limited() -> SeedApiToken {
    SeedApiToken::new("limited")
}

#[track_caller]
fn assert_forbidden(reply: &Reply, code: u64, message: &str) {
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(reply.codes(), [code]);
    assert_eq!(reply.json()["errors"][0]["message"], message);
}

#[tokio::test]
async fn accounts_share_nothing_but_the_server() {
    let api = two_accounts(limited()).await;
    let names = async |account| {
        let reply = api.get(&tokens_of(account, "")).await;
        let result = reply.result();
        let names = result.as_array().unwrap().iter();
        names.map(|token| token["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("a1").await, ["CI"]);
    assert_eq!(names("a2").await, ["other"]);
    let elsewhere = api.get(&tokens_of("a2", TOKEN)).await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);

    let held = api.simulator.tokens();
    assert_eq!([&held[0].account_id, &held[1].account_id], ["a1", "a2"]);
    let logged = api.simulator.requests();
    let accounts = logged.iter().map(|request| request.account_id.as_deref());
    let expected = ["a1", "a2", "a2"].map(Some);
    assert_eq!(accounts.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn each_account_has_its_own_limit() {
    let builder = Simulator::builder()
        .account_id("a1")
        .token_limit(1)
        .account(SeedAccount::new("a2").token_limit(2));
    let api = Api::start(builder).await;
    let mut created = Vec::new();
    for account in ["a1", "a1", "a2", "a2", "a2"] {
        let path = tokens_of(account, "");
        let reply = api.post_json(&path, json!({ "name": "CI" })).await;
        created.push(reply.status.as_u16());
    }
    assert_eq!(created, [201, 400, 201, 201, 400]);
}

#[tokio::test]
async fn a_read_only_token_lists_and_gets() {
    let api = two_accounts(limited().read_only()).await;
    let before = api.simulator.tokens();
    for path in [tokens_of("a1", ""), tokens_of("a1", TOKEN)] {
        let reply = call(&api, Method::GET, &path).await;
        assert_eq!(reply.status, StatusCode::OK);
    }
    for (method, rest) in [
        (Method::POST, String::new()),
        (Method::PUT, TOKEN.to_owned()),
        (Method::DELETE, TOKEN.to_owned()),
        (Method::POST, format!("{TOKEN}/refresh")),
        (Method::POST, format!("{TOKEN}/rotate")),
    ] {
        let reply = call(&api, method, &tokens_of("a1", &rest)).await;
        assert_forbidden(&reply, 10_000, "Authentication error");
    }
    assert_eq!(api.simulator.tokens(), before);
}

#[tokio::test]
async fn a_token_of_some_accounts_is_refused_in_the_others() {
    let api = two_accounts(limited().account("a2")).await;
    let list = async |account| call(&api, Method::GET, &tokens_of(account, "")).await;
    assert_eq!(list("a2").await.status, StatusCode::OK);
    for foreign in ["a1", "a3"] {
        assert_forbidden(&list(foreign).await, 10_000, "Authentication error");
    }
    let both = two_accounts(limited().account("a1").account("a2")).await;
    let reply = call(&both, Method::GET, &tokens_of("a1", "")).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_expires_by_the_simulators_clock() {
    let api = two_accounts(limited().expires_at(start() + TimeDelta::days(1))).await;
    let list = async || call(&api, Method::GET, &tokens_of("a1", "")).await;
    assert_eq!(list().await.status, StatusCode::OK);
    api.advance(TimeDelta::days(1));
    let expired = list().await;
    assert_eq!(expired.status, StatusCode::UNAUTHORIZED);
    assert_eq!(expired.codes(), [9109]);
    assert_eq!(
        expired.json()["errors"][0]["message"],
        "Invalid access token"
    );
    assert_eq!(api.get(&tokens_of("a1", "")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_is_valid_from_its_addresses_alone() {
    let elsewhere = limited().only_from([192, 0, 2, 1]);
    let api = two_accounts(elsewhere.clone()).await;
    let reply = call(&api, Method::GET, &tokens_of("a1", "")).await;
    let message = "Cannot use the access token from location: 127.0.0.1";
    assert_forbidden(&reply, 9109, message);

    let api = two_accounts(elsewhere.only_from([127, 0, 0, 1])).await;
    let reply = call(&api, Method::GET, &tokens_of("a1", "")).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn the_simulators_own_token_can_be_limited() {
    let builder = Simulator::builder().api_token(SeedApiToken::new("own").read_only());
    let api = Api::start(builder).await;
    assert_eq!(api.simulator.api_token(), "own");
    let path = api.account("");
    assert_eq!(api.get(&path).await.status, StatusCode::OK);
    let create = api.post_json(&path, json!({ "name": "CI" })).await;
    assert_eq!(create.status, StatusCode::FORBIDDEN);
}

/// The status and the code with which a call with this API token is answered.
async fn call_with(api: &Api, api_token: &str, method: Method, account: &str) -> (u16, u64) {
    let request = api
        .bare(method, &tokens_of(account, ""))
        .bearer_auth(api_token)
        .json(&json!({ "name": "CD" }));
    let reply = send(request).await;
    let code = reply.json()["errors"][0]["code"].as_u64();
    (reply.status.as_u16(), code.unwrap_or_default())
}

#[tokio::test]
async fn accounts_are_added_until_a_reset() {
    let api = two_accounts(limited()).await;
    let added = async |account: Value| {
        let reply = control_json(&api, Method::POST, "/accounts", account).await;
        assert_eq!(reply.status, StatusCode::CREATED);
        reply.json()
    };
    let limited = added(json!({ "id": "a3", "token_limit": 1 })).await;
    assert_eq!(
        (&limited["id"], &limited["token_limit"]),
        (&json!("a3"), &json!(1))
    );
    let default = added(json!({ "id": "a4" })).await;
    assert_eq!(
        (&default["name"], &default["token_limit"]),
        (&json!("a4"), &json!(50))
    );

    let body = json!({ "name": "CI", "account_id": "a3" });
    let planted = control_json(&api, Method::POST, "/tokens", body).await;
    assert_eq!(planted.json()["account_id"], "a3");
    let create = async |account| {
        let path = tokens_of(account, "");
        api.post_json(&path, json!({ "name": "CD" })).await.status
    };
    assert_eq!(create("a3").await, StatusCode::BAD_REQUEST);
    assert_eq!(create("a4").await, StatusCode::CREATED);

    control(&api, Method::POST, "/reset").await;
    assert_eq!(create("a4").await, StatusCode::FORBIDDEN);
    assert_eq!(api.simulator.tokens().len(), 2);
}

#[tokio::test]
async fn api_tokens_that_may_do_less_are_added_until_a_reset() {
    let api = two_accounts(limited()).await;
    let expiry = "2026-11-24T06:00:00Z";
    for (body, differs) in [
        (json!({ "api_token": "unlimited" }), json!({})),
        (
            json!({ "api_token": "reader", "read_only": true }),
            json!({ "read_only": true }),
        ),
        (
            json!({ "api_token": "of-a2", "accounts": ["a2"], "expires_at": expiry }),
            json!({ "accounts": ["a2"], "expires_at": expiry }),
        ),
        (
            json!({ "api_token": "elsewhere", "only_from": ["192.0.2.1"] }),
            json!({ "only_from": ["192.0.2.1"] }),
        ),
    ] {
        let mut answer = json!({
            "owned_by_account": null,
            "accounts": null,
            "permissions": null,
            "read_only": false,
            "enabled": true,
            "expires_at": null,
            "only_from": null,
        });
        for (field, value) in differs.as_object().unwrap() {
            answer[field] = value.clone();
        }
        let reply = control_json(&api, Method::POST, "/api_tokens", body).await;
        assert_eq!(reply.status, StatusCode::CREATED);
        assert_eq!(reply.json(), answer);
    }

    let call = async |api_token, method, account| call_with(&api, api_token, method, account).await;
    let (get, post) = (Method::GET, Method::POST);
    assert_eq!(call("unlimited", get.clone(), "a1").await, (200, 0));
    assert_eq!(call("unlimited", post.clone(), "a2").await, (201, 0));
    assert_eq!(call("reader", get.clone(), "a1").await, (200, 0));
    assert_eq!(call("reader", post.clone(), "a1").await, (403, 10_000));
    assert_eq!(call("of-a2", post.clone(), "a2").await, (201, 0));
    assert_eq!(call("of-a2", get.clone(), "a1").await, (403, 10_000));
    assert_eq!(call("elsewhere", get.clone(), "a1").await, (403, 9109));
    let advance = json!({ "advance": "1h" });
    control_json(&api, Method::POST, "/clock", advance).await;
    assert_eq!(call("of-a2", get.clone(), "a2").await, (401, 9109));

    control(&api, Method::POST, "/reset").await;
    for api_token in ["unlimited", "reader", "of-a2", "elsewhere"] {
        assert_eq!(call(api_token, get.clone(), "a1").await, (401, 10_000));
    }
    assert_eq!(call("limited", get, "a1").await, (200, 0));
}

#[tokio::test]
async fn refused_headers_are_explained_in_an_error_chain() {
    let api = two_accounts(limited()).await;
    let path = tokens_of("a1", "");
    let bare = || api.bare(Method::GET, &path);
    for (request, code, header) in [
        (
            bare().header("authorization", "limited"),
            6111,
            "Authorization",
        ),
        (
            bare()
                .header("x-auth-email", "a")
                .header("x-auth-email", "b"),
            6102,
            "X-Auth-Email",
        ),
        (bare().header("x-auth-key", "\u{f6}"), 6103, "X-Auth-Key"),
    ] {
        let reply = send(request).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(reply.codes(), [6003]);
        let chain = json!([{
            "code": code,
            "message": format!("Invalid format for {header} header"),
        }]);
        assert_eq!(reply.json()["errors"][0]["error_chain"], chain);
    }
    let half = send(bare().header("x-auth-email", "admin@example.com")).await;
    assert_eq!(half.codes(), [9106]);
    let plain = send(bare().bearer_auth("unknown")).await;
    let chain = &plain.json()["errors"][0]["error_chain"];
    assert_eq!(*chain, Value::Null);
}
