//! The environment variables that Cloudflare's own SDKs and tools use.

use std::collections::HashMap;
use std::env;

use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;

pub(crate) const API_TOKEN: &str = "CLOUDFLARE_API_TOKEN";
pub(crate) const EMAIL: &str = "CLOUDFLARE_EMAIL";
pub(crate) const API_KEY: &str = "CLOUDFLARE_API_KEY";
/// Older setups still set it. The client reads it only to report that it no longer
/// works.
pub(crate) const USER_SERVICE_KEY: &str = "CLOUDFLARE_API_USER_SERVICE_KEY";
pub(crate) const BASE_URL: &str = "CLOUDFLARE_BASE_URL";
pub(crate) const ACCOUNT_ID: &str = "CLOUDFLARE_ACCOUNT_ID";

/// The variables as they were when the builder was created.
pub(crate) struct Environment {
    variables: HashMap<&'static str, Result<SecretString, env::VarError>>,
}

impl Environment {
    /// Reads the environment of the process.
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

    /// Returns the value of a variable that holds a secret; `None` if it is unset or
    /// empty.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<SecretString>, Error> {
        match self.variables.get(name) {
            Some(Ok(value)) if !value.expose_secret().is_empty() => Ok(Some(value.clone())),
            Some(Err(env::VarError::NotUnicode(_))) => Err(Error::configuration(format!(
                "{name} is not valid UTF-8; set it again or unset it"
            ))),
            _ => Ok(None),
        }
    }

    /// Returns the value of a variable that holds no secret; `None` if it is unset or
    /// empty.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let value = self.secret(name)?;
        Ok(value.map(|value| value.expose_secret().to_owned()))
    }

    /// Whether the variable is set but empty.
    pub(crate) fn is_empty(&self, name: &str) -> bool {
        matches!(self.variables.get(name), Some(Ok(value)) if value.expose_secret().is_empty())
    }
}
