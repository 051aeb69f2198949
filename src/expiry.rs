//! When a service token lapses.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use crate::generated::types::ServiceToken;

impl ServiceToken {
    /// How long the token has left at `now`; negative once it has lapsed.
    ///
    /// `None` if it never lapses, or if the API did not say when: ask
    /// [`never_expires`](Self::never_expires) to tell the two apart.
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

    /// Returns when the token expires, if the API says so. Go writes a time that is
    /// not set as the first instant of the year 1.
    pub(crate) fn known_expiry(&self) -> Option<DateTime<Utc>> {
        self.expires_at.filter(|at| at.year() > 1)
    }

    /// Whether the token has lapsed at `now`. A token lapses at the very
    /// instant of [`expires_at`](Self::expires_at); one of which the API did
    /// not say when has not.
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

    /// Whether the token is made to last `forever`.
    ///
    /// The duration alone decides: the API has been seen to give an
    /// [`expires_at`](Self::expires_at) to such tokens as well.
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
