//! Every call as it is sent on the wire, and the requests that are refused before.

use std::time::Duration;

use crate::support::{ACCOUNT, RawServer, TOKEN, json};
use cf_service_tokens::{
    CreateServiceToken, ErrorKind, GoDuration, RotateServiceToken, TokenDuration,
    UpdateServiceToken,
};
use chrono::{DateTime, TimeDelta, Utc};

const TOKEN_ANSWER: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci","client_secret":"cfsec2_0123456789abcdef"}}"#;
const PAGE_ANSWER: &str = r#"{"success":true,"errors":[],"messages":[],"result":[]}"#;

async fn server(body: &str) -> RawServer {
    RawServer::start(json("200 OK", body)).await
}

fn instant() -> DateTime<Utc> {
    "2026-12-24T18:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn list() {
    let server = server(PAGE_ANSWER).await;
    let list = server.tokens().list().name("CI/CD & more").search("über");
    list.per_page(7).page(3).await.unwrap();
    insta::assert_snapshot!(server.request(), @"
    GET /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens?name=CI%2FCD+%26+more&page=3&per_page=7&search=%C3%BCber HTTP/1.1
    accept: application/json
    authorization: Bearer canary-9Zq3vX7kB1nM5tR2
    user-agent: cf-service-tokens/0.1.0
    host: 127.0.0.1:PORT
    ");
}

#[tokio::test]
async fn create() {
    let server = server(TOKEN_ANSWER).await;
    let request = CreateServiceToken::new("CI/CD token");
    server.tokens().create(&request).await.unwrap();
    insta::assert_snapshot!(server.request(), @r#"
    POST /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens HTTP/1.1
    accept: application/json
    content-type: application/json
    authorization: Bearer canary-9Zq3vX7kB1nM5tR2
    user-agent: cf-service-tokens/0.1.0
    host: 127.0.0.1:PORT
    content-length: 22

    {"name":"CI/CD token"}
    "#);
}

#[tokio::test]
async fn create_with_everything() {
    let server = server(TOKEN_ANSWER).await;
    let request = CreateServiceToken::new("CI/CD token")
        .duration("60m".parse::<TokenDuration>().unwrap())
        .enabled(false)
        .client_secret_version(2)
        .previous_client_secret_expires_at(instant());
    server.tokens().create(&request).await.unwrap();
    insta::assert_snapshot!(server.request(), @r#"
    POST /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens HTTP/1.1
    accept: application/json
    content-type: application/json
    authorization: Bearer canary-9Zq3vX7kB1nM5tR2
    user-agent: cf-service-tokens/0.1.0
    host: 127.0.0.1:PORT
    content-length: 140

    {"client_secret_version":2,"duration":"60m","enabled":false,"name":"CI/CD token","previous_client_secret_expires_at":"2026-12-24T18:00:00Z"}
    "#);
}

#[tokio::test]
async fn the_longest_name_counts_characters() {
    let server = server(TOKEN_ANSWER).await;
    let name = "é".repeat(350);
    let request = CreateServiceToken::new(&name);
    server.tokens().create(&request).await.unwrap();
    assert!(server.request().contains(&name));
}

#[tokio::test]
async fn get() {
    let server = server(TOKEN_ANSWER).await;
    server.tokens().get(TOKEN).await.unwrap();
    insta::assert_snapshot!(server.request(), @"
    GET /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415 HTTP/1.1
    accept: application/json
    authorization: Bearer canary-9Zq3vX7kB1nM5tR2
    user-agent: cf-service-tokens/0.1.0
    host: 127.0.0.1:PORT
    ");
}

#[tokio::test]
async fn update_sends_only_what_is_set() {
    let requests = [
        (UpdateServiceToken::new().name("new"), r#"{"name":"new"}"#),
        (
            UpdateServiceToken::new().duration("8760h".parse::<GoDuration>().unwrap()),
            r#"{"duration":"8760h"}"#,
        ),
        (
            UpdateServiceToken::new().duration(TokenDuration::FOREVER),
            r#"{"duration":"forever"}"#,
        ),
        (
            UpdateServiceToken::new().enabled(false),
            r#"{"enabled":false}"#,
        ),
        (
            UpdateServiceToken::new().client_secret_version(1),
            r#"{"client_secret_version":1}"#,
        ),
        (
            UpdateServiceToken::new().previous_client_secret_expires_at(instant()),
            r#"{"previous_client_secret_expires_at":"2026-12-24T18:00:00Z"}"#,
        ),
    ];
    for (request, body) in requests {
        let server = server(TOKEN_ANSWER).await;
        server.tokens().update(TOKEN, &request).await.unwrap();
        let sent = server.request();
        assert!(sent.ends_with(&format!("\n\n{body}")), "{sent}");
        assert!(sent.starts_with(&format!(
            "PUT /client/v4/accounts/{ACCOUNT}/access/service_tokens/{TOKEN} HTTP/1.1\n"
        )));
    }
}

#[tokio::test]
async fn delete() {
    let server = server(TOKEN_ANSWER).await;
    server.tokens().delete(TOKEN).await.unwrap();
    insta::assert_snapshot!(server.request(), @"
    DELETE /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415 HTTP/1.1
    accept: application/json
    authorization: Bearer canary-9Zq3vX7kB1nM5tR2
    user-agent: cf-service-tokens/0.1.0
    host: 127.0.0.1:PORT
    ");
}

#[tokio::test]
async fn rotate() {
    let server = server(TOKEN_ANSWER).await;
    let request = RotateServiceToken::grace_until("2126-12-24T18:00:00Z".parse().unwrap());
    server.tokens().rotate(TOKEN, &request).await.unwrap();
    insta::assert_snapshot!(server.last_request(), @r#"
    POST /client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415/rotate HTTP/1.1
    accept: application/json
    content-type: application/json
    authorization: Bearer canary-9Zq3vX7kB1nM5tR2
    user-agent: cf-service-tokens/0.1.0
    host: 127.0.0.1:PORT
    content-length: 60

    {"previous_client_secret_expires_at":"2126-12-24T18:00:00Z"}
    "#);
}

#[tokio::test]
async fn rotate_with_a_grace_from_now() {
    let server = server(TOKEN_ANSWER).await;
    let before = Utc::now();
    let request = RotateServiceToken::grace(Duration::from_secs(3600));
    server.tokens().rotate(TOKEN, &request).await.unwrap();
    let after = Utc::now();
    let sent = server.last_request();
    let body: serde_json::Value = serde_json::from_str(sent.split("\n\n").last().unwrap()).unwrap();
    let until = body["previous_client_secret_expires_at"].as_str().unwrap();
    let until: DateTime<Utc> = until.parse().unwrap();
    assert!(until >= before + TimeDelta::hours(1) && until <= after + TimeDelta::hours(1));
}

#[tokio::test]
async fn rotate_that_revokes_the_old_secret() {
    let server = server(TOKEN_ANSWER).await;
    let request = RotateServiceToken::revoke_now();
    server.tokens().rotate(TOKEN, &request).await.unwrap();
    assert!(server.request().ends_with("\n\n{}"), "{}", server.request());
}

#[tokio::test]
async fn an_invalid_request_is_not_sent() {
    let server = server(TOKEN_ANSWER).await;
    let tokens = server.tokens();
    let named = || CreateServiceToken::new("ci");
    let unreadable: TokenDuration = serde_json::from_str(r#""1 year""#).unwrap();
    let creates = [
        CreateServiceToken::new(""),
        CreateServiceToken::new(" \t"),
        CreateServiceToken::new("é".repeat(351)),
        named().duration(GoDuration::ZERO),
        named().duration("-1h".parse::<TokenDuration>().unwrap()),
        named().duration(unreadable),
        named().client_secret_version(0),
    ];
    let mut said = Vec::new();
    for request in creates {
        let error = tokens.create(&request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        said.push(error.to_string());
    }
    let updates = [
        UpdateServiceToken::new(),
        UpdateServiceToken::new().name(""),
        UpdateServiceToken::new().name("n".repeat(1000)),
        UpdateServiceToken::new().duration(GoDuration::ZERO),
        UpdateServiceToken::new().duration("1 year"),
        UpdateServiceToken::new().duration(Duration::MAX),
        UpdateServiceToken::new().client_secret_version(-1),
    ];
    for request in updates {
        let error = tokens.update(TOKEN, &request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        said.push(error.to_string());
    }
    let rotates = [
        RotateServiceToken::grace(Duration::ZERO),
        RotateServiceToken::grace(TimeDelta::MIN),
        RotateServiceToken::grace(Duration::MAX),
        RotateServiceToken::grace_until("2020-01-01T00:00:00Z".parse().unwrap()),
    ];
    for request in rotates {
        let error = tokens.rotate(TOKEN, &request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        assert!(!error.may_have_been_applied());
        said.push(error.to_string());
    }
    for list in [
        tokens.list().page(0).await,
        tokens.list().per_page(0).page(1).await,
        tokens.list().per_page(1001).page(1).await,
    ] {
        let error = list.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
        said.push(error.to_string());
    }
    assert_eq!(server.requests(), [""; 0]);
    insta::assert_snapshot!(said.join("\n"), @r#"
    the name is empty; give the service token a name
    the name is empty; give the service token a name
    the name has 351 characters, but it must not be longer than 350 characters; shorten it
    the duration "0s" is not longer than zero; write it as `8760h` or `2h45m`
    the duration "-1h" is not longer than zero; write it as `8760h` or `2h45m`
    the duration "1 year" is neither a Go duration nor `forever`; write it as `8760h` or `2h45m`
    the client secret version is 0, but versions start at 1
    the update changes nothing; set a field
    the name is empty; give the service token a name
    the name has 1000 characters, but it must not be longer than 350 characters; shorten it
    the duration "0s" is not longer than zero; write it as `8760h` or `2h45m`
    `duration`: unknown unit " year" at byte 1; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`), or `forever`
    `duration`: the duration is longer than 2562047h47m16.854775807s (292 years); use a shorter one
    the client secret version is -1, but versions start at 1
    the grace period is not longer than zero; to revoke the old secret at once, use `revoke_now`
    the grace period is not longer than zero; to revoke the old secret at once, use `revoke_now`
    the grace period is 292 years or longer; shorten it
    the grace period would end in the past; to revoke the old secret at once, use `revoke_now`
    `page` is 0, but the first page is 1
    `per_page` is 0, but it must be from 1 to 1000
    `per_page` is 1001, but it must be from 1 to 1000
    "#);
}
