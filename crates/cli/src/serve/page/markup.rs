//! The page's elements.

use std::time::Duration;

use cf_service_tokens::renewal::{Decision, SkipReason};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets::{ICON, STYLE, content_security_policy};
use super::timeline::Axis;
use super::{Report, Token, common_window, verdict};
use crate::output::printable;
use crate::records::State;
use crate::risk::Risk;
use crate::time;

/// A token with what the page says of it at the report's time.
struct Row<'a> {
    token: &'a Token,
    state: State,
    needs_attention: bool,
}

/// A page of several accounts with more tokens than this shows only those that need
/// attention.
const MAX_ROWS: usize = 1000;

/// The whole document.
pub(super) fn document(report: &Report) -> Markup {
    let rows = rows(report);
    let axis = axis(report);
    let content = html! {
        @if let Some(problem) = &report.problem {
            p class="problem" role="alert" { bdi { (printable(problem)) } }
        }
        @if let Some(note) = &report.note {
            p class="problem" { bdi { (printable(note)) } }
        }
        @if !rows.is_empty() {
            (table(report, &axis, &rows))
            (legend(report, Some(report.window)))
        }
    };
    page(report, Some(report.window), &axis, &rows, &content)
}

/// The document of several accounts: the verdict on all of them, and a section for each.
pub(super) fn document_of_accounts(overall: &Report, accounts: &[Report]) -> Markup {
    let all = rows(overall);
    let axis = axis(overall);
    let window = common_window(accounts);
    let is_long = all.len() > MAX_ROWS;
    let content = html! {
        @if accounts.iter().any(|account| account.problem.is_some()) {
            p class="problem" role="alert" {
                "Not up to date: "
                @for (index, account) in accounts.iter().enumerate() {
                    @if account.problem.is_some() {
                        bdi { a href={ "#account-" (index) } { (printable(&account.account)) } } " "
                    }
                }
            }
        }
        @for (index, account) in accounts.iter().enumerate() {
            (section(index, account, &axis, is_long))
        }
        @if !all.is_empty() { (legend(overall, window)) }
    };
    page(overall, window, &axis, &all, &content)
}

/// The section of an account. Of a long page it shows only what needs attention.
fn section(index: usize, account: &Report, axis: &Axis, is_long: bool) -> Markup {
    let mut rows = rows(account);
    let all = rows.len();
    if is_long {
        rows.retain(|row| row.needs_attention);
    }
    let others = all - rows.len();
    html! {
        section id={ "account-" (index) } {
            h2 { bdi { (printable(&account.account)) } }
            p { (verdict(account)) }
            @if let Some(problem) = &account.problem {
                p class="problem" { bdi { (printable(problem)) } }
            }
            @if let Some(note) = &account.note {
                p class="problem" { bdi { (printable(note)) } }
            }
            @if !rows.is_empty() { (table(account, axis, &rows)) }
            @if others > 0 && !rows.is_empty() {
                p { "Tokens that need no attention and are not shown: " (others) "." }
            }
        }
    }
}

/// The rows of a table: those that need attention come first, the worst at the top.
fn rows(report: &Report) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = report
        .tokens
        .iter()
        .map(|token| Row {
            token,
            state: token.state(report.time),
            needs_attention: token.needs_attention(report.time),
        })
        .collect();
    rows.sort_by_key(|row| {
        let Token {
            expires_at,
            name,
            id,
            ..
        } = row.token;
        (!row.needs_attention, row.state, expires_at, name, id)
    });
    rows
}

fn axis(report: &Report) -> Axis {
    let expiries = report.tokens.iter().filter_map(|token| token.expires_at);
    Axis::new(report.time, report.window, expiries)
}

/// A page with the verdict above its content. The window is that of all accounts, if they have
/// the same.
fn page(
    report: &Report,
    window: Option<Duration>,
    axis: &Axis,
    rows: &[Row<'_>],
    content: &Markup,
) -> Markup {
    let verdict = verdict(report);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(content_security_policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (verdict) " · Service tokens of " (printable(&report.account)) }
                // In the page, so that no browser asks a server for one.
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body {
                (definitions(axis))
                (header(report, window, &verdict, rows))
                main { (content) }
            }
        }
    }
}

fn header(report: &Report, window: Option<Duration>, verdict: &str, rows: &[Row<'_>]) -> Markup {
    // The rows that need attention come first, the worst at the top.
    let worst = rows.first().filter(|row| row.needs_attention);
    html! {
        header class=[worst.map(|row| row.state.as_str())] {
            h1 { (verdict) }
            dl {
                div { dt { "Account" } dd { code { (printable(&report.account)) } } }
                @if let Some(listed_at) = report.listed_at {
                    div { dt { "As of" } dd { (minute(listed_at)) } }
                }
                @if let Some(next_pass) = report.next_pass {
                    div { dt { "Next pass" } dd { (minute(next_pass)) } }
                }
                div {
                    dt { "Due" }
                    dd {
                        @match window {
                            Some(window) => { (time::length(window)) " before expiry" }
                            None => { "within the window of its account" }
                        }
                    }
                }
            }
            @if !rows.is_empty() { (reference(report)) }
        }
    }
}

/// States from when the distances on the page count, since a page may be read much later.
fn reference(report: &Report) -> Markup {
    let is_as_of = |listed_at| report.time - listed_at < TimeDelta::minutes(1);
    html! {
        p class="reference" {
            "Distances such as “in 3 days” count from "
            @if report.listed_at.is_some_and(is_as_of) {
                "then."
            } @else {
                (minute(report.time)) ", when this page was made."
            }
        }
    }
}

fn minute(at: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(machine(at)) { (time::minute(at)) }
    }
}

/// A time as HTML has it.
fn machine(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn table(report: &Report, axis: &Axis, rows: &[Row<'_>]) -> Markup {
    let heading = |column: &str, words: &str| {
        html! {
            th role="columnheader" scope="col" class=(column) { (words) }
        }
    };
    let (urgent, calm) = rows.split_at(rows.partition_point(|row| row.needs_attention));
    html! {
        // The style sheet makes cards of the rows on a narrow screen, which would take away
        // the roles that the elements have of themselves.
        table role="table" aria-label="Service tokens" {
            thead role="rowgroup" {
                tr role="row" {
                    (heading("name", "Token"))
                    (heading("state", "State"))
                    th role="columnheader" scope="col" class="life" {
                        span class="for-readers" { "Lifetime" }
                        (scale(report, axis))
                    }
                    (heading("expires", "Expires"))
                    (heading("seen", "Last seen"))
                }
            }
            @for (group, rows) in [("urgent", urgent), ("calm", calm)] {
                @if !rows.is_empty() {
                    tbody role="rowgroup" class=(group) {
                        @for row in rows { (table_row(report, axis, row)) }
                    }
                }
            }
        }
    }
}

fn table_row(report: &Report, axis: &Axis, row: &Row<'_>) -> Markup {
    let Row { token, state, .. } = row;
    html! {
        tr role="row" class=(state.as_str()) {
            th role="rowheader" scope="row" class="name" {
                // A name may be written from right to left, and must not turn
                // what stands beside it.
                bdi class="title" {
                    @match &token.name {
                        Some(name) if !name.trim().is_empty() => (printable(name)),
                        _ => i { "no name" },
                    }
                }
                @if let Some(id) = &token.id {
                    " "
                    // The style sheet shows its beginning. A copy is the whole of it.
                    code class="id" title=(printable(id)) { (printable(id)) }
                }
            }
            td role="cell" class="state" {
                span class="badge" { (state) }
                @if let Some(detail) = detail(token, report.time) {
                    " "
                    bdi class="detail" { (printable(&detail)) }
                }
            }
            td role="cell" class="life" { (life(report, axis, row)) }
            td role="cell" class="expires" {
                @if token.never_expires {
                    span class="date" { "never" }
                } @else if let Some(at) = token.expires_at {
                    time class="date" datetime=(machine(at)) { (time::date(at, report.time)) }
                    " "
                    span class="distance" { (time::distance(at - report.time)) }
                } @else {
                    span class="date" { "unknown" }
                }
            }
            td role="cell" class="seen" {
                @if let Some(at) = token.last_seen_at {
                    time datetime=(machine(at)) title=(time::minute(at)) {
                        (time::distance(at - report.time))
                    }
                } @else {
                    "never"
                }
            }
        }
    }
}

/// Returns why a token is not renewed, or else what may end it, if its state does not say it.
fn detail(token: &Token, now: DateTime<Utc>) -> Option<String> {
    if let Some(problem) = &token.problem {
        return Some(problem.clone());
    }
    match token.decision {
        Decision::Unable(reason) => Some(reason.to_string()),
        Decision::Skip(reason @ SkipReason::Expired) => Some(reason.to_string()),
        _ => Risk::beside_state(&token.risks).map(|risk| risk.words(now)),
    }
}

/// The token's life on the axis.
fn life(report: &Report, axis: &Axis, row: &Row<'_>) -> Markup {
    let token = row.token;
    let (past, rest) = axis.life(token.created_at, token.expires_at);
    let is_over_before = token.expires_at.is_some_and(|at| axis.is_before(at));
    let began_before = token.created_at.is_some_and(|at| axis.is_before(at));
    let goes_on = token.never_expires || token.expires_at.is_some_and(|at| axis.is_after(at));
    let is_unknown = token.expires_at.is_none() && !token.never_expires;
    html! {
        svg role="img" {
            title { (story(report, token)) }
            use href="#axis" width="100%" height="100%" {}
            // From here on, heights count from the middle of the row.
            svg y="50%" overflow="visible" {
                @if is_over_before {
                    path class="over" d="M9-6 3 0l6 6" {}
                } @else if is_unknown {
                    rect class="unknown" x=(percent(past.from)) width=(percent(100.0 - past.from))
                        y="-4" height="8" rx="4" {}
                } @else {
                    @if past.width() > 0.0 {
                        rect class="past" x=(percent(past.from)) width=(percent(past.width()))
                            y="-3" height="6" rx="2" {}
                    }
                    @if rest.width() > 0.0 {
                        rect class="rest" x=(percent(rest.from)) width=(percent(rest.width()))
                            y="-5" height="10" rx="2" {}
                    }
                }
                @if began_before && !is_over_before {
                    path class="cut" d="M12-8H0V8h12l-5-8z" {}
                    path class="arrow" d="M9-6h-4l-5 6 5 6h4l-5-6z" {}
                }
                @if goes_on {
                    svg x="100%" overflow="visible" {
                        path class="cut" d="M-12-8H0V8h-12l5-8z" {}
                        path class="arrow" d="M-9-6h4l5 6-5 6h-4l5-6z" {}
                    }
                }
                // Little may be left of a life that ends soon, so its end has a mark.
                @if row.needs_attention && !is_over_before && !goes_on && !is_unknown {
                    circle class="end" cx=(percent(rest.to)) r="6" {}
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
            format!("{verb} {}", time::minute(at))
        }
    };
    format!("{made}, {end}")
}

/// The dates along the axis. The page's own time is a date too, since it may be read much
/// later.
fn scale(report: &Report, axis: &Axis) -> Markup {
    html! {
        svg class="scale" aria-hidden="true" {
            rect class="window" x=(percent(axis.window().from)) width=(percent(axis.window().width()))
                y="0" height="100%" {}
            @for tick in axis.ticks() {
                @if axis.has_room_for(&tick) {
                    text x=(percent(tick.at)) y="30" { (tick.label) }
                }
            }
            text class="now" x=(percent(axis.now())) y="14" { (report.time.format("%-d %b")) }
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

fn legend(report: &Report, window: Option<Duration>) -> Markup {
    let which = match window {
        Some(_) => "The window of",
        None => "The shortest window of an account,",
    };
    html! {
        footer {
            p {
                span class="chart" {
                    span class="swatch window" {}
                    " " (which) " " (time::length(report.window)) ": a token that expires in it is due. An arrow "
                    "marks a lifetime that begins before the chart or ends after it. "
                }
                "All times are UTC."
            }
        }
    }
}

fn percent(at: f64) -> String {
    let rounded = format!("{at:.2}");
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    format!("{short}%")
}
