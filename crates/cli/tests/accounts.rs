//! Several accounts in one command: `renew`, `report`, and the watcher.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use cf_service_tokens_simulator::{
    Access, Fault, Injection, Operation, Permission, SeedAccount, SeedApiToken, SeedToken,
    ServiceTokenInactivity, Simulator, SimulatorBuilder,
};
use chrono::{TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{Ran, World};

fn due(id: &str) -> SeedToken {
    SeedToken::new(format!("{id} of all"))
        .id(id)
        .expires_in(TimeDelta::days(3))
}

/// Acme with a due token, Beta with a due and another token, and Gamma without Access.
fn three() -> SimulatorBuilder {
    Simulator::builder()
        .account_id("a1")
        .account_name("Acme")
        .token(due("t1"))
        .account(
            SeedAccount::new("a2")
                .name("Beta")
                .token(due("t2"))
                .token(SeedToken::new("calm").id("t3")),
        )
        .account(SeedAccount::new("a3").name("Gamma").access(None))
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).expect(&ran.stdout)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn is_renewed(world: &World, id: &str) -> bool {
    world.simulator.token(id).unwrap().expires_at > Utc::now() + TimeDelta::days(360)
}

/// The accounts of a document of `renew`, in the order of their ids.
fn accounts(document: &Value) -> Vec<&Value> {
    assert_eq!(keys(document), ["accounts"].into());
    let mut accounts: Vec<_> = document["accounts"].as_array().unwrap().iter().collect();
    accounts.sort_by_key(|account| account["account_id"].as_str());
    accounts
}

#[test]
fn all_accounts_are_renewed_and_one_without_access_has_nothing_to_do() {
    let world = World::with(three());
    let ran = world.run(&["renew", "--all-accounts", "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let document = json(&ran);
    let accounts = accounts(&document);
    let seen = accounts.iter().map(|account| {
        let field = |name: &str| account[name].to_string();
        let renewed = &account["counts"]["renewed"];
        format!(
            "{} {} {} {renewed}",
            field("account_id"),
            field("account_name"),
            field("has_access")
        )
    });
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            r#""a1" "Acme" true 1"#,
            r#""a2" "Beta" true 1"#,
            r#""a3" "Gamma" false 0"#
        ]
    );
    assert!(is_renewed(&world, "t1") && is_renewed(&world, "t2"));

    // A second account changes nothing about the shape.
    let one = json(&world.run(&["renew", "-o", "json"]));
    assert_eq!(keys(&one), ["accounts"].into());
    assert_eq!(keys(&one["accounts"][0]), keys(accounts[0]));
    assert_eq!(one["accounts"][0]["account_name"], Value::Null);
}

#[test]
fn each_account_has_a_heading_in_the_table_and_its_id_in_each_line_of_json() {
    let world = World::with(three());
    let ran = world.run(&["renew", "--all-accounts", "--dry-run"]);
    assert_eq!(ran.code, Some(5), "{}", ran.shown());
    for heading in ["Acme (a1)\nNAME", "Beta (a2)\nNAME"] {
        assert!(ran.stdout.contains(heading), "{}", ran.shown());
    }
    let gamma = "Gamma (a3)\nAccess is not enabled, so there is nothing to renew\n";
    assert!(ran.stdout.contains(gamma), "{}", ran.shown());
    let one = world.run(&["renew", "--dry-run"]);
    assert!(one.stdout.starts_with("NAME"), "{}", one.shown());

    let ran = world.run(&["renew", "--account", "a1", "--account", "a2", "-o", "jsonl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let lines = ran.stdout.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        format!("{} {}", line["account_id"], line["event"])
    });
    let lines: BTreeSet<String> = lines.collect();
    let expected = [
        r#""a1" "summary""#,
        r#""a1" "token""#,
        r#""a2" "summary""#,
        r#""a2" "token""#,
    ];
    assert_eq!(lines, expected.map(str::to_owned).into());
}

#[test]
fn a_failure_of_one_account_stops_no_other() {
    let world = World::with(three());
    let named = ["--account", "a1", "--account", "gone", "--account", "a2"];
    let ran = world.run(&[&["renew"], &named[..]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(is_renewed(&world, "t1") && is_renewed(&world, "t2"));
    assert!(
        ran.stderr.contains("error: account gone: "),
        "{}",
        ran.shown()
    );
    assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.shown());

    // An account that was named, and has no Access, is a failure.
    let ran = world.run(&["renew", "--account", "a1", "--account", "a3"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(ran.stderr.contains("account a3: "), "{}", ran.shown());

    // An outage that only the account with a due token notices.
    world.simulator.expire("t2").unwrap();
    let fault = Injection::new(Fault::Status(503)).on(Operation::Refresh);
    world.simulator.inject(fault.always());
    let ran = world.run(&["renew", "--all-accounts", "--deadline", "1s", "-o", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(
        ran.stderr.contains("Beta (a2): \"t2 of all\": "),
        "{}",
        ran.shown()
    );
    assert_eq!(accounts(&json(&ran)).len(), 3);
    world.go_offline();
    let ran = world.run(&[&["report", "--deadline", "1s"], &named[..]].concat());
    assert_eq!(ran.code, Some(4), "{}", ran.shown());
}

#[test]
fn refused_credentials_are_one_error_for_all_accounts() {
    let many = (0..40).map(|number| SeedAccount::new(format!("b{number}")));
    let world = World::with(many.fold(three(), SimulatorBuilder::account));
    let names: Vec<String> = (0..40).map(|number| format!("b{number}")).collect();
    let named = names.iter().flat_map(|name| ["--account", name]);
    let mut renew = world.command();
    renew
        .arg("renew")
        .args(named)
        .env("CLOUDFLARE_API_TOKEN", "revoked");
    let ran = Ran::of(&mut renew);
    assert_eq!(ran.code, Some(3), "{}", ran.shown());
    assert_eq!(ran.stderr.matches("error: ").count(), 2, "{}", ran.shown());
    assert!(ran.stderr.contains("were not tried"), "{}", ran.shown());
    assert!(world.simulator.requests().len() <= 16);
}

#[test]
fn a_command_for_one_account_and_contradictions_are_usage_errors() {
    let world = World::with(three());
    for (arguments, says) in [
        (
            &["list", "--account", "a1", "--account", "a2"][..],
            "`renew`, `report` and `doctor` take several",
        ),
        (
            &["renew", "--account", "a1", "--all-accounts"],
            "--all-accounts",
        ),
        (&["list", "--all-accounts"], "--all-accounts"),
    ] {
        let ran = world.run(arguments);
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(ran.stderr.contains(says), "{}", ran.shown());
    }
    assert_eq!(world.simulator.requests().len(), 0);
    // The same account twice is one account.
    let ran = world.run(&["list", "--account", "a2", "--account", "a2"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
}

#[test]
fn the_permission_to_list_accounts_is_named() {
    let limited = SeedApiToken::new("limited").permissions([Permission::ServiceTokensWrite]);
    let world = World::with(three().api_token(limited));
    for command in ["renew", "report"] {
        let ran = world.run(&[command, "--all-accounts"]);
        assert_eq!(ran.code, Some(3), "{}", ran.shown());
        assert!(
            ran.stderr.contains("could not list the accounts"),
            "{}",
            ran.shown()
        );
        assert!(
            ran.stderr.contains("\"Account Settings Read\""),
            "{}",
            ran.shown()
        );
    }
    let owned = SeedApiToken::new("owned").owned_by_account("a1");
    let world = World::with(three().api_token(owned));
    let ran = world.run(&["renew", "--all-accounts"]);
    assert!(
        ran.stderr.contains("name that one with --account"),
        "{}",
        ran.shown()
    );
}

#[test]
fn a_name_that_one_account_has_is_not_missing() {
    let world = World::with(three());
    let ran = world.run(&["renew", "--all-accounts", "--only", "t2 of all"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(is_renewed(&world, "t2") && !is_renewed(&world, "t1"));
    let ran = world.run(&["renew", "--all-accounts", "--only", "nobody"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    let missing = "no token has the id, client id or name \"nobody\"";
    assert_eq!(ran.stderr.matches(missing).count(), 1, "{}", ran.shown());
}

#[test]
fn shards_divide_the_accounts() {
    let many = (0..50).map(|number| SeedAccount::new(format!("account{number}")));
    let world = World::with(many.fold(three(), SimulatorBuilder::account));
    let mut seen = Vec::new();
    for shard in ["0/3", "1/3", "2/3"] {
        let ran = world.run(&["renew", "--all-accounts", "--shard", shard, "-o", "jsonl"]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let lines = ran
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let accounts: BTreeSet<String> = lines
            .map(|line| line["account_id"].as_str().unwrap().to_owned())
            .collect();
        assert!(accounts.len() > 8, "{shard}: {accounts:?}");
        seen.extend(accounts);
    }
    assert_eq!(seen.len(), 53);
    assert_eq!(BTreeSet::from_iter(&seen).len(), 53);

    let shard = |index| world.run(&["renew", "--shard", &format!("{index}/2"), "-o", "json"]);
    let [one, other] = [shard(0), shard(1)].map(|ran| {
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        (json(&ran)["accounts"].as_array().unwrap().len(), ran.stderr)
    });
    assert_eq!(one.0 + other.0, 1);
    let idle = if one.0 == 0 { one.1 } else { other.1 };
    assert!(idle.contains("the account is not in shard"), "{idle}");
}

#[test]
fn a_report_is_about_all_accounts() {
    let world = World::with(three());
    let ran = world.run(&["report", "--all-accounts", "--check"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    let (head, rows) = ran.stdout.split_once('\n').unwrap();
    assert!(head.contains("ACCOUNT"), "{}", ran.shown());
    assert!(
        rows.contains("Acme") && rows.contains("Beta"),
        "{}",
        ran.shown()
    );
    assert!(rows.contains("2 due"), "{}", ran.shown());
    let one = world.run(&["report"]);
    assert!(!one.stdout.contains("ACCOUNT"), "{}", one.shown());

    let ran = world.run(&["report", "--all-accounts", "-o", "json"]);
    let document = json(&ran);
    let rows = document.as_array().unwrap().iter();
    let owners: Vec<_> = rows
        .map(|row| row["account_name"].as_str().unwrap())
        .collect();
    assert_eq!(owners, ["Acme", "Beta", "Beta"], "soonest first");
    let ran = world.run(&["report", "--all-accounts", "t3"]);
    assert!(
        ran.code == Some(1) || !ran.stdout.contains("t1"),
        "{}",
        ran.shown()
    );

    let ran = world.run(&["report", "--all-accounts", "--html", "-"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    for heading in ["Acme (a1)", "Beta (a2)", "Gamma (a3)"] {
        let heading = format!("<h2><bdi>{heading}</bdi></h2>");
        assert!(ran.stdout.contains(&heading), "{}", ran.shown());
    }
    assert!(
        ran.stdout.contains("<h1>2 due, the next in "),
        "{}",
        ran.shown()
    );
}

#[test]
fn a_report_says_that_the_tokens_of_an_account_are_unknown() {
    let calm = SeedAccount::new("a2").token(SeedToken::new("calm"));
    let world = World::with(Simulator::builder().account_id("a1").account(calm));
    let page = world.path("page.html");
    let page_argument = page.to_str().unwrap();
    let read = || std::fs::read_to_string(&page).unwrap();

    let named = ["report", "--account", "a2", "--account", "gone"];
    let ran = world.run(&named);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    let verdict = "; the tokens of 1 account are unknown";
    assert!(ran.stdout.contains(verdict), "{}", ran.shown());
    let ran = world.run(&[&named[..], &["--html", page_argument]].concat());
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(ran.stderr.contains(verdict), "{}", ran.shown());
    let written = read();
    assert!(written.contains(&format!("{verdict}</h1>")), "{written}");
    assert!(written.contains("Not up to date"), "{written}");
    assert!(written.contains("<h2><bdi>gone</bdi></h2>"), "{written}");
    assert!(written.contains("could not be listed: "), "{written}");

    // Nothing says that accounts have no tokens which nobody could list.
    let named = ["report", "--account", "gone", "--account", "lost"];
    let ran = world.run(&named);
    assert_eq!(ran.code, Some(3), "{}", ran.shown());
    assert_eq!(ran.stdout, "the tokens of 2 accounts are unknown\n");
    world.run(&[&named[..], &["--html", page_argument]].concat());
    let written = read();
    assert!(written.contains("<h2><bdi>lost</bdi></h2>"), "{written}");
    assert!(!written.contains("has no service tokens"), "{written}");
}

/// The tokens come first: what is read beside them may use up the rate limit.
#[test]
fn a_report_lists_all_accounts_before_it_reads_what_is_beside_their_tokens() {
    let four = ["a2", "a3", "a4"].iter().fold(
        Simulator::builder().account_id("a1").token(due("t1")),
        |builder, id| builder.account(SeedAccount::new(*id).token(SeedToken::new(*id))),
    );
    let soon = SeedApiToken::new("soon").expires_at(Utc::now() + TimeDelta::days(12));
    let limited = four
        .api_token(soon)
        .enforce_rate_limit(12, TimeDelta::minutes(5));
    let world = World::with(limited);
    let page = world.path("page.html");
    let ran = world.run(&[
        "report",
        "--all-accounts",
        "-o",
        "json",
        "--html",
        page.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(json(&ran).as_array().unwrap().len(), 4, "{}", ran.shown());
    // Each thing is said once, and the one API token is verified once.
    let notes: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(notes.len(), 2, "{}", ran.shown());
    assert!(
        notes[0].starts_with("note: the API token expires in 12 days"),
        "{}",
        ran.shown()
    );
    assert!(
        notes[1].starts_with("note: some risks are unknown in "),
        "{}",
        ran.shown()
    );
    assert_eq!(world.simulator.count(Operation::VerifyApiToken), 1);
    // A note does not make the tokens stale.
    let page = std::fs::read_to_string(page).unwrap();
    assert!(
        page.contains("Note: the API token expires in 12 days"),
        "{page}"
    );
    assert!(!page.contains("Not up to date"), "{page}");
}

#[test]
fn the_name_of_an_account_can_not_break_the_output() {
    let name = "Evil\u{202e}\u{1b}[31m\nBeta (a2)";
    let evil = Simulator::builder().account_id("a1").account_name(name);
    let world = World::with(evil.token(due("t1")).account(SeedAccount::new("a2")));
    for command in ["renew", "report", "doctor"] {
        let ran = world.run(&[command, "--all-accounts"]);
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        let escaped = r"Evil\u{202e}\u{1b}[31m\nBeta (a2)";
        assert!(shown.contains(escaped), "{command}: {shown}");
        let raw = |c: char| c == '\u{202e}' || c == '\u{1b}';
        assert!(!shown.contains(raw), "{command}: {shown}");
    }
}

/// A watcher, its log, and its server.
struct Watching {
    child: Child,
    said: Arc<Mutex<String>>,
    address: String,
}

impl Watching {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let mut watch = world.command();
        watch
            .args(["renew", "--watch", "--listen", "127.0.0.1:0"])
            .args(arguments);
        let mut child = watch
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        let (_, address) = line.split_once("http://").unwrap();
        let address = address.split('/').next().unwrap().to_owned();
        let said = Arc::new(Mutex::new(String::new()));
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(stderr), Box::new(child.stdout.take().unwrap())];
        for output in outputs {
            let said = Arc::clone(&said);
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines() {
                    *said.lock().unwrap() += &(line.unwrap() + "\n");
                }
            });
        }
        Self {
            child,
            said,
            address,
        }
    }

    fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits until an answer has a text, with a SIGHUP now and then if the watcher is to
    /// look again.
    fn until(&self, path: &str, text: &str, hang_up: bool) -> String {
        let start = Instant::now();
        loop {
            let answer = self.get(path);
            if answer.contains(text) {
                return answer;
            }
            let said = self.said.lock().unwrap().clone();
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{text}: {answer}\n{said}"
            );
            if hang_up {
                let pid = Pid::from_raw(self.child.id().try_into().unwrap());
                kill(pid, Signal::SIGHUP).unwrap();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_watcher_watches_all_accounts_new_ones_and_those_that_vanish() {
    let world = World::with(three());
    let watching = Watching::start(&world, &["--all-accounts"]);
    watching.until("/readyz", "ok: a pass has completed in each account", false);
    assert!(is_renewed(&world, "t1") && is_renewed(&world, "t2"));
    let metrics = watching.get("/metrics");
    for line in [
        "renewals_total{account=\"a1\",account_name=\"Acme\"} 1",
        "renewals_total{account=\"a2\",account_name=\"Beta\"} 1",
        "tokens{account=\"a2\",account_name=\"Beta\",state=\"active\"} 2",
        "account_vanished{account=\"a2\",account_name=\"Beta\"} 0",
        "failed_passes_total{account=\"a3\",account_name=\"Gamma\",cause=\"other\"} 0",
        "accounts_unlisted 0",
    ] {
        assert!(
            metrics.contains(&format!("\ncf_service_tokens_{line}\n")),
            "{line}: {metrics}"
        );
    }
    let expiry =
        "expiry_timestamp_seconds{account=\"a2\",account_name=\"Beta\",id=\"t3\",name=\"calm\"} ";
    assert!(metrics.contains(expiry), "{metrics}");
    let page = watching.get("/");
    assert!(page.contains("<h2><bdi>Beta (a2)</bdi></h2>"), "{page}");

    // SIGHUP looks for accounts at once, as each day does.
    assert!(world.simulator.remove_account("a2"));
    let vanished = "account_vanished{account=\"a2\",account_name=\"Beta\"} 1";
    watching.until("/metrics", vanished, true);
    let metrics = watching.get("/metrics");
    assert!(metrics.contains("id=\"t3\""), "its tokens stay: {metrics}");
    let page = watching.get("/");
    assert!(page.contains("the account is no longer listed"), "{page}");
    let said = || watching.said.lock().unwrap().clone();
    assert!(
        said().contains("error: Beta (a2) is no longer listed\n"),
        "{}",
        said()
    );
    assert!(watching.get("/healthz").contains("200 OK"));
    let times = said().matches("no longer listed").count();
    assert_eq!(times, 1, "{}", said());
    assert!(said().contains("Acme (a1): "), "{}", said());
}

/// Replaces the file of the API token, which nobody else can read.
fn replace_api_token(world: &World, api_token: &str) -> PathBuf {
    let (file, new) = (world.path("api-token"), world.path("new-api-token"));
    let private = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new);
    private.unwrap().write_all(api_token.as_bytes()).unwrap();
    std::fs::rename(new, &file).unwrap();
    file
}

#[test]
fn a_watcher_watches_an_account_that_is_added_vanishes_and_comes_back() {
    let narrow = SeedApiToken::new("narrow").account("a1");
    let world = World::with(three().add_api_token(narrow));
    let file = replace_api_token(&world, "narrow");
    let from_file = ["--all-accounts", "--api-token-file", file.to_str().unwrap()];
    let watching = Watching::start(&world, &from_file);
    watching.until("/readyz", "ok: a pass has completed", false);
    assert!(is_renewed(&world, "t1") && !is_renewed(&world, "t2"));
    assert!(!watching.get("/metrics").contains("a2"));

    // An API token for all accounts adds two to the list. One of them has no Access.
    replace_api_token(&world, world.simulator.api_token());
    let renewals =
        |count: usize| format!("renewals_total{{account=\"a2\",account_name=\"Beta\"}} {count}\n");
    watching.until("/metrics", &renewals(1), true);
    assert!(is_renewed(&world, "t2"));
    watching.until("/", "<h2><bdi>Gamma (a3)</bdi></h2>", false);

    let vanished =
        |is: u8| format!("account_vanished{{account=\"a2\",account_name=\"Beta\"}} {is}\n");
    replace_api_token(&world, "narrow");
    watching.until("/metrics", &vanished(1), true);
    let page = watching.get("/");
    assert!(page.contains("the account is no longer listed"), "{page}");

    world.simulator.expire("t3").unwrap();
    replace_api_token(&world, world.simulator.api_token());
    watching.until("/metrics", &vanished(0), true);
    watching.until("/metrics", &renewals(2), true);
    assert!(is_renewed(&world, "t3"));
    let page = watching.get("/");
    assert!(!page.contains("no longer listed"), "{page}");
    watching.until("/readyz", "200 OK", true);
    let said = watching.said.lock().unwrap().clone();
    let times = said
        .matches("error: Beta (a2) is no longer listed\n")
        .count();
    assert_eq!(times, 1, "{said}");
}

#[test]
fn a_watcher_uses_a_new_api_token_for_all_accounts() {
    let world = World::with(three());
    let file = replace_api_token(&world, "revoked");
    let named = ["--account", "a1", "--account", "a2", "--api-token-file"];
    let arguments = [&named[..], &[file.to_str().unwrap()]].concat();
    let watching = Watching::start(&world, &arguments);
    for account in ["a1", "a2"] {
        let refused = format!(
            "failed_passes_total{{account=\"{account}\",account_name=\"\",cause=\"credentials\"}} 1\n"
        );
        watching.until("/metrics", &refused, false);
    }
    // The watcher notices a new one without a signal, since the API refuses the one in use.
    let start = Instant::now();
    replace_api_token(&world, world.simulator.api_token());
    watching.until("/readyz", "ok: a pass has completed in each account", false);
    // The retry after a failed pass comes later.
    assert!(
        start.elapsed() < Duration::from_secs(25),
        "{:?}",
        start.elapsed()
    );
    assert!(is_renewed(&world, "t1") && is_renewed(&world, "t2"));
    let said = watching.said.lock().unwrap().clone();
    let times = |text: &str| said.matches(text).count();
    assert_eq!(times("error: "), 1, "{said}");
    assert_eq!(times("the API token has changed"), 1, "{said}");
}

#[test]
fn an_account_that_vanishes_after_it_was_listed_is_a_failure() {
    // The world that is made with the listener.
    let late: Arc<OnceLock<Weak<World>>> = Arc::default();
    let world = Arc::clone(&late);
    let vanishing = three().on_request(move |request| {
        if request.operation == Some(Operation::ListAccounts)
            && let Some(world) = world.get().and_then(Weak::upgrade)
        {
            assert!(world.simulator.remove_account("a2"));
        }
    });
    let world = Arc::new(World::with(vanishing));
    late.set(Arc::downgrade(&world)).ok().unwrap();
    let ran = world.run(&["renew", "--all-accounts", "-o", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(is_renewed(&world, "t1"));
    assert!(ran.stderr.contains("error: Beta (a2): "), "{}", ran.shown());
    assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.shown());
    assert_eq!(accounts(&json(&ran)).len(), 3);
}

#[test]
fn a_watcher_keeps_the_known_risks_while_they_can_not_be_read() {
    let old = SeedToken::new("old")
        .created_at(Utc::now() - TimeDelta::days(400))
        .last_seen_at(Utc::now() - TimeDelta::days(80));
    let settings = ServiceTokenInactivity::disable_after_days(90);
    let access = Access::new().service_token_inactivity(settings);
    let world = World::with(
        Simulator::builder()
            .account_id("a1")
            .token(old)
            .access(access),
    );
    let watching = Watching::start(&world, &[]);
    let at_risk = "tokens_at_risk{account=\"a1\",account_name=\"\",risk=\"clean_up\"} 1\n";
    watching.until("/metrics", at_risk, false);
    let failing = [Operation::GetOrganization, Operation::VerifyApiToken];
    for operation in failing {
        let fault = Injection::new(Fault::Status(400)).on(operation);
        world.simulator.inject(fault.always());
    }
    // Each SIGHUP begins a pass, after which the risks are read again.
    let before = world.simulator.count(Operation::GetOrganization);
    while world.simulator.count(Operation::GetOrganization) < before + 5 {
        let pid = Pid::from_raw(watching.child.id().try_into().unwrap());
        kill(pid, Signal::SIGHUP).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    let metrics = watching.get("/metrics");
    assert!(metrics.contains(at_risk), "{metrics}");
}

#[test]
fn a_watcher_names_the_account_that_is_not_ready() {
    let world = World::with(three());
    let named = ["--account", "a1", "--account", "gone"];
    let watching = Watching::start(&world, &named);
    watching.until(
        "/metrics",
        "failed_passes_total{account=\"gone\",account_name=\"\",cause=\"credentials\"} 1",
        false,
    );
    watching.until(
        "/metrics",
        "renewals_total{account=\"a1\",account_name=\"\"} 1",
        false,
    );
    let answer = watching.get("/readyz");
    assert!(answer.contains("503 Service Unavailable"), "{answer}");
    assert!(answer.contains("gone: not ready: "), "{answer}");
    assert!(!answer.contains("a1"), "{answer}");
}
