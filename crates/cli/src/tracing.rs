//! `-vv`: the traces of the SDK, on standard error.

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::output::Stderr;

/// Shows the events of the SDK, which never hold a secret, and no others: other crates
/// make no such promise.
///
/// One subscriber sees all spans, until the process ends: a span that is closed at another
/// one than it was opened at panics.
pub(crate) fn to_stderr() {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Stderr)
        .with_ansi(false)
        .with_target(false)
        .with_span_events(FmtSpan::CLOSE);
    let sdk = Targets::new().with_target("cf_service_tokens", LevelFilter::DEBUG);
    tracing_subscriber::registry()
        .with(lines.with_filter(sdk))
        .init();
}
