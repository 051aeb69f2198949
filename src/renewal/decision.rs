//! The decision about a token, and its reason.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::generated::types::ServiceToken;
use crate::renewal::policy::{RenewBy, RenewalPolicy};

/// The decision about a token; returned by [`RenewalPolicy::decide`].
///
/// See the example of [`RenewalPolicy::decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "decision", content = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// The token is renewed.
    Renew(RenewReason),
    /// The token needs no renewal.
    Skip(SkipReason),
    /// The token can't be renewed, which needs a person's attention.
    Unable(UnableReason),
}

/// Defines an enum of reasons, each with a name for programs and words for people.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$reason_doc:meta])* $reason:ident: $machine:literal, $words:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$reason_doc])* $reason,)+
        }

        impl $name {
            /// Returns the reason's name for programs, such as a metric's label. Its `Display`
            /// is for people.
            ///
            /// ```
            /// use cf_service_tokens::renewal::{SkipReason, UnableReason};
            ///
            /// assert_eq!(SkipReason::NotDue.as_str(), "not_due");
            /// assert_eq!(SkipReason::NotDue.to_string(), "not due yet");
            /// assert_eq!(UnableReason::NoId.as_str(), "no_id");
            /// ```
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => $machine,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$reason => $words,)+
                })
            }
        }
    };
}

reasons! {
    /// The reason to renew a token.
    RenewReason {
        /// The token expires within the policy's window.
        Due: "due", "expires soon";
        /// The token has expired.
        Expired: "expired", "has expired";
    }
}

reasons! {
    /// The reason to skip a token.
    SkipReason {
        /// The token does not expire within the policy's window.
        NotDue: "not_due", "not due yet";
        /// The token's duration is `forever`.
        NeverExpires: "never_expires", "never expires";
        /// The token is disabled, and the policy skips disabled tokens.
        Disabled: "disabled", "is disabled";
        /// The token expired longer ago than the policy's window, and the policy skips such
        /// tokens.
        Expired: "expired", "expired longer ago than the window";
        /// The policy excludes the token by its name, id or client id.
        Excluded: "excluded", "is excluded by name or id";
        /// The policy names other tokens.
        NotSelected: "not_selected", "is not named by the policy";
    }
}

reasons! {
    /// The reason why a token can't be renewed.
    UnableReason {
        /// The API returned no id, or one that is invalid.
        NoId: "no_id", "the API returned no valid id";
        /// The API did not say when the token expires.
        NoExpiry: "no_expiry", "the API did not say when it expires";
        /// The policy renews the token by its own duration, which is missing or can't be
        /// read.
        UnreadableDuration: "unreadable_duration", "its duration is missing or can't be read";
    }
}

impl RenewalPolicy {
    /// Decides what to do with a token at `now`, for which
    /// [`ServiceTokens::now`](crate::ServiceTokens::now) returns the time by the API's clock.
    /// This is a pure function.
    ///
    /// The first rule that applies decides:
    ///
    /// | the token | decision |
    /// |---|---|
    /// | is named by `except` | [`Skip(Excluded)`](SkipReason::Excluded) |
    /// | is not named by `only`, and there is one | [`Skip(NotSelected)`](SkipReason::NotSelected) |
    /// | has no valid id | [`Unable(NoId)`](UnableReason::NoId) |
    /// | is disabled, and `include_disabled` is off | [`Skip(Disabled)`](SkipReason::Disabled) |
    /// | lasts forever | [`Skip(NeverExpires)`](SkipReason::NeverExpires) |
    /// | has no `expires_at` | [`Unable(NoExpiry)`](UnableReason::NoExpiry) |
    /// | expired longer ago than the window, and `include_expired` is off | [`Skip(Expired)`](SkipReason::Expired) |
    /// | is not due yet | [`Skip(NotDue)`](SkipReason::NotDue) |
    /// | would be renewed by its duration, which can't be read | [`Unable(UnreadableDuration)`](UnableReason::UnreadableDuration) |
    /// | has expired | [`Renew(Expired)`](RenewReason::Expired) |
    /// | any other | [`Renew(Due)`](RenewReason::Due) |
    ///
    /// ```
    /// use cf_service_tokens::ServiceToken;
    /// use cf_service_tokens::renewal::{Decision, RenewReason, RenewalPolicy, SkipReason};
    /// use chrono::{TimeDelta, Utc};
    ///
    /// let (policy, now) = (RenewalPolicy::new(), Utc::now());
    /// let mut token = ServiceToken::default();
    /// token.id = Some("f174e90a-fafe-4643-bbbc-4a0ed4fc8415".to_owned());
    /// token.expires_at = Some(now + TimeDelta::days(9));
    /// assert_eq!(policy.decide(&token, now), Decision::Renew(RenewReason::Due));
    ///
    /// token.enabled = Some(false);
    /// assert_eq!(policy.decide(&token, now), Decision::Skip(SkipReason::Disabled));
    /// ```
    pub fn decide(&self, token: &ServiceToken, now: DateTime<Utc>) -> Decision {
        self.decide_since(token, now, now)
    }

    /// Decides as [`decide`](Self::decide), but a token stays due unless it had been expired
    /// for longer than the window at `since`, which is not after `now`.
    pub(super) fn decide_since(
        &self,
        token: &ServiceToken,
        now: DateTime<Utc>,
        since: DateTime<Utc>,
    ) -> Decision {
        let mut names = Self::names(token);
        if names.clone().any(|name| self.except.contains(name)) {
            return Decision::Skip(SkipReason::Excluded);
        }
        if self
            .only
            .as_ref()
            .is_some_and(|only| !names.any(|name| only.contains(name)))
        {
            return Decision::Skip(SkipReason::NotSelected);
        }
        let id = token.id.as_deref();
        if id.is_none_or(|id| crate::ServiceTokenId::new(id).is_err()) {
            return Decision::Unable(UnableReason::NoId);
        }
        if token.enabled == Some(false) && !self.include_disabled {
            return Decision::Skip(SkipReason::Disabled);
        }
        if token.never_expires() {
            return Decision::Skip(SkipReason::NeverExpires);
        }
        let Some(due_at) = self.due_at(token) else {
            return Decision::Unable(UnableReason::NoExpiry);
        };
        let expired = token.is_expired(now);
        let is_long_expired = token.expires_at.is_some_and(|expires_at| {
            let window = expires_at - due_at;
            let end = expires_at.checked_add_signed(window);
            end.is_some_and(|end| end <= since)
        });
        if is_long_expired && !self.include_expired {
            return Decision::Skip(SkipReason::Expired);
        }
        if now < due_at {
            return Decision::Skip(SkipReason::NotDue);
        }
        if self.by == RenewBy::Duration && self.gain(token).is_none() {
            return Decision::Unable(UnableReason::UnreadableDuration);
        }
        Decision::Renew(if expired {
            RenewReason::Expired
        } else {
            RenewReason::Due
        })
    }
}
