//! The messages of errors: their causes, their advice, and what they leave out.

use super::faults::{HTML, failure};
use crate::support::{ACCOUNT, CANARY, RawServer, TOKEN, answer, json};
use cf_service_tokens::{Client, ErrorKind, Retry};

#[tokio::test]
async fn the_cause_of_refused_headers_is_shown_and_sets_the_predicates() {
    for (code, message) in [
        (6111, "Invalid format for Authorization header"),
        (6103, "Invalid format for X-Auth-Key header"),
    ] {
        let body = format!(
            r#"{{"success":false,"errors":[{{"code":6003,"message":"Invalid request headers","error_chain":[{{"code":{code},"message":"{message}"}}]}}],"messages":[],"result":null}}"#
        );
        let error = failure(json("400 Bad Request", &body)).await;
        assert!(error.is_auth() && error.is_unauthenticated(), "{error}");
        assert_eq!(error.api_errors()[0].error_chain[0].code, code);
        if code == 6111 {
            insta::assert_snapshot!(error, @r#"refresh account service token: the API refused the call (HTTP 400, ray id 8f2b1c9d0e1f2a3b-FRA): 6003 Invalid request headers: 6111 Invalid format for Authorization header; check that the credentials are right, that they have the permission "Access: Service Tokens Write", and that they belong to the account"#);
        }
    }
    let body = r#"{"success":false,"errors":[{"code":6003,"message":"Invalid request headers"}]}"#;
    let error = failure(json("400 Bad Request", body)).await;
    assert!(!error.is_auth(), "another header may be at fault");
}

#[tokio::test]
async fn a_cause_that_is_only_a_code_is_kept() {
    let body = r#"{"success":false,"errors":[
        {"code":6003,"message":"Invalid request headers","error_chain":[
            {"code":1,"message":"m","source":7,"error_chain":[{"code":2.0}]},
            {"message":"no code"},
            {"code":6111}]},
        {"code":1000}]}"#;
    let error = failure(json("400 Bad Request", body)).await;
    assert!(error.is_auth(), "{error}");
    let [first, second] = error.api_errors() else {
        panic!("two errors: {error}");
    };
    let codes: Vec<i64> = first.error_chain.iter().map(|cause| cause.code).collect();
    assert_eq!(codes, [1, 6111]);
    assert_eq!(first.error_chain[0].error_chain[0].code, 2);
    assert_eq!((second.code, second.message.as_str()), (1000, ""));
    let shown = error.to_string();
    assert!(
        shown.contains("): 6003 Invalid request headers: 1 m: 2: 6111, 1000; check"),
        "{shown}"
    );
}

#[tokio::test]
async fn the_text_of_an_error_is_short_however_many_messages_there_are() {
    let words = "x".repeat(600);
    let many = |count: usize| {
        let one = format!(r#"{{"code":1,"message":"{words}"}}"#);
        vec![one; count].join(",")
    };
    let last = r#"{"code":6111,"message":"Invalid format for Authorization header"}"#;
    // An error keeps 1000 entries, the causes included.
    for (errors, keeps_last) in [
        (format!(r#"{},{last}"#, many(1000)), false),
        (
            format!(
                r#"{{"code":6003,"message":"headers","error_chain":[{},{last}]}}"#,
                many(998)
            ),
            true,
        ),
    ] {
        let body = format!(r#"{{"success":false,"errors":[{errors}]}}"#);
        let error = failure(json("400 Bad Request", &body)).await;
        let shown = error.to_string();
        assert!(shown.len() < 7000, "{}", shown.len());
        assert!(shown.contains(" and 990 more"), "{shown}");
        assert_eq!(error.is_auth(), keeps_last);
    }
}

#[tokio::test]
async fn problem_json_of_the_edge_has_title_and_detail() {
    let problem = |status: u16, code: u16| {
        format!(
            r#"{{"type":"https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/error-{code}/","title":"Error {code}: A title","status":{status},"detail":"It can't be done.","instance":"8f2b1c9d0e1f2a3b","error_code":{code},"retryable":false,"cloudflare_error":true}}"#
        )
    };
    for (status, code, kind) in [
        ("403 Forbidden", 1020, ErrorKind::Blocked),
        ("502 Bad Gateway", 502, ErrorKind::Status),
        ("530 Origin DNS", 1016, ErrorKind::Status),
    ] {
        let body = problem(status[..3].parse().unwrap(), code);
        let answer = answer(status, "application/problem+json", &body);
        let error = failure(answer).await;
        assert_eq!(error.kind(), kind);
        let problem = error.problem().unwrap();
        assert_eq!(
            problem.title.as_deref(),
            Some(format!("Error {code}: A title").as_str())
        );
        assert_eq!(problem.detail.as_deref(), Some("It can't be done."));
        assert_eq!(problem.error_code, Some(i64::from(code)));
        assert_eq!(problem.retryable, Some(false));
        match code {
            1020 => {
                insta::assert_snapshot!(error, @"refresh account service token: Cloudflare's edge blocked the request before it reached the API (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): Error 1020: A title: It can't be done; call from another IP address, or ask Cloudflare's support with the ray id")
            }
            502 => {
                insta::assert_snapshot!(error, @"refresh account service token: the server answered with an error that does not come from the API (HTTP 502, ray id 8f2b1c9d0e1f2a3b-FRA, application/problem+json, 280 bytes): Error 502: A title: It can't be done; the call may have taken effect; check the token to be sure")
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_block_by_the_edge_is_reported() {
    let challenge = answer("403 Forbidden", "text/html", HTML).replacen(
        "\r\n",
        "\r\ncf-mitigated: challenge\r\n",
        1,
    );
    let mut said = Vec::new();
    for answer in [
        answer("403 Forbidden", "text/plain", "error code: 1010"),
        answer("403 Forbidden", "text/plain", "error code: 1006\n"),
        answer("429 Too Many Requests", "text/plain", "error code: 1015"),
        challenge,
    ] {
        let error = failure(answer).await;
        assert_eq!(error.kind(), ErrorKind::Blocked, "{error}");
        assert!(
            !error.is_auth()
                && error.kind() != ErrorKind::Refused
                && !error.may_have_been_applied()
        );
        let is_rate = error.status().unwrap() == 429;
        assert_eq!(
            (error.is_transient(), error.is_rate_limited()),
            (is_rate, is_rate)
        );
        said.push(error.to_string());
    }
    insta::assert_snapshot!(said.join("\n"), @"
    refresh account service token: Cloudflare's edge blocked the request before it reached the API (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): error code 1010; send a `User-Agent` that names your program, and check that no proxy changes the request
    refresh account service token: Cloudflare's edge blocked the request before it reached the API (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): error code 1006; call from another IP address, or ask Cloudflare's support with the ray id
    refresh account service token: Cloudflare's edge blocked the request before it reached the API (HTTP 429, ray id 8f2b1c9d0e1f2a3b-FRA): error code 1015; send fewer requests from this IP address, and wait for as long as `Retry-After` says
    refresh account service token: Cloudflare's edge blocked the request before it reached the API (HTTP 403, a challenge for browsers, ray id 8f2b1c9d0e1f2a3b-FRA); call from an IP address with a better reputation, with a `User-Agent` that names your program
    ");
    for other in ["error code: 502", "error code: x"] {
        let error = failure(answer("502 Bad Gateway", "text/plain", other)).await;
        assert_eq!(error.kind(), ErrorKind::Status, "{error}");
    }
}

#[tokio::test]
async fn an_account_without_access_and_a_forbidden_address_have_their_own_advice() {
    let refused = |code: i64, message: &str| {
        format!(
            r#"{{"success":false,"errors":[{{"code":{code},"message":"{message}"}}],"messages":[],"result":null}}"#
        )
    };
    let not_enabled = refused(
        9999,
        "access.api.error.not_enabled: Access is not enabled. Visit the Access dashboard and click the 'Enable Access' button.",
    );
    let error = failure(json("403 Forbidden", &not_enabled)).await;
    assert!(!error.is_auth() && error.kind() == ErrorKind::Refused);
    insta::assert_snapshot!(error, @"refresh account service token: the API refused the call (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): 9999 access.api.error.not_enabled: Access is not enabled. Visit the Access dashboard and click the 'Enable Access' button; enable Access for the account: open Zero Trust in Cloudflare's dashboard");
    let address = refused(
        9109,
        "Cannot use the access token from location: 203.0.113.7",
    );
    let error = failure(json("403 Forbidden", &address)).await;
    assert!(error.is_auth() && error.is_unauthenticated());
    insta::assert_snapshot!(error, @"refresh account service token: the API refused the call (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): 9109 Cannot use the access token from location: 203.0.113.7; call from an IP address that the API token allows, or change the token's client IP address filter");
}

#[tokio::test]
async fn control_characters_in_a_message_are_escaped() {
    let body = r#"{"success":false,"errors":[{"code":1000,"message":"can't \"é\"\u001b[2J\n"}]}"#;
    let error = failure(json("400 Bad Request", body)).await;
    let shown = error.to_string();
    assert!(shown.ends_with(r#": 1000 can't "é"\u{1b}[2J\n"#), "{shown}");
}

#[tokio::test]
async fn a_proxy_that_requires_a_password_is_not_retried() {
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";
    for base_url in ["https://api.example.com", "http://api.example.com"] {
        if base_url.starts_with("https")
            && cfg!(not(any(feature = "rustls", feature = "native-tls")))
        {
            continue; // without TLS, building the client fails
        }
        let server = RawServer::start(refusal).await;
        let proxy = server.base_url().replace("/client/v4", "");
        let proxy = reqwest::Proxy::all(proxy).unwrap();
        let client = Client::builder()
            .api_token(CANARY)
            .base_url(base_url)
            .allow_http()
            .http_client(move |http| http.proxy(proxy.clone()))
            .clock(crate::support::clock())
            .build()
            .unwrap();
        let tokens = client.account(ACCOUNT).unwrap().service_tokens();
        let error = tokens.refresh(TOKEN).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Proxy, "{error:?}");
        assert!(error.is_connect() && !error.is_transient() && !error.may_have_been_applied());
        assert_eq!((error.attempts(), server.requests().len()), (1, 1));
        if base_url.starts_with("https") {
            insta::assert_snapshot!(error, @"refresh account service token: could not use the proxy; check HTTPS_PROXY and ALL_PROXY: the proxy's URL must begin with `http://` or `https://`, and contain the user name and the password if the proxy requires them");
        }
    }
}

#[tokio::test]
async fn an_error_is_cheap_to_clone_and_readable_from_main() {
    let (_held, address) = crate::support::closed_port();
    let client = Client::builder()
        .api_token(CANARY)
        .base_url(format!("http://{address}"))
        .retry(Retry::none())
        .build();
    let tokens = client.unwrap().account(ACCOUNT).unwrap().service_tokens();
    let error = tokens.refresh(TOKEN).await.unwrap_err();
    let copy = error.clone();
    assert_eq!(copy.to_string(), error.to_string());
    let shown = format!("{copy:#?}");
    let shown = shown.replace(&address.to_string(), "HOST:PORT");
    assert_eq!(shown.lines().count(), 1);
    assert!(
        shown.starts_with("refresh account service token: could not connect to HOST:PORT; "),
        "{shown}"
    );
    assert!(shown.contains("; cause: ") && shown.len() < 400, "{shown}");
}
