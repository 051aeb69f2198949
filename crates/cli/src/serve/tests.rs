//! A watcher on the simulator, seen from outside over real sockets, with a clock on
//! which every wait is over at once.

mod health;
mod missing;
mod server;
mod written;

use std::future::ready;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cf_service_tokens::renewal::{RenewBy, RenewalEvent, RenewalPolicy, Watch, WatchEvent};
use cf_service_tokens::{Client, Clock, Event, RateLimit, Retry, ServiceTokens};
use cf_service_tokens_simulator::{
    Fault, Injection, Operation, SeedToken, Simulator, SimulatorBuilder,
};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{AccountMonitor, Calls, Moment, Monitor};

const WINDOW: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// As long as a watcher may be silent before it counts as stuck.
const SILENCE: Duration = super::health::LONGEST_SILENCE;

/// A clock on which every wait is over at once, and counts all the same.
#[derive(Clone, Debug, Default)]
struct VirtualClock(Arc<Mutex<Duration>>);

impl VirtualClock {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-24T12:00:00Z".parse().unwrap();
        start + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.pass(duration);
        Box::pin(ready(()))
    }
}

/// A watcher, its monitor, and a server to ask them by.
struct World {
    clock: VirtualClock,
    simulator: Simulator,
    tokens: ServiceTokens,
    monitor: Monitor,
    account: AccountMonitor,
    watch: Watch,
    /// What the log says of missing tokens.
    missing: Vec<String>,
    server: Server,
}

/// A monitor's server; it stops when it is dropped.
struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(monitor: &Monitor, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let monitor = monitor.clone();
        let task = tokio::spawn(async move { monitor.serve(listener, address.ip()).await });
        Self { address, task }
    }

    /// The answer to a request for this path, with these lines in its head.
    async fn ask(&self, path: &str, head: &str) -> Answer {
        let mut socket = TcpStream::connect(("127.0.0.1", self.address.port()))
            .await
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{head}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(path, "host: localhost\r\n").await
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn calls(clock: &VirtualClock) -> Calls {
    let clock = clock.clone();
    Calls::with_time(move || clock.elapsed())
}

fn counting(calls: &Calls) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    let calls = calls.clone();
    move |event| calls.note(event)
}

/// A builder of a simulator on this clock, of an account with these tokens.
fn simulator(clock: &VirtualClock, tokens: Vec<SeedToken>) -> SimulatorBuilder {
    let time = clock.clone();
    let builder = Simulator::builder().clock(move || time.now());
    tokens
        .into_iter()
        .fold(builder, |builder, token| builder.token(token))
}

impl World {
    async fn new(tokens: Vec<SeedToken>, policy: &RenewalPolicy) -> Self {
        let clock = VirtualClock::default();
        let simulator = simulator(&clock, tokens).start().await.unwrap();
        Self::on(clock, simulator, policy).await
    }

    async fn on(clock: VirtualClock, simulator: Simulator, policy: &RenewalPolicy) -> Self {
        let calls = calls(&clock);
        let client = Client::builder()
            .api_token(simulator.api_token())
            .base_url(simulator.base_url())
            .retry(Retry::default().attempts(3).seed(1))
            .on_event(counting(&calls))
            .clock(clock.clone());
        let tokens = client
            .build()
            .unwrap()
            .account(simulator.account_id())
            .unwrap()
            .service_tokens();
        Self::watching(clock, simulator, &tokens, policy, calls).await
    }

    async fn watching(
        clock: VirtualClock,
        simulator: Simulator,
        tokens: &ServiceTokens,
        policy: &RenewalPolicy,
        calls: Calls,
    ) -> Self {
        let time = clock.clone();
        let monitor = Monitor::with_time(WINDOW, calls, move || Moment {
            now: time.now(),
            elapsed: time.elapsed(),
        });
        Self {
            watch: tokens.watch(policy),
            missing: Vec::new(),
            tokens: tokens.clone(),
            server: Server::start(&monitor, "127.0.0.1:0").await,
            clock,
            simulator,
            account: monitor.add_account(tokens.account_id().as_str(), None, policy, WINDOW),
            monitor,
        }
    }

    /// Goes on until the watcher waits for its next pass.
    async fn pass(&mut self) -> DateTime<Utc> {
        loop {
            let event = self.watch.next().await;
            self.missing.extend(self.account.observe(&event));
            if let WatchEvent::Waiting { until } = event {
                return until;
            }
        }
    }

    /// The metrics, those lines alone that hold a value, in the order of the alphabet, and
    /// without the labels of the account.
    async fn metrics(&self) -> Vec<String> {
        let answer = self.server.get("/metrics").await;
        assert_eq!(answer.status, 200);
        let account = self.tokens.account_id();
        let labels = format!("account=\"{account}\",account_name=\"\"");
        let lines = answer.body.lines().filter(|line| !line.starts_with('#'));
        let mut lines: Vec<String> = lines
            .map(|line| {
                let line = line.replace(&format!("{{{labels}}}"), "");
                line.replace(&format!("{labels},"), "")
            })
            .collect();
        lines.sort();
        lines
    }
}

/// The values of a metric among others.
fn values<'a>(metrics: &'a [String], name: &str) -> Vec<&'a str> {
    let name = format!("cf_service_tokens_{name}");
    let of_name = |line: &&String| line.starts_with(&name);
    metrics
        .iter()
        .filter(of_name)
        .map(|line| &line[name.len()..])
        .collect()
}

fn hostile_names() -> Vec<SeedToken> {
    let names = [
        "<b>\"bold\"</b>",
        "line\nfeed",
        "back\\slash",
        "\u{202e}",
        "",
        "ünïcode 🦀",
    ];
    (2..)
        .step_by(20)
        .zip(names)
        .map(|(days, name)| SeedToken::new(name).expires_in(TimeDelta::days(days)))
        .collect()
}

fn a_few_tokens() -> Vec<SeedToken> {
    let days = TimeDelta::days;
    vec![
        SeedToken::new("due")
            .id("0a")
            .expires_in(days(9))
            .client_secret("cfast_canary"),
        SeedToken::new("well").id("0b").expires_in(days(200)),
        SeedToken::new("disabled")
            .id("0c")
            .expires_in(days(5))
            .disabled(),
        SeedToken::new("forever").id("0d").duration("forever"),
        SeedToken::new("expired").id("0e").expires_in(days(-5)),
        SeedToken::new("excluded").id("0f").expires_in(days(5)),
    ]
}

#[tokio::test]
async fn the_metrics_after_a_pass() {
    let policy = RenewalPolicy::new().except(["excluded"]);
    let mut world = World::new(a_few_tokens(), &policy).await;
    world
        .simulator
        .inject(Injection::new(Fault::Status(503)).on(Operation::Refresh));
    world.pass().await;
    let answer = world.server.get("/metrics").await;
    assert!(
        answer
            .head
            .contains("content-type: text/plain; version=0.0.4")
    );
    // The samples of a metric come in any order.
    let mut metrics: Vec<&str> = answer.body.split_inclusive('\n').collect();
    for samples in metrics.split_mut(|line| line.starts_with('#')) {
        samples.sort_unstable();
    }
    insta::assert_snapshot!(metrics.concat());
}

#[tokio::test]
async fn both_formats_say_the_same() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    world.pass().await;
    let accept = "host: localhost\r\naccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let answer = world.server.ask("/metrics", accept).await;
    assert!(
        answer
            .head
            .contains("content-type: application/openmetrics-text; version=1.0.0")
    );
    assert!(answer.body.ends_with("# EOF\n"));
    let mut lines: Vec<&str> = answer
        .body
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    lines.sort_unstable();
    let text = world.server.get("/metrics").await.body;
    let mut expected: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_token_that_is_gone_leaves_nothing() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    world.pass().await;
    let expiries = |metrics: &[String]| values(metrics, "expiry_timestamp_seconds{").len();
    assert_eq!(expiries(&world.metrics().await), 4);
    assert!(world.server.get("/").await.body.contains(">well<"));

    world.tokens.delete("0b").await.unwrap();
    // A list that breaks off says nothing of what is gone.
    world.simulator.inject(
        Injection::new(Fault::Status(503))
            .on(Operation::List)
            .times(3),
    );
    world.pass().await;
    assert_eq!(expiries(&world.metrics().await), 4);
    world.pass().await;
    let metrics = world.metrics().await;
    assert_eq!(expiries(&metrics), 3);
    assert!(
        !metrics.iter().any(|line| line.contains("well")),
        "{metrics:?}"
    );
    assert!(!world.server.get("/").await.body.contains(">well<"));
}

#[tokio::test]
async fn names_are_escaped() {
    let mut world = World::new(hostile_names(), &RenewalPolicy::new()).await;
    world.pass().await;
    let metrics = world.metrics().await.join("\n");
    for label in [
        r#"name="<b>\"bold\"</b>""#,
        r#"name="line\nfeed""#,
        r#"name="back\\slash""#,
        "name=\"\u{202e}\"",
        r#"name="""#,
        r#"name="ünïcode 🦀""#,
    ] {
        assert!(metrics.contains(label), "no {label} in {metrics}");
    }
    assert!(!world.server.get("/").await.body.contains("<b>\"bold"));
}

#[tokio::test]
async fn failures_are_counted_by_reason_and_shown() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new().except(["excluded"])).await;
    world.simulator.inject(
        Injection::new(Fault::Status(503))
            .on(Operation::Refresh)
            .always(),
    );
    world.pass().await;
    let metrics = world.metrics().await;
    assert_eq!(
        values(&metrics, "failures_total"),
        [
            r#"{reason="failed"} 2"#,
            r#"{reason="no_expiry"} 0"#,
            r#"{reason="no_id"} 0"#,
            r#"{reason="not_tried"} 0"#,
            r#"{reason="unreadable_duration"} 0"#,
        ]
    );
    assert_eq!(values(&metrics, "renewals_total"), [" 0"]);
    assert_eq!(values(&metrics, "last_success"), ["_timestamp_seconds 0"]);
    let page = world.server.get("/").await.body;
    assert!(
        page.contains("; 2 not renewed</h1>") && page.contains("503"),
        "{page}"
    );

    world.simulator.clear_faults();
    world.pass().await;
    let metrics = world.metrics().await;
    assert_eq!(values(&metrics, "renewals_total"), [" 2"]);
    assert_ne!(values(&metrics, "last_success"), ["_timestamp_seconds 0"]);
    assert!(!world.server.get("/").await.body.contains("not renewed"));
}

#[tokio::test]
async fn waits_are_counted_by_reason_with_their_length() {
    let clock = VirtualClock::default();
    let simulator = simulator(&clock, a_few_tokens()).start().await.unwrap();
    let calls = calls(&clock);
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .rate_limit(RateLimit::new(1, Duration::from_secs(60)))
        .retry(Retry::default().backoff(Duration::ZERO, Duration::ZERO))
        .on_event(counting(&calls))
        .clock(clock.clone());
    let tokens = client
        .build()
        .unwrap()
        .account(simulator.account_id())
        .unwrap()
        .service_tokens();
    let policy = RenewalPolicy::new().concurrency(1);
    let mut world = World::watching(clock, simulator, &tokens, &policy, calls).await;
    world
        .simulator
        .inject(Injection::new(Fault::Status(503)).on(Operation::List));
    world.pass().await;
    let metrics = world.metrics().await;
    // The list is tried twice, and three tokens are due: five calls, of which one fits
    // into a minute.
    assert_eq!(
        values(&metrics, "wait"),
        [
            r#"_seconds_total{reason="backoff"} 0.0"#,
            r#"_seconds_total{reason="rate_limit"} 240.0"#,
            r#"s_total{reason="backoff"} 1"#,
            r#"s_total{reason="rate_limit"} 4"#,
        ]
    );
}

#[tokio::test]
async fn failed_passes_are_counted_by_cause() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    for (status, operation, times) in [
        (401, Operation::List, 1),
        (503, Operation::List, 3),
        (400, Operation::List, 1),
        (400, Operation::Refresh, 1),
    ] {
        let fault = Injection::new(Fault::Status(status)).on(operation);
        world.simulator.inject(fault.times(times));
        world.pass().await;
    }
    assert_eq!(
        values(&world.metrics().await, "failed_passes_total"),
        [
            r#"{cause="credentials"} 1"#,
            r#"{cause="other"} 2"#,
            r#"{cause="unreachable"} 1"#,
        ]
    );
}

#[tokio::test]
async fn the_page_and_the_metrics_tell_when_the_watcher_looked_and_will_look() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    let metrics = world.metrics().await;
    for name in ["last_pass", "next_pass"] {
        assert_eq!(values(&metrics, name), ["_timestamp_seconds 0"]);
    }
    assert!(!world.server.get("/").await.body.contains("As of"));
    let until = world.pass().await;
    let metrics = world.metrics().await;
    let noon = 1_795_521_600;
    assert_eq!(
        values(&metrics, "last_pass"),
        [format!("_timestamp_seconds {noon}")]
    );
    assert_eq!(
        values(&metrics, "next_pass"),
        [format!("_timestamp_seconds {}", until.timestamp())]
    );
    // Hours later, the page still says of when it is.
    world.clock.pass(Duration::from_secs(5 * 60 * 60));
    let page = world.server.get("/").await.body;
    let shown = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M UTC").to_string();
    for (label, time) in [
        ("As of", "2026-11-24 12:00 UTC"),
        ("Next pass", &shown(until)),
    ] {
        let (_, after) = page.split_once(label).unwrap();
        assert!(after[..120].contains(time), "{label} {time}: {after:.120}");
    }
}

#[tokio::test]
async fn a_token_is_due_before_it_expires_by_the_window_or_half_of_its_renewal() {
    let tokens = vec![
        SeedToken::new("year")
            .id("a")
            .expires_in(TimeDelta::days(100)),
        SeedToken::new("day")
            .id("b")
            .duration("24h")
            .expires_in(TimeDelta::days(1)),
    ];
    let policy = RenewalPolicy::new().by(RenewBy::Duration);
    let mut world = World::new(tokens, &policy).await;
    world.pass().await;
    let metrics = world.metrics().await;
    let time = |name: &str, id: &str| -> i64 {
        let values = values(&metrics, name);
        let of_id = format!("_timestamp_seconds{{id=\"{id}\"");
        let value = values
            .iter()
            .find(|value| value.starts_with(&of_id))
            .unwrap();
        value.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let ahead = |id| time("expiry", id) - time("due", id);
    assert_eq!((ahead("a"), ahead("b")), (30 * 86_400, 43_200));
    assert_eq!(values(&metrics, "window"), ["_seconds 2592000"]);
}

#[tokio::test]
async fn a_renewal_shows_before_the_pass_is_over() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    loop {
        let event = world.watch.next().await;
        world.account.observe(&event);
        if let WatchEvent::Renewal(RenewalEvent::Settled(_)) = event {
            break;
        }
    }
    let metrics = world.metrics().await;
    assert_eq!(values(&metrics, "renewals_total"), [" 1"]);
    assert_eq!(values(&metrics, "tokens{state=\"active\"}"), [" 2"]);
}

#[tokio::test]
async fn the_states_are_those_of_the_page_at_the_time_of_the_scrape() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new().except(["excluded"])).await;
    world.simulator.inject(
        Injection::new(Fault::Status(503))
            .on(Operation::Refresh)
            .always(),
    );
    world.pass().await;
    let counts = |metrics: &[String]| values(metrics, "tokens").join("");
    let before = [
        r#"{state="active"} 1"#,
        r#"{state="disabled"} 1"#,
        r#"{state="due"} 1"#,
        r#"{state="excluded"} 1"#,
        r#"{state="expired"} 1"#,
        r#"{state="never_expires"} 1"#,
        r#"{state="unknown"} 0"#,
    ];
    assert_eq!(counts(&world.metrics().await), before.concat());
    let page = world.server.get("/").await.body;
    assert!(page.contains("<h1>1 expired, 1 due, which expires in 9 days"));

    // The due token expires before the next pass is recorded.
    world.clock.pass(Duration::from_secs(10 * 24 * 60 * 60));
    let after = counts(&world.metrics().await);
    assert!(after.contains(r#"{state="due"} 0"#) && after.contains(r#"{state="expired"} 2"#));
    let page = world.server.get("/").await.body;
    assert!(page.contains("<h1>2 expired; the next is due"), "{page}");
}

#[tokio::test]
async fn the_page_says_why_the_first_pass_takes_so_long() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    world.simulator.inject(
        Injection::new(Fault::Status(503))
            .on(Operation::List)
            .times(3),
    );
    // As the pass does, whose attempts are not over yet.
    world.tokens.find("due").await.unwrap_err();
    let page = world.server.get("/").await.body;
    assert!(
        page.contains("No service tokens are known yet</h1>"),
        "{page}"
    );
    assert!(
        page.contains("The last request failed: ") && page.contains("503"),
        "{page}"
    );

    world.pass().await;
    let page = world.server.get("/").await.body;
    assert!(
        !page.contains("failed") && !page.contains("role=\"alert\""),
        "{page}"
    );
}
