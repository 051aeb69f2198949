//! Every fault, over real sockets: the answer that a client sees, and the state
//! afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use cf_service_tokens_simulator::{
    Fault, Injection, Operation, SeedToken, Simulator, Token, WrongJson,
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use support::Api;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TOKEN: &str = "/f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
/// A connection counts as silent after this time without a byte.
const SILENCE: Duration = Duration::from_millis(150);
/// The time that a busy machine may take.
const AMPLE: Duration = Duration::from_secs(60);

async fn with_token() -> Api {
    let token = SeedToken::new("CI").id(&TOKEN[1..]);
    Api::start(Simulator::builder().token(token.expires_in(TimeDelta::days(9)))).await
}

fn token(api: &Api) -> Token {
    api.simulator.token(&TOKEN[1..]).unwrap()
}

/// The end of a connection, as its client saw it.
#[derive(Debug, PartialEq)]
enum End {
    Closed,
    Reset,
    Silent,
    /// The body went on beyond any sensible length.
    Endless,
}

/// The answer to a request, byte by byte.
struct Seen {
    head: String,
    body: Vec<u8>,
    end: End,
}

async fn connect(api: &Api) -> TcpStream {
    let base_url = api.simulator.base_url();
    let address = base_url.strip_prefix("http://").unwrap();
    let (address, _) = address.split_once('/').unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// A rename of the token, so that there is a body.
fn request(api: &Api) -> String {
    let body = r#"{"name":"renamed"}"#;
    format!(
        "PUT /client/v4{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        api.account(TOKEN),
        api.simulator.api_token(),
        body.len(),
    )
}

/// Sends the request and reads the answer, of a stall as far as `stalls_after`.
async fn exchange(api: &Api, stalls_after: Option<&str>) -> Seen {
    let mut stream = connect(api).await;
    let logged = api.simulator.requests().len();
    stream.write_all(request(api).as_bytes()).await.unwrap();
    if stalls_after.is_some() {
        received(api, logged + 1).await;
    }
    read(&mut stream, stalls_after).await
}

/// Waits until the simulator has received so many requests.
async fn received(api: &Api, requests: usize) {
    while api.simulator.requests().len() < requests {
        tokio::task::yield_now().await;
    }
}

/// Reads until the connection ends, or until it is silent after this text.
async fn read(stream: &mut TcpStream, silent_after: Option<&str>) -> Seen {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let end = loop {
        let may_be_silent =
            silent_after.is_some_and(|text| String::from_utf8_lossy(&bytes).contains(text));
        let patience = if may_be_silent { SILENCE } else { AMPLE };
        match tokio::time::timeout(patience, stream.read(&mut chunk)).await {
            Err(_) => break End::Silent,
            Ok(Ok(0)) => break End::Closed,
            Ok(Ok(_)) if bytes.len() > 4 << 20 => break End::Endless,
            Ok(Ok(count)) => bytes.extend_from_slice(&chunk[..count]),
            Ok(Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                break End::Reset;
            }
        }
    };
    let split = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = match split {
        Some(at) => (&bytes[..at], &bytes[at + 4..]),
        None => (&[][..], &bytes[..]),
    };
    Seen {
        head: String::from_utf8(head.to_vec()).unwrap(),
        body: body.to_vec(),
        end,
    }
}

impl Seen {
    fn status(&self) -> Option<u16> {
        self.head.split(' ').nth(1)?.parse().ok()
    }

    fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .filter(|(field, _)| *field == name)
            .map(|(_, value)| value)
            .collect()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Injects the fault once before the state changes and once after, and checks
/// the state and the log each time. A fault that leaves no choice does the same both
/// times.
async fn inject(fault: Fault, takes_effect: [bool; 2]) -> [Seen; 2] {
    let mut seen = Vec::new();
    for (asked_for, changes) in [false, true].into_iter().zip(takes_effect) {
        let api = with_token().await;
        let injection = Injection::new(fault.clone());
        api.simulator.inject(if asked_for {
            injection.taking_effect()
        } else {
            injection
        });
        let stalls_after = match fault {
            Fault::StalledHeaders => Some(""),
            Fault::StalledBody => Some("\r\n\r\n{\""),
            _ => None,
        };
        let answer = exchange(&api, stalls_after).await;
        let name = token(&api).name;
        assert_eq!(name, if changes { "renamed" } else { "CI" }, "{fault}");

        let [logged] = &api.simulator.requests()[..] else {
            panic!("{fault}: not one request");
        };
        assert_eq!(logged.operation, Some(Operation::Update));
        assert_eq!(logged.fault, Some(fault.clone()));
        assert_eq!(logged.changed, changes, "{fault}");
        assert_eq!(logged.status, answer.status(), "{fault}");
        seen.push(answer);
    }
    seen.try_into().ok().unwrap()
}

const NEVER: [bool; 2] = [false, false];
const AS_TOLD: [bool; 2] = [false, true];
const ALWAYS: [bool; 2] = [true, true];

#[tokio::test]
async fn resets() {
    for (fault, takes_effect) in [
        (Fault::ResetAfterHead, NEVER),
        (Fault::ResetDuringRequest, NEVER),
        (Fault::ResetAfterRequest, AS_TOLD),
    ] {
        for seen in inject(fault.clone(), takes_effect).await {
            assert_eq!((seen.head.as_str(), seen.end), ("", End::Reset), "{fault}");
        }
    }
    for seen in inject(Fault::ResetDuringAnswer, AS_TOLD).await {
        assert_eq!((seen.status(), &seen.end), (Some(200), &End::Reset));
        let promised: usize = seen.values("content-length")[0].parse().unwrap();
        assert_eq!(seen.body.len(), promised / 2);
    }
}

#[tokio::test]
async fn a_reset_comes_as_early_as_it_says() {
    // The head alone is enough for the one, and a part of the body for the other.
    for (fault, sent) in [
        (Fault::ResetAfterHead, 0),
        (Fault::ResetDuringRequest, 5),
        (Fault::ResetAfterRequest, 5),
    ] {
        let api = with_token().await;
        api.simulator.inject(fault.clone());
        let request = request(&api);
        let head = request.find("\r\n\r\n").unwrap() + 4;
        let mut stream = connect(&api).await;
        let part = &request.as_bytes()[..head + sent];
        stream.write_all(part).await.unwrap();
        let (silent_after, expected) = match fault {
            Fault::ResetAfterRequest => (Some(""), End::Silent),
            _ => (None, End::Reset),
        };
        let end = read(&mut stream, silent_after).await.end;
        assert_eq!(end, expected, "{fault}");
    }
}

#[tokio::test]
async fn stalls() {
    for seen in inject(Fault::StalledHeaders, AS_TOLD).await {
        assert_eq!((seen.head.as_str(), seen.end), ("", End::Silent));
    }
    for seen in inject(Fault::StalledBody, AS_TOLD).await {
        assert_eq!((seen.status(), &seen.end), (Some(200), &End::Silent));
        assert!(seen.body.starts_with(b"{\""));
    }
}

#[tokio::test]
async fn bodies_that_end_too_early_or_never() {
    for seen in inject(Fault::TruncatedBody, AS_TOLD).await {
        assert_eq!((seen.status(), &seen.end), (Some(200), &End::Closed));
        let promised: usize = seen.values("content-length")[0].parse().unwrap();
        assert_eq!(seen.body.len(), promised / 2);
    }
    for seen in inject(Fault::EndlessBody, AS_TOLD).await {
        assert_eq!((seen.status(), seen.end), (Some(200), End::Endless));
    }
}

#[tokio::test]
async fn answers_that_take_their_time() {
    let pause = Duration::from_millis(60);
    let started = Instant::now();
    for seen in inject(Fault::Latency(pause), ALWAYS).await {
        assert_eq!(seen.json()["result"]["name"], "renamed");
    }
    assert!(started.elapsed() >= 2 * pause);

    let pause = Duration::from_millis(1);
    let started = Instant::now();
    let [seen, _] = inject(Fault::SlowDrip(pause), ALWAYS).await;
    assert_eq!(seen.json()["result"]["name"], "renamed");
    let bytes = seen.body.len() as u32;
    assert!(
        started.elapsed() >= 2 * bytes * pause,
        "{bytes} bytes, twice"
    );
}

#[tokio::test]
async fn refusals_for_too_many_requests() {
    for retry_after_seconds in [None, Some(7)] {
        let fault = Fault::TooManyRequests {
            retry_after_seconds,
        };
        for seen in inject(fault, NEVER).await {
            assert_eq!(seen.status(), Some(429));
            assert_eq!(seen.json()["errors"][0]["code"], 971);
            let expected: &[&str] = match retry_after_seconds {
                None => &[],
                Some(_) => &["7"],
            };
            assert_eq!(seen.values("retry-after"), expected);
        }
    }
}

#[tokio::test]
async fn a_lock_out_is_over_after_five_minutes() {
    let api = with_token().await;
    api.simulator.inject(Fault::LockOut);
    let at = async |seconds| {
        api.advance(TimeDelta::seconds(seconds));
        let reply = api.get(&api.account(TOKEN)).await;
        let told = reply.headers.get("retry-after");
        (
            reply.status.as_u16(),
            told.map(|told| told.to_str().unwrap().to_owned()),
            reply.header("ratelimit").to_owned(),
        )
    };
    let locked_out = |seconds: u32| {
        let limit = format!("\"default\";r=0;t={seconds}");
        (429, Some(seconds.to_string()), limit)
    };
    assert_eq!(at(0).await, locked_out(300));
    api.simulator.clear_faults();
    assert_eq!(at(299).await, locked_out(1), "it goes on");
    let free = "\"default\";r=1199;t=300".to_owned();
    assert_eq!(at(1).await, (200, None, free));
    let log = api.simulator.requests();
    assert_eq!(log[0].fault, Some(Fault::LockOut));
    assert_eq!(log[1].fault, None, "that is the rate limit");
    assert_eq!(log[1].operation, Some(Operation::Get));
}

#[tokio::test]
async fn statuses_and_pages() {
    for (status, sent, takes_effect) in [
        (500, 500, AS_TOLD),
        (503, 503, AS_TOLD),
        (524, 524, AS_TOLD),
        (408, 408, AS_TOLD),
        (400, 400, NEVER),
        (404, 404, NEVER),
        (200, 200, AS_TOLD),
        (100, 500, AS_TOLD),
        (1000, 500, AS_TOLD),
    ] {
        // The log holds the status that was sent.
        if status == sent {
            for seen in inject(Fault::Status(status), takes_effect).await {
                assert_eq!(seen.json()["success"], false);
                assert_eq!(seen.json()["errors"][0]["code"], 1000);
            }
        }
        for seen in inject(Fault::HtmlPage(status), takes_effect).await {
            assert_eq!(seen.status(), Some(sent));
            assert_eq!(seen.values("content-type"), ["text/html; charset=utf-8"]);
            assert!(seen.body.starts_with(b"<!DOCTYPE html>"));
        }
    }
    for seen in inject(Fault::SuccessFalse, AS_TOLD).await {
        assert_eq!(seen.status(), Some(200));
        assert_eq!(seen.json()["success"], false);
    }
    for seen in inject(Fault::Redirect, NEVER).await {
        assert_eq!(seen.status(), Some(307));
        let target = ["https://elsewhere.invalid/client/v4"];
        assert_eq!(seen.values("location"), target);
    }
}

#[tokio::test]
async fn right_answers_with_wrong_headers() {
    for seen in inject(Fault::WrongContentType, ALWAYS).await {
        assert_eq!(seen.values("content-type"), ["text/plain"]);
        assert_eq!(seen.json()["result"]["name"], "renamed");
    }
    for seen in inject(Fault::FalseGzip, ALWAYS).await {
        assert_eq!(seen.values("content-encoding"), ["gzip"]);
        assert_eq!(seen.json()["result"]["name"], "renamed");
    }
    for seen in inject(Fault::DuplicateHeaders, ALWAYS).await {
        for name in ["content-type", "cf-ray", "ratelimit"] {
            let [one, other] = seen.values(name)[..] else {
                panic!("{name} is not there twice");
            };
            assert_ne!(one, other);
        }
    }
    for seen in inject(Fault::OversizedHeaders, ALWAYS).await {
        assert_eq!(seen.values("x-filler")[0].len(), 1 << 20);
        assert_eq!(seen.json()["result"]["name"], "renamed");
    }
}

#[tokio::test]
async fn gzip_is_valid() {
    let [seen, _] = inject(Fault::Gzip, ALWAYS).await;
    assert_eq!(seen.values("content-encoding"), ["gzip"]);
    let mut gunzip = tokio::process::Command::new("gzip")
        .arg("-dc")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = gunzip.stdin.take().unwrap();
    stdin.write_all(&seen.body).await.unwrap();
    drop(stdin);
    let output = gunzip.wait_with_output().await.unwrap();
    assert!(output.status.success());
    let envelope: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(envelope["result"]["name"], "renamed");
}

#[tokio::test]
async fn json_that_is_wrong() {
    let body = async |wrong, takes_effect| {
        let [before, after] = inject(Fault::WrongJson(wrong), takes_effect).await;
        assert_eq!(before.status(), Some(200));
        assert_eq!(before.body.len(), after.body.len());
        assert_eq!(before.values("content-type"), ["application/json"]);
        after.body
    };
    let json = async |wrong, takes_effect| {
        let body = body(wrong, takes_effect).await;
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    assert_eq!(body(WrongJson::Empty, AS_TOLD).await, b"");
    let truncated = body(WrongJson::Truncated, AS_TOLD).await;
    assert!(serde_json::from_slice::<Value>(&truncated).is_err_and(|error| error.is_eof()));
    assert!(
        body(WrongJson::NotJson, AS_TOLD)
            .await
            .starts_with(b"upstream")
    );
    let invalid = body(WrongJson::InvalidUtf8, AS_TOLD).await;
    assert!(String::from_utf8(invalid).is_err());
    assert_eq!(
        json(WrongJson::ArrayForObject, ALWAYS).await[0]["success"],
        true
    );

    let null = json(WrongJson::ResultNull, AS_TOLD).await;
    assert_eq!(null.get("result"), Some(&Value::Null));
    assert_eq!(null["success"], true);
    let missing = json(WrongJson::ResultMissing, AS_TOLD).await;
    assert_eq!(missing.get("result"), None);
    assert_eq!(missing["success"], true);
    let typed = json(WrongJson::ResultOfAnotherType, AS_TOLD).await;
    assert_eq!(typed["result"], "done");
    let unsaid = json(WrongJson::SuccessMissing, ALWAYS).await;
    assert_eq!(unsaid.get("success"), None);
    assert_eq!(unsaid["result"]["name"], "renamed");

    let fields = json(WrongJson::FieldsOfAnotherType, ALWAYS).await;
    assert_eq!(fields["result"]["enabled"], "yes");
    assert!(fields["result"]["expires_at"].is_number());
    let unknown = json(WrongJson::UnknownFields, ALWAYS).await;
    assert_eq!(unknown["trace"]["colo"], "FRA");
    assert!(unknown["result"]["tags"].is_array());
    let deep = body(WrongJson::DeepNesting, ALWAYS).await;
    assert_eq!(deep.iter().filter(|byte| **byte == b'[').count(), 100_002);
    assert_eq!(deep.iter().filter(|byte| **byte == b']').count(), 100_002);
}

#[tokio::test]
async fn a_call_without_effect_gets_a_plausible_answer() {
    let api = with_token().await;
    api.simulator.inject(Fault::WrongJson(WrongJson::Truncated));
    let create = async || {
        api.post_json(&api.account(""), json!({ "name": "new" }))
            .await
    };
    // The secret comes first, so that half of the answer holds all of it.
    let reply = create().await;
    let (_, secret) = reply.body.split_once("\"client_secret\":\"").unwrap();
    let (secret, _) = secret.split_once('"').unwrap();
    assert_eq!(api.simulator.tokens().len(), 1);
    let made = create().await.result();
    assert_ne!(made["client_secret"], secret, "nobody else gets it");
}

#[tokio::test]
async fn a_stale_answer_shows_the_token_as_it_was() {
    for answer in inject(Fault::StaleAnswer, AS_TOLD).await {
        assert_eq!(answer.status(), Some(200));
        assert_eq!(answer.json()["result"]["name"], "CI");
    }
}

#[tokio::test]
async fn tls_fails_with_an_alert() {
    let api = with_token().await;
    let mut stream = connect(&api).await;
    // A record of five bytes, in two parts, and then another.
    stream.write_all(&[22, 3, 1, 0, 5, 1, 0]).await.unwrap();
    stream.write_all(&[0, 1, 3, 22, 3, 1]).await.unwrap();
    let mut alert = [0; 7];
    stream.read_exact(&mut alert).await.unwrap();
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 40]);
    assert_eq!(stream.read(&mut alert).await.unwrap(), 0);
    assert_eq!(api.simulator.requests(), []);
}

#[tokio::test]
async fn offline_is_a_refused_connection_and_the_port_stays() {
    let api = with_token().await;
    let base_url = api.simulator.base_url().to_owned();
    let mut idle = connect(&api).await;
    let mut stalled = connect(&api).await;
    api.simulator.inject(Fault::StalledHeaders);
    stalled.write_all(request(&api).as_bytes()).await.unwrap();
    received(&api, 1).await;
    assert_eq!(read(&mut stalled, Some("")).await.end, End::Silent);

    for _ in 0..2 {
        api.simulator.go_offline().await.unwrap();
        let error = api
            .request(reqwest::Method::GET, "/")
            .send()
            .await
            .unwrap_err();
        assert!(error.is_connect(), "{error:?}");
        api.simulator.go_offline().await.unwrap();
        api.simulator.come_back().await.unwrap();
        api.simulator.come_back().await.unwrap();
        assert_eq!(api.get(&api.account(TOKEN)).await.status, 200);
    }
    assert_eq!(read(&mut idle, None).await.end, End::Reset);
    assert_eq!(read(&mut stalled, None).await.end, End::Reset);
    assert_eq!(api.simulator.base_url(), base_url);
    assert_eq!(token(&api).name, "CI", "it is the same simulator");
}

#[tokio::test]
async fn the_script_goes_by_operation_and_count() {
    let api = with_token().await;
    let refresh = Injection::new(Fault::Status(503)).on(Operation::Refresh);
    api.simulator.inject(refresh.skip(1).times(2));
    api.simulator.inject(
        Injection::new(Fault::Status(502))
            .on(Operation::Get)
            .always(),
    );
    let get = async || api.get(&api.account(TOKEN)).await.status.as_u16();
    let refresh = async || {
        let reply = api.post(&api.account(&format!("{TOKEN}/refresh"))).await;
        reply.status.as_u16()
    };
    assert_eq!([refresh().await, get().await], [200, 502]);
    assert_eq!([refresh().await, refresh().await], [503, 503]);
    assert_eq!([refresh().await, get().await], [200, 502]);
    api.simulator.clear_faults();
    assert_eq!(get().await, 200);
    assert_eq!(api.knock("x", "y").await.status, 401, "the app meets none");
}

#[tokio::test]
async fn a_seed_gives_the_same_faults_to_the_same_calls() {
    let faults = async |seed, probability| {
        let builder = Simulator::builder().random_faults(seed, probability);
        let api = Api::start(builder).await;
        for number in 1..=20 {
            let request = api.request(reqwest::Method::GET, &api.account(""));
            // Some are never answered.
            tokio::select! {
                biased;
                () = received(&api, number) => {}
                _ = request.send() => received(&api, number).await,
            }
        }
        let log = api.simulator.requests();
        log.into_iter()
            .map(|request| request.fault)
            .collect::<Vec<_>>()
    };
    let (one, again, other, none) = tokio::join!(
        faults(1, 0.5),
        faults(1, 0.5),
        faults(2, 0.5),
        faults(1, 0.0)
    );
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!(one.iter().flatten().count() > 0);
    assert_eq!(none, vec![None; 20]);
}

#[tokio::test]
async fn an_enforced_limit_locks_out_a_client_that_exceeds_it() {
    let builder = Simulator::builder().enforce_rate_limit(5, TimeDelta::seconds(60));
    let api = Api::start(builder).await;
    let get = async || {
        let reply = api.get(&api.account("")).await;
        (reply.status.as_u16(), reply.header("ratelimit").to_owned())
    };
    let limit =
        |status, remaining, resets| (status, format!("\"default\";r={remaining};t={resets}"));
    assert_eq!(get().await, limit(200, 4, 60));
    api.simulator.spend(2);
    assert_eq!(get().await, limit(200, 1, 60));
    api.advance(TimeDelta::seconds(20));
    assert_eq!(get().await, limit(200, 0, 40));
    assert_eq!(get().await, limit(429, 0, 60), "it begins anew");
    api.advance(TimeDelta::seconds(59));
    let reply = api.get(&api.account("")).await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.codes(), [971]);
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(reply.header("ratelimit-policy"), "\"default\";q=5;w=60");
    api.advance(TimeDelta::seconds(1));
    assert_eq!(get().await, limit(200, 4, 60));

    let short = Simulator::builder().enforce_rate_limit(5, TimeDelta::milliseconds(999));
    assert_eq!(
        short.start().await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

/// A simulator that stops leaves no task and no connection behind.
#[tokio::test]
async fn nothing_is_left_behind() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    for wait in [true, false] {
        let api = with_token().await;
        let (mut streams, mut sent) = (vec![connect(&api).await], 0);
        for fault in [
            Fault::StalledHeaders,
            Fault::StalledBody,
            Fault::EndlessBody,
            Fault::SlowDrip(Duration::from_secs(3600)),
            Fault::Latency(Duration::from_secs(3600)),
        ] {
            api.simulator.inject(fault);
            let mut stream = connect(&api).await;
            stream.write_all(request(&api).as_bytes()).await.unwrap();
            sent += 1;
            received(&api, sent).await;
            streams.push(stream);
        }
        let mut tls = connect(&api).await;
        tls.write_all(&[22, 3, 1]).await.unwrap();
        streams.push(tls);
        if wait {
            api.simulator.shutdown().await;
            assert_eq!(tasks(), before);
        } else {
            drop(api);
            while tasks() > before {
                tokio::task::yield_now().await;
            }
        }
        for mut stream in streams {
            let end = read(&mut stream, None).await.end;
            assert!(matches!(end, End::Reset), "{end:?}");
        }
    }
}

/// A client that gives up ends its connection.
#[tokio::test]
async fn a_stall_ends_with_its_client() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let (api, mut sent) = (with_token().await, 0);
    let before = tasks();
    for fault in [
        Fault::StalledHeaders,
        Fault::StalledBody,
        Fault::EndlessBody,
        Fault::SlowDrip(Duration::from_secs(3600)),
    ] {
        api.simulator.inject(fault);
        let mut stream = connect(&api).await;
        stream.write_all(request(&api).as_bytes()).await.unwrap();
        sent += 1;
        received(&api, sent).await;
        assert!(tasks() > before);
        drop(stream);
        while tasks() > before {
            tokio::task::yield_now().await;
        }
    }
}
