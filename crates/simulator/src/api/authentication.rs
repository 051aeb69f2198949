//! The credentials that the API accepts, by one of Cloudflare's two schemes, and the
//! permissions of each.
//!
//! Service keys stopped working, so their header is ignored.

use std::fmt;
use std::net::IpAddr;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;

use crate::api::Operation;
use crate::api::envelope::Refusal;
use crate::state::generator;

const EMAIL: &str = "x-auth-email";
const API_KEY: &str = "x-auth-key";

/// An API token that a simulator accepts, with its permissions.
///
/// By default it has all permissions in every account, never expires, and is valid from
/// every address.
///
/// ```
/// use cf_service_tokens_simulator::{SeedAccount, SeedApiToken, SeedToken, Simulator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let simulator = Simulator::builder()
///     .account_id("a1")
///     .account(SeedAccount::new("a2").token(SeedToken::new("CI deploy")))
///     .add_api_token(SeedApiToken::new("reader").account("a2").read_only())
///     .start()
///     .await?;
/// let list = async |account: &str| {
///     let url = format!("{}/accounts/{account}/access/service_tokens", simulator.base_url());
///     reqwest::Client::new().get(url).bearer_auth("reader").send().await
/// };
/// assert_eq!(list("a2").await?.status(), 200);
/// assert_eq!(list("a1").await?.status(), 403);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SeedApiToken {
    pub(crate) secret: String,
    /// Empty for every account.
    pub(crate) accounts: Vec<String>,
    read_only: bool,
    expires_at: Option<DateTime<Utc>>,
    /// Empty for everywhere.
    only_from: Vec<IpAddr>,
}

impl SeedApiToken {
    /// Creates an API token with this value and all permissions.
    ///
    /// See the example of [`SeedApiToken`].
    pub fn new(secret: impl Into<String>) -> Self {
        Self {
            secret: secret.into(),
            accounts: Vec::new(),
            read_only: false,
            expires_at: None,
            only_from: Vec::new(),
        }
    }

    /// Limits the API token to this account, and to those of further calls. In every other
    /// account it gets 403, code 10000.
    ///
    /// See the example of [`SeedApiToken`].
    #[must_use]
    pub fn account(mut self, id: impl Into<String>) -> Self {
        self.accounts.push(id.into());
        self
    }

    /// Limits the API token to list and get. Every other call gets 403, code 10000.
    ///
    /// See the example of [`SeedApiToken`].
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Makes the API token expire at this time of the simulator's clock. From then on it
    /// gets 401, code 9109.
    ///
    /// ```
    /// use cf_service_tokens_simulator::SeedApiToken;
    /// use chrono::{TimeDelta, Utc};
    ///
    /// let limited = SeedApiToken::new("secret")
    ///     .expires_at(Utc::now() + TimeDelta::days(30))
    ///     .only_from([192, 0, 2, 1]);
    /// ```
    #[must_use]
    pub fn expires_at(mut self, time: DateTime<Utc>) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Limits the API token to this client address, and to those of further calls. From
    /// elsewhere it gets 403, code 9109. A client on this machine has the address
    /// `127.0.0.1` or `::1`.
    ///
    /// See the example of [`expires_at`](Self::expires_at).
    #[must_use]
    pub fn only_from(mut self, address: impl Into<IpAddr>) -> Self {
        self.only_from.push(address.into());
        self
    }

    /// Checks that the API token is valid from this address at this time.
    fn check(&self, peer: IpAddr, now: DateTime<Utc>) -> Result<(), Refusal> {
        if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(Refusal::invalid_access_token());
        }
        if !self.only_from.is_empty() && !self.only_from.contains(&peer) {
            return Err(Refusal::wrong_location(peer));
        }
        Ok(())
    }

    /// Whether the API token may do this in this account.
    fn permits(&self, account_id: &str, operation: Operation) -> bool {
        (self.accounts.is_empty() || self.accounts.iter().any(|id| id == account_id))
            && !(self.read_only && operation.is_change())
    }
}

impl From<&str> for SeedApiToken {
    fn from(secret: &str) -> Self {
        Self::new(secret)
    }
}

impl From<String> for SeedApiToken {
    fn from(secret: String) -> Self {
        Self::new(secret)
    }
}

impl fmt::Debug for SeedApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedApiToken")
            .field("accounts", &self.accounts)
            .field("read_only", &self.read_only)
            .field("expires_at", &self.expires_at)
            .field("only_from", &self.only_from)
            .finish_non_exhaustive()
    }
}

/// All credentials that the API accepts.
#[derive(Clone)]
pub(crate) struct Credentials {
    /// The first is the one of [`Simulator::api_token`](crate::Simulator::api_token).
    pub(crate) api_tokens: Vec<SeedApiToken>,
    pub(crate) email: String,
    pub(crate) api_key: String,
}

impl Credentials {
    pub(crate) fn generate(rng: &mut StdRng) -> Self {
        Self {
            api_tokens: vec![SeedApiToken::new(generator::alphanumerics(rng, 40))],
            email: "admin@example.com".to_owned(),
            api_key: generator::hex(rng, 37),
        }
    }

    /// Accepts one more API token, or says why it can't be.
    pub(crate) fn add(&mut self, token: SeedApiToken) -> Result<(), String> {
        check_credential("API token", &token.secret)?;
        if self
            .api_tokens
            .iter()
            .any(|held| held.secret == token.secret)
        {
            return Err("duplicate API token".to_owned());
        }
        self.api_tokens.push(token);
        Ok(())
    }

    /// Checks that the credentials of a request are valid and permit the call.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        now: DateTime<Utc>,
        account_id: &str,
        operation: Operation,
    ) -> Result<(), Refusal> {
        let authorization = single(headers, AUTHORIZATION.as_str())
            .map_err(|_| Refusal::malformed_authorization())?;
        let email = single(headers, EMAIL).map_err(|_| Refusal::malformed_email())?;
        let api_key = single(headers, API_KEY).map_err(|_| Refusal::malformed_key())?;

        match (authorization, email, api_key) {
            (None, None, None) => Err(Refusal::not_authenticated()),
            (Some(authorization), None, None) => {
                let secret = bearer(authorization).ok_or_else(Refusal::malformed_authorization)?;
                let mut known = self.api_tokens.iter();
                let token = known
                    .find(|token| token.secret == secret)
                    .ok_or_else(Refusal::not_authenticated)?;
                token.check(peer, now)?;
                if token.permits(account_id, operation) {
                    Ok(())
                } else {
                    Err(Refusal::forbidden())
                }
            }
            (None, Some(email), Some(key)) if email == self.email && key == self.api_key => Ok(()),
            (None, Some(_), Some(_)) => Err(Refusal::not_authenticated()),
            (None, _, _) => Err(Refusal::half_a_scheme()),
            (Some(_), _, _) => Err(Refusal::malformed_authorization()),
        }
    }
}

/// Refuses a credential that no header can hold, without naming it: it is a secret.
pub(crate) fn check_credential(what: &str, value: &str) -> Result<(), String> {
    let visible = HeaderValue::from_str(value).is_ok_and(|value| value.to_str().is_ok());
    if value.is_empty() || value.trim() != value || !visible {
        return Err(format!(
            "the {what} is not a valid header value: \
             use visible ASCII characters, without spaces around them"
        ));
    }
    Ok(())
}

/// The header has a value that isn't text, or several values.
struct Malformed;

/// Returns the value of a header that may come once.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Malformed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Malformed),
        (Some(_), Some(_)) => Err(Malformed),
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
