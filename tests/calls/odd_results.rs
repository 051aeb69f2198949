//! Responses that are successes, with results that are not as documented.

use super::faults::{RAY_ID, assert_carries_the_response, failure};
use crate::support::{RawServer, TOKEN, json};
use cf_service_tokens::ErrorKind;

#[tokio::test]
async fn json_of_another_shape() {
    for (body, path) in [
        (
            r#"{"success":"yes","errors":[],"messages":[],"result":{}}"#,
            "success",
        ),
        (
            r#"{"success":true,"errors":[],"messages":[],"result":[]}"#,
            "result",
        ),
        (
            r#"{"success":true,"errors":[],"messages":[],"result":"text"}"#,
            "result",
        ),
        (r#"{"errors":[],"messages":[],"result":{}}"#, "success"),
        // Lists with the values of an object, in the order of its fields.
        (
            r#"{"success":true,"errors":[],"messages":[],"result":["a",1,null,null,true,null,null,null,"ci",null]}"#,
            "result",
        ),
        (r#"[[],[],{"id":"a"},true]"#, "."),
        ("[]", "."),
        ("7", "."),
    ] {
        let error = failure(json("200 OK", body)).await;
        assert_eq!(error.kind(), ErrorKind::Decode, "{body}: {error}");
        assert!(error.may_have_been_applied());
        assert_carries_the_response(&error, 200);
        assert!(error.to_string().contains(&format!("`{path}`")), "{error}");
        if body.contains("yes") {
            insta::assert_snapshot!(error, @"refresh account service token: the answer can't be read at `success`: expected a boolean (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 55 bytes); the call may have taken effect; check the token to be sure");
        }
    }
}

#[tokio::test]
async fn null_in_every_optional_field() {
    let body = r#"{"success":true,"errors":null,"messages":null,"result":{"id":null,"client_id":null,"name":null,"duration":null,"enabled":null,"client_secret_version":null,"expires_at":null,"created_at":null,"updated_at":null,"last_seen_at":null}}"#;
    let server = RawServer::start(json("200 OK", body)).await;
    let token = server.tokens().refresh(TOKEN).await.unwrap();
    assert_eq!(*token, cf_service_tokens::ServiceToken::default());
    assert!(token.unreadable().is_empty());
    assert_eq!(token.ray_id(), RAY_ID);
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let body = r#"{"success":true,"errors":[],"messages":[],"trace":{"a":1},"result":{"name":"ci","owner":{"id":7},"tags":[1]}}"#;
    let server = RawServer::start(json("200 OK", body)).await;
    let token = server.tokens().refresh(TOKEN).await.unwrap();
    assert_eq!(token.name.as_deref(), Some("ci"));
    assert!(token.unreadable().is_empty());
}

#[tokio::test]
async fn fields_that_cannot_be_read_do_not_hide_the_others() {
    let body = r#"{"success":true,"errors":[],"messages":"none","result":{"id":5,"name":"ci","duration":"1 year","enabled":"no","expires_at":"tomorrow","last_seen_at":1700000000}}"#;
    let server = RawServer::start(json("200 OK", body)).await;
    let token = server.tokens().refresh(TOKEN).await.unwrap();
    assert_eq!(token.name.as_deref(), Some("ci"));
    let duration = token.duration.as_ref().unwrap();
    assert_eq!(duration.as_str(), "1 year");
    assert_eq!(duration.finite(), None);
    let mut unreadable = token.unreadable().to_vec();
    unreadable.sort();
    assert_eq!(
        unreadable,
        [
            "messages",
            "result.enabled",
            "result.expires_at",
            "result.id",
            "result.last_seen_at"
        ]
    );
}

#[tokio::test]
async fn an_empty_result_is_a_token_without_fields() {
    let body = r#"{"success":true,"errors":[],"messages":[],"result":{}}"#;
    let server = RawServer::start(json("200 OK", body)).await;
    let token = server.tokens().refresh(TOKEN).await.unwrap();
    assert_eq!(*token, cf_service_tokens::ServiceToken::default());
}

#[tokio::test]
async fn a_version_with_a_decimal_point() {
    for (version, read) in [("2.0", Some(2)), ("2.5", None), ("1e300", None)] {
        let body = format!(
            r#"{{"success":true,"errors":[],"messages":[],"result":{{"id":"a","client_secret_version":{version}}}}}"#
        );
        let server = RawServer::start(json("200 OK", &body)).await;
        let token = server.tokens().refresh(TOKEN).await.unwrap();
        assert_eq!(token.client_secret_version, read);
        assert_eq!(token.unreadable().is_empty(), read.is_some());
    }
}

#[tokio::test]
async fn an_undocumented_success_status_is_a_success() {
    let body = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#;
    let server = RawServer::start(json("202 Accepted", body)).await;
    let token = server.tokens().refresh(TOKEN).await.unwrap();
    assert_eq!(token.status(), 202);
    assert_eq!(token.name.as_deref(), Some("ci"));
}
