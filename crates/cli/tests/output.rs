//! What each command shows, in each format, on the simulated account.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{ID, World, simulated};

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
    assert_shown!("verify-table", simulated(&["verify"]).shown());
    let probe = "b8d5ba76-6c76-46e2-a919-2d16070a2604";
    assert_shown!(
        "delete-table",
        simulated(&["delete", "--yes", probe]).shown()
    );
    assert_shown!(
        "zone-list-table",
        simulated(&["--zone", "a-zone", "list"]).shown()
    );
}

#[test]
fn json() {
    for (name, arguments) in [
        ("list", &["list", "--name", "Grafana scraper"][..]),
        ("show", &["show", ID]),
        ("refresh", &["refresh", ID, "no-such-id"]),
        ("update", &["update", ID, "--duration", "forever"]),
        ("renew", &["renew"]),
        ("report", &["report"]),
        ("verify", &["verify"]),
        ("journal", &["journal"]),
    ] {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--output", "json"]);
        let ran = simulated(&arguments);
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
fn csv() {
    for command in ["list", "renew", "report"] {
        let ran = simulated(&[command, "--output", "csv"]);
        let mut reader = csv::Reader::from_reader(ran.stdout.as_bytes());
        let header = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 10, "{command}");
        let first: Vec<_> = header.iter().zip(rows[0].iter()).collect();
        insta::with_settings!({ filters => {
            let mut filters = support::filters();
            filters.push((r#""expires_in_seconds",\s+"-?\d+""#, r#""expires_in_seconds", [seconds]"#));
            filters
        }}, { insta::assert_debug_snapshot!(format!("{command}-csv"), first) });
    }
}

#[test]
fn a_new_secret_is_told_of_and_not_told() {
    let world = World::new();
    let rotated = world.run(&["rotate", ID, "--secret-to", "secret"]);
    assert_shown!("rotate-table", rotated.shown());
    let secret = support::read(&world.path("secret"));
    assert!(world.opens(&secret));
    assert!(!rotated.shown().contains(&secret));

    let created = world.run(&[
        "create",
        "deploy",
        "--secret-to",
        "env-file:e",
        "-o",
        "json",
    ]);
    insta::with_settings!({ filters => {
        let mut filters = support::filters();
        filters.push((r"[0-9a-f-]{36}", "[id]"));
        filters.push((r"[0-9a-f]{32}\.access", "[client id]"));
        filters
    }}, { insta::assert_snapshot!("create-json", created.shown()) });
}

#[test]
fn quiet_leaves_out_what_went_well() {
    let ran = simulated(&["renew", "--quiet"]);
    assert_eq!(ran.shown(), "exit code 0\n");
    let ran = simulated(&["refresh", "--quiet", ID, "no-such-id"]);
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stdout.contains(ID));
    assert!(ran.stdout.contains("no-such-id"));
}

#[test]
fn verbose_shows_each_request() {
    let ran = simulated(&["show", ID, "-v"]);
    assert!(
        ran.stderr.contains("http.request.method=\"GET\""),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("http.response.status_code=200"));
}

#[test]
fn a_control_character_in_a_name_reaches_no_terminal() {
    let world = World::with(cf_service_tokens_simulator::Simulator::builder().token(
        cf_service_tokens_simulator::SeedToken::new("evil\u{1b}[2J\nname"),
    ));
    let ran = world.run(&["list"]);
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 2);
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
