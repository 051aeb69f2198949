//! The verdict on the tokens: how many need attention, and when the next one will.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Report, Token};
use crate::records::State;
use crate::risk::Risk;
use crate::time;

/// Returns the verdict in one line, such as `1 expired, 3 due, the next in 19 hours`.
pub(crate) fn verdict(report: &Report) -> String {
    let now = report.time;
    let all = match report.tokens.len() {
        0 if report.problem.is_some() => return "No service tokens are known yet".to_owned(),
        0 => return "This account has no service tokens".to_owned(),
        1 => "The one token is fine".to_owned(),
        count => format!("All {} tokens are fine", grouped(count)),
    };
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    let needs_attention =
        |token: &&Arc<Token>| token.problem.is_some() || token.state(now).needs_attention();
    for token in report.tokens.iter().filter(needs_attention) {
        *counts.entry(token.state(now)).or_default() += 1;
    }
    let in_state = |(state, count): (&State, &usize)| format!("{} {state}", grouped(*count));
    let mut parts: Vec<String> = counts.iter().map(in_state).collect();
    let first = |state, time: fn(&Token) -> Option<DateTime<Utc>>| {
        let tokens = report.tokens.iter().filter(|t| t.state(now) == state);
        tokens.filter_map(|token| time(token)).min()
    };
    let first_due = first(State::Due, |token| token.expires_at);
    if let Some(expires_at) = first_due {
        let which = match counts.get(&State::Due) {
            Some(1) => "which expires",
            _ => "the next",
        };
        parts.push(format!("{which} {}", time::distance(expires_at - now)));
    }
    let at_risk = report.tokens.iter();
    let at_risk = at_risk.filter(|token| token.risks.iter().any(Risk::needs_attention));
    match at_risk.count() {
        0 => {}
        count => parts.push(format!("{} at risk of the clean-up", grouped(count))),
    }
    let mut verdict = match parts.is_empty() {
        true => all,
        false => parts.join(", "),
    };
    let next_due = first(State::Active, |token| token.due_at);
    if let (None, Some(due_at)) = (first_due, next_due) {
        let which = match report.tokens.len() {
            1 => "it",
            _ => "the next",
        };
        verdict += &format!("; {which} is due on {}", time::date(due_at, now));
    }
    if let Some(unlisted) = unlisted(report.unlisted) {
        verdict += &format!("; {unlisted}");
    }
    match report.tokens.iter().filter(|t| t.problem.is_some()).count() {
        0 => verdict,
        not_renewed => format!("{verdict}; {} not renewed", grouped(not_renewed)),
    }
}

/// Says that nothing is known of accounts that were never listed, if there are any.
pub(crate) fn unlisted(accounts: usize) -> Option<String> {
    match accounts {
        0 => None,
        1 => Some("the tokens of 1 account are unknown".to_owned()),
        count => Some(format!(
            "the tokens of {} accounts are unknown",
            grouped(count)
        )),
    }
}

/// A number with its thousands set apart, such as `1,000`.
fn grouped(number: usize) -> String {
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
