//! Watching an account: the start of the next pass, under every condition of the API,
//! the clock and the machine.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::support::{ACCOUNT, LATEST, LateClock, RawServer, Then};
use cf_service_tokens::renewal::{
    RenewBy, RenewalError, RenewalEvent, RenewalPolicy, RenewalReport, SkipReason, Watch,
    WatchEvent,
};
use cf_service_tokens::{Client, Clock, Credentials, Retry, ServiceTokens, UpdateServiceToken};
use cf_service_tokens_simulator::{Fault, Injection, Operation, SeedToken, Simulator};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt, StreamExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

/// A clock with a date that can jump, at once or during the next wait.
#[derive(Clone)]
struct JumpingClock {
    timer: LateClock,
    jump_in_next_wait: Arc<Mutex<TimeDelta>>,
}

impl JumpingClock {
    fn new() -> Self {
        Self {
            timer: crate::support::clock(),
            jump_in_next_wait: Arc::default(),
        }
    }

    fn jump(&self, difference: TimeDelta) {
        self.timer.set(self.timer.now() + difference);
    }

    fn jump_in_next_wait(&self, difference: TimeDelta) {
        *self.jump_in_next_wait.lock().unwrap() = difference;
    }
}

impl Clock for JumpingClock {
    fn now(&self) -> DateTime<Utc> {
        self.timer.now()
    }

    fn elapsed(&self) -> Duration {
        self.timer.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.jump(std::mem::take(&mut *self.jump_in_next_wait.lock().unwrap()));
        self.timer.sleep(duration)
    }
}

async fn simulator(clock: &JumpingClock, tokens: Vec<SeedToken>) -> Simulator {
    let builder = Simulator::builder().clock(clock.timer.reader());
    let builder = tokens
        .into_iter()
        .fold(builder, |builder, token| builder.token(token));
    builder.start().await.unwrap()
}

fn tokens_at(simulator: &Simulator, clock: impl Clock + 'static) -> ServiceTokens {
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .retry(Retry::default().seed(1))
        .clock(clock);
    client
        .build()
        .unwrap()
        .account(simulator.account_id())
        .unwrap()
        .service_tokens()
}

/// Runs to the end of the pass. Returns how many tokens it renewed, and when the next
/// pass begins.
async fn pass(watch: &mut Watch) -> (usize, DateTime<Utc>) {
    let mut renewed = None;
    loop {
        match watch.next().await {
            WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
                let renewals = report.tokens.iter();
                renewed = Some(
                    renewals
                        .filter(|token| token.outcome.as_str() == "renewed")
                        .count(),
                );
            }
            WatchEvent::Waiting { until } => return (renewed.unwrap(), until),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_watch_waits_until_a_token_falls_due_or_about_a_day() {
    let clock = JumpingClock::new();
    let in_31_days_and_an_hour = TimeDelta::hours(31 * 24 + 1);
    let token = SeedToken::new("deploy").expires_in(in_31_days_and_an_hour);
    let simulator = simulator(&clock, vec![token]).await;
    let mut watch = tokens_at(&simulator, clock.clone()).watch(&RenewalPolicy::new());

    let start = clock.now();
    let (renewed, second) = pass(&mut watch).await;
    assert_eq!(renewed, 0);
    let pause = second - start;
    assert!(
        TimeDelta::hours(21) < pause && pause < TimeDelta::hours(24),
        "{pause}"
    );
    let (renewed, third) = pass(&mut watch).await;
    assert_eq!(renewed, 0);
    assert_eq!(
        third - start,
        TimeDelta::hours(25),
        "30 days before its expiry"
    );
    let (renewed, _) = pass(&mut watch).await;
    assert_eq!(renewed, 1);
}

#[tokio::test]
async fn the_caller_sets_the_longest_pause() {
    for (interval, at_least, at_most) in [
        (Duration::ZERO, 30, 30),
        (Duration::from_secs(600), 540, 600),
        (Duration::MAX, 77_760, 86_400),
    ] {
        let clock = JumpingClock::new();
        let simulator = simulator(&clock, Vec::new()).await;
        let tokens = tokens_at(&simulator, clock.clone());
        let mut watch = tokens.watch(&RenewalPolicy::new()).interval(interval);
        let mut begins_at = clock.now();
        for _ in 0..20 {
            let (_, next) = pass(&mut watch).await;
            let pause = (next - begins_at).num_seconds();
            let at_most = at_most + LATEST.as_secs() as i64;
            assert!(pause <= at_most, "{interval:?}: {pause}");
            // The pause may be shorter after a failure.
            let has_failed = simulator.count(Operation::List) > 1;
            assert!(has_failed || at_least <= pause, "{interval:?}: {pause}");
            begins_at = next;
            simulator.inject(Injection::new(Fault::Status(400)).on(Operation::List));
        }
    }
}

#[tokio::test]
async fn pass_now_begins_a_pass_at_once() {
    let clock = JumpingClock::new();
    let token = SeedToken::new("deploy").id("a");
    let simulator = simulator(&clock, vec![token]).await;
    let mut watch = tokens_at(&simulator, clock.clone()).watch(&RenewalPolicy::new());
    pass(&mut watch).await;
    simulator.expire("a").unwrap();
    let start = clock.now();
    watch.pass_now();
    assert_eq!(pass(&mut watch).await.0, 1);
    assert_eq!(clock.now(), start);
    // A running pass continues, and no second pass follows.
    let until = pass(&mut watch).await.1;
    assert!(matches!(watch.next().await, WatchEvent::Starting));
    watch.pass_now();
    assert!(pass(&mut watch).await.1 > until);
}

#[tokio::test]
async fn a_pass_uses_the_tokens_that_are_set_as_it_begins() {
    let clock = JumpingClock::new();
    let due = SeedToken::new("deploy").expires_in(TimeDelta::days(9));
    let simulator = simulator(&clock, vec![due]).await;
    let client = Client::builder()
        .api_token("revoked")
        .base_url(simulator.base_url())
        .clock(clock.clone())
        .build()
        .unwrap();
    let account = simulator.account_id();
    let tokens = client.account(account).unwrap().service_tokens();
    let mut watch = tokens.watch(&RenewalPolicy::new());
    assert_eq!(pass(&mut watch).await.0, 0);
    assert!(matches!(watch.next().await, WatchEvent::Starting));
    let client = client
        .with_credentials(Credentials::ApiToken(simulator.api_token().into()))
        .unwrap();
    watch.set_tokens(client.account(account).unwrap().service_tokens());
    assert_eq!(pass(&mut watch).await.0, 1);
}

#[tokio::test]
async fn watches_that_begin_together_drift_apart() {
    let clock = JumpingClock::new();
    let simulator = simulator(&clock, Vec::new()).await;
    let mut begins = HashSet::new();
    for seed in 0..5 {
        let client = Client::builder()
            .api_token(simulator.api_token())
            .base_url(simulator.base_url())
            .retry(Retry::default().seed(seed))
            .clock(clock.clone());
        let client = client.build().unwrap();
        let tokens = client
            .account(simulator.account_id())
            .unwrap()
            .service_tokens();
        let (_, until) = pass(&mut tokens.watch(&RenewalPolicy::new())).await;
        begins.insert(until);
    }
    assert_eq!(begins.len(), 5, "{begins:?}");
}

#[tokio::test]
async fn tokens_with_an_hour_left_are_kept_alive() {
    let clock = JumpingClock::new();
    let token = SeedToken::new("deploy").duration("1h");
    let simulator = simulator(&clock, vec![token]).await;
    let policy = RenewalPolicy::new().by(RenewBy::Duration);
    let mut watch = tokens_at(&simulator, clock.clone()).watch(&policy);
    let start = clock.now();
    let mut passes = 0;
    while clock.now() < start + TimeDelta::days(1) {
        pass(&mut watch).await;
        passes += 1;
        assert!(simulator.tokens()[0].expires_at > clock.now());
    }
    assert!((48..60).contains(&passes), "{passes}");
}

#[tokio::test]
async fn failed_passes_are_retried_with_backoff() {
    let (clock, down) = (JumpingClock::new(), Arc::new(AtomicBool::new(true)));
    let state = Arc::clone(&down);
    let server = RawServer::scripted(move |_, _| {
        let list = r#"{"success":true,"errors":[],"messages":[],"result":[]}"#;
        match state.load(SeqCst) {
            true => crate::support::json("500 Internal Server Error", "{}"),
            false => crate::support::json("200 OK", list),
        }
    })
    .await;
    let client = server.builder().clock(clock.clone()).build().unwrap();
    let mut watch = client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .watch(&RenewalPolicy::new());
    for longest in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let (_, until) = pass(&mut watch).await;
        let (pause, longest) = (until - clock.now(), TimeDelta::minutes(longest));
        assert!(
            longest / 2 <= pause && pause <= longest,
            "{pause}, not {longest}"
        );
    }
    down.store(false, SeqCst);
    let (_, until) = pass(&mut watch).await;
    assert!(until - clock.now() > TimeDelta::hours(21));
    down.store(true, SeqCst);
    let (_, until) = pass(&mut watch).await;
    assert!(
        until - clock.now() <= TimeDelta::minutes(1),
        "the backoff starts again"
    );
}

/// A server of one token. The test sets its expiry and state.
struct OneToken {
    expires_at: Mutex<DateTime<Utc>>,
    is_down: AtomicBool,
}

async fn server_of(token: &Arc<OneToken>) -> RawServer {
    let token = Arc::clone(token);
    RawServer::scripted(move |_, request| {
        if token.is_down.load(SeqCst) {
            let answer = crate::support::json("500 Internal Server Error", "{}");
            return answer;
        }
        let expires_at = token.expires_at.lock().unwrap().to_rfc3339();
        let fields = format!(
            r#"{{"id":"{}","name":"deploy","duration":"1h","expires_at":"{expires_at}"}}"#,
            crate::support::TOKEN
        );
        let result = match request.starts_with("GET ") {
            true => format!("[{fields}]"),
            false => fields,
        };
        let body = format!(r#"{{"success":true,"errors":[],"messages":[],"result":{result}}}"#);
        crate::support::json("200 OK", &body)
    })
    .await
}

#[tokio::test]
async fn a_token_with_little_time_left_shortens_the_backoff() {
    let clock = JumpingClock::new();
    let token = Arc::new(OneToken {
        expires_at: Mutex::new(clock.now() + TimeDelta::minutes(40)),
        is_down: AtomicBool::new(false),
    });
    let server = server_of(&token).await;
    let client = server.builder().clock(clock.clone()).build().unwrap();
    let policy = RenewalPolicy::new().by(RenewBy::Duration);
    let mut watch = client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .watch(&policy);
    pass(&mut watch).await;
    token.is_down.store(true, SeqCst);
    let expiry = *token.expires_at.lock().unwrap();
    while expiry - clock.now() > TimeDelta::minutes(2) {
        let left = expiry - clock.now();
        let (_, until) = pass(&mut watch).await;
        assert!(until - clock.now() <= left / 2, "{left}: {until}");
    }
}

#[tokio::test]
async fn a_token_that_stays_due_is_not_renewed_in_a_loop() {
    let clock = JumpingClock::new();
    let token = Arc::new(OneToken {
        expires_at: Mutex::new(clock.now() + TimeDelta::days(9)),
        is_down: AtomicBool::new(false),
    });
    let server = server_of(&token).await;
    let client = server.builder().clock(clock.clone()).build().unwrap();
    let mut watch = client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .watch(&RenewalPolicy::new());
    // The account allows ten days, and each refresh extends the token by that.
    let start = clock.now();
    let mut passes = 0;
    while clock.now() < start + TimeDelta::days(1) {
        let now = clock.now();
        *token.expires_at.lock().unwrap() = now + TimeDelta::days(10);
        pass(&mut watch).await;
        passes += 1;
    }
    assert!(passes < 50, "{passes} passes in a day");
}

#[tokio::test]
async fn a_permanent_failure_is_not_retried_every_minute() {
    let soon = r#""expires_at":"2026-11-25T00:00:00Z""#;
    for (fields, is_tried_again_soon) in [
        // The API gives every token an expiry, so the next answer may have it.
        (r#""duration":"1h","expires_at":null"#.to_owned(), true),
        (format!(r#""duration":"1 year",{soon}"#), false),
    ] {
        let clock = JumpingClock::new();
        let token = format!(
            r#"{{"id":"{}","name":"deploy",{fields}}}"#,
            crate::support::TOKEN
        );
        let body = format!(r#"{{"success":true,"errors":[],"messages":[],"result":[{token}]}}"#);
        let server = RawServer::start(crate::support::json("200 OK", &body)).await;
        let client = server.builder().clock(clock.clone()).build().unwrap();
        let policy = RenewalPolicy::new().by(RenewBy::Duration);
        let mut watch = client
            .account(ACCOUNT)
            .unwrap()
            .service_tokens()
            .watch(&policy);
        let (_, until) = pass(&mut watch).await;
        let is_soon = until - clock.now() <= TimeDelta::minutes(1);
        assert_eq!(is_soon, is_tried_again_soon, "{fields}: {until}");
    }
}

#[tokio::test]
async fn a_suspended_machine_catches_up() {
    let clock = JumpingClock::new();
    let token = SeedToken::new("deploy").expires_in(TimeDelta::days(31));
    let simulator = simulator(&clock, vec![token]).await;
    let mut watch = tokens_at(&simulator, clock.clone()).watch(&RenewalPolicy::new());
    pass(&mut watch).await;

    // The machine sleeps for thirty days, and its timers stand still.
    clock.jump_in_next_wait(TimeDelta::days(30));
    let woken = clock.elapsed();
    let (renewed, _) = pass(&mut watch).await;
    assert_eq!(renewed, 1);
    let noticed_after = clock.elapsed() - woken;
    assert!(
        noticed_after <= Duration::from_secs(15 * 60) + LATEST,
        "{noticed_after:?}"
    );
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_delay_the_next_pass() {
    let clock = JumpingClock::new();
    let simulator = simulator(&clock, vec![SeedToken::new("deploy")]).await;
    let mut watch = tokens_at(&simulator, clock.clone()).watch(&RenewalPolicy::new());
    pass(&mut watch).await;
    clock.jump(TimeDelta::days(-3650));
    let set = clock.elapsed();
    pass(&mut watch).await;
    assert!(clock.elapsed() - set <= Duration::from_secs(24 * 60 * 60));
}

/// A clock with waits that the test ends.
#[derive(Clone)]
struct RungClock {
    timer: LateClock,
    over: Arc<Notify>,
}

impl Clock for RungClock {
    fn now(&self) -> DateTime<Utc> {
        self.timer.now()
    }

    fn elapsed(&self) -> Duration {
        self.timer.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let (timer, over) = (self.timer.clone(), Arc::clone(&self.over));
        Box::pin(async move {
            over.notified().await;
            timer.sleep(duration).await;
        })
    }
}

#[tokio::test]
async fn a_watch_as_a_stream_wakes_from_a_pause() {
    let clock = RungClock {
        timer: crate::support::clock(),
        over: Arc::default(),
    };
    let simulator = simulator(&JumpingClock::new(), vec![SeedToken::new("deploy")]).await;
    let mut watch = tokens_at(&simulator, clock.clone()).watch(&RenewalPolicy::new());
    pass(&mut watch).await;
    let lists = simulator.requests().len();

    let watching = tokio::spawn(async move {
        let first = StreamExt::next(&mut watch).await;
        (first, StreamExt::next(&mut watch).await)
    });
    // There are about a hundred checks of the date in a day.
    for _ in 0..10_000 {
        clock.over.notify_one();
        tokio::task::yield_now().await;
    }
    assert!(clock.elapsed() > Duration::from_secs(21 * 60 * 60));
    assert!(matches!(
        watching.await.unwrap(),
        (
            Some(WatchEvent::Starting),
            Some(WatchEvent::Renewal(RenewalEvent::Decided { .. }))
        )
    ));
    assert_eq!(simulator.requests().len(), lists + 1);
}

#[tokio::test]
async fn a_dropped_watch_stops() {
    let clock = JumpingClock::new();
    let server = RawServer::start((Vec::new(), Then::Stall)).await;
    let client = server.builder().clock(clock.clone()).build().unwrap();
    let mut watch = client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .watch(&RenewalPolicy::new());
    assert!(matches!(watch.next().await, WatchEvent::Starting));
    while server.requests().is_empty() {
        let mut next = Box::pin(watch.next());
        let polled = next.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
        drop(next);
        tokio::task::yield_now().await;
    }
    assert_eq!(
        server.requests().len(),
        1,
        "dropping a poll repeats no request"
    );
    drop(watch);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_token_that_expires_in_an_outage_stays_due_until_it_is_renewed() {
    for fault in [Operation::List, Operation::Refresh] {
        let clock = JumpingClock::new();
        let tokens = [("deploy", 31), ("let go", -31)];
        let tokens =
            tokens.map(|(name, days)| SeedToken::new(name).expires_in(TimeDelta::days(days)));
        let simulator = simulator(&clock, tokens.into()).await;
        let mut watch = tokens_at(&simulator, clock.clone()).watch(&RenewalPolicy::new());
        let first = report(&mut watch).await;
        assert!(first.is_success(), "{first}");
        simulator.inject(Injection::new(Fault::Status(503)).on(fault).always());
        // The window of 30 days is over when the API is back.
        clock.jump(TimeDelta::days(40));
        let mut passes = 0;
        while clock.now() < "2027-03-24T12:00:00Z".parse::<DateTime<Utc>>().unwrap() {
            let report = report(&mut watch).await;
            assert!(!report.is_success(), "{report}");
            clock.jump(TimeDelta::days(5));
            passes += 1;
        }
        assert!(passes > 10, "{passes}");
        simulator.clear_faults();
        let last = report(&mut watch).await;
        assert_eq!(
            last.to_string(),
            "2 tokens: 1 renewed, 1 skipped, 1 of them expired"
        );
        assert!(last.is_success());
        assert_eq!(last.tokens[0].name.as_deref(), Some("deploy"));
    }
}

/// Runs to the end of the pass.
async fn report(watch: &mut Watch) -> RenewalReport {
    loop {
        if let WatchEvent::Renewal(RenewalEvent::Finished(report)) = watch.next().await {
            return report;
        }
    }
}

#[tokio::test]
async fn an_expired_token_does_not_delay_the_renewal_of_another() {
    let clock = JumpingClock::new();
    let token = |name: &str, minutes| {
        let expiry = TimeDelta::minutes(minutes);
        SeedToken::new(name).duration("1h").expires_in(expiry)
    };
    let simulator = simulator(&clock, vec![token("expired", -5), token("expires", 29)]).await;
    let refused = Injection::new(Fault::Status(400)).on(Operation::Update);
    simulator.inject(refused.always());
    let policy = RenewalPolicy::new().by(RenewBy::Duration);
    let mut watch = tokens_at(&simulator, clock.clone()).watch(&policy);
    let expires_at = simulator.tokens()[1].expires_at;
    while expires_at - clock.now() > TimeDelta::minutes(2) {
        let left = expires_at - clock.now();
        let (_, until) = pass(&mut watch).await;
        assert!(until - clock.now() <= left / 2, "{left}: {until}");
    }
}

#[tokio::test]
async fn a_token_that_expired_while_disabled_is_not_renewed_once_it_is_enabled() {
    let clock = JumpingClock::new();
    let token = SeedToken::new("deploy").id(crate::support::TOKEN);
    let token = token.disabled().expires_in(TimeDelta::days(10));
    let simulator = simulator(&clock, vec![token]).await;
    let tokens = tokens_at(&simulator, clock.clone());
    let mut watch = tokens.watch(&RenewalPolicy::new());
    clock.jump(TimeDelta::days(100));
    assert!(report(&mut watch).await.is_success());
    let enable = UpdateServiceToken::new().enabled(true);
    tokens.update(crate::support::TOKEN, &enable).await.unwrap();
    let last = report(&mut watch).await;
    assert_eq!(last.skipped[&SkipReason::Expired], 1, "{last}");
}

#[test]
fn a_watch_outside_a_runtime_reports_it_without_an_end() {
    let builder = Client::builder().api_token("t");
    let client = builder.base_url("http://127.0.0.1:9").build().unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    let mut watch = tokens.watch(&RenewalPolicy::new());
    for _ in 0..3 {
        let mut next = || watch.next().now_or_never().unwrap();
        assert!(matches!(next(), WatchEvent::Starting));
        let WatchEvent::Renewal(RenewalEvent::Finished(report)) = next() else {
            panic!("the pass goes on");
        };
        assert!(matches!(report.error, Some(RenewalError::NoRuntime)));
        assert!(matches!(next(), WatchEvent::Waiting { .. }));
    }
}

#[test]
fn a_pause_goes_on_in_another_runtime() {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let servers = Runtime::new().unwrap();
    let token = SeedToken::new("deploy");
    let simulator = servers.block_on(Simulator::builder().token(token).start());
    let simulator = simulator.unwrap();
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .build();
    let account = client.unwrap().account(simulator.account_id()).unwrap();
    let mut watch = account.service_tokens().watch(&RenewalPolicy::new());
    runtime().block_on(async {
        pass(&mut watch).await;
        assert!(watch.next().now_or_never().is_none());
    });
    runtime().block_on(async {
        assert!(watch.next().now_or_never().is_none());
        tokio::task::yield_now().await;
        assert!(watch.next().now_or_never().is_none());
    });
}

/// A sleep that ends late must not change the outcome of a pass.
#[test]
fn renewals_have_the_same_outcome_with_other_clocks() {
    crate::support::repeat_with_other_clocks(&["pass::", "watch::"]);
}
