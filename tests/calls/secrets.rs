//! No output of the crate contains a planted secret.

use std::error::Error as _;
use std::fmt::{Debug, Display};

use crate::support::{ACCOUNT, CANARY, RawServer, TOKEN, Then, answer, json};
use cf_service_tokens::{
    Client, CreateServiceToken, Error, ErrorKind, RotateServiceToken, UpdateServiceToken,
};

/// Checks every way to print a value.
fn assert_clean(what: &str, debug: &dyn Debug, display: Option<&dyn Display>) {
    let mut shown = format!("{debug:?} {debug:#?}");
    if let Some(display) = display {
        shown += &format!("{display} {display:#}");
    }
    assert!(!shown.contains(CANARY), "{what} shows the secret: {shown}");
}

fn assert_clean_error(what: &str, error: &Error) {
    assert_clean(what, error, Some(error));
    let mut source = error.source();
    while let Some(error) = source {
        assert_clean(what, &error, Some(&error));
        source = error.source();
    }
    assert_clean(what, &error.api_errors(), None);
    assert_clean(what, &error.api_messages(), None);
}

#[test]
fn clients_show_no_credentials() {
    let builders = [
        Client::builder().api_token(CANARY),
        Client::builder().global_key("me@example.com", CANARY),
        Client::builder().api_token(CANARY).api_token(CANARY),
    ];
    for builder in builders {
        assert_clean("the builder", &builder, None);
        match builder.build() {
            Ok(client) => {
                assert_clean("the client", &client, None);
                assert_clean(
                    "the tokens",
                    &client.account(ACCOUNT).unwrap().service_tokens(),
                    None,
                );
            }
            Err(error) => assert_clean_error("an ambiguous client", &error),
        }
    }
}

#[test]
fn configuration_errors_show_no_credentials() {
    let with = |secret: String| {
        [
            Client::builder().api_token(secret.clone()).build(),
            Client::builder()
                .global_key("me@example.com", secret.clone())
                .build(),
            Client::builder().global_key(secret.clone(), "key").build(),
        ]
    };
    for secret in [
        format!("{CANARY} "),
        format!("{CANARY}\n"),
        format!("é{CANARY}"),
    ] {
        for client in with(secret) {
            assert_clean_error("a bad secret", &client.unwrap_err());
        }
    }
    let url = format!("https://me:{CANARY}@example.com");
    let builder = Client::builder().api_token("t").base_url(url);
    assert_clean("a builder with such a base URL", &builder, None);
    let client = builder.build();
    assert_clean_error("a base URL with a password", &client.unwrap_err());
}

#[tokio::test]
async fn answers_that_repeat_the_credentials_are_redacted() {
    let echo = format!("your request was: Authorization: Bearer {CANARY}");
    let failure = format!(
        r#"{{"success":false,"errors":[{{"code":6111,"message":"{echo}"}}],"messages":[{{"code":1,"message":"{echo}"}}],"result":null}}"#
    );
    let problem = format!(r#"{{"title":"{echo}","detail":"{echo}","error_code":1020}}"#);
    let wrong_shape = format!(r#"{{"success":"{CANARY}","errors":[],"messages":[]}}"#);
    for answer in [
        answer("403 Forbidden", "text/html", &echo),
        answer("502 Bad Gateway", "text/plain", &echo),
        answer("200 OK", "text/plain", &echo),
        answer("403 Forbidden", "application/problem+json", &problem),
        json("200 OK", &failure),
        json("400 Bad Request", &failure),
        json("200 OK", &wrong_shape),
        json("200 OK", &failure[..100]),
    ] {
        let server = RawServer::start(answer.clone()).await;
        let error = server.tokens().refresh(TOKEN).await.unwrap_err();
        assert_clean_error(&answer, &error);
        let body = error.body().unwrap();
        assert!(
            String::from_utf8_lossy(body).contains(CANARY) || answer.contains("6111"),
            "the body is not redacted"
        );
    }
}

#[tokio::test]
async fn client_secrets_in_answers_are_redacted() {
    for secret in [
        "bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420346af9d326b1d2a5",
        "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd",
    ] {
        let page = format!("<pre>{{\"client_secret\": \"{secret}\"}}</pre>");
        let server = RawServer::start(answer("500 Oops", "text/html", &page)).await;
        let error = server.tokens().refresh(TOKEN).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(secret), "{shown}");
        assert!(shown.contains("[redacted]"), "{shown}");
    }
}

#[tokio::test]
async fn a_response_shows_no_credentials() {
    let body = format!(
        r#"{{"success":true,"errors":[],"messages":[{{"code":1,"message":"Bearer {CANARY}"}}],"result":{{"name":"ci"}}}}"#
    );
    let server = RawServer::start(json("200 OK", &body)).await;
    let response = server.tokens().refresh(TOKEN).await.unwrap();
    assert_clean("the response", &response, None);
    assert_clean("its messages", &response.api_messages(), None);
    insta::assert_debug_snapshot!(response, @r#"
    Response {
        value: ServiceToken {
            client_id: None,
            client_secret_version: None,
            created_at: None,
            duration: None,
            enabled: None,
            expires_at: None,
            id: None,
            last_seen_at: None,
            name: Some(
                "ci",
            ),
            updated_at: None,
        },
        status: 200,
        ray_id: Some(
            "8f2b1c9d0e1f2a3b-FRA",
        ),
        attempts: 1,
        api_errors: [],
        api_messages: [
            ApiMessage {
                code: 1,
                message: "Bearer [redacted]",
                documentation_url: None,
                source: None,
                error_chain: [],
            },
        ],
        unreadable: [],
        ..
    }
    "#);
}

#[tokio::test]
async fn debug_of_an_error() {
    let body = r#"{"success":false,"errors":[{"code":7003,"message":"no route"}],"messages":[],"result":null}"#;
    let server = RawServer::start(json("404 Not Found", body)).await;
    let error = server.tokens().refresh(TOKEN).await.unwrap_err();
    insta::assert_debug_snapshot!(error, @"refresh account service token: the API refused the call (HTTP 404, ray id 8f2b1c9d0e1f2a3b-FRA): 7003 no route; check the base URL and the ids");
}

#[tokio::test]
async fn a_secret_that_is_cut_off_is_redacted() {
    let page = format!("<pre>Authorization: Bearer {CANARY}");
    for cut in 1..=CANARY.len() - 8 {
        let whole = answer("502 Bad Gateway", "text/html", &page);
        let broken = &whole.as_bytes()[..whole.len() - cut];
        let server = RawServer::start((broken, Then::Close)).await;
        let error = server.tokens().refresh(TOKEN).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&CANARY[..8]), "{shown}");
        assert!(shown.contains("Bearer [redacted]"), "{shown}");
    }
}

#[tokio::test]
async fn headers_that_repeat_the_credentials_are_not_shown() {
    let formed = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";
    for secret in [CANARY, formed] {
        for (status, body) in [
            (
                "200 OK",
                r#"{"success":true,"errors":[],"messages":[],"result":{}}"#,
            ),
            ("200 OK", "<html>"),
            ("302 Found", ""),
            ("500 Oops", "<html>"),
        ] {
            let answer = format!(
                "HTTP/1.1 {status}\r\ncf-ray: ray-{secret}\r\ncontent-type: text/{secret}\r\n\
                 location: https://{secret}.example.com/\r\nserver: fine\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            let server = RawServer::start(answer).await;
            let (shown, ray_id, headers) = match server.tokens().refresh(TOKEN).await {
                Ok(token) => (
                    format!("{token:?}"),
                    token.ray_id().map(ToOwned::to_owned),
                    token.headers().clone(),
                ),
                Err(error) => (
                    format!("{error} {error:?}"),
                    error.ray_id().map(ToOwned::to_owned),
                    error.headers().unwrap().clone(),
                ),
            };
            let shown = shown.to_lowercase();
            assert!(!shown.contains(&secret.to_lowercase()), "{shown}");
            assert_eq!(ray_id, None);
            assert!(!headers.contains_key("content-type") && !headers.contains_key("location"));
            assert_eq!(headers["server"], "fine");
        }
    }
}

/// The answer to a call that makes a secret may hold one in an unknown form.
#[tokio::test]
async fn an_answer_to_a_call_that_makes_a_secret_is_never_quoted() {
    for body in [
        r#"{"client_secret":"cfsec2_aB3dE5gH7jK9mN1pQ3sT5vW7yZ"}"#,
        r#"["cfsec2_aB3dE5gH7jK9mN1pQ3sT5vW7yZ"]"#,
        r#"oops {"client_secret":"cfsec2_aB3dE5gH7jK9mN1pQ3sT5vW7yZ"}"#,
        "<p>client_secret: <b>cfsec2_aB3dE5gH7jK9mN1pQ3sT5vW7yZ</b>",
        r#"{"success":false,"errors":[{"code":1234,"message":"made cfsec2_aB3dE5gH7jK9mN1pQ"}]}"#,
        r#"{"success":false,"errors":[{"code":1234,"message":"","error_chain":[{"code":1,"message":"cfsec2_aB3dE5gH7jK9mN1pQ"}]}]}"#,
        r#"{"title":"made","detail":"cfsec2_aB3dE5gH7jK9mN1pQ","status":502,"cloudflare_error":true}"#,
    ] {
        let server = RawServer::start(answer("502 Bad Gateway", "text/plain", body)).await;
        let tokens = server.tokens();
        let raise = UpdateServiceToken::new().client_secret_version(2);
        let create = CreateServiceToken::new("ci");
        let rotate = RotateServiceToken::revoke_now();
        for error in [
            tokens.create(&create).await.unwrap_err(),
            tokens.rotate(TOKEN, &rotate).await.unwrap_err(),
            tokens.update(TOKEN, &raise).await.unwrap_err(),
        ] {
            assert_eq!(error.body(), Some(body.as_bytes()));
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("cfsec2"), "{shown}");
            assert_eq!(shown.contains("1234"), body.contains("1234"), "{shown}");
        }
        let error = tokens.refresh(TOKEN).await.unwrap_err();
        assert!(
            error.to_string().contains("cfsec2"),
            "this call makes no secret"
        );
    }
}
