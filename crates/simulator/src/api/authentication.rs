//! Who may call the API: one of Cloudflare's two schemes, and only one.
//!
//! Service keys stopped working, so their header counts for nothing.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use rand::rngs::StdRng;

use crate::api::envelope::Refusal;
use crate::state::generator;

const EMAIL: &str = "x-auth-email";
const API_KEY: &str = "x-auth-key";

/// What the API accepts.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) api_token: String,
    pub(crate) email: String,
    pub(crate) api_key: String,
}

impl Credentials {
    pub(crate) fn generate(rng: &mut StdRng) -> Self {
        Self {
            api_token: generator::alphanumerics(rng, 40),
            email: "admin@example.com".to_owned(),
            api_key: generator::hex(rng, 37),
        }
    }

    /// Lets a request pass, or says why not.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let authorization = single(headers, AUTHORIZATION.as_str())?;
        let email = single(headers, EMAIL)?;
        let api_key = single(headers, API_KEY)?;

        let known = match (authorization, email, api_key) {
            (None, None, None) => return Err(Refusal::not_authenticated()),
            (Some(authorization), None, None) => bearer(authorization)? == self.api_token,
            (None, Some(email), Some(key)) => email == self.email && key == self.api_key,
            // Half a scheme, or more than one.
            _ => return Err(Refusal::invalid_headers()),
        };
        if known {
            Ok(())
        } else {
            Err(Refusal::forbidden())
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(REDACTED)")
    }
}

/// The value of a header that may come once.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Refusal::invalid_headers()),
        },
        (Some(_), Some(_)) => Err(Refusal::invalid_headers()),
    }
}

fn bearer(authorization: &str) -> Result<&str, Refusal> {
    match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
            Ok(token)
        }
        _ => Err(Refusal::invalid_headers()),
    }
}
