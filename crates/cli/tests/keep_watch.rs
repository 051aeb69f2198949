//! `keep --watch --listen`: rotations by a watcher, and who learns of them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;
use std::sync::mpsc::{Receiver, channel};

use cf_service_tokens_simulator::{
    Operation, SeedAccount, SeedApiToken, SeedToken, Simulator, SimulatorBuilder,
};
use chrono::{DateTime, TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use support::keeping::{
    aged, assert_delivered, configure, days_from_now, keep, let_go, listening, make_sink_slow,
    metric, pass, script, version, wait_for_sink, watch, with_slow_sink,
};
use support::running::{Running, get, until};
use support::{ID, OLD_SECRET, World, known_token, read, secrets_in};

#[test]
fn a_secret_is_rotated_once_it_is_old() {
    for format in ["table", "jsonl"] {
        let world = World::with(aged(80));
        configure(&world, "env-file:grafana.env", "");
        let (mut watching, address) = listening(&world, format);
        pass(&mut watching);
        assert_eq!(version(&world), 1);
        for (name, days) in [
            ("secret_since_timestamp_seconds", -80),
            ("rotation_due_timestamp_seconds", 10),
        ] {
            assert_eq!(days_from_now(metric(&address, name)), days, "{name}");
        }
        assert_eq!(metric(&address, "rotations_total"), 0);

        world.advance(TimeDelta::days(11));
        watching.signal(Signal::SIGHUP);
        let log = pass(&mut watching);
        let rotations: Vec<&String> = match format {
            "table" => log.iter().filter(|l| l.contains("new secret")).collect(),
            _ => log.iter().filter(|l| l.contains("\"rotation\"")).collect(),
        };
        let [line] = rotations[..] else {
            panic!("{log:#?}");
        };
        match format {
            "table" => {
                let said = "Grafana scraper: the new secret is in env-file:";
                assert!(line.contains(said), "{line}");
                assert!(
                    line.contains("grafana.env; the old one works until 20"),
                    "{line}"
                );
                assert!(!line.contains("prod"), "{line}");
            }
            _ => {
                let event: Value = serde_json::from_str(line).unwrap();
                assert_eq!(event["event"], "rotation");
                assert_eq!(event["outcome"], "rotated");
                assert_eq!(event["account_name"], "prod");
                let until = event["old_secret_valid_until"].as_str().unwrap();
                let until: DateTime<Utc> = until.parse().unwrap();
                assert_eq!(days_from_now(until.timestamp()), 18);
            }
        }
        assert_eq!(metric(&address, "rotations_total"), 1);
        assert_eq!(metric(&address, "failed_rotations_total"), 0);
        assert_eq!(metric(&address, "rotations_unfinished"), 0);
        let said = watching.end(Signal::SIGTERM);
        assert!(secrets_in(&format!("{log:?}{said}")).is_empty());
        assert_delivered(&world, "grafana.env");
    }
}

#[test]
fn what_the_metrics_say_of_a_secret_is_true_right_after_its_rotate() {
    let world = World::with(aged(100));
    configure(&world, "env-file:grafana.env", "");
    let (mut watching, address) = listening(&world, "table");
    pass(&mut watching);
    assert_eq!(metric(&address, "rotations_total"), 1);
    for (name, days) in [
        ("secret_since_timestamp_seconds", 0),
        ("rotation_due_timestamp_seconds", 90),
    ] {
        assert_eq!(days_from_now(metric(&address, name)), days, "{name}");
    }
    watching.end(Signal::SIGTERM);
}

/// When the watcher looks again, by its log.
fn waits_until(watching: &mut Running) -> DateTime<Utc> {
    loop {
        let event: Value = serde_json::from_str(&watching.line()).unwrap();
        if event["event"] == "waiting" {
            return event["until"].as_str().unwrap().parse().unwrap();
        }
    }
}

#[test]
fn a_rule_is_followed_when_it_falls_due() {
    // A machine that is too slow finds the rule due in the first pass.
    let token = known_token().created_at(Utc::now() - TimeDelta::days(90) + TimeDelta::seconds(3));
    let world = World::with(Simulator::builder().token(token));
    configure(&world, "env-file:grafana.env", "");
    let watching = watch(&world, &[]);
    until("the rotation", || version(&world) == 2);
    until("the secret", || world.path("grafana.env").exists());
    assert_eq!(watching.end(Signal::SIGTERM), "");
    assert_delivered(&world, "grafana.env");
}

#[test]
fn the_next_pass_begins_when_a_rule_falls_due() {
    let due_in = TimeDelta::hours(2);
    let token = known_token().created_at(Utc::now() - TimeDelta::days(90) + due_in);
    let world = World::with(Simulator::builder().token(token));
    configure(&world, "env-file:grafana.env", "");
    let due_at = Utc::now() + due_in;
    let arguments = ["--listen", "127.0.0.1:0", "-o", "jsonl"];
    let mut watching = watch(&world, &arguments);
    let until = waits_until(&mut watching);
    assert!((due_at - until).abs() < TimeDelta::minutes(2), "{until}");
    watching.end(Signal::SIGTERM);
}

#[test]
fn a_secret_in_its_grace_period_is_due_again_when_that_ends() {
    let world = World::with(aged(100));
    configure(&world, "env-file:grafana.env", "");
    let (mut watching, _) = listening(&world, "jsonl");
    waits_until(&mut watching);
    watching.end(Signal::SIGTERM);
    assert_eq!(version(&world), 2);
    let config = read(&world.path("keep.toml")).replace("90d", "2d");
    let config = config.replace("7d", "1d");
    fs::write(world.path("keep.toml"), config).unwrap();
    // The grace period of the rotation that is over is a week.
    world.advance(TimeDelta::hours(7 * 24 - 5));
    let (mut watching, _) = listening(&world, "jsonl");
    let until = waits_until(&mut watching);
    let left = until - Utc::now();
    assert!(
        (left - TimeDelta::hours(5)).abs() < TimeDelta::minutes(2),
        "{left}"
    );
    watching.end(Signal::SIGTERM);
}

#[test]
fn a_rule_that_could_not_be_followed_is_tried_again_soon() {
    let world = World::with(aged(100));
    configure(&world, "command:exit 7", "");
    let (mut watching, _) = listening(&world, "jsonl");
    for minutes in [1, 2, 4] {
        let until = waits_until(&mut watching);
        let left = until - Utc::now();
        let pause = TimeDelta::minutes(minutes);
        assert!(left <= pause && left > pause / 2, "{minutes}: {left}");
        watching.signal(Signal::SIGHUP);
    }
    waits_until(&mut watching);
    watching.end(Signal::SIGTERM);
}

/// Accepts pings, and returns the URL and the paths that are requested.
fn health_check() -> (String, Receiver<String>) {
    let (sender, paths) = channel();
    let url = support::serve_heads(move |_, head, connection| {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        support::write_response(connection, "200 OK", "text/plain", "ok");
        let _ = sender.send(path);
    });
    (url, paths)
}

#[test]
fn a_hook_that_fails_is_loud_once_tried_again_and_finished() {
    let world = World::with(aged(100));
    let (url, pings) = health_check();
    fs::write(world.path("ping"), format!("{url}/check\n")).unwrap();
    let more = "then = [\"./reload\"]\n\
                [notify]\non_failure = [\"./page\"]\nping_file = \"ping\"";
    configure(&world, "env-file:grafana.env", more);
    script(&world, "reload", "echo ran >> runs\ntest -e ready");
    script(&world, "page", "cat >> paging; mv paging paged");
    let (mut watching, address) = listening(&world, "table");
    let log = pass(&mut watching).join("\n");
    assert!(log.contains("Grafana scraper: "), "{log}");
    assert!(log.contains("reload exited with 1"), "{log}");
    until("the hook of failures", || world.path("paged").exists());
    assert_eq!(pings.recv().unwrap(), "/check/fail");
    let paged: Value = serde_json::from_str(&read(&world.path("paged"))).unwrap();
    assert_eq!(paged["failures"][0]["token"]["name"], "Grafana scraper");
    assert_eq!(paged["failures"][0]["account"]["name"], "prod");
    assert_eq!(paged["failures"].as_array().unwrap().len(), 1);
    assert_eq!(metric(&address, "failed_rotations_total"), 1);
    assert_eq!(metric(&address, "rotations_unfinished"), 1);
    let page = get(&address, "/");
    assert!(page.contains("reload exited with 1"), "{page}");

    watching.signal(Signal::SIGHUP);
    pass(&mut watching);
    assert_eq!(read(&world.path("runs")).lines().count(), 2);
    assert_eq!(metric(&address, "failed_rotations_total"), 2);

    fs::write(world.path("ready"), "").unwrap();
    watching.signal(Signal::SIGHUP);
    let log = pass(&mut watching).join("\n");
    assert!(log.contains("the new secret is in env-file:"), "{log}");
    assert_eq!(metric(&address, "rotations_unfinished"), 0);
    assert_eq!(metric(&address, "rotations_total"), 1);
    let page = get(&address, "/");
    assert!(!page.contains("exited with 1"), "{page}");
    let said = watching.end(Signal::SIGTERM);
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(!said.contains(&url), "{said}");
    assert_eq!(read(&world.path("runs")).lines().count(), 3);
    assert_delivered(&world, "grafana.env");
}

#[test]
fn a_watcher_pings_once_all_is_well() {
    let world = World::with(aged(1));
    let (url, pings) = health_check();
    let more = "[notify]\nping_env = \"PING\"";
    configure(&world, "env-file:grafana.env", more);
    let mut command = keep(&world);
    let watching = Running::start(command.arg("--watch").env("PING", format!("{url}/check")));
    assert_eq!(pings.recv().unwrap(), "/check");
    let said = watching.end(Signal::SIGTERM);
    assert_eq!(said, "");
}

#[test]
fn a_watcher_that_is_to_end_waits_for_the_sink() {
    let world = with_slow_sink();
    let mut watching = watch(&world, &[]);
    wait_for_sink(&world);
    watching.signal(Signal::SIGTERM);
    let said = watching.stderr.next().unwrap().unwrap();
    assert!(said.contains("waiting until the new secret"), "{said}");
    let_go(&world);
    let log: Vec<_> = watching.stdout.by_ref().map(Result::unwrap).collect();
    assert!(watching.child.wait().unwrap().success());
    let log = log.join("\n");
    assert!(log.contains("the new secret is in command:"), "{log}");
    assert_delivered(&world, "got");
}

#[test]
fn after_a_signal_no_other_account_rotates() {
    let world = World::with(
        aged(100).account_id("a1").account(
            SeedAccount::new("a2").token(
                SeedToken::new("Grafana scraper")
                    .client_id("2.access")
                    .created_at(Utc::now() - TimeDelta::days(100)),
            ),
        ),
    );
    make_sink_slow(&world);
    configure(&world, "command:exec ./sink", "");
    let file = read(&world.path("keep.toml"));
    let other = file.replace("prod", "lab").replace("a1", "a2");
    fs::write(world.path("keep.toml"), file + &other).unwrap();
    let mut watching = watch(&world, &[]);
    wait_for_sink(&world);
    // Both wait for their turns, or have it.
    for _ in 0..2 {
        let line = watching.line();
        assert!(line.contains(": 1 token "), "{line}");
    }
    watching.signal(Signal::SIGTERM);
    let said = watching.stderr.next().unwrap().unwrap();
    assert!(said.contains("waiting until the new secret"), "{said}");
    let_go(&world);
    let log: Vec<_> = watching.stdout.by_ref().map(Result::unwrap).collect();
    let said: Vec<_> = watching.stderr.by_ref().map(Result::unwrap).collect();
    assert!(watching.child.wait().unwrap().success());
    assert_eq!(world.simulator.count(Operation::Rotate), 1);
    assert_eq!(log.len(), 1, "{log:#?}");
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn a_delivery_that_is_cut_off_is_loud_and_finished_by_the_next_run() {
    // systemd signals the sink's command, too, and an operator may be impatient.
    for is_twice in [false, true] {
        let world = with_slow_sink();
        let mut watching = watch(&world, &[]);
        let sink = wait_for_sink(&world);
        watching.signal(Signal::SIGTERM);
        let said = watching.stderr.next().unwrap().unwrap();
        assert!(said.contains("interrupt again"), "{said}");
        match is_twice {
            true => watching.signal(Signal::SIGTERM),
            false => kill(sink, Signal::SIGTERM).unwrap(),
        }
        let log: Vec<_> = watching.stdout.by_ref().map(Result::unwrap).collect();
        let said: Vec<_> = watching.stderr.by_ref().map(Result::unwrap).collect();
        assert!(watching.child.wait().unwrap().success());
        for said in [log.join("\n"), said.join("\n")] {
            assert!(said.contains("could not store the new secret"), "{said}");
        }
        assert_eq!(read(&world.path("got")), "");
        assert!(world.opens(OLD_SECRET));
        let kept = secrets_in(&world.journal_text());
        assert!(world.opens(&kept[0]));

        fs::write(world.path("ready"), "").unwrap();
        let mut watching = watch(&world, &[]);
        let log = pass(&mut watching).join("\n");
        assert!(log.contains("the new secret is in command:"), "{log}");
        watching.end(Signal::SIGTERM);
        assert_eq!(world.simulator.count(Operation::Rotate), 1);
        assert_delivered(&world, "got");
    }
}

#[test]
fn a_signal_to_look_does_not_cut_off_a_delivery() {
    let world = with_slow_sink();
    let mut watching = watch(&world, &[]);
    wait_for_sink(&world);
    watching.signal(Signal::SIGHUP);
    let_go(&world);
    let log = pass(&mut watching).join("\n");
    assert!(log.contains("the new secret is in command:"), "{log}");
    // It was not lost, either.
    until("the second pass", || {
        world.simulator.count(Operation::List) > 1
    });
    let said = watching.end(Signal::SIGTERM);
    assert_eq!(said, "");
    assert_delivered(&world, "got");
}

/// A file with two accounts, each with a file for its API token.
fn configure_two(world: &World) {
    let mut file = String::new();
    for (name, id) in [("prod", "a1"), ("lab", "a2")] {
        file += &format!(
            "[[account]]\nname = {name:?}\nid = {id:?}\napi_token_file = \"{name}.token\"\n"
        );
    }
    file += "only = [\"smoke tests\", \"gone\"]\n";
    fs::write(world.path("keep.toml"), file).unwrap();
}

fn two() -> SimulatorBuilder {
    let due = |name, id| {
        let token = SeedToken::new(name).id(id);
        token.expires_in(TimeDelta::days(3))
    };
    Simulator::builder()
        .account_id("a1")
        .token(due("deploy", ID))
        .account(SeedAccount::new("a2").token(
            due("smoke tests", "10580e3a-dfa5-474d-9c96-1ad3e50e402f").client_id("2.access"),
        ))
}

#[test]
fn an_account_is_kept_once_its_api_token_is_there() {
    let world = World::with(two());
    configure_two(&world);
    let api_token = world.simulator.api_token();
    fs::write(world.path("prod.token"), api_token).unwrap();
    let (mut watching, address) = listening(&world, "table");
    let log = pass(&mut watching).join("\n");
    assert!(log.contains("prod (a1): deploy: renewed"), "{log}");
    let is_loud = |value: &str| {
        let metrics = get(&address, "/metrics");
        metrics.contains(&format!("\ncf_service_tokens_accounts_unlisted {value}\n"))
    };
    assert!(is_loud("1"));
    let page = get(&address, "/");
    assert!(page.contains("lab (a2): can"), "{page}");
    fs::write(world.path("lab.token"), api_token).unwrap();
    watching.signal(Signal::SIGHUP);
    let mut log = String::new();
    while !log.contains("lab (a2): next pass") {
        log += &(watching.line() + "\n");
    }
    assert!(log.contains("lab (a2): smoke tests: renewed"), "{log}");
    assert!(is_loud("0"));
    // A name that no token of the account has is told, whatever other accounts have.
    assert!(
        log.contains("no token has the id, client id or name \"gone\""),
        "{log}"
    );
    let said = watching.end(Signal::SIGTERM);
    assert!(said.contains("lab.token"), "{said}");
    assert!(said.contains("the API token has changed"), "{said}");
}

#[test]
fn a_new_api_token_is_used_for_rotations_too() {
    let expiring = SeedApiToken::new("the-first-one").expires_at(Utc::now() + TimeDelta::days(5));
    let tokens = aged(80).api_token(expiring);
    let world = World::with(tokens.add_api_token(SeedApiToken::new("the-next-one")));
    configure(&world, "env-file:grafana.env", "");
    let config = read(&world.path("keep.toml"));
    let config = config.replace(
        "api_token_env = \"CLOUDFLARE_API_TOKEN\"",
        "api_token_file = \"prod.token\"",
    );
    fs::write(world.path("keep.toml"), config).unwrap();
    fs::write(world.path("prod.token"), world.simulator.api_token()).unwrap();
    let mut watching = watch(&world, &[]);
    pass(&mut watching);
    fs::write(world.path("prod.token"), "the-next-one").unwrap();
    world.advance(TimeDelta::days(11));
    watching.signal(Signal::SIGHUP);
    let log = pass(&mut watching).join("\n");
    assert!(log.contains("the new secret is in"), "{log}");
    watching.end(Signal::SIGTERM);
    assert_eq!(version(&world), 2);
}
