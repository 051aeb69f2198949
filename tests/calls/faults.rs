//! The error of a failed call, for every way in which an answer can be wrong.

use std::time::Duration;

use crate::support::{ACCOUNT, CANARY, RawServer, Reply, TOKEN, Then, answer, json};
use cf_service_tokens::{Client, Error, ErrorKind, RateLimit, Retry};

pub(super) const HTML: &str = "<!DOCTYPE html>\n<title>Attention Required! | Cloudflare</title>";
pub(super) const RAY_ID: Option<&str> = Some("8f2b1c9d0e1f2a3b-FRA");

/// Refreshes a token at a server with this answer, and returns the error.
pub(super) async fn failure(reply: impl Into<Reply>) -> Error {
    let server = RawServer::start(reply).await;
    server.tokens().refresh(TOKEN).await.unwrap_err()
}

/// Checks the parts that every error with a response has.
pub(super) fn assert_carries_the_response(error: &Error, status: u16) {
    assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
    assert_eq!(error.ray_id(), RAY_ID);
    assert_eq!(error.attempts(), 1);
    let ray_id = error.headers().and_then(|headers| headers.get("cf-ray"));
    assert_eq!(ray_id.map(|id| id.to_str().unwrap()), RAY_ID);
}

/// Returns the kind of an error, and the predicates that hold.
pub(super) fn predicates(error: &Error) -> String {
    let all = [
        ("auth", error.is_auth()),
        ("unauthenticated", error.is_unauthenticated()),
        ("not found", error.is_not_found()),
        ("token not found", error.is_token_not_found()),
        ("rate limited", error.is_rate_limited()),
        ("transient", error.is_transient()),
    ];
    assert_eq!(
        error.is_connect(),
        matches!(
            error.kind(),
            ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Proxy
        )
    );
    let held = all
        .iter()
        .filter(|(_, holds)| *holds)
        .map(|(name, _)| *name);
    let kind = error.kind().to_string();
    let words: Vec<&str> = std::iter::once(&*kind).chain(held).collect();
    words.join(", ")
}

#[tokio::test]
async fn each_failure_has_its_predicates_and_no_others() {
    let refusal = |status: &str, code: u32| {
        let body = format!(
            r#"{{"success":false,"errors":[{{"code":{code},"message":"no"}}],"messages":[],"result":null}}"#
        );
        json(status, &body)
    };
    for (answer, expected) in [
        (String::new(), "interrupted, transient"),
        (answer("302 Found", "text/plain", ""), "redirect"),
        (answer("200 OK", "text/html", HTML), "decode"),
        (json("200 OK", r#"{"success":true}"#), "decode"),
        (json("200 OK", r#"{"success":true,"result":1}"#), "decode"),
        (refusal("200 OK", 12130), "refused"),
        (
            answer("401 Unauthorized", "text/plain", ""),
            "status, auth, unauthenticated",
        ),
        (
            refusal("400 Bad Request", 9109),
            "refused, auth, unauthenticated",
        ),
        (
            refusal("403 Forbidden", 10000),
            "refused, auth, unauthenticated",
        ),
        (refusal("403 Forbidden", 12130), "refused, auth"),
        (answer("403 Forbidden", "text/html", HTML), "status"),
        (
            answer("404 Not Found", "text/plain", ""),
            "status, not found, token not found",
        ),
        (refusal("404 Not Found", 7000), "refused, not found"),
        (refusal("404 Not Found", 7003), "refused, not found"),
        (
            answer("429 Too Many Requests", "text/plain", ""),
            "status, rate limited, transient",
        ),
        (
            refusal("400 Bad Request", 971),
            "refused, rate limited, transient",
        ),
        (
            answer("502 Bad Gateway", "text/html", HTML),
            "status, transient",
        ),
    ] {
        let error = failure(answer.as_str()).await;
        assert_eq!(predicates(&error), expected, "{answer}");
    }

    let builder = || Client::builder().base_url("http://127.0.0.1:1");
    let error = builder().build().unwrap_err();
    assert_eq!(predicates(&error), "credentials");
    for client in [
        builder().api_token("t").timeout(Duration::ZERO).build(),
        builder().api_token("t").deadline(Duration::ZERO).build(),
        builder().api_token("t").body_limit(0).build(),
    ] {
        assert_eq!(predicates(&client.unwrap_err()), "configuration");
    }
    let client = builder().api_token("t").build().unwrap();
    assert_eq!(predicates(&client.account("").unwrap_err()), "invalid_id");
    let list = client.account(ACCOUNT).unwrap().service_tokens().list();
    let error = list.page(0).await.unwrap_err();
    assert_eq!(predicates(&error), "invalid_request");
}

#[tokio::test]
async fn a_failure_under_http_200() {
    let body = r#"{"success":false,"errors":[{"code":12130,"message":"access.api.error.invalid_request","documentation_url":"https://example.com/12130","source":{"pointer":"/duration"}}],"messages":[{"code":1001,"message":"look here"}],"result":null}"#;
    let error = failure(json("200 OK", body)).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.kind() != ErrorKind::Decode);
    assert_carries_the_response(&error, 200);
    assert_eq!(error.body(), Some(body.as_bytes()));
    assert!(error.may_have_been_applied());

    let [api_error] = error.api_errors() else {
        panic!("one error was sent");
    };
    assert_eq!(api_error.code, 12130);
    assert_eq!(
        api_error.documentation_url.as_deref(),
        Some("https://example.com/12130")
    );
    let source = api_error.source.as_ref().unwrap();
    assert_eq!(source.pointer.as_deref(), Some("/duration"));
    assert_eq!(error.api_messages()[0].code, 1001);
    insta::assert_snapshot!(error, @"refresh account service token: the API refused the call (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA): 12130 access.api.error.invalid_request at /duration; the call may have taken effect; check the token to be sure");
}

#[tokio::test]
async fn a_success_without_a_result() {
    for body in [
        r#"{"success":true,"errors":[],"messages":[]}"#,
        r#"{"success":true,"errors":[],"messages":[],"result":null}"#,
    ] {
        let error = failure(json("200 OK", body)).await;
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.may_have_been_applied());
        assert_carries_the_response(&error, 200);
        if body.contains("null") {
            insta::assert_snapshot!(error, @"refresh account service token: the answer reports success but has no result (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 56 bytes); the call may have taken effect; check the token to be sure");
        }
    }
}

#[tokio::test]
async fn a_failure_envelope() {
    let body = r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"messages":[],"result":null}"#;
    let error = failure(json("403 Forbidden", body)).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.is_auth());
    assert!(!error.may_have_been_applied());
    assert_carries_the_response(&error, 403);
    insta::assert_snapshot!(error, @r#"refresh account service token: the API refused the call (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): 10000 Authentication error; check that the credentials are right, that they have the permission "Access: Service Tokens Write", and that they belong to the account"#);
}

#[tokio::test]
async fn a_failure_envelope_with_null_lists_and_unreadable_entries() {
    let body = r#"{"success":false,"errors":[{"code":7003,"message":"no route","source":7},{"code":"x"},{"code":7000,"message":"no route either"}],"messages":null}"#;
    let error = failure(json("404 Not Found", body)).await;
    let codes: Vec<i64> = error.api_errors().iter().map(|error| error.code).collect();
    assert_eq!(codes, [7003, 7000]);
    assert!(error.is_not_found());
    assert!(!error.is_token_not_found(), "there is no such route");
    assert_eq!(error.kind(), ErrorKind::Refused);
    insta::assert_snapshot!(error, @"refresh account service token: the API refused the call (HTTP 404, ray id 8f2b1c9d0e1f2a3b-FRA): 7003 no route, 7000 no route either; check the base URL and the ids");
}

#[tokio::test]
async fn an_unknown_caller_differs_from_a_missing_permission_and_a_token_from_a_route() {
    let envelope = |code: i64| {
        format!(r#"{{"success":false,"errors":[{{"code":{code},"message":"no"}}],"result":null}}"#)
    };
    for (status, code, unauthenticated, no_token) in [
        ("401 Unauthorized", 1000, true, false),
        ("403 Forbidden", 10_000, true, false),
        ("403 Forbidden", 9109, true, false),
        ("403 Forbidden", 1000, false, false),
        ("404 Not Found", 12_130, false, true),
        ("404 Not Found", 7003, false, false),
        ("400 Bad Request", 12_130, false, false),
    ] {
        let server = RawServer::start(json(status, &envelope(code))).await;
        let error = server.tokens().refresh(TOKEN).await.unwrap_err();
        assert_eq!(error.is_unauthenticated(), unauthenticated, "{error}");
        assert_eq!(error.is_token_not_found(), no_token, "{error}");
        let listed = server.tokens().list().page(1).await.unwrap_err();
        assert_eq!(listed.is_unauthenticated(), unauthenticated, "{listed}");
        assert!(!listed.is_token_not_found(), "{listed}");
    }
}

/// The result of a failure may be anything.
#[tokio::test]
async fn a_failure_with_any_result_is_read() {
    for result in [
        "[]",
        r#""""#,
        "false",
        "7",
        "{}",
        "[[]]",
        r#"{"id":7}"#,
        "null",
    ] {
        let body = format!(
            r#"{{"success":false,"errors":[{{"code":10000,"message":"Authentication error"}}],"messages":[{{"code":1001,"message":"look here"}}],"result":{result}}}"#
        );
        for status in ["200 OK", "403 Forbidden", "500 Internal Server Error"] {
            let server = RawServer::start(json(status, &body)).await;
            let tokens = server.tokens();
            let listed = tokens.list().page(1).await.unwrap_err();
            for error in [tokens.refresh(TOKEN).await.unwrap_err(), listed] {
                assert_eq!(
                    error.kind(),
                    ErrorKind::Refused,
                    "{status} {result}: {error}"
                );
                assert!(error.is_auth(), "{status} {result}: {error}");
                assert_eq!(error.api_errors()[0].code, 10_000);
                assert_eq!(error.api_messages()[0].code, 1001);
            }
        }
    }
}

#[tokio::test]
async fn the_lists_are_kept_without_a_valid_success() {
    for (status, success) in [
        ("403 Forbidden", ""),
        ("403 Forbidden", r#""success":"no","#),
        ("403 Forbidden", r#""success":true,"#),
        ("200 OK", ""),
        ("200 OK", r#""success":"no","#),
    ] {
        let body = format!(
            r#"{{{success}"errors":[{{"code":10000,"message":"Authentication error"}}],"messages":[{{"code":1001,"message":"look here"}}],"result":[]}}"#
        );
        let error = failure(json(status, &body)).await;
        assert!(
            error.kind() != ErrorKind::Refused,
            "{status} {success}: {error}"
        );
        assert_eq!(
            error.kind() == ErrorKind::Decode,
            status == "200 OK",
            "{error}"
        );
        assert!(error.is_auth(), "{error}");
        assert_eq!(error.api_errors()[0].code, 10_000);
        assert_eq!(error.api_messages()[0].code, 1001);
        if success.is_empty() && status != "200 OK" {
            insta::assert_snapshot!(error, @r#"refresh account service token: the answer has an error status, but its envelope does not report a failure (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 121 bytes): 10000 Authentication error; check that the credentials are right, that they have the permission "Access: Service Tokens Write", and that they belong to the account"#);
        }
    }
}

#[tokio::test]
async fn codes_with_a_decimal_point_and_an_error_outside_a_list() {
    let body = r#"{"success":false,"errors":[{"code":10000.0,"message":"a"},{"code":1.5,"message":"b"},{"code":1e300,"message":"c"},[1000,null,"d",null]],"messages":{"code":1001,"message":"alone"}}"#;
    for status in ["200 OK", "403 Forbidden"] {
        let error = failure(json(status, body)).await;
        let codes: Vec<i64> = error.api_errors().iter().map(|error| error.code).collect();
        assert_eq!(codes, [10_000]);
        assert!(
            error.kind() == ErrorKind::Refused && error.is_auth(),
            "{error}"
        );
        assert_eq!(error.api_messages()[0].message, "alone");
    }
}

#[tokio::test]
async fn a_code_beyond_sixteen_bits() {
    let body = r#"{"success":false,"errors":[{"code":1000117,"message":"a new one"}],"messages":[],"result":null}"#;
    let error = failure(json("400 Bad Request", body)).await;
    assert_eq!(error.api_errors()[0].code, 1_000_117);
    assert_carries_the_response(&error, 400);
    insta::assert_snapshot!(error, @"refresh account service token: the API refused the call (HTTP 400, ray id 8f2b1c9d0e1f2a3b-FRA): 1000117 a new one");
}

#[tokio::test]
async fn a_failure_envelope_under_http_500() {
    let body = r#"{"success":false,"errors":[{"code":12000,"message":"internal"}],"messages":[],"result":null}"#;
    let error = failure(json("500 Internal Server Error", body)).await;
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.api_errors()[0].code, 12000);
    assert!(error.may_have_been_applied());
}

#[tokio::test]
async fn too_many_calls() {
    let envelope = r#"{"success":false,"errors":[{"code":971,"message":"Please wait"}],"messages":[],"result":null}"#;
    let head = json("429 Too Many Requests", envelope);
    for (retry_after, wait) in [
        ("300", Some(Duration::from_secs(300))),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::ZERO)),
        ("soon", None),
        ("-1", None),
    ] {
        let answer = head.replacen("\r\n", &format!("\r\nretry-after: {retry_after}\r\n"), 1);
        let error = failure(answer).await;
        assert!(error.is_rate_limited());
        assert_eq!(error.retry_after(), wait, "{retry_after}");
        assert!(!error.may_have_been_applied());
        if retry_after == "300" {
            insta::assert_snapshot!(error, @"refresh account service token: the API refused the call (HTTP 429, ray id 8f2b1c9d0e1f2a3b-FRA, retry after 300s): 971 Please wait; wait for as long as `Retry-After` says, or for five minutes");
        }
    }
}

#[tokio::test]
async fn a_page_under_http_200() {
    let error = failure(answer("200 OK", "text/html", HTML)).await;
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.may_have_been_applied());
    assert_carries_the_response(&error, 200);
    assert_eq!(error.body(), Some(HTML.as_bytes()));
    insta::assert_snapshot!(error, @"refresh account service token: the answer is not JSON (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, text/html, 63 bytes); the call may have taken effect; check the token to be sure");
}

#[tokio::test]
async fn a_page_under_http_403() {
    let error = failure(answer("403 Forbidden", "text/html", HTML)).await;
    assert!(error.kind() != ErrorKind::Refused);
    assert!(
        !error.is_auth(),
        "the page comes from the edge, not from the API"
    );
    assert!(!error.may_have_been_applied());
    assert_carries_the_response(&error, 403);
    assert_eq!(error.body(), Some(HTML.as_bytes()));
    assert!(error.api_errors().is_empty());
    insta::assert_snapshot!(error, @r#"refresh account service token: the server answered with an error that does not come from the API (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA, text/html, 63 bytes): "<!DOCTYPE html> <title>Attention Required! | Cloudflare</title>""#);
}

#[tokio::test]
async fn an_empty_http_502() {
    let error = failure(answer("502 Bad Gateway", "text/plain", "")).await;
    assert!(error.kind() != ErrorKind::Decode);
    assert!(error.may_have_been_applied());
    assert_carries_the_response(&error, 502);
    assert_eq!(error.body(), Some(&b""[..]));
    insta::assert_snapshot!(error, @"refresh account service token: the server answered with an error that does not come from the API (HTTP 502, ray id 8f2b1c9d0e1f2a3b-FRA, text/plain, 0 bytes); the call may have taken effect; check the token to be sure");
}

#[tokio::test]
async fn an_empty_http_200() {
    let error = failure(json("200 OK", "")).await;
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_carries_the_response(&error, 200);
    insta::assert_snapshot!(error, @"refresh account service token: the answer is not JSON (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 0 bytes); the call may have taken effect; check the token to be sure");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = RawServer::start(json("200 OK", "{}")).await;
    let redirect = json("307 Temporary Redirect", "").replacen(
        "\r\n",
        &format!("\r\nlocation: {}\r\n", elsewhere.base_url()),
        1,
    );
    let error = failure(redirect).await;
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert!(!error.may_have_been_applied());
    assert_carries_the_response(&error, 307);
    assert_eq!(elsewhere.requests(), [""; 0]);
    insta::assert_snapshot!(error, @r#"refresh account service token: the answer is a redirect to "127.0.0.1", which the client does not follow (HTTP 307, ray id 8f2b1c9d0e1f2a3b-FRA); check the base URL"#);
}

#[tokio::test]
async fn a_see_other_redirect_may_follow_a_success() {
    let see_other = json("303 See Other", "").replacen("\r\n", "\r\nlocation: /done\r\n", 1);
    let error = failure(see_other).await;
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert!(error.may_have_been_applied());
}

#[tokio::test]
async fn a_missing_route_has_advice_on_the_base_url() {
    let no_route = r#"{"success":false,"errors":[{"code":7003,"message":"no route"}],"messages":[],"result":null}"#;
    for answer in [
        answer("404 Not Found", "text/plain", ""),
        json("400 Bad Request", no_route),
    ] {
        let server = RawServer::start(answer.as_str()).await;
        let error = server.tokens().list().page(1).await.unwrap_err();
        let advice = "; check the base URL and the ids";
        assert!(error.to_string().ends_with(advice), "{error}");
    }
}

#[test]
fn a_secret_in_the_place_of_an_id_is_not_shown() {
    let client = Client::builder().base_url("http://127.0.0.1:1");
    let client = client.api_token("t").build().unwrap();
    let error = client.account("cfast_aB3dE5gH7jK9mN1p").unwrap_err();
    assert!(!error.to_string().contains("aB3d"), "{error}");
}

#[tokio::test]
async fn an_invalid_id_has_advice() {
    let nowhere = Client::builder().base_url("http://127.0.0.1:1");
    let client = nowhere.api_token("t").build().unwrap();
    let account = client.account("").unwrap_err();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let client_id = "88bf3b6d86161464f6509f7219099e57.access.example.com";
    let token = tokens.refresh(client_id).await.unwrap_err();
    insta::assert_snapshot!(format!("{account}\n{token}"), @r#"
    "" is not a valid account id: it is empty; the dashboard shows it under the account's overview
    the given text is not a valid service token id: '.' at byte 32 is not an ASCII letter, a digit or `-`; it is the token's `id`, not its `client_id`
    "#);
}

/// The client's own rate limit has no room before the deadline.
#[tokio::test]
async fn a_call_that_the_rate_limit_delays_past_its_deadline() {
    let server = RawServer::start(json("200 OK", include_str!("../data/refreshed.json"))).await;
    let one = RateLimit::new(1, Duration::from_secs(300));
    let client = server
        .builder()
        .rate_limit(one)
        .clock(crate::support::clock());
    let tokens = client
        .build()
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens();
    let mut calls = 0;
    let error = loop {
        match tokens.refresh(TOKEN).await {
            Ok(_) => calls += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(server.requests().len(), calls);
    assert!(error.is_rate_limited());
    assert_eq!(error.attempts(), 0);
    assert_eq!(error.status(), None);
    assert!(!error.may_have_been_applied());
    let wait = format!("{:?}", error.retry_after().unwrap());
    insta::assert_snapshot!(error.to_string().replace(&wait, "WAIT"), @"refresh account service token: the client's rate limit would delay the call by WAIT, past its deadline; retry later, or give the call a longer deadline");
}

#[tokio::test]
async fn a_truncated_body() {
    let whole = json("200 OK", r#"{"success":true,"errors":[],"messages":[]}"#);
    let error = failure((&whole.as_bytes()[..whole.len() - 10], Then::Close)).await;
    assert!(error.kind() != ErrorKind::Timeout);
    assert!(!error.is_connect());
    assert!(error.may_have_been_applied());
    assert_carries_the_response(&error, 200);
    assert_eq!(
        error.body(),
        Some(&br#"{"success":true,"errors":[],"mes"#[..])
    );
    insta::assert_snapshot!(error, @"refresh account service token: the connection broke before the answer was complete (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA); the call may have taken effect; check the token to be sure");
}

#[tokio::test]
async fn a_connection_closed_without_an_answer() {
    let error = failure("").await;
    assert!(!error.is_connect(), "the request was sent");
    assert!(error.may_have_been_applied());
    assert_eq!(error.status(), None);
    insta::assert_snapshot!(error, @"refresh account service token: the connection broke before the answer was complete; the call may have taken effect; check the token to be sure");
}

#[tokio::test]
async fn an_answer_that_stalls() {
    let head_alone =
        "HTTP/1.1 200 OK\r\ncf-ray: 8f2b1c9d0e1f2a3b-FRA\r\ncontent-length: 10\r\n\r\n{";
    for (answer, status) in [("", None), ("HTTP/1.1 200", None), (head_alone, Some(200))] {
        let server = RawServer::start((answer, Then::Stall)).await;
        let stalled = async |timeout| {
            let client = server.builder().timeout(timeout).build();
            let tokens = client.unwrap().account(ACCOUNT).unwrap().service_tokens();
            tokens.refresh(TOKEN).await.unwrap_err()
        };
        let error = match status {
            None => crate::support::with_time_to_connect(stalled).await,
            Some(_) => crate::support::with_time_for_a_head(stalled).await,
        };
        assert_eq!(
            predicates(&error),
            "timeout, transient",
            "{answer:?}: {error}"
        );
        assert!(error.may_have_been_applied());
        assert_eq!(error.status().map(|status| status.as_u16()), status);
        if status.is_some() {
            assert_carries_the_response(&error, 200);
            assert_eq!(error.body(), Some(&b"{"[..]));
            let shown = error.to_string();
            let (_, timeout) = shown.split_once("within ").unwrap();
            let (timeout, _) = timeout.split_once(" (").unwrap();
            insta::assert_snapshot!(shown.replace(timeout, "TIMEOUT"), @"refresh account service token: timed out: no complete answer within TIMEOUT (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA); the call may have taken effect; check the token to be sure");
        }
    }
}

#[tokio::test]
async fn an_endless_body() {
    let head = "HTTP/1.1 200 OK\r\ncf-ray: 8f2b1c9d0e1f2a3b-FRA\r\n\r\n ";
    let server = RawServer::start((head, Then::Repeat)).await;
    let client = server.builder().body_limit(100_000).build().unwrap();
    let error = client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .refresh(TOKEN)
        .await
        .unwrap_err();
    assert_eq!(predicates(&error), "body_too_large");
    assert!(error.may_have_been_applied());
    assert_carries_the_response(&error, 200);
    assert_eq!(error.body().map(<[u8]>::len), Some(100_000));
    insta::assert_snapshot!(error, @"refresh account service token: the answer's body is larger than the 100000 bytes allowed (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA); the call may have taken effect; check the token to be sure");

    let error = server.tokens().refresh(TOKEN).await.unwrap_err();
    assert_eq!(error.body().map(<[u8]>::len), Some(4 * 1024 * 1024));
}

#[tokio::test]
async fn a_body_just_within_the_limit() {
    let body = include_str!("../data/refreshed.json");
    let server = RawServer::start(json("200 OK", body)).await;
    let tokens = |limit| {
        let client = server.builder().body_limit(limit).build().unwrap();
        client.account(ACCOUNT).unwrap().service_tokens()
    };
    assert!(tokens(body.len()).refresh(TOKEN).await.is_ok());
    let error = tokens(body.len() - 1).refresh(TOKEN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BodyTooLarge);
}

#[tokio::test]
async fn a_refused_connection() {
    let (_held, address) = crate::support::closed_port();
    let client = Client::builder()
        .api_token(CANARY)
        .base_url(format!("http://{address}"))
        .retry(Retry::none())
        .build();
    let tokens = client.unwrap().account(ACCOUNT).unwrap().service_tokens();
    let error = tokens.refresh(TOKEN).await.unwrap_err();
    assert_eq!(predicates(&error), "connect, transient");
    assert!(!error.may_have_been_applied());
    assert_eq!(error.status(), None);
    assert!(std::error::Error::source(&error).is_some());
    let shown = error.to_string().replace(&address.to_string(), "HOST:PORT");
    insta::assert_snapshot!(shown, @"refresh account service token: could not connect to HOST:PORT; check the network, the proxy settings and the base URL");
}
