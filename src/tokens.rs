//! The calls for the service tokens of an account.

pub(crate) mod id;
pub(crate) mod issued;
pub(crate) mod list;
pub(crate) mod requests;
pub(crate) mod token;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::call::Transport;
use crate::call::clock::Clock;
use crate::call::clock::api::ApiClock;
use crate::call::options::CallOptions;
use crate::call::pages::Page;
use crate::call::request::Requests;
use crate::error::{Error, ErrorKind};
use crate::generated::operations::*;
use crate::generated::types::ServiceToken;
use crate::response::Response;
use crate::tokens::id::{AccountId, ToServiceTokenId};
use crate::tokens::issued::IssuedServiceToken;
use crate::tokens::list::{Filter, ListServiceTokens};
use crate::tokens::requests::{CreateServiceToken, RotateServiceToken, UpdateServiceToken};

/// The service tokens of an account; returned by
/// [`Account::service_tokens`](crate::Account::service_tokens).
///
/// It is cheap to clone. [Cloudflare's API documentation][docs] describes the calls.
///
/// [docs]: https://developers.cloudflare.com/api/resources/zero_trust/subresources/access/subresources/service_tokens/
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// let token = tokens.find("deploy").await?;
/// let token = tokens.refresh(&token).await?;
/// println!("{token}"); // deploy, enabled, valid until 2027-11-24 12:00 UTC
/// assert_eq!(token.name.as_deref(), Some("deploy"));
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
pub struct ServiceTokens {
    transport: Arc<Transport>,
    account: AccountId,
    options: CallOptions,
}

impl ServiceTokens {
    pub(crate) fn new(transport: Arc<Transport>, account: AccountId, options: CallOptions) -> Self {
        Self {
            transport,
            account,
            options,
        }
    }

    /// Returns the id of the account.
    ///
    /// See the example of [`Account`](crate::Account).
    pub fn account_id(&self) -> &AccountId {
        &self.account
    }

    fn requests(&self) -> &Requests {
        &self.transport.settings.requests
    }

    /// Returns the clock of the client.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.transport.settings.clock
    }

    /// Returns the clock of the API.
    pub(crate) fn api_clock(&self) -> &ApiClock {
        &self.transport.settings.api_clock
    }

    /// Returns the time by the API's clock, by which tokens expire.
    ///
    /// It is the client's own time, unless the `Date` of an earlier response of the API
    /// differs from that by more than five minutes. If the API's clock has jumped
    /// between two responses, this is the latest time that it may show, by which tokens
    /// expire soonest.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{Client, ManualClock};
    /// use chrono::{TimeDelta, Utc};
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy").expires_in(TimeDelta::days(9))).start().await?;
    ///
    /// let two_days_slow = ManualClock::new(Utc::now() - TimeDelta::days(2));
    /// let client = Client::builder().clock(two_days_slow)
    /// #   .base_url(simulator.base_url()).api_token(simulator.api_token())
    ///     .build()?;
    /// let tokens = client.account(simulator.account_id())?.service_tokens();
    /// let token = tokens.find("deploy").await?;
    /// let left = token.expires_in(tokens.now()).ok_or("it expires")?;
    /// assert!((left - TimeDelta::days(9)).abs() < TimeDelta::minutes(1));
    /// # Ok(()) }) }
    /// ```
    pub fn now(&self) -> DateTime<Utc> {
        self.api_clock().now().latest
    }

    /// Returns a random number from 0 to 1, by the seed of the client's
    /// [`Retry`](crate::Retry).
    pub(crate) fn random(&self) -> f64 {
        self.transport.retrier.random()
    }

    /// Returns the same service tokens, with call options that `set` changes.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use std::time::Duration;
    ///
    /// let patient = tokens.with(|call| call.deadline(Duration::from_secs(15 * 60)));
    /// assert!(patient.get(&id).await.is_ok());
    /// # Ok(()) }) }
    /// ```
    pub fn with(&self, set: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        Self {
            options: set(self.options.clone()),
            ..self.clone()
        }
    }

    /// Returns a builder for a listing, by page or as a stream.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// let mut all = tokens.list().name("deploy").stream();
    /// while let Some(token) = all.next().await {
    ///     assert_eq!(token?.name.as_deref(), Some("deploy"));
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn list(&self) -> ListServiceTokens {
        ListServiceTokens::new(self.clone())
    }

    /// Returns the service token that has exactly this name.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).token(SeedToken::new("twin")).token(SeedToken::new("twin")).start().await?;
    /// # let (client, tokens) = connect(&simulator);
    /// let token = tokens.find("deploy").await?;
    /// tokens.refresh(&token).await?;
    ///
    /// assert!(tokens.find("backup").await.unwrap_err().is_not_found());
    /// assert_eq!(tokens.find("twin").await.unwrap_err().kind(), ErrorKind::Ambiguous);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// An error for which [`Error::is_not_found`] holds, if no token has the name;
    /// [`Ambiguous`](crate::ErrorKind::Ambiguous) if several tokens have it (the message
    /// lists their ids); otherwise any failure of the [listing](Self::list).
    pub async fn find(&self, name: &str) -> Result<ServiceToken, Error> {
        let mut stream = self.list().name(name).stream();
        let mut found = Vec::new();
        while let Some(token) = stream.next().await {
            // The API may compare names less exactly.
            found.extend(Some(token?).filter(|token| token.name.as_deref() == Some(name)));
        }
        match found.len() {
            0 => Err(Error::new(
                ErrorKind::NoMatch,
                format!(
                    "no service token has the name {name:?} in the account {}; check the name and the account",
                    self.account
                ),
            )),
            1 => Ok(found.swap_remove(0)),
            several => {
                let ids = found.iter().map(|token| match &token.id {
                    Some(id) => id.escape_debug().to_string(),
                    None => "one without an id".to_owned(),
                });
                Err(Error::new(
                    ErrorKind::Ambiguous,
                    format!(
                        "{several} service tokens have the name {name:?}: {}; give the id of one of them",
                        ids.collect::<Vec<_>>().join(", ")
                    ),
                ))
            }
        }
    }

    /// Requests one page of a listing.
    pub(crate) async fn page(
        &self,
        filter: &Filter,
        page: u32,
    ) -> Result<Response<Page<ServiceToken>>, Error> {
        let (name, search) = (filter.name.as_deref(), filter.search.as_deref());
        let (page, per_page) = (Some(page.into()), Some(filter.per_page.into()));
        let request = self.requests().list_account_service_tokens(
            &self.account,
            name,
            page,
            per_page,
            search,
        );
        self.transport
            .call(&LIST_ACCOUNT_SERVICE_TOKENS, &self.options, request)
            .await
    }

    /// Creates a service token. The response contains its secret, which **no later call
    /// returns again**, so store it before anything else.
    ///
    /// Cloudflare documents the response without the expiry and the time of the last
    /// use; [`get`](Self::get) returns them. A secret at its documented place is
    /// returned even if the rest of the response can't be read. Without one, the call
    /// fails, and the error has the whole response ([`body`](Error::body)) and the
    /// places that may contain a secret ([`secret_places`](Error::secret_places)).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{CreateServiceToken, TokenDuration};
    ///
    /// let request = CreateServiceToken::new("backup").duration(TokenDuration::FOREVER);
    /// let issued = tokens.create(&request).await?;
    /// assert!(!issued.credentials().expose_secret().is_empty()); // store it now
    /// assert!(issued.never_expires());
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error of the kind
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest), if the API can't accept the
    /// request; otherwise any failure of the call. If [`Error::may_have_been_applied`]
    /// holds, look for the token by its name before you create another.
    pub async fn create(
        &self,
        request: &CreateServiceToken,
    ) -> Result<Response<IssuedServiceToken>, Error> {
        let body = &request.checked()?;
        let request = self
            .requests()
            .create_account_service_token(&self.account, body);
        self.transport
            .call(&CREATE_ACCOUNT_SERVICE_TOKEN, &self.options, request)
            .await
    }

    /// Returns one service token, without its secret.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// let token = tokens.get(&id).await?;
    /// assert_eq!(token.name.as_deref(), Some("deploy"));
    ///
    /// let client_id = simulator.tokens()[0].client_id.clone();
    /// assert_eq!(tokens.get(client_id).await.unwrap_err().kind(), ErrorKind::InvalidId);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error of the kind
    /// [`InvalidId`](crate::ErrorKind::InvalidId), if the token has no id, or the text
    /// can't be one; [`Error::is_not_found`] if there is no such token; otherwise any
    /// failure of the call.
    pub async fn get(&self, token: impl ToServiceTokenId) -> Result<Response<ServiceToken>, Error> {
        let id = &token.to_id()?;
        let request = self.requests().get_account_service_token(&self.account, id);
        self.transport
            .call(&GET_ACCOUNT_SERVICE_TOKEN, &self.options, request)
            .await
    }

    /// Changes the fields of a service token that the request sets.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::UpdateServiceToken;
    ///
    /// let token = tokens.update(&id, &UpdateServiceToken::new().enabled(false)).await?;
    /// assert_eq!(token.enabled, Some(false));
    /// assert_eq!(token.name.as_deref(), Some("deploy"), "it has not changed");
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error of the kind
    /// [`InvalidId`](crate::ErrorKind::InvalidId) or
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest); otherwise any failure of
    /// the call. The same update can be sent twice without harm, unless it raises the
    /// [`client_secret_version`](UpdateServiceToken::client_secret_version), which
    /// creates a new secret that only the first response may contain.
    pub async fn update(
        &self,
        token: impl ToServiceTokenId,
        request: &UpdateServiceToken,
    ) -> Result<Response<ServiceToken>, Error> {
        let id = &token.to_id()?;
        let body = &request.checked()?;
        let mut operation = UPDATE_ACCOUNT_SERVICE_TOKEN;
        // A retry of the update would not return the new secret.
        operation.idempotent &= !request.may_rotate();
        let request = self
            .requests()
            .update_account_service_token(&self.account, id, body);
        self.transport
            .call(&operation, &self.options, request)
            .await
    }

    /// Deletes a service token, and returns it.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// let was = tokens.delete(&id).await?;
    /// assert_eq!(was.name.as_deref(), Some("deploy"));
    /// assert!(tokens.get(&id).await.unwrap_err().is_not_found());
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error of the kind
    /// [`InvalidId`](crate::ErrorKind::InvalidId), if the token has no id, or the text
    /// can't be one; an API error with code 12139 while a policy, a group or the SCIM
    /// configuration of an app uses the token; otherwise any failure of the call.
    pub async fn delete(
        &self,
        token: impl ToServiceTokenId,
    ) -> Result<Response<ServiceToken>, Error> {
        let id = &token.to_id()?;
        let request = self
            .requests()
            .delete_account_service_token(&self.account, id);
        self.transport
            .call(&DELETE_ACCOUNT_SERVICE_TOKEN, &self.options, request)
            .await
    }

    /// Moves the expiry of a service token to one year from now, whatever its own
    /// duration.
    ///
    /// Cloudflare's documentation does not say by how much a refresh moves the expiry,
    /// so rely on `expires_at` in the response.
    ///
    /// The client secret stays the same, so clients of the token need no change. A second
    /// refresh does no harm.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy").expires_in(TimeDelta::days(9))).start().await?;
    /// # let (client, tokens) = connect(&simulator);
    /// # let id = simulator.tokens()[0].id.clone();
    /// let token = tokens.refresh(&id).await?;
    /// println!("valid until {:?}", token.expires_at);
    /// assert!(token.expires_at > Some(Utc::now() + TimeDelta::days(364)));
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error of the kind
    /// [`InvalidId`](crate::ErrorKind::InvalidId), if the token has no id, or the text
    /// can't be one; otherwise any failure of the call.
    pub async fn refresh(
        &self,
        token: impl ToServiceTokenId,
    ) -> Result<Response<ServiceToken>, Error> {
        let id = &token.to_id()?;
        let request = self
            .requests()
            .refresh_account_service_token(&self.account, id);
        self.transport
            .call(&REFRESH_ACCOUNT_SERVICE_TOKEN, &self.options, request)
            .await
    }

    /// Replaces the secret of a service token. The response contains the new secret,
    /// which **no later call returns again**, so store it before anything else. The
    /// request says when the old secret expires.
    ///
    /// The old secret expires by the API's clock. If the request has a grace period and
    /// no response has shown that clock yet, the client [gets](Self::get) the token
    /// first.
    ///
    /// Cloudflare documents the response without the expiry and the time of the last
    /// use, which a rotation does not change. A secret at its documented place is
    /// returned even if the rest of the response can't be read. Without one, the call
    /// fails, and the error has the whole response ([`body`](Error::body)) and the
    /// places that may contain a secret ([`secret_places`](Error::secret_places)).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use std::time::Duration;
    /// use cf_service_tokens::RotateServiceToken;
    ///
    /// let a_day = RotateServiceToken::grace(Duration::from_secs(24 * 60 * 60));
    /// let issued = tokens.rotate(&id, &a_day).await?;
    /// assert!(!issued.credentials().expose_secret().is_empty()); // store it now
    /// assert_eq!(issued.id.as_deref(), Some(&*id), "the token itself stays");
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error of the kind
    /// [`InvalidId`](crate::ErrorKind::InvalidId) or
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest); otherwise any failure of the
    /// call. If [`Error::may_have_been_applied`] holds, the token may have a new secret
    /// that is lost. With a grace period, the old secret works until that ends. A second
    /// rotation would revoke the old one at once, since a token keeps only its two newest
    /// secrets.
    pub async fn rotate(
        &self,
        token: impl ToServiceTokenId,
        request: &RotateServiceToken,
    ) -> Result<Response<IssuedServiceToken>, Error> {
        let id = &token.to_id()?;
        // A grace period ends at an instant by the API's clock, which any answer shows.
        if request.has_grace() && !self.api_clock().is_known() {
            request.checked(self.now())?;
            self.get(id).await?;
        }
        let body = &request.checked(self.now())?;
        let request = self
            .requests()
            .rotate_account_service_token(&self.account, id, body);
        self.transport
            .call(&ROTATE_ACCOUNT_SERVICE_TOKEN, &self.options, request)
            .await
    }
}

impl fmt::Debug for ServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokens")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
