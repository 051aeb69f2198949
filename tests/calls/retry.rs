//! Which failed calls are retried, how long the pauses are, and the facts in the last
//! error. All waits are on a virtual clock.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{ACCOUNT, LATEST, LateClock, RawServer, Reply, TOKEN, Then, answer, json};
use cf_service_tokens::{
    ClientBuilder, Clock, CreateServiceToken, Error, ManualClock, RateLimit, Retry,
    RotateServiceToken, ServiceTokens, UpdateServiceToken,
};
use chrono::{DateTime, Utc};

const FINE: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci","client_secret":"cfsec2_0123456789abcdef"}}"#;
const NOT_FOUND: &str = r#"{"success":false,"errors":[{"code":7003,"message":"no route"}],"messages":[],"result":null}"#;

/// A clock that also records each wait.
#[derive(Clone)]
struct RecordingClock {
    clock: LateClock,
    waits: Arc<Mutex<Vec<Duration>>>,
}

impl RecordingClock {
    fn new() -> Self {
        Self {
            clock: crate::support::clock(),
            waits: Arc::default(),
        }
    }

    /// Returns the waits so far, in the order in which they began.
    fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap().clone()
    }
}

impl Clock for RecordingClock {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.waits.lock().unwrap().push(duration);
        self.clock.sleep(duration)
    }
}

fn fine() -> String {
    json("200 OK", FINE)
}

fn status(status: u16) -> String {
    answer(&format!("{status} Whatever"), "text/plain", "")
}

fn with_header(answer: &str, header: &str) -> String {
    answer.replacen("\r\n", &format!("\r\n{header}\r\n"), 1)
}

fn tokens(
    server: &RawServer,
    clock: &RecordingClock,
    set: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> ServiceTokens {
    let builder = server
        .builder()
        .retry(Retry::default().seed(1))
        .clock(clock.clone());
    set(builder)
        .build()
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
}

/// Makes each kind of call, at a server that gives these answers in turn. Returns how
/// often each call was sent.
async fn attempts_by_operation(answers: &[String]) -> Vec<(&'static str, usize)> {
    let create = CreateServiceToken::new("ci");
    let rotate = RotateServiceToken::revoke_now();
    let update = UpdateServiceToken::new().enabled(true);
    let mut counted = Vec::new();
    for operation in [
        "list", "get", "create", "update", "delete", "refresh", "rotate",
    ] {
        let server = RawServer::in_turn(answers).await;
        let tokens = tokens(&server, &RecordingClock::new(), |builder| builder);
        match operation {
            "list" => drop(tokens.list().page(1).await),
            "get" => drop(tokens.get(TOKEN).await),
            "create" => drop(tokens.create(&create).await),
            "update" => drop(tokens.update(TOKEN, &update).await),
            "delete" => drop(tokens.delete(TOKEN).await),
            "refresh" => drop(tokens.refresh(TOKEN).await),
            _ => drop(tokens.rotate(TOKEN, &rotate).await),
        }
        counted.push((operation, server.requests().len()));
    }
    counted
}

#[tokio::test]
async fn only_harmless_calls_are_retried() {
    let once_where_it_matters = [
        ("list", 2),
        ("get", 2),
        ("create", 1),
        ("update", 2),
        ("delete", 2),
        ("refresh", 2),
        ("rotate", 1),
    ];
    for code in [408, 500, 502, 503, 504, 520, 521, 522, 523, 524] {
        let counted = attempts_by_operation(&[status(code), fine()]).await;
        assert_eq!(counted, once_where_it_matters, "HTTP {code}");
    }
    let counted = attempts_by_operation(&[String::new(), fine()]).await;
    assert_eq!(
        counted, once_where_it_matters,
        "the server closes the connection without an answer"
    );

    let counted = attempts_by_operation(&[status(429), fine()]).await;
    assert!(
        counted.iter().all(|(_, sent)| *sent == 2),
        "a call with the answer 429 has no effect: {counted:?}"
    );

    let throttled = r#"{"success":false,"errors":[{"code":971,"message":"Please wait"}],"messages":[],"result":null}"#;
    for status in ["200 OK", "500 Oops"] {
        let counted = attempts_by_operation(&[json(status, throttled), fine()]).await;
        assert_eq!(counted, once_where_it_matters, "throttled under {status}");
    }

    for code in [400, 401, 403, 404, 405, 409, 422, 501, 505, 525, 530, 302] {
        let counted = attempts_by_operation(&[status(code), fine()]).await;
        assert!(
            counted.iter().all(|(_, sent)| *sent == 1),
            "HTTP {code}: {counted:?}"
        );
    }
    let counted = attempts_by_operation(&[json("200 OK", "<html>"), fine()]).await;
    assert!(
        counted.iter().all(|(_, sent)| *sent == 1),
        "an unreadable success is not retried: {counted:?}"
    );
}

#[tokio::test]
async fn every_operation_retries_a_refused_connection() {
    let (_held, address) = crate::support::closed_port();
    let clock = RecordingClock::new();
    let client = cf_service_tokens::Client::builder()
        .api_token("t")
        .base_url(format!("http://{address}"))
        .clock(clock.clone())
        .retry(Retry::default().attempts(4));
    let tokens = client
        .build()
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens();
    let error = tokens
        .create(&CreateServiceToken::new("ci"))
        .await
        .unwrap_err();
    assert!(error.is_connect());
    assert_eq!(error.attempts(), 4);
    assert_eq!(clock.waits().len(), 3);
    assert!(!error.may_have_been_applied());
}

/// Simulates a firewall that drops all packets.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_times_out_counts_as_no_connection() {
    let (socket, address) = crate::support::closed_port();
    // The backlog has room for one connection, which this one takes.
    let _listener = socket.listen(0).unwrap();
    let _first = tokio::net::TcpStream::connect(address).await.unwrap();
    let client = cf_service_tokens::Client::builder()
        .api_token("t")
        .base_url(format!("http://{address}"))
        .timeout(Duration::from_millis(100))
        .clock(RecordingClock::new())
        .retry(Retry::default().attempts(3));
    let tokens = client
        .build()
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens();
    let request = CreateServiceToken::new("ci");
    let error = tokens.create(&request).await.unwrap_err();
    assert!(error.is_connect(), "{error}");
    assert_eq!(error.attempts(), 3);
    assert!(!error.may_have_been_applied());
}

#[tokio::test]
async fn a_success_reports_its_attempts() {
    let server = RawServer::in_turn(&[status(503), status(520), fine()]).await;
    let clock = RecordingClock::new();
    let token = tokens(&server, &clock, |builder| builder)
        .refresh(TOKEN)
        .await
        .unwrap();
    assert_eq!(token.attempts(), 3);
    let [first, second] = clock.waits()[..] else {
        panic!("expected two pauses: {:?}", clock.waits());
    };
    assert!(first <= Duration::from_millis(500), "{first:?}");
    assert!(second <= Duration::from_secs(1), "{second:?}");
}

#[tokio::test]
async fn a_failure_reports_its_attempts() {
    let server = RawServer::in_turn(&[status(503)]).await;
    let clock = RecordingClock::new();
    let error = tokens(&server, &clock, |builder| builder)
        .refresh(TOKEN)
        .await
        .unwrap_err();
    assert_eq!(error.attempts(), 10);
    assert_eq!(server.requests().len(), 10);
    let waited: Duration = clock.waits().iter().sum();
    assert!(
        waited > Duration::from_secs(10),
        "the retries stop too early: {waited:?}"
    );
    insta::assert_snapshot!(error, @"refresh account service token: the server answered with an error that does not come from the API, after 10 attempts (HTTP 503, ray id 8f2b1c9d0e1f2a3b-FRA, text/plain, 0 bytes); the call may have taken effect; check the token to be sure");
}

#[tokio::test]
async fn no_retries_means_none() {
    let server = RawServer::in_turn(&[status(503), fine()]).await;
    let tokens = tokens(&server, &RecordingClock::new(), |builder| {
        builder.retry(Retry::none())
    });
    assert_eq!(tokens.refresh(TOKEN).await.unwrap_err().attempts(), 1);
}

#[tokio::test]
async fn retry_after_is_obeyed() {
    // The virtual clock starts at noon.
    for (retry_after, wait) in [
        ("60", 60),
        ("0", 0),
        ("Tue, 24 Nov 2026 12:01:30 GMT", 90),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
    ] {
        for code in [429, 503] {
            let told = with_header(&status(code), &format!("retry-after: {retry_after}"));
            let server = RawServer::in_turn(&[told, fine()]).await;
            let clock = RecordingClock::new();
            // The client's rate limit would wait as well, and hide the pause.
            let tokens = tokens(&server, &clock, |builder| {
                builder.rate_limit(RateLimit::none())
            });
            tokens.refresh(TOKEN).await.unwrap();
            let [pause] = clock.waits()[..] else {
                panic!("expected one pause: {:?}", clock.waits());
            };
            let wait = Duration::from_secs(wait);
            let backoff = Duration::from_millis(500);
            assert!(
                pause >= wait && pause <= wait.max(backoff),
                "{code} {retry_after}: {pause:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_retry_after_past_the_deadline_fails_at_once_and_is_reported() {
    let told = with_header(&status(429), "retry-after: 300");
    let server = RawServer::in_turn(&[told, fine()]).await;
    let clock = RecordingClock::new();
    let error = tokens(&server, &clock, |builder| builder)
        .refresh(TOKEN)
        .await
        .unwrap_err();
    assert!(error.is_rate_limited());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(300)));
    assert!(clock.waits().is_empty());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_unreadable_retry_after_still_causes_a_pause() {
    let told = with_header(&status(429), "retry-after: soon");
    let server = RawServer::in_turn(&[told, fine()]).await;
    let clock = RecordingClock::new();
    tokens(&server, &clock, |builder| builder)
        .refresh(TOKEN)
        .await
        .unwrap();
    assert_eq!(clock.waits().len(), 1);
}

#[tokio::test]
async fn the_deadline_bounds_all_attempts_together() {
    let server = RawServer::in_turn(&[status(503)]).await;
    let clock = RecordingClock::new();
    let patient = Retry::default().attempts(1000).seed(2);
    let deadline = Duration::from_secs(45);
    let tokens = tokens(&server, &clock, |builder| {
        builder.retry(patient).deadline(deadline)
    });
    let error = tokens.refresh(TOKEN).await.unwrap_err();
    let waited: Duration = clock.waits().iter().sum();
    assert!(waited < deadline, "{waited:?}");
    let elapsed = clock.elapsed();
    let expected = deadline / 2..deadline + LATEST;
    assert!(expected.contains(&elapsed), "{elapsed:?}");
    assert_eq!(error.status().unwrap(), 503);

    let hurried = tokens.with(|call| call.deadline(Duration::from_millis(1)));
    assert_eq!(hurried.refresh(TOKEN).await.unwrap_err().attempts(), 1);
}

#[tokio::test]
async fn a_stalled_attempt_is_retried() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{";
    let server = RawServer::scripted(move |index, _| match index {
        0 => Reply::from(("", Then::Stall)),
        1 => Reply::from((half, Then::Stall)),
        _ => Reply::from(fine()),
    })
    .await;
    let tokens = tokens(&server, &RecordingClock::new(), |builder| {
        // Long enough for the third attempt on any machine.
        builder.timeout(Duration::from_secs(2))
    });
    let attempts = tokens.refresh(TOKEN).await.unwrap().attempts();
    // A busy machine may need more attempts.
    assert!(attempts >= 3, "{attempts}");
}

#[tokio::test]
async fn an_earlier_attempt_that_may_have_been_applied_is_reported() {
    let answers = [status(502), json("404 Not Found", NOT_FOUND)];
    let server = RawServer::in_turn(&answers).await;
    let tokens = tokens(&server, &RecordingClock::new(), |builder| builder);
    let error = tokens.delete(TOKEN).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.attempts(), 2);
    assert!(
        error.may_have_been_applied(),
        "the first attempt may have deleted it"
    );

    let server = RawServer::in_turn(&answers[1..]).await;
    let error = self::tokens(&server, &RecordingClock::new(), |builder| builder);
    let error: Error = error.delete(TOKEN).await.unwrap_err();
    assert!(!error.may_have_been_applied());
}

#[tokio::test]
async fn a_client_stops_retrying_while_the_api_is_down() {
    let server = RawServer::in_turn(&[status(503)]).await;
    let tokens = tokens(&server, &RecordingClock::new(), |builder| builder);
    for _ in 0..40 {
        tokens.clone().refresh(TOKEN).await.unwrap_err();
    }
    // 40 first attempts, and the hundred retries of the budget.
    assert_eq!(server.requests().len(), 140);
}

#[tokio::test]
async fn successes_refill_the_retry_budget() {
    let server = RawServer::scripted(|index, _| match index {
        140..145 => fine(),
        _ => status(503),
    })
    .await;
    let tokens = tokens(&server, &RecordingClock::new(), |builder| builder);
    for _ in 0..40 {
        tokens.refresh(TOKEN).await.unwrap_err();
    }
    assert_eq!(server.requests().len(), 140);
    for _ in 0..5 {
        tokens.refresh(TOKEN).await.unwrap();
    }
    assert_eq!(tokens.refresh(TOKEN).await.unwrap_err().attempts(), 2);
}

#[tokio::test]
async fn a_dropped_call_stops_at_once() {
    /// A clock with waits that never end.
    #[derive(Debug)]
    struct Stopped(Arc<AtomicBool>);

    impl cf_service_tokens::Clock for Stopped {
        fn now(&self) -> chrono::DateTime<chrono::Utc> {
            chrono::DateTime::UNIX_EPOCH
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
        fn sleep(&self, _: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
            self.0.store(true, Ordering::SeqCst);
            Box::pin(std::future::pending())
        }
    }

    let server = RawServer::in_turn(&[status(503)]).await;
    let is_waiting = Arc::new(AtomicBool::new(false));
    let client = server
        .builder()
        .retry(Retry::default())
        .clock(Stopped(Arc::clone(&is_waiting)));
    let tokens = client
        .build()
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens();
    let call = tokio::spawn(async move { tokens.refresh(TOKEN).await });
    while !is_waiting.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(server.requests().len(), 1);
}

/// A clock with timers that fire a second late.
struct SecondLate(ManualClock);

impl cf_service_tokens::Clock for SecondLate {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.0.now()
    }
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, time: Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.sleep(time + Duration::from_secs(1))
    }
}

#[tokio::test]
async fn a_late_timer_that_leaves_no_time_keeps_the_earlier_error() {
    let throttled = with_header(&status(429), "retry-after: 9");
    for limit in [RateLimit::default(), RateLimit::none()] {
        let server = RawServer::in_turn(&[throttled.clone(), fine()]).await;
        let client = server
            .builder()
            .retry(Retry::default())
            .rate_limit(limit)
            .deadline(Duration::from_secs(10))
            .clock(SecondLate(crate::support::exact_clock()));
        let tokens = client
            .build()
            .unwrap()
            .account(ACCOUNT)
            .unwrap()
            .service_tokens();
        let error = tokens
            .create(&CreateServiceToken::new("ci"))
            .await
            .unwrap_err();
        assert!(error.is_rate_limited(), "{error}");
        assert_eq!(error.attempts(), 1);
        assert!(!error.may_have_been_applied());
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn the_default_deadline_allows_one_retry_after_of_two_minutes() {
    let busy = with_header(&status(429), "retry-after: 120");
    let server = RawServer::in_turn(&[busy.clone(), fine()]).await;
    let clock = RecordingClock::new();
    let tokens = tokens(&server, &clock, |builder| builder);
    assert_eq!(tokens.refresh(TOKEN).await.unwrap().attempts(), 2);

    let server = RawServer::start(busy).await;
    let tokens = self::tokens(&server, &clock, |builder| builder);
    let error = tokens.refresh(TOKEN).await.unwrap_err();
    assert!(error.is_rate_limited() && error.attempts() == 2, "{error}");
}
