//! `-v`: each request to the API, on standard error.

use std::io;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Shows what the SDK tells, which never holds a secret, and nothing else: other
/// crates make no such promise.
pub(crate) fn to_stderr() {
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_span_events(FmtSpan::CLOSE);
    let sdk = Targets::new().with_target("cf_service_tokens", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(sdk).with(lines).init();
}
