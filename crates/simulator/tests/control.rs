//! The control plane, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use cf_service_tokens_simulator::{Operation, SeedAccount, SeedToken, Simulator};
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Api, Reply, bare_control, control, control_json, send, start};

const ID: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";

async fn with_token() -> Api {
    let token = SeedToken::new("CI").id(ID).client_id("ci.access");
    Api::start(Simulator::builder().token(token.client_secret("secret"))).await
}

#[track_caller]
fn assert_fails(reply: &Reply, status: StatusCode, error: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert_eq!(reply.header("content-type"), "application/json");
    let told = reply.json();
    let told = told["error"].as_str().unwrap();
    assert!(told.contains(error), "{told}");
}

#[tokio::test]
async fn tokens_are_added_read_changed_and_deleted() {
    let builder = Simulator::builder().account_id("a1");
    let api = Api::start(builder.account(SeedAccount::new("a2"))).await;
    let body = json!({
        "account_id": "a2",
        "name": "CI",
        "id": ID,
        "client_id": "ci.access",
        "client_secret": "secret",
        "client_secret_version": 3,
        "duration": "720h",
        "expires_in": "216h",
        "created_at": "2026-11-01T00:00:00Z",
        "last_seen_at": "2026-11-23T00:00:00Z",
        "null": ["last_seen_at"],
        "absent": ["duration"],
    });
    let added = control_json(&api, Method::POST, "/tokens", body).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let held = api.simulator.token(ID).unwrap();
    assert_eq!(held.account_id, "a2");
    assert_eq!(held.expires_at, start() + TimeDelta::days(9));
    assert_eq!(held.client_secret_version, 3);
    assert_eq!(added.json()["expires_at"], "2026-12-03T05:00:00Z");
    let shown = api
        .get(&format!("/accounts/a2/access/service_tokens/{ID}"))
        .await
        .result();
    assert_eq!(shown.get("last_seen_at"), Some(&Value::Null));
    assert_eq!(shown.get("duration"), None);
    let knock = async |secret| api.knock("ci.access", secret).await.status;
    assert_eq!(knock("secret").await, StatusCode::OK);

    let first = control_json(&api, Method::POST, "/tokens", json!({ "name": "x" })).await;
    assert_eq!(first.json()["account_id"], "a1");
    let all = control(&api, Method::GET, "/tokens").await.json();
    assert_eq!(all.as_array().unwrap().len(), 2);

    let path = format!("/tokens/{ID}");
    api.advance(TimeDelta::hours(1));
    let change = json!({
        "name": "CD",
        "client_secret": "another",
        "expires_in": "1h",
    });
    let changed = control_json(&api, Method::PATCH, &path, change).await;
    assert_eq!(changed.status, StatusCode::OK);
    let held = api.simulator.token(ID).unwrap();
    assert_eq!(held.name, "CD");
    assert_eq!(held.updated_at, start() + TimeDelta::hours(1));
    assert_eq!(held.expires_at, start() + TimeDelta::hours(2));
    assert_eq!(knock("secret").await, StatusCode::UNAUTHORIZED);
    assert_eq!(knock("another").await, StatusCode::OK);
    for (change, expected) in [
        (json!({ "allowed_at_app": false }), StatusCode::FORBIDDEN),
        (json!({ "enabled": false }), StatusCode::UNAUTHORIZED),
        (
            json!({ "allowed_at_app": true, "enabled": true }),
            StatusCode::OK,
        ),
        (
            json!({ "expires_at": "2026-11-24T05:59:59Z" }),
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        let changed = control_json(&api, Method::PATCH, &path, change).await;
        assert_eq!(changed.status, StatusCode::OK);
        assert_eq!(knock("another").await, expected);
    }

    assert_eq!(control(&api, Method::GET, &path).await.json()["name"], "CD");
    let deleted = control(&api, Method::DELETE, &path).await;
    assert_eq!(deleted.json()["id"], ID);
    assert_eq!(api.simulator.token(ID), None);
    for method in [Method::GET, Method::DELETE] {
        let gone = control(&api, method, &path).await;
        assert_fails(&gone, StatusCode::NOT_FOUND, ID);
    }
}

#[tokio::test]
async fn a_changed_duration_sets_the_expiry_as_an_update_does() {
    let api = with_token().await;
    let path = format!("/tokens/{ID}");
    api.advance(TimeDelta::hours(1));
    let now = start() + TimeDelta::hours(1);
    for (change, duration, expires_at) in [
        (json!({ "duration": "720h" }), "720h", TimeDelta::days(30)),
        (
            json!({ "duration": "24h", "expires_in": "1h" }),
            "24h",
            TimeDelta::hours(1),
        ),
        (
            json!({ "duration": "1 year" }),
            "1 year",
            TimeDelta::days(365),
        ),
        (
            json!({ "duration": "forever" }),
            "forever",
            TimeDelta::days(36_525),
        ),
        (
            json!({ "expires_in": "-1h" }),
            "8760h",
            TimeDelta::hours(-1),
        ),
    ] {
        let changed = control_json(&api, Method::PATCH, &path, change).await;
        assert_eq!(changed.status, StatusCode::OK);
        let held = api.simulator.token(ID).unwrap();
        assert_eq!(held.duration, duration);
        assert_eq!(held.expires_at, now + expires_at, "{duration}");
        assert_eq!(changed.json()["duration"], duration);
        let knock = api.knock("ci.access", "secret").await.status;
        let is_alive = expires_at > TimeDelta::zero();
        assert_eq!(knock == StatusCode::OK, is_alive, "{duration}");
    }
}

#[tokio::test]
async fn an_expiry_that_contradicts_itself_is_refused() {
    let api = with_token().await;
    let before = api.simulator.tokens();
    let twice = json!({ "name": "x", "expires_in": "1h", "expires_at": "2030-01-01T00:00:00Z" });
    let in_vain = json!({ "name": "x", "duration": "forever", "expires_in": "1h" });
    let at_no_time =
        json!({ "name": "x", "duration": "forever", "expires_at": "2030-01-01T00:00:00Z" });
    for (body, error) in [
        (twice, "both `expires_in` and `expires_at`"),
        (in_vain, "\"forever\" never expires"),
        (at_no_time, "\"forever\" never expires"),
    ] {
        for (method, path) in [
            (Method::POST, "/tokens".to_owned()),
            (Method::PATCH, format!("/tokens/{ID}")),
        ] {
            let reply = control_json(&api, method, &path, body.clone()).await;
            assert_fails(&reply, StatusCode::BAD_REQUEST, error);
        }
    }
    assert_eq!(api.simulator.tokens(), before);
}

#[tokio::test]
async fn the_clock_moves_by_a_distance_and_to_a_time() {
    let api = with_token().await;
    let now = |reply: &Reply| reply.json()["now"].clone();
    let get = control(&api, Method::GET, "/clock").await;
    assert_eq!(now(&get), "2026-11-24T05:00:00Z");
    let move_to = async |body| {
        let moved = control_json(&api, Method::POST, "/clock", body).await;
        assert_eq!(moved.status, StatusCode::OK);
        now(&moved)
    };
    let moved = move_to(json!({ "advance": "8761h" })).await;
    assert_eq!(moved, "2027-11-24T06:00:00Z");
    let knock = api.knock("ci.access", "secret").await;
    assert_eq!(knock.status, StatusCode::UNAUTHORIZED);
    assert_eq!(knock.header("date"), "Wed, 24 Nov 2027 06:00:00 GMT");
    let moved = move_to(json!({ "advance": "-1h" })).await;
    assert_eq!(moved, "2027-11-24T05:00:00Z");
    let moved = move_to(json!({ "now": "2026-12-01T00:00:00+01:00" })).await;
    assert_eq!(moved, "2026-11-30T23:00:00Z");
}

#[tokio::test]
async fn faults_are_scripted() {
    let api = with_token().await;
    let script = json!({ "fault": { "status": 503 }, "on": "refresh", "skip": 1, "times": 2 });
    let added = control_json(&api, Method::POST, "/faults", script).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let lost = json!({ "fault": { "wrong_json": "empty" }, "on": "rotate", "takes_effect": true, "times": null });
    control_json(&api, Method::POST, "/faults", lost.clone()).await;
    let refresh = async || {
        let path = api.account(&format!("/{ID}/refresh"));
        api.post(&path).await.status.as_u16()
    };
    let seen = [
        refresh().await,
        refresh().await,
        refresh().await,
        refresh().await,
    ];
    assert_eq!(seen, [200, 503, 503, 200]);
    for version in [2, 3] {
        let rotated = api.post(&api.account(&format!("/{ID}/rotate"))).await;
        assert_eq!(rotated.body, "");
        let held = api.simulator.token(ID).unwrap();
        assert_eq!(held.client_secret_version, version);
    }
    let left = control(&api, Method::GET, "/faults").await.json();
    let expected = json!([{ "fault": { "wrong_json": "empty" }, "on": "rotate", "skip": 0, "times": null, "takes_effect": true }]);
    assert_eq!(left, expected);
    let cleared = control(&api, Method::DELETE, "/faults").await;
    assert_eq!(cleared.status, StatusCode::NO_CONTENT);
    assert_eq!(
        control(&api, Method::GET, "/faults").await.json(),
        json!([])
    );

    for (fault, printed) in [
        (json!("reset_after_request"), "reset after the request"),
        (json!({ "latency_ms": 250 }), "latency of 250ms"),
        (json!({ "slow_drip_ms": 2 }), "slow drip, 2ms a byte"),
        (
            json!({ "too_many_requests": { "retry_after_seconds": 7 } }),
            "429, Retry-After: 7",
        ),
        (json!({ "html_page": 502 }), "502 with an HTML page"),
    ] {
        let fault = json!({ "fault": fault });
        let added = control_json(&api, Method::POST, "/faults", fault).await;
        let added = added.json()["fault"].clone();
        let fault: cf_service_tokens_simulator::Fault = serde_json::from_value(added).unwrap();
        assert_eq!(fault.to_string(), printed);
    }
}

#[tokio::test]
async fn requests_are_read_counted_and_cleared() {
    let api = with_token().await;
    api.get(&api.account("?name=CI")).await;
    api.post(&api.account(&format!("/{ID}/rotate"))).await;
    let log = control(&api, Method::GET, "/requests").await.json();
    let [list, rotate] = log.as_array().unwrap().as_slice() else {
        unreachable!("{log}");
    };
    assert_eq!(list["operation"], "list");
    assert_eq!(list["query"], "name=CI");
    assert_eq!(list["account_id"], api.simulator.account_id());
    assert_eq!(rotate["method"], "POST");
    assert_eq!(rotate["status"], 200);
    assert_eq!(rotate["changed"], true);
    assert_eq!(rotate["fault"], Value::Null);
    let count = async |query| {
        let reply = control(&api, Method::GET, &format!("/requests/count{query}")).await;
        reply.json()["count"].clone()
    };
    assert_eq!(count("?operation=rotate").await, 1);
    assert_eq!(count("?operation=delete").await, 0);
    assert_eq!(count("").await, 2);
    let cleared = control(&api, Method::DELETE, "/requests").await;
    assert_eq!(cleared.status, StatusCode::NO_CONTENT);
    assert_eq!(api.simulator.requests(), []);
}

#[tokio::test]
async fn a_reset_starts_again() {
    let builder = Simulator::builder().token(SeedToken::new("CI").id(ID));
    let api = Api::start(builder.enforce_rate_limit(5, TimeDelta::minutes(5))).await;
    let run = async || {
        let path = api.account("");
        let created = api.post_json(&path, json!({ "name": "CD" })).await;
        (created.header("cf-ray").to_owned(), created.body)
    };
    let before = (api.simulator.tokens(), run().await);
    let fault = json!({ "fault": "redirect", "times": null });
    control_json(&api, Method::POST, "/faults", fault).await;
    let advance = json!({ "advance": "1h" });
    control_json(&api, Method::POST, "/clock", advance).await;
    api.simulator.delete(ID).unwrap();
    api.simulator.spend(1000);

    let reset = control(&api, Method::POST, "/reset").await;
    assert_eq!(reset.status, StatusCode::NO_CONTENT);
    assert_eq!(api.simulator.requests(), []);
    let again = (api.simulator.tokens(), run().await);
    assert_eq!(again, before);
    assert_eq!(api.simulator.count(Operation::Create), 1);
}

#[tokio::test]
async fn errors_say_what_is_wrong_and_what_is_allowed() {
    let api = with_token().await;
    let bad = StatusCode::BAD_REQUEST;
    for (path, body, error) in [
        ("/tokens", json!({}), "missing field `name`"),
        (
            "/tokens",
            json!({ "nmae": "x" }),
            "unknown field `nmae`, expected one of `account_id`, `name`",
        ),
        (
            "/tokens",
            json!({ "name": 7 }),
            "invalid type: integer `7`, expected a string",
        ),
        (
            "/tokens",
            json!({ "name": "x", "id": "?" }),
            "token id \"?\" can't stand in a path",
        ),
        (
            "/tokens",
            json!({ "name": "x", "id": ID }),
            "duplicate token id",
        ),
        (
            "/tokens",
            json!({ "name": "x", "client_id": "ci.access" }),
            "duplicate Client ID",
        ),
        (
            "/tokens",
            json!({ "name": "x", "expires_in": "9d" }),
            "unknown unit \"d\" in duration \"9d\"; write it as 24h",
        ),
        (
            "/tokens",
            json!({ "name": "x", "account_id": "a9" }),
            "no account has the id a9",
        ),
        ("/accounts", json!({}), "missing field `id`"),
        (
            "/accounts",
            json!({ "id": "a2", "limit": 1 }),
            "unknown field `limit`, expected one of `id`, `name`, `token_limit`, `access`",
        ),
        (
            "/accounts",
            json!({ "id": "a2", "token_limit": -1 }),
            "invalid value: integer `-1`",
        ),
        (
            "/accounts",
            json!({ "id": "a/2" }),
            "account id \"a/2\" can't stand in a path",
        ),
        (
            "/accounts",
            json!({ "id": api.simulator.account_id() }),
            "duplicate account id",
        ),
        ("/api_tokens", json!({}), "missing field `api_token`"),
        (
            "/api_tokens",
            json!({ "api_token": "x", "readonly": true }),
            "unknown field `readonly`, expected one of `api_token`, `owned_by_account`",
        ),
        (
            "/api_tokens",
            json!({ "api_token": " x" }),
            "the API token is not a valid header value",
        ),
        (
            "/api_tokens",
            json!({ "api_token": api.simulator.api_token() }),
            "duplicate API token",
        ),
        (
            "/api_tokens",
            json!({ "api_token": "x", "accounts": ["a9"] }),
            "no account has the id a9",
        ),
        (
            "/api_tokens",
            json!({ "api_token": "x", "accounts": [] }),
            "an empty list names nothing; leave the field out for no limit",
        ),
        (
            "/api_tokens",
            json!({ "api_token": "x", "only_from": [] }),
            "an empty list names nothing; leave the field out for no limit",
        ),
        (
            "/api_tokens",
            json!({ "api_token": "x", "only_from": ["localhost"] }),
            "invalid IP address syntax",
        ),
        (
            "/api_tokens",
            json!({ "api_token": "x", "expires_at": "tomorrow" }),
            "the body: ",
        ),
        ("/clock", json!({ "advance": 7 }), "expected a string"),
        (
            "/clock",
            json!({ "back": "1h" }),
            "unknown variant `back`, expected `advance` or `now`",
        ),
        (
            "/faults",
            json!({ "fault": "rest" }),
            "unknown variant `rest`, expected one of `latency_ms`",
        ),
        (
            "/faults",
            json!({ "fault": "redirect", "on": "rename" }),
            "expected one of `list`",
        ),
        (
            "/faults",
            json!({ "fault": "redirect", "for": 1 }),
            "unknown field `for`",
        ),
    ] {
        let reply = control_json(&api, Method::POST, path, body).await;
        assert_fails(&reply, bad, error);
    }
    let path = format!("/tokens/{ID}");
    let patch = control_json(&api, Method::PATCH, &path, json!({ "id": "x" })).await;
    assert_fails(&patch, bad, "unknown field `id`");
    let reply = control(&api, Method::POST, "/reset?hard=1").await;
    assert_fails(&reply, bad, "/_simulator/reset accepts no query");
    let reply = control(&api, Method::GET, "/requests/count?operation=burn").await;
    assert_fails(&reply, bad, "expected one of `list`");
    let reply = control(&api, Method::GET, "/requests/count?of=list").await;
    assert_fails(&reply, bad, "unknown field `of`");

    let reply = control(&api, Method::PUT, &format!("/tokens/{ID}")).await;
    assert_fails(
        &reply,
        StatusCode::METHOD_NOT_ALLOWED,
        "does not support PUT",
    );
    assert_eq!(reply.json()["allowed"], json!(["GET", "PATCH", "DELETE"]));
    assert_eq!(reply.header("allow"), "GET, PATCH, DELETE");
    for path in ["/token", "", "/", "/tokens/x/y"] {
        let reply = control(&api, Method::GET, path).await;
        assert_fails(&reply, StatusCode::NOT_FOUND, "unknown path /_simulator");
        let allowed = reply.json()["allowed"].to_string();
        assert!(
            allowed.contains("/_simulator/clock: GET, POST"),
            "{allowed}"
        );
    }
    for api_token in ["x", " x"] {
        let request = api.bare(Method::GET, &api.account(""));
        let refused = send(request.bearer_auth(api_token)).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "it wasn't added");
    }
    assert_eq!(api.simulator.tokens().len(), 1);
}

#[tokio::test]
async fn a_web_page_does_not_reach_it() {
    let api = with_token().await;
    let forbidden = StatusCode::FORBIDDEN;
    for method in [Method::GET, Method::POST, Method::OPTIONS] {
        let reply = send(bare_control(&api, method, "/reset")).await;
        assert_fails(&reply, forbidden, "X-Simulator-Control: 1");
    }
    for host in [
        "example.com",
        "localhost.example.com",
        "192.0.2.1:80",
        "[2001:db8::1]",
        "127.0.0.1.example.com",
        "",
        "a b",
    ] {
        let request = bare_control(&api, Method::GET, "/tokens").header("X-Simulator-Control", "1");
        let reply = send(request.header("host", host)).await;
        assert_fails(&reply, forbidden, "a loopback Host");
        assert_eq!(
            reply.json()["allowed"],
            json!(["localhost", "127.0.0.0/8", "[::1]"])
        );
    }
    for host in [
        "localhost",
        "LOCALHOST:8787",
        "127.0.0.1",
        "127.9.9.9:1",
        "[::1]",
        "[::1]:8787",
    ] {
        let request = bare_control(&api, Method::GET, "/tokens").header("X-Simulator-Control", "1");
        let reply = send(request.header("host", host)).await;
        assert_eq!(reply.status, StatusCode::OK, "{host}");
    }
    // A preflight, as a browser sends it before it would send the header.
    let preflight = bare_control(&api, Method::OPTIONS, "/reset")
        .header("origin", "https://example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-simulator-control");
    for request in [
        preflight.try_clone().unwrap(),
        preflight.header("X-Simulator-Control", "1"),
    ] {
        let reply = send(request).await;
        assert!(reply.status.is_client_error());
        let mut names = reply.headers.keys();
        assert!(!names.any(|name| name.as_str().starts_with("access-control-")));
    }
}

#[tokio::test]
async fn it_is_off_beyond_loopback_unless_asked_for() {
    let open = || Simulator::builder().listen(([0, 0, 0, 0], 0).into());
    let off = [open(), Simulator::builder().control_plane(false)];
    for builder in off {
        let api = Api::start(builder.token(SeedToken::new("CI"))).await;
        assert_eq!(api.get(&api.account("")).await.status, StatusCode::OK);
        for (method, path) in [
            (Method::GET, "/tokens"),
            (Method::GET, ""),
            (Method::OPTIONS, "/reset"),
            (Method::POST, "/reset"),
        ] {
            let reply = control(&api, method, path).await;
            assert_fails(&reply, StatusCode::FORBIDDEN, "the control plane is off");
            assert_fails(&reply, StatusCode::FORBIDDEN, "--control");
        }
        assert_eq!(api.simulator.count(Operation::List), 1, "nothing was reset");
    }

    let api = Api::start(open().control_plane(true)).await;
    for host in ["simulator", "simulator:8787", "192.0.2.1:80", "localhost"] {
        let request = bare_control(&api, Method::GET, "/clock").header("host", host);
        let bare = send(request.try_clone().unwrap()).await;
        assert_fails(&bare, StatusCode::FORBIDDEN, "X-Simulator-Control: 1");
        let reply = send(request.header("X-Simulator-Control", "1")).await;
        assert_eq!(reply.status, StatusCode::OK, "{host}");
    }

    let asked_for = Simulator::builder().control_plane(true);
    let api = Api::start(asked_for).await;
    let request = bare_control(&api, Method::GET, "/clock").header("X-Simulator-Control", "1");
    let reply = send(request.header("host", "example.com")).await;
    assert_fails(&reply, StatusCode::FORBIDDEN, "with a loopback Host");
}

#[tokio::test]
async fn it_is_no_part_of_the_api() {
    let api = with_token().await;
    let fault = json!({ "fault": { "status": 503 } });
    control_json(&api, Method::POST, "/faults", fault).await;
    let reply = control(&api, Method::GET, "/requests").await;
    assert_eq!(reply.json(), json!([]), "its own requests are not logged");
    assert!(!reply.headers.contains_key("ratelimit"));
    assert_eq!(api.get(&api.account("")).await.status, 503);
}

/// Credentials of every form, in every place where a client may put one.
#[tokio::test]
async fn no_credential_comes_out_again() {
    let api = with_token().await;
    let hex = |digit: &str, length| digit.repeat(length);
    let canaries = [
        format!("cfast_{}", hex("A1", 24)),
        format!("cfat_{}", hex("B2", 24)),
        hex("c3", 20),
        hex("d4", 32),
        hex("e", 37),
        "hunter2-short".to_owned(),
        format!("v1.0-{}-{}", hex("f", 24), hex("f", 146)),
        "YQSn-xWAQiiEh9qM58wZNnyQS7FUdoqGIUAbrh7T".to_owned(),
        "a-hyphen-in-every-6th_place-or-so-of-it-".to_owned(),
        "RQSn%2DxWAQiiEh9qM58wZNnyQS7FUdoqGIUAbrh7".to_owned(),
    ];
    for canary in &canaries {
        for header in [
            "authorization",
            "proxy-authorization",
            "x-auth-key",
            "x-auth-user-service-key",
            "cf-access-client-secret",
            "cookie",
            "x-api-key",
        ] {
            let request = api.bare(Method::PUT, &api.account(&format!("/{ID}")));
            let body = json!({ "name": "CI", "client_secret": canary });
            send(request.header(header, canary).json(&body)).await;
            let app = api.http.get(api.simulator.protected_url());
            send(app.header(header, canary)).await;
        }
        let bearer = api.bare(Method::GET, &api.account("")).bearer_auth(canary);
        send(bearer).await;
        api.get(&api.account(&format!("?client_secret={canary}&token={canary}")))
            .await;
        let body = json!({ "client_secret": canary });
        let changed = control_json(&api, Method::PATCH, &format!("/tokens/{ID}"), body).await;
        assert!(!changed.body.contains(canary.as_str()));
        let body = json!({ "name": "planted", "client_secret": canary });
        let added = control_json(&api, Method::POST, "/tokens", body).await;
        assert!(!added.body.contains(canary.as_str()));
        for status in [StatusCode::CREATED, StatusCode::BAD_REQUEST] {
            let body = json!({ "api_token": canary });
            let reply = control_json(&api, Method::POST, "/api_tokens", body).await;
            assert_eq!(reply.status, status, "added once");
            assert!(!reply.body.contains(canary.as_str()));
        }
    }
    // A short one can't be told from a word there.
    for canary in canaries.iter().filter(|canary| *canary != "hunter2-short") {
        api.get(&api.account(&format!("/{canary}"))).await;
        api.get(&format!("/accounts/{canary}/access/service_tokens"))
            .await;
        api.get(&api.account(&format!("?name={canary}&{canary}")))
            .await;
        let agent = api.bare(Method::GET, "/").header("user-agent", canary);
        send(agent).await;
        let wrong = json!({ "fault": canary });
        let refused = control_json(&api, Method::POST, "/faults", wrong).await;
        assert!(!refused.body.contains(canary.as_str()), "{}", refused.body);
    }

    let requests = api.simulator.requests();
    assert!(requests.len() > 100);
    let mut told = format!(
        "{requests:?} {:?} {:?}",
        api.simulator,
        api.simulator.tokens()
    );
    for path in ["/requests", "/tokens", "/faults", "/clock"] {
        told += &control(&api, Method::GET, path).await.body;
    }
    for secret in canaries
        .iter()
        .map(String::as_str)
        .chain(["RQSn-xWAQiiEh9qM58wZNnyQS7FUdoqGIUAbrh7"])
        .chain([api.simulator.api_token(), api.simulator.api_key()])
    {
        assert!(!told.contains(secret), "{secret}");
    }
    assert!(told.contains("[masked]"));
    assert!(
        told.contains("application/json"),
        "what is harmless is shown"
    );
}
