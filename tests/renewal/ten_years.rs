//! Watches an account for ten years of virtual time: the API is down for hours, days and
//! months, answers wrongly, and locks the watcher out; the watcher is restarted and
//! suspended, its clock is wrong and its sleeps end late; tokens come and go. No token of
//! the policy expires unless an outage outlasts its window. A token that expires makes
//! every pass fail until it is renewed or, after a restart, counts as expired in each
//! report until a person acts. Every token that is reported as renewed is renewed.
//!
//! Each run derives from a seed. By default, two seeds run. To run more seeds, or a
//! single one:
//!
//! ```sh
//! TEN_YEARS_SEEDS=100 cargo test --release --test renewal ten_years -- --nocapture
//! TEN_YEARS_SEED=17 cargo test --release --test renewal ten_years -- --nocapture
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use cf_service_tokens::renewal::{
    RenewBy, RenewalEvent, RenewalOutcome, RenewalPolicy, RenewalReport, SkipReason, WatchEvent,
};
use cf_service_tokens::{Client, Clock, CreateServiceToken, Retry, ServiceTokens, TokenDuration};
use cf_service_tokens_simulator::{Fault, Injection, SeedToken, Simulator, Token, WrongJson};
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;

use crate::support::lateness;

const YEARS: i64 = 10;
const DURATIONS: [&str; 6] = ["720h", "2160h", "8760h", "17520h", "87600h", "forever"];
/// The shortest window is half of the shortest duration, in hours.
const SHORTEST_WINDOW: i64 = 15 * 24;
/// The longest outage that leaves time in every window, in hours.
const SAFE_OUTAGE: i64 = 11 * 24;
/// The longest outage of all, in hours: longer than any window.
const LONGEST_OUTAGE: i64 = 75 * 24;
/// How long passes may fail after an outage because of another fault.
const RECOVERY: TimeDelta = TimeDelta::days(2);

static START: LazyLock<DateTime<Utc>> = LazyLock::new(|| "2026-11-24T12:00:00Z".parse().unwrap());

/// An event of the simulated world.
#[derive(Debug)]
enum Event {
    Outage,
    Recovery,
    /// The next calls meet this fault.
    Spell(Injection),
    Restart,
    /// The machine sleeps until shortly before the first token expires.
    Suspension,
    /// From now on, the machine's clock is wrong by this much.
    Skew(TimeDelta),
    NewToken,
    TokenRemoved,
}

/// The correct time, and the time of the watcher's machine.
#[derive(Clone, Copy, Debug, Default)]
struct Time {
    /// How long the machine has been awake.
    awake: Duration,
    asleep: TimeDelta,
    skew: TimeDelta,
}

impl Time {
    fn true_now(&self) -> DateTime<Utc> {
        *START + self.awake + self.asleep
    }
}

struct World {
    seed: u64,
    time: Arc<Mutex<Time>>,
    simulator: OnceLock<Simulator>,
    state: Mutex<State>,
}

struct State {
    random: Rng,
    /// The remaining events, by the time that the machine has been awake.
    events: VecDeque<(Duration, Event)>,
    is_down: bool,
    /// The start of the current outage.
    down_since: DateTime<Utc>,
    /// The outages that were longer than a window.
    long_outages: Vec<RangeInclusive<DateTime<Utc>>>,
    must_restart: bool,
    started_at: DateTime<Utc>,
    expired: usize,
    rescued: usize,
    lived_through: usize,
    renewed: usize,
    /// The last events, for the message of a failure.
    history: VecDeque<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

fn hours(hours: i64) -> Duration {
    TimeDelta::hours(hours).to_std().unwrap()
}

/// Returns a random fault that the API may have for a while.
fn bad_spell(random: &mut Rng) -> Injection {
    let faults = [
        Fault::StaleAnswer,
        Fault::ResetAfterRequest,
        Fault::ResetAfterHead,
        Fault::ResetDuringAnswer,
        Fault::TruncatedBody,
        Fault::SuccessFalse,
        Fault::HtmlPage(502),
        Fault::Status(500),
        Fault::Status(503),
        Fault::Redirect,
        Fault::LockOut,
        Fault::TooManyRequests {
            retry_after_seconds: Some(30),
        },
        Fault::WrongJson(WrongJson::ResultNull),
        Fault::WrongJson(WrongJson::Truncated),
        Fault::WrongJson(WrongJson::FieldsOfAnotherType),
    ];
    let fault = faults[random.usize(..faults.len())].clone();
    let injection = Injection::new(fault).times(random.u32(1..30));
    if random.bool() {
        injection.taking_effect()
    } else {
        injection
    }
}

/// Returns the events of ten years, with time between two outages.
fn fate(random: &mut Rng) -> VecDeque<(Duration, Event)> {
    let mut events = VecDeque::new();
    let mut at = 0;
    while at < YEARS * 365 * 24 {
        at += random.i64(24..60 * 24);
        let event = match random.u8(..10) {
            0..3 => {
                events.push_back((hours(at), Event::Outage));
                // One in eight is too long; of the others, more take hours than days.
                at += match random.u8(..8) {
                    0 => random.i64(SAFE_OUTAGE..LONGEST_OUTAGE),
                    _ => 1 + (SAFE_OUTAGE as f64 * random.f64().powi(2)) as i64,
                };
                Event::Recovery
            }
            3..6 => Event::Spell(bad_spell(random)),
            6 => Event::Restart,
            7 => Event::Suspension,
            8 => Event::Skew(match random.u8(..3) {
                0 => TimeDelta::days(-2),
                1 => TimeDelta::minutes(10),
                _ => TimeDelta::minutes(random.i64(-2880..2880)),
            }),
            _ if random.bool() => Event::NewToken,
            _ => Event::TokenRemoved,
        };
        events.push_back((hours(at), event));
    }
    events
}

impl World {
    async fn new(seed: u64) -> Arc<Self> {
        let mut random = Rng::with_seed(seed);
        let share = random.f64();
        let count = match seed {
            0 => 1_000,
            // More small accounts than large ones.
            _ => 5 + (195.0 * share.powi(3)) as usize,
        };
        let time = Arc::<Mutex<Time>>::default();
        let clock = Arc::clone(&time);
        let mut builder = Simulator::builder()
            .seed(seed)
            .enforce_rate_limit(1_200, TimeDelta::minutes(5))
            .clock(move || lock(&clock).true_now());
        for number in 0..count {
            let duration = DURATIONS[random.usize(..DURATIONS.len())];
            let token = SeedToken::new(format!("token {number}")).duration(duration);
            let token = match random.u8(..20) {
                0 => token.disabled(),
                _ => token.expires_in(TimeDelta::hours(random.i64(12..8760))),
            };
            builder = builder.token(token);
        }
        let world = Self {
            seed,
            time,
            simulator: OnceLock::new(),
            state: Mutex::new(State {
                events: fate(&mut random),
                random,
                is_down: false,
                down_since: *START,
                long_outages: Vec::new(),
                must_restart: false,
                started_at: *START,
                expired: 0,
                rescued: 0,
                lived_through: 0,
                renewed: 0,
                history: VecDeque::new(),
            }),
        };
        assert!(world.simulator.set(builder.start().await.unwrap()).is_ok());
        Arc::new(world)
    }

    fn simulator(&self) -> &Simulator {
        self.simulator.get().unwrap()
    }

    fn tokens(&self, clock: impl Clock + 'static) -> ServiceTokens {
        let client = Client::builder()
            .api_token(self.simulator().api_token())
            .base_url(self.simulator().base_url())
            .retry(Retry::default().seed(self.seed))
            .clock(clock)
            .build();
        client
            .unwrap()
            .account(self.simulator().account_id())
            .unwrap()
            .service_tokens()
    }

    /// Lets the machine be awake for this long.
    async fn pass_time(&self, duration: Duration) {
        let until = lock(&self.time).awake + duration;
        loop {
            let event = {
                let mut state = lock(&self.state);
                let is_next = state.events.front().is_some_and(|(at, _)| *at <= until);
                if is_next {
                    state.events.pop_front()
                } else {
                    None
                }
            };
            let Some((at, event)) = event else {
                break;
            };
            self.be_awake_until(at);
            lock(&self.state).lived_through += 1;
            self.remember(format!("{event:?}"));
            self.undergo(event).await;
        }
        self.be_awake_until(until);
    }

    fn be_awake_until(&self, until: Duration) {
        let mut time = lock(&self.time);
        time.awake = time.awake.max(until);
    }

    fn remember(&self, what: String) {
        let now = lock(&self.time).true_now();
        let history = &mut lock(&self.state).history;
        if history.len() == 40 {
            history.pop_front();
        }
        history.push_back(format!("{} {what}", now.format("%F %T")));
    }

    async fn undergo(&self, event: Event) {
        match event {
            Event::Outage => {
                self.simulator().go_offline().await.unwrap();
                let mut state = lock(&self.state);
                state.is_down = true;
                state.down_since = lock(&self.time).true_now();
            }
            Event::Recovery => {
                self.simulator().come_back().await.unwrap();
                let now = lock(&self.time).true_now();
                let mut state = lock(&self.state);
                state.is_down = false;
                if now - state.down_since > TimeDelta::hours(SAFE_OUTAGE) {
                    let outage = state.down_since..=now + RECOVERY;
                    state.long_outages.push(outage);
                }
            }
            Event::Spell(injection) => self.simulator().inject(injection),
            Event::Restart => lock(&self.state).must_restart = true,
            Event::Suspension => self.suspend(),
            Event::Skew(skew) => lock(&self.time).skew = skew,
            Event::NewToken | Event::TokenRemoved if lock(&self.state).is_down => {}
            Event::NewToken => self.create().await,
            Event::TokenRemoved => self.remove().await,
        }
    }

    /// Sleeps until half an hour before the first token expires. Nothing else is wrong when
    /// the machine wakes up, or the token could not be renewed in time.
    fn suspend(&self) {
        self.simulator().clear_faults();
        let first = self.simulator().tokens().into_iter();
        let now = lock(&self.time).true_now();
        let first = first.filter(|token| token.enabled && token.duration != "forever");
        let first = first.filter(|token| token.expires_at > now);
        let Some(first) = first.map(|token| token.expires_at).min() else {
            return;
        };
        let mut time = lock(&self.time);
        time.skew = TimeDelta::zero();
        let sleep = first - TimeDelta::minutes(30) - time.true_now();
        time.asleep += sleep.max(TimeDelta::zero());
    }

    async fn create(&self) {
        let (name, duration) = {
            let random = &mut lock(&self.state).random;
            let duration: TokenDuration = DURATIONS[random.usize(..5)].parse().unwrap();
            (format!("new {}", random.u32(..)), duration)
        };
        let request = CreateServiceToken::new(name).duration(duration);
        // During an outage the call may fail, with or without effect.
        let _ = self.tokens(Still).create(&request).await;
    }

    async fn remove(&self) {
        let tokens = self.simulator().tokens();
        if tokens.len() > 3 {
            let index = lock(&self.state).random.usize(..tokens.len());
            let _ = self.tokens(Still).delete(&tokens[index].id).await;
        }
    }

    /// Whether an outage was so long that a token could expire then.
    fn may_have_expired(&self, at: DateTime<Utc>) -> bool {
        let state = lock(&self.state);
        let goes_on = state.is_down && at >= state.down_since;
        goes_on || state.long_outages.iter().any(|outage| outage.contains(&at))
    }

    /// Checks that each expired token is reported, and that each renewed one is renewed.
    async fn check(&self, report: &RenewalReport) {
        let now = lock(&self.time).true_now();
        let tokens = self.simulator().tokens();
        let expired = |token: &&Token| {
            token.enabled && token.duration != "forever" && token.expires_at <= now
        };
        let expired: Vec<&Token> = tokens.iter().filter(expired).collect();
        if report.listed > 0 && report.tokens.is_empty() && expired.is_empty() {
            return;
        }
        self.remember(report.to_string());
        for token in expired {
            let at = token.expires_at;
            assert!(self.may_have_expired(at), "{self}: expired: {token:?}");
            lock(&self.state).expired += 1;
            if report.is_success() {
                let started_at = lock(&self.state).started_at;
                let is_old = started_at - at >= TimeDelta::hours(SHORTEST_WINDOW);
                let is_counted = report.skipped.contains_key(&SkipReason::Expired);
                assert!(is_old && is_counted, "{self}: silent: {token:?} {report}");
                // A person reads the report.
                lock(&self.state).rescued += 1;
                let _ = self.tokens(Still).refresh(&token.id).await;
            }
        }
        for renewal in &report.tokens {
            if let RenewalOutcome::Renewed { expires_at } = renewal.outcome {
                lock(&self.state).renewed += 1;
                // A pass takes less than an hour.
                let before = renewal.expires_at.unwrap();
                let was_valid = before > now - TimeDelta::hours(1);
                assert!(
                    was_valid || self.may_have_expired(before),
                    "{self}: {renewal:?}"
                );
                let token = tokens
                    .iter()
                    .find(|token| Some(&token.id) == renewal.id.as_ref());
                assert_eq!(token.unwrap().expires_at, expires_at, "{self}: {renewal:?}");
            }
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}, {:?}", self.seed, lock(&self.time))?;
        let state = lock(&self.state);
        state
            .history
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The clock of the watcher's machine.
struct MachineClock(Arc<World>);

impl Clock for MachineClock {
    fn now(&self) -> DateTime<Utc> {
        let time = lock(&self.0.time);
        time.true_now() + time.skew
    }

    fn elapsed(&self) -> Duration {
        lock(&self.0.time).awake
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let world = Arc::clone(&self.0);
        let late = lateness(&mut lock(&world.state).random);
        Box::pin(async move { world.pass_time(duration + late).await })
    }
}

/// A clock that stands still, for calls that take no time.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

async fn live(seed: u64) {
    let world = World::new(seed).await;
    let tokens = world.tokens(MachineClock(Arc::clone(&world)));
    let by = if seed.is_multiple_of(2) {
        RenewBy::Refresh
    } else {
        RenewBy::Duration
    };
    let policy = RenewalPolicy::new().by(by);
    let end = lock(&world.time).true_now() + TimeDelta::days(YEARS * 365);
    let (mut watch, mut passes) = (tokens.watch(&policy), 0);
    while lock(&world.time).true_now() < end {
        if let WatchEvent::Renewal(RenewalEvent::Finished(report)) = watch.next().await {
            world.check(&report).await;
            passes += 1;
        }
        if std::mem::take(&mut lock(&world.state).must_restart) {
            // A new process has no state of the old one.
            let tokens = world.tokens(MachineClock(Arc::clone(&world)));
            watch = tokens.watch(&policy);
            lock(&world.state).started_at = lock(&world.time).true_now();
        }
    }
    let (tokens, state) = (world.simulator().tokens().len(), lock(&world.state));
    println!(
        "seed {seed}: {by:?}, {tokens} tokens, {passes} passes, {} renewals, {} events; \
         {} long outages, {} reports of expired tokens, {} refreshed by hand",
        state.renewed,
        state.lived_through,
        state.long_outages.len(),
        state.expired,
        state.rescued
    );
    assert!(state.renewed >= tokens, "too few renewals");
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
    )
}

#[test]
fn no_token_expires_unnoticed() {
    let seeds: VecDeque<u64> = match number("TEN_YEARS_SEED") {
        Some(seed) => [seed].into(),
        None => (1..=number("TEN_YEARS_SEEDS").unwrap_or(2))
            .rev()
            // The hundredth seed has a thousand tokens.
            .map(|seed| if seed == 100 { 0 } else { seed })
            .collect(),
    };
    let seeds = Mutex::new(seeds);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let runtime = runtime.unwrap();
                while let Some(seed) = { lock(&seeds).pop_front() } {
                    runtime.block_on(live(seed));
                }
            });
        }
    });
}
