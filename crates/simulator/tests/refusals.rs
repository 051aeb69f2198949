//! Every refusal, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use cf_service_tokens_simulator::{
    Access, Rule, SERVICE_TOKEN_NOT_FOUND, SeedApp, SeedGroup, SeedPolicy, SeedToken, Simulator,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Api, send};

const TOKEN: &str = "/f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
const NOT_FOUND: u64 = SERVICE_TOKEN_NOT_FOUND as u64;

async fn with_token() -> Api {
    Api::start(Simulator::builder().token(SeedToken::new("CI").id(&TOKEN[1..]))).await
}

#[tokio::test]
async fn credentials_must_be_valid_and_of_one_scheme() {
    let api = with_token().await;
    let path = api.account("");
    let (email, key) = (api.simulator.email(), api.simulator.api_key());
    let token = api.simulator.api_token();
    let bare = || api.bare(Method::GET, &path);
    let unauthorized = (StatusCode::UNAUTHORIZED, [10_000]);
    let bad_headers = (StatusCode::BAD_REQUEST, [6003]);
    let half_a_scheme = (StatusCode::BAD_REQUEST, [9106]);

    for (request, expected) in [
        (bare(), unauthorized),
        (bare().bearer_auth("wrong"), unauthorized),
        (bare().bearer_auth(key), unauthorized),
        (
            bare()
                .header("x-auth-email", email)
                .header("x-auth-key", token),
            unauthorized,
        ),
        (
            bare()
                .header("x-auth-email", "x@example.com")
                .header("x-auth-key", key),
            unauthorized,
        ),
        (
            bare().header("x-auth-user-service-key", token),
            unauthorized,
        ),
        (bare().header("authorization", "Bearer"), bad_headers),
        (bare().header("authorization", "Bearer "), bad_headers),
        (bare().header("authorization", token), bad_headers),
        (bare().basic_auth("user", Some("password")), bad_headers),
        (bare().bearer_auth(token).bearer_auth(token), bad_headers),
        (
            bare().header("authorization", "Bearer t\u{f6}ken"),
            bad_headers,
        ),
        (bare().header("x-auth-email", email), half_a_scheme),
        (bare().header("x-auth-key", key), half_a_scheme),
        (
            bare().bearer_auth(token).header("x-auth-email", email),
            bad_headers,
        ),
        (
            bare()
                .bearer_auth(token)
                .header("x-auth-email", email)
                .header("x-auth-key", key),
            bad_headers,
        ),
    ] {
        let described = format!("{request:?}");
        let reply = send(request).await;
        let (status, codes) = expected;
        assert_eq!(
            (reply.status, reply.codes()),
            (status, codes.to_vec()),
            "{described}"
        );
    }
}

#[tokio::test]
async fn nothing_is_changed_without_credentials() {
    let api = with_token().await;
    let before = api.simulator.tokens();
    for (method, path) in [
        (Method::POST, api.account("")),
        (Method::PUT, api.account(TOKEN)),
        (Method::DELETE, api.account(TOKEN)),
        (Method::POST, api.account(&format!("{TOKEN}/refresh"))),
        (Method::POST, api.account(&format!("{TOKEN}/rotate"))),
    ] {
        let request = api.bare(method, &path).json(&json!({ "name": "x" }));
        assert_eq!(send(request).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(api.simulator.tokens(), before);
}

#[tokio::test]
async fn a_foreign_account_is_forbidden() {
    let api = with_token().await;
    for path in [
        "/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens".to_owned(),
        format!("/accounts/0/access/service_tokens{TOKEN}"),
    ] {
        let reply = api.get(&path).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(reply.codes(), [10_000]);
    }
}

#[tokio::test]
async fn an_unknown_path_has_no_route() {
    let api = with_token().await;
    let zone = api.account("").replace("accounts", "zones");
    for path in [
        format!("{zone}{TOKEN}"),
        zone,
        api.account("//refresh"),
        api.account("/"),
        api.account(&format!("{TOKEN}/")),
        api.account(&format!("{TOKEN}/revive")),
        "/accounts//access/service_tokens".to_owned(),
        "/users".to_owned(),
        api.account("/%ff/refresh"),
    ] {
        let reply = api.post(&path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(reply.codes(), [7003, 7000], "{path}");
        let message = reply.json()["errors"][0]["message"].to_string();
        assert!(message.contains(&format!("/client/v4{path}")), "{message}");
    }

    let beside_the_api = api.simulator.base_url().replace("/client/v4", "/accounts");
    let reply = send(api.http.get(beside_the_api)).await;
    assert_eq!(reply.codes(), [7003, 7000]);
}

#[tokio::test]
async fn another_method_is_not_allowed() {
    let api = with_token().await;
    for (method, path, allow) in [
        (Method::PATCH, api.account(TOKEN), "GET, PUT, DELETE"),
        (Method::POST, api.account(TOKEN), "GET, PUT, DELETE"),
        (Method::DELETE, api.account(""), "GET, POST"),
        (
            Method::GET,
            api.account(&format!("{TOKEN}/refresh")),
            "POST",
        ),
        (Method::PUT, api.account(&format!("{TOKEN}/rotate")), "POST"),
    ] {
        let reply = send(api.request(method.clone(), &path)).await;
        assert_eq!(
            reply.status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        assert_eq!(reply.codes(), [10_405]);
        assert_eq!(reply.header("allow"), allow);
    }
    for (path, allow) in [
        (api.account(""), "GET, POST"),
        (api.account(TOKEN), "GET, PUT, DELETE"),
    ] {
        let head = send(api.request(Method::HEAD, &path)).await;
        assert_eq!(head.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(head.header("allow"), allow);
    }
}

#[tokio::test]
async fn a_token_that_is_not_there_is_not_found() {
    let api = with_token().await;
    let client_id = api.simulator.tokens()[0].client_id.clone();
    let body = json!({ "name": "x" });
    for path in [
        api.account("/00000000-0000-4000-8000-000000000000"),
        api.account(&format!("/{client_id}")),
    ] {
        let replies = [
            api.get(&path).await,
            api.put_json(&path, body.clone()).await,
            api.delete(&path).await,
            api.post(&format!("{path}/refresh")).await,
            api.post(&format!("{path}/rotate")).await,
        ];
        for reply in replies {
            assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(reply.codes(), [NOT_FOUND]);
            assert_eq!(
                reply.json()["errors"][0]["message"],
                "access.api.error.service_token_not_found"
            );
        }
    }
    assert_eq!(api.simulator.tokens().len(), 1);
}

#[tokio::test]
async fn a_token_that_something_names_is_not_deleted() {
    let api = with_token().await;
    let (path, id) = (api.account(TOKEN), &TOKEN[1..]);
    let set = |access| {
        let account = api.simulator.account_id();
        api.simulator.set_access(account, access).unwrap();
    };
    let rule = || Rule::service_token(id);
    let policy = || SeedPolicy::new("policy");
    let app = || SeedApp::new("app", "app.example.com");
    for access in [
        Access::new().policy(policy().include(rule())),
        Access::new().policy(policy().require(rule())),
        Access::new().policy(policy().exclude(rule())),
        Access::new().group(SeedGroup::new("group").include(rule())),
        Access::new().group(SeedGroup::new("group").require(rule())),
        Access::new().group(SeedGroup::new("group").exclude(rule())),
        Access::new().app(app().policy(policy().include(rule()))),
        Access::new().app(app().scim_service_token(id)),
    ] {
        set(access);
        let reply = api.delete(&path).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert_eq!(reply.codes(), [12_139]);
        assert_eq!(
            reply.json()["errors"][0]["message"],
            "access.api.error.service_token_in_use: cannot delete service token because \
             it is used by a policy, group, or app SCIM configuration."
        );
    }

    set(Access::new().policy(policy().include(Rule::any_valid_service_token())));
    assert_eq!(api.delete(&path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_bad_value_is_named_by_a_pointer() {
    let api = with_token().await;
    let (tokens, token) = (api.account(""), api.account(TOKEN));
    let rotate = api.account(&format!("{TOKEN}/rotate"));
    let before = api.simulator.tokens();
    for (reply, pointer) in [
        (api.post_json(&tokens, json!({})).await, "/name"),
        (api.post_json(&tokens, json!({ "name": "" })).await, "/name"),
        (
            api.post_json(&tokens, json!({ "name": "x", "duration": "1d" }))
                .await,
            "/duration",
        ),
        (
            api.post_json(&tokens, json!({ "name": "x", "enabled": 1 }))
                .await,
            "/enabled",
        ),
        (
            api.put_json(&token, json!({ "duration": "-1h" })).await,
            "/duration",
        ),
        (
            api.put_json(&token, json!({ "client_secret_version": 0 }))
                .await,
            "/client_secret_version",
        ),
        (
            api.put_json(&token, json!({ "name": null, "enabled": true }))
                .await,
            "/name",
        ),
        (
            api.post_json(&rotate, json!({ "previous_client_secret_expires_at": 7 }))
                .await,
            "/previous_client_secret_expires_at",
        ),
        (
            api.post_json(
                &rotate,
                json!({ "previous_client_secret_expires_at": null }),
            )
            .await,
            "/previous_client_secret_expires_at",
        ),
        (api.get(&format!("{tokens}?page=0")).await, "/page"),
        (
            api.get(&format!("{tokens}?per_page=1001")).await,
            "/per_page",
        ),
    ] {
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{pointer}");
        assert_eq!(reply.codes(), [12_130]);
        let error = reply.json()["errors"][0].clone();
        assert_eq!(error["source"], json!({ "pointer": pointer }));
        let message = error["message"].as_str().unwrap();
        assert!(
            message.starts_with("access.api.error.invalid_request: "),
            "{message}"
        );
        assert!(message.contains(&pointer[1..]), "{message}");
    }
    assert_eq!(api.simulator.tokens(), before);
}

#[tokio::test]
async fn a_lowered_version_is_named_by_a_pointer() {
    let seed = SeedToken::new("CI")
        .id(&TOKEN[1..])
        .client_secret_version(3);
    let api = Api::start(Simulator::builder().token(seed)).await;
    let body = json!({ "client_secret_version": 2 });
    let reply = api.put_json(&api.account(TOKEN), body).await;
    assert_eq!(reply.codes(), [12_130]);
    let source = &reply.json()["errors"][0]["source"];
    assert_eq!(source["pointer"], "/client_secret_version");
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused_as_a_whole() {
    let api = with_token().await;
    let (tokens, token) = (api.account(""), api.account(TOKEN));
    let rotate = api.account(&format!("{TOKEN}/rotate"));
    for (method, path, body) in [
        (Method::POST, &tokens, ""),
        (Method::POST, &tokens, "{\"name\": "),
        (Method::POST, &tokens, "[]"),
        (Method::PUT, &token, "{}"),
        (Method::PUT, &token, ""),
        (Method::POST, &rotate, "null"),
        (Method::POST, &rotate, "{"),
    ] {
        let reply = send(api.request(method, path).body(body)).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(reply.codes(), [12_130]);
        assert_eq!(reply.json()["errors"][0].get("source"), None::<&Value>);
    }

    let long = json!({ "name": "x".repeat(70_000) });
    let reply = api.post_json(&tokens, long).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(reply.codes(), [12_130]);
    assert_eq!(api.simulator.tokens().len(), 1);
}

#[tokio::test]
async fn a_create_beyond_the_limit_is_refused() {
    let mut builder = Simulator::builder();
    for number in 0..51 {
        builder = builder.token(SeedToken::new(format!("token {number}")));
    }
    let api = Api::start(builder).await;
    let create = async || {
        api.post_json(&api.account(""), json!({ "name": "token 0" }))
            .await
    };
    let reply = create().await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.codes(), [12_130]);
    let message = reply.json()["errors"][0]["message"].to_string();
    assert!(message.contains("limit of 50 service tokens"), "{message}");
    for token in &api.simulator.tokens()[..2] {
        api.delete(&api.account(&format!("/{}", token.id))).await;
    }
    assert_eq!(create().await.status, StatusCode::CREATED, "the 50th");
    assert_eq!(create().await.status, StatusCode::BAD_REQUEST);
}
