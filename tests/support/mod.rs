//! Helpers of the tests: a server on a plain socket, with answers that a test sets byte
//! by byte; a clock with sleeps that take no time but end late; and child processes
//! with their own environment.
#![allow(
    dead_code,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "each test file uses its part of this, and a test may panic"
)]

use std::env;
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cf_service_tokens::{Client, ClientBuilder, Clock, Error, ManualClock, Retry, ServiceTokens};
use cf_service_tokens_simulator::Simulator;
use chrono::{DateTime, Utc};
use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// The ids of Cloudflare's own examples.
pub const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
pub const TOKEN: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
/// The secret that no output may contain.
pub const CANARY: &str = "canary-9Zq3vX7kB1nM5tR2";

/// The state of a connection after an answer has been written.
#[derive(Clone, Copy)]
pub enum Then {
    /// The connection stays open for more requests, and closes when none comes for
    /// this long.
    KeepAlive(Duration),
    /// The connection closes, although the answer doesn't announce it.
    Close,
    /// The connection stays open and silent.
    Stall,
    /// The last byte is sent again, without end.
    Repeat,
    /// The last byte is sent again, without end but one at a time.
    Drip,
}

/// How long a connection stays open without a request, unless a test says otherwise.
/// No test is idle for so long, however busy the machine is.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// An answer of a [`RawServer`], byte by byte, and the state of the connection after
/// it.
///
/// Text becomes an answer on a connection that stays open, so it must state its length.
/// Empty text closes the connection without an answer.
#[derive(Clone)]
pub struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

impl From<&str> for Reply {
    fn from(text: &str) -> Self {
        let then = match text {
            "" => Then::Close,
            _ => Then::KeepAlive(IDLE_LIMIT),
        };
        (text, then).into()
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl<B: Into<Vec<u8>>> From<(B, Then)> for Reply {
    fn from((bytes, then): (B, Then)) -> Self {
        let bytes = bytes.into();
        Self { bytes, then }
    }
}

/// Decides the answer to a request, from its number and its text.
type Decide = dyn Fn(usize, &str) -> Reply + Send + Sync;

/// An HTTP/1.1 server that answers as a test says, and records the requests.
pub struct RawServer {
    address: SocketAddr,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: AtomicUsize,
}

impl RawServer {
    /// Starts a server that gives every request the same answer.
    pub async fn start(reply: impl Into<Reply>) -> Self {
        let reply = reply.into();
        Self::scripted(move |_, _| reply.clone()).await
    }

    /// Starts a server that reads the request, head and body, and then answers.
    pub async fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::scripted(move |_, request| answer(request)).await
    }

    /// Starts a server that gives its answers in turn, and from then on the last one.
    pub async fn in_turn(answers: &[String]) -> Self {
        let answers = answers.to_vec();
        Self::scripted(move |index, _| answers[index.min(answers.len() - 1)].clone()).await
    }

    /// Starts a server with a function that decides each answer. It gets the number of
    /// the request, from 0 on, and its text.
    pub async fn scripted<R: Into<Reply>>(
        decide: impl Fn(usize, &str) -> R + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::<Log>::default();
        let shared = Arc::clone(&log);
        let decide: Arc<Decide> = Arc::new(move |index, request| decide(index, request).into());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (log, decide) = (Arc::clone(&shared), Arc::clone(&decide));
                tokio::spawn(async move {
                    log.connections.fetch_add(1, SeqCst);
                    log.open.fetch_add(1, SeqCst);
                    serve(socket, &log, &*decide).await;
                    log.open.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { address, log }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/client/v4", self.address)
    }

    /// Returns the requests so far, heads and bodies as they were sent.
    pub fn requests(&self) -> Vec<String> {
        self.log.requests.lock().unwrap().clone()
    }

    /// Returns the only request so far, fit for a snapshot.
    pub fn request(&self) -> String {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        self.last_request()
    }

    /// Returns the newest request, fit for a snapshot.
    pub fn last_request(&self) -> String {
        self.requests()
            .pop()
            .unwrap()
            .replace(&self.address.to_string(), "127.0.0.1:PORT")
            .replace('\r', "")
    }

    /// Returns how many connections clients have made so far.
    pub fn connections(&self) -> usize {
        self.log.connections.load(SeqCst)
    }

    /// Returns how many connections are open at the server's end.
    pub fn open_connections(&self) -> usize {
        self.log.open.load(SeqCst)
    }

    /// Returns the builder of a client of this server that tries each call once.
    pub fn builder(&self) -> ClientBuilder {
        builder_of(self.base_url())
    }

    /// Returns the service tokens of an account, with a client that tries each call once.
    pub fn tokens(&self) -> ServiceTokens {
        service_tokens(self.builder())
    }
}

/// Returns the builder of a client of the API at this URL that tries each call once.
pub fn builder_of(base_url: String) -> ClientBuilder {
    Client::builder()
        .api_token(CANARY)
        .base_url(base_url)
        .retry(Retry::none())
}

/// Builds the client, and returns the service tokens of [`ACCOUNT`].
pub fn service_tokens(builder: ClientBuilder) -> ServiceTokens {
    let account = builder.build().unwrap().account(ACCOUNT);
    account.unwrap().service_tokens()
}

/// Returns the service tokens of a simulator's account, with default settings.
pub fn tokens_of(simulator: &Simulator) -> ServiceTokens {
    tokens_with(simulator, |builder| builder)
}

/// Returns the service tokens of a simulator's account, with settings that `set` changes.
pub fn tokens_with(
    simulator: &Simulator,
    set: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> ServiceTokens {
    let builder = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url());
    let client = set(builder).build().unwrap();
    let account = client.account(simulator.account_id());
    account.unwrap().service_tokens()
}

/// Serves the requests of one connection until an answer or the client closes it.
async fn serve(mut socket: TcpStream, log: &Log, decide: &Decide) {
    let mut idle_limit = IDLE_LIMIT;
    // The limit applies to waiting for a request, but not to reading one.
    while let Ok(Ok(())) = timeout(idle_limit, socket.readable()).await
        && let Some(request) = read_request(&mut socket).await
    {
        let Reply { bytes, then } = {
            let mut requests = log.requests.lock().unwrap();
            let reply = decide(requests.len(), &request);
            requests.push(request);
            reply
        };
        if socket.write_all(&bytes).await.is_err() {
            return;
        }
        match then {
            Then::KeepAlive(limit) => idle_limit = limit,
            Then::Close => return,
            Then::Stall => std::future::pending().await,
            Then::Drip => loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if socket.write_all(&bytes[bytes.len() - 1..]).await.is_err() {
                    return;
                }
            },
            Then::Repeat => {
                let last = [*bytes.last().unwrap(); 64 * 1024];
                while socket.write_all(&last).await.is_ok() {}
                return;
            }
        }
    }
}

/// Reads a request's head, and as much of a body as the head announces.
pub async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, length)| length.parse().unwrap());
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
    }
}

/// Returns an answer with a ray id, a content type and the right length.
pub fn answer(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncf-ray: 8f2b1c9d0e1f2a3b-FRA\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Returns an answer with a JSON body.
pub fn json(status: &str, body: &str) -> String {
    answer(status, "application/json", body)
}

/// A clock on which a sleep takes no real time and ends late, as on a busy machine.
#[derive(Clone)]
pub struct LateClock {
    clock: ManualClock,
    random: Arc<Mutex<Rng>>,
}

/// The latest that a sleep on a [`LateClock`] ends.
pub const LATEST: Duration = Duration::from_secs(3);

impl LateClock {
    /// Creates a clock that stands at noon of a certain day. The seed decides how late
    /// each sleep ends.
    pub fn new(seed: u64) -> Self {
        Self {
            clock: exact_clock(),
            random: Arc::new(Mutex::new(Rng::with_seed(seed))),
        }
    }
}

/// Draws how late a sleep ends: on time, by some milliseconds, or by up to [`LATEST`].
pub fn lateness(random: &mut Rng) -> Duration {
    match random.u8(..4) {
        0 => Duration::ZERO,
        1 | 2 => Duration::from_micros(random.u64(1..20_000)),
        _ => LATEST.mul_f64(random.f64()),
    }
}

impl Clock for LateClock {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let late = lateness(&mut self.random.lock().unwrap());
        self.clock.sleep(duration.saturating_add(late))
    }
}

impl Deref for LateClock {
    type Target = ManualClock;

    fn deref(&self) -> &ManualClock {
        &self.clock
    }
}

/// Returns a clock on which sleeps end on time, for a test that shows the times.
pub fn exact_clock() -> ManualClock {
    ManualClock::new("2026-11-24T12:00:00Z".parse().unwrap())
}

/// Set to a number: the seed of the clocks of a test program.
const CLOCK_SEED: &str = "CLOCK_SEED";

/// Returns a clock of the seed in `CLOCK_SEED`, or of seed 1.
pub fn clock() -> LateClock {
    let seed = env::var(CLOCK_SEED).map_or(1, |seed| seed.parse().unwrap());
    // Shown only if the test fails.
    println!("to reproduce: {CLOCK_SEED}={seed}");
    LateClock::new(seed)
}

/// Runs the tests with one of `names` in their names again, with clocks of other seeds.
pub fn repeat_with_other_clocks(names: &[&str]) {
    for seed in 2..6 {
        let output = Command::new(env::current_exe().unwrap())
            .args(names)
            .args(["--skip", "other_clocks"])
            .env(CLOCK_SEED, seed.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{CLOCK_SEED}={seed}: {text}");
        assert!(
            !text.contains(" 0 passed"),
            "no test has such a name: {text}"
        );
    }
}

/// Returns the error of a call that times out after the head of the answer. Raises the
/// timeout on a busy machine until the head arrives in time.
pub async fn with_time_for_a_head(call: impl AsyncFn(Duration) -> Error) -> Error {
    with_time_until(|error| error.status().is_some(), call).await
}

/// Returns the error of a call that times out after the connection is made. Raises the
/// timeout on a busy machine until there is a connection in time.
pub async fn with_time_to_connect(call: impl AsyncFn(Duration) -> Error) -> Error {
    with_time_until(|error| !error.is_connect(), call).await
}

async fn with_time_until(
    is_enough: impl Fn(&Error) -> bool,
    call: impl AsyncFn(Duration) -> Error,
) -> Error {
    let mut timeout = Duration::from_millis(50);
    loop {
        let error = call(timeout).await;
        if is_enough(&error) || timeout > Duration::from_secs(30) {
            return error;
        }
        timeout *= 2;
    }
}

/// Returns a port of this machine that refuses connections as long as the socket
/// exists.
pub fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The variable with the task of a child process.
const TASK: &str = "CF_SERVICE_TOKENS_TEST_TASK";
/// The prefix of the child's answer in its output.
const ANSWER: &str = "the child says: ";

/// Runs a test of this program, such as `tls::child`, in a process that has only these
/// environment variables, and returns what it answers.
///
/// A process can't safely change its own environment while it runs.
pub fn in_a_child(test: &str, task: &str, variables: &[(&str, &str)]) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env_clear()
        .envs(variables.iter().copied())
        .env(TASK, task)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    match text.lines().find_map(|line| line.split_once(ANSWER)) {
        Some((_, answer)) => answer.to_owned(),
        None => panic!("the child printed {text}"),
    }
}

/// Does the task and prints the answer, if this process is a child.
pub fn be_a_child(work: impl FnOnce(&str) -> String) {
    if let Ok(task) = env::var(TASK) {
        println!("\n{ANSWER}{}", work(&task));
    }
}

/// Returns the peak memory of this process, in bytes.
#[cfg(target_os = "linux")]
pub fn peak_memory() -> usize {
    memory("VmHWM:")
}

/// Returns the memory of this process, in bytes.
#[cfg(target_os = "linux")]
pub fn resident_memory() -> usize {
    memory("VmRSS:")
}

#[cfg(target_os = "linux")]
fn memory(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let line = lines.find(|line| line.starts_with(what)).unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}
