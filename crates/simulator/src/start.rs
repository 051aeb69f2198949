//! The start of a simulator, and a reset to it.

use std::collections::HashSet;
use std::io;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::api::authentication::{Credentials, SeedApiToken, check_credential};
use crate::api::limits::{RateLimit, RateLimits};
use crate::faults::plan::{FaultPlan, RandomFaults};
use crate::state::seed::SeedAccount;
use crate::state::token::check_token_id;
use crate::state::{State, generator};

/// The state that a simulator starts from, and the settings that make it.
pub(crate) struct Start {
    pub(crate) seed: u64,
    pub(crate) accounts: Vec<SeedAccount>,
    pub(crate) credentials: Credentials,
    pub(crate) rate_limit: Option<(u32, TimeDelta)>,
    pub(crate) random_faults: Option<(u64, f64)>,
}

/// All that changes while a simulator runs, but for its clock and log.
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) credentials: Credentials,
    pub(crate) rate_limits: RateLimits,
    pub(crate) faults: FaultPlan,
    pub(crate) rays: StdRng,
}

/// The ids and credentials that come from the generator.
pub(crate) struct Drawn {
    pub(crate) account_id: String,
    pub(crate) credentials: Credentials,
    rays: StdRng,
    /// The generator of everything that is drawn later.
    rng: StdRng,
}

impl Drawn {
    pub(crate) fn from_seed(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        Self {
            // A generator of its own, so that a request more moves no later id.
            rays: StdRng::seed_from_u64(rng.random()),
            account_id: generator::hex(&mut rng, 32),
            credentials: Credentials::generate(&mut rng),
            rng,
        }
    }
}

impl Start {
    /// The id of the first account, which the builder puts there.
    pub(crate) fn account_id(&self) -> &str {
        self.accounts
            .first()
            .map_or("", |account| account.id.as_str())
    }

    /// The world at the start, or why there is none. The same seeds give the same ids and
    /// secrets, whatever the time.
    pub(crate) fn world(&self, now: DateTime<Utc>) -> Result<World, String> {
        let drawn = Drawn::from_seed(self.seed);
        let mut faults = FaultPlan::default();
        if let Some((seed, probability)) = self.random_faults {
            faults.set_random(RandomFaults::new(seed, probability));
        }
        // Not the seed of another simulator whose user counts from 0.
        let rng_of_access = StdRng::seed_from_u64(!self.seed);
        Ok(World {
            state: State::new(&self.accounts, now, drawn.rng, rng_of_access)?,
            credentials: self.credentials.clone(),
            rate_limits: RateLimits::new(match self.rate_limit {
                None => RateLimit::reported(),
                Some((requests, window)) => RateLimit::enforced(requests, window),
            }),
            faults,
            rays: drawn.rays,
        })
    }

    /// Refuses an invalid configuration.
    pub(crate) fn check(&self, state: &State) -> io::Result<()> {
        check_tokens(state)?;
        let credentials = &self.credentials;
        check_credential("e-mail address", &credentials.email).map_err(invalid)?;
        check_credential("API key", &credentials.api_key).map_err(invalid)?;
        let mut secrets = HashSet::new();
        for SeedApiToken {
            secret,
            accounts: of,
            ..
        } in &credentials.api_tokens
        {
            check_credential("API token", secret).map_err(invalid)?;
            if !secrets.insert(secret) {
                return Err(invalid("duplicate API token".to_owned()));
            }
            if let Some(id) = of.iter().find(|id| state.account(id).is_none()) {
                return Err(invalid(format!(
                    "an API token names account \"{id}\", which doesn't exist: \
                     add it with `SimulatorBuilder::account`"
                )));
            }
        }
        match self.rate_limit {
            Some((_, window)) if window < TimeDelta::seconds(1) => Err(invalid(format!(
                "a rate limit can't have a window of {window}: \
                 the API reports its length in whole seconds, so use one second or more"
            ))),
            _ => Ok(()),
        }
    }
}

fn check_tokens(state: &State) -> io::Result<()> {
    let mut ids = HashSet::new();
    let mut client_ids = HashSet::new();
    for token in state.tokens() {
        check_token_id(&token.id).map_err(invalid)?;
        if !ids.insert(&token.id) {
            return Err(invalid(format!("duplicate token id \"{}\"", token.id)));
        }
        if !client_ids.insert(&token.client_id) {
            let client_id = &token.client_id;
            return Err(invalid(format!("duplicate Client ID \"{client_id}\"")));
        }
    }
    Ok(())
}

pub(crate) fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}
