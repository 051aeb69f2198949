//! The bounds of a call: the hosts that it contacts, and the time and memory that it
//! takes.

use std::time::Duration;

use crate::support::{ACCOUNT, CANARY, RawServer, TOKEN, Then, json};
use cf_service_tokens::{Client, ClientBuilder, Error, ErrorKind, Retry, RotateServiceToken};

const FINE: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#;

/// Gets a token, and returns its name.
async fn get(builder: ClientBuilder) -> Result<String, Error> {
    let client = builder.retry(Retry::none()).build()?;
    let token = client.account(ACCOUNT)?.service_tokens().get(TOKEN).await?;
    Ok(token.name.clone().unwrap_or_default())
}

#[tokio::test]
async fn no_credential_follows_a_redirect() {
    let elsewhere = RawServer::start(json("200 OK", FINE)).await;
    let address = elsewhere
        .base_url()
        .split_once("//")
        .map(|(_, a)| a.to_owned())
        .unwrap();
    let by_name = address.replace("127.0.0.1", "localhost");
    let targets = [
        (format!("http://{address}"), Some("127.0.0.1")),
        (format!("http://{by_name}"), Some("localhost")),
        (format!("//{by_name}"), None),
        ("/client/v4/elsewhere".to_owned(), None),
        ("?page=2".to_owned(), None),
    ];
    let cases: Vec<(u16, String, Option<&str>)> = [301, 302, 303, 307, 308]
        .into_iter()
        .flat_map(|code| {
            targets
                .clone()
                .map(|(location, host)| (code, location, host))
        })
        .collect();
    for builder in [
        Client::builder().api_token(CANARY),
        Client::builder().global_key("me@example.com", CANARY),
    ] {
        let answers: Vec<String> = cases
            .iter()
            .map(|(code, location, _)| {
                format!(
                    "HTTP/1.1 {code} Moved\r\nlocation: {location}\r\n\
                     content-length: 0\r\n\r\n"
                )
            })
            // One for a GET and one for a POST.
            .flat_map(|answer| [answer.clone(), answer])
            .collect();
        let server = RawServer::in_turn(&answers).await;
        let client = builder.base_url(server.base_url()).build().unwrap();
        let tokens = client.account(ACCOUNT).unwrap().service_tokens();
        for (code, location, host) in &cases {
            for error in [
                tokens.get(TOKEN).await.unwrap_err(),
                tokens.refresh(TOKEN).await.unwrap_err(),
            ] {
                assert_eq!(
                    error.kind(),
                    ErrorKind::Redirect,
                    "{code} {location}: {error}"
                );
                assert_eq!(error.status().unwrap().as_u16(), *code, "{location}");
                let named = host.map(|host| format!("{host:?}"));
                assert!(
                    named.is_none_or(|host| error.to_string().contains(&host)),
                    "{code} {location}: {error}"
                );
            }
        }
        // The client does not follow redirects on the same host either.
        assert_eq!(server.requests().len(), answers.len());
    }
    assert_eq!(elsewhere.requests(), [""; 0]);
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_timeout() {
    let head = "HTTP/1.1 200 OK\r\ncf-ray: 8f2b1c9d0e1f2a3b-FRA\r\n\r\n ";
    let server = RawServer::start((head, Then::Drip)).await;
    let error = crate::support::with_time_for_a_head(async |timeout| {
        get(server.builder().timeout(timeout)).await.unwrap_err()
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!(error.ray_id(), Some("8f2b1c9d0e1f2a3b-FRA"));
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_an_error() {
    let many = "x-a: b\r\n".repeat(10_000);
    let large = format!("x-a: {}\r\n", "b".repeat(2_000_000));
    for headers in [many, large] {
        let server = RawServer::start((
            format!("HTTP/1.1 200 OK\r\n{headers}\r\n{FINE}"),
            Then::Close,
        ))
        .await;
        let error = get(server.builder()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
    }
}

#[test]
fn plain_http_is_refused_unless_local_or_allowed() {
    let to = |url: &str| Client::builder().api_token("t").base_url(url);
    for url in [
        "http://127.0.0.1:1/v4",
        "http://127.9.9.9",
        "http://[::1]:1",
        "http://localhost:80",
    ] {
        assert!(to(url).build().is_ok(), "{url}");
    }
    for url in [
        "http://api.cloudflare.com",
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
    ] {
        let error = to(url).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{url}: {error}");
        assert!(to(url).allow_http().build().is_ok(), "{url}");
    }
}

#[test]
fn a_timeout_or_deadline_of_zero_is_refused() {
    let builder = || Client::builder().api_token("t");
    assert!(
        builder()
            .timeout(Duration::ZERO)
            .build()
            .unwrap_err()
            .is_configuration()
    );
    assert!(
        builder()
            .deadline(Duration::ZERO)
            .build()
            .unwrap_err()
            .is_configuration()
    );
}

/// Each body has as many parts as fit into the body limit of 4 MiB.
#[test]
fn many_small_parts_take_a_small_multiple_of_the_body() {
    const MIB: usize = 1024 * 1024;
    let fill = |start: &str, part: &str, end: &str| {
        let count = (4 * MIB - start.len() - end.len()) / part.len();
        format!("{start}{}{end}", part.repeat(count))
    };
    let causes = vec![r#"{"code":1}"#; 380].join(",");
    let with_causes = format!(r#"{{"code":1,"message":"m","error_chain":[{causes}]}}"#);
    for (call, body) in [
        ("list", fill(r#"{"success":true,"result":["#, "{},", "{}]}")),
        (
            "list",
            fill(r#"{"success":true,"result":["#, r#"{"id":7},"#, "{}]}"),
        ),
        (
            "refresh",
            fill(r#"{"success":false,"errors":["#, "7,", "7]}"),
        ),
        (
            "refresh",
            fill(
                r#"{"success":false,"errors":["#,
                &format!("{with_causes},"),
                &format!("{with_causes}]}}"),
            ),
        ),
        (
            "refresh",
            fill(
                r#"{"success":true,"messages":["#,
                "{},",
                r#"{}],"result":{}}"#,
            ),
        ),
        (
            "refresh",
            fill(
                r#"{"success":true,"result":{"id":7,"#,
                r#""":7,"#,
                r#""":7}}"#,
            ),
        ),
        (
            "rotate",
            fill(r#"{"success":true,"result":["#, "[],", "[]]}"),
        ),
        ("rotate", fill(r#"{"success":true,"result":["#, "[", "")),
    ] {
        assert!(body.len() <= 4 * MIB);
        let start = body[..40].to_owned();
        let answer = json("200 OK", &body);
        drop(body);
        // The count includes the server's copies of the answer, since the server runs
        // in this thread.
        let used = allocation_counter::measure(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async {
                let server = RawServer::start(answer).await;
                let tokens = server.tokens();
                match call {
                    "list" => drop(tokens.list().page(1).await),
                    "refresh" => drop(tokens.refresh(TOKEN).await),
                    _ => drop(
                        tokens
                            .rotate(TOKEN, &RotateServiceToken::revoke_now())
                            .await,
                    ),
                }
            });
        });
        let most = used.bytes_max;
        assert!(most < 64 * MIB as u64, "{start}…: {most} bytes");
    }
}
