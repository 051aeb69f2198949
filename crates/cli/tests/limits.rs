//! Limits of the system that the command can't work with end it with a clear error.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use support::{ID, Ran, World, builder, command};

/// Closes the files that the process inherits.
const CLOSE: &str = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";

/// Every number of files from one that suffices for the loader to one that suffices for all.
#[test]
fn too_few_open_files() {
    let commands: [&[&str]; 5] = [
        &["--simulate", "list"],
        &["--simulate", "renew"],
        &["--simulate", "rotate", ID, "--secret-to", "stdout"],
        &["--simulate", "verify"],
        &["--simulate", "doctor"],
    ];
    for arguments in commands {
        let mut suffices = false;
        for count in 4..=40 {
            let ran = Ran::of(
                Command::new("sh")
                    .args([
                        "-c",
                        &format!("ulimit -n {count}; {CLOSE}; exec \"$0\" \"$@\""),
                    ])
                    .arg(command().get_program())
                    .args(arguments)
                    .env_clear(),
            );
            let is_refused = ran.code == Some(1)
                && ran.stdout.is_empty()
                && ran.stderr
                    == "error: the command can't start\n  cause: Too many open files (os error 24)\n   \
                        next: allow it to open at least 64 files: `ulimit -n 64`\n";
            suffices |= !is_refused;
            // The simulated account has faults, which doctor finds.
            let expected = i32::from(arguments.contains(&"doctor"));
            let is_well = ran.code == Some(expected) && !ran.stderr.contains("error");
            assert!(
                is_refused != suffices,
                "{arguments:?} {count}: {}",
                ran.shown()
            );
            assert!(
                is_refused || is_well,
                "{arguments:?} {count}: {}",
                ran.shown()
            );
        }
        assert!(suffices, "{arguments:?}");
    }
}

/// A thread with a stack of this size can't start.
#[test]
fn no_thread() {
    let world = World::with(builder());
    let mut list = world.command();
    list.env("CLOUDFLARE_BASE_URL", "https://api.cloudflare.invalid");
    let ran = Ran::of(list.env("RUST_MIN_STACK", "1000000000000000").arg("list"));
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    let error = "error: the command can't start\n  cause: Resource temporarily unavailable (os error \
                 11)\n   next: raise the limit on threads, which `ulimit -u` shows\n";
    assert_eq!(ran.stderr, error);
}

#[test]
fn help_that_can_not_be_written() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["--version"],
        &["renew", "--help"],
        &["help"],
        &["help", "renew"],
        &["help", "options"],
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut help = command();
        let child = help.args(arguments).stdout(full).stderr(Stdio::piped());
        let ran = Ran::from(child.spawn().unwrap().wait_with_output().unwrap());
        assert_eq!(ran.code, Some(1), "{arguments:?}");
        let error =
            "error: can't write the result\n  cause: No space left on device (os error 28)\n";
        assert_eq!(ran.stderr, error, "{arguments:?}");
    }
}
