//! The settings of Access in an account, and its clean-up of inactive service tokens.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::error::Error;
use crate::generated::operations::GET_ACCESS_ORGANIZATION;
use crate::generated::types::{Organization, ServiceToken};
use crate::response::Response;

impl Account {
    /// Returns the account's settings of Access that concern service tokens.
    ///
    /// An API token needs the permission "Access: Organizations, Identity Providers, and
    /// Groups Read", which is not among those for service tokens. Without it the call fails,
    /// and [`Error::missing_permission`] names the permission.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { neighbours_example(async |client, account| {
    /// match account.organization().await {
    ///     Ok(organization) => {
    ///         println!("strict: {:?}", organization.strict_service_token_auth);
    /// #       assert_eq!(organization.strict_service_token_auth, Some(true));
    ///     }
    ///     Err(error) => match error.missing_permission() {
    ///         Some(permission) => println!("unknown: this API token lacks the permission {permission}"),
    ///         None => return Err(error.into()),
    ///     },
    /// }
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Any failure of the call.
    pub async fn organization(&self) -> Result<Response<Organization>, Error> {
        let requests = &self.transport.settings.requests;
        let request = requests.get_access_organization(&self.id);
        self.transport
            .call(&GET_ACCESS_ORGANIZATION, &self.options, request)
            .await
    }
}

/// The action of the clean-up on an inactive service token.
///
/// See the example of [`Organization::clean_up_of`](crate::Organization::clean_up_of).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InactivityAction {
    /// It is disabled.
    Disable,
    /// It is deleted, and can't be restored.
    Delete,
}

impl fmt::Display for InactivityAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Disable => "disable",
            Self::Delete => "delete",
        })
    }
}

/// The effect of the clean-up of inactive service tokens on a token; returned by
/// [`Organization::clean_up_of`](crate::Organization::clean_up_of).
///
/// See the example there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "clean_up", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CleanUp {
    /// The clean-up leaves the token alone: it is turned off, a rule of a policy names the
    /// token, or the token is already disabled.
    Safe,
    /// The clean-up may apply to the token: whether a rule of a policy names the token is
    /// unknown, or the settings are.
    #[non_exhaustive]
    AtRisk {
        /// When the token becomes inactive, unless it authenticates before then; `None` if the
        /// API does not return the token's age or the threshold.
        at: Option<DateTime<Utc>>,
        /// The action of the clean-up, if the API returns it.
        action: Option<InactivityAction>,
    },
    /// The clean-up applies to the token.
    #[non_exhaustive]
    Due {
        /// When the token becomes inactive, unless it authenticates before then; in the past if
        /// the next clean-up applies to it.
        at: DateTime<Utc>,
        /// The action of the clean-up, if the API returns it.
        action: Option<InactivityAction>,
    },
}

impl Organization {
    /// Returns what the clean-up of inactive service tokens does to a token.
    ///
    /// The clean-up is opt-in. It applies to a token that is older than its threshold, has not
    /// authenticated within it, and is not named directly by a rule of a policy. A refresh
    /// does not protect a token, and a deleted token can't be restored. Cloudflare's OpenAPI
    /// document of 2026-10-03 describes it, under `service_token_inactivity`.
    ///
    /// `is_named_by_policy` says whether a rule of a policy names the token, as
    /// [`TokenUsage::is_named_by_policy`](crate::TokenUsage::is_named_by_policy) returns it;
    /// `None` if that is not known. With `None`, the result may be [`CleanUp::AtRisk`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { neighbours_example(async |client, account| {
    /// use cf_service_tokens::{CleanUp, InactivityAction};
    ///
    /// // Its clean-up disables tokens after 30 days.
    /// let organization = account.organization().await?;
    /// let mut token = ServiceToken::default();
    /// token.created_at = Some("2026-08-01T00:00:00Z".parse()?);
    /// token.last_seen_at = Some("2026-11-01T00:00:00Z".parse()?);
    ///
    /// assert_eq!(organization.clean_up_of(&token, Some(true)), CleanUp::Safe);
    /// let CleanUp::Due { at, action, .. } = organization.clean_up_of(&token, Some(false)) else {
    ///     panic!("nothing protects the token");
    /// };
    /// assert_eq!(at, "2026-12-01T00:00:00Z".parse::<DateTime<Utc>>()?);
    /// assert_eq!(action, Some(InactivityAction::Disable));
    /// # Ok(()) }) }
    /// ```
    pub fn clean_up_of(&self, token: &ServiceToken, is_named_by_policy: Option<bool>) -> CleanUp {
        let Some(settings) = &self.service_token_inactivity else {
            return CleanUp::Safe;
        };
        let is_disabled_already =
            token.enabled == Some(false) && settings.action == Some(InactivityAction::Disable);
        if settings.enabled == Some(false)
            || is_named_by_policy == Some(true)
            || is_disabled_already
        {
            return CleanUp::Safe;
        }
        let action = settings.action;
        // A token that has never authenticated has no time of last use.
        let active_at = token.created_at.max(token.last_seen_at);
        let threshold = settings
            .inactivity_threshold_days
            .filter(|days| *days > 0)
            .and_then(TimeDelta::try_days);
        let at = active_at
            .zip(threshold)
            .and_then(|(active_at, threshold)| active_at.checked_add_signed(threshold));
        match at {
            Some(at) if settings.enabled.is_some() && is_named_by_policy.is_some() => {
                CleanUp::Due { at, action }
            }
            at => CleanUp::AtRisk { at, action },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::types::ServiceTokenInactivity;

    const DAY: &str = "2026-11-01T00:00:00Z";

    fn settings(enabled: Option<bool>, days: Option<i64>) -> Organization {
        Organization {
            service_token_inactivity: Some(ServiceTokenInactivity {
                enabled,
                inactivity_threshold_days: days,
                action: Some(InactivityAction::Delete),
            }),
            ..Organization::default()
        }
    }

    fn token(created_at: Option<&str>, last_seen_at: Option<&str>) -> ServiceToken {
        ServiceToken {
            created_at: created_at.map(|at| at.parse().unwrap()),
            last_seen_at: last_seen_at.map(|at| at.parse().unwrap()),
            ..ServiceToken::default()
        }
    }

    fn at_risk(at: Option<&str>) -> CleanUp {
        let at = at.map(|at| at.parse().unwrap());
        let action = Some(InactivityAction::Delete);
        CleanUp::AtRisk { at, action }
    }

    fn due(at: &str) -> CleanUp {
        let at = at.parse().unwrap();
        let action = Some(InactivityAction::Delete);
        CleanUp::Due { at, action }
    }

    #[test]
    fn a_token_is_safe_if_the_clean_up_is_off_or_a_policy_names_it() {
        let old = token(Some("2020-01-01T00:00:00Z"), None);
        let off = Organization::default();
        assert_eq!(off.clean_up_of(&old, Some(false)), CleanUp::Safe);
        let off = settings(Some(false), Some(30));
        assert_eq!(off.clean_up_of(&old, None), CleanUp::Safe);
        let on = settings(Some(true), Some(30));
        assert_eq!(on.clean_up_of(&old, Some(true)), CleanUp::Safe);
    }

    #[test]
    fn the_threshold_counts_from_the_last_use_or_from_the_creation() {
        let on = settings(Some(true), Some(30));
        let seen = token(Some("2026-01-01T00:00:00Z"), Some(DAY));
        assert_eq!(
            on.clean_up_of(&seen, Some(false)),
            due("2026-12-01T00:00:00Z")
        );
        let never_seen = token(Some(DAY), None);
        assert_eq!(
            on.clean_up_of(&never_seen, Some(false)),
            due("2026-12-01T00:00:00Z")
        );
        // A clock that was wrong must not make a new token old.
        let odd = token(Some(DAY), Some("2001-01-01T00:00:00Z"));
        assert_eq!(
            on.clean_up_of(&odd, Some(false)),
            due("2026-12-01T00:00:00Z")
        );
    }

    #[test]
    fn a_token_is_at_risk_if_anything_is_unknown() {
        let seen = token(None, Some(DAY));
        let then = Some("2026-12-01T00:00:00Z");
        let on = settings(Some(true), Some(30));
        assert_eq!(on.clean_up_of(&seen, None), at_risk(then));
        assert_eq!(
            on.clean_up_of(&token(None, None), Some(false)),
            at_risk(None)
        );
        let unreadable = settings(None, Some(30));
        assert_eq!(unreadable.clean_up_of(&seen, Some(false)), at_risk(then));
        let no_threshold = settings(Some(true), None);
        assert_eq!(no_threshold.clean_up_of(&seen, Some(false)), at_risk(None));
        for days in [i64::MAX, i64::MIN, 1 << 40, 0, -30] {
            let odd = settings(Some(true), Some(days));
            assert_eq!(odd.clean_up_of(&seen, Some(false)), at_risk(None));
        }
    }

    #[test]
    fn a_disabled_token_can_only_be_deleted() {
        let mut disabled = token(Some(DAY), None);
        disabled.enabled = Some(false);
        let mut on = settings(Some(true), Some(30));
        assert_eq!(
            on.clean_up_of(&disabled, Some(false)),
            due("2026-12-01T00:00:00Z")
        );
        if let Some(settings) = &mut on.service_token_inactivity {
            settings.action = Some(InactivityAction::Disable);
        }
        assert_eq!(on.clean_up_of(&disabled, Some(false)), CleanUp::Safe);
    }
}
