use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::duration::{self, Lifetime};
use crate::operation::Scope;
use crate::secret::SecretHash;

/// What the simulator holds of one service token, at the moment it was asked.
///
/// Without any secret: those are kept as hashes.
///
/// See the example of [`Simulator::token`](crate::Simulator::token).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// Whether it is a token of the account or of the zone.
    pub scope: Scope,
    /// The id that names the token in a path.
    pub id: String,
    /// The public half of its credentials, sent as `CF-Access-Client-Id`.
    pub client_id: String,
    /// The display name.
    pub name: String,
    /// The lifetime, in the very text it was given.
    pub duration: String,
    /// When the token lapses. Without effect while `duration` is `forever`.
    pub expires_at: DateTime<Utc>,
    /// When the token was made.
    pub created_at: DateTime<Utc>,
    /// When the API last changed the token.
    pub updated_at: DateTime<Utc>,
    /// When the protected app last let it in.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Whether it may authenticate.
    pub enabled: bool,
    /// Which secret is the current one; it grows with each rotation.
    pub client_secret_version: u64,
    /// Until when the secret before the current one still works.
    pub previous_client_secret_expires_at: Option<DateTime<Utc>>,
    /// Whether an Access policy names the token, so that it can't be deleted.
    pub used_by_policy: bool,
}

impl Token {
    /// Whether it can authenticate at `now`, given a right secret.
    pub(crate) fn is_alive(&self, now: DateTime<Utc>) -> bool {
        let lasts = duration::lifetime(&self.duration) == Ok(Lifetime::Forever);
        self.enabled && (lasts || now < self.expires_at)
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
