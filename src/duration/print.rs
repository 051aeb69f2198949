//! Writes durations as Go does, and shorter, without allocating.

use std::fmt::{self, Write};

use serde::ser::{Serialize, Serializer};

use super::go::{GoDuration, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND};

impl fmt::Display for GoDuration {
    /// Go's form, `8760h0m0s`; with `#`, the short form, `8760h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if f.alternate() { Form::Short } else { Form::Go };
        pad(f, Buffer::new().print(*self, form))
    }
}

impl fmt::Debug for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GoDuration({self:#})")
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Buffer::new().print(*self, Form::Short))
    }
}

/// Writes a text, padded to the formatter's width.
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
enum Form {
    /// Includes all units below the largest: `1h0m0s`.
    Go,
    /// Omits trailing units that are zero: `1h`.
    Short,
}

/// A buffer for the text of a duration, written from its end to its start.
struct Buffer {
    bytes: [u8; Buffer::CAPACITY],
    /// The index at which the text starts.
    start: usize,
}

impl Buffer {
    /// The longest text, that of [`GoDuration::MIN`], has 25 bytes.
    const CAPACITY: usize = 32;

    fn new() -> Self {
        Self {
            bytes: [0; Self::CAPACITY],
            start: Self::CAPACITY,
        }
    }

    fn print(&mut self, duration: GoDuration, form: Form) -> &str {
        match duration.as_nanos().unsigned_abs() {
            nanos @ 1..MICROSECOND => {
                self.push_all(b"ns");
                self.push_number(nanos as u32);
            }
            nanos @ MICROSECOND..MILLISECOND => {
                self.push_all("µs".as_bytes());
                self.push_fraction((nanos % MICROSECOND) as u32, 3);
                self.push_number((nanos / MICROSECOND) as u32);
            }
            nanos @ MILLISECOND..SECOND => {
                self.push_all(b"ms");
                self.push_fraction((nanos % MILLISECOND) as u32, 6);
                self.push_number((nanos / MILLISECOND) as u32);
            }
            nanos => self.push_clock(nanos, form),
        }
        if duration.is_negative() {
            self.push(b'-');
        }
        let text = self.bytes.get(self.start..).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }

    /// Writes hours, minutes and seconds, from the largest unit that isn't zero.
    #[inline]
    fn push_clock(&mut self, nanos: u64, form: Form) {
        let (seconds, fraction) = (nanos / SECOND, (nanos % SECOND) as u32);
        let (minutes, seconds) = ((seconds / 60) as u32, (seconds % 60) as u32);
        let (hours, minutes) = (minutes / 60, minutes % 60);
        let has_seconds = form == Form::Go || seconds > 0 || fraction > 0 || nanos < MINUTE;
        if has_seconds {
            self.push(b's');
            self.push_fraction(fraction, 9);
            self.push_number(seconds);
        }
        if nanos >= MINUTE && (has_seconds || minutes > 0) {
            self.push(b'm');
            self.push_number(minutes);
        }
        if nanos >= HOUR {
            self.push(b'h');
            self.push_number(hours);
        }
    }

    #[inline]
    fn push_number(&mut self, mut number: u32) {
        while number >= 10 {
            self.push_digit(number);
            number /= 10;
        }
        self.push_digit(number);
    }

    /// Writes a point and this many digits, without trailing zeros; nothing if all are zero.
    #[inline]
    fn push_fraction(&mut self, mut fraction: u32, mut digits: u32) {
        if fraction == 0 {
            return;
        }
        // Most fractions are whole milliseconds or microseconds.
        while fraction.is_multiple_of(1000) {
            fraction /= 1000;
            digits -= 3;
        }
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            digits -= 1;
        }
        for _ in 0..digits {
            self.push_digit(fraction);
            fraction /= 10;
        }
        self.push(b'.');
    }

    /// Writes the last digit of a number.
    #[inline]
    fn push_digit(&mut self, number: u32) {
        self.push(b'0' + (number % 10) as u8);
    }

    /// Writes bytes in the order that they have in the text.
    #[inline]
    fn push_all(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().rev() {
            self.push(*byte);
        }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        // The remainder is always a valid index, so that the compiler omits the bounds check.
        self.start = self.start.wrapping_sub(1) % Self::CAPACITY;
        self.bytes[self.start] = byte;
    }
}
