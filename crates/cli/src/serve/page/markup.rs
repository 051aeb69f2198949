//! The page's elements.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets::{ICON, SCRIPT, STYLE, content_security_policy};
use super::standing::{Standing, detail};
use super::timeline::Axis;
use super::{Report, Token};
use crate::time;

/// The whole document.
pub(super) fn document(report: &Report) -> Markup {
    let mut tokens: Vec<(&Token, Standing)> = report
        .tokens
        .iter()
        .map(|token| (token, Standing::of(token, report.time)))
        .collect();
    tokens.sort_by_key(|(token, _)| {
        // An unknown expiry may be soon, so it comes first; tokens that never expire come last.
        let expiry = (token.never_expires, token.expires_at);
        (expiry, &token.name, &token.id)
    });
    let expiries = report.tokens.iter().filter_map(|token| token.expires_at);
    let axis = Axis::new(report.time, report.window, expiries);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(content_security_policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Service tokens of " (report.account) }
                // In the page, so that no browser asks a server for one.
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                (definitions(&axis))
                (header(report))
                main {
                    @if let Some(problem) = &report.problem {
                        p class="problem" role="alert" { bdi { (problem) } }
                    }
                    @if tokens.is_empty() && report.problem.is_some() {
                        p class="empty" { "No service tokens are known." }
                    } @else if tokens.is_empty() {
                        p class="empty" { "This account has no service tokens." }
                    } @else {
                        (toolbar(&tokens))
                        (table(report, &axis, &tokens))
                        p class="empty" id="none" hidden { "No matching tokens." }
                        (legend(report))
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn header(report: &Report) -> Markup {
    html! {
        header {
            h1 { "Service tokens" }
            dl {
                div { dt { "Account" } dd { code { (report.account) } } }
                @if let Some(listed_at) = report.listed_at {
                    div { dt { "As of" } dd { (time(listed_at)) } }
                }
                @if let Some(next_pass) = report.next_pass {
                    div { dt { "Next pass" } dd { (time(next_pass)) } }
                }
                div { dt { "Due" } dd { (time::length(report.window)) " before they expire" } }
            }
        }
    }
}

fn time(time: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(machine(time)) { (time::minute(time)) }
    }
}

/// A time as HTML has it.
fn machine(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// How many tokens there are of each state. With the script, these are buttons
/// that show those alone.
fn toolbar(tokens: &[(&Token, Standing)]) -> Markup {
    let mut counts: BTreeMap<Standing, i64> = BTreeMap::new();
    for (_, state) in tokens {
        *counts.entry(*state).or_default() += 1;
    }
    let all: i64 = counts.values().sum();
    html! {
        section class="toolbar" aria-label="Filter" {
            div class="states" role="group" aria-label="State" {
                button type="button" data-state="" aria-pressed="true" disabled {
                    b { (grouped(all)) } " All"
                }
                @for state in Standing::ALL {
                    @if let Some(count) = counts.get(&state) {
                        button type="button" class=(state.class()) data-state=(state.class())
                            aria-pressed="false" disabled {
                            b { (grouped(*count)) } " " (state.word())
                        }
                    }
                }
            }
            div class="search" hidden {
                label for="search" { "Name or id" }
                input id="search" type="search" autocomplete="off" spellcheck="false"
                    placeholder="Find by name or id";
                output for="search" aria-live="polite" {}
            }
        }
    }
}

fn table(report: &Report, axis: &Axis, tokens: &[(&Token, Standing)]) -> Markup {
    let heading = |key: &str, words: &str, sort: Option<&str>| {
        html! {
            th role="columnheader" scope="col" class=(key) aria-sort=[sort] {
                button type="button" data-sort=(key) disabled { (words) }
            }
        }
    };
    html! {
        table role="table" aria-label="Service tokens" {
            thead role="rowgroup" {
                tr role="row" {
                    (heading("name", "Token", None))
                    (heading("state", "State", None))
                    th role="columnheader" scope="col" class="life" {
                        span class="for-readers" { "Lifetime" }
                        (scale(axis))
                    }
                    (heading("expires", "Expires", Some("ascending")))
                }
            }
            tbody role="rowgroup" {
                @for (token, state) in tokens {
                    (row(report, axis, token, *state))
                }
            }
        }
    }
}

fn row(report: &Report, axis: &Axis, token: &Token, state: Standing) -> Markup {
    // As numbers that sort as the page does: unknown first, forever last.
    let expires = match token.expires_at {
        _ if token.never_expires => i64::MAX.to_string(),
        Some(at) => at.timestamp().to_string(),
        None => i64::MIN.to_string(),
    };
    html! {
        tr role="row" class=(state.class()) data-state=(state.class()) data-expires=(expires) {
            th role="rowheader" scope="row" class="name" {
                // A name may be written from right to left, and must not turn
                // what stands beside it.
                bdi class="title" {
                    @match &token.name {
                        Some(name) if !name.trim().is_empty() => (name),
                        _ => i { "no name" },
                    }
                }
                @if let Some(id) = &token.id { code { (id) } }
            }
            td role="cell" class="state" {
                span class="badge" { (state.word()) }
                @if let Some(detail) = detail(token, state) {
                    bdi class="detail" { (detail) }
                }
            }
            td role="cell" class="life" { (life(report, axis, token, state)) }
            td role="cell" class="expires" {
                @if token.never_expires {
                    span class="relative" { "never" }
                } @else if let Some(at) = token.expires_at {
                    span class="relative" { (time::distance(at - report.time)) }
                    " "
                    time datetime=(machine(at)) { (at.format("%Y-%m-%d %H:%M")) }
                } @else {
                    span class="relative" { "unknown" }
                }
            }
        }
    }
}

/// The token's life on the axis.
fn life(report: &Report, axis: &Axis, token: &Token, state: Standing) -> Markup {
    let (past, rest) = axis.life(token.created_at, token.expires_at);
    let is_over_before = token.expires_at.is_some_and(|at| axis.is_before(at));
    let goes_on = token.never_expires || token.expires_at.is_some_and(|at| axis.is_beyond(at));
    let is_unknown = token.expires_at.is_none() && !token.never_expires;
    html! {
        svg role="img" class=(state.class()) {
            title { (story(report, token)) }
            use href="#axis" width="100%" height="100%" {}
            // From here on, heights count from the middle of the row.
            svg y="50%" overflow="visible" {
                @if is_over_before {
                    path class="over" d="M9-6 3 0l6 6" {}
                } @else if is_unknown {
                    rect class="unknown" x=(percent(past.from)) width=(percent(100.0 - past.from))
                        y="-5" height="10" rx="5" {}
                } @else {
                    @if past.width() > 0.0 {
                        rect class="past" x=(percent(past.from)) width=(percent(past.width()))
                            y="-4" height="8" rx="2" {}
                    }
                    @if rest.width() > 0.0 {
                        rect class="rest" x=(percent(rest.from)) width=(percent(rest.width()))
                            y="-6" height="12" rx="2" {}
                    }
                }
                @if goes_on {
                    svg x="100%" overflow="visible" {
                        path class="on" d="M-12-8H0V8h-12l5-8z" {}
                        path class="arrow" d="M-9-6h4l5 6-5 6h-4l5-6z" {}
                    }
                }
            }
        }
    }
}

/// Describes the token's lifetime for screen readers.
fn story(report: &Report, token: &Token) -> String {
    let made = token.created_at.map_or_else(
        || "created at an unknown time".to_owned(),
        |at| format!("created {}", time::minute(at)),
    );
    let end = match token.expires_at {
        _ if token.never_expires => "never expires".to_owned(),
        None => "expires at an unknown time".to_owned(),
        Some(at) => {
            let verb = if at <= report.time {
                "expired"
            } else {
                "expires"
            };
            let relative = time::distance(at - report.time);
            format!("{verb} {}, {relative}", time::minute(at))
        }
    };
    format!("{made}, {end}")
}

/// The dates along the axis.
fn scale(axis: &Axis) -> Markup {
    html! {
        svg class="scale" aria-hidden="true" {
            rect class="window" x=(percent(axis.window().from)) width=(percent(axis.window().width()))
                y="0" height="100%" {}
            @for tick in axis.ticks() {
                @if (4.0..96.0).contains(&tick.at) {
                    text x=(percent(tick.at)) y="30" { (tick.label) }
                }
            }
            text class="now" x=(percent(axis.now())) y="14" { "now" }
        }
    }
}

/// Returns the background and the patterns of every row's drawing.
fn definitions(axis: &Axis) -> Markup {
    html! {
        svg class="definitions" width="0" height="0" aria-hidden="true" {
            defs {
                pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse"
                    patternTransform="rotate(45)" {
                    rect class="hatch" width="3" height="6" {}
                }
            }
            symbol id="axis" {
                rect class="window" x=(percent(axis.window().from))
                    width=(percent(axis.window().width())) y="0" height="100%" {}
                @for tick in axis.ticks() {
                    line class="tick" x1=(percent(tick.at)) x2=(percent(tick.at)) y1="0" y2="100%" {}
                }
                line class="now" x1=(percent(axis.now())) x2=(percent(axis.now())) y1="0" y2="100%" {}
            }
        }
    }
}

fn legend(report: &Report) -> Markup {
    html! {
        footer {
            p {
                span class="swatch window" {}
                " The window of " (time::length(report.window)) ": a token that expires in it is due. An arrow "
                "means that a token's lifetime continues beyond the page. All times are UTC."
            }
        }
    }
}

fn percent(at: f64) -> String {
    let rounded = format!("{at:.2}");
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    format!("{short}%")
}

/// A number with its thousands set apart, such as `1,000`.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
