//! How far a renewal has come, as a bar on a terminal; and the requests and what calls wait
//! for, in lines. All of it on standard error.

use std::error::Error as StdError;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cf_service_tokens::renewal::{Decision, RenewalEvent, TokenRenewal};
use cf_service_tokens::{Error, ErrorKind, Event, WaitReason};
use chrono::{DateTime, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

const LISTING: &str = "{spinner} {msg}";
const RENEWING: &str = "[{bar:30}] {pos}/{len} {wide_msg}";

/// Tells of a renewal while it goes on.
pub(crate) enum Progress {
    Silent,
    Bar {
        bar: ProgressBar,
        /// The accounts that are not finished.
        accounts: usize,
        listed: u64,
        due: u64,
    },
}

impl Progress {
    /// The bar, if there is one, shows the waits as well. With the lines of -v, it would
    /// be drawn over them.
    pub(crate) fn new(quiet: bool, verbose: bool, log: &CallLog) -> Self {
        if quiet || verbose || !io::stderr().is_terminal() {
            return Self::Silent;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style(LISTING));
        bar.enable_steady_tick(Duration::from_millis(100));
        log.show_on(bar.clone());
        Self::Bar {
            bar,
            accounts: 1,
            listed: 0,
            due: 0,
        }
    }

    /// Sets how many accounts there are.
    pub(crate) fn expect(&mut self, count: usize) {
        if let Self::Bar { accounts, .. } = self {
            *accounts = count;
        }
    }

    /// Notes what has happened.
    pub(crate) fn note(&mut self, event: &RenewalEvent) {
        match (self, event) {
            (
                Self::Bar {
                    bar, listed, due, ..
                },
                RenewalEvent::Decided { decision, .. },
            ) => {
                *listed += 1;
                *due += u64::from(matches!(decision, Decision::Renew(_)));
                bar.set_message(format!("{listed} tokens listed, {due} due"));
                bar.force_draw();
            }
            (Self::Bar { bar, due, .. }, RenewalEvent::Settled(token)) => {
                if bar.length().is_none() {
                    bar.set_style(style(RENEWING));
                }
                bar.set_length(*due);
                bar.set_message(words(token));
                bar.inc(1);
                bar.force_draw();
            }
            (Self::Bar { bar, accounts, .. }, RenewalEvent::Finished(_)) => {
                *accounts = accounts.saturating_sub(1);
                if *accounts == 0 {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn words(token: &TokenRenewal) -> String {
    let name = token.name.as_deref().or(token.id.as_deref());
    format!(
        "{}: {}",
        output::printable(name.unwrap_or("-")),
        token.outcome
    )
}

/// Shows why calls wait, as they begin to wait, and with -v each request. Clones share
/// their state.
#[derive(Clone)]
pub(crate) struct CallLog(Arc<Mutex<Shown>>);

struct Shown {
    requests: bool,
    waits: bool,
    bar: Option<ProgressBar>,
    /// Why the last attempt failed.
    failure: &'static str,
    status: Option<u16>,
    /// The last wait shown. Calls with the same reason are shown once.
    last: Option<(WaitReason, DateTime<Utc>)>,
}

impl CallLog {
    /// Shows waits on a terminal, unless quiet, and requests and waits with -v.
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        Self(Arc::new(Mutex::new(Shown {
            requests: verbose,
            waits: verbose || (!quiet && io::stderr().is_terminal()),
            bar: None,
            failure: "",
            status: None,
            last: None,
        })))
    }

    fn show_on(&self, bar: ProgressBar) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.bar = Some(bar);
    }

    /// Notes an event of a call.
    pub(crate) fn note(&self, event: &Event<'_>) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (true, Some(line)) = (shown.requests, request(event)) {
            verbose(&line);
        }
        match event {
            Event::AttemptEnded {
                error: Some(error),
                status,
                ..
            } => {
                shown.failure = short(error);
                shown.status = status.map(|status| status.as_u16());
            }
            Event::WaitStarted { reason, until, .. } => shown.wait(*reason, *until, Utc::now()),
            _ => {}
        }
    }
}

impl Shown {
    fn wait(&mut self, reason: WaitReason, until: DateTime<Utc>, now: DateTime<Utc>) {
        let is_rate_limited = reason == WaitReason::RateLimit || self.status == Some(429);
        let is_same = self.last.is_some_and(|(last_reason, last_until)| {
            last_reason == reason && (until - last_until).abs() < TimeDelta::seconds(1)
        });
        let left = until - now;
        // Without -v, a shorter wait is over before it is read.
        let is_short = left < TimeDelta::milliseconds(500);
        let is_shown = match self.requests {
            true => !(is_same && is_rate_limited),
            false => self.waits && !is_same && !is_short,
        };
        if !is_shown {
            return;
        }
        self.last = Some((reason, until));
        let why = match self.status {
            _ if is_rate_limited => "rate limited".to_owned(),
            Some(status) => format!("HTTP {status}"),
            None => self.failure.to_owned(),
        };
        let line = format!(
            "{why}: waiting {}, until {}",
            minutes_and_seconds(left),
            until.format("%H:%M:%S UTC")
        );
        match self.bar.as_ref().filter(|bar| !bar.is_finished()) {
            Some(bar) => {
                bar.set_message(line);
                bar.force_draw();
            }
            None if self.requests => verbose(&line),
            None => output::progress(&line),
        }
    }
}

/// Prints a line of -v, after the time.
pub(crate) fn verbose(line: &str) {
    output::progress(&format!("{} {line}", Utc::now().format("%H:%M:%S")));
}

/// Returns the line about a request that ended: its outcome, and how long it took.
fn request(event: &Event<'_>) -> Option<String> {
    let Event::AttemptEnded {
        operation,
        method,
        path,
        elapsed,
        status,
        error,
        ..
    } = event
    else {
        return None;
    };
    let what = match path.is_empty() {
        true => (*operation).to_owned(),
        false => format!("{method} {path}"),
    };
    let time = elapsed.as_millis();
    let ray_id = error.and_then(Error::ray_id);
    let ray_id = ray_id.map(|id| format!(", ray id {id}"));
    Some(match (status, error) {
        (Some(status), _) => format!(
            "{what} → {} in {time} ms{}",
            status.as_u16(),
            ray_id.unwrap_or_default()
        ),
        (None, Some(error)) => format!("{what} → {} after {time} ms", cause(error)),
        (None, None) => format!("{what} after {time} ms"),
    })
}

/// Returns why an attempt without a response failed, with the cause behind all others, such
/// as `Connection refused`.
fn cause(error: &Error) -> String {
    let mut last = error.source();
    while let Some(source) = last.and_then(StdError::source) {
        last = Some(source);
    }
    match last {
        Some(cause) => format!("{}: {cause}", short(error)),
        None => short(error).to_owned(),
    }
}

/// Returns why an attempt without a response failed, in a few words.
fn short(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Proxy => "no connection",
        ErrorKind::Timeout => "no response in time",
        ErrorKind::Interrupted => "the connection broke",
        _ => "unusable response",
    }
}

/// Writes a length of time such as `4 min 21 s`, rounded up, or `300 ms`.
fn minutes_and_seconds(length: TimeDelta) -> String {
    if length < TimeDelta::seconds(1) {
        return format!("{} ms", length.num_milliseconds().max(0));
    }
    let seconds = (length.num_milliseconds() + 999) / 1000;
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_in_minutes_and_seconds() {
        for (milliseconds, words) in [
            (-1, "0 ms"),
            (999, "999 ms"),
            (1_000, "1 s"),
            (1_001, "2 s"),
            (59_001, "1 min"),
            (260_200, "4 min 21 s"),
            (5_400_000, "90 min"),
        ] {
            let length = TimeDelta::milliseconds(milliseconds);
            assert_eq!(minutes_and_seconds(length), words);
        }
    }
}
