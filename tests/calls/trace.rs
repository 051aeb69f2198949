//! The traces of a call: names and numbers, and no secret at any level.

use std::io::Write;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use crate::support::{ACCOUNT, CANARY, RawServer, TOKEN, answer, json};
use cf_service_tokens::{Client, CreateServiceToken, Method, RateLimit, Retry, RotateServiceToken};
use tracing::Level;
use tracing_subscriber::fmt::format::FmtSpan;

/// Records the traces of this crate and its dependencies while it lives.
struct Recorder {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

struct Writer(Arc<Mutex<Vec<u8>>>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Records the traces of this thread until the guard is dropped.
fn set_default(subscriber: impl Into<tracing::Dispatch>) -> tracing::subscriber::DefaultGuard {
    // With a single subscriber, tracing asks only the first thread at a call site whether
    // to record it, which may be the thread of another test.
    static SECOND: Once = Once::new();
    SECOND.call_once(|| {
        let nothing = tracing::subscriber::NoSubscriber::default();
        tracing::subscriber::set_global_default(nothing).unwrap();
    });
    tracing::dispatcher::set_default(&subscriber.into())
}

impl Recorder {
    fn start() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
            .without_time()
            .with_ansi(false)
            .with_writer(move || Writer(Arc::clone(&sink)))
            .finish();
        Self {
            text,
            _guard: set_default(subscriber),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_call_that_is_repeated() {
    let recorder = Recorder::start();
    let fine = json(
        "200 OK",
        r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#,
    );
    let busy = answer("503 Busy", "text/plain", "").replacen("\r\n", "\r\nretry-after: 7\r\n", 1);
    let server = RawServer::in_turn(&[busy, fine]).await;
    let client = server
        .builder()
        .retry(Retry::default().seed(1))
        .clock(crate::support::clock());
    let tokens = client
        .build()
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens();
    tokens.refresh(TOKEN).await.unwrap();

    let base_url = server.base_url();
    let port = base_url.split([':', '/']).nth(4).unwrap();
    let ours: Vec<String> = recorder
        .text()
        .lines()
        .filter(|line| line.contains(": cf_service_tokens: "))
        .map(|line| line.replace(port, "PORT"))
        .map(|line| match line.split_once(" time.busy=") {
            Some((line, _)) => line.to_owned(),
            None => line,
        })
        .collect();
    insta::assert_snapshot!(ours.join("\n"), @r#"
    DEBUG cloudflare.call{cloudflare.operation="refresh_account_service_token"}: cf_service_tokens: new
    DEBUG cloudflare.call{cloudflare.operation="refresh_account_service_token"}:http.client.request{otel.kind="client" otel.name=POST /accounts/{account_id}/access/service_tokens/{service_token_id}/refresh http.request.method="POST" http.request.resend_count=0 url.template="/accounts/{account_id}/access/service_tokens/{service_token_id}/refresh" server.address="127.0.0.1" server.port=PORT}: cf_service_tokens: new
    DEBUG cloudflare.call{cloudflare.operation="refresh_account_service_token"}: cf_service_tokens: retrying attempt=1 wait=7s reason="status" http.response.status_code=503 cloudflare.ray_id="8f2b1c9d0e1f2a3b-FRA"
    DEBUG cloudflare.call{cloudflare.operation="refresh_account_service_token"}:http.client.request{otel.kind="client" otel.name=POST /accounts/{account_id}/access/service_tokens/{service_token_id}/refresh http.request.method="POST" http.request.resend_count=0 url.template="/accounts/{account_id}/access/service_tokens/{service_token_id}/refresh" server.address="127.0.0.1" server.port=PORT url.full="http://127.0.0.1:PORT/client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415/refresh" http.response.status_code=503 cloudflare.ray_id="8f2b1c9d0e1f2a3b-FRA" error.type="503" otel.status_code="ERROR"}: cf_service_tokens: close
    DEBUG cloudflare.call{cloudflare.operation="refresh_account_service_token"}:http.client.request{otel.kind="client" otel.name=POST /accounts/{account_id}/access/service_tokens/{service_token_id}/refresh http.request.method="POST" http.request.resend_count=1 url.template="/accounts/{account_id}/access/service_tokens/{service_token_id}/refresh" server.address="127.0.0.1" server.port=PORT}: cf_service_tokens: new
    DEBUG cloudflare.call{cloudflare.operation="refresh_account_service_token"}:http.client.request{otel.kind="client" otel.name=POST /accounts/{account_id}/access/service_tokens/{service_token_id}/refresh http.request.method="POST" http.request.resend_count=1 url.template="/accounts/{account_id}/access/service_tokens/{service_token_id}/refresh" server.address="127.0.0.1" server.port=PORT url.full="http://127.0.0.1:PORT/client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353/access/service_tokens/f174e90a-fafe-4643-bbbc-4a0ed4fc8415/refresh" http.response.status_code=200 cloudflare.ray_id="8f2b1c9d0e1f2a3b-FRA"}: cf_service_tokens: close
    DEBUG cloudflare.call{cloudflare.operation="refresh_account_service_token" cloudflare.attempts=2}: cf_service_tokens: close
    "#);
}

#[tokio::test]
async fn a_call_that_waits_for_room_in_the_rate_limit() {
    let recorder = Recorder::start();
    let fine = json(
        "200 OK",
        r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#,
    );
    let server = RawServer::start(fine).await;
    let client = server
        .builder()
        .rate_limit(RateLimit::new(1, Duration::from_secs(90)))
        .clock(crate::support::exact_clock());
    let tokens = client
        .build()
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens();
    tokens.refresh(TOKEN).await.unwrap();
    tokens.refresh(TOKEN).await.unwrap();

    let text = recorder.text();
    let waits: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("wait="))
        .map(|line| line.trim())
        .collect();
    insta::assert_snapshot!(waits.join("\n"), @r#"DEBUG cloudflare.call{cloudflare.operation="refresh_account_service_token"}: cf_service_tokens: the rate limit has room again wait=90s reason="rate_limit""#);
}

#[tokio::test]
async fn no_secret_at_any_level() {
    let recorder = Recorder::start();
    let issued = format!(
        r#"{{"success":true,"errors":[],"messages":[],"result":{{"name":"ci","client_secret":"{CANARY}"}}}}"#
    );
    let echo = format!("you sent {CANARY}");
    let answers = [
        json("200 OK", &issued),
        json("200 OK", &issued.replace("true", "7")),
        answer("502 Bad Gateway", "text/html", &echo),
        answer("403 Forbidden", "text/html", &echo),
        json("200 OK", &issued[..60]),
    ];
    let (create, rotate) = (
        CreateServiceToken::new("ci"),
        RotateServiceToken::revoke_now(),
    );
    for answer in answers {
        let server = RawServer::start(answer).await;
        for builder in [
            Client::builder().api_token(CANARY),
            Client::builder().global_key("me@example.com", CANARY),
        ] {
            let builder = builder
                .base_url(server.base_url())
                .clock(crate::support::clock());
            let tokens = builder
                .build()
                .unwrap()
                .account(ACCOUNT)
                .unwrap()
                .service_tokens();
            drop(tokens.create(&create).await);
            drop(tokens.rotate(TOKEN, &rotate).await);
            drop(tokens.refresh(TOKEN).await);
        }
    }
    let text = recorder.text();
    assert!(
        text.contains("hyper"),
        "the traces of dependencies are recorded too"
    );
    assert!(
        !text.contains(CANARY),
        "{}",
        text.lines().find(|line| line.contains(CANARY)).unwrap()
    );
}

#[tokio::test]
async fn a_path_is_traced_without_secrets() {
    let recorder = Recorder::start();
    let server = RawServer::start(json("200 OK", r#"{"success":true}"#)).await;
    let client = server.builder().build().unwrap();
    let formed = format!("cfast_{}", "a1B2c3D4".repeat(6));
    for secret in [CANARY, &formed] {
        let path = format!("/accounts/a/{secret}/apps");
        let request = client.request(Method::GET, path).query("q", secret);
        request.send::<()>().await.unwrap();
    }
    let ours: Vec<String> = recorder
        .text()
        .lines()
        .filter(|line| line.contains(": cf_service_tokens: "))
        .map(ToOwned::to_owned)
        .collect();
    assert!(
        !ours.is_empty()
            && ours
                .iter()
                .any(|line| line.contains("/accounts/a/[redacted]/apps"))
    );
    for line in ours {
        assert!(!line.contains(CANARY) && !line.contains(&formed), "{line}");
    }
}

/// Keeps the fields that are recorded on any span.
struct Fields(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Fields {
    fn on_record(
        &self,
        _: &tracing::span::Id,
        values: &tracing::span::Record<'_>,
        _: tracing_subscriber::layer::Context<'_, S>,
    ) {
        self.0.lock().unwrap().push(format!("{values:?}"));
    }
}

#[tokio::test]
async fn nothing_is_recorded_on_a_span_of_the_caller() {
    use tracing::Instrument;
    use tracing_subscriber::layer::SubscriberExt;

    let recorded = Arc::new(Mutex::new(Vec::new()));
    // The caller's span is enabled, those of the crate are filtered out.
    let subscriber = tracing_subscriber::registry()
        .with(tracing_subscriber::filter::LevelFilter::INFO)
        .with(Fields(Arc::clone(&recorded)));
    let _guard = set_default(subscriber);
    let fine = json(
        "200 OK",
        r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#,
    );
    let server = RawServer::start(fine).await;
    let span = tracing::info_span!("handler", url.full = tracing::field::Empty);
    server
        .tokens()
        .refresh(TOKEN)
        .instrument(span)
        .await
        .unwrap();
    assert_eq!(*recorded.lock().unwrap(), [""; 0]);
}
