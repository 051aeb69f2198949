//! Calls to endpoints that the fragment lacks, and answers read as other types.

use crate::support::{RawServer, TOKEN, Then, answer};
use cf_service_tokens::{Client, ErrorKind, Method, Retry, ServiceToken};
use serde::Deserialize;
use serde_json::{Value, json};

async fn server(status: &str, body: &Value) -> RawServer {
    RawServer::start(crate::support::json(status, &body.to_string())).await
}

fn client(server: &RawServer) -> Client {
    server.builder().build().unwrap()
}

#[derive(Debug, Deserialize, PartialEq)]
struct App {
    name: String,
}

#[tokio::test]
async fn a_call_to_an_endpoint_without_a_method() {
    let body =
        json!({ "success": true, "errors": [], "messages": [], "result": [{ "name": "wiki" }] });
    let server = server("200 OK", &body).await;
    let call = client(&server)
        .request(Method::POST, "/accounts/a/access/apps")
        .query("per page", "5&6")
        .json(&json!({ "name": "wiki" }));
    let apps = call.send::<Vec<App>>().await.unwrap();
    assert_eq!(
        *apps,
        [App {
            name: "wiki".to_owned()
        }]
    );
    assert_eq!(apps.ray_id(), Some("8f2b1c9d0e1f2a3b-FRA"));
    insta::assert_snapshot!(server.request(), @r#"
    POST /client/v4/accounts/a/access/apps?per+page=5%266 HTTP/1.1
    accept: application/json
    content-type: application/json
    authorization: Bearer canary-9Zq3vX7kB1nM5tR2
    user-agent: cf-service-tokens/0.1.0
    host: 127.0.0.1:PORT
    content-length: 15

    {"name":"wiki"}
    "#);
}

#[tokio::test]
async fn an_unreadable_entry_is_an_error() {
    let apps = json!([{ "name": "wiki" }, "blog"]);
    let body = json!({ "success": true, "errors": [5], "messages": [], "result": apps });
    let server = server("200 OK", &body).await;
    let call = || client(&server).request(Method::GET, "/accounts/a/access/apps");
    let error = call().send::<Vec<App>>().await.unwrap_err();
    assert!(error.to_string().contains("`result[1]`"), "{error}");
    let apps = call().send::<Vec<Value>>().await.unwrap();
    assert_eq!(apps.unreadable(), ["errors[0]"]);
}

#[tokio::test]
async fn a_raw_call_has_the_errors_of_other_calls() {
    let body = json!({ "success": false, "errors": [{ "code": 7003, "message": "no route" }], "messages": [], "result": null });
    let server = server("404 Not Found", &body).await;
    let call = client(&server).request(Method::GET, "/accounts/a/access/apps");
    let error = call.send::<Vec<App>>().await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.api_errors()[0].code, 7003);
    insta::assert_snapshot!(error, @"raw request: the API refused the call (HTTP 404, ray id 8f2b1c9d0e1f2a3b-FRA): 7003 no route; check the base URL and the ids");
}

#[tokio::test]
async fn whether_it_may_have_been_applied_depends_on_the_method() {
    let server = RawServer::start(("HTTP/1.1 502 Bad Gateway\r\n\r\n", Then::Close)).await;
    for (method, may_have) in [
        (Method::GET, false),
        (Method::HEAD, false),
        (Method::OPTIONS, false),
        (Method::POST, true),
        (Method::DELETE, true),
    ] {
        let call = client(&server).request(method, "/x");
        let error = call.send::<Value>().await.unwrap_err();
        assert_eq!(error.may_have_been_applied(), may_have);
    }
}

#[tokio::test]
async fn only_idempotent_requests_are_retried() {
    let fine = json!({ "success": true, "errors": [], "messages": [], "result": "done" });
    let fine = crate::support::json("200 OK", &fine.to_string());
    for (method, idempotent, attempts) in [
        (Method::GET, false, 2),
        (Method::POST, false, 1),
        (Method::POST, true, 2),
        (Method::PATCH, true, 2),
        (Method::from_bytes(b"PURGE").unwrap(), false, 1),
        (Method::from_bytes(b"PURGE").unwrap(), true, 2),
    ] {
        let server =
            RawServer::in_turn(&[answer("502 Oops", "text/plain", ""), fine.clone()]).await;
        let retry = Retry::default().seed(1);
        let builder = server.builder().retry(retry).clock(crate::support::clock());
        let mut call = builder.build().unwrap().request(method.clone(), "/x");
        if idempotent {
            call = call.idempotent();
        }
        let outcome = call.send::<String>().await;
        assert_eq!(server.requests().len(), attempts, "{method} {idempotent}");
        match outcome {
            Ok(done) => assert_eq!((done.as_str(), done.attempts()), ("done", 2)),
            Err(error) => assert_eq!((error.attempts(), attempts), (1, 1), "{error}"),
        }
    }
}

#[tokio::test]
async fn a_success_without_a_result_in_another_type() {
    let without = [
        crate::support::json(
            "200 OK",
            r#"{"success":true,"errors":[],"messages":[{"code":1,"message":"a"}],"result":null}"#,
        ),
        crate::support::json(
            "200 OK",
            r#"{"success":true,"errors":null,"messages":[{"code":1,"message":"a"}]}"#,
        ),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
    ];
    for answer in without {
        let server = RawServer::start(answer.clone()).await;
        let call = || client(&server).request(Method::DELETE, "/x");
        let nothing = call().send::<()>().await.unwrap();
        assert_eq!(nothing.api_messages().is_empty(), answer.contains("204"));
        assert_eq!(*call().send::<Option<App>>().await.unwrap(), None);
        assert_eq!(*call().send::<Value>().await.unwrap(), Value::Null);
        let error = call().send::<App>().await.unwrap_err();
        assert!(
            error.kind() == ErrorKind::Decode && error.may_have_been_applied(),
            "{error}"
        );
        let error = server.tokens().refresh(TOKEN).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
    }
    let server = server(
        "200 OK",
        &json!({ "success": false, "errors": [], "messages": [], "result": null }),
    )
    .await;
    let call = client(&server).request(Method::DELETE, "/x");
    assert_eq!(
        call.send::<()>().await.unwrap_err().kind(),
        ErrorKind::Refused
    );
}

#[tokio::test]
async fn paths_outside_the_base_url_are_refused() {
    let server = server("200 OK", &json!({})).await;
    let mut said = Vec::new();
    for path in [
        "accounts",
        "",
        "@evil.example/",
        "//evil.example/",
        "/../user",
        "/a/../../user",
        "/%2e%2e/user",
        "/a\\..\\..\\user",
        "/a//b",
        "/a?b=c",
        "/a#b",
    ] {
        let error = client(&server)
            .request(Method::GET, path)
            .send::<Value>()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{path}: {error}");
        said.push(error.to_string());
    }
    assert_eq!(server.requests(), [""; 0]);
    insta::assert_snapshot!(said.join("\n"), @r#"
    the path "accounts" does not begin with `/`; write the part that follows the base URL
    the path "" does not begin with `/`; write the part that follows the base URL
    the path "@evil.example/" does not begin with `/`; write the part that follows the base URL
    the path "//evil.example/" leaves the base URL or contains an empty segment; remove `.`, `..` and `//`
    the path "/../user" leaves the base URL or contains an empty segment; remove `.`, `..` and `//`
    the path "/a/../../user" leaves the base URL or contains an empty segment; remove `.`, `..` and `//`
    the path "/%2e%2e/user" leaves the base URL or contains an empty segment; remove `.`, `..` and `//`
    the path "/a\\..\\..\\user" leaves the base URL or contains an empty segment; remove `.`, `..` and `//`
    the path "/a//b" leaves the base URL or contains an empty segment; remove `.`, `..` and `//`
    the path "/a" contains a query or a fragment; add parameters with `query`
    the path "/a" contains a query or a fragment; add parameters with `query`
    "#);
}

#[tokio::test]
async fn a_body_that_is_not_serializable() {
    let server = server("200 OK", &json!({})).await;
    let body = std::collections::HashMap::from([((1, 2), 3)]);
    let call = client(&server).request(Method::POST, "/a").json(&body);
    let error = call.send::<Value>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn an_answer_in_a_type_of_the_caller() {
    #[derive(Debug, Deserialize)]
    struct Envelope {
        result: Token,
    }
    #[derive(Debug, Deserialize)]
    struct Token {
        tags: Vec<String>,
    }
    let body = json!({ "success": true, "errors": [], "messages": [{ "code": 1001, "message": "look" }], "result": { "name": "ci", "tags": ["a"] } });
    let fine = crate::support::json("200 OK", &body.to_string());
    let server = RawServer::in_turn(&[answer("502 Oops", "text/plain", ""), fine]).await;
    let builder = server.builder().retry(Retry::default().seed(1));
    let client = builder.clock(crate::support::clock()).build().unwrap();
    let tokens = client
        .account(crate::support::ACCOUNT)
        .unwrap()
        .service_tokens();
    let token = tokens.refresh(TOKEN).await.unwrap();
    assert_eq!(token.json::<Envelope>().unwrap().result.tags, ["a"]);

    let error = token.json::<Vec<Value>>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(error.ray_id(), token.ray_id());

    #[derive(Debug, Deserialize)]
    struct Wrong {
        #[expect(dead_code, reason = "only its type matters")]
        result: WrongToken,
    }
    #[derive(Debug, Deserialize)]
    struct WrongToken {
        #[expect(dead_code, reason = "only its type matters")]
        tags: u8,
    }
    let error = token.json::<Wrong>().unwrap_err();
    assert_eq!(error.attempts(), 2);
    assert_eq!(error.api_messages()[0].code, 1001);
    assert!(error.may_have_been_applied(), "the call took effect");
    insta::assert_snapshot!(error, @"refresh account service token: the call succeeded, but its answer does not have the requested type at `result.tags`: expected u8, after 2 attempts (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 108 bytes)");
}

#[tokio::test]
async fn an_answer_to_head_has_no_body() {
    let head = |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 90\r\n\r\n");
    let server = RawServer::in_turn(&[head("200 OK"), head("404 Not Found")]).await;
    let call = || client(&server).request(Method::HEAD, "/accounts/a/access/apps");
    assert_eq!(call().send::<()>().await.unwrap().status(), 200);
    let error = call().send::<()>().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 404);
    assert!(!error.may_have_been_applied());
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.starts_with("HEAD "))
    );
}

#[tokio::test]
async fn a_path_that_is_refused_is_shown_without_its_secrets() {
    let client = Client::builder()
        .api_token("an-api-token-12345")
        .base_url("http://127.0.0.1:9/client/v4")
        .build()
        .unwrap();
    let secret = format!("cfast_{}", "a1B2c3D4".repeat(6));
    for path in [
        format!("/apps?token={secret}"),
        "/apps#an-api-token-12345".to_owned(),
        "/apps/an-api-token-12345//x".to_owned(),
        format!("{secret}/apps"),
    ] {
        let request = client.request(Method::GET, path);
        let described = format!("{request:?}");
        let error = request.send::<()>().await.unwrap_err();
        let shown = format!("{error} {error:?} {described}");
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{shown}");
        assert!(
            !shown.contains(&secret) && !shown.contains("12345"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_result_is_read_strictly_as_a_type_of_the_caller() {
    #[derive(Debug, Deserialize)]
    struct App {
        #[expect(dead_code, reason = "only its type matters")]
        max_age: Option<u32>,
    }
    let body =
        json!({ "success": true, "errors": [], "messages": [], "result": { "max_age": "24h" } });
    let server = server("200 OK", &body).await;
    let call = || client(&server).request(Method::GET, "/a");
    let error = call().send::<App>().await.unwrap_err();
    insta::assert_snapshot!(error, @"raw request: the answer can't be read at `result.max_age`: expected u32 (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 69 bytes)");
    let error = call()
        .send::<std::collections::HashMap<String, u32>>()
        .await
        .unwrap_err();
    assert!(
        error.kind() == ErrorKind::Decode && error.to_string().contains("`result.max_age`"),
        "{error}"
    );
    let null = json!({ "success": true, "errors": [], "messages": [], "result": [null, 1] });
    let server = self::server("200 OK", &null).await;
    let call = client(&server).request(Method::GET, "/a");
    let error = call.send::<Vec<u32>>().await.unwrap_err();
    assert!(error.to_string().contains("`result[0]`"), "{error}");
}

#[tokio::test]
async fn a_path_in_an_answer_shows_no_secret() {
    let formed = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";
    for secret in [crate::support::CANARY, formed] {
        let body =
            json!({ "success": true, "errors": [], "messages": [], "result": { secret: "x" } });
        let server = server("200 OK", &body).await;
        let call = || client(&server).request(Method::GET, "/a");
        type Numbers = std::collections::HashMap<String, u32>;
        let mut shown = match call().send::<Numbers>().await {
            Ok(answer) => format!("{answer:?} {:?}", answer.unreadable()),
            Err(error) => format!("{error} {error:?}"),
        };
        let token = server.tokens().refresh(TOKEN).await.unwrap();
        shown += &format!("{token:?} {:?}", token.unreadable());
        #[derive(Debug, Deserialize)]
        struct Envelope {
            #[expect(dead_code, reason = "only its type matters")]
            result: Numbers,
        }
        let error = token.json::<Envelope>().unwrap_err();
        shown += &format!("{error} {error:?}");
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn json_that_is_nested_too_deeply_has_its_own_error() {
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    for result in [deep.clone(), format!(r#"{{"id":{deep}}}"#)] {
        let body = format!(r#"{{"success":true,"errors":[],"messages":[],"result":{result}}}"#);
        let server = RawServer::start(crate::support::json("200 OK", &body)).await;
        let call = client(&server).request(Method::GET, "/a");
        let error = call.send::<Value>().await.unwrap_err();
        let shown = error.to_string();
        assert!(
            error.kind() == ErrorKind::Decode && shown.contains("nested too deeply"),
            "{shown}"
        );
        assert!(shown.len() < 2000, "{}", shown.len());
    }
}

#[tokio::test]
async fn a_service_token_of_a_zone_can_be_requested() {
    let body = format!(
        r#"{{"success":true,"errors":[],"messages":[],"result":{{"id":"{TOKEN}","duration":"8760h"}}}}"#
    );
    let server = RawServer::start(crate::support::json("200 OK", &body)).await;
    let client = server.builder().build().unwrap();
    let path = format!("/zones/9a7806061c88ada191ed06f989cc3dac/access/service_tokens/{TOKEN}");
    let request = client.request(Method::PUT, path).idempotent();
    let request = request.json(&serde_json::json!({ "duration": "8760h" }));
    let token = request.send::<ServiceToken>().await.unwrap();
    assert_eq!(token.id.as_deref(), Some(TOKEN));
    let sent = server.request();
    let line = "PUT /client/v4/zones/9a7806061c88ada191ed06f989cc3dac/access/service_tokens/";
    assert!(sent.starts_with(line), "{sent}");
    assert!(sent.ends_with("\n\n{\"duration\":\"8760h\"}"), "{sent}");
}
