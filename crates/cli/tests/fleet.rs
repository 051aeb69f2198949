//! A thousand accounts of fifty tokens, ten of them due, in one process: the time against
//! both of Cloudflare's limits, the number of requests, and the memory.
#![cfg(target_os = "linux")]
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic and print"
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cf_service_tokens_simulator::{SeedAccount, SeedToken, Simulator};
use chrono::TimeDelta;
use support::World;

const ACCOUNTS: usize = 1000;
const TOKENS: usize = 50;
const DUE: usize = 10;
/// Cloudflare's window has 300 seconds.
const WINDOW_SECONDS: u32 = 12;
const QUOTA: usize = 1200;
const MAX_MEMORY_KIB: usize = 96 * 1024;

fn account(number: usize) -> SeedAccount {
    let account = SeedAccount::new(format!("{number:032x}")).name(format!("Customer {number}"));
    (0..TOKENS).fold(account, |account, token| {
        let seed = SeedToken::new(format!("token {token} of customer {number}"));
        account.token(match token < DUE {
            true => seed.expires_in(TimeDelta::days(3)),
            false => seed,
        })
    })
}

/// The peak of the memory of a process until now, in KiB; `None` if it has ended.
fn peak_memory(child: &Child) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn get(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// With one API token for all accounts, its limit decides.
#[test]
#[ignore = "takes two minutes, and needs a machine with little else to do"]
fn a_thousand_accounts_with_one_api_token() {
    let window = TimeDelta::seconds(WINDOW_SECONDS.into());
    let builder = Simulator::builder().enforce_rate_limit(QUOTA.try_into().unwrap(), window);
    let (seen, refused) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counters = (Arc::clone(&seen), Arc::clone(&refused));
    // The simulator's own log keeps only the latest requests.
    let builder = builder.on_request(move |request| {
        counters.0.fetch_add(1, SeqCst);
        counters
            .1
            .fetch_add(usize::from(request.status == Some(429)), SeqCst);
    });
    // The first account has no tokens.
    let builder = (1..ACCOUNTS)
        .map(account)
        .fold(builder, |builder, account| builder.account(account));
    let world = World::with(builder);

    let mut renew = world.command();
    renew.args(["renew", "--all-accounts", "-o", "json", "--quiet"]);
    let start = Instant::now();
    let mut child = renew.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    let mut peak = 0;
    let status = loop {
        peak = peak_memory(&child).unwrap_or_default().max(peak);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        sleep(Duration::from_millis(50));
    };
    let took = start.elapsed();
    assert_eq!(status.code(), Some(0));
    let document: serde_json::Value = serde_json::from_str(&reader.join().unwrap()).unwrap();
    assert_eq!(document["accounts"].as_array().unwrap().len(), ACCOUNTS);
    let (seen, refused) = (seen.load(SeqCst), refused.load(SeqCst));
    let calls = ACCOUNTS / 50 + ACCOUNTS + (ACCOUNTS - 1) * DUE;
    let by_token = (calls.div_ceil(QUOTA) - 1) * usize::try_from(WINDOW_SECONDS).unwrap();
    let by_address = calls.div_ceil(200) - 1;
    println!(
        "renew: {seen} requests, {refused} refused, {:.1} s; at least {by_token} s by the limit of the \
         API token and {by_address} s by that of the address; {peak} KiB",
        took.as_secs_f64(),
    );
    assert_eq!((seen, refused), (calls, 0));
    assert!(took.as_secs_f64() < by_token.max(by_address) as f64 * 1.2 + 5.0);
    assert!(peak < MAX_MEMORY_KIB, "{peak} KiB");

    let mut watch = world.command();
    watch.args([
        "renew",
        "--watch",
        "--all-accounts",
        "--listen",
        "127.0.0.1:0",
    ]);
    let mut child = watch
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    let address = line.split_once("http://").unwrap().1;
    let address = address.split('/').next().unwrap();
    while !get(address, "/readyz").starts_with("HTTP/1.1 200") {
        sleep(Duration::from_millis(500));
    }
    let (metrics, page) = (get(address, "/metrics"), get(address, "/"));
    let peak = peak_memory(&child).unwrap();
    println!(
        "watch: {} series, {} KiB of metrics, {} KiB of page; {peak} KiB",
        metrics
            .lines()
            .filter(|line| line.starts_with("cf_"))
            .count(),
        metrics.len() / 1024,
        page.len() / 1024,
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(peak < MAX_MEMORY_KIB, "{peak} KiB");
}
