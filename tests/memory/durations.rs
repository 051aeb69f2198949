//! Durations are parsed and printed without an allocation. The allocator of the whole
//! process counts allocations.

use std::fmt::{self, Write};

use allocation_counter::measure;
use cf_service_tokens::{GoDuration, TokenDuration};

/// A buffer on the stack that is large enough for any duration.
struct Place {
    bytes: [u8; 64],
    len: usize,
}

impl Write for Place {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let place = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Returns how often the work allocates memory.
fn allocations(work: impl FnOnce()) -> u64 {
    measure(work).count_total
}

#[test]
fn the_allocator_counts_allocations() {
    assert_eq!(allocations(|| drop(GoDuration::ZERO.to_string())), 1);
}

#[test]
fn parsing_does_not_allocate() {
    for text in [
        "0",
        "8760h",
        "-2562047h47m16.854775808s",
        "1.5h30m2.5s1.000000001ms7us3ns",
        "0.3333333333333333333333333333333333333333h",
        "1µs1μs",
    ] {
        let parse = || assert!(text.parse::<GoDuration>().is_ok());
        assert_eq!(allocations(parse), 0, "{text}");
    }
}

#[test]
fn printing_does_not_allocate() {
    let durations = [0, 1, -1, 1500, 1_100_000_000, i64::MAX, i64::MIN].map(GoDuration::from_nanos);
    for duration in durations {
        let mut place = Place {
            bytes: [0; 64],
            len: 0,
        };
        let print = || write!(place, "{duration} {duration:#}").unwrap();
        assert_eq!(allocations(print), 0, "{duration}");
        let expected = format!("{duration} {duration:#}");
        assert_eq!(&place.bytes[..place.len], expected.as_bytes());
    }
    let forever = TokenDuration::FOREVER;
    let mut place = Place {
        bytes: [0; 64],
        len: 0,
    };
    assert_eq!(allocations(|| write!(place, "{forever}").unwrap()), 0);
}
