//! What `keep` does once a sink has the secret: it verifies the secret, and then runs the
//! hook. Each run goes on where the one before stopped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use cf_service_tokens_simulator::{Operation, Simulator};
use chrono::{TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::{CLIENT_ID, ID, OLD_SECRET, Ran, World, answering, known_token, read, secrets_in};

/// Counts its deliveries.
const SINK: &str = "command:cat > got; echo delivered >> deliveries";

/// A world with an old secret, and a hook that does this.
fn world(hook: &str) -> World {
    let token = known_token().created_at(Utc::now() - TimeDelta::days(100));
    let world = World::with(Simulator::builder().token(token.duration("forever")));
    let script = format!("#!/bin/sh\ncat > about\nenv > environment\necho ran >> runs\n{hook}\n");
    fs::write(world.path("hook"), script).unwrap();
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(world.path("hook"), executable).unwrap();
    world
}

/// Writes a file whose rule has this app and sink.
fn configure(world: &World, app: &str, sink: &str) {
    let id = world.simulator.account_id();
    let app = match app {
        "" => String::new(),
        app => format!("verify = {app:?}"),
    };
    let file = format!(
        "[[account]]\nname = \"prod\"\nid = {id:?}\napi_token_env = \"CLOUDFLARE_API_TOKEN\"\n\
         [[account.rotate]]\ntoken = {ID:?}\nevery = \"90d\"\ngrace = \"7d\"\n\
         secret_to = {sink:?}\n{app}\nthen = [\"./hook\"]\n"
    );
    fs::write(world.path("keep.toml"), file).unwrap();
}

fn command(world: &World) -> Command {
    let mut command = world.command();
    command
        .env_remove("CLOUDFLARE_ACCOUNT_ID")
        .args(["keep", "--config", "keep.toml"]);
    command
}

fn keep(world: &World) -> Ran {
    let ran = Ran::of(&mut command(world));
    assert!(secrets_in(&ran.shown()).is_empty(), "{}", ran.shown());
    ran
}

/// An app that answers without a token, so that the secret is not sent there.
fn open_app() -> String {
    answering("200 OK", "text/plain", "hello".to_owned())
}

fn lines(world: &World, name: &str) -> usize {
    read(&world.path(name)).lines().count()
}

/// All is done, by one rotate, one delivery and this many runs of the hook.
fn assert_done(world: &World, runs: usize) {
    assert_eq!(world.simulator.count(Operation::Rotate), 1);
    assert_eq!(lines(world, "deliveries"), 1);
    assert_eq!(lines(world, "runs"), runs);
    assert!(world.opens(&read(&world.path("got"))));
    assert!(world.opens(OLD_SECRET));
    assert_eq!(world.journal_text(), "");
    assert!(secrets_in(&read(&world.record())).is_empty());
    let quiet = keep(world);
    assert_eq!(quiet.code, Some(0), "{}", quiet.shown());
    assert_eq!(lines(world, "runs"), runs);
}

#[test]
fn a_hook_gets_to_know_whose_secret_is_new_and_no_secret() {
    let world = world("");
    configure(&world, world.simulator.protected_url(), SINK);
    let ran = keep(&world);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let mut about: Value = serde_json::from_str(&read(&world.path("about"))).unwrap();
    let until = about["old_secret_valid_until"].take();
    let until: chrono::DateTime<Utc> = until.as_str().unwrap().parse().unwrap();
    let grace = until - Utc::now();
    assert!(grace > TimeDelta::days(6) && grace <= TimeDelta::days(7));
    let expected = serde_json::json!({
        "event": "rotated",
        "account": { "id": world.simulator.account_id(), "name": "prod" },
        "token": { "id": ID, "name": "Grafana scraper", "client_id": CLIENT_ID },
        "secret_to": SINK,
        "old_secret_valid_until": null,
    });
    assert_eq!(about, expected);
    for name in ["about", "environment"] {
        assert!(secrets_in(&read(&world.path(name))).is_empty(), "{name}");
    }
    assert!(!read(&world.path("environment")).contains(world.simulator.api_token()));
    assert_done(&world, 1);
}

#[test]
fn a_secret_that_is_not_verified_is_verified_again_and_not_delivered_again() {
    let world = world("");
    configure(&world, &open_app(), SINK);
    for _ in 0..2 {
        let failed = keep(&world);
        assert_eq!(failed.code, Some(1), "{}", failed.shown());
        for said in ["could not be verified", "without a token", "works until"] {
            assert!(failed.stderr.contains(said), "{said}: {}", failed.shown());
        }
        assert_eq!(lines(&world, "deliveries"), 1);
        assert_eq!(lines(&world, "runs"), 0, "the hook ran");
        assert_eq!(secrets_in(&world.journal_text()).len(), 1);
    }
    let listed = world.run(&["journal"]);
    assert_shown!("delivered", listed.shown());
    let by_hand = world.run(&["rotate", ID, "--secret-to", "secret"]);
    assert_eq!(by_hand.code, Some(1), "{}", by_hand.shown());

    // The file is what counts, and not the app as it was.
    configure(&world, world.simulator.protected_url(), SINK);
    let verified = keep(&world);
    assert_eq!(verified.code, Some(0), "{}", verified.shown());
    assert_done(&world, 1);
}

#[test]
fn a_secret_that_is_not_verified_is_brought_to_another_sink_too() {
    let world = world("");
    configure(&world, &open_app(), "env-file:deploy.env");
    assert_eq!(keep(&world).code, Some(1));
    configure(&world, world.simulator.protected_url(), SINK);
    assert_eq!(keep(&world).code, Some(0));
    assert_done(&world, 1);
}

#[test]
fn an_app_that_can_not_be_reached_leaves_the_secret_to_be_verified() {
    let world = world("");
    configure(&world, "http://127.0.0.1:1/", SINK);
    let failed = keep(&world);
    assert_eq!(failed.code, Some(1), "{}", failed.shown());
    assert!(
        failed.stderr.contains("could not reach"),
        "{}",
        failed.shown()
    );
    assert_eq!(lines(&world, "runs"), 0, "the hook ran");
    // Nor is there an app any more.
    configure(&world, "", SINK);
    assert_eq!(keep(&world).code, Some(0));
    assert_done(&world, 1);
}

#[test]
fn a_hook_that_failed_is_run_again_and_nothing_else() {
    let world = world("test -e ready");
    configure(&world, world.simulator.protected_url(), SINK);
    let failed = keep(&world);
    assert_eq!(failed.code, Some(1), "{}", failed.shown());
    assert!(
        failed.stderr.contains("exited with 1"),
        "{}",
        failed.shown()
    );
    assert!(secrets_in(&world.journal_text()).is_empty());
    let listed = world.run(&["journal"]);
    assert_shown!("hook-left", listed.shown());

    // Neither is needed any more.
    configure(&world, &open_app(), "command:exit 7");
    fs::write(world.path("ready"), "").unwrap();
    let done = keep(&world);
    assert_eq!(done.code, Some(0), "{}", done.shown());
    assert_done(&world, 2);
}

#[test]
fn killed_by_its_hook_only_the_hook_is_left() {
    let world = world("test -e ready || kill -9 $PPID");
    configure(&world, world.simulator.protected_url(), SINK);
    assert_eq!(keep(&world).code, None);
    assert!(secrets_in(&world.journal_text()).is_empty());
    fs::write(world.path("ready"), "").unwrap();
    let done = keep(&world);
    assert_eq!(done.code, Some(0), "{}", done.shown());
    assert_done(&world, 2);
}

#[test]
fn a_signal_ends_the_wait_for_the_app() {
    let world = world("");
    let refusing = answering("403 Forbidden", "text/plain", "no".to_owned());
    configure(&world, &refusing, SINK);
    let mut child = command(&world);
    let child = child.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    // Its delivery is recorded right before the app is asked.
    while !world.journal_text().contains("\"delivered\"") {
        std::thread::yield_now();
    }
    kill(
        Pid::from_raw(child.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    configure(&world, world.simulator.protected_url(), SINK);
    assert_eq!(keep(&world).code, Some(0));
    assert_done(&world, 1);
}

#[test]
fn a_delivery_that_was_finished_by_hand_is_still_verified_and_announced() {
    for (app, is_verified) in [("", false), ("the app", true)] {
        let world = world("");
        let app = match app {
            "" => String::new(),
            _ => world.simulator.protected_url().to_owned(),
        };
        configure(&world, &app, "command:exit 7");
        assert_eq!(keep(&world).code, Some(1));
        let entry = format!("rotate-{ID}");
        let finished = world.run(&["journal", "finish", &entry, "--secret-to", SINK]);
        assert_eq!(finished.code, Some(0), "{}", finished.shown());
        assert_eq!(lines(&world, "runs"), 0, "the hook ran");
        let left = world.journal_text();
        assert_eq!(secrets_in(&left).len(), usize::from(is_verified), "{left}");
        let done = keep(&world);
        assert_eq!(done.code, Some(0), "{}", done.shown());
        assert_done(&world, 1);
    }
}

#[test]
fn what_is_left_can_be_given_up() {
    let world = world("");
    configure(&world, &open_app(), SINK);
    assert_eq!(keep(&world).code, Some(1));
    let entry = format!("rotate-{ID}");
    let discarded = world.run(&["journal", "discard", &entry, "--yes"]);
    assert_eq!(discarded.code, Some(0), "{}", discarded.shown());
    // The sink has the secret, so it is as old as its rotate.
    assert_done(&world, 0);
}
