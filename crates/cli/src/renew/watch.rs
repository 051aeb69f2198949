//! `renew --watch`: keeps running, and renews each token when it falls due.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use cf_service_tokens::renewal::{
    Decision, RenewalEvent, RenewalOutcome, RenewalReport, SkipReason, TokenRenewal, Watch,
    WatchEvent,
};
use chrono::Utc;
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;
use tokio::time::sleep;

use crate::arguments::Format;
use crate::connection::Connection;
use crate::failure::{Exit, Failure, with_causes};
use crate::output::{self, Output};
use crate::renew::Renew;
use crate::renew::once;
use crate::renew::record::{Event, RenewalRecord, Summary};
use crate::serve::{Calls, Monitor};
use crate::signal;
use crate::time;

/// How soon a new API token is noticed while the API refuses the one in use.
const REREAD_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) async fn watch(
    connection: &mut Connection,
    output: &Output,
    arguments: &Renew,
    calls: Calls,
) -> Result<Exit, Failure> {
    if output.format == Format::Json {
        return Err(
            Failure::usage("--watch never ends, so it can't write a JSON document")
                .next("use --output jsonl, which writes a line for each event"),
        );
    }
    let tokens = &connection.tokens;
    let policy = once::policy(arguments)?;
    let window = arguments.window.within;
    let monitor = Monitor::new(tokens.account_id(), &policy, window, calls);
    let serving = serve(&monitor, output, arguments.listen).await?;
    let mut end = std::pin::pin!(signal::end()?);
    let hang_up = signal::hang_up()?;
    let mut watch = tokens.watch(&policy);
    if let Some(interval) = arguments.interval {
        watch = watch.interval(interval);
    }
    let watcher = Watcher {
        connection,
        watch,
        monitor: monitor.clone(),
        log: Log {
            output,
            is_broken: false,
        },
    };
    tokio::select! {
        never = watcher.run(hang_up) => match never {},
        never = serving => match never {},
        () = &mut end => Ok(Exit::Success),
    }
}

/// Listens at the address, if there is one, and then serves for as long as it is polled.
async fn serve(
    monitor: &Monitor,
    output: &Output,
    address: Option<SocketAddr>,
) -> Result<impl Future<Output = Infallible>, Failure> {
    let mut listener = None;
    if let Some(address) = address {
        let unusable = |error| {
            Failure::usage(format!("can't listen on {address}"))
                .because(error)
                .next("use another address or port; port 0 selects a free one")
        };
        let bound = TcpListener::bind(address).await.map_err(unusable)?;
        let address = bound.local_addr().map_err(unusable)?;
        if !output.quiet {
            output::remark(format!(
                "the report is at http://{address}/, the metrics at http://{address}/metrics"
            ));
        }
        listener = Some((bound, address.ip()));
    }
    let monitor = monitor.clone();
    Ok(async move {
        match listener {
            Some((listener, address)) => monitor.serve(listener, address).await,
            None => pending().await,
        }
    })
}

/// A watch, and the receivers of its events.
struct Watcher<'a> {
    connection: &'a mut Connection,
    watch: Watch,
    monitor: Monitor,
    log: Log<'a>,
}

impl Watcher<'_> {
    async fn run(mut self, mut hang_up: Signal) -> Infallible {
        let mut is_refused = false;
        loop {
            let event = tokio::select! {
                event = self.watch.next() => event,
                _ = hang_up.recv() => {
                    self.watch.pass_now();
                    continue;
                }
                () = sleep(REREAD_INTERVAL), if is_refused => {
                    if let Ok(true) = self.connection.reread_api_token() {
                        self.use_new_api_token();
                        self.watch.pass_now();
                    }
                    continue;
                }
            };
            match &event {
                // If the file can't be read, the known token stays in use.
                WatchEvent::Starting => match self.connection.reread_api_token() {
                    Ok(true) => self.use_new_api_token(),
                    Ok(false) => {}
                    Err(failure) => failure.show(),
                },
                WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
                    let was_refused = is_refused;
                    is_refused = Exit::of_pass(report) == Exit::Credentials;
                    if let (true, false, Some(error)) = (is_refused, was_refused, &report.error) {
                        self.connection.explain(Failure::from(error)).show();
                    }
                }
                _ => {}
            }
            self.monitor.observe(&event);
            self.log.write(&event);
        }
    }

    fn use_new_api_token(&mut self) {
        self.watch.set_tokens(self.connection.tokens.clone());
        output::remark("the API token has changed, and is used from now on");
    }
}

/// The log on standard output.
struct Log<'a> {
    output: &'a Output,
    /// Whether the last line could not be written.
    is_broken: bool,
}

impl Log<'_> {
    /// Writes an event. A line that can't be written stops no renewal: standard error says
    /// so once, and later lines are tried all the same, since a disk may have room again.
    fn write(&mut self, event: &WatchEvent) {
        let written = match self.output.format {
            Format::Jsonl => self.json(event),
            _ => self.line(event),
        };
        match written {
            Some(Ok(())) => self.is_broken = false,
            Some(Err(failure)) if !self.is_broken => {
                self.is_broken = true;
                failure.next("the watcher goes on without its log").show();
            }
            _ => {}
        }
    }

    fn json(&self, event: &WatchEvent) -> Option<Result<(), Failure>> {
        Some(match event {
            WatchEvent::Renewal(RenewalEvent::Decided { token, decision })
                if is_long_expired(*decision) =>
            {
                let record = RenewalRecord::skipped(token, *decision, Utc::now())?;
                self.output.json_line(&Event::Token(&record))
            }
            WatchEvent::Renewal(RenewalEvent::Settled(token)) => {
                let record = RenewalRecord::new(token);
                self.output.json_line(&Event::Token(&record))
            }
            WatchEvent::Renewal(RenewalEvent::Finished(report)) => {
                let summary = Summary::new(report, false);
                self.output.json_line(&Event::Summary(&summary))
            }
            WatchEvent::Waiting { until } => {
                self.output.json_line(&Event::Waiting { until: *until })
            }
            _ => return None,
        })
    }

    /// Writes a line for people; if quiet, only about what failed.
    fn line(&self, event: &WatchEvent) -> Option<Result<(), Failure>> {
        let is_quiet = self.output.quiet;
        let words = match event {
            WatchEvent::Renewal(RenewalEvent::Decided { token, decision })
                if is_long_expired(*decision) =>
            {
                let name = token.name.as_deref().or(token.id.as_deref());
                format!(
                    "{}: not renewed: {}; use --include-expired, or delete, disable or --except it",
                    name.unwrap_or("-"),
                    SkipReason::Expired,
                )
            }
            WatchEvent::Renewal(RenewalEvent::Settled(token))
                if !is_quiet || token.outcome.is_at_risk() =>
            {
                settled(token)
            }
            WatchEvent::Renewal(RenewalEvent::Finished(report))
                if !is_quiet || !report.is_success() =>
            {
                finished(report)
            }
            WatchEvent::Waiting { until } if !is_quiet => {
                let now = Utc::now();
                format!("next pass {}", time::distance_and_date(*until, now))
            }
            _ => return None,
        };
        let now = Utc::now().format("%FT%TZ");
        let line = output::printable(&format!("{now} {words}"));
        Some(self.output.line(&line))
    }
}

fn is_long_expired(decision: Decision) -> bool {
    decision == Decision::Skip(SkipReason::Expired)
}

fn settled(token: &TokenRenewal) -> String {
    let name = token.name.as_deref().or(token.id.as_deref());
    let name = name.unwrap_or("-");
    match &token.outcome {
        RenewalOutcome::Failed { error } => format!("{name}: failed: {}", with_causes(error)),
        outcome => format!("{name}: {outcome}"),
    }
}

/// Returns a pass in one line. The tokens that failed have lines of their own.
fn finished(report: &RenewalReport) -> String {
    let mut parts = Vec::new();
    if report.listed > 0 || report.error.is_none() {
        parts.push(once::counts(report));
    }
    if let Some(error) = &report.error {
        parts.push(format!("stopped early: {}", with_causes(error)));
    }
    let unmatched = report.unmatched.iter();
    parts.extend(unmatched.map(|name| format!("no token has the id, client id or name {name:?}")));
    let ahead = report.clock_skew;
    parts.extend(ahead.map(|ahead| time::clock_difference(ahead.into())));
    parts.join("; ")
}
