//! The outcome of a renewal.

use std::error::Error as StdError;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::generated::types::ServiceToken;
use crate::renewal::decision::{RenewReason, UnableReason};

/// A token that should be renewed, and the outcome.
///
/// See the example of [`RenewalReport::at_risk`](super::RenewalReport::at_risk).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct TokenRenewal {
    /// The token's id, if the API gave one.
    pub id: Option<String>,
    /// The token's name, if the API gave one.
    pub name: Option<String>,
    /// When the token expired before the renewal.
    pub expires_at: Option<DateTime<Utc>>,
    /// Why it should be renewed; `None` if the outcome is [`Unable`](RenewalOutcome::Unable),
    /// which has its own reason.
    pub reason: Option<RenewReason>,
    /// The outcome.
    pub outcome: RenewalOutcome,
}

/// The outcome for a token that should be renewed.
///
/// ```
/// use cf_service_tokens::renewal::{RenewalOutcome, UnableReason};
///
/// let outcome = RenewalOutcome::Unable { reason: UnableReason::NoExpiry };
/// assert!(outcome.is_at_risk());
/// assert_eq!(outcome.as_str(), "unable");
/// assert_eq!(outcome.to_string(), "can't be renewed: the API did not say when it expires");
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RenewalOutcome {
    /// The token was renewed.
    Renewed {
        /// When the token expires now, according to the API.
        expires_at: DateTime<Utc>,
    },
    /// The token would be renewed, but the policy is a
    /// [dry run](super::RenewalPolicy::dry_run).
    Planned,
    /// The renewal failed.
    Failed {
        /// Why it failed. It serializes as its message.
        error: RenewalError,
    },
    /// The renewal was not tried, since the pass stopped early; see
    /// [`RenewalReport::error`](super::RenewalReport::error).
    NotTried,
    /// The token can't be renewed.
    Unable {
        /// Why it can't be renewed.
        reason: UnableReason,
    },
}

/// The error of a renewal or a pass.
///
/// ```
/// use cf_service_tokens::renewal::RenewalError;
///
/// let error = RenewalError::NotExtended { expires_at: None };
/// assert!(error.to_string().starts_with("the API reported success, but"));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema), schemars(inline))]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum RenewalError {
    /// The call failed. If [`Error::may_have_been_applied`] holds, the token may have been
    /// renewed; the next pass shows.
    Call(Error),
    /// The API reported success, but for another token.
    OtherToken {
        /// The id in the response, if it had one.
        id: Option<String>,
    },
    /// The API reported success, but the token's expiry is not later than before, or has
    /// passed.
    NotExtended {
        /// When the token expires, according to the response.
        expires_at: Option<DateTime<Utc>>,
    },
    /// The pass had no tokio runtime to run in: it was polled outside of one, or the one
    /// that it ran in has shut down. A token that was being renewed may have been renewed.
    NoRuntime,
    /// The message of an error that was deserialized.
    Deserialized(String),
}

impl RenewalError {
    /// Whether the other calls of the pass would fail as well.
    pub(super) fn stops_a_pass(&self) -> bool {
        match self {
            Self::Call(error) => error.is_unauthenticated(),
            Self::NoRuntime => true,
            _ => false,
        }
    }
}

impl TokenRenewal {
    pub(super) fn new(
        token: &ServiceToken,
        reason: Option<RenewReason>,
        outcome: RenewalOutcome,
    ) -> Self {
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            expires_at: token.expires_at,
            reason,
            outcome,
        }
    }
}

impl RenewalOutcome {
    /// Returns whether the token's expiry did not move, which needs a person's attention.
    ///
    /// See the example of [`RenewalOutcome`].
    pub fn is_at_risk(&self) -> bool {
        match self {
            Self::Renewed { .. } | Self::Planned => false,
            Self::Failed { .. } | Self::NotTried | Self::Unable { .. } => true,
        }
    }

    /// Returns the outcome's name for programs, such as a metric's label.
    ///
    /// See the example of [`RenewalOutcome`].
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Renewed { .. } => "renewed",
            Self::Planned => "planned",
            Self::Failed { .. } => "failed",
            Self::NotTried => "not_tried",
            Self::Unable { .. } => "unable",
        }
    }
}

/// Checks that a renewal's response is about the same token, with an expiry later than
/// before and later than `now`. Returns that expiry.
pub(super) fn verified(
    before: &ServiceToken,
    answer: &ServiceToken,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, RenewalError> {
    if answer.id.is_none() || answer.id != before.id {
        return Err(RenewalError::OtherToken {
            id: answer.id.clone(),
        });
    }
    match answer.expires_at {
        Some(expires_at) if Some(expires_at) > before.expires_at && expires_at > now => {
            Ok(expires_at)
        }
        expires_at => Err(RenewalError::NotExtended { expires_at }),
    }
}

impl fmt::Display for RenewalOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renewed { expires_at } => write!(f, "renewed until {}", shown(*expires_at)),
            Self::Planned => f.write_str("would be renewed"),
            Self::Failed { error } => write!(f, "failed: {error}"),
            Self::NotTried => f.write_str("not tried, since the pass stopped early"),
            Self::Unable { reason } => write!(f, "can't be renewed: {reason}"),
        }
    }
}

impl fmt::Display for RenewalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::OtherToken { id: Some(id) } => write!(
                f,
                "the API reported success, but for another token, {}; check both tokens",
                id.escape_debug()
            ),
            Self::OtherToken { id: None } => f.write_str(
                "the API reported success, but did not name the token; check the token",
            ),
            Self::NotExtended {
                expires_at: Some(expires_at),
            } => write!(
                f,
                "the API reported success, but the token still expires at {}; check it in the dashboard",
                shown(*expires_at)
            ),
            Self::NoRuntime => f.write_str(
                "there is no tokio runtime: the pass was polled outside of one, or its runtime has shut down; poll the pass inside a running runtime",
            ),
            Self::Deserialized(message) => f.write_str(message),
            Self::NotExtended { expires_at: None } => f.write_str(
                "the API reported success, but did not say when the token expires now; check it in the dashboard",
            ),
        }
    }
}

impl From<RenewalError> for String {
    /// Returns the message.
    fn from(error: RenewalError) -> Self {
        error.to_string()
    }
}

impl From<String> for RenewalError {
    /// Keeps the message of an error that was serialized.
    fn from(message: String) -> Self {
        Self::Deserialized(message)
    }
}

impl StdError for RenewalError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            // `Display` shows the call's error, so the source is that error's cause.
            Self::Call(error) => error.source(),
            _ => None,
        }
    }
}

pub(super) fn shown(time: DateTime<Utc>) -> impl fmt::Display {
    time.format("%Y-%m-%d %H:%M UTC")
}
