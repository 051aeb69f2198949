//! Parses Go's duration grammar, byte by byte and without allocating.

use std::str::FromStr;

use super::error::ParseDurationError;
use super::error::ParseDurationErrorKind::{self, Invalid, MissingUnit, OutOfRange, UnknownUnit};
use super::go::{GoDuration, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND};

/// The largest distance from zero, in nanoseconds: that of [`GoDuration::MIN`].
const LIMIT: u64 = i64::MIN.unsigned_abs();

impl FromStr for GoDuration {
    type Err = ParseDurationError;

    /// Parses a duration exactly as Go's `time.ParseDuration` does.
    ///
    /// # Errors
    ///
    /// A [`ParseDurationError`] if the text is not a duration, or one out of range.
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
        let (negative, mut rest) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut sum: u64 = 0;
        loop {
            let start = rest;
            match part(&mut rest) {
                Ok(nanos) => {
                    sum = sum.saturating_add(nanos);
                    if sum > LIMIT {
                        return failure(OutOfRange, text, start);
                    }
                }
                Err(kind) => return failure(kind, text, rest),
            }
            if rest.is_empty() {
                break;
            }
        }
        match i64::try_from(sum) {
            Ok(nanos) if negative => Ok(Self::from_nanos(-nanos)),
            Ok(nanos) => Ok(Self::from_nanos(nanos)),
            Err(_) if negative => Ok(Self::MIN),
            Err(_) => failure(OutOfRange, text, text.as_bytes()),
        }
    }
}

#[cold]
fn failure(
    kind: ParseDurationErrorKind,
    text: &str,
    rest: &[u8],
) -> Result<GoDuration, ParseDurationError> {
    // Only a lone zero needs no unit.
    if matches!(text, "0" | "+0" | "-0") {
        return Ok(GoDuration::ZERO);
    }
    Err(ParseDurationError::new(kind, text, text.len() - rest.len()))
}

/// Parses a number and its unit; returns its nanoseconds and the remaining bytes.
#[inline]
fn part(rest: &mut &[u8]) -> Result<u64, ParseDurationErrorKind> {
    let start = *rest;
    let whole = Digits::read(start);
    let Some(number) = whole.number() else {
        return Err(OutOfRange);
    };
    let mut after = whole.after;
    let mut fraction = None;
    if let [b'.', digits @ ..] = after {
        let digits = Digits::read(digits);
        after = digits.after;
        fraction = Some(digits);
        if whole.count + digits.count == 0 {
            return Err(Invalid);
        }
    } else if whole.count == 0 {
        return Err(Invalid);
    }
    let unit_start = after;
    let unit = match unit(&mut after) {
        Ok(unit) => unit,
        Err(UnknownUnit) => {
            *rest = unit_start;
            return Err(UnknownUnit);
        }
        Err(kind) => return Err(kind),
    };
    let Some(nanos) = number.checked_mul(unit) else {
        return Err(OutOfRange);
    };
    *rest = after;
    match fraction {
        Some(fraction) => Ok(nanos.saturating_add(fraction.of(unit))),
        None => Ok(nanos),
    }
}

/// A run of digits, which may be empty.
#[derive(Clone, Copy)]
struct Digits<'a> {
    start: &'a [u8],
    count: usize,
    /// The number that they denote, modulo 2⁶⁴.
    value: u64,
    after: &'a [u8],
}

impl<'a> Digits<'a> {
    #[inline]
    fn read(start: &'a [u8]) -> Self {
        let mut value: u64 = 0;
        let mut after = start;
        while let [digit @ b'0'..=b'9', rest @ ..] = after {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            after = rest;
        }
        Self {
            start,
            count: start.len() - after.len(),
            value,
            after,
        }
    }

    /// Returns the number that they denote, or `u64::MAX` if it is larger.
    #[inline]
    fn number(self) -> Option<u64> {
        // Any 18 digits fit.
        if self.count <= 18 {
            Some(self.value)
        } else {
            long_number(self.start)
        }
    }

    /// Returns the fraction of a unit that they denote after a decimal point, in nanoseconds.
    #[inline]
    fn of(self, unit: u64) -> u64 {
        match POWERS_OF_TEN.get(self.count) {
            Some(scale) if unit.is_multiple_of(*scale) => self.value * (unit / scale),
            _ => fine_fraction(self.start, unit),
        }
    }
}

/// Returns the number at the start of a text, or `u64::MAX` if it is larger.
#[cold]
fn long_number(start: &[u8]) -> Option<u64> {
    let number = leading_digits(start).fold(0, |number: u64, digit| {
        number.saturating_mul(10).saturating_add(digit)
    });
    (number <= LIMIT).then_some(number)
}

/// Returns a fraction of a unit with digits below a nanosecond.
///
/// The steps are those of Go, and each may round. Any other algorithm, even an exact one,
/// differs by a nanosecond for some texts.
#[cold]
fn fine_fraction(start: &[u8], unit: u64) -> u64 {
    let (mut value, mut scale) = (0, 1.0);
    for digit in leading_digits(start) {
        // Go ignores digits that would make the number larger than 2⁶³.
        if value > LIMIT / 10 || value * 10 + digit > LIMIT {
            break;
        }
        value = value * 10 + digit;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

fn leading_digits(start: &[u8]) -> impl Iterator<Item = u64> {
    let digits = start.iter().take_while(|byte| byte.is_ascii_digit());
    digits.map(|digit| u64::from(digit - b'0'))
}

/// 10⁰ to 10¹¹: an hour in nanoseconds ends with eleven zeros, the most of all units.
const POWERS_OF_TEN: [u64; 12] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    100_000_000_000,
];

/// Parses a unit, which ends at the next digit, point or end of text; returns its nanoseconds.
#[inline]
fn unit(rest: &mut &[u8]) -> Result<u64, ParseDurationErrorKind> {
    let (unit, after) = match rest {
        [b'h', after @ ..] => (HOUR, after),
        [b'm', b's', after @ ..] => (MILLISECOND, after),
        [b'm', after @ ..] => (MINUTE, after),
        [b's', after @ ..] => (SECOND, after),
        [b'u', b's', after @ ..] => (MICROSECOND, after),
        // U+00B5 micro sign, U+03BC Greek small letter mu
        [0xC2, 0xB5, b's', after @ ..] | [0xCE, 0xBC, b's', after @ ..] => (MICROSECOND, after),
        [b'n', b's', after @ ..] => (1, after),
        [] | [b'0'..=b'9' | b'.', ..] => return Err(MissingUnit),
        _ => return Err(UnknownUnit),
    };
    match after {
        [] | [b'0'..=b'9' | b'.', ..] => {
            *rest = after;
            Ok(unit)
        }
        _ => Err(UnknownUnit),
    }
}
