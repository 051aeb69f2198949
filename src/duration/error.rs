//! The errors of durations.

use std::convert::Infallible;
use std::fmt;

/// The error of parsing a text that is not a duration.
///
/// Its message says what is wrong, where, and what to write instead. It quotes at most 24
/// characters of the text, with control characters escaped.
///
/// # Examples
///
/// ```
/// use cf_service_tokens::{GoDuration, ParseDurationErrorKind};
///
/// let error = "365d".parse::<GoDuration>().unwrap_err();
/// assert_eq!(error.kind(), ParseDurationErrorKind::UnknownUnit);
/// assert_eq!(error.offset(), 3);
/// assert!(error.to_string().starts_with(r#"unknown unit "d" at byte 3"#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseDurationError {
    // Boxed, so that a result with a duration is returned in registers.
    details: Box<Details>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    kind: ParseDurationErrorKind,
    offset: usize,
    found: Excerpt,
    forever_allowed: bool,
}

/// The kind of a [`ParseDurationError`].
///
/// The kinds are those of Go's `time.ParseDuration`, except that Go reports a duration out of
/// range as invalid.
///
/// # Examples
///
/// ```
/// use cf_service_tokens::{GoDuration, ParseDurationErrorKind};
///
/// let kind = |text: &str| text.parse::<GoDuration>().map_err(|error| error.kind());
/// assert_eq!(kind(""), Err(ParseDurationErrorKind::Invalid));
/// assert_eq!(kind("300y"), Err(ParseDurationErrorKind::UnknownUnit));
/// assert_eq!(kind("8760"), Err(ParseDurationErrorKind::MissingUnit));
/// assert_eq!(kind("9999999h"), Err(ParseDurationErrorKind::OutOfRange));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseDurationErrorKind {
    /// A number is missing.
    Invalid,
    /// The duration, or a part of it, is longer than 2⁶³ nanoseconds, about 292 years.
    OutOfRange,
    /// A number has no unit.
    MissingUnit,
    /// The text after a number is not a unit.
    UnknownUnit,
}

impl ParseDurationError {
    #[cold]
    pub(super) fn new(kind: ParseDurationErrorKind, text: &str, offset: usize) -> Self {
        let rest = text.get(offset..).unwrap_or_default();
        let found = match kind {
            ParseDurationErrorKind::UnknownUnit => rest
                .split(|c: char| c == '.' || c.is_ascii_digit())
                .next()
                .unwrap_or_default(),
            _ => rest,
        };
        let details = Details {
            kind,
            offset,
            found: Excerpt::of(found),
            forever_allowed: false,
        };
        Self {
            details: Box::new(details),
        }
    }

    /// Returns the same error for a place where `forever` is allowed, too.
    pub(super) fn or_forever(mut self) -> Self {
        self.details.forever_allowed = true;
        self
    }

    /// Returns the kind of the error.
    ///
    /// See the example of [`ParseDurationErrorKind`].
    #[must_use]
    pub fn kind(&self) -> ParseDurationErrorKind {
        self.details.kind
    }

    /// Returns the byte offset in the text at which the wrong number or unit starts.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::GoDuration;
    /// let text = "2h45";
    /// let error = text.parse::<GoDuration>().unwrap_err();
    /// assert_eq!(&text[error.offset()..], "45");
    /// ```
    #[must_use]
    pub fn offset(&self) -> usize {
        self.details.offset
    }
}

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details {
            kind,
            offset,
            found,
            forever_allowed,
        } = &*self.details;
        match kind {
            ParseDurationErrorKind::Invalid if found.text.is_empty() => {
                write!(f, "invalid duration: no number at byte {offset}")?;
            }
            ParseDurationErrorKind::Invalid => {
                write!(
                    f,
                    "invalid duration: no number at byte {offset}, but {found}"
                )?;
            }
            ParseDurationErrorKind::OutOfRange => {
                f.write_str("duration out of range: ")?;
                write!(
                    f,
                    "{found} at byte {offset} is longer than 2562047h (292 years)"
                )?;
            }
            ParseDurationErrorKind::MissingUnit => {
                write!(f, "missing unit in {found} at byte {offset}")?;
            }
            ParseDurationErrorKind::UnknownUnit => {
                write!(f, "unknown unit {found} at byte {offset}")?;
            }
        }
        f.write_str(match kind {
            ParseDurationErrorKind::OutOfRange => "; use a shorter one",
            _ => "; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)",
        })?;
        if *forever_allowed {
            f.write_str(", or `forever`")?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseDurationError {}

/// The first characters of a text, since the whole may be long.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    cut: bool,
}

impl Excerpt {
    const MAX_CHARS: usize = 24;

    fn of(text: &str) -> Self {
        let mut chars = text.chars();
        Self {
            text: chars.by_ref().take(Self::MAX_CHARS).collect(),
            cut: chars.next().is_some(),
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.cut { "…" } else { "" };
        write!(f, "{:?}{more}", self.text)
    }
}

/// The error of converting a duration to a type that can't hold it.
///
/// A [`std::time::Duration`] can't be negative, and a [`GoDuration`](crate::GoDuration) can't be
/// longer than about 292 years.
///
/// # Examples
///
/// ```
/// use cf_service_tokens::GoDuration;
/// use std::time::Duration;
///
/// let error = GoDuration::try_from(Duration::MAX).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "the duration is longer than 2562047h47m16.854775807s (292 years); use a shorter one"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationRangeError(pub(super) RangeErrorKind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeErrorKind {
    Negative,
    TooLong,
    TooNegative,
}

impl fmt::Display for DurationRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            RangeErrorKind::Negative => "the duration is negative; use one of zero or more",
            RangeErrorKind::TooLong => {
                "the duration is longer than 2562047h47m16.854775807s (292 years); use a shorter one"
            }
            RangeErrorKind::TooNegative => {
                "the duration is below -2562047h47m16.854775808s (-292 years); use a longer one"
            }
        })
    }
}

impl std::error::Error for DurationRangeError {}

impl From<Infallible> for DurationRangeError {
    /// Never runs. It lets a function take both a [`GoDuration`](crate::GoDuration) and
    /// durations that may be out of its range.
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
