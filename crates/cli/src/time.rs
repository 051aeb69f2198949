//! Times and spans of time, as people read and type them.

use std::time::Duration;

use cf_service_tokens::{GoDuration, TokenDuration};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

/// The date in UTC and how far off it is, such as `2026-12-15 in 21 days`.
pub(crate) fn date_and_distance(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} {}", date(at, now), distance(at - now))
}

/// How far off something is, and the date in UTC, such as `in 21 days (2026-12-15)` or
/// `in 19 hours (2026-11-26 09:30 UTC)`.
pub(crate) fn distance_and_date(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let date = date(at, now);
    let zone = if date.contains(':') { " UTC" } else { "" };
    format!("{} ({date}{zone})", distance(at - now))
}

/// The date in UTC, such as `2026-12-15`; with the time of day where the day alone says
/// too little.
pub(crate) fn date(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let format = match (at - now).abs() < TimeDelta::hours(48) {
        true => "%Y-%m-%d %H:%M",
        false => "%Y-%m-%d",
    };
    at.format(format).to_string()
}

/// How far off something is, to the nearest unit that matters: `in 21 days`,
/// `3 hours ago`.
pub(crate) fn distance(from_now: TimeDelta) -> String {
    let length = from_now.abs();
    let seconds = length.num_seconds();
    // Each unit begins where the one before would round up to it.
    let (unit, unit_seconds) = match seconds {
        ..60 if from_now < TimeDelta::zero() => return "just now".to_owned(),
        ..1 => return "now".to_owned(),
        1..60 => ("second", 1),
        60..3_570 => ("minute", 60),
        3_570..171_000 => ("hour", 3_600),
        171_000..63_028_800 => ("day", 86_400),
        _ => ("year", 31_536_000),
    };
    let words = counted((seconds + unit_seconds / 2) / unit_seconds, unit);
    match from_now < TimeDelta::zero() {
        true => format!("{words} ago"),
        false => format!("in {words}"),
    }
}

fn counted(count: i64, unit: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// How long something takes, in the largest unit that is exact: `30 days`, `90 minutes`.
pub(crate) fn length(span: Duration) -> String {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    let units = [("day", 86_400), ("hour", 3_600), ("minute", 60)];
    let exact = units.into_iter().find(|(_, unit)| seconds % unit == 0);
    let (unit, unit_seconds) = exact.unwrap_or(("second", 1));
    counted(seconds / unit_seconds, unit)
}

/// How old something is, in the largest unit that matters, such as `34 days`.
pub(crate) fn age_words(age: TimeDelta) -> String {
    let words = distance(age.max(TimeDelta::seconds(1)));
    words.trim_start_matches("in ").to_owned()
}

/// A span of time as [`span`] parses it, such as `30d`.
pub(crate) fn short(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    let exact = units
        .into_iter()
        .find(|(_, unit)| seconds.is_multiple_of(*unit));
    let (unit, unit_seconds) = exact.unwrap_or(("s", 1));
    format!("{}{unit}", seconds / unit_seconds)
}

/// How far this machine's clock is off, in words.
pub(crate) fn clock_difference(ahead: TimeDelta) -> String {
    let side = match ahead > TimeDelta::zero() {
        true => "ahead of",
        false => "behind",
    };
    // To the minute, since the API tells the time in whole seconds.
    let minutes = (ahead.abs() + TimeDelta::seconds(30)).num_minutes();
    let length = distance(TimeDelta::minutes(minutes));
    let length = length.trim_start_matches("in ");
    format!("this machine's clock is {length} {side} the API's")
}

/// A time to the minute, such as `2026-12-15 09:30 UTC`.
pub(crate) fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The window, unless another one is set.
pub(crate) const WINDOW: Duration = DAY.saturating_mul(30);
/// The shortest window: hourly runs still notice a token in time.
const MIN_WINDOW: Duration = HOUR;
/// The longest window: a refreshed token expires in a year, and would be due at once.
const MAX_WINDOW: Duration = DAY.saturating_mul(364);
/// The shortest grace period, in which all users of a token get its new secret.
const MIN_GRACE: Duration = Duration::from_secs(600);
const MAX_GRACE: Duration = DAY.saturating_mul(365);

/// Ten years.
const MAX_AGE: Duration = DAY.saturating_mul(3_650);

/// The longest deadline of a call. The health check of a watcher counts on it, and the API
/// locks out a client for five minutes.
const MAX_DEADLINE: Duration = Duration::from_secs(900);

/// Parses a span of time: the grammar of Go, which the API has, with days and weeks.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wrong = |fault: &str| {
        format!("{fault}; write numbers with the units w, d, h, m or s, such as 30d or 1d12h")
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut in_hours = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let (number, tail) = rest.split_at(rest.find(|c| !is_digit(c)).unwrap_or(rest.len()));
        let (unit, tail) = tail.split_at(tail.find(is_digit).unwrap_or(tail.len()));
        let hours = match unit {
            _ if number.is_empty() => return Err(wrong("a number is missing")),
            "" => return Err(wrong("a unit is missing")),
            "w" => 168,
            "d" => 24,
            "h" | "m" | "s" => {
                in_hours.extend([number, unit]);
                rest = tail;
                continue;
            }
            "y" | "M" | "mo" => {
                return Err(wrong("years and months differ in length, so count days"));
            }
            _ => return Err(wrong("unknown unit")),
        };
        let number: u64 = number
            .parse()
            .map_err(|_| wrong("days and weeks are whole numbers"))?;
        let number = number.checked_mul(hours).ok_or("the span is too long")?;
        in_hours += &format!("{number}h");
        rest = tail;
    }
    let duration: GoDuration = in_hours.parse().map_err(|_| wrong("not a span of time"))?;
    duration.try_into().map_err(|_| wrong("not a span of time"))
}

/// Parses the longest time between two passes of a watcher.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let interval = span(text)?;
    match (Duration::from_secs(60)..=DAY).contains(&interval) {
        true => Ok(interval),
        false => Err("the interval is at least 1m and at most 1d".to_owned()),
    }
}

/// Parses how long a call may take.
pub(crate) fn deadline(text: &str) -> Result<Duration, String> {
    let deadline = span(text)?;
    match (Duration::from_secs(1)..=MAX_DEADLINE).contains(&deadline) {
        true => Ok(deadline),
        false => Err("the deadline is at least 1s and at most 15m".to_owned()),
    }
}

/// Parses how long a token is valid. Days and weeks become hours, which the API knows.
pub(crate) fn token_duration(text: &str) -> Result<TokenDuration, String> {
    if text == TokenDuration::FOREVER.as_str() {
        return Ok(TokenDuration::FOREVER);
    }
    let span = span(text).map_err(|fault| format!("{fault}, or `forever`"))?;
    if span.is_zero() {
        return Err("such a token would expire at once".to_owned());
    }
    span.try_into()
        .map_err(|_| "the API knows no duration longer than 292 years".to_owned())
}

/// Parses how long before its expiry a token is due.
pub(crate) fn window(text: &str) -> Result<Duration, String> {
    let window = span(text)?;
    if window < MIN_WINDOW {
        let minutes = if text.ends_with('m') { MINUTES } else { "" };
        return Err(format!("the shortest window is 1h{minutes}"));
    }
    if window > MAX_WINDOW {
        return Err(
            "the longest window is 364d: a refreshed token expires in a year, so it would be due again at once"
                .to_owned(),
        );
    }
    Ok(window)
}

/// Parses how old a secret may become.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let age = span(text)?;
    if (DAY..=MAX_AGE).contains(&age) {
        return Ok(age);
    }
    let minutes = if text.ends_with('m') { MINUTES } else { "" };
    Err(format!(
        "a secret may become at least 1d and at most 3650d old{minutes}"
    ))
}

/// Parses how long an old secret still works.
pub(crate) fn grace(text: &str) -> Result<Duration, String> {
    let grace = span(text)?;
    if grace.is_zero() {
        return Err("to end the old secret at once, use --revoke-now".to_owned());
    }
    in_grace(text, grace)
}

/// Holds a span against the limits of a grace period.
fn in_grace(text: &str, grace: Duration) -> Result<Duration, String> {
    if grace < MIN_GRACE {
        let minutes = if text.ends_with('m') { MINUTES } else { "" };
        return Err(format!("the shortest grace period is 10m{minutes}"));
    }
    if grace > MAX_GRACE {
        return Err("the longest grace period is 365d".to_owned());
    }
    Ok(grace)
}

const MINUTES: &str = "; `m` means minutes, so write 30d for a month";

/// A point in time, or how far it is from now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    At(DateTime<Utc>),
    In(Duration),
}

impl When {
    /// Parses a time, a date, which means its first moment in UTC, or a span from now;
    /// `0s` is now.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        if let Ok(date) = text.parse::<NaiveDate>() {
            return Ok(Self::At(date.and_time(NaiveTime::MIN).and_utc()));
        }
        let span = span(text).map_err(|fault| {
            format!("not a time such as 2027-01-31T12:00:00Z, a date, or a span: {fault}")
        })?;
        match span.is_zero() {
            true => Ok(Self::In(span)),
            false => in_grace(text, span).map(Self::In),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_told_in_the_unit_that_matters() {
        let minutes = TimeDelta::minutes;
        for (from_now, words) in [
            (TimeDelta::milliseconds(999), "now"),
            (TimeDelta::seconds(1), "in 1 second"),
            (TimeDelta::seconds(59), "in 59 seconds"),
            (TimeDelta::milliseconds(-1), "just now"),
            (TimeDelta::seconds(-59), "just now"),
            (minutes(1), "in 1 minute"),
            (TimeDelta::seconds(3_569), "in 59 minutes"),
            (TimeDelta::seconds(3_570), "in 1 hour"),
            (minutes(-60), "1 hour ago"),
            (minutes(-119), "2 hours ago"),
            (minutes(120), "in 2 hours"),
            (TimeDelta::hours(47), "in 47 hours"),
            (TimeDelta::minutes(47 * 60 + 30), "in 2 days"),
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
    fn a_length_is_exact() {
        for (text, words) in [
            ("1h", "1 hour"),
            ("90m", "90 minutes"),
            ("36h", "36 hours"),
            ("1d", "1 day"),
            ("30d", "30 days"),
            ("52w", "364 days"),
            ("61s", "61 seconds"),
        ] {
            assert_eq!(length(span(text).unwrap()), words);
        }
    }

    #[test]
    fn a_short_span_is_parsed_as_it_was() {
        for text in ["1h", "90m", "36h", "1d", "30d", "61s"] {
            assert_eq!(short(span(text).unwrap()), text);
        }
    }

    #[test]
    fn a_clock_is_off_by_whole_minutes() {
        for (ahead, words) in [
            (TimeDelta::seconds(-91), "2 minutes behind"),
            (TimeDelta::seconds(600), "10 minutes ahead of"),
            (TimeDelta::seconds(-2 * 86_400 + 1), "2 days behind"),
        ] {
            let expected = format!("this machine's clock is {words} the API's");
            assert_eq!(clock_difference(ahead), expected);
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
        assert_eq!(
            distance_and_date(now + TimeDelta::hours(19), now),
            "in 19 hours (2026-11-25 00:00 UTC)"
        );
        assert_eq!(
            distance_and_date(now + TimeDelta::days(9), now),
            "in 9 days (2026-12-03)"
        );
    }

    #[test]
    fn every_option_has_one_grammar_of_time() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("90s", 90),
            ("90m", 5_400),
            ("1.5h", 5_400),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
            ("1d12h", 129_600),
            ("1w1d1h1m1s", 694_861),
        ] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            " ",
            "30",
            "d",
            "1y",
            "1M",
            "1mo",
            "1month",
            "30 d",
            "30d ",
            "-1h",
            "+1h",
            "1.5d",
            "1e3h",
            "10ms",
            "forever",
            "99999999999999999999d",
            "9999999999999w",
            "9999999h",
            "1\u{1b}[2J",
        ] {
            let fault = span(text).unwrap_err();
            assert!(fault.chars().all(|c| !c.is_control()), "{fault}");
        }
    }

    #[test]
    fn a_duration_is_sent_in_the_units_of_the_api() {
        for (text, sent) in [
            ("30d", "720h"),
            ("1w", "168h"),
            ("1d12h", "36h"),
            ("60m", "1h"),
            ("8760h", "8760h"),
            ("forever", "forever"),
        ] {
            assert_eq!(token_duration(text).unwrap().as_str(), sent);
        }
        for text in ["0", "0s", "-1h", "forever1h"] {
            token_duration(text).unwrap_err();
        }
    }

    #[test]
    fn windows_and_graces_have_limits() {
        assert_eq!(window("1h"), Ok(HOUR));
        assert_eq!(window("52w"), Ok(MAX_WINDOW));
        assert!(window("1m").unwrap_err().contains("30d for a month"));
        for text in ["0s", "59m", "365d", "9999d"] {
            window(text).unwrap_err();
        }
        assert_eq!(grace("10m"), Ok(MIN_GRACE));
        assert_eq!(grace("365d"), Ok(MAX_GRACE));
        assert!(grace("0").unwrap_err().contains("--revoke-now"));
        assert!(grace("1m").unwrap_err().contains("30d for a month"));
        grace("366d").unwrap_err();
    }

    #[test]
    fn intervals_and_deadlines_have_limits() {
        for text in ["1m", "1h", "1d"] {
            assert!(interval(text).is_ok(), "{text}");
        }
        for text in ["1s", "15m"] {
            assert!(deadline(text).is_ok(), "{text}");
        }
        assert!(interval("59s").is_err() && deadline("16m").is_err());
        for text in ["0", "0s", "25h", "1w"] {
            assert!(interval(text).is_err() && deadline(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_also_a_date_or_a_span() {
        let at = |text: &str| When::At(text.parse().unwrap());
        for (text, when) in [
            ("2027-01-31T12:00:00Z", at("2027-01-31T12:00:00Z")),
            ("2027-01-31T12:00:00+02:00", at("2027-01-31T10:00:00Z")),
            ("2027-01-31", at("2027-01-31T00:00:00Z")),
            ("2h", When::In(HOUR * 2)),
            ("0s", When::In(Duration::ZERO)),
        ] {
            assert_eq!(When::parse(text), Ok(when));
        }
        for text in ["tomorrow", "2027-02-31", "1m", "10000d"] {
            When::parse(text).unwrap_err();
        }
    }
}
