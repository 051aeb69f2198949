use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::duration::{self, Lifetime};
use crate::secret::SecretHash;

/// What the simulator holds of one service token, at the moment it was asked.
///
/// Without any secret: those are kept as hashes. Serialized, it is what the API
/// answers of a token.
///
/// See the example of [`Simulator::token`](crate::Simulator::token).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Token {
    /// The id of the account that holds the token.
    #[serde(skip)]
    pub account_id: String,
    /// The id that names the token in a path.
    pub id: String,
    /// The public half of its credentials, sent as `CF-Access-Client-Id`.
    pub client_id: String,
    /// The display name.
    pub name: String,
    /// The lifetime, in the very text it was given.
    pub duration: String,
    /// When the token lapses. Without effect while `duration` is `forever`.
    #[serde(serialize_with = "timestamp")]
    pub expires_at: DateTime<Utc>,
    /// When the token was made.
    #[serde(serialize_with = "timestamp")]
    pub created_at: DateTime<Utc>,
    /// When the API last changed the token.
    #[serde(serialize_with = "timestamp")]
    pub updated_at: DateTime<Utc>,
    /// When the protected app last let it in.
    #[serde(serialize_with = "timestamp_or_null")]
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Whether it may authenticate.
    pub enabled: bool,
    /// Which secret is the current one; it grows with each rotation.
    pub client_secret_version: u64,
    /// Until when the secret before the current one still works.
    #[serde(skip)]
    pub previous_client_secret_expires_at: Option<DateTime<Utc>>,
    /// Whether an Access policy names the token, so that it can't be deleted.
    #[serde(skip)]
    pub used_by_policy: bool,
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
            used_by_policy: false,
        }
    }

    /// Whether it can authenticate at `now`, given a right secret.
    pub(crate) fn is_alive(&self, now: DateTime<Utc>) -> bool {
        let lasts = duration::lifetime(&self.duration) == Ok(Lifetime::Forever);
        self.enabled && (lasts || now < self.expires_at)
    }
}

/// RFC 3339 in UTC, with as many decimals as it takes to lose nothing.
fn timestamp<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn timestamp_or_null<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => timestamp(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// A field that a [`SeedToken`](crate::SeedToken) can leave out of answers.
///
/// ```
/// use cf_service_tokens_simulator::{SeedToken, TokenField};
///
/// let odd = SeedToken::new("CI deploy").null(TokenField::LastSeenAt).absent(TokenField::Enabled);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    fn name(self) -> &'static str {
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

/// What an answer shows in place of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withheld {
    Null,
    Absent,
}

/// A token with what no snapshot shows.
#[derive(Clone)]
pub(crate) struct StoredToken {
    pub(crate) token: Token,
    pub(crate) secret: SecretHash,
    pub(crate) previous_secret: Option<SecretHash>,
    pub(crate) withheld: BTreeMap<TokenField, Withheld>,
}

impl StoredToken {
    /// Whether `secret` is one that the token is known by at `now`.
    pub(crate) fn knows(&self, secret: &str, now: DateTime<Utc>) -> bool {
        let hash = SecretHash::of(secret);
        hash == self.secret
            || (self.previous_secret_lives(now) && Some(&hash) == self.previous_secret.as_ref())
    }

    /// Makes `secret` the current one. The one before it works until
    /// `previous_expires_at`; without a time it dies at once.
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

    fn previous_secret_lives(&self, now: DateTime<Utc>) -> bool {
        self.token
            .previous_client_secret_expires_at
            .is_some_and(|expires_at| now < expires_at)
    }
}

/// What an answer shows of the token.
impl Serialize for StoredToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.withheld.is_empty() {
            return self.token.serialize(serializer);
        }
        let mut shown = serde_json::to_value(&self.token).map_err(S::Error::custom)?;
        if let Value::Object(fields) = &mut shown {
            for (field, withheld) in &self.withheld {
                match withheld {
                    Withheld::Null => fields.insert(field.name().to_owned(), Value::Null),
                    Withheld::Absent => fields.remove(field.name()),
                };
            }
        }
        shown.serialize(serializer)
    }
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
            let shown = serde_json::to_value(token(text)).unwrap();
            assert_eq!(shown["created_at"], text);
        }
    }

    #[test]
    fn what_is_withheld_is_null_or_absent() {
        let mut token = token("2026-11-24T05:00:00Z");
        let mut expected = serde_json::to_value(&token).unwrap();
        assert_eq!(expected["name"], "CI");
        assert_eq!(expected["enabled"], true);
        assert_eq!(expected.get("last_seen_at"), Some(&Value::Null));

        token.withheld = [
            (TokenField::Name, Withheld::Null),
            (TokenField::Enabled, Withheld::Absent),
        ]
        .into();
        expected["name"] = Value::Null;
        expected.as_object_mut().unwrap().remove("enabled");
        assert_eq!(serde_json::to_value(&token).unwrap(), expected);
    }
}
