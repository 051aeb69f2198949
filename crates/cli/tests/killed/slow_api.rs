//! An API that takes a second over a POST, by its own clock, and carries it out although
//! its caller has gone.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use chrono::TimeDelta;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::World;

/// The API, as a proxy before the simulator.
pub struct SlowApi {
    pub url: String,
    /// The process that is killed while it waits.
    client: Arc<AtomicI32>,
    events: Receiver<Event>,
    go_on: Sender<()>,
}

#[derive(Debug, PartialEq)]
enum Event {
    /// A whole POST has arrived.
    Arrived,
    /// It was carried out.
    Done,
    /// All earlier messages have been read.
    Synced,
}

impl SlowApi {
    pub fn start(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().to_string();
        let base = world.simulator.base_url();
        let address = base.split('/').nth(2).unwrap().to_owned();
        let url = base.replace(&address, &own);
        let client = Arc::new(AtomicI32::new(0));
        let pid = Arc::clone(&client);
        let (tell, events) = mpsc::channel();
        let (go_on, told_to_go_on) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = request(&mut stream) else {
                    continue;
                };
                let is_post = request.starts_with(b"POST");
                if request.starts_with(b"SYNC") {
                    // The test may have ended.
                    let _ = tell.send(Event::Synced);
                    continue;
                }
                if is_post {
                    let _ = tell.send(Event::Arrived);
                    kill_once_it_waits(Pid::from_raw(pid.load(Ordering::SeqCst)));
                    if told_to_go_on.recv().is_err() {
                        return;
                    }
                }
                let answer = handed_on(&address, &request);
                let _ = stream.write_all(&answer);
                if is_post {
                    let _ = tell.send(Event::Done);
                }
            }
        });
        Self {
            url,
            client,
            events,
            go_on,
        }
    }

    /// Kills this process once it waits for the answer to a POST.
    pub fn kill_what_waits(&self, pid: Pid) {
        self.client.store(pid.as_raw(), Ordering::SeqCst);
    }

    /// Whether a whole POST has arrived of a process that has ended.
    pub fn has_arrived(&self) -> bool {
        let own = self.url.split('/').nth(2).unwrap();
        TcpStream::connect(own)
            .unwrap()
            .write_all(b"SYNC\r\n\r\n")
            .unwrap();
        self.events.recv().unwrap() == Event::Arrived
    }

    /// Carries the POST out.
    pub fn carry_out(&self, world: &World) {
        world.advance(TimeDelta::seconds(1));
        self.go_on.send(()).unwrap();
        assert_eq!(self.events.recv().unwrap(), Event::Done);
    }
}

/// Reads a request; `None` if it breaks off.
fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(request);
            }
        }
        match stream.read(&mut piece) {
            Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
            _ => return None,
        }
    }
}

/// The simulator's whole answer, after which the connection is closed.
fn handed_on(address: &str, request: &[u8]) -> Vec<u8> {
    let line = request.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut simulator = TcpStream::connect(address).unwrap();
    let request = [&request[..line], b"connection: close\r\n", &request[line..]].concat();
    simulator.write_all(&request).unwrap();
    let mut answer = Vec::new();
    simulator.read_to_end(&mut answer).unwrap();
    answer
}

/// Kills the process as soon as it sleeps until an answer comes, unless it has ended.
fn kill_once_it_waits(pid: Pid) {
    let read = |what| fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    loop {
        let stat = read("stat");
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.trim().chars().next());
        match state {
            None | Some('Z' | 'X') => return,
            Some('S') => {
                kill(pid, Signal::SIGKILL).unwrap();
                return;
            }
            Some(_) => thread::sleep(Duration::from_millis(1)),
        }
    }
}
