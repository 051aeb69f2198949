//! Runs that overlap: no secret is lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{ID, World, read};

fn rotate<'a>(sink: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["rotate", ID, "--secret-to", sink];
    arguments.extend(more);
    arguments
}

/// Two processes, the first of which is held where the test wants it.
#[cfg(target_os = "linux")]
mod at_once {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::process::{Child, Stdio};
    use std::sync::{Mutex, mpsc};
    use std::thread;

    use cf_service_tokens_simulator::{Operation, Simulator};
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;

    use super::*;
    use crate::support::known_token;

    /// A run that is stopped while it waits for the answer to its first call of
    /// this operation.
    fn stopped_at(operation: Operation, arguments: &[&str]) -> (World, Child) {
        let (tell_pid, pid) = mpsc::channel();
        let pid = Mutex::new(Some(pid));
        let builder = Simulator::builder().token(known_token());
        let world = World::with(builder.on_request(move |request| {
            if request.operation == Some(operation)
                && let Some(pid) = pid.lock().unwrap().take()
            {
                kill(pid.recv().unwrap(), Signal::SIGSTOP).unwrap();
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
}
