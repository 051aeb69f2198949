//! The command, traced (ptrace) and killed at the entry to or the exit from its n-th system
//! call that writes, sends, receives, syncs, creates, renames, removes or locks. That needs
//! nothing of the program, so what is tested is what is shipped.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::slow_api::SlowApi;
use crate::support::World;

/// The system calls that are points, with their names.
const POINTS: &[(libc::c_long, &str)] = &[
    (libc::SYS_connect, "connect"),
    (libc::SYS_fchmod, "fchmod"),
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

/// Runs the command, and kills it at the n-th point. Answers the points that it came
/// to, and whether it ended by itself.
pub fn killed_at(
    n: usize,
    world: &World,
    arguments: &[&str],
    api: Option<&SlowApi>,
) -> (Vec<String>, bool) {
    // The shell waits until it is traced, and then becomes the command.
    let mut command = Command::new("sh");
    command
        .args(["-c", "read go; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_cf-service-tokens"))
        .args(arguments)
        .current_dir(world.directory.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(world.environment());
    if let Some(api) = api {
        command.env("CLOUDFLARE_BASE_URL", &api.url);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let options =
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).unwrap();
    if let Some(api) = api {
        api.kill_what_waits(pid);
    }
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
    let mut call = call.split_whitespace();
    let number: libc::c_long = call.next()?.parse().ok()?;
    if number == libc::SYS_openat {
        let flags = i64::from_str_radix(call.nth(2)?.trim_start_matches("0x"), 16).ok()?;
        return (flags & i64::from(libc::O_CREAT) != 0).then_some("open");
    }
    let (_, name) = POINTS.iter().find(|(point, _)| *point == number)?;
    Some(name)
}

/// Runs the command once for each point, and kills it there. Answers all the points.
pub fn at_each_point(
    arguments: &[&str],
    world: impl Fn() -> World,
    mut check: impl FnMut(World, &str),
) -> Vec<String> {
    let mut n = 1;
    loop {
        let world = world();
        let (points, is_over) = killed_at(n, &world, arguments, None);
        if is_over {
            return points;
        }
        check(world, &format!("{n}, {}", points.last().unwrap()));
        n += 1;
    }
}
