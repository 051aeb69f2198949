//! The state machine: what each call does to the tokens. No HTTP in here, and
//! the time comes from outside.

pub(crate) mod access;
pub(crate) mod account;
pub(crate) mod clock;
pub(crate) mod duration;
pub(crate) mod generator;
pub(crate) mod sample;
pub(crate) mod secret;
pub(crate) mod seed;
pub(crate) mod token;

use chrono::{DateTime, TimeDelta, Utc};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::api::requests::{Create, List, MAX_VERSION, Rotate, Update};
use crate::behavior::Behavior;
use crate::state::access::{Access, Action};
use crate::state::account::{AccountChange, StoredAccess, StoredAccount, check_account_name};
use crate::state::duration::later;
use crate::state::secret::ClientSecret;
use crate::state::seed::{SeedAccount, SeedToken};
use crate::state::token::{StoredToken, Token, check_account_id, check_token_id};

/// The lifetime that a refresh gives, whatever the token's own duration.
const REFRESH: TimeDelta = TimeDelta::hours(8760);

/// The result of a call about one token.
pub(crate) struct Answer {
    pub(crate) stored: StoredToken,
    /// The new secret, when the call made one. Nothing else ever holds it.
    pub(crate) client_secret: Option<ClientSecret>,
}

/// One page of a list, and how many tokens the caller may see in all.
pub(crate) struct Page<'a> {
    pub(crate) tokens: Vec<&'a StoredToken>,
    pub(crate) total: usize,
}

/// The protected app's verdict on a caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Holds the token's name.
    Granted(String),
    NotAuthenticated,
    NotAllowed,
}

/// Why a call was refused, before anything was changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    NotFound,
    InUse,
    /// The account holds as many tokens as it may.
    LimitReached {
        limit: usize,
    },
    Invalid {
        /// The field of the body, or the query parameter; none for the whole body.
        field: Option<&'static str>,
        reason: String,
    },
}

impl Rejection {
    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field: Some(field),
            reason: reason.into(),
        }
    }

    pub(crate) fn body(reason: impl Into<String>) -> Self {
        Self::Invalid {
            field: None,
            reason: reason.into(),
        }
    }
}

pub(crate) struct State {
    /// In order of creation, of all accounts.
    tokens: Vec<StoredToken>,
    /// In order of creation.
    accounts: Vec<StoredAccount>,
    rng: StdRng,
    /// The generator of ids around the tokens. It is one of its own, so that they move no
    /// token's id.
    rng_of_access: StdRng,
}

impl State {
    /// Returns the state at the start, or the reason why there is none.
    pub(crate) fn new(
        accounts: &[SeedAccount],
        now: DateTime<Utc>,
        rng: StdRng,
        rng_of_access: StdRng,
    ) -> Result<Self, String> {
        let mut state = Self {
            tokens: Vec::new(),
            accounts: Vec::new(),
            rng,
            rng_of_access,
        };
        for account in accounts {
            state.add_account(account.clone(), now)?;
        }
        Ok(state)
    }

    /// Returns a copy, on which a call shows its response without changing anything. The copy
    /// makes ids and secrets of its own.
    pub(crate) fn copy(&mut self) -> Self {
        Self {
            tokens: self.tokens.clone(),
            accounts: self.accounts.clone(),
            rng: StdRng::from_rng(&mut self.rng),
            rng_of_access: StdRng::from_rng(&mut self.rng_of_access),
        }
    }

    pub(crate) fn accounts(&self) -> &[StoredAccount] {
        &self.accounts
    }

    pub(crate) fn account(&self, id: &str) -> Option<&StoredAccount> {
        self.accounts.iter().find(|account| account.id == id)
    }

    /// Adds an account with its tokens without a request, or says why it can't be.
    pub(crate) fn add_account(
        &mut self,
        seed: SeedAccount,
        now: DateTime<Utc>,
    ) -> Result<(), String> {
        let SeedAccount {
            id,
            name,
            tokens,
            token_limit,
            access,
        } = seed;
        check_account_id(&id)?;
        if self.account(&id).is_some() {
            return Err(format!("duplicate account id \"{id}\""));
        }
        let name = name.unwrap_or_else(|| id.clone());
        check_account_name(&name)?;
        for seed in tokens {
            self.tokens.push(seed.plant(&id, now, &mut self.rng));
        }
        let access = access.map(|access| self.plant(&id, access, now));
        self.accounts.push(StoredAccount {
            access: access.transpose()?,
            id,
            name,
            token_limit,
        });
        Ok(())
    }

    /// Changes an account without a request, or says why it can't be.
    pub(crate) fn change_account(
        &mut self,
        id: &str,
        change: AccountChange,
        now: DateTime<Utc>,
    ) -> Result<(), String> {
        let mut accounts = self.accounts.iter();
        let place = accounts
            .position(|account| account.id == id)
            .ok_or_else(|| format!("no account has the id {id}"))?;
        if let Some(name) = &change.name {
            check_account_name(name)?;
        }
        let access = match change.access {
            None => None,
            Some(None) => Some(None),
            Some(Some(access)) => Some(Some(self.plant(id, access, now)?)),
        };
        if let Some(account) = self.accounts.get_mut(place) {
            account.name = change.name.unwrap_or_else(|| account.name.clone());
            account.token_limit = change.token_limit.unwrap_or(account.token_limit);
            account.access = access.unwrap_or_else(|| account.access.take());
        }
        Ok(())
    }

    /// Removes an account with its tokens. Returns whether there was one.
    pub(crate) fn remove_account(&mut self, id: &str) -> bool {
        let before = self.accounts.len();
        self.accounts.retain(|account| account.id != id);
        self.tokens.retain(|stored| stored.token.account_id != id);
        self.accounts.len() < before
    }

    fn plant(
        &mut self,
        account: &str,
        access: Access,
        now: DateTime<Utc>,
    ) -> Result<StoredAccess, String> {
        let tokens = self.tokens.iter().map(|stored| &stored.token);
        let tokens = tokens.filter(|token| token.account_id == account);
        access.plant(tokens, now, &mut self.rng_of_access)
    }

    /// Returns whether an account disables or deletes inactive tokens.
    pub(crate) fn has_clean_up(&self) -> bool {
        let mut settings = self.accounts.iter().filter_map(StoredAccount::clean_up);
        settings.next().is_some()
    }

    /// Disables or deletes the tokens that have become inactive, where the settings of their
    /// account ask for it.
    pub(crate) fn clean_up(&mut self, now: DateTime<Utc>) {
        for account in &self.accounts {
            let Some((access, days, action)) = account.clean_up() else {
                continue;
            };
            // No token is inactive before the settings were made.
            let end = |stored: &StoredToken| {
                later(stored.active_at(), TimeDelta::days(days.into())).max(access.set_at)
            };
            let is_inactive = |stored: &StoredToken| {
                stored.token.account_id == account.id
                    && !access.policy_names(&stored.token.id)
                    && end(stored) <= now
            };
            match action {
                Action::Delete => self.tokens.retain(|stored| !is_inactive(stored)),
                Action::Disable => {
                    for stored in &mut self.tokens {
                        if stored.token.enabled && is_inactive(stored) {
                            stored.set_enabled(false, end(stored));
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn list(&self, account: &str, list: &List, behavior: &Behavior) -> Page<'_> {
        let visible: Vec<&StoredToken> = self
            .tokens
            .iter()
            .filter(|StoredToken { token, .. }| {
                token.account_id == account
                    && behavior.list_only.as_ref().is_none_or(|visible| {
                        visible
                            .iter()
                            .any(|text| *text == token.name || *text == token.id)
                    })
            })
            .collect();
        let is_found = |StoredToken { token, .. }: &&StoredToken| {
            list.name.as_ref().is_none_or(|name| token.name == *name)
                && list.search.as_ref().is_none_or(|search| {
                    token.name.to_lowercase().contains(search)
                        || token.id.to_lowercase().contains(search)
                })
        };
        Page {
            total: visible.len(),
            tokens: list
                .paging
                .of(visible.into_iter().filter(is_found), behavior.page_cap),
        }
    }

    pub(crate) fn get(&self, account: &str, id: &str) -> Result<Answer, Rejection> {
        let mut tokens = self.tokens.iter();
        let stored = tokens.find(|stored| stored.is(account, id));
        stored
            .map(|stored| answer(stored, None))
            .ok_or(Rejection::NotFound)
    }

    pub(crate) fn create(
        &mut self,
        account: &str,
        create: Create,
        now: DateTime<Utc>,
    ) -> Result<Answer, Rejection> {
        let held = self.tokens.iter();
        let held = held.filter(|stored| stored.token.account_id == account);
        let limit = self
            .account(account)
            .map_or(0, |account| account.token_limit);
        if held.count() >= limit {
            return Err(Rejection::LimitReached { limit });
        }
        let client_secret = ClientSecret::generate(&mut self.rng);
        let mut token = Token::new(
            account.to_owned(),
            generator::uuid(&mut self.rng),
            generator::client_id(&mut self.rng),
            create.name,
            create.duration.text,
            now,
            create.duration.lifetime.expiry_from(now),
        );
        token.enabled = create.enabled;
        token.client_secret_version = create.client_secret_version;
        token.previous_client_secret_expires_at = create.previous_client_secret_expires_at;
        let stored = StoredToken {
            token,
            secret: client_secret.hash(),
            previous_secret: None,
            enabled_at: None,
            withheld: Default::default(),
        };
        self.tokens.push(stored.clone());
        Ok(Answer {
            stored,
            client_secret: Some(client_secret),
        })
    }

    pub(crate) fn update(
        &mut self,
        account: &str,
        id: &str,
        update: Update,
        now: DateTime<Utc>,
    ) -> Result<Answer, Rejection> {
        let current_version = self.find(account, id)?.token.client_secret_version;
        let version = update.client_secret_version.unwrap_or(current_version);
        if version < current_version {
            return Err(Rejection::invalid(
                "client_secret_version",
                format!("client_secret_version can't go from {current_version} down to {version}"),
            ));
        }
        let new_secret = (version > current_version).then(|| ClientSecret::generate(&mut self.rng));

        let stored = self.find(account, id)?;
        if let Some(secret) = &new_secret {
            stored.replace_secret(secret.hash(), update.previous_client_secret_expires_at);
            stored.token.client_secret_version = version;
        } else if let Some(expires_at) = update.previous_client_secret_expires_at {
            stored.move_previous_expiry(expires_at, now);
        }
        if let Some(name) = update.name {
            stored.token.name = name;
        }
        if let Some(duration) = update.duration {
            stored.token.expires_at = duration.lifetime.expiry_from(now);
            stored.token.duration = duration.text;
        }
        if let Some(enabled) = update.enabled {
            stored.set_enabled(enabled, now);
        }
        stored.token.updated_at = now;
        Ok(answer(stored, new_secret))
    }

    pub(crate) fn delete(&mut self, account: &str, id: &str) -> Result<Answer, Rejection> {
        let deleted = answer(self.find(account, id)?, None);
        let access = self
            .account(account)
            .and_then(|account| account.access.as_ref());
        if access.is_some_and(|access| access.names(id)) {
            return Err(Rejection::InUse);
        }
        self.tokens.retain(|stored| stored.token.id != id);
        Ok(deleted)
    }

    pub(crate) fn refresh(
        &mut self,
        account: &str,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<Answer, Rejection> {
        let stored = self.find(account, id)?;
        stored.token.expires_at = stored.token.expires_at.max(later(now, REFRESH));
        stored.token.updated_at = now;
        Ok(answer(stored, None))
    }

    pub(crate) fn rotate(
        &mut self,
        account: &str,
        id: &str,
        rotate: &Rotate,
        now: DateTime<Utc>,
    ) -> Result<Answer, Rejection> {
        self.find(account, id)?;
        let secret = ClientSecret::generate(&mut self.rng);
        let stored = self.find(account, id)?;
        stored.replace_secret(secret.hash(), rotate.previous_client_secret_expires_at);
        // Past the highest version, no update could name the token's version again.
        if stored.token.client_secret_version < MAX_VERSION {
            stored.token.client_secret_version += 1;
        }
        stored.token.updated_at = now;
        Ok(answer(stored, Some(secret)))
    }

    /// Judges a caller of the protected app by its credentials.
    pub(crate) fn admit(
        &mut self,
        client_id: &str,
        client_secret: &str,
        now: DateTime<Utc>,
    ) -> Admission {
        let known = self
            .tokens
            .iter_mut()
            .find(|stored| stored.token.client_id == client_id)
            .filter(|stored| stored.token.is_alive(now) && stored.knows(client_secret, now));
        match known {
            None => Admission::NotAuthenticated,
            Some(stored) if !stored.token.allowed_at_app => Admission::NotAllowed,
            Some(stored) => {
                stored.token.last_seen_at = Some(now);
                Admission::Granted(stored.token.name.clone())
            }
        }
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().map(|stored| &stored.token)
    }

    /// Adds a token without a request, or says why it can't be.
    pub(crate) fn add(
        &mut self,
        account: &str,
        seed: SeedToken,
        now: DateTime<Utc>,
    ) -> Result<Token, String> {
        let stored = seed.plant(account, now, &mut self.rng);
        check_token_id(&stored.token.id)?;
        for Token { id, client_id, .. } in self.tokens() {
            if *id == stored.token.id {
                return Err(format!("duplicate token id \"{id}\""));
            }
            if *client_id == stored.token.client_id {
                return Err(format!("duplicate Client ID \"{client_id}\""));
            }
        }
        let token = stored.token.clone();
        self.tokens.push(stored);
        Ok(token)
    }

    /// Changes a token without a request. `None` if there is no such token.
    pub(crate) fn change(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut StoredToken),
    ) -> Option<Token> {
        let mut tokens = self.tokens.iter_mut();
        let stored = tokens.find(|stored| stored.token.id == id)?;
        change(stored);
        Some(stored.token.clone())
    }

    /// Removes a token without a request, used by a policy or not. `None` if there
    /// is no such token.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Token> {
        let place = self
            .tokens
            .iter()
            .position(|stored| stored.token.id == id)?;
        Some(self.tokens.remove(place).token)
    }

    fn find(&mut self, account: &str, id: &str) -> Result<&mut StoredToken, Rejection> {
        self.tokens
            .iter_mut()
            .find(|stored| stored.is(account, id))
            .ok_or(Rejection::NotFound)
    }
}

fn answer(stored: &StoredToken, client_secret: Option<ClientSecret>) -> Answer {
    Answer {
        stored: stored.clone(),
        client_secret,
    }
}

#[cfg(test)]
mod tests;
