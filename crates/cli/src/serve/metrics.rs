//! The metrics, by the names that Prometheus knows them by.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cf_service_tokens::renewal::Decision;
use cf_service_tokens::{Event, WaitReason};
use chrono::{DateTime, Utc};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::account::{Account, Expiry};
use super::{State, Time, lock, rotation};
use crate::failure::{Exit, with_causes};
use crate::keep::RotationRecord;
use crate::output::Record as _;
use crate::risk::{self, Risk};

/// The prefix of all names.
const PREFIX: &str = "cf_service_tokens";

/// Why tokens are not renewed, as the SDK names it.
const REASONS: [&str; 5] = [
    "failed",
    "not_tried",
    "no_id",
    "no_expiry",
    "unreadable_duration",
];

/// Why passes fail.
const CAUSES: [&str; 3] = ["credentials", "unreachable", "other"];

/// The metrics of a watcher.
pub(super) struct Metrics {
    registry: Registry,
    renewals: Family<OfAccount, Counter>,
    failures: Family<Failure, Counter>,
    failed_passes: Family<FailedPass, Counter>,
    rotations: Family<OfAccount, Counter>,
    failed_rotations: Family<OfAccount, Counter>,
}

/// The counters of calls to the API. Clones share them.
#[derive(Clone)]
pub(crate) struct Calls {
    requests: Family<Request, Counter>,
    waits: Family<Wait, Counter>,
    waited: Family<Wait, Counter<f64, AtomicU64>>,
    /// When each waiting call began to wait. The sum is the same whichever of them ends.
    waiting: Arc<Mutex<HashMap<Wait, Vec<Duration>>>>,
    /// Why the last attempt failed; `None` if it did not.
    last_failure: Arc<Mutex<Option<String>>>,
    elapsed: Arc<dyn Fn() -> Duration + Send + Sync>,
}

/// The labels of all that is counted for an account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OfAccount {
    pub(super) account: String,
    account_name: String,
}

impl OfAccount {
    pub(super) fn new(id: &str, name: Option<&str>) -> Self {
        Self {
            account: id.to_owned(),
            account_name: name.unwrap_or_default().to_owned(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    account: String,
    account_name: String,
    reason: &'static str,
}

impl Failure {
    fn of(account: &OfAccount, reason: &'static str) -> Self {
        let OfAccount {
            account,
            account_name,
        } = account.clone();
        Self {
            account,
            account_name,
            reason,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailedPass {
    account: String,
    account_name: String,
    cause: &'static str,
}

impl FailedPass {
    fn of(account: &OfAccount, cause: &'static str) -> Self {
        let OfAccount {
            account,
            account_name,
        } = account.clone();
        Self {
            account,
            account_name,
            cause,
        }
    }
}

/// A request that was sent, or tried to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    /// The operation, as the OpenAPI fragment names it.
    operation: String,
    /// The status of the response; without one, the kind of the failure.
    status: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Wait {
    reason: &'static str,
}

impl Metrics {
    pub(super) fn new(state: &Arc<Mutex<State>>, time: &Time, calls: Calls) -> Self {
        let renewals: Family<OfAccount, Counter> = Family::default();
        let failures: Family<Failure, Counter> = Family::default();
        let failed_passes: Family<FailedPass, Counter> = Family::default();
        let rotations: Family<OfAccount, Counter> = Family::default();
        let failed_rotations: Family<OfAccount, Counter> = Family::default();
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(OfState {
            state: Arc::clone(state),
            time: Arc::clone(time),
        }));
        registry.register("renewals", "Renewed tokens", renewals.clone());
        registry.register(
            "failures",
            "Tokens that should have been renewed and were not, by reason",
            failures.clone(),
        );
        registry.register(
            "failed_passes",
            "Passes that failed, by cause",
            failed_passes.clone(),
        );
        registry.register(
            "rotations",
            "Secrets that were rotated and delivered",
            rotations.clone(),
        );
        registry.register(
            "failed_rotations",
            "Failed attempts to follow a rotation rule",
            failed_rotations.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the API, by operation and by the status of the response or the kind of failure",
            calls.requests,
        );
        registry.register(
            "waits",
            "Waits of calls, before another attempt and for the rate limit",
            calls.waits,
        );
        registry.register_with_unit(
            "wait",
            "Time that calls have waited, before another attempt and for the rate limit",
            Unit::Seconds,
            calls.waited,
        );
        Self {
            registry,
            renewals,
            failures,
            failed_passes,
            rotations,
            failed_rotations,
        }
    }

    /// Starts to count for an account at zero, so that the first failure is an increase.
    pub(super) fn begin(&self, account: &OfAccount) {
        drop(self.renewals.get_or_create(account));
        for reason in REASONS {
            drop(self.failures.get_or_create(&Failure::of(account, reason)));
        }
        for cause in CAUSES {
            let failed = FailedPass::of(account, cause);
            drop(self.failed_passes.get_or_create(&failed));
        }
    }

    /// Starts to count the rotations of an account at zero.
    pub(super) fn begin_rotations(&self, account: &OfAccount) {
        drop(self.rotations.get_or_create(account));
        drop(self.failed_rotations.get_or_create(account));
    }

    /// Counts what became of a rotation rule.
    pub(super) fn followed(&self, account: &OfAccount, rule: &RotationRecord) {
        if rule.has_delivered() {
            self.rotations.get_or_create(account).inc();
        } else if rule.is_news() {
            self.failed_rotations.get_or_create(account).inc();
        }
    }

    pub(super) fn renewed(&self, account: &OfAccount) {
        self.renewals.get_or_create(account).inc();
    }

    pub(super) fn failed(&self, account: &OfAccount, reason: &'static str) {
        self.failures
            .get_or_create(&Failure::of(account, reason))
            .inc();
    }

    /// Counts a pass, if it failed.
    pub(super) fn passed(&self, account: &OfAccount, exit: Exit) {
        let cause = match exit {
            Exit::Success => return,
            Exit::Credentials => "credentials",
            Exit::Unreachable => "unreachable",
            _ => "other",
        };
        self.failed_passes
            .get_or_create(&FailedPass::of(account, cause))
            .inc();
    }

    /// Notes a token that can't even be tried.
    pub(super) fn decided(&self, account: &OfAccount, decision: Decision) {
        if let Decision::Unable(reason) = decision {
            self.failed(account, reason.as_str());
        }
    }

    /// Returns all metrics, as OpenMetrics or in the older text format of Prometheus.
    ///
    /// # Errors
    ///
    /// None in practice: writing to a string does not fail.
    pub(super) fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut metrics = String::new();
        match format {
            Format::OpenMetrics => text::encode(&mut metrics, &self.registry)?,
            Format::Prometheus => prometheus_text::encode(&mut metrics, &self.registry)?,
        }
        Ok(metrics)
    }
}

impl Calls {
    pub(crate) fn new() -> Self {
        let started = Instant::now();
        Self::with_time(move || started.elapsed())
    }

    /// Creates the counters with the caller's clock.
    pub(super) fn with_time(elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self {
            requests: Family::default(),
            waits: Family::default(),
            waited: Family::default(),
            waiting: Arc::default(),
            last_failure: Arc::default(),
            elapsed: Arc::new(elapsed),
        }
    }

    /// Returns why the last attempt failed, if it did.
    pub(super) fn last_failure(&self) -> Option<String> {
        self.locked_failure().clone()
    }

    fn locked_failure(&self) -> MutexGuard<'_, Option<String>> {
        let failure = self.last_failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an event of a call.
    pub(crate) fn note(&self, event: &Event<'_>) {
        match event {
            Event::AttemptEnded {
                operation,
                status,
                error,
                ..
            } => {
                let status = status.map(|status| status.as_str().to_owned());
                let kind = || error.map(|error| error.kind().to_string());
                let request = Request {
                    operation: (*operation).to_owned(),
                    status: status.or_else(kind).unwrap_or_default(),
                };
                self.requests.get_or_create(&request).inc();
                *self.locked_failure() = error.map(|error| with_causes(error));
            }
            Event::WaitStarted { reason, .. } => {
                let wait = Wait::of(*reason);
                self.waits.get_or_create(&wait).inc();
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.entry(wait).or_default().push((self.elapsed)());
            }
            Event::WaitEnded { reason, .. } => {
                let wait = Wait::of(*reason);
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(since) = waiting.get_mut(&wait).and_then(Vec::pop) {
                    let seconds = (self.elapsed)().saturating_sub(since).as_secs_f64();
                    self.waited.get_or_create(&wait).inc_by(seconds);
                }
            }
            _ => {}
        }
    }
}

impl Wait {
    fn of(reason: WaitReason) -> Self {
        Self {
            reason: match reason {
                WaitReason::RateLimit => "rate_limit",
                _ => "backoff",
            },
        }
    }
}

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Prometheus,
}

impl Format {
    /// Returns the best format that a scraper accepts.
    pub(super) fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// The metrics of the state. Each scrape reads them, so that a deleted token leaves
/// none.
struct OfState {
    state: Arc<Mutex<State>>,
    time: Time,
}

impl Collector for OfState {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = lock(&self.state);
        let seconds = Some(&Unit::Seconds);
        let mut expiries = gauge(
            &mut encoder,
            "expiry_timestamp",
            "When the token expires, for each token that is renewed here.",
            seconds,
        )?;
        let accounts = || state.accounts.values();
        let tokens =
            || accounts().flat_map(|account| account.expiries().map(move |t| (account, t)));
        for (account, token) in tokens() {
            let labels = labels_of(account, &token);
            let at = token.expires_at.timestamp();
            ConstGauge::new(at).encode(expiries.encode_family(&labels)?)?;
        }
        let mut due = gauge(
            &mut encoder,
            "due_timestamp",
            "When the token falls due, for each token that is renewed here.",
            seconds,
        )?;
        for (account, token) in tokens() {
            if let Some(at) = token.due_at {
                let labels = labels_of(account, &token);
                ConstGauge::new(at.timestamp()).encode(due.encode_family(&labels)?)?;
            }
        }
        let mut counts = gauge(
            &mut encoder,
            "tokens",
            "Tokens of the account, by state.",
            None,
        )?;
        let now = (self.time)().now;
        for account in accounts() {
            for (token_state, count) in account.states(now) {
                let [id, name] = labels(account);
                let labels = [id, name, ("state", token_state.as_str())];
                ConstGauge::new(count).encode(counts.encode_family(&labels)?)?;
            }
        }
        risks(&mut encoder, &state)?;
        rotation::encode(&mut encoder, &state)?;
        let or_zero = |time: Option<DateTime<Utc>>| time.map_or(0, |time| time.timestamp());
        for (name, help, unit, value) in [
            (
                "last_pass_timestamp",
                "When the last pass ended; 0 before the first.",
                seconds,
                &(|account: &Account| or_zero(account.last_pass)) as &dyn Fn(&Account) -> i64,
            ),
            (
                "next_pass_timestamp",
                "When the next pass begins; 0 while one is running.",
                seconds,
                &|account| or_zero(account.next_pass),
            ),
            (
                "last_success_timestamp",
                "When the last successful pass ended; 0 before the first.",
                seconds,
                &|account| or_zero(account.last_success),
            ),
            (
                "window",
                "How long before its expiry a token falls due.",
                seconds,
                &|account| i64::try_from(account.window.as_secs()).unwrap_or(i64::MAX),
            ),
            (
                "missing",
                "Tokens that were renewed here and are no longer listed, since the watcher began.",
                None,
                &|account| i64::try_from(account.missing()).unwrap_or(i64::MAX),
            ),
            (
                "account_vanished",
                "Whether the API no longer lists the account, with --all-accounts.",
                None,
                &|account| account.vanished_at.is_some().into(),
            ),
        ] {
            let mut gauge = gauge(&mut encoder, name, help, unit)?;
            for account in accounts() {
                let value = ConstGauge::new(value(account));
                value.encode(gauge.encode_family(&labels(account))?)?;
            }
        }
        let unlisted = gauge(
            &mut encoder,
            "accounts_unlisted",
            "Whether an account can't be watched: the accounts could not be listed, or one has no usable API token.",
            None,
        )?;
        let is_unlisted = i64::from(state.problem.is_some());
        ConstGauge::new(is_unlisted).encode(unlisted)?;
        let mut build = gauge(
            &mut encoder,
            "build_info",
            "The version of the command.",
            None,
        )?;
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        ConstGauge::new(1_i64).encode(build.encode_family(&labels)?)
    }
}

/// Writes what may end tokens beside their expiry, as far as it is known.
fn risks(encoder: &mut DescriptorEncoder<'_>, state: &State) -> fmt::Result {
    let seconds = Some(&Unit::Seconds);
    let accounts = || {
        state
            .accounts
            .values()
            .filter(|account| account.knows_risks)
    };
    if accounts().next().is_none() {
        return Ok(());
    }
    let mut counts = gauge(
        encoder,
        "tokens_at_risk",
        "Tokens of the account, by a risk other than expiry.",
        None,
    )?;
    for account in accounts() {
        for name in risk::COUNTED {
            let has_it = |risks: &[Risk]| risks.iter().any(|risk| risk.name() == name);
            let count = account.risks().filter(|(.., risks)| has_it(risks)).count();
            let [id, account_name] = labels(account);
            let labels = [id, account_name, ("risk", name)];
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            ConstGauge::new(count).encode(counts.encode_family(&labels)?)?;
        }
    }
    let mut clean_ups = gauge(
        encoder,
        "clean_up_timestamp",
        "When the clean-up of inactive tokens will or may disable or delete the token, unless it \
         is used; only if that is within 14 days.",
        seconds,
    )?;
    for account in accounts() {
        for (token_id, token_name, risks) in account.risks() {
            let clean_up = risks.iter().find(|risk| risk.needs_attention());
            let Some(at) = clean_up.and_then(Risk::at) else {
                continue;
            };
            let [id, name] = labels(account);
            let labels = [id, name, ("id", token_id), ("name", token_name)];
            ConstGauge::new(at.timestamp()).encode(clean_ups.encode_family(&labels)?)?;
        }
    }
    let mut expiries = gauge(
        encoder,
        "api_token_expiry_timestamp",
        "When the API token expires, if it does.",
        seconds,
    )?;
    for account in accounts() {
        if let Some(at) = account.api_token_expires_at {
            let gauge = ConstGauge::new(at.timestamp());
            gauge.encode(expiries.encode_family(&labels(account))?)?;
        }
    }
    Ok(())
}

pub(super) fn labels(account: &Account) -> [(&'static str, &str); 2] {
    [("account", account.id()), ("account_name", account.name())]
}

fn labels_of<'a>(account: &'a Account, token: &Expiry<'a>) -> [(&'static str, &'a str); 4] {
    let [id, name] = labels(account);
    [id, name, ("id", token.id), ("name", token.name)]
}

pub(super) fn gauge<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &'a str,
    unit: Option<&'a Unit>,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, unit, MetricType::Gauge)
}

impl fmt::Debug for OfState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfState").finish_non_exhaustive()
    }
}
