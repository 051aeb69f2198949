//! The text of a `duration`: Go's `time.ParseDuration` grammar, or `forever`.

use chrono::{DateTime, TimeDelta, Utc};

/// The duration of a token whose create call names none.
pub(crate) const DEFAULT_DURATION: &str = "8760h";

/// The length of a token's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    For(TimeDelta),
    Forever,
}

impl Lifetime {
    /// Returns the expiry of a token whose life begins at `start`.
    pub(crate) fn expiry_from(self, start: DateTime<Utc>) -> DateTime<Utc> {
        let length = match self {
            Self::For(length) => length,
            Self::Forever => TimeDelta::days(36_525),
        };
        later(start, length)
    }
}

/// `start + length`, kept within the years 0 to 9999, which RFC 3339 can write.
pub(crate) fn later(start: DateTime<Utc>, length: TimeDelta) -> DateTime<Utc> {
    let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
    let (first, last) = (at(-62_167_219_200), at(253_402_300_799));
    match start.checked_add_signed(length) {
        Some(time) => time.clamp(first, last),
        None if length < TimeDelta::zero() => first,
        None => last,
    }
}

/// Go's `int64` of nanoseconds: the largest magnitude, reached only below zero.
const LIMIT: u128 = 1 << 63;

/// Decimal places that still count. More could not move the result by a
/// nanosecond, and this many times an hour fits a `u128`.
const FRACTION_DIGITS: usize = 24;

/// Reads a duration that a token may be given: above zero, or `forever`.
///
/// The error says what is wrong with the text, for the response.
pub(crate) fn lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "forever" {
        return Ok(Lifetime::Forever);
    }
    match nanoseconds(text)? {
        length @ 1.. => Ok(Lifetime::For(TimeDelta::nanoseconds(length))),
        _ => Err(format!("duration \"{text}\" is not above zero")),
    }
}

/// Reads a duration as [`lifetime`] does; one that can't be read lasts 8760 hours.
pub(crate) fn lifetime_or_default(text: &str) -> Lifetime {
    lifetime(text).unwrap_or(Lifetime::For(TimeDelta::hours(8760)))
}

/// Reads Go's grammar to the nanosecond.
pub(crate) fn nanoseconds(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid duration \"{text}\"");

    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }

    let mut total: u128 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (whole, after_whole) = split_digits(rest);
        let (fraction, after_number) = match after_whole.strip_prefix('.') {
            Some(after_point) => split_digits(after_point),
            None => ("", after_whole),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let unit_length = after_number
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after_number.len());
        let (unit, after_unit) = after_number.split_at(unit_length);
        let unit_nanoseconds: u128 = match unit {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(format!("missing unit in duration \"{text}\"")),
            _ => return Err(format!("unknown unit \"{unit}\" in duration \"{text}\"")),
        };

        let part = read_whole(whole)
            .and_then(|whole| whole.checked_mul(unit_nanoseconds))
            .ok_or_else(invalid)?;
        total = total + part + read_fraction(fraction, unit_nanoseconds);
        if total > LIMIT {
            return Err(invalid());
        }
        rest = after_unit;
    }

    let magnitude = i128::try_from(total).map_err(|_| invalid())?;
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| invalid())
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The digits before the point, unless they already pass the limit.
fn read_whole(digits: &str) -> Option<u128> {
    digits.bytes().try_fold(0_u128, |value, digit| {
        let value = value * 10 + u128::from(digit - b'0');
        (value <= LIMIT).then_some(value)
    })
}

/// The digits behind the point, as whole nanoseconds, rounded down.
///
/// Go goes through a `float64` here: from twelve digits of an hour on, its
/// answer may be a nanosecond away from this one.
fn read_fraction(digits: &str, unit_nanoseconds: u128) -> u128 {
    let (value, scale) = digits
        .bytes()
        .take(FRACTION_DIGITS)
        .fold((0_u128, 1_u128), |(value, scale), digit| {
            (value * 10 + u128::from(digit - b'0'), scale * 10)
        });
    value * unit_nanoseconds / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read_to_the_nanosecond() {
        for (text, expected) in [
            ("0", 0),
            ("-0", 0),
            ("+5s", 5_000_000_000),
            ("-2m3.4s", -123_400_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("1h1h", 7_200_000_000_000),
            ("3h30m", 12_600_000_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("0.3333333333333333333h", 1_200_000_000_000 - 1),
            ("0.100000000000000000000h", 360_000_000_000),
            ("9223372036854775.807us", i64::MAX),
            ("-2562047h47m16.854775808s", i64::MIN),
        ] {
            assert_eq!(nanoseconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for (text, expected) in [
            ("", "invalid duration \"\""),
            ("-", "invalid duration \"-\""),
            (".s", "invalid duration \".s\""),
            (" 1h", "invalid duration \" 1h\""),
            ("3", "missing unit in duration \"3\""),
            ("00", "missing unit in duration \"00\""),
            ("1d", "unknown unit \"d\" in duration \"1d\""),
            ("1H", "unknown unit \"H\" in duration \"1H\""),
            ("3000000h", "invalid duration \"3000000h\""),
            (
                "9223372036854775808ns",
                "invalid duration \"9223372036854775808ns\"",
            ),
            (
                "9223372036854775808ns9223372036854775808ns",
                "invalid duration \"9223372036854775808ns9223372036854775808ns\"",
            ),
        ] {
            assert_eq!(nanoseconds(text), Err(expected.to_owned()));
        }
        assert!(nanoseconds(&"9".repeat(100)).is_err());
        assert!(nanoseconds(&format!("0.{}h", "9".repeat(100))).is_ok());
    }

    #[test]
    fn times_stay_within_what_rfc_3339_can_write() {
        let start = DateTime::UNIX_EPOCH;
        let text = |length| later(start, length).to_rfc3339();
        assert_eq!(text(TimeDelta::hours(1)), "1970-01-01T01:00:00+00:00");
        for far in [TimeDelta::MAX, TimeDelta::days(3_000_000)] {
            assert_eq!(text(far), "9999-12-31T23:59:59+00:00");
            assert_eq!(text(-far), "0000-01-01T00:00:00+00:00");
        }
    }

    #[test]
    fn a_token_cannot_be_born_dead() {
        assert_eq!(lifetime("60m"), Ok(Lifetime::For(TimeDelta::hours(1))));
        assert_eq!(lifetime("forever"), Ok(Lifetime::Forever));
        assert!(lifetime("0").is_err());
        assert!(lifetime("-1h").is_err());
    }
}
