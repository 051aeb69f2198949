//! Reads Go's duration grammar, byte by byte and without allocating.

use std::str::FromStr;

use super::error::{ParseDurationError, ParseDurationErrorKind};
use super::go::{GoDuration, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND};

/// The largest distance from zero, in nanoseconds: that of [`GoDuration::MIN`].
const LIMIT: u64 = i64::MIN.unsigned_abs();

impl FromStr for GoDuration {
    type Err = ParseDurationError;

    /// Reads a duration exactly as Go's `time.ParseDuration` does.
    ///
    /// # Errors
    ///
    /// [`ParseDurationError`] tells what is wrong with the text, and where.
    ///
    /// # Examples
    ///
    /// ```
    /// use cf_service_tokens::GoDuration;
    ///
    /// let duration: GoDuration = "1h30m".parse()?;
    /// assert_eq!(duration, "1.5h".parse()?);
    /// assert_eq!(duration.as_nanos(), 5_400_000_000_000);
    ///
    /// assert!("1 hour".parse::<GoDuration>().is_err());
    /// # Ok::<(), cf_service_tokens::ParseDurationError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let (negative, unsigned) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if unsigned == b"0" {
            return Ok(Self::ZERO);
        }

        let nanos = match sum_of_parts(unsigned) {
            Ok(nanos) => nanos,
            Err((kind, rest)) => {
                let offset = text.len() - rest.len();
                return Err(ParseDurationError::new(kind, text, offset));
            }
        };
        let signed = if negative {
            0_i64.checked_sub_unsigned(nanos)
        } else {
            0_i64.checked_add_unsigned(nanos)
        };
        match signed {
            Some(nanos) => Ok(Self::from_nanos(nanos)),
            None => Err(ParseDurationError::new(
                ParseDurationErrorKind::OutOfRange,
                text,
                0,
            )),
        }
    }
}

/// What is wrong, and the bytes from there to the end.
type Failure<'a> = (ParseDurationErrorKind, &'a [u8]);

/// Adds up parts such as `2h` and `45.5m`; there must be at least one.
#[inline]
fn sum_of_parts(mut rest: &[u8]) -> Result<u64, Failure<'_>> {
    let mut sum = 0;
    loop {
        let (nanos, after) = part(rest)?;
        sum = match nanos.checked_add(sum) {
            Some(sum) if sum <= LIMIT => sum,
            _ => return Err((ParseDurationErrorKind::OutOfRange, rest)),
        };
        if after.is_empty() {
            return Ok(sum);
        }
        rest = after;
    }
}

/// Reads one number and its unit; gives its nanoseconds and the bytes after it.
#[inline]
fn part(start: &[u8]) -> Result<(u64, &[u8]), Failure<'_>> {
    let whole = Digits::read(start);
    let whole_value = if whole.len <= Digits::SAFE {
        whole.value
    } else {
        saturating(start)
    };
    if whole_value > LIMIT {
        return Err((ParseDurationErrorKind::OutOfRange, start));
    }
    let (fraction, after_number) = match whole.after {
        [b'.', after @ ..] => {
            let fraction = Digits::read(after);
            if whole.len + fraction.len == 0 {
                return Err((ParseDurationErrorKind::Invalid, start));
            }
            let rest = fraction.after;
            (Some((fraction, after)), rest)
        }
        after => {
            if whole.len == 0 {
                return Err((ParseDurationErrorKind::Invalid, start));
            }
            (None, after)
        }
    };

    let (unit, zeros, after) = match unit(after_number) {
        Ok(unit) => unit,
        Err(ParseDurationErrorKind::MissingUnit) => {
            return Err((ParseDurationErrorKind::MissingUnit, start));
        }
        Err(kind) => return Err((kind, after_number)),
    };
    let Some(nanos) = whole_value.checked_mul(unit) else {
        return Err((ParseDurationErrorKind::OutOfRange, start));
    };
    let Some((fraction, fstart)) = fraction else {
        return Ok((nanos, after));
    };
    let more = match POW.get(zeros.wrapping_sub(fraction.len)) {
        Some(pow) => fraction.value * (unit / POW[zeros]) * *pow,
        None => go_fraction(fstart, unit),
    };
    Ok((nanos.saturating_add(more), after))
}

const POW: [u64; 12] = [
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
];

struct Digits<'a> {
    value: u64,
    len: usize,
    after: &'a [u8],
}

impl<'a> Digits<'a> {
    const SAFE: usize = 19;
    #[inline]
    fn read(start: &'a [u8]) -> Self {
        let mut value: u64 = 0;
        let mut after = start;
        while let [digit @ b'0'..=b'9', rest @ ..] = after {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            after = rest;
        }
        Self {
            value,
            len: start.len() - after.len(),
            after,
        }
    }
}

/// Reads digits, none included; past `u64` the number stays at its maximum.
#[cold]
fn saturating(mut rest: &[u8]) -> u64 {
    let mut number: u64 = 0;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        number = number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'));
        rest = after;
    }
    number
}

#[cold]
fn go_fraction(start: &[u8], unit: u64) -> u64 {
    let mut value = 0;
    let mut scale = 1.0;
    let mut rest = start;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        rest = after;
        if value > LIMIT / 10 {
            break;
        }
        let digits = value * 10 + u64::from(digit - b'0');
        if digits > LIMIT {
            break;
        }
        value = digits;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

/// Reads a unit, which runs to the next digit, point or end; gives its length in nanoseconds.
#[inline]
fn unit(start: &[u8]) -> Result<(u64, usize, &[u8]), ParseDurationErrorKind> {
    let (unit, zeros, after) = match start {
        [b'h', after @ ..] => (HOUR, 11, after),
        [b'm', b's', after @ ..] => (MILLISECOND, 6, after),
        [b'm', after @ ..] => (MINUTE, 10, after),
        [b's', after @ ..] => (SECOND, 9, after),
        [b'u', b's', after @ ..] => (MICROSECOND, 3, after),
        // U+00B5 micro sign, U+03BC Greek small letter mu
        [0xC2, 0xB5, b's', after @ ..] | [0xCE, 0xBC, b's', after @ ..] => (MICROSECOND, 3, after),
        [b'n', b's', after @ ..] => (1, 0, after),
        [] | [b'0'..=b'9' | b'.', ..] => return Err(ParseDurationErrorKind::MissingUnit),
        _ => return Err(ParseDurationErrorKind::UnknownUnit),
    };
    match after {
        [] | [b'0'..=b'9' | b'.', ..] => Ok((unit, zeros, after)),
        _ => Err(ParseDurationErrorKind::UnknownUnit),
    }
}
