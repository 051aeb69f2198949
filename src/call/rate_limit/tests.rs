//! Waiting for the limit, on a clock that only the test moves.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use http::HeaderMap;
use tokio::sync::watch;

use super::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A clock that stands still until it is set.
#[derive(Clone, Debug)]
struct HandClock(watch::Sender<Duration>);

impl HandClock {
    fn new() -> Self {
        Self(watch::Sender::new(Duration::ZERO))
    }

    /// Sets the clock, and lets all tasks run.
    async fn set(&self, time: Duration) {
        self.0.send_replace(time);
        settle().await;
    }
}

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + self.elapsed()
    }

    fn elapsed(&self) -> Duration {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut time = self.0.subscribe();
        let over = *time.borrow() + duration;
        Box::pin(async move {
            let _ = time.wait_for(|now| *now >= over).await;
        })
    }
}

/// Lets all tasks run until each waits.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn answer(status: StatusCode, fields: &[(&'static str, &str)]) -> Answer {
    let headers: HeaderMap = fields
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    Answer::new(status, headers, Bytes::new(), DateTime::UNIX_EPOCH)
}

async fn enter(
    limiter: &Arc<RateLimiter>,
    clock: &dyn Clock,
    patience: Duration,
) -> Result<Permit, Duration> {
    limiter.enter(clock, patience, |_| ()).await
}

fn limiter(quota: u32, window: u64) -> Arc<RateLimiter> {
    Arc::new(RateLimiter::new(&RateLimit::new(quota, seconds(window))))
}

/// The callers that entered and the callers that gave up, in order, the latter with the
/// wait that was ahead of them.
type Log = Arc<Mutex<Vec<(usize, Result<(), u64>)>>>;

/// Spawns a caller, which sends a request that is answered at once.
fn caller(
    name: usize,
    limiter: &Arc<RateLimiter>,
    clock: &HandClock,
    patience: u64,
    log: &Log,
) -> tokio::task::JoinHandle<()> {
    let (limiter, clock, log) = (Arc::clone(limiter), clock.clone(), Arc::clone(log));
    tokio::spawn(async move {
        let entered = enter(&limiter, &clock, seconds(patience)).await;
        let entered = entered.map(|permit| permit.answered(&clock, &answer(StatusCode::OK, &[])));
        let entered = entered.map_err(|wait| wait.as_secs());
        log.lock().unwrap().push((name, entered));
    })
}

/// Takes the log, sorted by name: callers that enter at the same time do so in any order.
fn taken(log: &Log) -> Vec<(usize, Result<(), u64>)> {
    let mut taken = std::mem::take(&mut *log.lock().unwrap());
    taken.sort_by_key(|(name, _)| *name);
    taken
}

/// Takes the log, and returns how many callers entered and how many gave up.
fn counts(log: &Log) -> (usize, usize) {
    let taken = taken(log);
    let passed = taken.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    (passed, taken.len() - passed)
}

#[tokio::test]
async fn each_window_lets_its_quota_of_waiters_through() {
    let (limiter, clock, log) = (limiter(2, 300), HandClock::new(), Log::default());
    for name in 0..6 {
        caller(name, &limiter, &clock, 1000, &log);
    }
    settle().await;
    assert_eq!(counts(&log), (2, 0));
    clock.set(seconds(299)).await;
    assert_eq!(counts(&log), (0, 0));
    clock.set(seconds(300)).await;
    assert_eq!(counts(&log), (2, 0));
    clock.set(seconds(600)).await;
    assert_eq!(counts(&log), (2, 0));
}

#[tokio::test]
async fn a_caller_that_would_wait_past_its_deadline_fails_at_once() {
    let (limiter, clock, log) = (limiter(1, 300), HandClock::new(), Log::default());
    caller(0, &limiter, &clock, 400, &log);
    settle().await;
    caller(1, &limiter, &clock, 300, &log);
    caller(2, &limiter, &clock, 301, &log);
    settle().await;
    assert_eq!(taken(&log), [(0, Ok(())), (1, Err(300))]);
    clock.set(seconds(300)).await;
    assert_eq!(taken(&log), [(2, Ok(()))]);
}

#[tokio::test]
async fn a_waiter_that_finds_the_next_window_full_gives_up_before_its_deadline() {
    let (limiter, clock, log) = (limiter(1, 300), HandClock::new(), Log::default());
    caller(0, &limiter, &clock, 10, &log);
    settle().await;
    assert_eq!(counts(&log), (1, 0));
    for name in 1..4 {
        caller(name, &limiter, &clock, 599, &log);
    }
    settle().await;
    clock.set(seconds(300)).await;
    // One waiter gets the new window's only request; the others would wait until 600.
    assert_eq!(counts(&log), (1, 2));
}

#[tokio::test]
async fn a_longer_lock_out_ends_a_wait_that_would_pass_its_deadline() {
    let (limiter, clock, log) = (limiter(1, 300), HandClock::new(), Log::default());
    caller(0, &limiter, &clock, 10, &log);
    settle().await;
    caller(1, &limiter, &clock, 5000, &log);
    settle().await;
    caller(2, &limiter, &clock, 700, &log);
    settle().await;
    assert_eq!(taken(&log), [(0, Ok(()))]);
    // The API locks everyone out while the two are in the line.
    let locked = answer(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "2000")]);
    let permit = Permit {
        limiter: Arc::clone(&limiter),
        own_epoch: 0,
        api_epoch: 0,
    };
    permit.answered(&clock, &locked);
    std::mem::forget(permit);
    settle().await;
    assert_eq!(taken(&log), [(2, Err(2000))], "at once");
    clock.set(seconds(2000)).await;
    assert_eq!(taken(&log), [(1, Ok(()))]);
}

#[tokio::test]
async fn a_waiter_that_is_dropped_leaves_its_room_to_the_others() {
    let (limiter, clock, log) = (limiter(1, 300), HandClock::new(), Log::default());
    caller(0, &limiter, &clock, 1000, &log);
    settle().await;
    let dropped = [1, 2].map(|name| caller(name, &limiter, &clock, 1000, &log));
    settle().await;
    caller(3, &limiter, &clock, 1000, &log);
    settle().await;
    for waiter in dropped {
        waiter.abort();
    }
    settle().await;
    clock.set(seconds(300)).await;
    assert_eq!(taken(&log), [(0, Ok(())), (3, Ok(()))]);
}

#[tokio::test]
async fn an_unpolled_waiter_blocks_no_other() {
    let (limiter, clock, log) = (limiter(1, 300), HandClock::new(), Log::default());
    caller(0, &limiter, &clock, 10, &log);
    settle().await;
    let parked = enter(&limiter, &clock, seconds(9000));
    let mut parked = pin!(parked);
    assert!(parked.as_mut().now_or_never().is_none());
    for name in 1..4 {
        caller(name, &limiter, &clock, 2000, &log);
    }
    settle().await;
    assert_eq!(counts(&log), (1, 0));
    for at in [300, 600, 900] {
        clock.set(seconds(at)).await;
        assert_eq!(counts(&log), (1, 0), "at {at}");
    }
    assert!(parked.as_mut().now_or_never().is_none());
    clock.set(seconds(1200)).await;
    assert!(parked.now_or_never().unwrap().is_ok());
}

#[tokio::test]
async fn unpolled_waiters_keep_no_room_from_another() {
    let (limiter, clock, log) = (limiter(1, 300), HandClock::new(), Log::default());
    let permit = enter(&limiter, &clock, seconds(1)).await.ok().unwrap();
    let mut parked = [0, 1].map(|_| Box::pin(enter(&limiter, &clock, seconds(9000))));
    for waiter in &mut parked {
        assert!(waiter.as_mut().now_or_never().is_none());
    }
    caller(3, &limiter, &clock, 2000, &log);
    settle().await;
    // The first two waiters get the notifications.
    permit.unsent();
    drop(permit);
    clock.set(LOOK_AGAIN).await;
    assert_eq!(taken(&log), [(3, Ok(()))]);
}

/// A clock that counts how often it is read.
#[derive(Debug, Default)]
struct CountingClock(std::sync::atomic::AtomicUsize);

impl Clock for CountingClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }
    fn elapsed(&self) -> Duration {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }
}

/// Returns how often the limiter reads the clock while this many calls fail to connect.
async fn clock_reads_of_unsent_calls(calls: usize) -> usize {
    let (limiter, clock) = (limiter(10, 1), CountingClock::default());
    let call = async || {
        let permit = enter(&limiter, &clock, seconds(100)).await.ok().unwrap();
        tokio::task::yield_now().await; // fails to connect
        permit.unsent();
    };
    futures_util::future::join_all((0..calls).map(|_| call())).await;
    clock.0.load(std::sync::atomic::Ordering::Relaxed)
}

#[tokio::test]
async fn unsent_calls_cost_about_the_same_each_however_many_wait() {
    let few = clock_reads_of_unsent_calls(200).await;
    let many = clock_reads_of_unsent_calls(2000).await;
    assert!(
        many <= 20 * few,
        "{few} clock reads for 200 calls, {many} for 2,000"
    );
}

#[tokio::test]
async fn both_limits_hold() {
    let clock = HandClock::new();
    let limiter = limiter(2, 60);
    let policy = r#""default";q=3;w=300"#;
    for (at, remaining) in [(0, 2), (0, 1), (60, 0)] {
        clock.set(seconds(at)).await;
        let permit = enter(&limiter, &clock, seconds(1)).await.ok().unwrap();
        let left = format!(r#""default";r={remaining};t={}"#, 300 - at);
        let fields = [("ratelimit", left.as_str()), ("ratelimit-policy", policy)];
        permit.answered(&clock, &answer(StatusCode::OK, &fields));
    }
    // The caller's limit of two a minute has room again, the API's has not.
    clock.set(seconds(120)).await;
    assert_eq!(
        enter(&limiter, &clock, seconds(1)).await.err(),
        Some(seconds(180))
    );
    clock.set(seconds(300)).await;
    let first = enter(&limiter, &clock, seconds(1)).await;
    let second = enter(&limiter, &clock, seconds(1)).await;
    assert!(first.is_ok() && second.is_ok());
    // Now the API's limit has room again, and the caller's has not.
    assert_eq!(
        enter(&limiter, &clock, seconds(1)).await.err(),
        Some(seconds(60))
    );
}

#[tokio::test]
async fn a_waiter_enters_when_an_answer_shortens_the_window() {
    let limiter = Arc::new(RateLimiter::new(&RateLimit::default()));
    let (clock, log) = (HandClock::new(), Log::default());
    let mut permits = Vec::new();
    for _ in 0..CLOUDFLARE.quota {
        permits.push(enter(&limiter, &clock, seconds(1)).await.ok().unwrap());
    }
    caller(0, &limiter, &clock, 1000, &log);
    settle().await;
    let fields = [
        ("ratelimit", r#""default";r=0;t=10"#),
        ("ratelimit-policy", r#""default";q=1200;w=300"#),
    ];
    permits[0].answered(&clock, &answer(StatusCode::OK, &fields));
    drop(permits);
    settle().await;
    assert_eq!(taken(&log), []);
    // `t` is in whole seconds.
    clock.set(seconds(12)).await;
    assert_eq!(taken(&log), [(0, Ok(()))]);
}

#[tokio::test]
async fn a_lock_out_ends_and_has_a_maximum() {
    let clock = HandClock::new();
    let limiter = limiter(10, 300);
    let locked = |retry_after: &str| {
        answer(
            StatusCode::TOO_MANY_REQUESTS,
            &[("retry-after", retry_after)],
        )
    };
    let permit = enter(&limiter, &clock, seconds(1)).await.ok().unwrap();
    permit.answered(&clock, &locked("7"));
    permit.answered(&clock, &locked("3"));
    assert_eq!(
        enter(&limiter, &clock, seconds(1)).await.err(),
        Some(seconds(7))
    );
    clock.set(seconds(7)).await;
    assert!(
        enter(&limiter, &clock, seconds(1)).await.is_ok(),
        "before its window is over"
    );
    permit.answered(&clock, &locked("99999999999"));
    assert_eq!(
        enter(&limiter, &clock, seconds(1)).await.err(),
        Some(MAX_WAIT)
    );
}

#[tokio::test]
async fn an_unsent_request_does_not_count() {
    let clock = HandClock::new();
    let limiter = limiter(1, 300);
    for _ in 0..3 {
        enter(&limiter, &clock, seconds(1))
            .await
            .ok()
            .unwrap()
            .unsent();
    }
    drop(enter(&limiter, &clock, seconds(1)).await.ok().unwrap());
    assert!(enter(&limiter, &clock, seconds(1)).await.is_err());
}

#[tokio::test]
async fn the_room_of_an_unsent_request_goes_to_a_waiter() {
    let (limiter, clock, log) = (limiter(1, 300), HandClock::new(), Log::default());
    let permit = enter(&limiter, &clock, seconds(1)).await.ok().unwrap();
    caller(1, &limiter, &clock, 1000, &log);
    settle().await;
    assert_eq!(taken(&log), []);
    permit.unsent();
    drop(permit);
    settle().await;
    assert_eq!(taken(&log), [(1, Ok(()))], "at once");
}

#[tokio::test]
async fn without_a_limit_no_call_waits() {
    let limiter = Arc::new(RateLimiter::new(&RateLimit::none()));
    for _ in 0..10_000 {
        assert!(
            enter(&limiter, &HandClock::new(), Duration::ZERO)
                .await
                .is_ok()
        );
    }
}
