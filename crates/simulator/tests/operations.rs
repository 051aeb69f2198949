//! Every operation that succeeds, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use cf_service_tokens_simulator::{Operation, SeedAccount, SeedToken, Simulator, TokenField};
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Api, send, start, text};

fn due() -> SeedToken {
    SeedToken::new("CI deploy")
        .id("f174e90a-fafe-4643-bbbc-4a0ed4fc8415")
        .client_id("88bf3b6d86161464f6509f7219099e57.access")
        .client_secret("first")
        .expires_in(TimeDelta::days(9))
        .last_seen_at(start() - TimeDelta::milliseconds(1500))
}

const DUE: &str = "/f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
const DUE_CLIENT_ID: &str = "88bf3b6d86161464f6509f7219099e57.access";

async fn with_due() -> Api {
    Api::start(Simulator::builder().token(due())).await
}

#[tokio::test]
async fn get_answers_the_whole_envelope() {
    let api = with_due().await;
    let reply = api.get(&api.account(DUE)).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/json");
    insta::assert_snapshot!(format!("{:#}", reply.json()));
}

#[tokio::test]
async fn create_shows_the_secret_once() {
    let api = Api::start(Simulator::builder()).await;
    let path = api.account("");
    let reply = api.post_json(&path, json!({ "name": "CI" })).await;
    assert_eq!(reply.status, StatusCode::CREATED);
    let created = reply.result();
    assert_eq!(created["name"], "CI");
    assert_eq!(created["duration"], "8760h");
    assert_eq!(created["created_at"], "2026-11-24T05:00:00Z");
    assert_eq!(created["updated_at"], "2026-11-24T05:00:00Z");
    assert_eq!(created["enabled"], true);
    let secret = text(&created, "client_secret");
    assert!(secret.starts_with("cfast_"));
    assert_eq!(secret.len(), 54);

    let id = text(&created, "id");
    let got = api.get(&format!("{path}/{id}")).await;
    assert!(!got.body.contains("client_secret\""));
    assert!(!got.body.contains(secret));
    let listed = api.get(&path).await;
    assert_eq!(listed.result().as_array().unwrap().len(), 1);
    assert!(!listed.body.contains(secret));

    let held = api.simulator.token(id).unwrap();
    assert_eq!(held.account_id, api.simulator.account_id());
    let knock = api.knock(text(&created, "client_id"), secret).await;
    assert_eq!(knock.status, StatusCode::OK);
}

#[tokio::test]
async fn create_takes_every_field_and_echoes_the_duration() {
    let api = Api::start(Simulator::builder()).await;
    let body = json!({
        "name": "CI",
        "duration": "1h30m",
        "client_secret_version": 4,
        "previous_client_secret_expires_at": "2027-01-01T00:00:00Z",
        "enabled": false,
        "unheard_of": { "a": 1 },
    });
    let created = api.post_json(&api.account(""), body).await.result();
    assert_eq!(created["duration"], "1h30m");
    assert_eq!(created["enabled"], false);
    let held = api.simulator.token(text(&created, "id")).unwrap();
    assert_eq!(held.expires_at, start() + TimeDelta::minutes(90));
    assert_eq!(held.client_secret_version, 4);

    let body = json!({ "name": "CI", "duration": "forever" });
    let created = api.post_json(&api.account(""), body).await.result();
    assert_eq!(created["duration"], "forever");
    let held = api.simulator.token(text(&created, "id")).unwrap();
    assert_eq!(held.expires_at, start() + TimeDelta::days(36_525));
}

#[tokio::test]
async fn update_resets_the_expiry_by_the_duration() {
    let api = with_due().await;
    let path = api.account(DUE);
    api.advance(TimeDelta::days(1));
    let body = json!({ "name": "renamed", "duration": "720h", "enabled": false });
    let reply = api.put_json(&path, body).await;
    assert_eq!(reply.status, StatusCode::OK);
    let updated = reply.result();
    assert_eq!(updated["name"], "renamed");
    assert_eq!(updated["duration"], "720h");
    assert_eq!(updated["expires_at"], "2026-12-25T05:00:00Z");
    assert_eq!(updated["updated_at"], "2026-11-25T05:00:00Z");
    assert_eq!(updated["enabled"], false);
    assert_eq!(updated.get("client_secret"), None);
    assert_eq!(api.get(&path).await.result(), updated);
}

#[tokio::test]
async fn update_with_a_raised_version_rotates_and_shows_no_secret() {
    let api = with_due().await;
    let body = json!({ "client_secret_version": 2 });
    let updated = api.put_json(&api.account(DUE), body).await.result();
    assert_eq!(keys(&updated), DOCUMENTED);
    let held = api.simulator.token(&DUE[1..]).unwrap();
    assert_eq!(held.client_secret_version, 2);
    assert_eq!(
        api.knock(DUE_CLIENT_ID, "first").await.status,
        StatusCode::UNAUTHORIZED
    );
}

/// The fields of an object, in order of their names.
fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// The fields that Cloudflare's document has in an answer about a token.
const DOCUMENTED: [&str; 9] = [
    "client_id",
    "created_at",
    "duration",
    "enabled",
    "expires_at",
    "id",
    "last_seen_at",
    "name",
    "updated_at",
];
/// The fields that it has in the answers to create and rotate.
const DOCUMENTED_OF_ISSUED: [&str; 8] = [
    "client_id",
    "client_secret",
    "created_at",
    "duration",
    "enabled",
    "id",
    "name",
    "updated_at",
];

#[tokio::test]
async fn every_answer_holds_the_documented_fields_and_no_others() {
    let api = with_due().await;
    let path = api.account(DUE);
    let issued = [
        api.post_json(&api.account(""), json!({ "name": "CD" }))
            .await
            .result(),
        api.post(&format!("{path}/rotate")).await.result(),
    ];
    for result in issued {
        assert_eq!(keys(&result), DOCUMENTED_OF_ISSUED);
    }
    let list = api.get(&api.account("")).await.result();
    let (due, never_seen) = (list[0].clone(), list[1].clone());
    for result in [
        due,
        api.get(&path).await.result(),
        api.put_json(&path, json!({ "name": "CI" })).await.result(),
        api.post(&format!("{path}/refresh")).await.result(),
        api.delete(&path).await.result(),
    ] {
        assert_eq!(keys(&result), DOCUMENTED);
    }
    let without_last_seen = DOCUMENTED.map(|key| (key != "last_seen_at").then_some(key));
    let without_last_seen: Vec<&str> = without_last_seen.into_iter().flatten().collect();
    assert_eq!(keys(&never_seen), without_last_seen);
}

#[tokio::test]
async fn lenient_answers_hold_undocumented_fields_as_well() {
    let builder = Simulator::builder().lenient_answers().null_timestamps();
    let api = Api::start(builder.token(due())).await;
    let path = api.account(DUE);
    let tokens = api.account("");
    let created = api.post_json(&tokens, json!({ "name": "CD" })).await;
    let created = created.result();
    assert_eq!(created["expires_at"], "2027-11-24T05:00:00Z");
    assert_eq!(created.get("last_seen_at"), Some(&Value::Null));
    assert_eq!(created["client_secret_version"], 1);
    let rotated = api.post(&format!("{path}/rotate")).await.result();
    assert_eq!(rotated["expires_at"], "2026-12-03T05:00:00Z");
    assert_eq!(rotated["client_secret_version"], 2);
    let listed = api.get(&api.account("")).await.result();
    assert_eq!(listed[0]["client_secret_version"], 2);
    assert_eq!(listed[1].get("last_seen_at"), Some(&Value::Null));

    let body = json!({ "client_secret_version": 3 });
    let updated = api.put_json(&path, body).await.result();
    let secret = text(&updated, "client_secret");
    let knock = api.knock(DUE_CLIENT_ID, secret).await;
    assert_eq!(knock.status, StatusCode::OK);
}

#[tokio::test]
async fn null_timestamps_alone_add_no_undocumented_field() {
    let api = Api::start(Simulator::builder().null_timestamps()).await;
    let tokens = api.account("");
    let created = api.post_json(&tokens, json!({ "name": "CD" })).await;
    assert_eq!(keys(&created.result()), DOCUMENTED_OF_ISSUED);
    let listed = api.get(&api.account("")).await.result();
    assert_eq!(keys(&listed[0]), DOCUMENTED);
    assert_eq!(listed[0].get("last_seen_at"), Some(&Value::Null));
}

#[tokio::test]
async fn a_list_can_be_filtered_without_a_sign_of_it() {
    let builder = Simulator::builder().list_only(["visible", &DUE[1..]]);
    let builder = builder.token(due()).token(SeedToken::new("hidden"));
    let api = Api::start(builder.token(SeedToken::new("visible"))).await;
    let envelope = api.get(&api.account("")).await.json();
    assert_eq!(envelope["result"][0]["name"], "CI deploy");
    assert_eq!(envelope["result"][1]["name"], "visible");
    assert_eq!(envelope["result"].as_array().unwrap().len(), 2);
    assert_eq!(envelope["result_info"]["total_count"], 2);
    let hidden = &api.simulator.tokens()[1].id;
    let got = api.get(&api.account(&format!("/{hidden}"))).await;
    assert_eq!(got.result()["name"], "hidden");
}

#[tokio::test]
async fn pages_can_be_capped_and_come_without_result_info() {
    let mut builder = Simulator::builder().capped_pages(2);
    for name in ["a", "b", "c"] {
        builder = builder.token(SeedToken::new(name));
    }
    let api = Api::start(builder).await;
    for (query, expected) in [
        ("", &["a", "b"][..]),
        ("?per_page=1000&page=2", &["c"]),
        ("?per_page=1&page=3", &["c"]),
        ("?page=3", &[]),
    ] {
        let envelope = api.get(&api.account(query)).await.json();
        assert_eq!(envelope.get("result_info"), None);
        let tokens = envelope["result"].as_array().unwrap();
        let names: Vec<&str> = tokens.iter().map(|token| text(token, "name")).collect();
        assert_eq!(names, expected, "{query}");
    }
}

#[tokio::test]
async fn answers_are_dated_by_the_simulators_clock() {
    let api = with_due().await;
    api.advance(TimeDelta::days(400));
    for reply in [
        api.get(&api.account("")).await,
        api.get("/nowhere").await,
        api.knock(DUE_CLIENT_ID, "first").await,
    ] {
        let dates: Vec<_> = reply.headers.get_all("date").iter().collect();
        assert_eq!(dates, ["Wed, 29 Dec 2027 05:00:00 GMT"]);
    }
}

#[tokio::test]
async fn refresh_adds_a_year_and_keeps_the_secret() {
    let api = with_due().await;
    let path = api.account(&format!("{DUE}/refresh"));
    for _ in 0..2 {
        let reply = api.post(&path).await;
        assert_eq!(reply.status, StatusCode::OK);
        let refreshed = reply.result();
        assert_eq!(refreshed["expires_at"], "2027-11-24T05:00:00Z");
        assert_eq!(refreshed["updated_at"], "2026-11-24T05:00:00Z");
    }
    assert_eq!(
        api.knock(DUE_CLIENT_ID, "first").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn rotate_replaces_the_secret_at_once_or_with_grace() {
    let api = with_due().await;
    let path = api.account(&format!("{DUE}/rotate"));

    let reply = api.post(&path).await;
    assert_eq!(reply.status, StatusCode::OK);
    let rotated = reply.result();
    assert_eq!(rotated["client_id"], DUE_CLIENT_ID);
    let held = api.simulator.token(&DUE[1..]).unwrap();
    assert_eq!(held.client_secret_version, 2);
    assert_eq!(held.expires_at, start() + TimeDelta::days(9));
    let second = text(&rotated, "client_secret");
    assert_eq!(
        api.knock(DUE_CLIENT_ID, "first").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        api.knock(DUE_CLIENT_ID, second).await.status,
        StatusCode::OK
    );

    let body = json!({ "previous_client_secret_expires_at": "2026-11-24T06:00:00Z" });
    let rotated = api.post_json(&path, body).await.result();
    let third = text(&rotated, "client_secret");
    for secret in [second, third] {
        assert_eq!(
            api.knock(DUE_CLIENT_ID, secret).await.status,
            StatusCode::OK
        );
    }
    api.advance(TimeDelta::hours(1));
    assert_eq!(
        api.knock(DUE_CLIENT_ID, second).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(api.knock(DUE_CLIENT_ID, third).await.status, StatusCode::OK);

    let held = api.simulator.token(&DUE[1..]).unwrap();
    assert_eq!(held.client_secret_version, 3);
    let end = start() + TimeDelta::hours(1);
    assert_eq!(held.previous_client_secret_expires_at, Some(end));
}

#[tokio::test]
async fn delete_answers_the_token_for_the_last_time() {
    let api = with_due().await;
    let path = api.account(DUE);
    let before = api.get(&path).await.result();
    let reply = api.delete(&path).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.result(), before);
    assert_eq!(api.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.simulator.tokens(), []);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let mut builder = Simulator::builder();
    for number in 1..=27 {
        builder = builder.token(SeedToken::new(format!("token {number}")));
    }
    let api = Api::start(builder).await;
    let list = async |query: &str| {
        let envelope = api.get(&api.account(query)).await.json();
        let names: Vec<String> = envelope["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|token| text(token, "name").to_owned())
            .collect();
        (names, envelope["result_info"].clone())
    };

    let (names, info) = list("").await;
    assert_eq!(names.len(), 27);
    assert_eq!(names[0], "token 1");
    assert_eq!(
        info,
        json!({ "count": 27, "page": 1, "per_page": 1000, "total_count": 27, "total_pages": 1 })
    );

    let (names, info) = list("?per_page=25&page=2&unknown=1").await;
    assert_eq!(names, ["token 26", "token 27"]);
    assert_eq!(
        info,
        json!({ "count": 2, "page": 2, "per_page": 25, "total_count": 27, "total_pages": 2 })
    );

    let (names, info) = list("?search=TOKEN%202&per_page=3&page=3").await;
    assert_eq!(
        names,
        ["token 25", "token 26", "token 27"].map(String::from)
    );
    assert_eq!(
        info,
        json!({ "count": 3, "page": 3, "per_page": 3, "total_count": 27, "total_pages": 9 })
    );

    let (names, _) = list("?name=token+2").await;
    assert_eq!(names, ["token 2"]);

    let (names, info) = list("?name=nobody").await;
    assert_eq!(names, [""; 0]);
    assert_eq!(
        info,
        json!({ "count": 0, "page": 1, "per_page": 1000, "total_count": 27, "total_pages": 1 })
    );
}

#[tokio::test]
async fn a_list_counts_the_tokens_that_the_caller_may_see_whatever_the_search() {
    let mut builder = Simulator::builder().list_only(["one", "two", "three"]);
    for name in ["one", "two", "three", "hidden"] {
        builder = builder.token(SeedToken::new(name));
    }
    let builder = builder.account(SeedAccount::new("a2").token(SeedToken::new("one")));
    let api = Api::start(builder).await;
    for (query, count) in [
        ("", 3),
        ("&name=one", 1),
        ("&search=o", 2),
        ("&name=hidden", 0),
        ("&page=9", 0),
    ] {
        let path = api.account(&format!("?per_page=2{query}"));
        let info = api.get(&path).await.json()["result_info"].clone();
        assert_eq!(info["count"], count.min(2), "{query}");
        assert_eq!(info["total_count"], 3, "{query}");
        assert_eq!(info["total_pages"], 2, "{query}");
    }
}

#[tokio::test]
async fn a_seed_can_leave_fields_out_of_answers() {
    let seed = due()
        .null(TokenField::ExpiresAt)
        .absent(TokenField::ClientId);
    let api = Api::start(Simulator::builder().token(seed)).await;
    let got = api.get(&api.account(DUE)).await.result();
    assert_eq!(got.get("expires_at"), Some(&Value::Null));
    assert_eq!(got.get("client_id"), None);
    assert_eq!(got["name"], "CI deploy");
}

#[tokio::test]
async fn both_schemes_authenticate() {
    let api = Api::start(
        Simulator::builder()
            .api_token("the-token")
            .email_and_api_key("me@example.com", "the-key"),
    )
    .await;
    let path = api.account("");
    let bare = || api.bare(Method::GET, &path);
    for request in [
        bare().bearer_auth("the-token"),
        bare().header("authorization", "bearer the-token"),
        bare()
            .header("X-Auth-Email", "me@example.com")
            .header("X-Auth-Key", "the-key"),
    ] {
        assert_eq!(send(request).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn answers_carry_a_ray_id_and_the_rate_limit() {
    let api = Api::start(Simulator::builder()).await;
    let first = api.get(&api.account("")).await;
    let second = api.get("/nowhere").await;
    for reply in [&first, &second] {
        let (digits, airport) = reply.header("cf-ray").split_once('-').unwrap();
        assert_eq!(digits.len(), 16);
        assert!(digits.bytes().all(|b| b"0123456789abcdef".contains(&b)));
        assert_eq!(airport, "FRA");
        assert_eq!(
            reply.header("ratelimit-policy"),
            r#""default";q=1200;w=300"#
        );
    }
    assert_ne!(first.header("cf-ray"), second.header("cf-ray"));
    assert_eq!(first.header("ratelimit"), r#""default";r=1199;t=300"#);
    assert_eq!(second.header("ratelimit"), r#""default";r=1198;t=300"#);
    api.advance(TimeDelta::seconds(300));
    let later = api.get(&api.account("")).await;
    assert_eq!(later.header("ratelimit"), r#""default";r=1199;t=300"#);
}

#[tokio::test]
async fn requests_are_recorded_without_secrets() {
    let api = with_due().await;
    api.get(&api.account("?name=CI")).await;
    api.post(&api.account(&format!("{DUE}/refresh"))).await;
    api.get("/nowhere").await;
    api.knock(DUE_CLIENT_ID, "first").await;

    let requests = api.simulator.requests();
    let seen: Vec<_> = requests
        .iter()
        .map(|r| (r.method.as_str(), r.query.as_deref(), r.operation, r.status))
        .collect();
    assert_eq!(
        seen,
        [
            ("GET", Some("name=CI"), Some(Operation::List), Some(200)),
            ("POST", None, Some(Operation::Refresh), Some(200)),
            ("GET", None, None, Some(404)),
            ("GET", None, None, Some(200)),
        ]
    );
    let refresh = format!("/client/v4{}", api.account(&format!("{DUE}/refresh")));
    assert_eq!(requests[1].path, refresh);
    assert_eq!(requests[3].path, "/app");

    let printed = format!(
        "{requests:?} {:?} {:?}",
        api.simulator,
        api.simulator.tokens()
    );
    for secret in [api.simulator.api_token(), "\"first\""] {
        assert!(!printed.contains(secret));
    }
}

#[tokio::test]
async fn a_run_can_be_replayed_from_its_seed() {
    let run = async |seed| {
        let api = Api::start(Simulator::builder().seed(seed).believable_account()).await;
        let created = api
            .post_json(&api.account(""), json!({ "name": "CI" }))
            .await;
        let ray = created.header("cf-ray").to_owned();
        let credentials = [
            api.simulator.account_id().to_owned(),
            api.simulator.api_token().to_owned(),
            api.simulator.api_key().to_owned(),
        ];
        (created.body, ray, credentials, api.simulator.tokens())
    };
    assert_eq!(run(1).await, run(1).await);
    let (one, two) = (run(1).await, run(2).await);
    assert_ne!(one.0, two.0);
    assert_ne!(one.1, two.1);
    assert!(one.2.iter().zip(&two.2).all(|(a, b)| a != b));
}

#[tokio::test]
async fn the_believable_account_has_every_kind_of_token() {
    let api = Api::start(Simulator::builder().believable_account()).await;
    let tokens = api.simulator.tokens();
    assert_eq!(tokens.len(), 10);
    let week = start() + TimeDelta::days(7);
    assert!(tokens.iter().any(|t| t.expires_at <= start()));
    assert!(
        tokens
            .iter()
            .any(|t| t.expires_at > start() && t.expires_at < week)
    );
    assert!(tokens.iter().any(|t| !t.enabled));
    assert!(tokens.iter().any(|t| t.last_seen_at.is_none()));
    assert!(tokens.iter().any(|t| t.duration == "forever"));
    assert!(tokens.iter().any(|t| t.duration == "1 year"));
}
