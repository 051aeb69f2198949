use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::duration::{self, DEFAULT_DURATION, Lifetime};
use crate::state::secret::SecretHash;

/// A service token in the simulator's state.
///
/// It has no secret: the simulator keeps only hashes. Serialized, it is the response of
/// the control plane.
///
/// See the example of [`Simulator::token`](crate::Simulator::token).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Token {
    /// The id of the account that holds the token.
    pub account_id: String,
    /// The id that names the token in a path.
    pub id: String,
    /// The public half of its credentials, sent as `CF-Access-Client-Id`.
    pub client_id: String,
    /// The display name.
    pub name: String,
    /// The lifetime, in its original text.
    pub duration: String,
    /// When the token expires; ignored while `duration` is `forever`.
    pub expires_at: DateTime<Utc>,
    /// When the token was created.
    pub created_at: DateTime<Utc>,
    /// When the API last changed the token.
    pub updated_at: DateTime<Utc>,
    /// When the protected app last accepted it.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Whether it may authenticate.
    pub enabled: bool,
    /// The version of the current secret; it grows with each rotation.
    pub client_secret_version: u64,
    /// Until when the secret before the current one still works.
    pub previous_client_secret_expires_at: Option<DateTime<Utc>>,
    /// Whether the protected app's policies allow the token.
    pub allowed_at_app: bool,
}

impl Token {
    /// An enabled token that was just made.
    pub(crate) fn new(
        account_id: String,
        id: String,
        client_id: String,
        name: String,
        duration: String,
        created_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Self {
        Self {
            account_id,
            id,
            client_id,
            name,
            duration,
            expires_at,
            created_at,
            updated_at: created_at,
            last_seen_at: None,
            enabled: true,
            client_secret_version: 1,
            previous_client_secret_expires_at: None,
            allowed_at_app: true,
        }
    }

    pub(crate) fn rename(&mut self, name: impl Into<String>, now: DateTime<Utc>) {
        self.name = name.into();
        self.updated_at = now;
    }

    /// Makes the token expire at this time, also one that never would.
    pub(crate) fn expire_at(&mut self, time: DateTime<Utc>) {
        if self.lasts() {
            self.duration = DEFAULT_DURATION.to_owned();
        }
        self.expires_at = time;
    }

    fn lasts(&self) -> bool {
        duration::lifetime(&self.duration) == Ok(Lifetime::Forever)
    }

    /// Whether it can authenticate at `now`, given a right secret.
    pub(crate) fn is_alive(&self, now: DateTime<Utc>) -> bool {
        self.enabled && (self.lasts() || now < self.expires_at)
    }
}

/// RFC 3339 in UTC, with as many decimals as it takes to lose nothing.
pub(crate) fn timestamp(time: DateTime<Utc>) -> Value {
    json!(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// A field that a [`SeedToken`](crate::SeedToken) can leave out of responses.
///
/// ```
/// use cf_service_tokens_simulator::{SeedToken, TokenField};
///
/// let odd = SeedToken::new("CI deploy").null(TokenField::LastSeenAt).absent(TokenField::Enabled);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenField {
    /// `id`
    Id,
    /// `client_id`
    ClientId,
    /// `name`
    Name,
    /// `duration`
    Duration,
    /// `expires_at`
    ExpiresAt,
    /// `created_at`
    CreatedAt,
    /// `updated_at`
    UpdatedAt,
    /// `last_seen_at`
    LastSeenAt,
    /// `enabled`
    Enabled,
    /// `client_secret_version`
    ClientSecretVersion,
}

impl TokenField {
    /// The documented fields of the answers to create and rotate, beside the secret.
    pub(crate) const OF_ISSUED: &[Self] = &[
        Self::Id,
        Self::ClientId,
        Self::Name,
        Self::Duration,
        Self::CreatedAt,
        Self::UpdatedAt,
        Self::Enabled,
    ];
    /// All known fields, the undocumented one last.
    pub(crate) const ALL: &[Self] = &[
        Self::Id,
        Self::ClientId,
        Self::Name,
        Self::Duration,
        Self::ExpiresAt,
        Self::CreatedAt,
        Self::UpdatedAt,
        Self::LastSeenAt,
        Self::Enabled,
        Self::ClientSecretVersion,
    ];
    /// The documented fields of every answer but those to create and rotate.
    pub(crate) const OF_TOKEN: &[Self] = match Self::ALL {
        [documented @ .., Self::ClientSecretVersion] => documented,
        _ => panic!("`client_secret_version` must be the last field"),
    };

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::ClientId => "client_id",
            Self::Name => "name",
            Self::Duration => "duration",
            Self::ExpiresAt => "expires_at",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
            Self::LastSeenAt => "last_seen_at",
            Self::Enabled => "enabled",
            Self::ClientSecretVersion => "client_secret_version",
        }
    }
}

/// The way in which an answer withholds a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    Null,
    Absent,
}

/// A token with its secrets and the fields that answers withhold.
#[derive(Clone)]
pub(crate) struct StoredToken {
    pub(crate) token: Token,
    pub(crate) secret: SecretHash,
    pub(crate) previous_secret: Option<SecretHash>,
    /// When it was last enabled again.
    pub(crate) enabled_at: Option<DateTime<Utc>>,
    pub(crate) withheld: BTreeMap<TokenField, Withheld>,
}

impl StoredToken {
    /// Returns whether it is the token of this account with this id.
    pub(crate) fn is(&self, account: &str, id: &str) -> bool {
        self.token.account_id == account && self.token.id == id
    }

    pub(crate) fn set_enabled(&mut self, enabled: bool, now: DateTime<Utc>) {
        if enabled && !self.token.enabled {
            self.enabled_at = Some(now);
        }
        self.token.enabled = enabled;
        self.token.updated_at = now;
    }

    /// The time from which the token's inactivity counts.
    pub(crate) fn active_at(&self) -> DateTime<Utc> {
        let since = self.token.last_seen_at.max(self.enabled_at);
        since.map_or(self.token.created_at, |since| {
            since.max(self.token.created_at)
        })
    }

    /// Whether `secret` is one that the token is known by at `now`.
    pub(crate) fn knows(&self, secret: &str, now: DateTime<Utc>) -> bool {
        let hash = SecretHash::of(secret);
        hash == self.secret
            || (self.previous_secret_lives(now) && Some(&hash) == self.previous_secret.as_ref())
    }

    /// Makes `secret` the current one. The one before it works until
    /// `previous_expires_at`; without a time it expires at once.
    pub(crate) fn replace_secret(
        &mut self,
        secret: SecretHash,
        previous_expires_at: Option<DateTime<Utc>>,
    ) {
        let previous = std::mem::replace(&mut self.secret, secret);
        self.previous_secret = previous_expires_at.map(|_| previous);
        self.token.previous_client_secret_expires_at = previous_expires_at;
    }

    /// Moves the end of the previous secret, unless it has already come.
    pub(crate) fn move_previous_expiry(&mut self, expires_at: DateTime<Utc>, now: DateTime<Utc>) {
        if !self.previous_secret_lives(now) {
            self.previous_secret = None;
        }
        self.token.previous_client_secret_expires_at = Some(expires_at);
    }

    /// Returns the value that an answer shows in this field; `None` if it leaves the field
    /// out.
    pub(crate) fn shown(&self, field: TokenField, null_timestamps: bool) -> Option<Value> {
        let token = &self.token;
        match self.withheld.get(&field) {
            Some(Withheld::Null) => return Some(Value::Null),
            Some(Withheld::Absent) => return None,
            None => {}
        }
        match field {
            TokenField::Id => Some(json!(token.id)),
            TokenField::ClientId => Some(json!(token.client_id)),
            TokenField::Name => Some(json!(token.name)),
            TokenField::Duration => Some(json!(token.duration)),
            TokenField::ExpiresAt => Some(timestamp(token.expires_at)),
            TokenField::CreatedAt => Some(timestamp(token.created_at)),
            TokenField::UpdatedAt => Some(timestamp(token.updated_at)),
            TokenField::LastSeenAt => token
                .last_seen_at
                .map(timestamp)
                .or(null_timestamps.then_some(Value::Null)),
            TokenField::Enabled => Some(json!(token.enabled)),
            TokenField::ClientSecretVersion => Some(json!(token.client_secret_version)),
        }
    }

    fn previous_secret_lives(&self, now: DateTime<Utc>) -> bool {
        self.token
            .previous_client_secret_expires_at
            .is_some_and(|expires_at| now < expires_at)
    }
}

/// Refuses an account id that can't stand in a path.
pub(crate) fn check_account_id(id: &str) -> Result<(), String> {
    check_id("account id", id, 32)
}

/// Refuses a token id that can't stand in a path.
pub(crate) fn check_token_id(id: &str) -> Result<(), String> {
    check_id("token id", id, 36)
}

pub(crate) fn check_id(what: &str, id: &str, max: usize) -> Result<(), String> {
    let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if id.is_empty() || id.len() > max || !plain {
        return Err(format!(
            "{what} \"{id}\" can't stand in a path: \
             use letters, digits and '-', at most {max} of them"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(created_at: &str) -> StoredToken {
        let at: DateTime<Utc> = created_at.parse().unwrap();
        let text = str::to_owned;
        StoredToken {
            token: Token::new(
                text("a1"),
                text("f174e90a"),
                text("ci.access"),
                text("CI"),
                text("1h"),
                at,
                at,
            ),
            secret: SecretHash::of("secret"),
            previous_secret: None,
            enabled_at: None,
            withheld: BTreeMap::new(),
        }
    }

    #[test]
    fn a_timestamp_keeps_what_it_has_and_ends_in_z() {
        for text in [
            "2026-11-24T05:00:00Z",
            "2026-11-24T05:00:00.123Z",
            "2014-01-01T05:20:00.123450Z",
            "2026-11-24T05:00:00.123456789Z",
        ] {
            let shown = token(text).shown(TokenField::CreatedAt, false);
            assert_eq!(shown, Some(json!(text)));
        }
    }

    #[test]
    fn a_withheld_field_is_null_or_absent() {
        let mut token = token("2026-11-24T05:00:00Z");
        token.withheld = [
            (TokenField::Name, Withheld::Null),
            (TokenField::Enabled, Withheld::Absent),
        ]
        .into();
        assert_eq!(token.shown(TokenField::Name, false), Some(Value::Null));
        assert_eq!(token.shown(TokenField::Enabled, false), None);
        assert_eq!(token.shown(TokenField::Duration, false), Some(json!("1h")));
    }

    #[test]
    fn an_unknown_timestamp_is_left_out_or_null() {
        let token = token("2026-11-24T05:00:00Z");
        assert_eq!(token.shown(TokenField::LastSeenAt, false), None);
        assert_eq!(token.shown(TokenField::LastSeenAt, true), Some(Value::Null));
    }
}
