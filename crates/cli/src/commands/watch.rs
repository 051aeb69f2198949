//! `renew --watch`: stays, and renews each token when it falls due.

use cf_service_tokens::renewal::{RenewalEvent, WatchEvent};
use chrono::Utc;

use crate::arguments::{Format, Renew};
use crate::commands::renew::{self, Event, RenewalRecord, Summary};
use crate::connect::Connection;
use crate::exit::Exit;
use crate::explain::Failure;
use crate::output::Output;
use crate::signal;
use crate::when;

pub(crate) async fn watch(
    connection: &Connection,
    output: &Output,
    arguments: &Renew,
) -> Result<Exit, Failure> {
    if matches!(output.format, Format::Json | Format::Csv) {
        return Err(
            Failure::usage("a watch has no end, and this format needs one")
                .next("use --output jsonl, which has a line for each thing that happens"),
        );
    }
    if let Some(address) = arguments.listen {
        // The server of the monitor goes here; it is fed by `note` below.
        return Err(Failure::usage(format!(
            "nothing can be served at {address} yet"
        )));
    }
    let tokens = connection.account("renewed")?;
    let mut end = std::pin::pin!(signal::end()?);
    let mut watch = tokens.watch(&renew::policy(arguments));
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            () = &mut end => return Ok(Exit::Success),
        };
        note(output, &event)?;
    }
}

/// Tells what has happened.
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
            .then(|| format!("next look {}", when::date_and_distance(*until, Utc::now()))),
        _ => None,
    };
    match words {
        Some(words) => output.line(&format!("{} {words}", Utc::now().format("%FT%TZ"))),
        None => Ok(()),
    }
}
