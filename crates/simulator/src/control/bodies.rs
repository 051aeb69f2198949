//! The JSON that the control plane takes.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::api::authentication::{Permission, SeedApiToken};
use crate::api::{Operation, neighbours};
use crate::behavior::Behavior;
use crate::state::access::Access;
use crate::state::account::{StoredAccount, present};
use crate::state::duration;
use crate::state::secret::SecretHash;
use crate::state::seed::{SeedAccount, SeedToken};
use crate::state::token::{StoredToken, TokenField};

/// A token to add.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// The default is the first account.
    pub(super) account_id: Option<String>,
    name: String,
    id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    client_secret_version: Option<u64>,
    duration: Option<String>,
    #[serde(default, deserialize_with = "go_duration")]
    expires_in: Option<TimeDelta>,
    expires_at: Option<DateTime<Utc>>,
    created_at: Option<DateTime<Utc>>,
    last_seen_at: Option<DateTime<Utc>>,
    enabled: Option<bool>,
    allowed_at_app: Option<bool>,
    /// The fields that responses show as `null`.
    #[serde(default)]
    null: Vec<TokenField>,
    /// The fields that responses leave out.
    #[serde(default)]
    absent: Vec<TokenField>,
}

impl NewToken {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        check_expiry(self.duration.as_deref(), self.expires_in, self.expires_at)
    }

    pub(super) fn into_seed(self) -> SeedToken {
        let mut seed = SeedToken::new(self.name);
        if let Some(id) = self.id {
            seed = seed.id(id);
        }
        if let Some(client_id) = self.client_id {
            seed = seed.client_id(client_id);
        }
        if let Some(secret) = self.client_secret {
            seed = seed.client_secret(secret);
        }
        if let Some(version) = self.client_secret_version {
            seed = seed.client_secret_version(version);
        }
        if let Some(text) = self.duration {
            seed = seed.duration(text);
        }
        if let Some(time) = self.expires_in {
            seed = seed.expires_in(time);
        }
        if let Some(time) = self.expires_at {
            seed = seed.expires_at(time);
        }
        if let Some(time) = self.created_at {
            seed = seed.created_at(time);
        }
        if let Some(time) = self.last_seen_at {
            seed = seed.last_seen_at(time);
        }
        if self.enabled == Some(false) {
            seed = seed.disabled();
        }
        if self.allowed_at_app == Some(false) {
            seed = seed.not_allowed_at_app();
        }
        seed = self.null.into_iter().fold(seed, SeedToken::null);
        self.absent.into_iter().fold(seed, SeedToken::absent)
    }
}

/// A change of a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeToken {
    name: Option<String>,
    client_secret: Option<String>,
    duration: Option<String>,
    #[serde(default, deserialize_with = "go_duration")]
    expires_in: Option<TimeDelta>,
    expires_at: Option<DateTime<Utc>>,
    last_seen_at: Option<DateTime<Utc>>,
    enabled: Option<bool>,
    allowed_at_app: Option<bool>,
}

impl ChangeToken {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        check_expiry(self.duration.as_deref(), self.expires_in, self.expires_at)
    }

    pub(super) fn apply(self, stored: &mut StoredToken, now: DateTime<Utc>) {
        if let Some(enabled) = self.enabled {
            stored.set_enabled(enabled, now);
        }
        let token = &mut stored.token;
        if let Some(name) = self.name {
            token.rename(name, now);
        }
        if let Some(text) = self.duration {
            token.expires_at = duration::lifetime_or_default(&text).expiry_from(now);
            token.duration = text;
            token.updated_at = now;
        }
        let expiry = self.expires_in.map(|time| duration::later(now, time));
        if let Some(time) = self.expires_at.or(expiry) {
            token.expire_at(time);
        }
        token.last_seen_at = self.last_seen_at.or(token.last_seen_at);
        token.allowed_at_app = self.allowed_at_app.unwrap_or(token.allowed_at_app);
        if let Some(secret) = self.client_secret {
            token.updated_at = now;
            stored.secret = SecretHash::of(&secret);
        }
    }
}

/// Refuses two expiries, and one beside a duration without an expiry.
fn check_expiry(
    duration: Option<&str>,
    expires_in: Option<TimeDelta>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), &'static str> {
    match (duration, expires_in, expires_at) {
        (_, Some(_), Some(_)) => {
            Err("the body has both `expires_in` and `expires_at`; leave one of them out")
        }
        (Some("forever"), Some(_), _) | (Some("forever"), _, Some(_)) => {
            Err("a token whose duration is \"forever\" never expires; \
             leave out `expires_in` and `expires_at`, or give it another duration")
        }
        _ => Ok(()),
    }
}

/// An account to add.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    id: String,
    name: Option<String>,
    token_limit: Option<usize>,
    #[serde(default, deserialize_with = "present")]
    access: Option<Option<Access>>,
}

impl NewAccount {
    pub(super) fn into_seed(self) -> SeedAccount {
        let mut seed = SeedAccount::new(self.id);
        if let Some(name) = self.name {
            seed = seed.name(name);
        }
        if let Some(tokens) = self.token_limit {
            seed = seed.token_limit(tokens);
        }
        if let Some(access) = self.access {
            seed = seed.access(access);
        }
        seed
    }
}

/// An account as the control plane shows it.
pub(super) fn shown_account(account: &StoredAccount, behavior: &Behavior) -> Value {
    let access = account.access.as_ref().map(|access| {
        json!({
            "organization": neighbours::organization(account, access, behavior),
            "policies": neighbours::policies(access),
            "groups": neighbours::groups(access),
            "apps": neighbours::apps(access),
        })
    });
    json!({
        "id": account.id,
        "name": account.name,
        "token_limit": account.token_limit,
        "access": access,
    })
}

/// An API token to accept. Serialized, it is also the response, without the secret.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApiToken {
    #[serde(skip_serializing)]
    api_token: String,
    /// The default is a user.
    pub(super) owned_by_account: Option<String>,
    /// The default is every account, or that of the owner.
    #[serde(default, deserialize_with = "some_of")]
    pub(super) accounts: Option<Vec<String>>,
    /// Without it: all.
    permissions: Option<Vec<Permission>>,
    #[serde(default)]
    read_only: bool,
    #[serde(default = "yes")]
    enabled: bool,
    expires_at: Option<DateTime<Utc>>,
    /// The default is every address.
    #[serde(default, deserialize_with = "some_of")]
    only_from: Option<Vec<IpAddr>>,
}

fn yes() -> bool {
    true
}

impl NewApiToken {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.owned_by_account.is_some() && self.accounts.is_some() {
            return Err(
                "an API token that an account owns is limited to that account; \
                 leave out `accounts`",
            );
        }
        Ok(())
    }

    pub(super) fn to_seed(&self) -> SeedApiToken {
        let mut seed = SeedApiToken::new(&self.api_token);
        if let Some(id) = &self.owned_by_account {
            seed = seed.owned_by_account(id);
        }
        for id in self.accounts.iter().flatten() {
            seed = seed.account(id);
        }
        if let Some(permissions) = &self.permissions {
            seed = seed.permissions(permissions.iter().copied());
        }
        if self.read_only {
            seed = seed.read_only();
        }
        if !self.enabled {
            seed = seed.disabled();
        }
        if let Some(time) = self.expires_at {
            seed = seed.expires_at(time);
        }
        for address in self.only_from.iter().flatten() {
            seed = seed.only_from(*address);
        }
        seed
    }
}

/// A change of the clock.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MoveClock {
    /// By a Go duration, which may be negative.
    #[serde(deserialize_with = "required_go_duration")]
    Advance(TimeDelta),
    /// To a time.
    Now(DateTime<Utc>),
}

/// The requests to count.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Count {
    /// Without it: all.
    pub(super) operation: Option<Operation>,
}

/// A list with at least one entry. A caller may take an empty list for the strictest
/// limit, but a `SeedApiToken` takes it for none.
fn some_of<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list = Option::<Vec<T>>::deserialize(from)?;
    if list.as_ref().is_some_and(Vec::is_empty) {
        return Err(serde::de::Error::custom(
            "an empty list names nothing; leave the field out for no limit",
        ));
    }
    Ok(list)
}

fn required_go_duration<'de, D: Deserializer<'de>>(from: D) -> Result<TimeDelta, D::Error> {
    let text = String::deserialize(from)?;
    duration::nanoseconds(&text)
        .map(TimeDelta::nanoseconds)
        .map_err(|reason| serde::de::Error::custom(format!("{reason}; write it as 24h or -1h30m")))
}

fn go_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<TimeDelta>, D::Error> {
    required_go_duration(from).map(Some)
}
