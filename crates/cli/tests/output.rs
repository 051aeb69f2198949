//! The output of each command, in each format, on the simulated account.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use cf_service_tokens_simulator::{Fault, Injection, Operation, SeedToken, Simulator};
use support::{ID, World, simulated};

/// A token that no policy of the simulated account names, so that it can be deleted.
const PROBE: &str = "7be9485c-5815-4107-a250-c46e30c45281";
const NO_TOKEN: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";

#[test]
fn tables() {
    assert_shown!("list-table", simulated(&["list"]).shown());
    assert_shown!("show-table", simulated(&["show", ID]).shown());
    assert_shown!("refresh-table", simulated(&["refresh", ID]).shown());
    assert_shown!("disable-table", simulated(&["disable", ID]).shown());
    assert_shown!("enable-table", simulated(&["enable", ID]).shown());
    assert_shown!(
        "update-table",
        simulated(&["update", ID, "--name", "Grafana"]).shown()
    );
    assert_shown!("renew-table", simulated(&["renew"]).shown());
    assert_shown!(
        "renew-dry-run-table",
        simulated(&["renew", "--dry-run"]).shown()
    );
    assert_shown!("report-table", simulated(&["report"]).shown());
    assert_shown!(
        "show-unreadable-duration",
        simulated(&["show", "Data warehouse import"]).shown()
    );
    assert_shown!("verify-table", simulated(&["verify"]).shown());
    assert_shown!(
        "delete-table",
        simulated(&["delete", "--yes", PROBE]).shown()
    );
}

#[test]
fn json() {
    for (name, arguments) in [
        ("list", &["list", "--name", "Grafana scraper"][..]),
        ("show", &["show", ID]),
        ("refresh", &["refresh", ID, NO_TOKEN]),
        ("update", &["update", ID, "--duration", "forever"]),
        ("enable", &["enable", ID]),
        ("disable", &["disable", ID]),
        ("delete", &["delete", "--yes", PROBE]),
        ("renew", &["renew"]),
        ("report", &["report"]),
        ("verify", &["verify"]),
        ("journal", &["journal"]),
    ] {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--output", "json"]);
        let ran = match name {
            "journal" => World::new().run(&arguments),
            _ => simulated(&arguments),
        };
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
        assert_shown!(format!("{name}-json"), ran.stdout);
    }
}

#[test]
fn a_line_of_json_for_each_thing_that_happens() {
    let ran = simulated(&["renew", "--output", "jsonl"]);
    assert_eq!(ran.stderr, "", "{}", ran.shown());
    for line in ran.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert_shown!("renew-jsonl", ran.stdout);
}

#[test]
fn a_new_secret_is_told_of_and_not_told() {
    let world = World::new();
    for (name, format) in [("rotate-table", "table"), ("rotate-json", "json")] {
        // The second one would be refused for the grace of the first.
        let rotate = ["rotate", ID, "--end-grace", "--secret-to", "secret"];
        let rotated = world.run(&[&rotate[..], &["-o", format]].concat());
        assert_shown!(name, rotated.shown());
        let secret = support::read(&world.path("secret"));
        assert!(world.opens(&secret));
        assert!(!rotated.shown().contains(&secret));
    }
    for (name, format) in [("create-table", "table"), ("create-json", "json")] {
        let create = ["create", "deploy", "--allow-duplicate", "-o", format];
        let created = world.run(&[&create[..], &["--secret-to", "env-file:e"]].concat());
        insta::with_settings!({ filters => {
            let mut filters = support::filters();
            filters.push((r"[0-9a-f-]{36}", "[id]"));
            filters.push((r"[0-9a-f]{32}\.access", "[client id]"));
            filters
        }}, { insta::assert_snapshot!(name, created.shown()) });
    }
}

#[test]
fn quiet_leaves_out_what_went_well() {
    let ran = simulated(&["renew", "--quiet"]);
    assert_eq!(ran.shown(), "exit code 0\n");
    let ran = simulated(&["refresh", "--quiet", ID, NO_TOKEN]);
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stdout.contains(ID));
    assert!(ran.stdout.contains(NO_TOKEN));
}

#[test]
fn verbose_shows_each_request() {
    let world = World::new();
    let unavailable = Injection::new(Fault::Status(503)).on(Operation::Get);
    world.simulator.inject(unavailable);
    let ran = world.run(&["show", ID, "-v"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let path = format!(
        "/accounts/{}/access/service_tokens/{ID}",
        world.simulator.account_id()
    );
    let said = stable(&ran.stderr).replace(&path, "/[token]");
    // The rest is about the policies, groups and apps that name the token.
    let said = said.lines().take(3).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(said, @"
    hh:mm:ss GET /[token] → 503 in [n] ms, ray id [ray id]
    hh:mm:ss HTTP 503: waiting [n] ms, until hh:mm:ss UTC
    hh:mm:ss GET /[token] → 200 in [n] ms
    ");
    let ran = world.run(&["show", ID, "-vv"]);
    assert!(
        ran.stderr.contains("http.request.method=\"GET\""),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains(&format!("GET {path} → 200 in ")),
        "{}",
        ran.stderr
    );
}

#[test]
fn verbose_shows_why_no_response_came() {
    let world = World::new();
    world.go_offline();
    let ran = world.run(&["show", ID, "-v"]);
    let first = ran.stderr.lines().next().unwrap();
    assert!(
        first.contains(" → no connection: Connection refused"),
        "{first}"
    );
    assert!(
        !ran.stderr.contains(world.simulator.api_token()),
        "{}",
        ran.stderr
    );
}

/// The text without what differs from run to run.
fn stable(text: &str) -> String {
    let mut text = text.to_owned();
    let milliseconds = (r"\d+ m?s\b", "[n] ms");
    for (pattern, replacement) in [milliseconds].into_iter().chain(support::filters()) {
        let pattern = regex::Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, replacement).into_owned();
    }
    text
}

#[test]
fn what_a_name_does_to_a_terminal_reaches_none() {
    let name = "evil\u{1b}[2J\nname \u{202e}\u{2066}\u{9b}2J \"quoted\" \u{e9}";
    let world = World::with(Simulator::builder().token(SeedToken::new(name)));
    let shown = world.run(&["list"]).stdout;
    let misleads = |c: char| c != '\n' && c.is_control() || "\u{202e}\u{2066}".contains(c);
    assert!(!shown.contains(misleads), "{shown:?}");
    assert_eq!(shown.lines().count(), 2);
    let escaped = r#"evil\u{1b}[2J\nname \u{202e}\u{2066}\u{9b}2J "quoted" é"#;
    assert!(shown.contains(escaped), "{shown}");
    // Programs get it as it is.
    let listed = world.run(&["list", "--output", "json"]).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["name"], name);
}

#[test]
fn nothing_is_told_as_nothing() {
    let nobody = ["list", "--name", "nobody"];
    assert_eq!(simulated(&nobody).stdout, "no such tokens\n");
    let world = World::with(Simulator::builder().account_id("023e105f4ecef8ad"));
    assert_eq!(
        world.run(&["list"]).stdout,
        "account 023e105f4ecef8ad has no service tokens\n"
    );
    for command in ["list", "report"] {
        let empty = [command, "--account", "a", "--output", "json"];
        let world = World::with(Simulator::builder().account_id("a"));
        assert_eq!(world.run(&empty).stdout, "[]\n");
    }
}

#[test]
fn a_line_is_there_before_the_next_token_is_tried() {
    let builder = Simulator::builder();
    let tokens = ["a", "b", "c"].map(|id| SeedToken::new(id).id(id));
    let world = World::with(tokens.into_iter().fold(builder, |b, token| b.token(token)));
    // The second refresh has no answer until long after the test.
    let silence = Injection::new(Fault::StalledHeaders).on(Operation::Refresh);
    world.simulator.inject(silence.skip(1).always());
    let mut refresh = world.command();
    refresh.args(["refresh", "a", "b", "c", "--output", "jsonl"]);
    let mut child = refresh.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let requests = world.simulator.requests();
    child.kill().unwrap();
    child.wait().unwrap();
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&record["id"], &record["outcome"]),
        (&"a".into(), &"refreshed".into())
    );
    let refreshes = requests.iter().filter(|call| call.method == "POST");
    assert!(refreshes.count() <= 2, "all was over");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = support::command();
    child
        .args(["completions", "bash"])
        .stdout(std::process::Stdio::piped());
    let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    assert!(output.status.success());
}

#[test]
fn all_tokens_of_a_renewal_can_be_named() {
    let ran = simulated(&[
        "renew",
        "--only",
        "Grafana scraper",
        "--only",
        "nobody",
        "-q",
    ]);
    assert_shown!("renew-unmatched", ran.shown());
}
