//! Runs a schedule.

use std::future::poll_fn;
use std::io::Write;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use cf_service_tokens::{Client, Error, Retry};
use cf_service_tokens_simulator::{Operation, SeedToken, Simulator, Token};
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};

use crate::every_call::{CALLS, Call, Success, opens_the_app};
use crate::invariants;
use crate::schedule::{Schedule, Scheme, Step, name};
use crate::support::{CANARY, LateClock};

/// The timeout of an attempt, and so the length of a stall, in real time.
const TIMEOUT: Duration = Duration::from_millis(200);
/// Larger than any answer that is not endless.
const BODY_LIMIT: usize = 512 * 1024;
/// The real time that connections may take to close after their client is dropped. Only
/// a leaked connection takes as long.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);

/// A call, and its result.
pub struct Made {
    pub step: usize,
    pub call: Call,
    /// The token of the call; empty if it has none.
    pub id: String,
    pub outcome: Outcome,
}

pub enum Outcome {
    Success(Box<Success>),
    Failure(Error),
    Abandoned,
}

/// The outcome of a schedule, for the checks.
pub struct Life {
    pub before: Vec<Token>,
    pub after: Vec<Token>,
    pub log: Vec<cf_service_tokens_simulator::ReceivedRequest>,
    pub made: Vec<Made>,
    /// The attempts of the last call, which checks that the client has recovered.
    pub last_attempts: u32,
    /// One for each token that exists at the end.
    pub doors: Vec<Door>,
    /// The traces of the client and its dependencies.
    pub traces: Option<String>,
}

/// The secrets that open the app.
pub struct Door {
    pub token: Token,
    /// Whether the token's first secret opens the app.
    pub first_opens: bool,
    /// The steps that got a secret that opens the app.
    pub steps: Vec<usize>,
}

/// The counts of events.
#[derive(Default)]
pub struct Tally {
    pub schedules: usize,
    pub calls: usize,
    pub successes: usize,
    pub requests: usize,
    pub faults: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.schedules += more.schedules;
        self.calls += more.calls;
        self.successes += more.successes;
        self.requests += more.requests;
        self.faults += more.faults;
    }
}

/// Runs a schedule and checks its outcome.
///
/// # Errors
///
/// The violated invariants, a line each, and the results of the schedule.
pub async fn live(schedule: &Schedule) -> Result<Tally, String> {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let tasks_before = tasks();
    let traces = schedule.is_traced.then(Traces::default);
    let guard = traces.as_ref().map(Traces::record);

    let clock = Arc::new(LateClock::new(schedule.seed));
    let simulator = simulator(schedule, &clock).await;
    let before = simulator.tokens();
    let client = client(schedule, &simulator, &clock);
    let steps = schedule.steps.iter().enumerate();
    let made: Vec<Option<Made>> = stream::iter(steps)
        .map(|(number, step)| {
            let (client, simulator, before, clock) = (client.clone(), &simulator, &before, &clock);
            async move {
                match *step {
                    Step::Call {
                        call,
                        token,
                        abandoned,
                    } => {
                        let id = match call.0 {
                            Operation::List | Operation::Create => String::new(),
                            _ => before[token].id.clone(),
                        };
                        let name = name(number);
                        let answered = call.make(&client, simulator, &id, &name);
                        let outcome = match abandoned_after(abandoned, answered).await {
                            None => Outcome::Abandoned,
                            Some(Ok(success)) => Outcome::Success(Box::new(success)),
                            Some(Err(error)) => Outcome::Failure(error),
                        };
                        return Some(Made {
                            step: number,
                            call,
                            id,
                            outcome,
                        });
                    }
                    Step::GoOffline => simulator.go_offline().await.unwrap(),
                    Step::ComeBack => simulator.come_back().await.unwrap(),
                    Step::Spend(requests) => simulator.spend(requests),
                    Step::Pass(duration) => clock.advance(duration),
                }
                None
            }
        })
        .buffer_unordered(schedule.abreast)
        .collect()
        .await;
    let made: Vec<Made> = made.into_iter().flatten().collect();

    let mut wrong = Vec::new();
    // The client recovers once the network does.
    simulator.come_back().await.unwrap();
    simulator.clear_faults();
    clock.advance(Duration::from_secs(3600));
    let patient = client.with(|call| call.timeout(SETTLED_WITHIN));
    let last_attempts = match CALLS[0].make(&patient, &simulator, "", "").await {
        Ok(success) => success.attempts,
        Err(error) => {
            wrong.push(format!("the client does not recover: {error:?}"));
            error.attempts()
        }
    };
    drop((client, patient));
    // The simulator itself is one task.
    if !settled(|| tasks() == tasks_before + 1).await {
        wrong.push(format!("{} connections stay", tasks() - tasks_before - 1));
    }
    let holders = Arc::strong_count(&clock);
    if holders != 1 {
        wrong.push(format!("{} clocks are not dropped", holders - 1));
    }
    drop(guard);

    let (log, after) = (simulator.requests(), simulator.tokens());
    let life = Life {
        doors: try_doors(&simulator, &before, &after, &made).await,
        before,
        after,
        log,
        made,
        last_attempts,
        traces: traces.map(|traces| traces.text()),
    };
    simulator.shutdown().await;
    if !settled(|| tasks() == tasks_before).await {
        wrong.push("a part of the simulator is not dropped".to_owned());
    }
    wrong.extend(invariants::violations(&life));
    if wrong.is_empty() {
        let succeeded = |made: &&Made| matches!(made.outcome, Outcome::Success(_));
        let log = life.log.iter();
        return Ok(Tally {
            schedules: 1,
            calls: life.made.len(),
            successes: life.made.iter().filter(succeeded).count(),
            requests: life.log.len(),
            faults: log.filter(|request| request.fault.is_some()).count(),
        });
    }
    Err(format!("{}\n{schedule}{life}", wrong.join("\n")))
}

/// Returns the first secret of a token.
fn first_secret(client_id: &str) -> String {
    format!("{CANARY}-of-{client_id}")
}

async fn simulator(schedule: &Schedule, clock: &Arc<LateClock>) -> Simulator {
    let token = |number| {
        let client_id = format!("seeded{number}.access");
        SeedToken::new(format!("seeded {number}"))
            .client_secret(first_secret(&client_id))
            .client_id(client_id)
            .expires_in(TimeDelta::days(30))
    };
    let mut builder = Simulator::builder()
        .seed(schedule.seed)
        .api_token(CANARY)
        .email_and_api_key("me@example.com", CANARY)
        .random_faults(schedule.seed, schedule.faults)
        .clock(clock.reader());
    for number in 0..schedule.tokens {
        builder = builder.token(token(number));
    }
    if let Some(quota) = schedule.quota {
        builder = builder.enforce_rate_limit(quota, TimeDelta::minutes(1));
    }
    builder.start().await.unwrap()
}

fn client(schedule: &Schedule, simulator: &Simulator, clock: &Arc<LateClock>) -> Client {
    let builder = Client::builder();
    let builder = match schedule.scheme {
        Scheme::ApiToken => builder.api_token(CANARY),
        Scheme::GlobalKey => builder.global_key("me@example.com", CANARY),
    };
    builder
        .base_url(simulator.base_url())
        .http_client(http)
        .timeout(TIMEOUT)
        .deadline(schedule.deadline)
        .body_limit(BODY_LIMIT)
        .retry(
            Retry::default()
                .attempts(schedule.attempts)
                .seed(schedule.seed),
        )
        .clock(Arc::clone(clock))
        .build()
        .unwrap()
}

/// Leaves out the system's certificates, which are slow to load.
fn http(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    #[cfg(feature = "rustls")]
    let builder = builder.tls_certs_only([]);
    builder
}

/// Returns the result of a call, unless its caller drops it before.
async fn abandoned_after<F: Future>(polls: Option<u32>, call: F) -> Option<F::Output> {
    let mut call = pin!(call);
    let Some(mut left) = polls else {
        return Some(call.await);
    };
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        call.as_mut().poll(context).map(Some)
    })
    .await
}

/// Lets other tasks run until a condition holds, and returns whether it does.
async fn settled(holds: impl Fn() -> bool) -> bool {
    let until_it_holds = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    let settled = tokio::time::timeout(SETTLED_WITHIN, until_it_holds).await;
    settled.is_ok()
}

/// Tries every secret that a caller got for a token.
async fn try_doors(
    simulator: &Simulator,
    before: &[Token],
    after: &[Token],
    made: &[Made],
) -> Vec<Door> {
    let http = http(reqwest::Client::builder().no_proxy());
    let http = http.build().unwrap();
    let mut doors = Vec::new();
    for token in after {
        let mut steps = Vec::new();
        for Made { step, outcome, .. } in made {
            if let Outcome::Success(success) = outcome
                && let Some(credentials) = &success.credentials
                && credentials.client_id() == Some(&token.client_id)
                && opens_the_app(&http, simulator, credentials).await
            {
                steps.push(*step);
            }
        }
        let had_one = before.iter().any(|old| old.id == token.id);
        let first = cf_service_tokens::ServiceTokenCredentials::new(
            token.client_id.clone(),
            first_secret(&token.client_id),
        );
        let first_opens = had_one && opens_the_app(&http, simulator, &first).await;
        doors.push(Door {
            token: token.clone(),
            first_opens,
            steps,
        });
    }
    doors
}

/// Records the traces of this thread, at every level.
#[derive(Clone, Default)]
struct Traces(Arc<Mutex<Vec<u8>>>);

impl Traces {
    fn record(&self) -> tracing::subscriber::DefaultGuard {
        let sink = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .without_time()
            .with_ansi(false)
            .with_writer(move || sink.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Traces {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
