//! Counts requests and waits, which the SDK reports by `tracing`.

use std::fmt;

use cf_service_tokens::GoDuration;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::metrics::{Calls, Request};

/// A layer that counts.
pub(super) fn layer<S>(calls: Calls) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let of_the_sdk = Targets::new().with_target("cf_service_tokens", LevelFilter::DEBUG);
    Counting(calls).with_filter(of_the_sdk)
}

struct Counting(Calls);

/// A call's operation, kept with its span.
struct Operation(String);

/// How an attempt ended, kept with its span.
#[derive(Default)]
struct Outcome {
    status: Option<u64>,
    error: Option<String>,
}

impl<S> Layer<S> for Counting
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else {
            return;
        };
        match span.name() {
            "cloudflare.call" => {
                let mut operation = Text::named("cloudflare.operation");
                attributes.record(&mut operation);
                let operation = operation.value.unwrap_or_default();
                span.extensions_mut().insert(Operation(operation));
            }
            "http.client.request" => span.extensions_mut().insert(Outcome::default()),
            _ => {}
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else {
            return;
        };
        if let Some(outcome) = span.extensions_mut().get_mut::<Outcome>() {
            values.record(outcome);
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut wait = Text::named("wait");
        let mut reason = Text::named("reason");
        event.record(&mut wait);
        event.record(&mut reason);
        // Rust writes a duration in a way that Go reads.
        let seconds = wait
            .value
            .and_then(|wait| wait.parse::<GoDuration>().ok())
            .map(seconds);
        if let (Some(seconds), Some(reason)) = (seconds, reason.value) {
            self.0.waited(reason, seconds);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let extensions = span.extensions();
        let Some(outcome) = extensions.get::<Outcome>() else {
            return;
        };
        let operation = span.parent().and_then(|call| {
            let extensions = call.extensions();
            extensions
                .get::<Operation>()
                .map(|operation| operation.0.clone())
        });
        let status = outcome.status.map(|status| status.to_string());
        self.0.requested(&Request {
            operation: operation.unwrap_or_default(),
            status: status
                .or_else(|| outcome.error.clone())
                // Whoever waited for it went away.
                .unwrap_or_else(|| "dropped".to_owned()),
        });
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a wait of years is not to the nanosecond"
)]
fn seconds(duration: GoDuration) -> f64 {
    duration.as_nanos() as f64 / 1e9
}

/// One field, as text.
struct Text {
    name: &'static str,
    value: Option<String>,
}

impl Text {
    fn named(name: &'static str) -> Self {
        Self { name, value: None }
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == self.name {
            self.value = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == self.name {
            self.value = Some(format!("{value:?}"));
        }
    }
}

impl Visit for Outcome {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "http.response.status_code" {
            self.status = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "error.type" {
            self.error = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}
