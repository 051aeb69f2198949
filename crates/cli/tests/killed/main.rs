//! `kill -9` at every point of `rotate`, `create` and `journal finish` at which anything
//! outside the process can have changed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(clippy::zombie_processes, reason = "the child is waited for by its id")]

mod keep;
mod slow_api;
#[path = "../support/mod.rs"]
mod support;
mod trace;

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};
use std::sync::mpsc;

use cf_service_tokens_simulator::{Fault, Injection, Operation, Simulator};
use chrono::TimeDelta;
use nix::libc;
use slow_api::SlowApi;
use support::{ID, OLD_SECRET, World, known_token, read, secrets_in};
use trace::{at_each_point, killed_at};

const ROTATE: [&str; 4] = ["rotate", ID, "--secret-to", "file:secret"];
const CREATE: [&str; 4] = ["create", "deploy", "--secret-to", "file:secret"];

/// The newest token's secret that was saved, in the sink or in the journal.
fn saved(world: &World) -> Option<String> {
    let mut kept = secrets_in(&world.journal_text());
    kept.push(read(&world.path("secret")));
    kept.into_iter().find(|secret| opens_newest(world, secret))
}

/// Whether the secret is one of the newest token's.
fn opens_newest(world: &World, secret: &str) -> bool {
    let tokens = world.simulator.tokens();
    world.opens_as(&tokens.last().unwrap().client_id, secret)
}

/// The entries of the journal.
fn entries(world: &World, at: &str) -> Vec<serde_json::Value> {
    let listed = world.run(&["journal", "--output", "json"]);
    assert!(secrets_in(&listed.shown()).is_empty(), "{at}");
    serde_json::from_str(&listed.stdout).unwrap()
}

/// Starts the run that decides about a call without an answer, after the time in which
/// that can arrive.
fn later(world: &World, arguments: &[&str]) -> Child {
    world.advance(TimeDelta::minutes(5));
    let mut later = world.command();
    later.args(arguments).stdout(Stdio::null());
    later.stderr(Stdio::piped()).spawn().unwrap()
}

/// While a call may still arrive, nothing is repeated.
fn assert_it_waits(world: &World, arguments: &[&str], at: &str) {
    let again = world.run(arguments);
    assert_eq!(again.code, Some(4), "{at}: {}", again.shown());
    assert!(again.stderr.contains("may still take effect"), "{at}");
}

/// `journal finish` brings the secret to its sink.
fn assert_it_can_be_finished(world: &World, entry: &serde_json::Value, at: &str) {
    let name = entry["entry"].as_str().unwrap();
    let finished = world.run(&["journal", "finish", name]);
    assert_eq!(finished.code, Some(0), "{at}: {}", finished.shown());
    assert!(opens_newest(world, &read(&world.path("secret"))), "{at}");
    assert_eq!(world.journal_text(), "", "{at}");
}

/// Checks what must hold whenever the process is killed.
fn assert_nothing_is_lost(world: &World, at: &str) {
    let requests = world.simulator.requests();
    let was_sent = requests
        .iter()
        .any(|request| request.operation == Some(Operation::Rotate));
    let journal = world.journal_text();
    assert!(
        !was_sent || saved(world).is_some() || journal.contains(ID),
        "{at}: the rotate left no trace"
    );
    let sink = read(&world.path("secret"));
    assert!(
        sink == "what was there" || world.opens(&sink),
        "{at}: the sink has neither what it had nor the new secret"
    );
    assert!(world.opens(OLD_SECRET), "{at}: the old secret is refused");
}

/// The next run says what it finds, and how to go on; following it, all is well. Answers
/// the run that decides about a rotate without an answer.
fn assert_the_next_run_helps(world: &World, at: &str) -> Option<Child> {
    let Some(entry) = entries(world, at).pop() else {
        if world.opens(&read(&world.path("secret"))) {
            let again = world.run(&ROTATE);
            assert_eq!(again.code, Some(1), "{at}: the grace was not kept in mind");
            assert!(world.opens(OLD_SECRET), "{at}: {}", again.shown());
        }
        return None;
    };
    assert_eq!(entry["token_id"], ID, "{at}");
    if entry["holds"] == "secret" {
        let again = world.run(&ROTATE);
        assert_eq!(again.code, Some(1), "{at}: a second rotate went ahead");
        assert!(again.stderr.contains("journal finish rotate-"));
        assert_it_can_be_finished(world, &entry, at);
        return None;
    }
    assert_it_waits(world, &ROTATE, at);
    assert!(world.opens(OLD_SECRET), "{at}");
    Some(later(world, &ROTATE))
}

/// The run makes a rotate only if the one before had no effect.
fn assert_it_decides_rightly(world: &World, later: Child, at: &str) {
    let later = later.wait_with_output().unwrap();
    let said = String::from_utf8(later.stderr).unwrap();
    let version = world.simulator.tokens()[0].client_secret_version;
    assert_eq!(version, 2, "{at}: {said}");
    assert!(world.opens(OLD_SECRET), "{at}: {said}");
    if later.status.code() == Some(0) {
        assert!(said.contains("had no effect"), "{at}");
        assert!(world.opens(&read(&world.path("secret"))), "{at}");
    } else {
        assert_eq!(later.status.code(), Some(1), "{at}");
        assert!(said.contains("may have taken effect"), "{at}");
        assert!(said.contains("journal discard"), "{at}");
    }
}

fn world() -> World {
    let world = World::new();
    fs::write(world.path("secret"), "what was there").unwrap();
    world
}

#[test]
fn killed_at_any_point_rotate_loses_no_secret_and_leaves_a_trace() {
    let mut first_saved = None;
    let mut undecided = Vec::new();
    let mut killed = 0;
    let all = at_each_point(&ROTATE, world, |world, at| {
        killed += 1;
        assert_nothing_is_lost(&world, at);
        match (saved(&world), first_saved) {
            (Some(_), None) => first_saved = Some(killed),
            (None, Some(_)) => panic!("{at}: a secret that was saved is lost"),
            _ => {}
        }
        if let Some(later) = assert_the_next_run_helps(&world, at) {
            undecided.push((world, later, at.to_owned()));
        }
    });
    for (world, later, at) in undecided {
        assert_it_decides_rightly(&world, later, &at);
    }
    assert!(killed >= 20, "{all:?}");
    for name in ["connect", "recvfrom", "fsync", "rename", "open"] {
        assert!(all.iter().any(|point| point.contains(name)), "{name}");
    }
    // Between the answer's arrival and the journal there is nothing but its writing.
    let before = &all[..first_saved.unwrap()];
    let arrived = before
        .iter()
        .rposition(|point| point == "after recvfrom")
        .unwrap();
    let between = &before[arrived + 1..];
    assert!(
        between.iter().all(|point| point.ends_with("write")),
        "{between:?}"
    );
}

/// The tokens that `create` made.
fn created(world: &World) -> usize {
    let tokens = world.simulator.tokens();
    tokens.iter().filter(|token| token.name == "deploy").count()
}

/// A second create is made only if the one before had no effect.
fn assert_there_is_one_token(world: &World, later: Child, at: &str) {
    let later = later.wait_with_output().unwrap();
    let said = String::from_utf8(later.stderr).unwrap();
    assert_eq!(created(world), 1, "{at}: {said}");
    if later.status.code() == Some(0) {
        assert!(said.contains("had no effect"), "{at}: {said}");
        assert!(opens_newest(world, &read(&world.path("secret"))), "{at}");
    } else {
        assert_eq!(later.status.code(), Some(1), "{at}: {said}");
        let id = &world.simulator.tokens()[1].id;
        let advice = format!("cf-service-tokens rotate {id} --revoke-now");
        assert!(said.contains(&advice), "{at}: {said}");
        assert!(said.contains("journal discard create-"), "{at}: {said}");
    }
}

#[test]
fn killed_at_any_point_create_makes_one_token_and_loses_no_secret() {
    let mut is_saved = false;
    let mut undecided = Vec::new();
    let all = at_each_point(&CREATE, world, |world, at| {
        let entry = entries(&world, at).pop();
        let sink = read(&world.path("secret"));
        let has_sink = sink != "what was there";
        assert!(!has_sink || opens_newest(&world, &sink), "{at}: {sink}");
        let has_secret = created(&world) == 1 && saved(&world).is_some();
        assert!(
            has_secret || !is_saved,
            "{at}: a secret that was saved is lost"
        );
        is_saved |= has_secret;
        let Some(entry) = entry else {
            assert!(created(&world) == 0 || has_sink, "{at}: it left no trace");
            let again = world.run(&CREATE);
            let expected = if has_sink { 2 } else { 0 };
            assert_eq!(again.code, Some(expected), "{at}: {}", again.shown());
            assert_eq!(created(&world), 1, "{at}");
            return;
        };
        assert_eq!(entry["name"], "deploy", "{at}");
        if entry["holds"] == "secret" {
            let again = world.run(&CREATE);
            assert_eq!(again.code, Some(1), "{at}: {}", again.shown());
            assert_it_can_be_finished(&world, &entry, at);
            assert_eq!(created(&world), 1, "{at}");
            return;
        }
        assert_it_waits(&world, &CREATE, at);
        let later = later(&world, &CREATE);
        undecided.push((world, later, at.to_owned()));
    });
    assert!(is_saved && undecided.len() > 1, "{all:?}");
    for (world, later, at) in undecided {
        assert_there_is_one_token(&world, later, &at);
    }
}

#[test]
fn killed_at_any_point_finish_loses_no_secret() {
    let entry = format!("rotate-{ID}");
    let finish = ["journal", "finish", &entry, "--secret-to", "file:secret"];
    let interrupted = || {
        let world = world();
        let ran = world.run(&["rotate", ID, "--secret-to", "command:exit 7"]);
        assert_eq!(ran.code, Some(1), "{}", ran.shown());
        world
    };
    let mut is_in_sink = false;
    let all = at_each_point(&finish, interrupted, |world, at| {
        let secret = saved(&world).unwrap();
        let sink = read(&world.path("secret"));
        assert!(sink == secret || sink == "what was there", "{at}: {sink}");
        assert!(sink == secret || !is_in_sink, "{at}");
        is_in_sink |= sink == secret;
        if !entries(&world, at).is_empty() {
            assert_eq!(world.run(&ROTATE).code, Some(1), "{at}");
            let finished = world.run(&finish);
            assert_eq!(finished.code, Some(0), "{at}: {}", finished.shown());
        }
        assert_eq!(read(&world.path("secret")), secret, "{at}");
        assert_eq!(world.journal_text(), "", "{at}");
        assert_eq!(world.run(&ROTATE).code, Some(1), "{at}: the grace is lost");
        assert!(world.opens(OLD_SECRET), "{at}");
        assert_eq!(world.simulator.tokens()[0].client_secret_version, 2, "{at}");
    });
    assert!(is_in_sink, "{all:?}");
}

#[test]
fn killed_while_the_api_is_at_work_nothing_is_repeated() {
    for arguments in [ROTATE, CREATE] {
        let mut undecided = Vec::new();
        for n in 1.. {
            let world = world();
            let api = SlowApi::start(&world);
            let (points, is_over) = killed_at(n, &world, &arguments, Some(&api));
            assert!(!is_over, "{points:?}");
            let at = format!("{n}, {:?}", points.last());
            if api.has_arrived() {
                let before = world.simulator.tokens();
                assert_it_waits(&world, &arguments, &at);
                assert_eq!(world.simulator.tokens(), before, "{at}");
                api.carry_out(&world);
                assert_ne!(world.simulator.tokens(), before, "{at}");
                assert_it_waits(&world, &arguments, &at);
                let later = later(&world, &arguments);
                undecided.push((world, later, at));
            }
            // It was killed while it waited.
            if points.len() < n {
                break;
            }
        }
        assert!(undecided.len() > 1);
        for (world, later, at) in undecided {
            match arguments == CREATE {
                true => assert_there_is_one_token(&world, later, &at),
                false => assert_it_decides_rightly(&world, later, &at),
            }
        }
    }
}

#[test]
fn killed_while_the_answer_is_on_its_way() {
    for fault in [Fault::StalledHeaders, Fault::StalledBody] {
        let (tell, told) = mpsc::channel();
        let builder = Simulator::builder().token(known_token());
        let world = World::with(builder.on_request(move |request| {
            if request.operation == Some(Operation::Rotate) {
                // The test may have ended.
                let _ = tell.send(());
            }
        }));
        fs::write(world.path("secret"), "what was there").unwrap();
        let lost = Injection::new(fault.clone()).on(Operation::Rotate);
        world.simulator.inject(lost.taking_effect());
        let mut child = world.command().args(ROTATE).spawn().unwrap();
        told.recv().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(world.simulator.tokens()[0].client_secret_version, 2);
        let at = format!("{fault}");
        assert_nothing_is_lost(&world, &at);
        let later = assert_the_next_run_helps(&world, &at).unwrap();
        assert_it_decides_rightly(&world, later, &at);
    }
}

#[test]
fn killed_by_its_own_sink() {
    for command in [
        "kill -9 $PPID",
        "head -c 9 >part; kill -9 $PPID",
        "cat >whole; kill -9 $PPID",
    ] {
        let world = world();
        let sink = format!("command:{command}");
        let status = world
            .command()
            .args(["rotate", ID, "--secret-to", &sink])
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{command}");
        let secret = saved(&world).unwrap();
        assert!(world.opens(OLD_SECRET));
        let finished = world.run(&[
            "journal",
            "finish",
            &format!("rotate-{ID}"),
            "--secret-to",
            "file:secret",
        ]);
        assert_eq!(finished.code, Some(0), "{}", finished.shown());
        assert_eq!(read(&world.path("secret")), secret);
    }
}
