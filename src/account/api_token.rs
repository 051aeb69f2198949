//! The API token that a client sends.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::call::Transport;
use crate::call::options::CallOptions;
use crate::client::Client;
use crate::client::credentials::Owner;
use crate::client::environment::ACCOUNT_ID;
use crate::error::Error;
use crate::generated::operations::{VERIFY_ACCOUNT_API_TOKEN, VERIFY_USER_API_TOKEN};
use crate::generated::types::ApiToken;
use crate::response::Response;
use crate::tokens::id::AccountId;

/// The status of an API token.
///
/// See the example of [`Client::verify_api_token`](crate::Client::verify_api_token).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApiTokenStatus {
    /// It works.
    Active,
    /// It is disabled.
    Disabled,
    /// It has expired.
    Expired,
}

impl fmt::Display for ApiTokenStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
        })
    }
}

impl Client {
    /// Returns the status of the client's API token: whether it works, and when it expires.
    /// It needs no permission.
    ///
    /// Cloudflare verifies the API token of a user and that of an account by different calls.
    /// The [prefix] of a newer API token shows which of them owns it; the client tries an older
    /// one as a user's first. To verify an API token of an account, the client needs that account:
    /// [`ClientBuilder::account_id`](crate::ClientBuilder::account_id) or
    /// `CLOUDFLARE_ACCOUNT_ID` sets it, or call
    /// [`Account::verify_api_token`](crate::Account::verify_api_token).
    ///
    /// [prefix]: https://developers.cloudflare.com/fundamentals/api/get-started/token-formats/
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { neighbours_example(async |client, account| {
    /// use cf_service_tokens::ApiTokenStatus;
    ///
    /// let api_token = client.verify_api_token().await?;
    /// assert_eq!(api_token.status, Some(ApiTokenStatus::Active));
    /// println!("it expires at {:?}", api_token.expires_on);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error for which [`Error::is_configuration`] holds, if the
    /// client has a global key, or if an account owns the API token and no account is
    /// configured; an error for which [`Error::is_auth`] holds, if the API does not know the
    /// API token; otherwise any failure of the call.
    pub async fn verify_api_token(&self) -> Result<Response<ApiToken>, Error> {
        verify(
            &self.transport,
            &self.options,
            self.default_account.as_ref(),
        )
        .await
    }
}

impl Account {
    /// Returns the status of the client's API token, which this account or a user owns; see
    /// [`Client::verify_api_token`](crate::Client::verify_api_token).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { neighbours_example(async |client, account| {
    /// use cf_service_tokens::ApiTokenStatus;
    ///
    /// let api_token = account.verify_api_token().await?;
    /// assert_eq!(api_token.status, Some(ApiTokenStatus::Active));
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// The same as for [`Client::verify_api_token`](crate::Client::verify_api_token).
    pub async fn verify_api_token(&self) -> Result<Response<ApiToken>, Error> {
        verify(&self.transport, &self.options, Some(&self.id)).await
    }
}

async fn verify(
    transport: &Transport,
    options: &CallOptions,
    account: Option<&AccountId>,
) -> Result<Response<ApiToken>, Error> {
    let Some(owner) = transport.owner else {
        return Err(Error::configuration(
            "the client has a global key, which can't be verified; use an API token",
        ));
    };
    let requests = &transport.settings.requests;
    let mut refusal = None;
    if owner != Owner::Account {
        let request = requests.verify_user_api_token();
        match transport
            .call(&VERIFY_USER_API_TOKEN, options, request)
            .await
        {
            // An account may own it.
            Err(error) if owner == Owner::Unknown && error.is_auth() => refusal = Some(error),
            verified => return verified,
        }
    }
    let Some(account) = account else {
        return Err(refusal.unwrap_or_else(|| {
            Error::configuration(format!(
                "an account owns the API token, and no account is configured; \
                 call `verify_api_token` of the account, or set {ACCOUNT_ID}"
            ))
        }));
    };
    let request = requests.verify_account_api_token(account);
    match transport
        .call(&VERIFY_ACCOUNT_API_TOKEN, options, request)
        .await
    {
        Err(error) if error.is_auth() => Err(refusal.unwrap_or(error)),
        verified => verified,
    }
}
