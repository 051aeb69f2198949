//! The loop that is measured, the same for each contender written in Rust.
//!
//! A contender is a program that reads where the API is from the environment, as
//! the simulator prints it, and is told on its command line what to do:
//!
//! - `once`: one refresh, and then a line with the peak of memory.
//! - `load CALLS IN_FLIGHT`: so many refreshes, so many at a time, and then a
//!   line with what they took.
//!
//! The line is JSON. All run on one thread, as the contenders in Python and in
//! JavaScript do.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Any error: the program ends with it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Where the API is, and whom to refresh there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Such as `http://127.0.0.1:1234/client/v4`.
    pub base_url: String,
    /// The API token.
    pub api_token: String,
    /// The account of the service token.
    pub account_id: String,
    /// The service token.
    pub token_id: String,
}

impl Target {
    /// Reads it from the environment.
    ///
    /// # Errors
    ///
    /// Which variable is missing.
    pub fn from_env() -> Result<Self, BoxError> {
        Ok(Self {
            base_url: variable("CLOUDFLARE_BASE_URL")?,
            api_token: variable("CLOUDFLARE_API_TOKEN")?,
            account_id: variable("CLOUDFLARE_ACCOUNT_ID")?,
            token_id: variable("BENCH_TOKEN_ID")?,
        })
    }

    /// The path of the refresh, below the base URL.
    pub fn path(&self) -> String {
        let Self {
            account_id,
            token_id,
            ..
        } = self;
        format!("/accounts/{account_id}/access/service_tokens/{token_id}/refresh")
    }
}

/// Reads a variable of the environment.
///
/// # Errors
///
/// It is not set, or not text.
pub fn variable(name: &str) -> Result<String, BoxError> {
    Ok(std::env::var(name).map_err(|error| format!("{name}: {error}"))?)
}

/// A way to refresh a service token. A clone may share what can be shared.
pub trait Contender: Clone + 'static {
    /// Sets the client up, once for each process.
    ///
    /// # Errors
    ///
    /// The client can't be set up.
    fn new(target: Target) -> Result<Self, BoxError>;

    /// Refreshes the service token, and checks that it has an expiry now.
    fn refresh(&mut self) -> impl Future<Output = Result<(), BoxError>>;
}

/// Does what the command line asks for.
///
/// # Errors
///
/// Any: nothing is retried here.
pub fn run<C: Contender>() -> Result<(), BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let target = Target::from_env()?;
    let line = match arguments[..] {
        ["once"] => runtime.block_on(once::<C>(target))?,
        ["load", calls, in_flight] => {
            let (calls, in_flight) = (calls.parse()?, in_flight.parse()?);
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, load::<C>(target, calls, in_flight))?
        }
        _ => return Err("the arguments are `once`, or `load CALLS IN_FLIGHT`".into()),
    };
    println!("{line}");
    Ok(())
}

async fn once<C: Contender>(target: Target) -> Result<String, BoxError> {
    C::new(target)?.refresh().await?;
    Ok(format!("{{\"peak_kib\": {}}}", peak_kib()?))
}

async fn load<C: Contender>(
    target: Target,
    calls: usize,
    in_flight: usize,
) -> Result<String, BoxError> {
    let contender = C::new(target)?;
    let workers: Vec<C> = (0..in_flight).map(|_| contender.clone()).collect();
    // Connections are made, caches filled.
    let (workers, _) = burst(workers, in_flight * 2 + 100).await?;

    let (started, cpu) = (Instant::now(), cpu_time());
    let (_workers, mut latencies) = burst(workers, calls).await?;
    let (seconds, cpu) = (started.elapsed(), cpu_time().saturating_sub(cpu));

    latencies.sort_unstable();
    let microseconds =
        |share: usize| latencies[(calls * share / 100).min(calls - 1)].as_nanos() as f64 / 1000.0;
    Ok(format!(
        "{{\"calls\": {calls}, \"seconds\": {}, \"cpu_seconds\": {}, \
         \"p50_us\": {}, \"p99_us\": {}, \"peak_kib\": {}}}",
        seconds.as_secs_f64(),
        cpu.as_secs_f64(),
        microseconds(50),
        microseconds(99),
        peak_kib()?
    ))
}

/// Has the workers make so many calls, each one after the other.
async fn burst<C: Contender>(
    workers: Vec<C>,
    calls: usize,
) -> Result<(Vec<C>, Vec<Duration>), BoxError> {
    let left = Rc::new(Cell::new(calls));
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|mut worker| {
            let left = Rc::clone(&left);
            tokio::task::spawn_local(async move {
                let mut latencies = Vec::new();
                while let Some(fewer) = left.get().checked_sub(1) {
                    left.set(fewer);
                    let started = Instant::now();
                    worker.refresh().await?;
                    latencies.push(started.elapsed());
                }
                Ok::<_, BoxError>((worker, latencies))
            })
        })
        .collect();
    let (mut workers, mut latencies) = (Vec::new(), Vec::new());
    for task in tasks {
        let (worker, its_latencies) = task.await??;
        workers.push(worker);
        latencies.extend(its_latencies);
    }
    Ok((workers, latencies))
}

/// Returns the processor time of the process, user and system.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// The most memory that the process ever held, in KiB.
///
/// # Errors
///
/// The system doesn't tell: it is not Linux.
pub fn peak_kib() -> Result<u64, BoxError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.ok_or("no VmHWM in /proc/self/status")?.parse()?)
}
