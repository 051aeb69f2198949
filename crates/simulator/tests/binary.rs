//! The simulator as a program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{http_client, send};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_cf-service-tokens-simulator"))
}

/// A running program, killed if the test fails before it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the program and reads the three lines it begins with.
fn start(arguments: &[&str]) -> (Running, [String; 3]) {
    let mut command = program();
    command.args(arguments).stdout(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let values = [
        "CLOUDFLARE_BASE_URL",
        "CLOUDFLARE_API_TOKEN",
        "CLOUDFLARE_ACCOUNT_ID",
    ]
    .map(|expected| {
        let line = lines.next().unwrap().unwrap();
        let (name, value) = line.split_once('=').unwrap();
        assert_eq!(name, expected);
        value.to_owned()
    });
    (running, values)
}

/// Lists the tokens with what the program printed, and returns how many there are.
async fn count(values: &[String; 3]) -> Value {
    let [base_url, token, account] = values;
    let url = format!("{base_url}/accounts/{account}/access/service_tokens");
    let reply = send(http_client().get(url).bearer_auth(token)).await;
    assert_eq!(reply.status, 200);
    let total = reply.json().pointer("/result_info/total_count").cloned();
    total.unwrap()
}

fn fails(arguments: &[&str], code: i32, expected: &str) {
    let Output {
        status,
        stdout,
        stderr,
    } = program().args(arguments).output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{stderr}");
    assert!(stdout.is_empty());
    assert!(stderr.contains(expected), "{stderr}");
}

#[tokio::test]
async fn it_serves_a_believable_account_until_terminated() {
    let (mut running, values) = start(&["--listen", "127.0.0.1:0"]);
    assert_eq!(count(&values).await, 10);

    #[cfg(unix)]
    {
        let pid = running.0.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert!(running.0.wait().unwrap().success());
    }
}

#[tokio::test]
async fn it_listens_on_any_address_and_there_has_a_control_plane_if_asked_for() {
    let control = async |arguments| {
        let (_running, values) = start(arguments);
        let [base_url, ..] = &values;
        assert!(base_url.starts_with("http://127.0.0.1:"), "{base_url}");
        assert_eq!(count(&values).await, 10);
        let url = base_url.replace("/client/v4", "/_simulator/clock");
        let request = http_client().get(url).header("X-Simulator-Control", "1");
        send(request.header("host", "simulator:8787")).await.status
    };
    assert_eq!(control(&["--listen", "0.0.0.0:0"]).await, 403);
    assert_eq!(control(&["--listen", "0.0.0.0:0", "--control"]).await, 200);
}

#[tokio::test]
async fn it_can_start_empty_and_from_another_seed() {
    let (_one, one) = start(&["--empty", "--seed", "1"]);
    let (_two, two) = start(&["--empty", "--seed", "2"]);
    let (_again, again) = start(&["--empty", "--seed", "1"]);
    assert_eq!(count(&one).await, 0);
    assert_ne!(one[1..], two[1..]);
    assert_eq!(one[1..], again[1..]);
}

#[tokio::test]
async fn it_holds_more_accounts() {
    let (_running, [base_url, token, first]) = start(&["--account", "a2", "--account", "a3"]);
    let of = |account: &str| [base_url.clone(), token.clone(), account.to_owned()];
    assert_eq!(count(&of(&first)).await, 10);
    for account in ["a2", "a3"] {
        assert_eq!(count(&of(account)).await, 0);
    }
    fails(&["--account", "a_1"], 2, "account id \"a_1\"");
}

#[tokio::test]
async fn flags_turn_strictness_off() {
    let (_running, [base_url, token, account]) = start(&[
        "--token-limit",
        "11",
        "--lenient-answers",
        "--null-timestamps",
        "--list-only",
        "Nightly backup",
        "--list-only",
        "Mobile beta gateway",
        "--capped-pages",
        "1",
        "--app-authentication",
        "login",
    ]);
    let url = format!("{base_url}/accounts/{account}/access/service_tokens");
    let page = async |number| {
        let url = format!("{url}?page={number}");
        send(http_client().get(url).bearer_auth(&token))
            .await
            .json()
    };
    let first = page(1).await;
    assert_eq!(first.get("result_info"), None);
    let name = |page: &Value| page.pointer("/result/0/name").cloned();
    assert_eq!(name(&first), Some("Nightly backup".into()));
    let version = "/result/0/client_secret_version";
    assert_eq!(first.pointer(version), Some(&1.into()));
    let second = page(2).await;
    assert_eq!(name(&second), Some("Mobile beta gateway".into()));
    let last_seen = second.pointer("/result/0/last_seen_at");
    assert_eq!(last_seen, Some(&Value::Null));
    assert_eq!(name(&page(3).await), None);

    let app = base_url.replace("/client/v4", "/app");
    assert_eq!(send(http_client().get(&app)).await.status, 302);
    for status in [201, 400] {
        let request = http_client().post(&url).bearer_auth(&token);
        let created = send(request.body(r#"{"name": "CI"}"#)).await;
        assert_eq!(created.status, status);
    }

    let (_running, [base_url, ..]) = start(&["--app-authentication", "forbid"]);
    let app = base_url.replace("/client/v4", "/app");
    assert_eq!(send(http_client().get(&app)).await.status, 403);
}

#[tokio::test]
async fn it_meets_faults_at_random() {
    let faults = async |argument, timeout| {
        let (_running, [base_url, token, account]) = start(&["--faults", argument]);
        let url = format!("{base_url}/accounts/{account}/access/service_tokens");
        let mut seen = Vec::new();
        for _ in 0..10 {
            let request = http_client().get(&url).bearer_auth(&token);
            let answer = request.timeout(timeout).send().await;
            seen.push(answer.ok().map(|answer| answer.status().as_u16()));
        }
        seen
    };
    let (mut timeout, ample) = (Duration::from_millis(150), Duration::from_secs(30));
    assert_eq!(faults("1:0", ample).await, vec![Some(200); 10]);
    loop {
        let one = faults("1:1", timeout).await;
        assert_ne!(one, vec![Some(200); 10]);
        if one == faults("1:1", timeout).await {
            return;
        }
        // The machine may have been too slow to answer in time.
        assert!(timeout < ample, "not twice the same: {one:?}");
        timeout *= 4;
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_no_success() {
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = program().stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("can't write to standard output: "),
        "{stderr}"
    );
}

#[test]
fn it_has_help_and_a_version() {
    for (argument, expected) in [
        ("--help", "--listen <ADDRESS>"),
        ("--help", "A stall lasts until the client disconnects."),
        ("--version", env!("CARGO_PKG_VERSION")),
    ] {
        let output = program().arg(argument).output().unwrap();
        assert!(output.status.success());
        // Built along with other programs, it may wrap its lines.
        let shown = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = shown.split_whitespace().collect();
        let line = words.join(" ");
        assert!(line.contains(expected), "{shown}");
    }
}

#[test]
fn it_explains_a_wrong_command_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(
        &["--listen", &address],
        1,
        &format!("can't listen on {address}: "),
    );
    fails(&["--listen", "localhost"], 2, "invalid value 'localhost'");
    fails(&["--seed", "x"], 2, "invalid value 'x'");
    fails(&["--faults", "7"], 2, "expected SEED:PROBABILITY");
    fails(&["--faults", "x:0.1"], 2, "the seed must be a whole number");
    fails(
        &["--faults", "7:1.1"],
        2,
        "the probability must be from 0 to 1",
    );
    fails(&["--app-authentication", "lax"], 2, "invalid value 'lax'");
    fails(&["--fast"], 2, "unexpected argument '--fast'");
}
