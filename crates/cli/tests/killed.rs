//! `kill -9` at every point of `rotate` at which anything outside the process can
//! have changed. The points need nothing of the program: it is traced (ptrace), and
//! killed at the entry to and at the exit from its n-th system call that writes,
//! sends, receives, syncs, renames, removes or locks, for every n until it ends by
//! itself. So what is tested is what is shipped, without a hook for the test.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![allow(clippy::zombie_processes, reason = "the child is waited for by its id")]

mod support;

use std::fs;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use cf_service_tokens_simulator::{Fault, Injection, Operation, Simulator};
use chrono::TimeDelta;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use support::{ID, OLD_SECRET, World, known_token, read, secrets_in};

const ROTATE: [&str; 4] = ["rotate", ID, "--secret-to", "file:secret"];

/// The system calls that are points, with their names.
const POINTS: &[(libc::c_long, &str)] = &[
    (libc::SYS_connect, "connect"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_mkdirat, "mkdir"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_renameat, "rename"),
    (libc::SYS_renameat2, "rename"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_unlinkat, "unlink"),
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, "mkdir"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, "rename"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, "unlink"),
];

/// Runs `rotate`, and kills it at the n-th point. Answers the points that it came
/// to, and whether it ended by itself.
fn rotate_killed_at(world: &World, n: usize) -> (Vec<String>, bool) {
    // The shell waits until it is traced, and then becomes the command.
    let mut child = Command::new("sh")
        .args(["-c", "read go; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_cf-service-tokens"))
        .args(ROTATE)
        .current_dir(world.directory.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(world.environment())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let options =
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();

    let mut points = Vec::new();
    let mut entered = None;
    // The first stop is at the exit from the exec.
    let mut is_entry = false;
    let mut is_running = false;
    loop {
        let signal = match waitpid(pid, None).unwrap() {
            WaitStatus::PtraceEvent(..) => {
                is_running = true;
                None
            }
            WaitStatus::PtraceSyscall(_) => {
                if is_entry {
                    entered = point(pid);
                }
                if let Some(name) = entered {
                    let side = if is_entry { "before" } else { "after" };
                    points.push(format!("{side} {name}"));
                }
                if points.len() == n {
                    kill(pid, Signal::SIGKILL).unwrap();
                }
                is_entry = !is_entry;
                None
            }
            WaitStatus::Stopped(_, signal) => Some(signal),
            WaitStatus::Exited(_, code) => {
                assert_eq!(code, 0, "after {points:?}");
                return (points, true);
            }
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => return (points, false),
            other => panic!("{other:?}"),
        };
        let goes_on = match is_running {
            true => ptrace::syscall(pid, signal),
            false => ptrace::cont(pid, signal),
        };
        // It may have been killed in the meantime.
        assert!(matches!(goes_on, Ok(()) | Err(nix::errno::Errno::ESRCH)));
    }
}

/// The point that the process is at, if it is one.
fn point(pid: Pid) -> Option<&'static str> {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    let number: libc::c_long = call.split_whitespace().next()?.parse().ok()?;
    let (_, name) = POINTS.iter().find(|(point, _)| *point == number)?;
    Some(name)
}

/// The secret that was saved, in the sink or in the journal.
fn saved(world: &World) -> Option<String> {
    let mut kept = secrets_in(&world.journal_text());
    kept.push(read(&world.path("secret")));
    kept.into_iter().find(|secret| world.opens(secret))
}

/// What must hold whenever the process is killed.
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
/// the run that decides about a rotate without an answer, once it can no longer arrive.
fn assert_the_next_run_helps(world: &World, at: &str) -> Option<Child> {
    let listed = world.run(&["journal", "--output", "json"]);
    let entries: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).unwrap();
    assert!(secrets_in(&listed.shown()).is_empty(), "{at}");
    let Some(entry) = entries.first() else {
        if world.opens(&read(&world.path("secret"))) {
            let again = world.run(&ROTATE);
            assert_eq!(again.code, Some(1), "{at}: the grace was not kept in mind");
            assert!(world.opens(OLD_SECRET), "{at}: {}", again.shown());
        }
        return None;
    };
    assert_eq!(entry["token_id"], ID, "{at}");
    let again = world.run(&ROTATE);
    assert!(world.opens(OLD_SECRET), "{at}: {}", again.shown());
    if entry["holds"] == "secret" {
        assert_eq!(again.code, Some(1), "{at}: a second rotate went ahead");
        let name = entry["entry"].as_str().unwrap();
        assert!(again.stderr.contains(&format!("journal finish {name}")));
        let finished = world.run(&["journal", "finish", name]);
        assert_eq!(finished.code, Some(0), "{at}: {}", finished.shown());
        assert!(world.opens(&read(&world.path("secret"))), "{at}");
        assert_eq!(world.journal_text(), "", "{at}");
        return None;
    }
    assert_eq!(again.code, Some(4), "{at}: {}", again.shown());
    assert!(again.stderr.contains("may still take effect"), "{at}");
    world.advance(TimeDelta::minutes(5));
    let mut later = world.command();
    later
        .args(ROTATE)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    Some(later.spawn().unwrap())
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
    let all = loop {
        let world = world();
        let (points, is_over) = rotate_killed_at(&world, killed + 1);
        if is_over {
            break points;
        }
        killed += 1;
        let at = format!("{killed}, {}", points.last().unwrap());
        assert_nothing_is_lost(&world, &at);
        match (saved(&world), first_saved) {
            (Some(_), None) => first_saved = Some(killed),
            (None, Some(_)) => panic!("{at}: a secret that was saved is lost"),
            _ => {}
        }
        if let Some(later) = assert_the_next_run_helps(&world, &at) {
            undecided.push((world, later, at));
        }
    };
    for (world, later, at) in undecided {
        assert_it_decides_rightly(&world, later, &at);
    }
    assert!(killed >= 20, "{all:?}");
    for name in ["connect", "recvfrom", "fsync", "rename"] {
        assert!(all.iter().any(|point| point.contains(name)), "{name}");
    }
    // Between the answer's arrival and the journal there is nothing but its writing.
    let arrived = all
        .iter()
        .rposition(|point| point == "after recvfrom")
        .unwrap();
    let between = &all[arrived + 1..first_saved.unwrap()];
    assert!(
        between.iter().all(|point| point.ends_with("write")),
        "{between:?}"
    );
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
