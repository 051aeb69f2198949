//! `-v`: each request to the API, on standard error.

use std::io;

use ::tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Shows what the SDK tells, which never holds a secret, and nothing else: other
/// crates make no such promise.
pub(crate) fn to_stderr() {
    tracing_subscriber::registry().with(lines()).init();
}

/// The layer that does so.
pub(crate) fn lines<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_span_events(FmtSpan::CLOSE);
    let sdk = Targets::new().with_target("cf_service_tokens", LevelFilter::DEBUG);
    lines.with_filter(sdk)
}
