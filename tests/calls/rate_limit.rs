//! A client that makes many calls at once stays below the API's limit, even if only
//! answers state the limit. All waits are on a virtual clock.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{ACCOUNT, LATEST, RawServer, TOKEN};
use cf_service_tokens::{
    Client, ClientBuilder, Clock, Credentials, ErrorKind, Event, ManualClock, RateLimit, Retry,
};
use cf_service_tokens_simulator::{SeedAccount, SeedToken, Simulator, SimulatorBuilder};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

const CALLERS: usize = 64;
const CALLS_OF_EACH: usize = 20;

/// A clock that no sleep moves while a request is in flight. Otherwise minutes would pass
/// meanwhile, and the API would count the request in a later window than the client does.
struct PacedClock {
    clock: ManualClock,
    in_flight: Arc<AtomicUsize>,
}

impl Clock for PacedClock {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let sleep = self.clock.sleep(duration);
        let in_flight = Arc::clone(&self.in_flight);
        Box::pin(async move {
            while in_flight.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sleep.await;
        })
    }
}

/// Lets many concurrent callers refresh a token repeatedly, in this number of accounts by
/// turns. Returns the statuses of the API's answers, in the order of the requests.
async fn refresh_by_many(quota: u32, used_by_others: u32, accounts: usize) -> Vec<u16> {
    let clock = crate::support::exact_clock();
    let id = |account: usize| format!("account{account}");
    let token = || SeedToken::new("deploy");
    let builder = Simulator::builder()
        .enforce_rate_limit(quota, TimeDelta::minutes(1))
        .clock(clock.reader())
        .account_id(id(0))
        .token(token());
    let others = (1..accounts).map(|account| SeedAccount::new(id(account)).token(token()));
    let builder = others.fold(builder, SimulatorBuilder::account);
    let simulator = builder.start().await.unwrap();
    simulator.spend(used_by_others);
    let in_flight = Arc::new(AtomicUsize::new(0));
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .retry(Retry::default().seed(1))
        .clock(PacedClock {
            clock,
            in_flight: Arc::clone(&in_flight),
        })
        .on_event(move |event| {
            match event {
                Event::AttemptStarted { .. } => in_flight.fetch_add(1, Ordering::Relaxed),
                Event::AttemptEnded { .. } => in_flight.fetch_sub(1, Ordering::Relaxed),
                _ => 0,
            };
        })
        // Waiters compete, so one of them may wait as long as all calls take together.
        .deadline(Duration::from_secs(3600))
        .build()
        .unwrap();
    let calls = async |account: usize| {
        let tokens = client.account(id(account)).unwrap().service_tokens();
        let token = &simulator.tokens()[account].id;
        for _ in 0..CALLS_OF_EACH {
            tokens.refresh(token).await.unwrap();
        }
    };
    join_all((0..CALLERS).map(|caller| calls(caller % accounts))).await;
    let log = simulator.requests();
    log.iter().map(|request| request.status.unwrap()).collect()
}

fn refused(statuses: &[u16]) -> usize {
    statuses.iter().filter(|status| **status == 429).count()
}

#[tokio::test]
async fn concurrent_calls_stay_within_the_limit() {
    // The client assumes Cloudflare's limit until the first answer.
    let statuses = refresh_by_many(200, 100, 1).await;
    assert_eq!(statuses, vec![200; CALLERS * CALLS_OF_EACH]);
}

#[tokio::test]
async fn the_accounts_of_a_client_share_the_limit() {
    // The API counts the requests of its credentials, in whichever account.
    let statuses = refresh_by_many(200, 100, 2).await;
    assert_eq!(statuses, vec![200; CALLERS * CALLS_OF_EACH]);
}

#[tokio::test]
async fn no_call_is_refused_once_the_limit_is_known() {
    // The client sends more requests than the limit allows before the first answer
    // states it.
    let statuses = refresh_by_many(40, 10, 1).await;
    let (before, after) = statuses.split_at(CALLERS);
    assert_eq!(refused(before), CALLERS - (40 - 10));
    assert_eq!(refused(after), 0, "{statuses:?}");
    let succeeded = statuses.len() - refused(before);
    assert_eq!(succeeded, CALLERS * CALLS_OF_EACH);
}

/// Makes two calls that fail, and returns how long the second one waited.
async fn wait_after_a_failure(builder: ClientBuilder) -> Duration {
    let clock = crate::support::clock();
    let client = builder.retry(Retry::none()).clock(clock.clone()).build();
    let tokens = client.unwrap().account(ACCOUNT).unwrap().service_tokens();
    for _ in 0..2 {
        tokens.refresh(TOKEN).await.unwrap_err();
    }
    clock.elapsed()
}

#[tokio::test]
async fn a_failed_request_counts_only_if_it_was_sent() {
    let minute = Duration::from_secs(60);
    let one_a_minute = |builder: ClientBuilder| builder.rate_limit(RateLimit::new(1, minute));
    let failure = crate::support::answer("500 Oops", "text/plain", "");
    for answer in [failure, String::new()] {
        let server = RawServer::start(answer.as_str()).await;
        let wait = wait_after_a_failure(one_a_minute(server.builder())).await;
        assert!(
            (minute..minute + LATEST).contains(&wait),
            "{answer:?}: {wait:?}"
        );
    }
    let (_held, address) = crate::support::closed_port();
    let nowhere = Client::builder().base_url(format!("http://{address}"));
    let wait = wait_after_a_failure(one_a_minute(nowhere.api_token("t"))).await;
    assert_eq!(wait, Duration::ZERO);
}

/// A clock on a machine that is suspended for ten minutes in each sleep.
struct SuspendedClock(ManualClock);

impl Clock for SuspendedClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.0.sleep(duration + Duration::from_secs(600))
    }
}

#[tokio::test]
async fn a_call_that_wakes_after_its_deadline_is_not_sent() {
    let failure = crate::support::answer("500 Oops", "text/plain", "");
    let server = RawServer::start(failure).await;
    let limit = RateLimit::new(1, Duration::from_secs(60));
    let clock = SuspendedClock(crate::support::exact_clock());
    let builder = server.builder().rate_limit(limit).retry(Retry::none());
    let client = builder.clock(clock).build().unwrap();
    let tokens = client.account(ACCOUNT).unwrap().service_tokens();
    tokens.refresh(TOKEN).await.unwrap_err();
    let error = tokens.refresh(TOKEN).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert_eq!((error.attempts(), error.retry_after()), (0, None));
    assert!(!error.may_have_been_applied());
    let shown = error.to_string();
    assert!(
        shown.ends_with(": the deadline passed before the request could be sent"),
        "{shown}"
    );
    // The request that was not sent leaves its room to the next.
    assert_eq!(server.requests().len(), 1);
    assert_eq!(tokens.refresh(TOKEN).await.unwrap_err().attempts(), 1);
}

#[tokio::test]
async fn a_lock_out_applies_to_the_next_call() {
    let locked = crate::support::answer("429 Too Many Requests", "text/plain", "");
    let locked = locked.replacen("\r\n", "\r\nretry-after: 100\r\n", 1);
    let server = RawServer::start(locked).await;
    let wait = wait_after_a_failure(server.builder()).await;
    let told = Duration::from_secs(100);
    assert!((told..told + LATEST).contains(&wait), "{wait:?}");
}

/// A sleep that ends late must not change the outcome of a call.
#[test]
fn waits_have_the_same_outcome_with_other_clocks() {
    crate::support::repeat_with_other_clocks(&["retry::", "failed_request_counts", "lock_out"]);
}

/// Makes calls with two credentials in turn. Returns how long they took by the clock.
async fn calls_with_two_credentials(calls: usize, limit: RateLimit) -> Duration {
    let clock = crate::support::exact_clock();
    let simulator = Simulator::builder()
        .token(SeedToken::new("deploy"))
        .start()
        .await
        .unwrap();
    let first = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .rate_limit(limit)
        .clock(clock.clone())
        .build()
        .unwrap();
    let credentials = Credentials::ApiToken(simulator.api_token().into());
    let second = first.with_credentials(credentials).unwrap();
    let began_at = clock.elapsed();
    for client in [first, second].iter().cycle().take(calls) {
        let tokens = client.account(simulator.account_id()).unwrap();
        tokens.service_tokens().list().page(1).await.unwrap();
    }
    clock.elapsed() - began_at
}

#[tokio::test]
async fn clients_on_the_same_connections_share_the_limit_of_the_address() {
    let second = Duration::from_secs(1);
    let wide = || RateLimit::new(1000, second);
    assert_eq!(
        calls_with_two_credentials(200, wide()).await,
        Duration::ZERO
    );
    let time = calls_with_two_credentials(201, wide()).await;
    assert!((second..2 * second).contains(&time), "{time:?}");
    let time = calls_with_two_credentials(201, RateLimit::none()).await;
    assert_eq!(time, Duration::ZERO);
}
