//! Go's type for a length of time.

use std::fmt;
use std::time::Duration;

use chrono::TimeDelta;
use serde::de::{self, Deserialize, Deserializer};

use super::error::{DurationRangeError, RangeErrorKind};

pub(super) const MICROSECOND: u64 = 1_000;
pub(super) const MILLISECOND: u64 = 1_000 * MICROSECOND;
pub(super) const SECOND: u64 = 1_000 * MILLISECOND;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;

/// A length of time in whole nanoseconds, from about -292 to 292 years: Go's `time.Duration`.
///
/// It parses ([`FromStr`](std::str::FromStr)) and prints (`{}`) exactly as in Go. The alternate
/// form (`{:#}`) omits trailing units that are zero: `8760h`, where Go prints `8760h0m0s`. Both
/// parse as the same value. Width, fill and alignment apply as to any text; a precision has no
/// effect, since a shortened text would be a different duration.
///
/// It serializes as a string in the short form.
///
/// # Examples
///
/// ```
/// use cf_service_tokens::GoDuration;
///
/// const YEAR: GoDuration = GoDuration::from_hours(8760).unwrap();
///
/// assert_eq!("8760h".parse(), Ok(YEAR));
/// assert_eq!(YEAR.to_string(), "8760h0m0s");
/// assert_eq!(format!("{YEAR:#}"), "8760h");
/// assert_eq!(format!("{YEAR:>#8}"), "   8760h");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

impl GoDuration {
    /// The duration `0s`.
    pub const ZERO: Self = Self(0);
    /// The most negative duration, `-2562047h47m16.854775808s`.
    pub const MIN: Self = Self(i64::MIN);
    /// The longest duration, `2562047h47m16.854775807s`.
    pub const MAX: Self = Self(i64::MAX);

    /// Creates a duration from nanoseconds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// assert_eq!(GoDuration::from_nanos(1_500).to_string(), "1.5µs");
    /// ```
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Creates a duration from seconds; `None` if it is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// assert_eq!(GoDuration::from_secs(90), "1m30s".parse().ok());
    /// assert_eq!(GoDuration::from_secs(i64::MAX), None);
    /// ```
    #[must_use]
    pub const fn from_secs(secs: i64) -> Option<Self> {
        Self::from_units(secs, SECOND)
    }

    /// Creates a duration from minutes; `None` if it is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// assert_eq!(GoDuration::from_mins(90), "1h30m".parse().ok());
    /// ```
    #[must_use]
    pub const fn from_mins(mins: i64) -> Option<Self> {
        Self::from_units(mins, MINUTE)
    }

    /// Creates a duration from hours; `None` if it is out of range.
    ///
    /// # Examples
    ///
    /// In a constant, a duration out of range is a compile error:
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// const FIVE_YEARS: GoDuration = GoDuration::from_hours(43_800).unwrap();
    /// assert_eq!(format!("{FIVE_YEARS:#}"), "43800h");
    /// ```
    #[must_use]
    pub const fn from_hours(hours: i64) -> Option<Self> {
        Self::from_units(hours, HOUR)
    }

    const fn from_units(count: i64, unit: u64) -> Option<Self> {
        match count.checked_mul(unit.cast_signed()) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// Returns the duration in nanoseconds.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// let duration: GoDuration = "1.5ms".parse()?;
    /// assert_eq!(duration.as_nanos(), 1_500_000);
    /// # Ok::<(), cf_service_tokens::ParseDurationError>(())
    /// ```
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Returns whether the duration is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// assert!(GoDuration::ZERO.is_zero());
    /// ```
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Returns whether the duration is below zero.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// assert!(GoDuration::from_nanos(-1).is_negative());
    /// assert!(!GoDuration::ZERO.is_negative());
    /// ```
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Adds two durations; `None` if the sum is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// let nanosecond = GoDuration::from_nanos(1);
    /// assert_eq!(nanosecond.checked_add(nanosecond), Some(GoDuration::from_nanos(2)));
    /// assert_eq!(GoDuration::MAX.checked_add(nanosecond), None);
    /// ```
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// Subtracts the other duration; `None` if the difference is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// let nanosecond = GoDuration::from_nanos(1);
    /// assert_eq!(GoDuration::ZERO.checked_sub(nanosecond), Some(GoDuration::from_nanos(-1)));
    /// assert_eq!(GoDuration::MIN.checked_sub(nanosecond), None);
    /// ```
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// Multiplies the duration; `None` if the product is out of range.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// assert_eq!(GoDuration::from_nanos(7).checked_mul(-6), Some(GoDuration::from_nanos(-42)));
    /// assert_eq!(GoDuration::MAX.checked_mul(2), None);
    /// ```
    #[must_use]
    pub const fn checked_mul(self, factor: i64) -> Option<Self> {
        match self.0.checked_mul(factor) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// Negates the duration; `None` for [`MIN`](Self::MIN).
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// assert_eq!(GoDuration::from_nanos(5).checked_neg(), Some(GoDuration::from_nanos(-5)));
    /// assert_eq!(GoDuration::MIN.checked_neg(), None);
    /// ```
    #[must_use]
    pub const fn checked_neg(self) -> Option<Self> {
        match self.0.checked_neg() {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }
}

/// Converts a duration; one out of range becomes [`GoDuration::MIN`] or
/// [`GoDuration::MAX`].
pub(crate) fn saturated(
    duration: impl TryInto<GoDuration, Error: Into<DurationRangeError>>,
) -> GoDuration {
    match duration.try_into().map_err(Into::into) {
        Ok(duration) => duration,
        Err(DurationRangeError(RangeErrorKind::TooLong)) => GoDuration::MAX,
        Err(DurationRangeError(_)) => GoDuration::MIN,
    }
}

impl TryFrom<Duration> for GoDuration {
    type Error = DurationRangeError;

    /// Fails if the duration is longer than [`GoDuration::MAX`].
    fn try_from(duration: Duration) -> Result<Self, DurationRangeError> {
        match i64::try_from(duration.as_nanos()) {
            Ok(nanos) => Ok(Self(nanos)),
            Err(_) => Err(DurationRangeError(RangeErrorKind::TooLong)),
        }
    }
}

impl TryFrom<GoDuration> for Duration {
    type Error = DurationRangeError;

    /// Fails if the duration is negative.
    fn try_from(duration: GoDuration) -> Result<Self, DurationRangeError> {
        match u64::try_from(duration.0) {
            Ok(nanos) => Ok(Self::from_nanos(nanos)),
            Err(_) => Err(DurationRangeError(RangeErrorKind::Negative)),
        }
    }
}

impl TryFrom<TimeDelta> for GoDuration {
    type Error = DurationRangeError;

    /// Fails if the duration is not between [`GoDuration::MIN`] and [`GoDuration::MAX`].
    fn try_from(delta: TimeDelta) -> Result<Self, DurationRangeError> {
        match delta.num_nanoseconds() {
            Some(nanos) => Ok(Self(nanos)),
            None if delta < TimeDelta::zero() => {
                Err(DurationRangeError(RangeErrorKind::TooNegative))
            }
            None => Err(DurationRangeError(RangeErrorKind::TooLong)),
        }
    }
}

impl From<GoDuration> for TimeDelta {
    fn from(duration: GoDuration) -> Self {
        Self::nanoseconds(duration.0)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = GoDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `2h45m`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}
