//! The commands that run until a signal ends them: `renew --watch` and `simulate`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cf_service_tokens_simulator::{
    Access, Fault, Injection, Operation, SeedApiToken, SeedToken, ServiceTokenInactivity, Simulator,
};
use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::running::{Running, get, until};
use support::{World, command};

/// A token that is due.
fn due(id: &str) -> SeedToken {
    SeedToken::new(id).id(id).expires_in(TimeDelta::days(3))
}

/// A token that is not due.
fn well(id: &str) -> SeedToken {
    SeedToken::new(id).id(id)
}

fn is_renewed(world: &World, id: &str) -> bool {
    world.simulator.token(id).unwrap().expires_at > Utc::now() + TimeDelta::days(360)
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
    assert!(watching.line().ends_with(" 1 token not due"));
    assert!(watching.line().contains(" next pass in "));
    watching.end(Signal::SIGINT);
}

#[test]
fn a_watch_goes_on_without_its_log() {
    for format in ["table", "jsonl"] {
        let world = World::with(Simulator::builder().token(due("a")).token(well("b")));
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut watch = world.command();
        watch.args(["renew", "--watch", "-o", format]).stdout(full);
        let mut child = watch.stderr(Stdio::piped()).spawn().unwrap();
        until("the first pass", || is_renewed(&world, "a"));
        let lists = world.simulator.count(Operation::List);
        world.simulator.expire("b").unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        // The signal has no effect on a pass that is still running.
        until("the second pass", || {
            kill(pid, Signal::SIGHUP).unwrap();
            sleep(Duration::from_millis(50));
            is_renewed(&world, "b")
        });
        assert!(world.simulator.count(Operation::List) > lists);
        kill(pid, Signal::SIGTERM).unwrap();
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
        let times = said.matches("can't write the result").count();
        assert_eq!(times, 1, "{said}");
    }
}

#[test]
fn a_watch_goes_on_if_the_reader_of_its_log_is_gone() {
    let world = World::with(Simulator::builder().token(well("a")));
    let mut watch = world.command();
    watch.args(["renew", "--watch"]).stdout(Stdio::piped());
    let mut child = watch.stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    until("the first pass", || {
        world.simulator.count(Operation::List) > 0
    });
    world.simulator.expire("a").unwrap();
    assert_eq!(end_after_renewing(&mut child, &world, "a"), Some(0));
}

/// Has the watcher make passes until it has renewed the token, ends it, and returns its exit code.
fn end_after_renewing(watcher: &mut Child, world: &World, name: &str) -> Option<i32> {
    let pid = Pid::from_raw(watcher.id().try_into().unwrap());
    // The signal has no effect on a pass that is still running.
    until("the second pass", || {
        kill(pid, Signal::SIGHUP).unwrap();
        sleep(Duration::from_millis(50));
        is_renewed(world, name)
    });
    kill(pid, Signal::SIGTERM).unwrap();
    watcher.wait().unwrap().code()
}

/// Both streams are pipes that are full, and whose reader does not read.
#[test]
fn a_watch_goes_on_if_its_log_is_not_read() {
    for extra in [&[][..], &["-v"], &["-vv"], &["-o", "jsonl"]] {
        let world = World::with(Simulator::builder().token(due("a")).token(well("b")));
        let (_unread, mut log) = std::io::pipe().unwrap();
        log.write_all(&[b'.'; 65_536]).unwrap();
        let mut watch = world.command();
        watch.args(["renew", "--watch"]).args(extra);
        let errors = log.try_clone().unwrap();
        let mut child = watch.stdout(log).stderr(errors).spawn().unwrap();
        until("the first pass", || is_renewed(&world, "a"));
        world.simulator.expire("b").unwrap();
        let code = end_after_renewing(&mut child, &world, "b");
        assert_eq!(code, Some(0), "{extra:?}");
    }
}

#[test]
fn a_signal_ends_a_watch_with_a_call_in_flight_even_if_verbose() {
    for fault in [
        Fault::StalledHeaders,
        Fault::StalledBody,
        Fault::Status(503),
    ] {
        for operation in [Operation::List, Operation::Refresh] {
            for signal in [Signal::SIGTERM, Signal::SIGINT] {
                let world = World::with(Simulator::builder().token(due("a")));
                world
                    .simulator
                    .inject(Injection::new(fault.clone()).on(operation).always());
                let watching = Running::start(world.command().args(["renew", "--watch", "-v"]));
                until("the call", || world.simulator.count(operation) > 0);
                let said = watching.end(signal);
                assert!(!said.contains("panicked"), "{said}");
            }
        }
    }
}

#[test]
fn a_watch_reads_its_api_token_again() {
    let world = World::with(Simulator::builder().token(due("a")).token(well("b")));
    let file = world.path("api-token");
    std::fs::write(&file, "revoked").unwrap();
    let mut watch = world.command();
    watch
        .env_remove("CLOUDFLARE_API_TOKEN")
        .env("CLOUDFLARE_API_TOKEN_FILE", &file)
        .args(["renew", "--watch"]);
    let mut watching = Running::start(&mut watch);
    assert!(watching.line().contains("Z stopped early: "));
    // While the API refuses it, a new one is noticed at once.
    std::fs::write(&file, format!("{}\n", world.simulator.api_token())).unwrap();
    until("a pass with the new token", || is_renewed(&world, "a"));
    assert!(watching.line().contains("next pass"));
    assert!(watching.line().contains("a: renewed until"));
    while !watching.line().contains("next pass") {}

    // A file that is gone for a moment leaves the known one in use.
    std::fs::remove_file(&file).unwrap();
    world.simulator.expire("b").unwrap();
    watching.signal(Signal::SIGHUP);
    until("a pass without the file", || is_renewed(&world, "b"));

    // A pipe that nothing writes to holds up no pass.
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.unwrap().success());
    world.simulator.expire("b").unwrap();
    watching.signal(Signal::SIGHUP);
    until("a pass beside a pipe", || is_renewed(&world, "b"));
    let said = watching.end(Signal::SIGTERM);
    assert!(said.contains("the API token has changed"), "{said}");
    assert!(said.contains("can't read the API token"), "{said}");
    assert!(!said.contains(world.simulator.api_token()), "{said}");
}

#[test]
fn a_watch_looks_as_often_as_it_is_told_to() {
    let world = World::with(Simulator::builder().token(well("a")));
    let watch = ["renew", "--watch", "--interval", "10m", "-o", "jsonl"];
    let mut watching = Running::start(world.command().args(watch));
    watching.line();
    let event: serde_json::Value = serde_json::from_str(&watching.line()).unwrap();
    let until: DateTime<Utc> = event["until"].as_str().unwrap().parse().unwrap();
    let pause = (until - Utc::now()).num_seconds();
    assert!((500..=600).contains(&pause), "{event}");
    watching.end(Signal::SIGTERM);
}

#[test]
fn the_log_of_a_watch_has_the_causes_of_a_failure() {
    for format in ["table", "jsonl"] {
        let world = World::with(Simulator::builder().token(due("a")));
        world.go_offline();
        let watch = [
            "renew",
            "--watch",
            "--quiet",
            "--deadline",
            "1s",
            "-o",
            format,
        ];
        let mut watching = Running::start(world.command().args(watch));
        let line = watching.line();
        assert!(line.contains("cause: "), "{line}");
        assert!(line.contains("refused"), "{line}");
        watching.end(Signal::SIGTERM);
    }
}

#[test]
fn a_watch_names_tokens_that_expired_long_ago_even_if_quiet() {
    let token = SeedToken::new("partner").expires_in(TimeDelta::days(-400));
    let world = World::with(Simulator::builder().token(token));
    for format in ["table", "jsonl"] {
        let watch = ["renew", "--watch", "--quiet", "-o", format];
        let mut watching = Running::start(world.command().args(watch));
        let line = watching.line();
        assert!(line.contains("partner"), "{line}");
        assert!(line.contains("expired"), "{line}");
        watching.end(Signal::SIGTERM);
    }
}

#[test]
fn a_watch_says_once_which_tokens_are_no_longer_listed() {
    let tokens = Simulator::builder().token(due("a")).token(well("b"));
    let world = World::with(tokens);
    let watch = ["renew", "--watch", "-o", "jsonl"];
    let mut watching = Running::start(world.command().args(watch));
    let pass = |watching: &mut Running| while !watching.line().contains("\"waiting\"") {};
    pass(&mut watching);
    assert!(world.simulator.delete("b").is_some());
    for _ in 0..2 {
        watching.signal(Signal::SIGHUP);
        pass(&mut watching);
    }
    let said = watching.end(Signal::SIGTERM);
    assert_eq!(said.matches("no longer listed").count(), 1, "{said}");
    let error = "1 token that was seen before is no longer listed: b\n   next: if they were";
    assert!(said.contains(error), "{said}");
}

/// The watcher may have 64 files open, and 200 clients keep a connection open each.
#[test]
fn idle_connections_hold_up_no_renewal() {
    let world = World::with(Simulator::builder().token(well("a")));
    let program = world.command().get_program().to_owned();
    let mut limited = Command::new("sh");
    limited.env_clear().envs(world.environment());
    limited
        .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
        .arg(program);
    limited.args(["renew", "--watch", "--listen", "127.0.0.1:0"]);
    let mut watching = Running::start(&mut limited);
    let said = watching.stderr.next().unwrap().unwrap();
    let (_, address) = said.split_once("http://").unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    while !watching.line().contains("next pass") {}

    let sockets: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut socket = TcpStream::connect(&address).unwrap();
            socket.write_all(b"GET / HTTP/1.1\r\nHost: loc").unwrap();
            socket
        })
        .collect();
    world.simulator.expire("a").unwrap();
    let start = Instant::now();
    watching.signal(Signal::SIGHUP);
    until("the renewal", || is_renewed(&world, "a"));
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );

    let mut socket = TcpStream::connect(&address).unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(request).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    drop(sockets);
    watching.end(Signal::SIGTERM);
}

#[test]
fn the_metrics_and_the_page_of_a_watch_show_what_may_end_a_token() {
    let old = SeedToken::new("old-etl")
        .id("old")
        .created_at(Utc::now() - TimeDelta::days(400))
        .last_seen_at(Utc::now() - TimeDelta::days(80))
        .duration("forever");
    let settings = ServiceTokenInactivity::delete_after_days(90);
    let api_token = SeedApiToken::new("secret").expires_at(Utc::now() + TimeDelta::days(9));
    let world = World::with(
        Simulator::builder()
            .token(due("a").last_seen_at(Utc::now()))
            .token(old)
            .api_token(api_token)
            .access(Access::new().service_token_inactivity(settings)),
    );
    let mut watch = world.command();
    watch.args(["renew", "--watch", "--listen", "127.0.0.1:0"]);
    let mut watching = Running::start(&mut watch);
    let said = watching.stderr.next().unwrap().unwrap();
    let (_, address) = said.split_once("http://").unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    let at_risk = "cf_service_tokens_tokens_at_risk{";
    until("the risks", || get(&address, "/metrics").contains(at_risk));

    let metrics = get(&address, "/metrics");
    let value = |parts: &[&str]| {
        let mut lines = metrics.lines();
        let line = lines.find(|line| parts.iter().all(|part| line.contains(part)));
        let (_, value) = line
            .unwrap_or_else(|| panic!("{parts:?}: {metrics}"))
            .rsplit_once(' ')
            .unwrap();
        value.parse::<i64>().unwrap()
    };
    assert_eq!(value(&["tokens_at_risk{", "risk=\"clean_up\""]), 1);
    assert_eq!(
        value(&["tokens_at_risk{", "risk=\"unused\""]),
        2,
        "{metrics}"
    );
    let days = |at: i64| (at - Utc::now().timestamp() + 3_600) / 86_400;
    let clean_up = ["clean_up_timestamp_seconds{", "name=\"old-etl\""];
    assert_eq!(days(value(&clean_up)), 10);
    assert_eq!(days(value(&["api_token_expiry_timestamp_seconds{"])), 9);
    let page = get(&address, "/");
    assert!(page.contains("will be deleted in 10 days"), "{page}");
    assert!(page.contains("the API token expires in 9 days"), "{page}");
    assert!(is_renewed(&world, "a"));
    watching.end(Signal::SIGTERM);
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
