//! Times as people speak of them: the date, and how far off it is.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The date in UTC and how far off it is, such as `2026-12-15 in 21 days`; with
/// the time of day where the day alone says too little.
pub(crate) fn date_and_distance(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let from_now = at - now;
    let format = match from_now.abs() < TimeDelta::hours(48) {
        true => "%Y-%m-%d %H:%M",
        false => "%Y-%m-%d",
    };
    format!("{} {}", at.format(format), distance(from_now))
}

/// How far off something is, to the nearest unit that matters: `in 21 days`,
/// `3 hours ago`.
pub(crate) fn distance(from_now: TimeDelta) -> String {
    let length = from_now.abs();
    let seconds = length.num_seconds();
    let (unit, unit_seconds) = match seconds {
        ..60 => {
            return if from_now < TimeDelta::zero() {
                "just now"
            } else {
                "now"
            }
            .to_owned();
        }
        60..7_200 => ("minute", 60),
        7_200..172_800 => ("hour", 3_600),
        172_800..63_072_000 => ("day", 86_400),
        _ => ("year", 31_536_000),
    };
    let count = (seconds + unit_seconds / 2) / unit_seconds;
    let plural = if count == 1 { "" } else { "s" };
    match from_now < TimeDelta::zero() {
        true => format!("{count} {unit}{plural} ago"),
        false => format!("in {count} {unit}{plural}"),
    }
}

/// How long something takes, in the unit that matters: `30 days`.
pub(crate) fn length(span: Duration) -> String {
    let span = TimeDelta::from_std(span).unwrap_or(TimeDelta::MAX);
    distance(span).trim_start_matches("in ").to_owned()
}

/// A time to the minute, such as `2026-12-15 09:30 UTC`.
pub(crate) fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_told_in_the_unit_that_matters() {
        let minutes = TimeDelta::minutes;
        for (from_now, words) in [
            (TimeDelta::seconds(59), "now"),
            (TimeDelta::seconds(-59), "just now"),
            (minutes(1), "in 1 minute"),
            (minutes(-119), "119 minutes ago"),
            (minutes(120), "in 2 hours"),
            (TimeDelta::hours(47), "in 47 hours"),
            (
                TimeDelta::days(21) - TimeDelta::milliseconds(5),
                "in 21 days",
            ),
            (TimeDelta::days(-3), "3 days ago"),
            (TimeDelta::days(729), "in 729 days"),
            (TimeDelta::days(1460), "in 4 years"),
        ] {
            assert_eq!(distance(from_now), words);
        }
    }

    #[test]
    fn a_near_time_is_told_to_the_minute() {
        let now: DateTime<Utc> = "2026-11-24T05:00:00Z".parse().unwrap();
        assert_eq!(
            date_and_distance(now + TimeDelta::hours(19), now),
            "2026-11-25 00:00 in 19 hours"
        );
        assert_eq!(
            date_and_distance(now + TimeDelta::days(9), now),
            "2026-12-03 in 9 days"
        );
    }
}
