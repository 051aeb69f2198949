//! Methods of a service token: its expiry and its `Display`.

use std::fmt;

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use crate::error::Prose;
use crate::generated::types::ServiceToken;
use crate::response::Response;

impl ServiceToken {
    /// Returns how long the token is valid after `now`; negative once it has expired.
    /// [`ServiceTokens::now`](crate::ServiceTokens::now) returns the time by the API's clock.
    ///
    /// `None` if the token never expires, or if the API did not say when it does;
    /// [`never_expires`](Self::never_expires) tells the two apart.
    ///
    /// ```
    /// use cf_service_tokens::{ServiceToken, TokenDuration};
    /// use chrono::{TimeDelta, TimeZone, Utc};
    ///
    /// let noon = Utc.with_ymd_and_hms(2026, 11, 24, 12, 0, 0).unwrap();
    /// let mut token = ServiceToken::default();
    /// token.expires_at = Some(noon + TimeDelta::days(9));
    /// assert_eq!(token.expires_in(noon), Some(TimeDelta::days(9)));
    ///
    /// token.duration = Some(TokenDuration::FOREVER);
    /// assert_eq!(token.expires_in(noon), None);
    /// ```
    pub fn expires_in(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        if self.never_expires() {
            return None;
        }
        Some(self.known_expiry()?.signed_duration_since(now))
    }

    /// Returns when the token expires, if the API says so. In Go, a time that is not set is
    /// the first instant of the year 1.
    pub(crate) fn known_expiry(&self) -> Option<DateTime<Utc>> {
        self.expires_at.filter(|at| at.year() > 1)
    }

    /// Returns whether the token has expired at `now`. A token expires at the instant of
    /// [`expires_at`](Self::expires_at); a token without one has not expired.
    ///
    /// ```
    /// use cf_service_tokens::ServiceToken;
    /// use chrono::{TimeDelta, Utc};
    ///
    /// let now = Utc::now();
    /// let mut token = ServiceToken::default();
    /// assert!(!token.is_expired(now));
    /// token.expires_at = Some(now);
    /// assert!(token.is_expired(now));
    /// assert!(!token.is_expired(now - TimeDelta::seconds(1)));
    /// ```
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_in(now)
            .is_some_and(|left| left <= TimeDelta::zero())
    }

    /// Returns whether the token's duration is `forever`.
    ///
    /// Only the duration decides, since the API returns an
    /// [`expires_at`](Self::expires_at) for such tokens as well.
    ///
    /// ```
    /// use cf_service_tokens::{ServiceToken, TokenDuration};
    ///
    /// let mut token = ServiceToken::default();
    /// assert!(!token.never_expires(), "the API did not say");
    /// token.duration = Some(TokenDuration::FOREVER);
    /// assert!(token.never_expires());
    /// ```
    pub fn never_expires(&self) -> bool {
        self.duration
            .as_ref()
            .is_some_and(|duration| duration.is_forever())
    }
}

impl fmt::Display for ServiceToken {
    /// Writes one line for people: the name, or the id if it has none, whether the token is
    /// enabled, and how long it is valid.
    ///
    /// ```
    /// use cf_service_tokens::{ServiceToken, TokenDuration};
    /// use chrono::{TimeZone, Utc};
    ///
    /// let mut token = ServiceToken::default();
    /// token.name = Some("deploy".to_owned());
    /// token.enabled = Some(true);
    /// token.expires_at = Some(Utc.with_ymd_and_hms(2026, 11, 24, 12, 0, 0).unwrap());
    /// assert_eq!(token.to_string(), "deploy, enabled, valid until 2026-11-24 12:00 UTC");
    ///
    /// token.enabled = Some(false);
    /// token.duration = Some(TokenDuration::FOREVER);
    /// assert_eq!(token.to_string(), "deploy, disabled, valid forever");
    /// ```
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().filter(|name| !name.trim().is_empty());
        match name.or(self.id.as_deref()) {
            Some(name) => write!(f, "{}", Prose(name))?,
            None => f.write_str("a service token without a name")?,
        }
        match self.enabled {
            Some(true) => f.write_str(", enabled")?,
            Some(false) => f.write_str(", disabled")?,
            None => {}
        }
        match self.known_expiry() {
            _ if self.never_expires() => f.write_str(", valid forever"),
            Some(at) => write!(f, ", valid until {}", at.format("%Y-%m-%d %H:%M UTC")),
            None => f.write_str(", expiry unknown"),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Response<T> {
    /// Writes the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_without_control_characters() {
        let token = ServiceToken {
            name: Some("evil\u{202e}gnp.exe\n\u{1b}[2J é".to_owned()),
            ..ServiceToken::default()
        };
        assert_eq!(
            token.to_string(),
            r"evil\u{202e}gnp.exe\n\u{1b}[2J é, expiry unknown"
        );
    }
}
