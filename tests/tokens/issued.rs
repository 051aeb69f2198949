//! New secrets, which the API returns once, are never lost and never printed.

use crate::support::{ACCOUNT, CANARY, RawServer, Reply, TOKEN, Then, answer, json};
use std::time::Duration;

use cf_service_tokens::{
    ClientBuilder, CreateServiceToken, Error, ErrorKind, IssuedServiceToken, Method, Response,
    Retry, RotateServiceToken, ServiceToken, ServiceTokenCredentials, UpdateServiceToken,
};
use cf_service_tokens_simulator::{SeedToken, Simulator};
use secrecy::ExposeSecret;

const CLIENT_ID: &str = "88bf3b6d86161464f6509f7219099e57.access.example.com";

async fn rotate(reply: impl Into<Reply>) -> Result<Response<IssuedServiceToken>, Error> {
    let server = RawServer::start(reply).await;
    let tokens = server.tokens();
    tokens
        .rotate(TOKEN, &RotateServiceToken::revoke_now())
        .await
}

async fn create(reply: impl Into<Reply>) -> Result<Response<IssuedServiceToken>, Error> {
    let server = RawServer::start(reply).await;
    server.tokens().create(&CreateServiceToken::new("ci")).await
}

/// Undocumented answers to a rotation that took effect, with the secret at its
/// documented place. `SECRET` stands for the secret, `ID` for the client id.
const UNDOCUMENTED_ANSWERS: [(&str, &str); 7] = [
    (
        "a timestamp in another format",
        r#"{"success":true,"errors":[],"messages":[],"result":{"client_id":"ID","client_secret":"SECRET","expires_at":"next year"}}"#,
    ),
    (
        "fields of other types",
        r#"{"success":true,"errors":[],"messages":[],"result":{"id":7,"name":["ci"],"enabled":"yes","client_id":"ID","client_secret":"SECRET"}}"#,
    ),
    (
        "no client id",
        r#"{"success":true,"errors":[],"messages":[],"result":{"client_secret":"SECRET"}}"#,
    ),
    (
        "no envelope fields",
        r#"{"result":{"client_id":"ID","client_secret":"SECRET"}}"#,
    ),
    (
        "success of another type",
        r#"{"success":"true","errors":[],"messages":[],"result":{"client_id":"ID","client_secret":"SECRET"}}"#,
    ),
    (
        "null lists and an unknown field",
        r#"{"success":true,"errors":null,"messages":null,"result":{"client_id":"ID","client_secret":"SECRET","x":{"y":1}}}"#,
    ),
    (
        "a field that is nested too deeply",
        r#"{"success":true,"result":{"client_id":"ID","name":DEEP,"client_secret":"SECRET"}}"#,
    ),
];

/// Answers with the secret at another place, and that place.
const MISPLACED: [(&str, &[&str]); 11] = [
    (
        r#"{"client_id":"ID","client_secret":"SECRET"}"#,
        &["client_secret"],
    ),
    (
        r#"{"success":true,"errors":[],"messages":[],"result":[{"client_id":"ID","client_secret":"SECRET"}]}"#,
        &["result[0].client_secret"],
    ),
    (
        r#"[{"success":true,"result":{"client_id":"ID","client_secret":"SECRET"}}]"#,
        &["[0].result.client_secret"],
    ),
    (
        r#"{"success":true,"errors":[],"messages":[],"result":{"service_token":{"client_id":"ID","client_secret":"SECRET"}}}"#,
        &["result.service_token.client_secret"],
    ),
    (
        r#"{"success":true,"errors":[],"messages":[],"result":{"client_id":"ID","client_secret":{"algorithm":"sha256","value":"SECRET"}}}"#,
        &["result.client_secret.value"],
    ),
    (
        r#"{"success":true,"errors":[],"messages":[],"result":{"client_id":"ID","client_secret":["hidden","SECRET"]}}"#,
        &["result.client_secret[1]"],
    ),
    (
        r#"{"success":true,"errors":[],"messages":[],"result":{"client_id":"ID","client_secret":"********","clientSecret":"SECRET"}}"#,
        &["result.clientSecret"],
    ),
    (
        r#"{"success":true,"errors":[],"messages":[],"result":{"client_id":"ID","token":"FORMED","client_secret":""}}"#,
        &["result.token"],
    ),
    (
        r#"{"success":true,"errors":[],"messages":[],"result":"FORMED"}"#,
        &["result"],
    ),
    (
        r#"{"success":true,"errors":[],"messages":[],"result":null,"client_secret":"SECRET","FORMED":"FORMED"}"#,
        &["client_secret", "[redacted]"],
    ),
    (
        r#"{"success":true,"errors":[],"messages":[],"result":{"client_id":"ID","client_secret":"SECRET","client_secret":"FORMED"}}"#,
        &["result.client_secret", "result.client_secret"],
    ),
];

const FORMED: &str = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";

fn filled_in(body: &str) -> String {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    body.replace("SECRET", CANARY)
        .replace("FORMED", FORMED)
        .replace("DEEP", &deep)
        .replace("ID", CLIENT_ID)
}

#[tokio::test]
async fn undocumented_answers_keep_the_secret() {
    for (what, body) in UNDOCUMENTED_ANSWERS {
        let body = filled_in(body);
        for issued in [
            rotate(json("200 OK", &body)).await,
            create(json("201 Created", &body)).await,
            create(json("200 OK", &body)).await,
        ] {
            let issued = issued.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(issued.credentials().expose_secret(), CANARY, "{what}");
            let headers = issued.credentials().headers();
            if body.contains("client_id") {
                assert_eq!(issued.credentials().client_id(), Some(CLIENT_ID), "{what}");
                assert!(headers.is_ok());
            } else {
                assert!(headers.unwrap_err().is_configuration());
            }
            let mut shown = format!("{issued:?} {issued:#?}");
            shown += &format!("{:?}", issued.into_inner().into_parts());
            assert!(!shown.contains(CANARY), "{what}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_secret_at_another_place_is_an_error_that_names_the_place() {
    for (body, places) in MISPLACED {
        let body = filled_in(body);
        for issued in [
            rotate(json("200 OK", &body)).await,
            create(json("201 Created", &body)).await,
        ] {
            let error = issued.expect_err(&body);
            assert!(
                error.kind() == ErrorKind::Decode && error.may_have_been_applied(),
                "{error}"
            );
            assert_eq!(error.body(), Some(body.as_bytes()));
            assert_eq!(error.secret_places(), places, "{body}");
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains(&format!("may be at `{}`", places[0])),
                "{shown}"
            );
            assert!(
                !shown.contains(CANARY) && !shown.contains(FORMED),
                "{shown}"
            );
        }
    }
    let error = rotate(json("200 OK", &filled_in(MISPLACED[1].0))).await;
    insta::assert_snapshot!(error.unwrap_err(), @"rotate account service token: the answer can't be read at `result.client_secret`: expected a client secret (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 163 bytes); a secret may be at `result[0].client_secret`; the call may have taken effect; keep the body of the answer, and look for the secret there");
}

/// Makes each kind of call that makes a secret, at a server with this answer. Returns
/// the errors.
async fn failures_of_calls_that_make_a_secret(
    reply: Reply,
    set: impl Fn(ClientBuilder) -> ClientBuilder,
) -> [Error; 4] {
    let server = RawServer::start(reply).await;
    let client = set(server.builder()).build().unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let update = UpdateServiceToken::new().client_secret_version(2);
    let path = format!("/accounts/{ACCOUNT}/access/service_tokens/{TOKEN}/rotate");
    [
        tokens
            .create(&CreateServiceToken::new("ci"))
            .await
            .unwrap_err(),
        tokens
            .rotate(TOKEN, &RotateServiceToken::revoke_now())
            .await
            .unwrap_err(),
        tokens.update(TOKEN, &update).await.unwrap_err(),
        client
            .request(Method::POST, path)
            .send::<ServiceToken>()
            .await
            .unwrap_err(),
    ]
}

#[tokio::test]
async fn an_error_of_any_kind_names_the_places_of_a_secret() {
    let whole = filled_in(
        r#"{"success":true,"errors":[],"messages":[],"result":{"client_secret":"SECRET","id":"x","name":"ci"}}"#,
    );
    let refused = whole.replace("true", "false");
    let mut not_utf8 = json("200 OK", &whole.replace("ci", "c?")).into_bytes();
    let question = not_utf8.iter().position(|byte| *byte == b'?').unwrap();
    not_utf8[question] = 0xff;
    let cut = |answer: String| answer.as_bytes()[..answer.len() - 5].to_vec();
    let long = json("200 OK", &format!("{whole}{}", " ".repeat(5000)));
    let place = "result.client_secret";
    for (what, reply, place) in [
        (
            "a broken connection",
            Reply::from((cut(json("200 OK", &whole)), Then::Close)),
            place,
        ),
        (
            "a timeout",
            (cut(json("200 OK", &whole)), Then::Stall).into(),
            place,
        ),
        ("invalid UTF-8", (not_utf8, Then::Close).into(), place),
        (
            "half of the JSON",
            json("200 OK", &whole[..whole.len() - 5]).into(),
            place,
        ),
        ("success: false", json("200 OK", &refused).into(), place),
        ("HTTP 500", json("500 Oops", &whole).into(), place),
        ("a refusal", json("409 Conflict", &refused).into(), place),
        ("a redirect", json("302 Found", &whole).into(), place),
        ("a body beyond the limit", long.into(), place),
        (
            "a text",
            answer("200 OK", "text/plain", FORMED).into(),
            "body",
        ),
        (
            "a page",
            answer("502 Oops", "text/html", &format!("<p>{FORMED}</p>")).into(),
            "body",
        ),
    ] {
        let set = |builder: ClientBuilder| {
            // Long enough for the head and the start of the body on any machine.
            let timeout = match what {
                "a timeout" => Duration::from_secs(1),
                _ => Duration::from_secs(30),
            };
            builder.body_limit(4000).timeout(timeout)
        };
        for error in failures_of_calls_that_make_a_secret(reply, set).await {
            assert_eq!(error.secret_places(), [place], "{what}: {error}");
            let body = String::from_utf8_lossy(error.body().unwrap()).into_owned();
            assert!(body.contains(CANARY) || body.contains(FORMED), "{what}");
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains(&format!("a secret may be at `{place}`")),
                "{what}: {shown}"
            );
            assert!(shown.contains("keep the body"), "{what}: {shown}");
            assert!(
                !shown.contains(CANARY) && !shown.contains(FORMED),
                "{what}: {shown}"
            );
        }
    }
    // A refresh makes no secret, so the client does not search its answer.
    let server = RawServer::start(json("500 Oops", &whole)).await;
    let error = server.tokens().refresh(TOKEN).await.unwrap_err();
    assert_eq!(error.secret_places(), [""; 0]);
}

#[tokio::test]
async fn an_answer_that_is_too_deep_to_search_is_reported() {
    let body = filled_in(r#"{"success":true,"result":{"x":DEEP}}"#);
    let error = rotate(json("200 OK", &body)).await.unwrap_err();
    assert!(error.to_string().contains("nested too deeply"), "{error}");
    assert_eq!(error.body(), Some(body.as_bytes()));
}

#[tokio::test]
async fn unreadable_fields_are_named() {
    let body = UNDOCUMENTED_ANSWERS[1]
        .1
        .replace("SECRET", CANARY)
        .replace("ID", CLIENT_ID);
    let issued = rotate(json("200 OK", &body)).await.unwrap();
    let mut unreadable = issued.unreadable().to_vec();
    unreadable.sort();
    assert_eq!(unreadable, ["result.enabled", "result.id", "result.name"]);
    assert_eq!(issued.client_id.as_deref(), Some(CLIENT_ID));
}

#[tokio::test]
async fn a_text_that_mentions_a_secret_is_not_the_secret() {
    let hex = "bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420346af9d326b1d2a5";
    let formed = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";
    for (message, result) in [
        ("new secrets begin with cfast_, as in cfast_aB3dE", "null"),
        (hex, "null"),
        (formed, "null"),
        (
            "",
            &format!(r#"{{"logo":"https://example.com/{hex}.png"}}"#),
        ),
        ("", &format!(r#"{{"client_id":"{hex}"}}"#)),
        ("", &format!(r#"{{"note":"{formed} was the old one"}}"#)),
    ] {
        let body = format!(
            r#"{{"success":true,"errors":[{{"code":1002,"message":"{message}"}}],"messages":[{{"code":1001,"message":"{message}"}}],"result":{result}}}"#
        );
        let error = rotate(json("200 OK", &body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        assert_eq!(error.body(), Some(body.as_bytes()));
        assert_eq!(error.api_messages()[0].code, 1001);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(hex) && !shown.contains(formed), "{shown}");
    }
}

#[tokio::test]
async fn the_lists_of_an_undocumented_answer_are_kept() {
    for (success, result, unreadable) in [
        ("true", r#"[{"client_secret":"SECRET"}]"#, None),
        ("true", r#"null,"client_secret":"SECRET""#, None),
        (r#""yes""#, r#"{"client_secret":"SECRET"}"#, Some("success")),
        (
            "true",
            r#"{"id":7,"client_secret":"SECRET"}"#,
            Some("result.id"),
        ),
    ] {
        let result = result.replace("SECRET", CANARY);
        let body = format!(
            r#"{{"success":{success},"errors":[{{"code":1002,"message":"odd"}}],"messages":[{{"code":1001,"message":"store it"}}],"result":{result}}}"#
        );
        let (errors, messages) = match rotate(json("200 OK", &body)).await {
            Ok(issued) => {
                assert_eq!(issued.credentials().expose_secret(), CANARY);
                assert_eq!(issued.unreadable(), unreadable.as_slice());
                (issued.api_errors().to_vec(), issued.api_messages().to_vec())
            }
            Err(error) => {
                assert_eq!(unreadable, None, "{error}");
                (error.api_errors().to_vec(), error.api_messages().to_vec())
            }
        };
        assert_eq!(messages[0].message, "store it", "{body}");
        assert_eq!(errors[0].code, 1002, "{body}");
    }
}

#[tokio::test]
async fn an_answer_without_a_readable_secret_is_kept() {
    let whole = format!(
        r#"{{"success":true,"errors":[],"messages":[],"result":{{"client_secret":"{CANARY}"}}}}"#
    );
    let truncated = json("200 OK", &whole);
    let truncated = &truncated[..truncated.len() - 2];
    let cases = [
        ("half an answer", truncated.to_owned()),
        ("not JSON", json("200 OK", &whole[..whole.len() - 2])),
        (
            "a page",
            answer("200 OK", "text/html", &format!("<pre>{CANARY}</pre>")),
        ),
        ("a failure", json("200 OK", &whole.replace("true", "false"))),
        (
            "a field and a secret that are unknown",
            json("200 OK", &whole.replace("client_secret", "thing")),
        ),
    ];
    for (what, answer) in cases {
        let error = rotate(answer).await.unwrap_err();
        let body = String::from_utf8_lossy(error.body().unwrap()).into_owned();
        assert!(
            body.contains(CANARY),
            "{what}: the body must contain the secret"
        );
        assert!(error.may_have_been_applied(), "{what}");
        let mut shown = format!("{error} {error:?} {error:#?}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            shown += &format!("{cause} {cause:?}");
            source = cause.source();
        }
        assert!(!shown.contains(CANARY), "{what}: {shown}");
    }
}

#[tokio::test]
async fn an_answer_with_the_documented_fields_alone() {
    let body = format!(
        r#"{{"success":true,"errors":[],"messages":[],"result":{{"id":"{TOKEN}","client_id":"{CLIENT_ID}","client_secret":"{CANARY}","name":"CI/CD token","duration":"60m","enabled":true,"created_at":"2026-11-24T12:00:00Z","updated_at":"2026-11-25T12:00:00Z"}}}}"#
    );
    for issued in [
        create(json("201 Created", &body)).await,
        rotate(json("200 OK", &body)).await,
    ] {
        let issued = issued.unwrap();
        assert_eq!(issued.credentials().expose_secret(), CANARY);
        assert_eq!(issued.enabled, Some(true));
        assert!(issued.created_at < issued.updated_at);
        let undocumented = (issued.expires_at, issued.last_seen_at);
        assert_eq!(undocumented, (None, None));
        assert_eq!(issued.client_secret_version, None);
        assert!(issued.unreadable().is_empty());
    }
}

#[tokio::test]
async fn undocumented_fields_are_decoded() {
    let body = format!(
        r#"{{"success":true,"errors":[],"messages":[],"result":{{"id":"{TOKEN}","client_id":"{CLIENT_ID}","client_secret":"{CANARY}","name":"CI/CD token","duration":"60m","expires_at":"2027-11-24T12:00:00Z","last_seen_at":"2026-11-24T12:00:00Z","client_secret_version":2}}}}"#
    );
    let issued = create(json("201 Created", &body)).await.unwrap();
    assert_eq!(issued.status(), 201);
    assert_eq!(issued.id.as_deref(), Some(TOKEN));
    assert_eq!(issued.client_secret_version, Some(2));
    assert_eq!(
        issued.expires_at,
        Some("2027-11-24T12:00:00Z".parse().unwrap())
    );
    assert_eq!(
        issued.last_seen_at,
        Some("2026-11-24T12:00:00Z".parse().unwrap())
    );
    assert_eq!(issued.token().name.as_deref(), Some("CI/CD token"));
    assert!(issued.unreadable().is_empty());
    assert_eq!(issued.credentials().client_id(), Some(CLIENT_ID));
    assert_eq!(issued.credentials().expose_secret(), CANARY);
    let wrapped = issued.credentials().client_secret();
    assert_eq!(wrapped.expose_secret(), CANARY);
    insta::assert_debug_snapshot!(issued, @r#"
    Response {
        value: IssuedServiceToken {
            token: ServiceToken {
                client_id: Some(
                    "88bf3b6d86161464f6509f7219099e57.access.example.com",
                ),
                client_secret_version: Some(
                    2,
                ),
                created_at: None,
                duration: Some(
                    TokenDuration(
                        "60m",
                    ),
                ),
                enabled: None,
                expires_at: Some(
                    2027-11-24T12:00:00Z,
                ),
                id: Some(
                    "f174e90a-fafe-4643-bbbc-4a0ed4fc8415",
                ),
                last_seen_at: Some(
                    2026-11-24T12:00:00Z,
                ),
                name: Some(
                    "CI/CD token",
                ),
                updated_at: None,
            },
            credentials: ServiceTokenCredentials {
                client_id: Some(
                    "88bf3b6d86161464f6509f7219099e57.access.example.com",
                ),
                client_secret: SecretBox<str>([REDACTED]),
            },
        },
        status: 201,
        ray_id: Some(
            "8f2b1c9d0e1f2a3b-FRA",
        ),
        attempts: 1,
        api_errors: [],
        api_messages: [],
        unreadable: [],
        ..
    }
    "#);
}

#[test]
fn credentials_are_sent_in_sensitive_headers() {
    let credentials = ServiceTokenCredentials::new(CLIENT_ID, CANARY);
    let headers = credentials.headers().unwrap();
    assert_eq!(headers.len(), 2);
    assert_eq!(headers["CF-Access-Client-Id"], CLIENT_ID);
    assert_eq!(headers["CF-Access-Client-Secret"], CANARY);
    assert!(headers.values().all(http::HeaderValue::is_sensitive));

    let single = credentials.single_header().unwrap();
    assert!(single.is_sensitive());
    let both: serde_json::Value = serde_json::from_str(single.to_str().unwrap()).unwrap();
    assert_eq!(
        both,
        serde_json::json!({ "cf-access-client-id": CLIENT_ID, "cf-access-client-secret": CANARY })
    );
    let shown = format!("{credentials:?} {headers:?} {single:?}");
    assert!(!shown.contains(CANARY), "{shown}");
}

#[test]
fn credentials_that_cannot_be_sent_are_refused_without_being_shown() {
    let credentials = ServiceTokenCredentials::new(CLIENT_ID, format!("{CANARY}\n"));
    let error = credentials.headers().unwrap_err();
    assert!(error.is_configuration());
    assert!(!format!("{error} {error:?}").contains(CANARY));
    // JSON escapes the line break, so this header can be sent.
    assert!(credentials.single_header().is_ok());
}

#[tokio::test]
async fn an_update_that_rotates_returns_a_secret_in_the_answer() {
    for is_lenient in [true, false] {
        let mut builder = Simulator::builder().token(SeedToken::new("ci"));
        if is_lenient {
            builder = builder.lenient_answers();
        }
        let simulator = builder.start().await.unwrap();
        let tokens = crate::support::tokens_of(&simulator);
        let id = simulator.tokens()[0].id.clone();

        let raise = UpdateServiceToken::new().client_secret_version(2);
        let raised = tokens.update(&id, &raise).await.unwrap();
        assert_eq!(raised.new_credentials().is_some(), is_lenient);
        if let Some(credentials) = raised.new_credentials() {
            let shown = format!("{raised:?} {credentials:?}");
            assert!(!shown.contains(credentials.expose_secret()), "{shown}");
            let app = reqwest::Client::new().get(simulator.protected_url());
            let app = app.headers(credentials.headers().unwrap()).send();
            assert_eq!(app.await.unwrap().status(), 200);
        }
        let rename = UpdateServiceToken::new().name("deploy");
        let renamed = tokens.update(&id, &rename).await.unwrap();
        assert!(renamed.new_credentials().is_none());
    }
}

#[tokio::test]
async fn an_update_that_rotates_is_not_retried() {
    let fine = format!(
        r#"{{"success":true,"errors":[],"messages":[],"result":{{"id":"{TOKEN}","client_secret":"{CANARY}"}}}}"#
    );
    let raise = UpdateServiceToken::new().client_secret_version(2);
    let rename = UpdateServiceToken::new().name("ci");
    for (first, request, attempts) in [
        ("502 Bad Gateway", &raise, 1),
        ("502 Bad Gateway", &rename, 2),
        ("429 Too Many Requests", &raise, 2),
    ] {
        let answers = [answer(first, "text/plain", ""), json("200 OK", &fine)];
        let server = RawServer::in_turn(&answers).await;
        let retry = Retry::default().seed(1);
        let builder = server.builder().retry(retry).clock(crate::support::clock());
        let tokens = builder
            .build()
            .unwrap()
            .account(ACCOUNT)
            .unwrap()
            .service_tokens();
        let updated = tokens.update(TOKEN, request).await;
        assert_eq!(server.requests().len(), attempts, "{first}");
        match updated {
            Ok(token) => {
                let credentials = token.new_credentials().unwrap();
                assert_eq!(credentials.expose_secret(), CANARY);
            }
            Err(error) => assert!(error.may_have_been_applied(), "{error}"),
        }
    }
}
