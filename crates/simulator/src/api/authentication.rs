//! The credentials that the API accepts, by one of Cloudflare's two schemes, and the
//! permissions of each.
//!
//! Service keys stopped working, so their header is ignored.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::api::Operation;
use crate::api::envelope::Refusal;
use crate::state::generator;

const EMAIL: &str = "x-auth-email";
const API_KEY: &str = "x-auth-key";

/// An API token that a simulator accepts, with its permissions.
///
/// By default it belongs to a user, has all permissions in every account, never expires, and
/// is valid from every address.
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
    /// The account that owns it, unless a user does.
    owner: Option<String>,
    /// Empty for every account.
    pub(crate) accounts: Vec<String>,
    permissions: BTreeSet<Permission>,
    enabled: bool,
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
            owner: None,
            accounts: Vec::new(),
            permissions: Permission::ALL.into(),
            enabled: true,
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

    /// Makes the account with this id own the API token, which limits it to that account.
    ///
    /// Only `GET /accounts/{id}/tokens/verify` verifies it, and the list of accounts refuses
    /// it with 400, code 1001.
    ///
    /// ```
    /// use cf_service_tokens_simulator::{SeedAccount, SeedApiToken, Simulator};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let simulator = Simulator::builder()
    ///     .account(SeedAccount::new("a2"))
    ///     .add_api_token(SeedApiToken::new("secret").owned_by_account("a2"))
    ///     .start()
    ///     .await?;
    /// let url = format!("{}/accounts/a2/tokens/verify", simulator.base_url());
    /// let request = reqwest::Client::new().get(url).bearer_auth("secret");
    /// assert_eq!(request.send().await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn owned_by_account(mut self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.accounts = vec![id.clone()];
        self.owner = Some(id);
        self
    }

    /// Limits the API token to these permissions. A call that needs another one gets 403,
    /// code 10000.
    ///
    /// See the example of [`Permission`].
    #[must_use]
    pub fn permissions(mut self, permissions: impl IntoIterator<Item = Permission>) -> Self {
        self.permissions = permissions.into_iter().collect();
        self
    }

    /// Takes away the permission to change service tokens. Every call that does gets 403,
    /// code 10000.
    ///
    /// See the example of [`SeedApiToken`].
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.permissions.remove(&Permission::ServiceTokensWrite);
        self
    }

    /// Disables the API token. It gets 401, code 9109.
    ///
    /// ```
    /// # use cf_service_tokens_simulator::SeedApiToken;
    /// let revoked = SeedApiToken::new("secret").disabled();
    /// ```
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
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

    /// Checks that the API token is valid from this address at this time, and permits the
    /// call.
    fn check(
        &self,
        peer: IpAddr,
        now: DateTime<Utc>,
        account_id: Option<&str>,
        operation: Operation,
    ) -> Result<(), Refusal> {
        let is_verification = operation == Operation::VerifyApiToken;
        // The answer to a verification has a status for each.
        if !is_verification && self.status(now) != "active" {
            return Err(Refusal::invalid_access_token());
        }
        if !self.only_from.is_empty() && !self.only_from.contains(&peer) {
            return Err(Refusal::wrong_location(peer));
        }
        if is_verification {
            let is_owner = self.owner.as_deref() == account_id;
            return is_owner
                .then_some(())
                .ok_or_else(Refusal::invalid_api_token);
        }
        if operation == Operation::ListAccounts && self.owner.is_some() {
            return Err(Refusal::accounts_of_an_account());
        }
        let permitted = Permission::for_operation(operation);
        let may = permitted.iter().any(|one| self.permissions.contains(one));
        if may && account_id.is_none_or(|id| self.sees(id)) {
            Ok(())
        } else {
            Err(Refusal::forbidden())
        }
    }

    fn sees(&self, account_id: &str) -> bool {
        match &self.owner {
            Some(owner) => owner == account_id,
            None => self.accounts.is_empty() || self.accounts.iter().any(|id| id == account_id),
        }
    }

    /// The public id, which is made from the secret.
    pub(crate) fn id(&self) -> String {
        let hash = Sha256::digest(self.secret.as_bytes());
        hash.iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The status in the answer to a verification.
    pub(crate) fn status(&self, now: DateTime<Utc>) -> &'static str {
        if !self.enabled {
            "disabled"
        } else if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            "expired"
        } else {
            "active"
        }
    }

    pub(crate) fn expiry(&self) -> Option<DateTime<Utc>> {
        self.expires_at
    }
}

/// A permission of an API token.
///
/// Serialized, it has the name that Cloudflare gives it.
///
/// ```
/// use cf_service_tokens_simulator::{Permission, SeedApiToken, Simulator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let narrow = SeedApiToken::new("narrow").permissions([Permission::ServiceTokensWrite]);
/// let simulator = Simulator::builder().api_token(narrow).start().await?;
/// let account = format!("{}/accounts/{}", simulator.base_url(), simulator.account_id());
/// let get = async |path: &str| {
///     let request = reqwest::Client::new().get(format!("{account}/access/{path}"));
///     request.bearer_auth("narrow").send().await
/// };
/// assert_eq!(get("service_tokens").await?.status(), 200);
/// assert_eq!(get("policies").await?.status(), 403);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Permission {
    /// To list accounts.
    #[serde(rename = "Account Settings Read")]
    AccountSettingsRead,
    /// To list policies and applications.
    #[serde(rename = "Access: Apps and Policies Read")]
    AppsAndPoliciesRead,
    /// To get the organization's settings, and list groups.
    #[serde(rename = "Access: Organizations, Identity Providers, and Groups Read")]
    OrganizationsRead,
    /// To list and get service tokens.
    #[serde(rename = "Access: Service Tokens Read")]
    ServiceTokensRead,
    /// To make every call about service tokens.
    #[serde(rename = "Access: Service Tokens Write")]
    ServiceTokensWrite,
}

impl Permission {
    const ALL: [Self; 5] = [
        Self::AccountSettingsRead,
        Self::AppsAndPoliciesRead,
        Self::OrganizationsRead,
        Self::ServiceTokensRead,
        Self::ServiceTokensWrite,
    ];

    /// The permissions of which a call needs one. A verification needs none.
    fn for_operation(operation: Operation) -> &'static [Self] {
        match operation {
            Operation::List | Operation::Get => {
                &[Self::ServiceTokensRead, Self::ServiceTokensWrite]
            }
            Operation::Create
            | Operation::Update
            | Operation::Delete
            | Operation::Refresh
            | Operation::Rotate => &[Self::ServiceTokensWrite],
            Operation::ListAccounts => &[Self::AccountSettingsRead],
            Operation::GetOrganization | Operation::ListGroups => &[Self::OrganizationsRead],
            Operation::ListPolicies | Operation::ListApps => &[Self::AppsAndPoliciesRead],
            Operation::VerifyApiToken => &[],
        }
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
            .field("owner", &self.owner)
            .field("accounts", &self.accounts)
            .field("permissions", &self.permissions)
            .field("enabled", &self.enabled)
            .field("expires_at", &self.expires_at)
            .field("only_from", &self.only_from)
            .finish_non_exhaustive()
    }
}

/// The holder of the credentials of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// Its place among the API tokens, from which none is ever removed.
    ApiToken(usize),
    GlobalKey,
    Unknown,
}

/// A caller with valid credentials.
pub(crate) enum Caller {
    ApiToken(SeedApiToken),
    GlobalKey,
}

impl Caller {
    /// Returns whether the list of accounts shows this one.
    pub(crate) fn sees(&self, account_id: &str) -> bool {
        match self {
            Self::ApiToken(token) => token.sees(account_id),
            Self::GlobalKey => true,
        }
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
        account_id: Option<&str>,
        operation: Operation,
    ) -> Result<Caller, Refusal> {
        let token = match self.holder_of(headers)? {
            Holder::ApiToken(index) => self.api_tokens.get(index),
            Holder::GlobalKey if operation == Operation::VerifyApiToken => {
                return Err(Refusal::no_api_token_to_verify());
            }
            Holder::GlobalKey => return Ok(Caller::GlobalKey),
            Holder::Unknown => None,
        };
        let token = token.ok_or_else(Refusal::not_authenticated)?;
        token.check(peer, now, account_id, operation)?;
        Ok(Caller::ApiToken(token.clone()))
    }

    /// Returns the holder of the credentials of a request, for the rate limit.
    pub(crate) fn holder(&self, headers: &HeaderMap) -> Holder {
        self.holder_of(headers).unwrap_or(Holder::Unknown)
    }

    fn holder_of(&self, headers: &HeaderMap) -> Result<Holder, Refusal> {
        let authorization = single(headers, AUTHORIZATION.as_str())
            .map_err(|_| Refusal::malformed_authorization())?;
        let email = single(headers, EMAIL).map_err(|_| Refusal::malformed_email())?;
        let api_key = single(headers, API_KEY).map_err(|_| Refusal::malformed_key())?;

        match (authorization, email, api_key) {
            (None, None, None) => Err(Refusal::not_authenticated()),
            (Some(authorization), None, None) => {
                let secret = bearer(authorization).ok_or_else(Refusal::malformed_authorization)?;
                let mut known = self.api_tokens.iter();
                let known = known.position(|token| token.secret == secret);
                Ok(known.map_or(Holder::Unknown, Holder::ApiToken))
            }
            (None, Some(email), Some(key)) if email == self.email && key == self.api_key => {
                Ok(Holder::GlobalKey)
            }
            (None, Some(_), Some(_)) => Ok(Holder::Unknown),
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
