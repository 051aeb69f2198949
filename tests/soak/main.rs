//! The soak: thousands of schedules of concurrent calls, each with its own faults, over
//! real sockets and with a clock on which waits take no time. After each, the results
//! agree with the state of the API, no secret is lost or shown, and nothing leaks.
//!
//! Each schedule derives from a seed. By default, two hundred run. To run more, or a
//! single one:
//!
//! ```sh
//! SOAK_SCHEDULES=10000 cargo test --release --test soak -- --nocapture
//! SOAK_SEED=17 cargo test --release --test soak -- --nocapture
//! ```
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic and print"
)]

#[path = "../support/calls.rs"]
mod every_call;
mod invariants;
mod life;
mod schedule;
#[path = "../support/mod.rs"]
mod support;

use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::Duration;

use life::Tally;
use schedule::Schedule;

const SCHEDULES: u64 = 200;
/// The number of parts of a run. Between two parts, no schedule runs.
const PARTS: u64 = 10;
/// Many schedules run at once, since most of the time they wait for stalled attempts.
const THREADS: usize = 32;
/// Real time, far longer than any schedule takes.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// Runs the schedule of a seed. Returns its counts, or the violations.
fn run(seed: u64) -> Result<Tally, String> {
    let schedule = Schedule::new(seed);
    let lived = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let life = life::live(&schedule);
            let lived = tokio::time::timeout(HANGS_AFTER, life).await;
            lived.unwrap_or_else(|_| Err(format!("it hangs\n{schedule}")))
        })
    }));
    let lived = lived.unwrap_or_else(|_| Err(format!("it panics\n{schedule}")));
    lived.map_err(|what| {
        format!("{what}to reproduce: SOAK_SEED={seed} cargo test --test soak -- --nocapture")
    })
}

/// Runs the schedules of these seeds, many at a time. Returns their counts, or the
/// violations of the first that fails.
fn run_all(seeds: RangeInclusive<u64>) -> Result<Tally, String> {
    let (seeds, lived) = (Mutex::new(seeds), Mutex::new(Ok(Tally::default())));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while lived.lock().unwrap().is_ok()
                    && let Some(seed) = { seeds.lock().unwrap().next() }
                {
                    let one = run(seed);
                    let mut all = lived.lock().unwrap();
                    match (&mut *all, one) {
                        (Ok(all), Ok(one)) => *all += one,
                        (Ok(_), failed) => *all = failed,
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    lived.into_inner().unwrap()
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is not a number: {text}")),
    )
}

/// Returns the number of open files of this process, including connections, and its
/// memory in bytes.
#[cfg(target_os = "linux")]
fn resources() -> (usize, usize) {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count();
    (files, support::resident_memory())
}

#[cfg(not(target_os = "linux"))]
fn resources() -> (usize, usize) {
    (0, 0)
}

#[test]
fn every_schedule_holds_the_invariants() {
    /// The memory that the allocator may keep for many threads.
    const SLACK: usize = 16 * 1024 * 1024;

    if let Some(seed) = number("SOAK_SEED") {
        println!("{}", Schedule::new(seed));
        if let Err(failure) = run(seed) {
            panic!("{failure}");
        }
        return;
    }
    let schedules = number("SOAK_SCHEDULES").unwrap_or(SCHEDULES);
    let mut tally = Tally::default();
    let (mut open_at_first, mut memory_once) = (None, 0);
    for part in 0..PARTS {
        let seeds = part * schedules / PARTS + 1..=(part + 1) * schedules / PARTS;
        match run_all(seeds) {
            Ok(more) => tally += more,
            Err(failure) => panic!("{failure}"),
        }
        let (files, memory) = resources();
        println!(
            "{} schedules: {} calls, {} successes; {} requests, {} faults; {files} open files, \
             {memory} bytes of memory",
            tally.schedules, tally.calls, tally.successes, tally.requests, tally.faults
        );
        let files_once = *open_at_first.get_or_insert(files);
        assert_eq!(files, files_once, "files or connections are not closed");
        // During the first half, the allocators of the threads still grow.
        if part < PARTS / 2 {
            memory_once = memory_once.max(memory);
        }
        assert!(
            memory < memory_once + SLACK,
            "memory grows: it was {memory_once} bytes"
        );
    }
    let failures = tally.calls - tally.successes;
    let tenth = tally.calls / 10;
    assert!(
        tally.faults >= tenth && failures >= tenth,
        "too few faults or failures"
    );
    assert!(tally.successes >= tenth, "too few successes");
}
