//! Runs a program to its end and measures it: `launcher FILE PROGRAM ARGUMENTS…`.
//!
//! Writes JSON into the file: the seconds until the first output and until the exit, the
//! user and system time, and the peak of memory. The times and the memory include the
//! processes that the program started and waited for; of the memory, the largest counts.
//! Then writes what the program printed, and exits with its exit code.
//!
//! A small program does this and not the Python script that runs the benchmarks, because
//! Linux counts the memory of the process that starts a program as the program's own.

use std::error::Error;
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(file), Some(program)) = (arguments.next(), arguments.next()) else {
        return Err("usage: launcher FILE PROGRAM ARGUMENTS…".into());
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());

    let started = Instant::now();
    let mut child = command.spawn()?;
    let mut output = vec![0; 64 * 1024];
    let mut length = 0;
    let mut first_output = None;
    if let Some(mut stdout) = child.stdout.take() {
        length = stdout.read(&mut output)?;
        first_output = (length > 0).then(|| started.elapsed());
        output.truncate(length);
        length += stdout.read_to_end(&mut output)?;
    }
    let status = child.wait()?;
    let wall = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;

    let json = format!(
        "{{\"seconds\": {}, \"first_output_seconds\": {}, \"user_seconds\": {}, \
         \"system_seconds\": {}, \"peak_kib\": {}}}",
        wall.as_secs_f64(),
        first_output.unwrap_or(wall).as_secs_f64(),
        seconds(usage.user_time()),
        seconds(usage.system_time()),
        usage.max_rss(),
    );
    std::fs::write(file, json)?;
    std::io::stdout().write_all(&output[..length])?;
    // A program that a signal ended has no exit code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

fn seconds(time: TimeVal) -> f64 {
    let whole = Duration::from_secs(time.tv_sec().unsigned_abs());
    let rest = Duration::from_micros(time.tv_usec().unsigned_abs());
    (whole + rest).as_secs_f64()
}
