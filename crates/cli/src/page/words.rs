//! Times and spans of time in words.

use chrono::{DateTime, TimeDelta, Utc};

/// A date and time, such as `2026-11-24 05:00 UTC`.
pub(super) fn moment(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// How far a time is from now, such as `in 12 days` or `3 hours ago`.
pub(super) fn relative(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let distance = time - now;
    let words = span(distance.abs());
    if distance > TimeDelta::zero() {
        format!("in {words}")
    } else {
        format!("{words} ago")
    }
}

/// A span of time in its largest fitting unit, rounded down, such as `12 days`.
pub(super) fn span(span: TimeDelta) -> String {
    let (count, unit) = match (span.num_days(), span.num_hours(), span.num_minutes()) {
        (days @ 730.., _, _) => (days / 365, "year"),
        (days @ 2.., _, _) => (days, "day"),
        (_, hours @ 2.., _) => (hours, "hour"),
        (_, _, minutes @ 2..) => (minutes, "minute"),
        _ => (span.num_seconds(), "second"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", grouped(count))
}

/// A number with its thousands set apart, such as `1,000`.
pub(super) fn grouped(number: i64) -> String {
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
