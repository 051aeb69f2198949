//! What runs until it is told to end: `renew --watch` and `simulate`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use cf_service_tokens_simulator::{SeedToken, Simulator};
use chrono::TimeDelta;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{World, command};

/// A command that runs, killed if the test fails before it ends.
struct Running {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
            stderr: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
        }
    }

    fn line(&mut self) -> String {
        self.stdout.next().unwrap().unwrap()
    }

    fn end(mut self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(pid, signal).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watch_tells_what_it_does_and_ends_when_told_to() {
    let token = SeedToken::new("deploy").expires_in(TimeDelta::days(3));
    let world = World::with(Simulator::builder().token(token));
    let watch = ["renew", "--watch", "--output", "jsonl"];
    let mut watching = Running::start(world.command().args(watch));
    let events = ["token", "summary", "waiting"].map(|expected| {
        let event: serde_json::Value = serde_json::from_str(&watching.line()).unwrap();
        assert_eq!(event["event"], expected);
        event
    });
    assert_eq!(events[0]["outcome"], "renewed");
    watching.end(Signal::SIGTERM);
    assert!(world.simulator.tokens()[0].expires_at > chrono::Utc::now() + TimeDelta::days(360));

    let mut watching = Running::start(world.command().args(["renew", "--watch"]));
    assert!(watching.line().ends_with(" 1 token: 1 skipped"));
    assert!(watching.line().contains("next pass "));
    watching.end(Signal::SIGINT);
}

#[test]
fn a_simulator_says_how_to_use_it_and_shows_each_request() {
    let mut simulating = Running::start(command().arg("simulate"));
    let said: Vec<_> = (0..4).map(|_| simulating.line()).collect();
    assert_shown!("simulate", said.join("\n"));
    let mut list = command();
    for (line, name) in said.iter().zip([
        "CLOUDFLARE_BASE_URL",
        "CLOUDFLARE_API_TOKEN",
        "CLOUDFLARE_ACCOUNT_ID",
    ]) {
        let value = line.strip_prefix(&format!("export {name}=")).unwrap();
        list.env(name, value);
    }
    let listed = support::Ran::of(list.args(["list", "--search", "Grafana"]));
    assert_eq!(listed.code, Some(0), "{}", listed.shown());
    let request = simulating.stderr.next().unwrap().unwrap();
    assert!(request.contains(" GET /client/v4/accounts/"), "{request}");
    assert!(request.ends_with("search=Grafana 200"), "{request}");
    simulating.end(Signal::SIGTERM);
}
