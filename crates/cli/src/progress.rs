//! How far a renewal has come, on standard error: a bar on a terminal, plain lines
//! elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use cf_service_tokens::renewal::{Decision, RenewalEvent, TokenRenewal};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

const LISTING: &str = "{spinner} {msg}";
const RENEWING: &str = "[{bar:30}] {pos}/{len} {wide_msg}";

/// Tells of a renewal while it goes on.
pub(crate) enum Progress {
    Silent,
    Lines,
    Bar {
        bar: ProgressBar,
        listed: u64,
        due: u64,
    },
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        if quiet {
            return Self::Silent;
        }
        if !io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style(LISTING));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self::Bar {
            bar,
            listed: 0,
            due: 0,
        }
    }

    /// Notes what has happened.
    pub(crate) fn note(&mut self, event: &RenewalEvent) {
        match (self, event) {
            (Self::Lines, RenewalEvent::Settled(token)) => output::progress(&words(token)),
            (Self::Bar { bar, listed, due }, RenewalEvent::Decided { decision, .. }) => {
                *listed += 1;
                *due += u64::from(matches!(decision, Decision::Renew(_)));
                bar.set_message(format!("{listed} tokens listed, {due} due"));
                bar.force_draw();
            }
            (Self::Bar { bar, due, .. }, RenewalEvent::Settled(token)) => {
                if bar.length().is_none() {
                    bar.set_style(style(RENEWING));
                    bar.set_length(*due);
                }
                bar.set_message(words(token));
                bar.inc(1);
                bar.force_draw();
            }
            (Self::Bar { bar, .. }, RenewalEvent::Finished(_)) => bar.finish_and_clear(),
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
    format!("{}: {}", name.unwrap_or("-").escape_debug(), token.outcome)
}
