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
enum Form {
    /// With every unit below the largest: `1h0m0s`.
    Go,
    /// Without the last units where they are zero: `1h`.
    Short,
}

/// Where a duration is written before it goes out in one piece.
struct Buffer {
    bytes: [u8; Buffer::CAPACITY],
    len: usize,
}

impl Buffer {
    /// The longest text, that of [`GoDuration::MIN`], takes 25 bytes.
    const CAPACITY: usize = 32;

    fn new() -> Self {
        Self {
            bytes: [0; Self::CAPACITY],
            len: 0,
        }
    }

    fn print(&mut self, duration: GoDuration, form: Form) -> &str {
        if duration.is_negative() {
            self.push(b'-');
        }
        match duration.as_nanos().unsigned_abs() {
            nanos @ 1..MICROSECOND => {
                self.push_number(nanos);
                self.push_all(b"ns");
            }
            nanos @ MICROSECOND..MILLISECOND => {
                self.push_number(nanos / MICROSECOND);
                self.push_fraction(nanos % MICROSECOND * 1_000_000);
                self.push_all("µs".as_bytes());
            }
            nanos @ MILLISECOND..SECOND => {
                self.push_number(nanos / MILLISECOND);
                self.push_fraction(nanos % MILLISECOND * 1_000);
                self.push_all(b"ms");
            }
            nanos => self.push_clock(nanos, form),
        }
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }

    /// Hours, minutes and seconds, from the largest that isn't zero.
    #[inline]
    fn push_clock(&mut self, nanos: u64, form: Form) {
        if nanos >= HOUR {
            self.push_number(nanos / HOUR);
            self.push(b'h');
            if form == Form::Short && nanos.is_multiple_of(HOUR) {
                return;
            }
        }
        if nanos >= MINUTE {
            self.push_number(nanos / MINUTE % 60);
            self.push(b'm');
            if form == Form::Short && nanos.is_multiple_of(MINUTE) {
                return;
            }
        }
        self.push_number(nanos / SECOND % 60);
        self.push_fraction(nanos % SECOND);
        self.push(b's');
    }

    /// A number of at most seven digits, as many as the longest duration has hours.
    #[inline]
    fn push_number(&mut self, number: u64) {
        for scale in [1_000_000, 100_000, 10_000, 1_000, 100, 10] {
            if number >= scale {
                self.push_digit(number / scale);
            }
        }
        self.push_digit(number);
    }

    /// Billionths, after a point and without zeros at the end; nothing if there are none.
    #[inline]
    fn push_fraction(&mut self, billionths: u64) {
        if billionths == 0 {
            return;
        }
        self.push(b'.');
        for scale in [
            100_000_000,
            10_000_000,
            1_000_000,
            100_000,
            10_000,
            1_000,
            100,
            10,
            1,
        ] {
            self.push_digit(billionths / scale);
            if billionths.is_multiple_of(scale) {
                return;
            }
        }
    }

    /// The last digit of a number.
    #[inline]
    fn push_digit(&mut self, number: u64) {
        self.push(b'0' + (number % 10) as u8);
    }

    #[inline]
    fn push_all(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.push(*byte);
        }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}
