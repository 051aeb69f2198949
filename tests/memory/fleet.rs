//! A thousand accounts of fifty tokens, ten of them due, in one process, each account with
//! an API token of its own. The limit of the IP address decides.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use cf_service_tokens::renewal::RenewalPolicy;
use cf_service_tokens::{Client, Credentials};
use cf_service_tokens_simulator::{SeedAccount, SeedApiToken, SeedToken, Simulator};
use chrono::TimeDelta;
use tokio::task::JoinSet;

const ACCOUNTS: usize = 1000;
const TOKENS: usize = 50;
const DUE: usize = 10;
/// How many accounts are renewed at the same time.
const AT_A_TIME: usize = 16;
const MAX_MEMORY: usize = 96 * 1024 * 1024;

fn id(number: usize) -> String {
    format!("{number:032x}")
}

fn api_token(number: usize) -> String {
    format!("api-token-{number}")
}

/// Renews all accounts at the base URL, and prints how many tokens were renewed, how long
/// it took in milliseconds, and the peak memory.
#[test]
fn child() {
    crate::support::be_a_child(|base_url| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let start = Instant::now();
        let renewed = runtime.unwrap().block_on(renew_all(base_url));
        let took = start.elapsed().as_millis();
        format!("{renewed} {took} {}", crate::support::peak_memory())
    });
}

async fn renew_all(base_url: &str) -> usize {
    let client = Client::builder().api_token("any").base_url(base_url);
    let client = client.build().unwrap();
    let policy = RenewalPolicy::new();
    let mut running = JoinSet::new();
    let mut renewed = 0;
    for number in 0..ACCOUNTS {
        if running.len() == AT_A_TIME {
            renewed += running.join_next().await.unwrap().unwrap();
        }
        let credentials = Credentials::ApiToken(api_token(number).into());
        let client = client.with_credentials(credentials).unwrap();
        let tokens = client.account(id(number)).unwrap().service_tokens();
        let policy = policy.clone();
        running.spawn(async move {
            let report = tokens.renew(&policy).await;
            assert!(report.is_success(), "{report}");
            report.tokens.len()
        });
    }
    renewed + running.join_all().await.into_iter().sum::<usize>()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute, and needs a machine with little else to do"]
async fn a_thousand_accounts_with_an_api_token_each() {
    let (seen, refused) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counters = (Arc::clone(&seen), Arc::clone(&refused));
    let builder = Simulator::builder()
        .account_id("first")
        .enforce_rate_limit(1200, TimeDelta::minutes(5))
        .on_request(move |request| {
            counters.0.fetch_add(1, SeqCst);
            counters
                .1
                .fetch_add(usize::from(request.status == Some(429)), SeqCst);
        });
    let builder = (0..ACCOUNTS).fold(builder, |builder, number| {
        let account = (0..TOKENS).fold(SeedAccount::new(id(number)), |account, token| {
            let seed = SeedToken::new(format!("token {token} of account {number}"));
            account.token(match token < DUE {
                true => seed.expires_in(TimeDelta::days(3)),
                false => seed,
            })
        });
        let api_token = SeedApiToken::new(api_token(number)).account(id(number));
        builder.account(account).add_api_token(api_token)
    });
    let simulator = builder.start().await.unwrap();
    let base_url = simulator.base_url().to_owned();
    let child = tokio::task::spawn_blocking(move || {
        crate::support::in_a_child("fleet::child", &base_url, &[])
    });
    let answer = child.await.unwrap();
    let numbers: Vec<usize> = answer
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    let [renewed, took, peak] = numbers[..] else {
        panic!("{answer}");
    };
    let took = Duration::from_millis(took.try_into().unwrap());
    let (seen, refused) = (seen.load(SeqCst), refused.load(SeqCst));
    let calls = ACCOUNTS * (1 + DUE);
    let by_address = calls.div_ceil(200) - 1;
    println!(
        "{seen} requests, {refused} refused, {:.1} s; at least {by_address} s by the limit of the \
         address; {} KiB",
        took.as_secs_f64(),
        peak / 1024
    );
    assert_eq!(renewed, ACCOUNTS * DUE);
    assert_eq!((seen, refused), (calls, 0));
    let most = Duration::from_secs(by_address.try_into().unwrap()).mul_f64(1.2);
    assert!(took < most, "{took:?}");
    assert!(peak < MAX_MEMORY, "{peak}");
}
