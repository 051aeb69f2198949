//! The fault matrix: every call under every fault, once and always, before and after
//! the state has changed. The outcomes are a snapshot, which docs/reliability.md
//! explains; the assertions here hold for every row.
// This binary needs a TLS feature: without one, the client can't recognise a failed
// handshake.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::every_call::{CALLS, Call, Success, is_true, opens_the_app};
use cf_service_tokens::{Client, Clock, Error, ErrorKind, ManualClock, Retry};
use cf_service_tokens_simulator::{Fault, Injection, SeedToken, Simulator, Token, WrongJson};
use chrono::TimeDelta;
use futures_util::StreamExt;
use futures_util::stream;

/// The timeout of attempts that stall, in real time. A row that is too slow for it gets
/// a longer one.
const STALL: Duration = Duration::from_secs(1);
/// The timeout of all other attempts, which they never reach.
const AMPLE: Duration = Duration::from_secs(60);
/// The attempts of each call, few enough that the stalls don't take too long.
const ATTEMPTS: u32 = 5;
/// The number of concurrent rows, for rows that don't stall.
const ABREAST: usize = 16;

/// The trouble that a call meets.
#[derive(Clone, Debug)]
enum Trouble {
    Fault(Fault),
    /// The port refuses connections.
    Offline,
    /// No TLS handshake succeeds.
    Tls,
    /// Other programs have used up the rate limit.
    LimitUsedUp,
}

impl Trouble {
    /// Returns every trouble, with the cases to test: whether the calls that meet it
    /// take effect.
    fn all() -> Vec<(Self, &'static [bool])> {
        const NEVER: &[bool] = &[false];
        const ALWAYS: &[bool] = &[true];
        const EITHER: &[bool] = &[false, true];
        let statuses = [408, 500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 530];
        let wrong_json = [
            (WrongJson::Empty, EITHER),
            (WrongJson::Truncated, EITHER),
            (WrongJson::NotJson, EITHER),
            (WrongJson::InvalidUtf8, EITHER),
            (WrongJson::ArrayForObject, ALWAYS),
            (WrongJson::ResultNull, EITHER),
            (WrongJson::ResultMissing, EITHER),
            (WrongJson::ResultOfAnotherType, EITHER),
            (WrongJson::SuccessMissing, ALWAYS),
            (WrongJson::FieldsOfAnotherType, ALWAYS),
            (WrongJson::UnknownFields, ALWAYS),
            (WrongJson::DeepNesting, ALWAYS),
        ];
        let too_many = |retry_after_seconds| Fault::TooManyRequests {
            retry_after_seconds,
        };
        let mut faults = vec![
            (Fault::Latency(Duration::from_millis(5)), ALWAYS),
            (Fault::ResetAfterHead, NEVER),
            (Fault::ResetDuringRequest, NEVER),
            (Fault::ResetAfterRequest, EITHER),
            (Fault::ResetDuringAnswer, EITHER),
            (Fault::TruncatedBody, EITHER),
            (Fault::StalledHeaders, EITHER),
            (Fault::StalledBody, EITHER),
            (Fault::SlowDrip(Duration::from_secs(1)), ALWAYS),
            (Fault::EndlessBody, EITHER),
            (too_many(None), NEVER),
            (too_many(Some(7)), NEVER),
            (too_many(Some(120)), NEVER),
            (Fault::LockOut, NEVER),
            (Fault::HtmlPage(403), NEVER),
            (Fault::HtmlPage(502), EITHER),
            (Fault::Status(403), NEVER),
            (Fault::SuccessFalse, EITHER),
            (Fault::WrongContentType, ALWAYS),
            (Fault::Gzip, ALWAYS),
            (Fault::FalseGzip, ALWAYS),
            (Fault::DuplicateHeaders, ALWAYS),
            (Fault::OversizedHeaders, ALWAYS),
            (Fault::Redirect, NEVER),
        ];
        faults.extend(statuses.map(|status| (Fault::Status(status), EITHER)));
        faults.extend(wrong_json.map(|(wrong, effect)| (Fault::WrongJson(wrong), effect)));
        let mut troubles = vec![
            (Self::Offline, NEVER),
            (Self::Tls, NEVER),
            (Self::LimitUsedUp, NEVER),
        ];
        troubles.extend(faults.into_iter().map(|(fault, e)| (Self::Fault(fault), e)));
        troubles
    }

    fn name(&self) -> String {
        match self {
            Self::Fault(fault) => fault.to_string(),
            Self::Offline => "connection refused".to_owned(),
            Self::Tls => "TLS handshake fails".to_owned(),
            Self::LimitUsedUp => "rate limit used up by others".to_owned(),
        }
    }

    fn timeout(&self) -> Duration {
        match self {
            Self::Fault(Fault::StalledHeaders | Fault::StalledBody | Fault::SlowDrip(_)) => STALL,
            _ => AMPLE,
        }
    }
}

/// A row of the matrix.
#[derive(Clone)]
struct Row {
    trouble: Trouble,
    takes_effect: bool,
    always: bool,
    call: Call,
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (trouble, effects) in Trouble::all() {
        for &takes_effect in effects {
            for always in [false, true] {
                let can_pass = matches!(trouble, Trouble::Fault(_));
                if always || can_pass {
                    rows.extend(CALLS.map(|call| Row {
                        trouble: trouble.clone(),
                        takes_effect,
                        always,
                        call,
                    }));
                }
            }
        }
    }
    rows
}

/// The outcome of a row, which is a line of the table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Result {
    outcome: String,
    attempts: u32,
    waited: Duration,
    applied: usize,
    may_have_been_applied: Option<bool>,
}

/// The state after the call of a row.
struct Happened {
    clock: ManualClock,
    simulator: Simulator,
    before: Vec<Token>,
    answered: std::result::Result<Success, Error>,
}

impl Row {
    /// Makes the call of the row, and checks the invariants of every row.
    async fn run(&self) -> Result {
        let mut timeout = self.trouble.timeout();
        loop {
            let happened = self.happen(timeout).await;
            if timeout >= AMPLE || !self.is_too_slow(&happened) {
                return self.result(happened).await;
            }
            timeout *= 2;
        }
    }

    async fn happen(&self, timeout: Duration) -> Happened {
        let clock = crate::support::exact_clock();
        let simulator = self.simulator(&clock).await;
        let before = simulator.tokens();
        let client = self.client(&simulator, &clock, timeout);
        let answered = self
            .call
            .make(&client, &simulator, &before[0].id, "new")
            .await;
        Happened {
            clock,
            simulator,
            before,
            answered,
        }
    }

    /// Whether an attempt timed out because the machine is busy, and not because of its
    /// fault.
    fn is_too_slow(&self, happened: &Happened) -> bool {
        let log = happened.simulator.requests();
        let met = log.iter().filter(|request| request.fault.is_some()).count();
        let (attempts, lacks_head) = match &happened.answered {
            Ok(success) => (success.attempts, false),
            Err(error) => (
                error.attempts(),
                error.kind() == ErrorKind::Timeout && error.status().is_none(),
            ),
        };
        let attempts = attempts as usize;
        let may_lack_head = matches!(self.trouble, Trouble::Fault(Fault::StalledHeaders));
        // After the last fault, one more attempt is enough.
        log.len() != attempts || attempts > met + 1 || lacks_head && !may_lack_head
    }

    async fn result(&self, happened: Happened) -> Result {
        let Happened {
            clock,
            simulator,
            before,
            answered,
        } = happened;
        let log = simulator.requests();
        let applied = log.iter().filter(|request| request.changed).count();
        let after = simulator.tokens();
        let title = self.title();
        assert_eq!(
            applied > 0,
            before != after,
            "{title}: the log agrees with the state"
        );
        let (outcome, attempts, may_have_been_applied) = match &answered {
            Ok(success) => {
                assert_eq!(
                    applied > 0,
                    self.call.changes(),
                    "{title}: the success took effect"
                );
                for answer in &success.tokens {
                    let known = |token: &Token| is_true(answer, token);
                    let deleted = self.call.0 == cf_service_tokens_simulator::Operation::Delete;
                    let held = if deleted { &before } else { &after };
                    let unread = !success.unreadable.is_empty();
                    assert!(unread || held.iter().any(known), "{title}: {answer:?}");
                }
                if let Some(credentials) = &success.credentials {
                    simulator.clear_faults();
                    let app = http(reqwest::Client::builder().no_proxy()).build().unwrap();
                    let opens = opens_the_app(&app, &simulator, credentials).await;
                    assert!(opens, "{title}: the secret opens the app");
                }
                let outcome = match &success.unreadable[..] {
                    [] => "success".to_owned(),
                    unreadable => format!("success, but for {}", last_names(unreadable)),
                };
                (outcome, success.attempts, None)
            }
            Err(error) => {
                if !error.may_have_been_applied() {
                    assert_eq!(before, after, "{title}: {error}");
                }
                let may = error.may_have_been_applied();
                (describe(error), error.attempts(), Some(may))
            }
        };
        if matches!(self.trouble, Trouble::Fault(_)) {
            assert_eq!(
                log.len(),
                attempts as usize,
                "{title}: the attempts are those in the log"
            );
        }
        Result {
            outcome,
            attempts,
            waited: clock.elapsed(),
            applied,
            may_have_been_applied,
        }
    }

    async fn simulator(&self, clock: &ManualClock) -> Simulator {
        let mut builder = Simulator::builder()
            .clock(clock.reader())
            .token(SeedToken::new("old").expires_in(TimeDelta::days(9)));
        if matches!(self.trouble, Trouble::LimitUsedUp) {
            builder = builder.enforce_rate_limit(1200, TimeDelta::minutes(5));
        }
        let simulator = builder.start().await.unwrap();
        match &self.trouble {
            Trouble::Fault(fault) => {
                let mut injection = Injection::new(fault.clone());
                if self.always {
                    injection = injection.always();
                }
                if self.takes_effect {
                    injection = injection.taking_effect();
                }
                simulator.inject(injection);
            }
            Trouble::Offline => simulator.go_offline().await.unwrap(),
            Trouble::LimitUsedUp => simulator.spend(1200),
            Trouble::Tls => {}
        }
        simulator
    }

    fn client(&self, simulator: &Simulator, clock: &ManualClock, timeout: Duration) -> Client {
        let mut base_url = simulator.base_url().to_owned();
        if matches!(self.trouble, Trouble::Tls) {
            base_url = base_url.replace("http://", "https://");
        }
        Client::builder()
            .api_token(simulator.api_token())
            .base_url(base_url)
            .http_client(http)
            .timeout(timeout)
            .body_limit(1024 * 1024)
            .retry(Retry::default().attempts(ATTEMPTS).seed(1))
            .clock(clock.clone())
            .build()
            .unwrap()
    }

    fn title(&self) -> String {
        let often = if self.always { "always" } else { "once" };
        let effect = if self.takes_effect { "after" } else { "before" };
        format!("{}, {often}, {effect}, {}", self.trouble.name(), self.call)
    }
}

/// Returns the kind of an error by its predicates, and its status.
fn describe(error: &Error) -> String {
    let kinds = [
        (error.kind() == ErrorKind::Tls, "no TLS"),
        (error.is_connect(), "no connection"),
        (error.kind() == ErrorKind::Timeout, "timeout"),
        (error.kind() == ErrorKind::Interrupted, "interrupted"),
        (error.kind() == ErrorKind::BodyTooLarge, "body too large"),
        (error.kind() == ErrorKind::Redirect, "redirect"),
        (error.is_rate_limited(), "rate limited"),
        (error.is_not_found(), "not found"),
        (error.kind() == ErrorKind::Refused, "refused"),
        (error.kind() == ErrorKind::Decode, "unreadable"),
    ];
    let kind = kinds.iter().find(|(holds, _)| *holds);
    let kind = kind.map_or("bare status", |(_, kind)| kind);
    match (error.status(), error.retry_after()) {
        (None, _) => kind.to_owned(),
        // 201 for create and 200 for the others.
        (Some(status), _) if status.is_success() => format!("{kind}, HTTP 2xx"),
        (Some(status), None) => format!("{kind}, HTTP {}", status.as_u16()),
        (Some(status), Some(wait)) => {
            format!("{kind}, HTTP {}, retry after {wait:?}", status.as_u16())
        }
    }
}

/// Returns the last field of each path, without duplicates.
fn last_names(paths: &[String]) -> String {
    let mut names: Vec<&str> = paths
        .iter()
        .map(|path| path.rsplit('.').next().unwrap())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(" and ")
}

/// Returns the table. Equal rows are merged into a line, and troubles with equal lines
/// into a block.
fn table(results: &[(Row, Result)]) -> String {
    let mut troubles: Vec<(String, Vec<&(Row, Result)>)> = Vec::new();
    for result in results {
        let name = result.0.trouble.name();
        match troubles.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rows)) => rows.push(result),
            None => troubles.push((name, vec![result])),
        }
    }
    let mut blocks: Vec<(Vec<String>, String)> = Vec::new();
    for (name, rows) in troubles {
        // The name contains the status, so troubles that differ only in their status
        // are merged.
        let lines = lines(&rows).replace(&format!("HTTP {name}"), "that status");
        match blocks.iter_mut().find(|(_, known)| *known == lines) {
            Some((names, _)) => names.push(name),
            None => blocks.push((vec![name], lines)),
        }
    }
    blocks
        .into_iter()
        .map(|(names, lines)| format!("{}\n{lines}\n", names.join(" | ")))
        .collect()
}

/// A line without its calls: how often the trouble occurs, whether the call takes
/// effect, and the outcome.
type Line<'a> = (&'static str, &'static str, &'a Result);

fn lines(rows: &[&(Row, Result)]) -> String {
    let mut folded: BTreeMap<Line<'_>, Vec<Call>> = BTreeMap::new();
    for call in CALLS {
        let [once, always] = [false, true].map(|always| {
            let chosen = |row: &Row| row.call == call && row.always == always;
            let results = rows.iter().filter(|(row, _)| chosen(row));
            by_effect(results.map(|(row, result)| (row.takes_effect, result)))
        });
        let met = if once == always {
            vec![("either", once)]
        } else {
            vec![("once", once), ("always", always)]
        };
        for (often, results) in met {
            for (effect, result) in results {
                let effect = if call.changes() { effect } else { "" };
                folded
                    .entry((often, effect, result))
                    .or_default()
                    .push(call);
            }
        }
    }
    let mut folded: Vec<_> = folded.into_iter().collect();
    folded.sort_by_key(|((often, ..), calls)| {
        let first = CALLS.iter().position(|call| *call == calls[0]);
        (*often == "always", first)
    });
    folded
        .into_iter()
        .map(|(line, calls)| print(line, &calls))
        .collect()
}

/// Returns the outcomes of a call that does not take effect and of one that does,
/// merged if they are the same.
fn by_effect<'a>(
    results: impl Iterator<Item = (bool, &'a Result)>,
) -> Vec<(&'static str, &'a Result)> {
    match results.collect::<Vec<_>>()[..] {
        [(_, before), (_, after)] if before == after => vec![("either", before)],
        [(_, before), (_, after)] => vec![("no", before), ("yes", after)],
        [(false, only)] => vec![("never", only)],
        [(true, only)] => vec![("always", only)],
        _ => vec![],
    }
}

fn print((often, effect, result): Line<'_>, calls: &[Call]) -> String {
    let Result {
        outcome,
        attempts,
        waited,
        applied,
        may_have_been_applied,
    } = result;
    let waited = format!("{:.1} s", waited.as_secs_f64());
    let may = match may_have_been_applied {
        None => "",
        Some(true) => "maybe",
        Some(false) => "no",
    };
    let calls = names(calls);
    let line = format!(
        "  {often:<6}  {effect:<6}  {calls:<35}  {outcome:<40}  \
         {attempts:>8}  {waited:>6}  {applied:>7}  {may}"
    );
    format!("{}\n", line.trim_end())
}

fn names(calls: &[Call]) -> String {
    let names: Vec<String> = calls.iter().map(Call::to_string).collect();
    names.join(" ")
}

fn http(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    // The system's certificates are slow to load, and no row needs them.
    #[cfg(feature = "rustls")]
    let builder = builder.tls_certs_only([]);
    // The next simulator may reuse a port, so a connection to the previous one must not
    // stay in the pool.
    builder.pool_max_idle_per_host(0)
}

async fn run(rows: Vec<Row>, abreast: usize) -> Vec<(Row, Result)> {
    stream::iter(rows)
        .map(|row| {
            let work = async move {
                let result = row.run().await;
                (row, result)
            };
            async { tokio::spawn(work).await.unwrap() }
        })
        .buffered(abreast)
        .collect()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_meets_every_call() {
    let (idle, busy): (Vec<Row>, Vec<Row>) = rows()
        .into_iter()
        .partition(|row| row.trouble.timeout() == STALL);
    let mut results = run(idle, usize::MAX).await;
    results.extend(run(busy, ABREAST).await);
    let header = format!(
        "  {:<6}  {:<6}  {:<35}  {:<40}  {:>8}  {:>6}  {:>7}  may have been applied\n\n",
        "met", "effect", "calls", "outcome", "attempts", "waited", "applied"
    );
    insta::assert_snapshot!(header + &table(&results));
}
