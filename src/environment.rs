//! The environment variables that Cloudflare's own SDKs and tools use.

use std::collections::HashMap;
use std::env;

use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;
use crate::id::AccountId;

pub(crate) const API_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
pub(crate) const EMAIL: &str = "CLOUDFLARE_EMAIL";
pub(crate) const API_KEY: &str = "CLOUDFLARE_API_KEY";
pub(crate) const USER_SERVICE_KEY: &str = "CLOUDFLARE_API_USER_SERVICE_KEY";
pub(crate) const BASE_URL: &str = "CLOUDFLARE_BASE_URL";
pub(crate) const ACCOUNT_ID: &str = "CLOUDFLARE_ACCOUNT_ID";

/// What the variables held when the environment was looked at.
pub(crate) struct Environment {
    variables: HashMap<&'static str, Result<SecretString, env::VarError>>,
}

impl Environment {
    /// Looks at the process's own environment.
    pub(crate) fn read() -> Self {
        let names = [
            API_TOKEN,
            EMAIL,
            API_KEY,
            USER_SERVICE_KEY,
            BASE_URL,
            ACCOUNT_ID,
        ];
        Self {
            variables: names
                .into_iter()
                .map(|name| (name, env::var(name).map(SecretString::from)))
                .collect(),
        }
    }

    /// A variable that holds a secret; `None` if it is not set.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<SecretString>, Error> {
        match self.variables.get(name) {
            None | Some(Err(env::VarError::NotPresent)) => Ok(None),
            Some(Err(env::VarError::NotUnicode(_))) => Err(Error::configuration(format!(
                "{name} is set to something that is not text; set it again or unset it"
            ))),
            Some(Ok(value)) if value.expose_secret().is_empty() => Err(Error::configuration(
                format!("{name} is set but empty; give it a value or unset it"),
            )),
            Some(Ok(value)) => Ok(Some(value.clone())),
        }
    }

    /// A variable that holds no secret; `None` if it is not set.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(value) = self.secret(name)? else {
            return Ok(None);
        };
        let text = value.expose_secret();
        // An id that is not the caller's own must be traced to its variable.
        if name == ACCOUNT_ID {
            AccountId::new(text).map_err(|error| {
                Error::configuration(format!("{ACCOUNT_ID} can't be used: {error}"))
            })?;
        }
        Ok(Some(text.to_owned()))
    }
}
