//! Refreshing a service token: the request on the wire, and the parsed answer.

use crate::support::{ACCOUNT, RawServer, TOKEN, json};
use cf_service_tokens::{
    AccountId, Client, ErrorKind, ServiceToken, ServiceTokenId, TokenDuration,
};
use chrono::{DateTime, Utc};

/// The answer in Cloudflare's documentation of the call, byte for byte.
const DOCUMENTED: &str = include_str!("../data/refreshed.json");

#[tokio::test]
async fn the_documented_answer_shows_all_its_fields() {
    let server = RawServer::start(json("200 OK", DOCUMENTED)).await;
    let token = server.tokens().refresh(TOKEN).await.unwrap();

    let instant: DateTime<Utc> = "2014-01-01T05:20:00.12345Z".parse().unwrap();
    assert_eq!(token.id.as_deref(), Some(TOKEN));
    assert_eq!(
        token.client_id.as_deref(),
        Some("88bf3b6d86161464f6509f7219099e57.access.example.com")
    );
    assert_eq!(token.name.as_deref(), Some("CI/CD token"));
    assert_eq!(
        token.duration.as_ref().map(TokenDuration::as_str),
        Some("60m")
    );
    assert_eq!(token.created_at, Some(instant));
    assert_eq!(token.updated_at, Some(instant));
    assert_eq!(token.expires_at, Some(instant));
    assert_eq!(token.last_seen_at, Some(instant));
    assert_eq!(token.enabled, None);
    assert_eq!(token.body(), DOCUMENTED.as_bytes());
    assert_eq!(token.ray_id(), Some("8f2b1c9d0e1f2a3b-FRA"));
    assert_eq!(token.status(), 200);
    assert_eq!(token.headers()["content-type"], "application/json");
    assert_eq!(token.attempts(), 1);
    assert!(token.unreadable().is_empty());

    let [error] = token.api_errors() else {
        panic!("the documented success contains one error");
    };
    assert_eq!((error.code, error.message.as_str()), (1000, "message"));
    let [message] = token.api_messages() else {
        panic!("the documented success contains one message");
    };
    assert_eq!((message.code, message.message.as_str()), (1000, "message"));
    assert_eq!(
        message.documentation_url.as_deref(),
        Some("documentation_url")
    );
    let source = message.source.as_ref().unwrap();
    assert_eq!(source.pointer.as_deref(), Some("pointer"));

    insta::assert_debug_snapshot!(token.into_inner());
}

#[tokio::test]
async fn the_request_as_it_is_sent() {
    let server = RawServer::start(json("200 OK", DOCUMENTED)).await;
    server.tokens().refresh(TOKEN).await.unwrap();
    insta::assert_snapshot!(server.request());
}

#[tokio::test]
async fn a_slash_at_the_end_of_the_base_url_changes_nothing() {
    let server = RawServer::start(json("200 OK", DOCUMENTED)).await;
    let client = server.builder().base_url(format!("{}/", server.base_url()));
    let tokens = client
        .build()
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens();
    tokens.refresh(TOKEN).await.unwrap();
    assert!(server.requests()[0].starts_with(&format!(
        "POST /client/v4/accounts/{ACCOUNT}/access/service_tokens/{TOKEN}/refresh HTTP/1.1"
    )));
}

#[tokio::test]
async fn settings_of_the_http_client_and_another_user_agent_are_used() {
    let server = RawServer::start(json("200 OK", DOCUMENTED)).await;
    let headers = [(http::header::FROM, "me@example.com".parse().unwrap())];
    let headers = headers.into_iter().collect();
    let client = server
        .builder()
        .http_client(|http| http.default_headers(headers))
        .user_agent("mine/1")
        .build();
    client
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .refresh(TOKEN)
        .await
        .unwrap();
    let request = &server.requests()[0];
    assert!(request.contains("from: me@example.com"), "{request}");
    assert!(request.contains("user-agent: mine/1\r\n"), "{request}");
}

#[tokio::test]
async fn an_invalid_id_sends_no_request() {
    let server = RawServer::start(json("200 OK", DOCUMENTED)).await;
    let client = server.builder().build().unwrap();
    let too_long = "a".repeat(37);
    for id in [
        "", "..", "a/b", "a b", "%2e%2e", "a?b", "a#b", "é", "a\n", "a.b", "a_b", &too_long,
    ] {
        let error = client
            .account(ACCOUNT)
            .unwrap()
            .service_tokens()
            .refresh(id)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidId, "{id:?}: {error}");
        assert_eq!(error.attempts(), 0);
        assert!(!error.may_have_been_applied());
        assert_eq!(
            client.account(id).unwrap_err().kind(),
            ErrorKind::InvalidId,
            "{id:?}"
        );
    }
    assert!(client.account("a".repeat(33)).is_err());
    assert!(client.account("a".repeat(32)).is_ok());
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn a_call_can_be_spawned() {
    let server = RawServer::start(json("200 OK", DOCUMENTED)).await;
    let client: Client = server.builder().build().unwrap();
    let call = tokio::spawn(async move {
        client
            .account(ACCOUNT)?
            .service_tokens()
            .refresh(TOKEN)
            .await
    });
    assert_eq!(call.await.unwrap().unwrap().id.as_deref(), Some(TOKEN));
}

#[tokio::test]
async fn a_call_takes_a_token_by_its_id_or_as_a_whole() {
    let server = RawServer::start(json("200 OK", DOCUMENTED)).await;
    let tokens = server.tokens();
    let id = ServiceTokenId::new(TOKEN).unwrap();
    let token = tokens.refresh(TOKEN).await.unwrap();
    tokens.refresh(TOKEN.to_owned()).await.unwrap();
    tokens.refresh(&id).await.unwrap();
    tokens.refresh(&token).await.unwrap();
    tokens.refresh(&*token).await.unwrap();
    tokens.refresh(token.into_inner()).await.unwrap();
    let paths: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.lines().next().unwrap().to_owned())
        .collect();
    assert_eq!(paths.len(), 6);
    assert!(paths.iter().all(|path| path.contains(TOKEN)), "{paths:?}");
}

#[tokio::test]
async fn a_token_without_an_id_sends_no_request() {
    let server = RawServer::start(json("200 OK", DOCUMENTED)).await;
    let tokens = server.tokens();
    let mut token = ServiceToken::default();
    let error = tokens.refresh(&token).await.unwrap_err();
    insta::assert_snapshot!(error, @"the service token has no id; take its id from a listing");
    token.name = Some("de\nploy".to_owned());
    let error = tokens.delete(&token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidId);
    insta::assert_snapshot!(error, @r#"the service token "de\nploy" has no id; take its id from a listing"#);
    assert_eq!(server.requests(), [""; 0]);
}

#[test]
fn an_id_is_serialized_as_text() {
    let id = ServiceTokenId::try_from(TOKEN).unwrap();
    assert_eq!(ServiceTokenId::try_from(TOKEN.to_owned()).unwrap(), id);
    assert_eq!(String::from(id.clone()), TOKEN);
    let json = serde_json::to_string(&id).unwrap();
    assert_eq!(json, format!("{TOKEN:?}"));
    assert_eq!(serde_json::from_str::<ServiceTokenId>(&json).unwrap(), id);
    let error = serde_json::from_str::<AccountId>(r#""../user""#).unwrap_err();
    assert!(
        error.to_string().contains("is not a valid account id"),
        "{error}"
    );
}
