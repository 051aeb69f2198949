//! `renew --watch`: stays, and renews each token when it falls due.

use std::net::SocketAddr;

use ::tracing::instrument::WithSubscriber as _;
use cf_service_tokens::renewal::{RenewalEvent, WatchEvent};
use chrono::Utc;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::arguments::{Format, Renew};
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::renew::once;
use crate::renew::record::{Event, RenewalRecord, Summary};
use crate::serve::Monitor;
use crate::signal;
use crate::time;

pub(crate) async fn watch(
    connection: &Connection,
    output: &Output,
    arguments: &Renew,
    verbose: bool,
) -> Result<Exit, Failure> {
    if output.format == Format::Json {
        return Err(
            Failure::usage("--watch never ends, so it can't write a JSON document")
                .next("use --output jsonl, which writes a line for each event"),
        );
    }
    let tokens = &connection.tokens;
    let monitor = Monitor::new(tokens.account_id(), arguments.window.within);
    let serving = serve(&monitor, output, arguments.listen).await?;
    let mut end = std::pin::pin!(signal::end()?);
    let mut watch = tokens.watch(&once::policy(arguments));
    let watching = async {
        loop {
            let event = watch.next().await;
            monitor.observe(&event);
            note(output, &event)?;
        }
    };
    let subscriber = tracing_subscriber::registry()
        .with(monitor.layer())
        .with(verbose.then(crate::tracing::lines));
    tokio::select! {
        failure = watching.with_subscriber(subscriber) => failure,
        failure = serving => Err(failure),
        () = &mut end => Ok(Exit::Success),
    }
}

/// Listens at the address, if there is one, and then serves for as long as it is
/// awaited.
async fn serve(
    monitor: &Monitor,
    output: &Output,
    address: Option<SocketAddr>,
) -> Result<impl Future<Output = Failure>, Failure> {
    let listener = match address {
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            let listener = listener.map_err(|error| {
                Failure::usage(format!("can't listen on {address}"))
                    .because(error)
                    .next("use another address or port; port 0 selects a free one")
            })?;
            if let (Ok(address), false) = (listener.local_addr(), output.quiet) {
                output::remark(format!(
                    "the report is at http://{address}/, the metrics at http://{address}/metrics"
                ));
            }
            Some(listener)
        }
        None => None,
    };
    let monitor = monitor.clone();
    Ok(async move {
        let Some(listener) = listener else {
            return std::future::pending().await;
        };
        let result = monitor.serve(listener).await;
        let failure = Failure::new(Exit::Failed, "the metrics server has stopped");
        match result {
            Ok(()) => failure,
            Err(error) => failure.because(error),
        }
    })
}

/// Prints an event.
fn note(output: &Output, event: &WatchEvent) -> Result<(), Failure> {
    if output.format == Format::Jsonl {
        return match event {
            WatchEvent::Renewal(RenewalEvent::Settled(token)) => {
                output.json_line(&Event::Token(&RenewalRecord::new(token)))
            }
            WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
                output.json_line(&Event::Summary(&Summary::new(report, false)))
            }
            WatchEvent::Waiting { until } => output.json_line(&Event::Waiting { until: *until }),
            _ => Ok(()),
        };
    }
    let words = match event {
        WatchEvent::Renewal(RenewalEvent::Settled(token)) => {
            let is_news = !output.quiet || token.outcome.is_at_risk();
            let name = token.name.as_deref().or(token.id.as_deref());
            let name = name.unwrap_or("-").escape_debug();
            is_news.then(|| format!("{name}: {}", token.outcome))
        }
        WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
            let is_news = !output.quiet || !report.is_success();
            is_news.then(|| report.to_string())
        }
        WatchEvent::Waiting { until } => (!output.quiet)
            .then(|| format!("next pass {}", time::date_and_distance(*until, Utc::now()))),
        _ => None,
    };
    match words {
        Some(words) => output.line(&format!("{} {words}", Utc::now().format("%FT%TZ"))),
        None => Ok(()),
    }
}
