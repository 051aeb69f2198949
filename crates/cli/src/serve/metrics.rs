//! The metrics, by the names that Prometheus knows them by.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use cf_service_tokens::renewal::Decision;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::account::Account;
use super::lock;

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

/// The metrics of a watcher.
pub(super) struct Metrics {
    registry: Registry,
    renewals: Counter,
    failures: Family<Failure, Counter>,
    pub(super) calls: Calls,
}

/// The counters of calls to the API.
#[derive(Clone)]
pub(super) struct Calls {
    requests: Family<Request, Counter>,
    waits: Family<Wait, Counter>,
    waited: Family<Wait, Counter<f64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    reason: &'static str,
}

/// A request that was sent, or tried to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Request {
    /// The operation, as the OpenAPI fragment names it.
    pub(super) operation: String,
    /// The status of the answer; without an answer, what went wrong in a word.
    pub(super) status: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Wait {
    reason: String,
}

impl Metrics {
    pub(super) fn new(state: &Arc<Mutex<Account>>) -> Self {
        let renewals = Counter::default();
        let failures: Family<Failure, Counter> = Family::default();
        // From zero on, so that the first failure is seen as one more.
        for reason in REASONS {
            drop(failures.get_or_create(&Failure { reason }));
        }
        let calls = Calls {
            requests: Family::default(),
            waits: Family::default(),
            waited: Family::default(),
        };
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(OfState(Arc::clone(state))));
        registry.register("renewals", "Renewed tokens", renewals.clone());
        registry.register(
            "failures",
            "Tokens that should have been renewed and were not, by reason",
            failures.clone(),
        );
        registry.register(
            "api_requests",
            "Requests to the API, by operation and by the status of the response or the kind of failure",
            calls.requests.clone(),
        );
        registry.register(
            "waits",
            "Pauses before another attempt, by the failure, and for the rate limit",
            calls.waits.clone(),
        );
        registry.register_with_unit(
            "wait",
            "Time spent in pauses before another attempt, by the failure, and for the rate limit",
            Unit::Seconds,
            calls.waited.clone(),
        );
        Self {
            registry,
            renewals,
            failures,
            calls,
        }
    }

    pub(super) fn renewed(&self) {
        self.renewals.inc();
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&Failure { reason }).inc();
    }

    /// Notes a token that can't even be tried.
    pub(super) fn decided(&self, decision: Decision) {
        if let Decision::Unable(reason) = decision {
            self.failed(reason.as_str());
        }
    }

    /// All metrics, as OpenMetrics or in the older text format of Prometheus.
    ///
    /// # Errors
    ///
    /// None that are known: a string takes any text.
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
    pub(super) fn requested(&self, request: &Request) {
        self.requests.get_or_create(request).inc();
    }

    pub(super) fn waited(&self, reason: String, seconds: f64) {
        let wait = Wait { reason };
        self.waits.get_or_create(&wait).inc();
        self.waited.get_or_create(&wait).inc_by(seconds);
    }
}

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Prometheus,
}

impl Format {
    /// The best one that a scraper says it accepts.
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
struct OfState(Arc<Mutex<Account>>);

impl Collector for OfState {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = lock(&self.0);
        let mut expiries = encoder.encode_descriptor(
            "expiry_timestamp",
            "When the token expires, for each token that is renewed here.",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        for (id, name, expires_at) in state.expiries() {
            let labels = [("id", id), ("name", name)];
            ConstGauge::new(expires_at.timestamp()).encode(expiries.encode_family(&labels)?)?;
        }
        let mut tokens = encoder.encode_descriptor(
            "tokens",
            "Tokens of the account, by decision and reason.",
            None,
            MetricType::Gauge,
        )?;
        for ((decision, reason), count) in state.decisions() {
            let labels = [("decision", decision), ("reason", reason)];
            ConstGauge::new(count).encode(tokens.encode_family(&labels)?)?;
        }
        let last_success = encoder.encode_descriptor(
            "last_success_timestamp",
            "When the last successful pass ended; 0 before the first.",
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        let last_success_at = state.last_success.map_or(0, |time| time.timestamp());
        ConstGauge::new(last_success_at).encode(last_success)
    }
}

impl fmt::Debug for OfState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfState").finish_non_exhaustive()
    }
}
