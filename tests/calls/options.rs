//! The settings of a client and the options of certain calls.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Waker};
use std::time::Duration;

use crate::support::{ACCOUNT, CANARY, RawServer, TOKEN, Then, json};
use cf_service_tokens::{
    Client, Credentials, ErrorKind, Event, RateLimit, Retry, ServiceTokens, WaitReason,
};
use http::{HeaderName, HeaderValue, Method};

const ANSWER: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#;

#[tokio::test]
async fn a_call_with_its_own_timeout() {
    let server = RawServer::start(("", Then::Stall)).await;
    for set in ["timeout", "deadline"] {
        let error = crate::support::with_time_to_connect(async |time| {
            let hurried = server.tokens().with(|call| match set {
                "timeout" => call.timeout(time),
                _ => call.deadline(time),
            });
            hurried.refresh(TOKEN).await.unwrap_err()
        })
        .await;
        assert_eq!(error.kind(), ErrorKind::Timeout, "{set}: {error}");
    }
}

#[tokio::test]
async fn extra_headers_are_sent_only_by_their_own_calls() {
    let server = RawServer::start(json("200 OK", ANSWER)).await;
    let tokens = server.tokens();
    let marked = tokens.with(|call| {
        call.header(
            HeaderName::from_static("x-request-source"),
            HeaderValue::from_static("nightly"),
        )
    });
    marked.refresh(TOKEN).await.unwrap();
    tokens.refresh(TOKEN).await.unwrap();
    let [first, second] = &server.requests()[..] else {
        panic!("expected two requests");
    };
    assert!(first.contains("x-request-source: nightly\r\n"), "{first}");
    assert!(!second.contains("x-request-source"), "{second}");
}

#[tokio::test]
async fn options_of_the_client_apply_to_its_accounts() {
    let server = RawServer::start(json("200 OK", ANSWER)).await;
    let client = server.builder().build().unwrap().with(|call| {
        call.header(
            HeaderName::from_static("x-request-source"),
            HeaderValue::from_static("nightly"),
        )
    });
    client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .get(TOKEN)
        .await
        .unwrap();
    client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .get(TOKEN)
        .await
        .unwrap();
    for request in server.requests() {
        assert!(
            request.contains("x-request-source: nightly\r\n"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn credentials_cannot_be_set_for_a_call() {
    let server = RawServer::start(json("200 OK", ANSWER)).await;
    for name in ["authorization", "x-auth-email", "x-auth-key", "host"] {
        let tokens = server.tokens().with(|call| {
            call.header(
                HeaderName::from_static(name),
                HeaderValue::from_static("other"),
            )
        });
        let error = tokens.refresh(TOKEN).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn a_call_without_time_is_not_sent() {
    let server = RawServer::start(json("200 OK", ANSWER)).await;
    for set in ["timeout", "deadline"] {
        let tokens = server.tokens().with(|call| match set {
            "timeout" => call.timeout(Duration::ZERO),
            _ => call.deadline(Duration::ZERO),
        });
        let error = tokens.refresh(TOKEN).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{set}: {error}");
        assert!(!error.may_have_been_applied());
    }
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn the_user_agent_of_a_call_takes_precedence_over_the_clients() {
    let server = RawServer::start(json("200 OK", ANSWER)).await;
    let own = HeaderValue::from_static("nightly-job/3");
    let tokens = server
        .tokens()
        .with(|call| call.header(http::header::USER_AGENT, own));
    tokens.refresh(TOKEN).await.unwrap();
    let request = server.request();
    assert!(request.contains("user-agent: nightly-job/3\n"), "{request}");
    assert_eq!(request.matches("user-agent").count(), 1, "{request}");
    assert!(request.contains("authorization: Bearer"), "{request}");
}

#[tokio::test]
async fn settings_of_the_http_client_cannot_enable_redirects_or_retries() {
    let other = RawServer::start(json("200 OK", ANSWER)).await;
    let redirect = json("307 Temporary Redirect", "{}").replacen(
        "\r\n",
        &format!("\r\nlocation: {}/elsewhere\r\n", other.base_url()),
        1,
    );
    let server = RawServer::start(redirect).await;
    let retry_all = || {
        reqwest::retry::for_host("127.0.0.1")
            .no_budget()
            .max_retries_per_request(3)
            .classify_fn(|attempt| attempt.retryable())
    };
    let client = Client::builder()
        .global_key("me@example.com", CANARY)
        .base_url(server.base_url())
        .retry(Retry::none())
        .http_client(move |http| {
            http.redirect(reqwest::redirect::Policy::limited(10))
                .retry(retry_all())
        })
        .build()
        .unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let error = tokens.refresh(TOKEN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redirect, "{error}");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(other.requests(), [""; 0], "the key went to another host");
}

#[tokio::test]
async fn a_timeout_of_the_http_client_is_not_reported_as_the_clients() {
    let server =
        RawServer::start(("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", Then::Stall)).await;
    let error = crate::support::with_time_for_a_head(async |time| {
        let builder = server.builder().timeout(Duration::from_secs(3600));
        let client = builder.http_client(move |http| http.read_timeout(time));
        let account = client.build().unwrap().account(ACCOUNT).unwrap();
        account.service_tokens().refresh(TOKEN).await.unwrap_err()
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let shown = error.to_string();
    assert!(
        shown.contains(
            "timed out: no complete answer within the HTTP client's own limit (HTTP 200)"
        ),
        "{shown}"
    );
}

#[tokio::test]
async fn a_client_with_other_credentials_has_its_own_limit_and_redaction() {
    let refusal = format!(
        r#"{{"success":false,"errors":[{{"code":1,"message":"first {CANARY} second second-canary"}}],"messages":[],"result":null}}"#
    );
    let server = RawServer::start(json("400 Bad Request", &refusal)).await;
    let first = server
        .builder()
        .user_agent("mine/1")
        .rate_limit(RateLimit::new(1, Duration::from_secs(86_400)))
        .build()
        .unwrap();
    let second = Credentials::ApiToken("second-canary".into());
    let second = first.with_credentials(second).unwrap();
    let mut shown = Vec::new();
    for client in [&first, &second] {
        let tokens = client.account(ACCOUNT).unwrap().service_tokens();
        shown.push(tokens.refresh(TOKEN).await.unwrap_err().to_string());
        let error = tokens.refresh(TOKEN).await.unwrap_err();
        assert!(error.is_rate_limited() && error.attempts() == 0, "{error}");
    }
    assert!(!shown[0].contains(CANARY), "{}", shown[0]);
    assert!(!shown[1].contains("second-canary"), "{}", shown[1]);
    let requests = server.requests();
    assert!(requests[0].contains(&format!("authorization: Bearer {CANARY}\r\n")));
    assert!(requests[1].contains("authorization: Bearer second-canary\r\n"));
    assert!(!requests[1].contains(CANARY), "{}", requests[1]);
    assert!(
        requests
            .iter()
            .all(|request| request.contains("user-agent: mine/1\r\n"))
    );

    let key = Credentials::GlobalKey {
        email: "me@example.com".to_owned(),
        key: "key".into(),
    };
    let third = first.with_credentials(key).unwrap();
    let tokens = third.account(ACCOUNT).unwrap().service_tokens();
    assert!(tokens.refresh(TOKEN).await.is_err());
    let request = &server.requests()[2];
    assert!(request.contains("x-auth-key: key\r\n") && !request.contains("authorization"));
}

#[tokio::test]
async fn events_report_attempts_and_the_start_and_end_of_waits() {
    let busy = json("429 Too Many Requests", "{}").replacen("\r\n", "\r\nretry-after: 7\r\n", 1);
    let server = RawServer::in_turn(&[busy, json("200 OK", ANSWER)]).await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let client = server
        .builder()
        .clock(crate::support::exact_clock())
        .retry(Retry::default().backoff(Duration::ZERO, Duration::ZERO))
        .rate_limit(RateLimit::new(1, Duration::from_secs(20)))
        .on_event(move |event| log.lock().unwrap().push(line(event)))
        .build()
        .unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    tokens.refresh(TOKEN).await.unwrap();
    insta::assert_snapshot!(events.lock().unwrap().join("\n"), @"
    refresh_account_service_token: attempt 1
    attempt 1: POST /accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415/refresh Some(429) in 0ns, rate limited: Some(true)
    wait for backoff until 2026-11-24 12:00:07 UTC
    the backoff is over
    wait for rate limit until 2026-11-24 12:00:20 UTC
    the wait for the rate limit is over
    refresh_account_service_token: attempt 2
    attempt 2: POST /accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415/refresh Some(200) in 0ns, rate limited: None
    ");

    events.lock().unwrap().clear();
    let mut call = Box::pin(tokens.refresh(TOKEN));
    assert!(
        call.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(call);
    insta::assert_snapshot!(events.lock().unwrap().join("\n"), @"
    wait for rate limit until 2026-11-24 12:00:40 UTC
    the wait for the rate limit is over
    ");
}

#[tokio::test]
async fn the_path_of_an_event_shows_no_credential() {
    let server = RawServer::start(json("200 OK", ANSWER)).await;
    let paths = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&paths);
    let client = server
        .builder()
        .on_event(move |event| {
            if let Event::AttemptEnded { path, .. } = event {
                log.lock().unwrap().push((*path).to_owned());
            }
        })
        .build()
        .unwrap();
    let request = client
        .request(Method::GET, "/accounts")
        .query("page", "2")
        .query("key", CANARY);
    let _ = request.send::<serde_json::Value>().await;
    assert_eq!(*paths.lock().unwrap(), ["/accounts?page=2&key=[redacted]"]);
}

#[tokio::test]
async fn the_error_of_an_event_includes_earlier_attempts() {
    let lost = json("404 Not Found", r#"{"success":false,"errors":[]}"#);
    let server = RawServer::in_turn(&[String::new(), lost]).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let client = server
        .builder()
        .clock(crate::support::clock())
        .retry(Retry::default())
        .on_event(move |event| {
            if let Event::AttemptEnded {
                error: Some(error), ..
            } = event
            {
                let facts = (error.attempts(), error.may_have_been_applied());
                log.lock().unwrap().push((facts, error.to_string()));
            }
        })
        .build()
        .unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let error = tokens.delete(TOKEN).await.unwrap_err();
    let told = told.lock().unwrap();
    assert_eq!(told[0].0, (1, true));
    assert_eq!(
        told[1].0,
        (2, true),
        "the first attempt may have deleted it"
    );
    assert_eq!(told[1].1, error.to_string());
}

fn line(event: &Event<'_>) -> String {
    match event {
        Event::AttemptStarted {
            operation, attempt, ..
        } => format!("{operation}: attempt {attempt}"),
        Event::AttemptEnded {
            attempt,
            method,
            path,
            elapsed,
            status,
            error,
            ..
        } => {
            let status = status.map(|status| status.as_u16());
            let is_rate_limited = error.map(|error| error.is_rate_limited());
            format!(
                "attempt {attempt}: {method} {path} {status:?} in {elapsed:?}, \
                 rate limited: {is_rate_limited:?}"
            )
        }
        Event::WaitStarted { reason, until, .. } => format!("wait for {reason} until {until}"),
        Event::WaitEnded {
            reason: WaitReason::Backoff,
            ..
        } => "the backoff is over".to_owned(),
        Event::WaitEnded { reason, .. } => format!("the wait for the {reason} is over"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_event_function_may_make_calls_and_be_slow() {
    let server = RawServer::start(json("200 OK", ANSWER)).await;
    let own: Arc<OnceLock<ServiceTokens>> = Arc::default();
    let inside = Arc::clone(&own);
    let inner_calls = AtomicUsize::new(0);
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let client = server
        .builder()
        .clock(crate::support::clock())
        .rate_limit(RateLimit::new(1, Duration::from_secs(10)))
        .on_event(move |_| {
            counted.fetch_add(1, SeqCst);
            let Some(tokens) = inside.get() else { return };
            // Poll calls on the same client once, inside the function.
            if inner_calls.fetch_add(1, SeqCst) < 5 {
                let call = pin!(tokens.refresh(TOKEN));
                let _ = call.poll(&mut Context::from_waker(Waker::noop()));
                std::thread::sleep(Duration::from_millis(20));
            }
        })
        .build()
        .unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    assert!(own.set(tokens.clone()).is_ok());
    tokens.refresh(TOKEN).await.unwrap();
    tokens.refresh(TOKEN).await.unwrap();
    assert!(
        made.load(SeqCst) > 10,
        "the inner calls are reported as well"
    );
}
