//! The value of a service token's `duration` field.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::error::{DurationRangeError, ParseDurationError};
use super::go::GoDuration;
use super::print;

/// How long a service token is valid: a [`GoDuration`], or `forever`.
///
/// Cloudflare returns a token's duration as the text that the token was created with, so this
/// type keeps, sends and prints that text. Equality, order and hash go by its value: `60m` equals
/// `1h`, and `forever` is longer than all other durations.
///
/// # In responses
///
/// [`FromStr`] and [`TryFrom`] refuse a text that is not a duration. Deserializing accepts any
/// string, so that a new form of duration does not make a token unreadable. Such a text is neither
/// [finite](Self::finite) nor [forever](Self::is_forever), equals only the same text, and is
/// neither longer nor shorter than any other duration.
///
/// # Examples
///
/// ```
/// use cf_service_tokens::{GoDuration, TokenDuration};
///
/// let hour: TokenDuration = "60m".parse()?;
/// assert_eq!(hour, "1h".parse()?);
/// assert_eq!(hour.as_str(), "60m");
/// assert_eq!(hour.finite(), GoDuration::from_hours(1));
/// assert!(hour < TokenDuration::FOREVER);
/// # Ok::<(), cf_service_tokens::ParseDurationError>(())
/// ```
#[derive(Clone)]
pub struct TokenDuration {
    text: Cow<'static, str>,
    meaning: Meaning,
}

/// The value of a text, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Meaning {
    Finite(GoDuration),
    Forever,
    Unreadable,
}

const FOREVER: &str = "forever";

impl TokenDuration {
    /// The duration of a token that never expires, `forever`.
    pub const FOREVER: Self = Self {
        text: Cow::Borrowed(FOREVER),
        meaning: Meaning::Forever,
    };

    /// The documented duration of a token that is created without one: a year, `8760h`.
    pub const DEFAULT: Self = Self {
        text: Cow::Borrowed("8760h"),
        meaning: match GoDuration::from_hours(8760) {
            Some(year) => Meaning::Finite(year),
            None => Meaning::Unreadable,
        },
    };

    /// Returns the text: as it was given, or the short form of a [`GoDuration`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::{GoDuration, TokenDuration};
    /// assert_eq!(TokenDuration::FOREVER.as_str(), "forever");
    /// assert_eq!(TokenDuration::from(GoDuration::from_nanos(1_500)).as_str(), "1.5µs");
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the duration; `None` if the token never expires or the text can't be read.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::{GoDuration, TokenDuration};
    /// assert_eq!(TokenDuration::DEFAULT.finite(), GoDuration::from_hours(8760));
    /// assert_eq!(TokenDuration::FOREVER.finite(), None);
    /// ```
    #[must_use]
    pub fn finite(&self) -> Option<GoDuration> {
        match self.meaning {
            Meaning::Finite(duration) => Some(duration),
            Meaning::Forever | Meaning::Unreadable => None,
        }
    }

    /// Returns whether the token never expires.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::TokenDuration;
    /// assert!(TokenDuration::FOREVER.is_forever());
    /// assert!(!TokenDuration::DEFAULT.is_forever());
    /// ```
    #[must_use]
    pub fn is_forever(&self) -> bool {
        self.meaning == Meaning::Forever
    }

    /// Returns whether this is a duration or `forever`, and not another text from a response.
    ///
    /// # Examples
    ///
    /// ```
    /// # use cf_service_tokens::TokenDuration;
    /// assert!(TokenDuration::FOREVER.is_readable());
    ///
    /// let odd: TokenDuration = serde_json::from_str(r#""until revoked""#)?;
    /// assert!(!odd.is_readable());
    /// assert_eq!(odd.as_str(), "until revoked");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.meaning != Meaning::Unreadable
    }

    /// Returns the key of equality and hash.
    fn key(&self) -> (Meaning, &str) {
        match self.meaning {
            Meaning::Unreadable => (self.meaning, &self.text),
            readable => (readable, ""),
        }
    }
}

impl Meaning {
    fn read(text: &str) -> Result<Self, ParseDurationError> {
        if text == FOREVER {
            return Ok(Self::Forever);
        }
        match text.parse() {
            Ok(duration) => Ok(Self::Finite(duration)),
            Err(error) => Err(error.or_forever()),
        }
    }
}

impl FromStr for TokenDuration {
    type Err = ParseDurationError;

    /// Parses a duration in Go's grammar, or `forever`.
    ///
    /// # Errors
    ///
    /// A [`ParseDurationError`] if the text is neither.
    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let meaning = Meaning::read(text)?;
        Ok(Self {
            text: Cow::Owned(text.to_owned()),
            meaning,
        })
    }
}

impl TryFrom<&str> for TokenDuration {
    type Error = ParseDurationError;

    fn try_from(text: &str) -> Result<Self, ParseDurationError> {
        text.parse()
    }
}

impl TryFrom<String> for TokenDuration {
    type Error = ParseDurationError;

    fn try_from(text: String) -> Result<Self, ParseDurationError> {
        let meaning = Meaning::read(&text)?;
        Ok(Self {
            text: Cow::Owned(text),
            meaning,
        })
    }
}

impl From<GoDuration> for TokenDuration {
    /// Writes the short form, such as `8760h`.
    fn from(duration: GoDuration) -> Self {
        Self {
            text: Cow::Owned(format!("{duration:#}")),
            meaning: Meaning::Finite(duration),
        }
    }
}

impl TryFrom<Duration> for TokenDuration {
    type Error = DurationRangeError;

    /// Fails if the duration is longer than [`GoDuration::MAX`].
    fn try_from(duration: Duration) -> Result<Self, DurationRangeError> {
        GoDuration::try_from(duration).map(Self::from)
    }
}

impl TryFrom<TimeDelta> for TokenDuration {
    type Error = DurationRangeError;

    /// Fails if the duration is not between [`GoDuration::MIN`] and [`GoDuration::MAX`].
    fn try_from(delta: TimeDelta) -> Result<Self, DurationRangeError> {
        GoDuration::try_from(delta).map(Self::from)
    }
}

impl PartialEq for TokenDuration {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for TokenDuration {}

impl Hash for TokenDuration {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl PartialOrd for TokenDuration {
    /// Returns `None` if one of the two can't be read, and they are not the same text.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        if self == other {
            return Some(Ordering::Equal);
        }
        let comparable = self.is_readable() && other.is_readable();
        comparable.then(|| self.meaning.cmp(&other.meaning))
    }
}

impl fmt::Display for TokenDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print::pad(f, &self.text)
    }
}

impl fmt::Debug for TokenDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenDuration").field(&self.text).finish()
    }
}

impl Serialize for TokenDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for TokenDuration {
    /// Accepts any string.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let meaning = Meaning::read(&text).unwrap_or(Meaning::Unreadable);
        Ok(Self {
            text: Cow::Owned(text),
            meaning,
        })
    }
}
