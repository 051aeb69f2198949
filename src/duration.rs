//! How long a service token is valid.
//!
//! Cloudflare writes a token's lifetime the way Go writes a
//! [`time.Duration`](https://pkg.go.dev/time#ParseDuration): `8760h` is a year, and `60m` is the
//! same as `1h`. There is one addition, the word `forever`.
//!
//! - [`GoDuration`] is the length itself: nanoseconds in an `i64`, read and printed as Go does.
//! - [`TokenDuration`] is the value of a token's `duration` field: a [`GoDuration`], `forever`, or,
//!   in a response, a text that this version can't read.
//!
//! # The grammar
//!
//! An optional sign for the whole, then `0`, or one or more decimal numbers that each have a
//! unit: `h`, `m`, `s`, `ms`, `us` (also `µs`, with either micro sign) or `ns`. Units come in any
//! order and may repeat. There is no unit for days or years, blanks are not allowed, and letters are
//! lower case.
//!
//! # Where this differs from Go
//!
//! Go adds the parts of a duration in a 64-bit integer, where two parts of exactly 2⁶³ nanoseconds
//! wrap to zero: Go reads `9223372036854775808ns9223372036854775808ns` as `0s`. Here that text is
//! out of range, like every other text past the limit. Everything else is the same, including the
//! rounding of fractions finer than a nanosecond.

mod error;
mod go;
mod parse;
mod print;
#[cfg(feature = "schemars")]
mod schema;
mod token;

pub use error::{DurationRangeError, ParseDurationError, ParseDurationErrorKind};
pub use go::GoDuration;
pub(crate) use go::saturated;
pub use token::TokenDuration;
