//! What a service token's `duration` field holds.

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
/// Cloudflare gives a token's duration back in the text that it was created with, so that text is
/// kept, sent and printed as it is. Equality, order and hash go by what it means: `60m` equals
/// `1h`, and `forever` is longer than everything else.
///
/// # In responses
///
/// Text from outside, by [`FromStr`] and [`TryFrom`], must be right. Deserializing takes any
/// string: a duration that the API may add one day shall not make a token unreadable. Such a text
/// is neither [finite](Self::finite) nor [forever](Self::is_forever), it equals only the same
/// text, and it is neither longer nor shorter than any other duration.
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

/// What a text means, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Meaning {
    Finite(GoDuration),
    Forever,
    Unreadable,
}

const FOREVER: &str = "forever";

impl TokenDuration {
    /// A token that never expires, `forever`.
    pub const FOREVER: Self = Self {
        text: Cow::Borrowed(FOREVER),
        meaning: Meaning::Forever,
    };

    /// What the API, by its documentation, gives a token that is created without a duration: a
    /// year, `8760h`.
    pub const DEFAULT: Self = Self {
        text: Cow::Borrowed("8760h"),
        meaning: match GoDuration::from_hours(8760) {
            Some(year) => Meaning::Finite(year),
            None => Meaning::Unreadable,
        },
    };

    /// The text as it came, or, of a [`GoDuration`], its short form.
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

    /// The length, unless the token never expires or the text is not readable.
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

    /// Whether the token never expires.
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

    /// Whether this is a length or `forever`, and not some other text from a response.
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

    /// What equality, order and hash go by.
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

    /// Reads a duration in Go's grammar, or `forever`.
    ///
    /// # Errors
    ///
    /// [`ParseDurationError`] tells what is wrong with the text, and where.
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

    /// Fails past [`GoDuration::MAX`].
    fn try_from(duration: Duration) -> Result<Self, DurationRangeError> {
        GoDuration::try_from(duration).map(Self::from)
    }
}

impl TryFrom<TimeDelta> for TokenDuration {
    type Error = DurationRangeError;

    /// Fails past [`GoDuration::MAX`] and [`GoDuration::MIN`].
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
    /// `None` if one of them is not readable, and they are not the same text.
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
    /// Takes any string, even one that is not readable.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let meaning = Meaning::read(&text).unwrap_or(Meaning::Unreadable);
        Ok(Self {
            text: Cow::Owned(text),
            meaning,
        })
    }
}
