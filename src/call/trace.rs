//! The spans and events of `tracing`, with the names of OpenTelemetry's conventions for
//! HTTP. They contain no secret and no body, at any level.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Url;
use tracing::{Span, debug, debug_span, field, warn};

use crate::answer::redact::Redactor;
use crate::call::operation::Operation;
use crate::client::base_url::BaseUrl;
use crate::error::Error;
use crate::response::Response;

/// The target, by which subscribers filter.
const TARGET: &str = "cf_service_tokens";

/// Creates the span of a call, around all its attempts.
pub(crate) fn call(operation: &Operation) -> Span {
    debug_span!(
        target: TARGET,
        "cloudflare.call",
        cloudflare.operation = operation.id,
        cloudflare.attempts = field::Empty,
        error.r#type = field::Empty,
        otel.status_code = field::Empty,
    )
}

/// Records the end of a call on its span.
pub(crate) fn ended<T>(span: &Span, outcome: &Result<Response<T>, Error>) {
    if span.is_disabled() {
        return;
    }
    let attempts = match outcome {
        Ok(response) => response.attempts(),
        Err(error) => error.attempts(),
    };
    span.record("cloudflare.attempts", attempts);
    if let Err(error) = outcome {
        record_error(span, error);
    }
}

/// Records a failure: its HTTP status, or its kind if there is no error status.
fn record_error(span: &Span, error: &Error) {
    match error.status().filter(|status| status.as_u16() >= 400) {
        Some(status) => span.record("error.type", status.as_str()),
        None => span.record("error.type", error.kind().name()),
    };
    span.record("otel.status_code", "ERROR");
}

/// Creates the span of one attempt, from the request to the end of the answer's body.
pub(crate) fn attempt(operation: &Operation, base_url: &BaseUrl, attempt: u32) -> Span {
    debug_span!(
        target: TARGET,
        "http.client.request",
        otel.kind = "client",
        otel.name = %format_args!("{} {}", operation.traced_method(), operation.path),
        otel.status_code = field::Empty,
        http.request.method = operation.traced_method(),
        http.request.resend_count = attempt - 1,
        http.response.status_code = field::Empty,
        url.full = field::Empty,
        url.template = Some(operation.path).filter(|path| !path.is_empty()),
        server.address = base_url.host(),
        server.port = base_url.port(),
        error.r#type = field::Empty,
        cloudflare.ray_id = field::Empty,
    )
}

/// Records the end of an attempt on its span.
pub(crate) fn outcome<T>(span: &Span, outcome: &Result<Response<T>, Error>) {
    if span.is_disabled() {
        return;
    }
    let (status, ray_id) = match outcome {
        Ok(response) => (Some(response.status()), response.ray_id()),
        Err(error) => (error.status(), error.ray_id()),
    };
    if let Some(status) = status {
        span.record("http.response.status_code", status.as_u16());
    }
    if let Some(ray_id) = ray_id {
        span.record("cloudflare.ray_id", ray_id);
    }
    if let Err(error) = outcome {
        record_error(span, error);
    }
}

/// Records the URL of a request, without its query, which may hold anything.
pub(crate) fn request(span: &Span, url: &Url, redactor: &Redactor) {
    if !span.is_disabled() {
        let url = url.as_str().split('?').next().unwrap_or_default();
        span.record("url.full", redactor.redact(url));
    }
}

/// Reports a retry after a pause.
pub(crate) fn retry(error: &Error, attempt: u32, pause: Duration) {
    debug!(
        target: TARGET,
        attempt,
        wait = ?pause,
        reason = error.kind().name(),
        http.response.status_code = error.status().map(|status| status.as_u16()),
        cloudflare.ray_id = error.ray_id(),
        "retrying"
    );
}

/// Reports the end of a wait for the rate limit.
pub(crate) fn waited_for_room(wait: Duration) {
    debug!(target: TARGET, ?wait, reason = "rate_limit", "the rate limit has room again");
}

/// Reports a call that the rate limit would delay past its deadline.
pub(crate) fn rate_limited(wait: Duration) {
    debug!(target: TARGET, ?wait, "the rate limit has no room before the deadline");
}

/// Warns that the client's clock differs from the API's.
pub(crate) fn clock_skew(skew: TimeDelta) {
    warn!(
        target: TARGET,
        skew_minutes = skew.num_minutes(),
        "the clock differs from the API's, by which tokens expire; set the clock"
    );
}
