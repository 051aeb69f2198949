//! Writes durations as Go does, and shorter, without allocating.

use std::fmt::{self, Write};

use serde::ser::{Serialize, Serializer};

use super::go::{GoDuration, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND};

impl fmt::Display for GoDuration {
    /// Go's form, `8760h0m0s`; with `#`, the short form, `8760h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if f.alternate() { Form::Short } else { Form::Go };
        pad(f, Text::of(*self, form).as_str())
    }
}

impl fmt::Debug for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GoDuration({self:#})")
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Text::of(*self, Form::Short).as_str())
    }
}

/// Writes a text at the width that is asked for.
///
/// Unlike [`fmt::Formatter::pad`] it ignores the precision, which would cut the text short.
pub(super) fn pad(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let Some(width) = f.width() else {
        return f.write_str(text);
    };
    let padding = width.saturating_sub(text.chars().count());
    let before = match f.align() {
        Some(fmt::Alignment::Right) => padding,
        Some(fmt::Alignment::Center) => padding / 2,
        Some(fmt::Alignment::Left) | None => 0,
    };
    let fill = f.fill();
    for _ in 0..before {
        f.write_char(fill)?;
    }
    f.write_str(text)?;
    for _ in before..padding {
        f.write_char(fill)?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// With every unit below the largest: `1h0m0s`.
    Go,
    /// Without the last units where they are zero: `1h`.
    Short,
}

/// A duration in text, built from its end on the stack.
pub(super) struct Text {
    bytes: [u8; Text::CAPACITY],
    start: usize,
}

impl Text {
    /// The longest text, that of [`GoDuration::MIN`], takes 25 bytes.
    const CAPACITY: usize = 32;

    pub(super) fn of(duration: GoDuration, form: Form) -> Self {
        let mut text = Self {
            bytes: [0; Self::CAPACITY],
            start: Self::CAPACITY,
        };
        match duration.as_nanos().unsigned_abs() {
            nanos @ 1..MICROSECOND => {
                text.prepend(b"ns");
                text.prepend_number(nanos);
            }
            nanos @ MICROSECOND..MILLISECOND => {
                text.prepend("µs".as_bytes());
                text.prepend_decimal(nanos, MICROSECOND);
            }
            nanos @ MILLISECOND..SECOND => {
                text.prepend(b"ms");
                text.prepend_decimal(nanos, MILLISECOND);
            }
            nanos => text.prepend_clock(nanos, form),
        }
        if duration.is_negative() {
            text.prepend(b"-");
        }
        text
    }

    pub(super) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(self.start..).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }

    /// Hours, minutes and seconds, from the largest that isn't zero.
    #[inline]
    fn prepend_clock(&mut self, nanos: u64, form: Form) {
        let (hours, below_hour) = (nanos / HOUR, nanos % HOUR);
        let (minutes, below_minute) = (below_hour / MINUTE, below_hour % MINUTE);
        let short = form == Form::Short;

        if nanos < MINUTE || below_minute > 0 || !short {
            self.prepend(b"s");
            self.prepend_decimal(below_minute, SECOND);
        }
        if nanos >= MINUTE && (nanos < HOUR || below_hour > 0 || !short) {
            self.prepend(b"m");
            self.prepend_number(minutes);
        }
        if nanos >= HOUR {
            self.prepend(b"h");
            self.prepend_number(hours);
        }
    }

    /// `nanos / unit`, where the unit is a power of ten, with no zeros at the end.
    #[inline]
    fn prepend_decimal(&mut self, nanos: u64, unit: u64) {
        let (mut fraction, mut scale) = (nanos % unit, unit);
        if fraction > 0 {
            while fraction % 10 == 0 {
                fraction /= 10;
                scale /= 10;
            }
            while scale > 1 {
                self.prepend_digit(fraction);
                fraction /= 10;
                scale /= 10;
            }
            self.prepend(b".");
        }
        self.prepend_number(nanos / unit);
    }

    #[inline]
    fn prepend_number(&mut self, mut number: u64) {
        self.prepend_digit(number);
        while number >= 10 {
            number /= 10;
            self.prepend_digit(number);
        }
    }

    /// The last digit of a number.
    #[inline]
    fn prepend_digit(&mut self, number: u64) {
        self.prepend(&[b'0' + (number % 10) as u8]);
    }

    #[inline]
    fn prepend(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().rev() {
            self.start = self.start.saturating_sub(1);
            if let Some(place) = self.bytes.get_mut(self.start) {
                *place = *byte;
            }
        }
    }
}
