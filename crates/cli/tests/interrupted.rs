//! The next run after a `create` or `rotate` whose answer was lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use cf_service_tokens_simulator::{Fault, Injection, Operation, Simulator, TokenField};
use chrono::TimeDelta;
use support::{ID, OLD_SECRET, Ran, World, known_token, read};

const ROTATE: [&str; 4] = ["rotate", ID, "--secret-to", "secret"];

/// An answer that is lost on its way, of a rotate that has no effect.
fn lost() -> Injection {
    Injection::new(Fault::ResetAfterRequest).on(Operation::Rotate)
}

/// Runs a rotate whose answer is lost, and lets the time pass in which it may arrive.
fn interrupt(world: &World, rotate: &[&str], lost: Injection) {
    world.simulator.inject(lost);
    let ran = world.run(rotate);
    assert_eq!(ran.code, Some(4), "{}", ran.shown());
    assert!(world.journal_text().contains(ID));
    world.advance(TimeDelta::minutes(5));
}

/// How many rotates the simulator was asked for.
fn rotates(world: &World) -> usize {
    let requests = world.simulator.requests();
    let rotates = requests
        .iter()
        .filter(|request| request.operation == Some(Operation::Rotate));
    rotates.count()
}

/// The next run asks for no rotate, and says that the first one may have taken effect.
fn assert_not_repeated(world: &World, again: &Ran, why: &str) {
    assert_eq!(again.code, Some(1), "{}", again.shown());
    for said in [
        "may have taken effect",
        why,
        &format!("cf-service-tokens journal discard rotate-{ID}"),
    ] {
        assert!(again.stderr.contains(said), "{said}: {}", again.shown());
    }
    assert!(!world.path("secret").exists());
    assert!(world.journal_text().contains(ID));
}

#[test]
fn a_rotate_without_effect_is_repeated() {
    let world = World::new();
    interrupt(&world, &ROTATE, lost());
    let again = world.run(&ROTATE);
    assert_eq!(again.code, Some(0), "{}", again.shown());
    assert!(again.stderr.contains("had no effect"), "{}", again.shown());
    assert!(world.opens(&read(&world.path("secret"))));
    assert!(world.opens(OLD_SECRET));
    assert_eq!(world.journal_text(), "");
}

/// With a long deadline, the last attempt may begin long after the run.
#[test]
fn a_rotate_with_a_long_deadline_may_arrive_until_after_its_deadline() {
    let world = World::new();
    world.simulator.inject(lost());
    let rotate = [&ROTATE[..], &["--deadline", "15m"]].concat();
    assert_eq!(world.run(&rotate).code, Some(4));
    world.advance(TimeDelta::minutes(16));
    let young = world.run(&ROTATE);
    assert_eq!(young.code, Some(4), "{}", young.shown());
    assert_eq!(rotates(&world), 1);
    world.advance(TimeDelta::minutes(1));
    let again = world.run(&ROTATE);
    assert_eq!(again.code, Some(0), "{}", again.shown());
}

#[test]
fn a_rotate_with_effect_is_not_repeated() {
    let world = World::new();
    world.simulator.inject(lost().taking_effect());
    let ran = world.run(&ROTATE);
    assert_shown!("lost", ran.shown());
    world.advance(TimeDelta::minutes(5));
    let again = world.run(&ROTATE);
    assert_shown!("may-have-taken-effect", again.shown());
    assert_not_repeated(&world, &again, "has been updated since");
    assert!(world.opens(OLD_SECRET));
    assert_eq!(rotates(&world), 1);
}

#[test]
fn a_revoking_rotate_with_effect_is_not_repeated() {
    let world = World::new();
    let revoke = [&ROTATE[..], &["--revoke-now"]].concat();
    interrupt(&world, &revoke, lost().taking_effect());
    let again = world.run(&revoke);
    assert_shown!("may-have-revoked", again.shown());
    assert_not_repeated(&world, &again, "has been updated since");
}

#[test]
fn another_change_in_between_leaves_it_open_whether_the_rotate_took_effect() {
    for change in [
        &["update", ID, "--name", "Grafana"][..],
        &["refresh", ID],
        &["disable", ID],
    ] {
        let world = World::new();
        interrupt(&world, &ROTATE, lost());
        let changed = world.run(change);
        assert_eq!(changed.code, Some(0), "{}", changed.shown());
        let again = world.run(&ROTATE);
        assert_not_repeated(&world, &again, "has been updated since");
        assert_eq!(rotates(&world), 1, "{change:?}");

        // The way out that the error names.
        let entry = format!("rotate-{ID}");
        let discarded = world.run(&["journal", "discard", &entry, "--yes"]);
        assert_eq!(discarded.code, Some(0), "{}", discarded.shown());
        let rotated = world.run(&[&ROTATE[..], &["--end-grace"]].concat());
        assert_eq!(rotated.code, Some(0), "{}", rotated.shown());
        assert_eq!(rotates(&world), 2, "{change:?}");
    }
}

#[test]
fn an_unknown_time_of_update_leaves_it_open_whether_the_rotate_took_effect() {
    let silent =
        || World::with(Simulator::builder().token(known_token().absent(TokenField::UpdatedAt)));
    let why = "does not say when the token was last updated";

    let neither = silent();
    interrupt(&neither, &ROTATE, lost());
    assert_not_repeated(&neither, &neither.run(&ROTATE), why);
    assert_eq!(rotates(&neither), 1);

    let before = World::new();
    interrupt(&before, &ROTATE, lost());
    let after = silent();
    after.advance(TimeDelta::minutes(5));
    let mut again = after.command();
    again.env("CF_SERVICE_TOKENS_JOURNAL", before.journal());
    assert_not_repeated(&before, &Ran::of(again.args(ROTATE)), why);
    assert_eq!(rotates(&after), 0);

    let world = World::new();
    interrupt(&world, &ROTATE, lost());
    let mut line: serde_json::Value = serde_json::from_str(&read(&world.record())).unwrap();
    line["intent"]["updated_at"] = serde_json::Value::Null;
    fs::write(world.record(), format!("{line}\n")).unwrap();
    assert_not_repeated(&world, &world.run(&ROTATE), why);
    assert_eq!(rotates(&world), 1);
}

#[test]
fn a_rotate_that_may_still_arrive_is_not_repeated() {
    for lost in [lost(), lost().taking_effect()] {
        let world = World::new();
        interrupt(&world, &ROTATE, lost);
        world.advance(TimeDelta::seconds(-10));
        let again = world.run(&ROTATE);
        assert_eq!(again.code, Some(4), "{}", again.shown());
        assert_shown!("may-still-arrive", again.shown());
        assert_eq!(rotates(&world), 1);
        assert!(world.journal_text().contains(ID));
        assert!(world.opens(OLD_SECRET));
    }
    // A clock that was set back makes nobody wait for longer.
    let world = World::new();
    interrupt(&world, &ROTATE, lost().taking_effect());
    world.advance(TimeDelta::days(-1));
    assert_eq!(world.run(&ROTATE).code, Some(4));
}

#[test]
fn a_rotate_that_arrives_between_two_readings_is_not_repeated() {
    let world = World::new();
    interrupt(&world, &ROTATE, lost());
    let before = world.simulator.requests().len();
    let mut again = world.command();
    let again = again
        .args(ROTATE)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let again = again.spawn().unwrap();
    while world.simulator.requests().len() == before {
        thread::sleep(Duration::from_millis(5));
    }
    // This moves `updated_at`, as the rotate would.
    assert_eq!(world.run(&["refresh", ID]).code, Some(0));
    let again = again.wait_with_output().unwrap();
    let said = String::from_utf8(again.stderr).unwrap();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains("may have taken effect"), "{said}");
    assert_eq!(rotates(&world), 1);
}

/// An answer that is lost on its way, of a create.
fn lost_create() -> Injection {
    Injection::new(Fault::ResetAfterRequest).on(Operation::Create)
}

const CREATE: [&str; 4] = ["create", "deploy", "--secret-to", "secret"];

#[test]
fn a_lost_create_is_not_followed_by_a_second_token() {
    let world = World::new();
    world.simulator.inject(lost_create().taking_effect());
    assert_eq!(world.run(&CREATE).code, Some(4));
    for more in [&[][..], &["--allow-duplicate"]] {
        let create = [&CREATE[..], more].concat();
        let early = world.run(&create);
        assert_eq!(early.code, Some(4), "{}", early.shown());
        assert!(
            early.stderr.contains("may still take effect"),
            "{}",
            early.shown()
        );
    }
    world.advance(TimeDelta::minutes(5));
    for more in [&[][..], &["--allow-duplicate"]] {
        let again = world.run(&[&CREATE[..], more].concat());
        assert_eq!(again.code, Some(1), "{}", again.shown());
        let id = &world.simulator.tokens()[1].id;
        let advice = format!("cf-service-tokens rotate {id} --revoke-now");
        assert!(again.stderr.contains(&advice), "{}", again.shown());
    }
    assert_eq!(world.simulator.tokens().len(), 2);
}

#[test]
fn a_create_without_effect_is_repeated() {
    let world = World::new();
    world.simulator.inject(lost_create());
    assert_eq!(world.run(&CREATE).code, Some(4));
    world.advance(TimeDelta::minutes(5));
    let again = world.run(&CREATE);
    assert_eq!(again.code, Some(0), "{}", again.shown());
    assert!(again.stderr.contains("had no effect"), "{}", again.shown());
    assert_eq!(world.simulator.tokens().len(), 2);
    assert_eq!(world.journal_text(), "");
}

#[test]
fn a_name_that_exists_is_used_again_only_on_purpose() {
    let world = World::new();
    assert_eq!(world.run(&CREATE).code, Some(0));
    let again = world.run(&["create", "deploy", "--secret-to", "other"]);
    assert_eq!(again.code, Some(2), "{}", again.shown());
    assert!(
        again.stderr.contains("--allow-duplicate"),
        "{}",
        again.shown()
    );
    assert_eq!(world.simulator.tokens().len(), 2);
    assert!(!world.path("other").exists());
    let meant = [
        "create",
        "deploy",
        "--secret-to",
        "other",
        "--allow-duplicate",
    ];
    assert_eq!(world.run(&meant).code, Some(0));
    assert_eq!(world.simulator.tokens().len(), 3);
}

/// Ctrl-c while the answer is on its way.
#[cfg(target_os = "linux")]
mod signals {
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::process::{Child, ChildStderr};
    use std::sync::{Mutex, mpsc};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;
    use crate::support::secrets_in;

    /// A run that gets a signal while the API is at work on its rotate.
    fn signalled(signal: Signal, fault: Option<Fault>) -> (World, Child, BufReader<ChildStderr>) {
        let (tell_pid, pid) = mpsc::channel();
        let pid = Mutex::new(pid);
        let builder = Simulator::builder().token(known_token());
        let world = World::with(builder.on_request(move |request| {
            if request.operation == Some(Operation::Rotate) {
                kill(pid.lock().unwrap().recv().unwrap(), signal).unwrap();
            }
        }));
        if let Some(fault) = fault {
            let stalled = Injection::new(fault).on(Operation::Rotate);
            world.simulator.inject(stalled.taking_effect());
        }
        let mut command = world.command();
        command.args(ROTATE).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        tell_pid.send(pid_of(&child)).unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        (world, child, stderr)
    }

    fn pid_of(child: &Child) -> Pid {
        Pid::from_raw(child.id().try_into().unwrap())
    }

    #[test]
    fn the_first_signal_waits_for_the_answer() {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let (world, mut child, mut stderr) = signalled(signal, None);
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
            assert!(world.opens(&read(&world.path("secret"))), "{said}");
            assert_eq!(world.journal_text(), "");
        }
    }

    #[test]
    fn the_second_signal_ends_the_run() {
        let (world, mut child, mut stderr) = signalled(Signal::SIGINT, Some(Fault::StalledHeaders));
        let mut said = String::new();
        stderr.read_line(&mut said).unwrap();
        assert!(said.contains("interrupt again"), "{said}");
        kill(pid_of(&child), Signal::SIGINT).unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
        assert!(said.contains("run the same command again after"), "{said}");
        assert!(secrets_in(&said).is_empty(), "{said}");
        assert!(world.journal_text().contains(ID));
    }

    /// A run at the time at which the command of its sink has begun.
    fn delivering(sink: &str) -> (World, Child, BufReader<ChildStderr>) {
        let world = World::new();
        let mut command = world.command();
        command.args(["rotate", ID, "--secret-to", sink]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        stderr.read_line(&mut said).unwrap();
        assert_eq!(said, "reading\n");
        (world, child, stderr)
    }

    #[test]
    fn the_first_signal_waits_for_the_command_of_the_sink() {
        let sink = "command:mkfifo fifo; echo reading; read go <fifo; cat >got";
        let (world, mut child, mut stderr) = delivering(sink);
        let mut said = String::new();
        kill(pid_of(&child), Signal::SIGTERM).unwrap();
        stderr.read_line(&mut said).unwrap();
        assert!(said.contains("interrupt again"), "{said}");
        fs::write(world.path("fifo"), "go\n").unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
        assert!(world.opens(&read(&world.path("got"))), "{said}");
        assert_eq!(world.journal_text(), "");
    }

    #[test]
    fn the_second_signal_ends_the_command_of_the_sink() {
        let sink = "command:echo reading; cat >/dev/null; exec sleep 1000";
        let (world, mut child, mut stderr) = delivering(sink);
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            kill(pid_of(&child), signal).unwrap();
            let mut said = String::new();
            stderr.read_line(&mut said).unwrap();
            if signal == Signal::SIGTERM {
                assert!(said.contains("interrupt again"), "{said}");
                continue;
            }
            // The command of the sink holds this stream as long as it lives.
            stderr.read_to_string(&mut said).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
            let next = format!("cf-service-tokens journal finish rotate-{ID}");
            assert!(said.contains(&next), "{said}");
            assert!(secrets_in(&said).is_empty(), "{said}");
        }
        let finish = [
            "journal",
            "finish",
            &format!("rotate-{ID}"),
            "--secret-to",
            "got",
        ];
        assert_eq!(world.run(&finish).code, Some(0));
        assert!(world.opens(&read(&world.path("got"))));
    }
}
