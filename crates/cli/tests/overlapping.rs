//! Runs that overlap, and runs that follow each other too soon: no secret is lost,
//! and the one in use is not ended unasked.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::{ID, OLD_SECRET, World, read, secrets_in};

fn rotate<'a>(sink: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["rotate", ID, "--secret-to", sink];
    arguments.extend(more);
    arguments
}

#[test]
fn a_second_rotate_within_the_grace_is_not_made_unasked() {
    let world = World::new();
    assert_eq!(world.run(&rotate("secret", &[])).code, Some(0));
    let first = read(&world.path("secret"));
    let refused = world.run(&rotate("secret", &[]));
    assert!(world.opens(OLD_SECRET), "the secret in use was ended");
    assert_shown!(refused.shown());
    assert_eq!(refused.code, Some(1));
    assert_eq!(read(&world.path("secret")), first);
    for file in fs::read_dir(world.journal()).unwrap() {
        let text = read(&file.unwrap().path());
        assert!(secrets_in(&text).is_empty(), "{text}");
    }

    let asked = world.run(&rotate("secret", &["--end-grace"]));
    assert_eq!(asked.code, Some(0), "{}", asked.shown());
    assert!(!world.opens(OLD_SECRET));
    assert!(world.opens(&first));
    assert_eq!(world.run(&rotate("secret", &[])).code, Some(1));
    let leaked = world.run(&rotate("secret", &["--revoke-now"]));
    assert_eq!(leaked.code, Some(0), "{}", leaked.shown());
    assert!(!world.opens(&first));
    // Now there is no old secret, which a rotate could end.
    let noted = world.record();
    assert!(read(&noted).contains(r#""old_secret_valid_until":null"#));
    let again = world.run(&rotate("secret", &[]));
    assert_eq!(again.code, Some(0), "{}", again.shown());
    // Nor when the grace is over.
    let grace = read(&noted);
    let at = grace.rfind("\"20").unwrap() + 1;
    fs::write(&noted, format!("{}19{}", &grace[..at], &grace[at + 2..])).unwrap();
    let after = world.run(&rotate("secret", &[]));
    assert_eq!(after.code, Some(0), "{grace}: {}", after.shown());
}

#[test]
fn a_grace_is_known_of_however_the_rotate_was_settled() {
    let entry = format!("rotate-{ID}");
    for settle in [
        &["journal", "finish", &entry, "--secret-to", "secret"][..],
        &["journal", "discard", &entry, "--yes"],
    ] {
        let world = World::new();
        let failed = world.run(&rotate("command:cat >/dev/null; exit 7", &[]));
        assert_eq!(failed.code, Some(1), "{}", failed.shown());
        assert_eq!(world.run(settle).code, Some(0));
        let refused = world.run(&rotate("secret", &[]));
        assert_eq!(refused.code, Some(1), "{}", refused.shown());
        assert!(refused.stderr.contains("--end-grace"));
        assert!(world.opens(OLD_SECRET));
    }
}

/// Two processes, the first of which is held where the test wants it.
#[cfg(target_os = "linux")]
mod at_once {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::process::{Child, Stdio};
    use std::sync::{Mutex, mpsc};
    use std::thread;

    use cf_service_tokens_simulator::{Operation, Simulator, SimulatorBuilder};
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;

    use super::*;
    use crate::support::known_token;

    /// A run that is stopped while it waits for the answer to its first call of
    /// this operation.
    fn stopped_at(operation: Operation, arguments: &[&str]) -> (World, Child) {
        let builder = Simulator::builder().token(known_token());
        stopped_at_call(1, operation, builder, arguments)
    }

    /// A run that is stopped while it waits for the answer to its nth call of this
    /// operation.
    fn stopped_at_call(
        n: usize,
        operation: Operation,
        builder: SimulatorBuilder,
        arguments: &[&str],
    ) -> (World, Child) {
        let (tell_pid, pid) = mpsc::channel::<Pid>();
        let state = Mutex::new((0, pid));
        let world = World::with(builder.on_request(move |request| {
            if request.operation == Some(operation) {
                let (calls, pid) = &mut *state.lock().unwrap();
                *calls += 1;
                if *calls == n {
                    kill(pid.recv().unwrap(), Signal::SIGSTOP).unwrap();
                }
            }
        }));
        let mut command = world.command();
        command.args(arguments).stdout(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        tell_pid.send(pid_of(&child)).unwrap();
        let status = waitpid(pid_of(&child), Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert!(matches!(status, WaitStatus::Stopped(..)), "{status:?}");
        (world, child)
    }

    /// Lets the run go on, and answers its exit code and what it said.
    fn go_on(mut child: Child) -> (Option<i32>, String) {
        kill(pid_of(&child), Signal::SIGCONT).unwrap();
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (child.wait().unwrap().code(), said)
    }

    fn pid_of(child: &Child) -> Pid {
        Pid::from_raw(child.id().try_into().unwrap())
    }

    #[test]
    fn two_runs_do_not_share_a_sink() {
        let (world, first) = stopped_at(Operation::Rotate, &rotate("secret", &[]));
        // The second run has another journal, and comes as far as its first
        // request, which nobody answers; or it ends before.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/client/v4", silent.local_addr().unwrap());
        let mut second = world
            .command()
            .env("CLOUDFLARE_BASE_URL", url)
            .args(rotate("secret", &["--journal", "other"]))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = second.stderr.take().unwrap();
        let (tell, told) = mpsc::channel();
        let tell_of_request = tell.clone();
        thread::spawn(move || {
            let request = silent.accept().unwrap();
            // The test may be over.
            let _ = tell_of_request.send("it went on".to_owned());
            thread::park();
            drop(request);
        });
        thread::spawn(move || {
            let mut said = String::new();
            stderr.read_to_string(&mut said).unwrap();
            let _ = tell.send(said);
        });
        let said = told.recv().unwrap();
        let first = go_on(first);
        // It may have ended.
        let _ = second.kill();
        let code = second.wait().unwrap().code();

        assert_eq!(first.0, Some(0), "{}", first.1);
        let secret = read(&world.path("secret"));
        assert!(world.opens(&secret), "the sink has {secret:?}");
        assert!(said.contains("another run"), "{said}");
        assert_eq!(code, Some(1));
    }

    #[test]
    fn two_runs_do_not_rotate_one_token() {
        let (world, first) = stopped_at(Operation::Rotate, &rotate("first", &[]));
        let second = world.run(&rotate("second", &[]));
        let listed = world.run(&["journal"]);
        let as_json = world.run(&["journal", "-o", "json"]);
        let first = go_on(first);

        let at_work = format!("note: another run is using rotate-{ID}\n");
        assert_eq!(
            listed.shown(),
            format!("exit code 0\n--- stderr\n{at_work}")
        );
        assert_eq!((&*as_json.stdout, as_json.stderr), ("[]\n", at_work));
        assert!(world.opens(OLD_SECRET), "the secret in use was ended");
        assert_eq!(first.0, Some(0), "{}", first.1);
        assert!(world.opens(&read(&world.path("first"))));
        assert_eq!(second.code, Some(1), "{}", second.shown());
        assert!(second.stderr.contains("another run"), "{}", second.shown());
        assert!(!world.path("second").exists());
    }

    #[test]
    fn two_runs_by_age_do_not_rotate_one_token() {
        let by_age = ["--if-older-than", "1d"];
        let builder = || {
            let created = chrono::Utc::now() - chrono::TimeDelta::days(2);
            Simulator::builder().token(known_token().created_at(created))
        };
        for (n, operation) in [
            (1, Operation::Get),
            (2, Operation::Get),
            (1, Operation::Rotate),
        ] {
            let first = rotate("first", &by_age);
            let (world, first) = stopped_at_call(n, operation, builder(), &first);
            let second = world.run(&rotate("second", &by_age));
            let first = go_on(first);
            let is_locked = (n, operation) != (1, Operation::Get);
            assert_eq!(
                second.code,
                Some(i32::from(is_locked)),
                "{}",
                second.shown()
            );
            assert_eq!(first.0, Some(0), "{}", first.1);
            assert!(world.opens(OLD_SECRET), "the secret in use was ended");
            assert_eq!(world.simulator.count(Operation::Rotate), 1);
        }
    }

    /// A rotate of another machine, which has a journal of its own, right before or after
    /// the call of this one.
    #[test]
    fn a_rotate_by_somebody_else_at_the_same_time_is_reported() {
        let lenient = || Simulator::builder().token(known_token()).lenient_answers();
        let silent = || Simulator::builder().token(known_token());
        for (n, operation, builder) in [
            (2, Operation::Get, lenient()),
            (1, Operation::Rotate, lenient()),
            (1, Operation::Rotate, silent()),
        ] {
            let run = rotate("first", &["--grace", "7d"]);
            let (world, first) = stopped_at_call(n, operation, builder, &run);
            let foreign = world.run(&rotate("foreign", &["--journal", "foreign-journal"]));
            assert_eq!(foreign.code, Some(0), "{}", foreign.shown());
            let (code, said) = go_on(first);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("something else rotated the token"), "{said}");
            // The delivery went on, and nothing is left to do.
            assert!(world.opens(&read(&world.path("first"))), "{said}");
            assert_eq!(world.journal_text(), "");
            assert_eq!(world.simulator.tokens()[0].client_secret_version, 3);
        }
    }

    #[test]
    fn a_rotate_that_was_overtaken_is_not_made() {
        let (world, first) = stopped_at(Operation::Get, &rotate("first", &[]));
        let second = world.run(&rotate("second", &[]));
        let first = go_on(first);

        assert!(world.opens(OLD_SECRET), "the secret in use was ended");
        assert_eq!(second.code, Some(0), "{}", second.shown());
        assert!(world.opens(&read(&world.path("second"))));
        assert_eq!(first.0, Some(1), "{}", first.1);
        assert!(first.1.contains("--end-grace"), "{}", first.1);
        assert!(!world.path("first").exists());
    }
}
