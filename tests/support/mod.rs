//! What the tests share: a server on a plain socket, so that a test decides
//! every byte of an answer; a clock that does not wait; and child processes with
//! an environment of their own.
#![allow(
    dead_code,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "each test file uses its part of this, and a test may panic"
)]

use std::env;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cf_service_tokens::{Client, ClientBuilder, Error, ManualClock, Retry, ServiceTokens};
use cf_service_tokens_simulator::Simulator;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The ids of Cloudflare's own examples.
pub const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
pub const TOKEN: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
/// What must be found nowhere.
pub const CANARY: &str = "canary-9Zq3vX7kB1nM5tR2";

/// What happens once an answer has been written.
#[derive(Clone, Copy)]
pub enum Then {
    /// The connection is closed.
    Close,
    /// The connection stays open and silent.
    Stall,
    /// The last byte is sent again, without end.
    Repeat,
    /// The last byte is sent again, without end but one at a time.
    Drip,
}

/// What to answer to a request.
type Answer = dyn Fn(usize, &str) -> (Vec<u8>, Then) + Send + Sync;

/// A server that answers as it is told, and keeps what it was asked.
pub struct RawServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl RawServer {
    /// A server that gives every request the same answer.
    pub async fn start(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let answer = answer.into();
        Self::scripted(move |_, _| (answer.clone(), then)).await
    }

    /// A server that looks at the request, head and body, and then answers.
    pub async fn answering(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::scripted(move |_, request| (answer(request).into_bytes(), Then::Close)).await
    }

    /// A server that gives its answers in turn, and the last one ever after.
    pub async fn in_turn(answers: &[String]) -> Self {
        let answers = answers.to_vec();
        Self::scripted(move |index, _| {
            let answer = &answers[index.min(answers.len() - 1)];
            (answer.clone().into_bytes(), Then::Close)
        })
        .await
    }

    /// A server that is told, for each request and its number from 0 on, what to
    /// answer and what to do then.
    pub async fn scripted(
        answer: impl Fn(usize, &str) -> (Vec<u8>, Then) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let answer: Arc<Answer> = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&seen), Arc::clone(&answer)));
            }
        });
        Self { address, requests }
    }

    pub fn base_url(&self) -> String {
        format!("http://{}/client/v4", self.address)
    }

    /// The requests so far, heads and bodies as they were sent.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The one request so far, fit for a snapshot.
    pub fn request(&self) -> String {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        self.last_request()
    }

    /// The newest request, fit for a snapshot.
    pub fn last_request(&self) -> String {
        self.requests()
            .pop()
            .unwrap()
            .replace(&self.address.to_string(), "127.0.0.1:PORT")
            .replace('\r', "")
    }

    /// A client of this server that tries each call once.
    pub fn builder(&self) -> ClientBuilder {
        Client::builder()
            .api_token(CANARY)
            .base_url(self.base_url())
            .retry(Retry::none())
    }

    pub fn tokens(&self) -> ServiceTokens {
        self.builder()
            .build()
            .unwrap()
            .account(ACCOUNT)
            .unwrap()
            .service_tokens()
    }
}

/// The service tokens of a simulator's account, by a client with default settings.
pub fn tokens_of(simulator: &Simulator) -> ServiceTokens {
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url())
        .build()
        .unwrap();
    let account = client.account(simulator.account_id()).unwrap();
    account.service_tokens()
}

async fn serve(mut socket: TcpStream, seen: Arc<Mutex<Vec<String>>>, answer: Arc<Answer>) {
    let Some(request) = read_request(&mut socket).await else {
        return;
    };
    let (answer, then) = {
        let mut seen = seen.lock().unwrap();
        let decided = answer(seen.len(), &request);
        seen.push(request);
        decided
    };
    if socket.write_all(&answer).await.is_err() {
        return;
    }
    match then {
        Then::Close => {}
        Then::Stall => std::future::pending().await,
        Then::Drip => loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if socket.write_all(&answer[answer.len() - 1..]).await.is_err() {
                break;
            }
        },
        Then::Repeat => {
            let last = [*answer.last().unwrap(); 64 * 1024];
            while socket.write_all(&last).await.is_ok() {}
        }
    }
}

/// Reads a request's head, and its body if it says how long that is.
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

/// An answer with a ray id, a content type and the right length. It says that the
/// connection will be closed, so that no later request is sent into a closed one.
pub fn answer(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncf-ray: 8f2b1c9d0e1f2a3b-FRA\r\ncontent-type: {content_type}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An answer with a JSON body.
pub fn json(status: &str, body: &str) -> String {
    answer(status, "application/json", body)
}

/// A clock that moves as it is slept on, from noon of a certain day.
pub fn clock() -> ManualClock {
    ManualClock::new("2026-11-24T12:00:00Z".parse().unwrap())
}

/// What a call ends with whose answer stops after the head. A machine that has too
/// much to do gets more time, until the head is there before the timeout.
pub async fn with_time_for_a_head(call: impl AsyncFn(Duration) -> Error) -> Error {
    let mut timeout = Duration::from_millis(50);
    loop {
        let error = call(timeout).await;
        if error.status().is_some() || timeout > Duration::from_secs(30) {
            return error;
        }
        timeout *= 2;
    }
}

/// A port of this machine on which nobody listens and, while the socket is there,
/// nobody can.
pub fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Set in a child process: what it is to do.
const TASK: &str = "CF_SERVICE_TOKENS_TEST_TASK";
/// What a child's answer begins with among the lines that it prints.
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

/// The child's side: does its task, if this is a child, and says what became of it.
pub fn be_a_child(work: impl FnOnce(&str) -> String) {
    if let Ok(task) = env::var(TASK) {
        println!("\n{ANSWER}{}", work(&task));
    }
}

/// The most memory that this process has ever held, in bytes.
#[cfg(target_os = "linux")]
pub fn peak_memory() -> usize {
    memory("VmHWM:")
}

/// The memory that this process holds, in bytes.
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
