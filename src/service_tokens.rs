//! The calls for service tokens, by the scope that they are made in.

use std::fmt;
use std::sync::Arc;

use crate::clock::Clock;
use crate::error::Error;
use crate::generated::Client;
use crate::generated::operations::{REFRESH_ACCOUNT_SERVICE_TOKEN, ROTATE_ACCOUNT_SERVICE_TOKEN};
use crate::generated::types::ServiceToken;
use crate::id::{AccountId, ServiceTokenId, ZoneId};
use crate::issued::IssuedServiceToken;
use crate::list::ListServiceTokens;
use crate::options::CallOptions;
use crate::request::{CreateServiceToken, RotateServiceToken, UpdateServiceToken};
use crate::response::Response;
use crate::scope::{Owner, Scope};
use crate::transport::Transport;

/// The service tokens of an account; made by [`Client::account`](crate::Client::account).
///
/// It is cheap to clone. The calls and what they do follow [Cloudflare's API
/// documentation][docs].
///
/// [docs]: https://developers.cloudflare.com/api/resources/zero_trust/subresources/access/subresources/service_tokens/
///
/// ```
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// let tokens = client.account(simulator.account_id())?;
/// let page = tokens.list().page(1).await?;
/// let id = page.tokens[0].id.as_deref().ok_or("the API gave no id")?;
/// let token = tokens.refresh(id).await?;
/// assert_eq!(token.name.as_deref(), Some("deploy"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AccountServiceTokens {
    account: AccountId,
    scope: Scope,
}

/// The service tokens of a zone; made by [`Client::zone`](crate::Client::zone).
///
/// It is cheap to clone. Cloudflare's API can neither refresh nor rotate a
/// service token of a zone, so there is nothing here to ask it to:
///
/// ```compile_fail,E0599
/// # async fn example(tokens: cf_service_tokens::ZoneServiceTokens) {
/// tokens.refresh("f174e90a-fafe-4643-bbbc-4a0ed4fc8415").await;
/// # }
/// ```
///
/// ```compile_fail,E0599
/// # use cf_service_tokens::RotateServiceToken;
/// # async fn example(tokens: cf_service_tokens::ZoneServiceTokens) {
/// tokens.rotate("f174e90a-fafe-4643-bbbc-4a0ed4fc8415", &RotateServiceToken::revoking_now()).await;
/// # }
/// ```
///
/// To renew one, [`update`](Self::update) it with a `duration`, which counts
/// anew from the moment of the call.
#[derive(Clone)]
pub struct ZoneServiceTokens {
    zone: ZoneId,
    scope: Scope,
}

/// The calls that both scopes have.
macro_rules! calls_of_both_scopes {
    ($tokens:ident) => {
        impl $tokens {
            /// The same scope, whose calls differ from the client's settings as
            /// `set` says.
            ///
            /// ```
            /// # use cf_service_tokens::Client;
            /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
            /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
            /// # let tokens = client.account(simulator.account_id())?;
            /// # let id = simulator.tokens()[0].id.clone();
            /// use std::time::Duration;
            ///
            /// let patient = tokens.with(|call| call.deadline(Duration::from_secs(15 * 60)));
            /// assert!(patient.get(&id).await.is_ok());
            /// # Ok(())
            /// # }
            /// ```
            pub fn with(&self, set: impl FnOnce(CallOptions) -> CallOptions) -> Self {
                Self {
                    scope: self.scope.with(set),
                    ..self.clone()
                }
            }

            /// Lists service tokens: what is answered says which, and whether
            /// page by page or all of them.
            ///
            /// ```
            /// # use cf_service_tokens::Client;
            /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
            /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
            /// # let tokens = client.account(simulator.account_id())?;
            /// # let id = simulator.tokens()[0].id.clone();
            /// let mut all = tokens.list().name("deploy").stream();
            /// while let Some(token) = all.next().await {
            ///     assert_eq!(token?.name.as_deref(), Some("deploy"));
            /// }
            /// # Ok(())
            /// # }
            /// ```
            pub fn list(&self) -> ListServiceTokens {
                ListServiceTokens::new(self.scope.clone())
            }

            /// Makes a service token. Its secret is in the answer and **never
            /// shown again**, so store it before anything else.
            ///
            /// If the answer is not what the API documents, the secret is looked
            /// for in any JSON that came. If even that fails, [`Error::body`] holds
            /// the answer.
            ///
            /// ```
            /// use cf_service_tokens::{CreateServiceToken, TokenDuration};
            /// # use cf_service_tokens::Client;
            /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
            /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
            /// # let tokens = client.account(simulator.account_id())?;
            /// # let id = simulator.tokens()[0].id.clone();
            ///
            /// let request = CreateServiceToken::new("backup").duration(TokenDuration::FOREVER);
            /// let issued = tokens.create(&request).await?;
            /// assert!(!issued.credentials().expose_secret().is_empty()); // store it now
            /// assert!(issued.never_expires());
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// One for which [`Error::is_invalid_request`] holds, before anything
            /// is sent, if the request can't be accepted; else whatever went
            /// wrong on the way. Where [`Error::may_have_been_applied`] holds,
            /// look for the token by its name before you make another.
            pub async fn create(
                &self,
                request: &CreateServiceToken,
            ) -> Result<Response<IssuedServiceToken>, Error> {
                self.scope.create(request).await
            }

            /// One service token, without its secret.
            ///
            /// ```
            /// # use cf_service_tokens::Client;
            /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
            /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
            /// # let tokens = client.account(simulator.account_id())?;
            /// # let id = simulator.tokens()[0].id.clone();
            /// let token = tokens.get(&id).await?;
            /// assert_eq!(token.name.as_deref(), Some("deploy"));
            ///
            /// let client_id = simulator.tokens()[0].client_id.clone();
            /// assert!(tokens.get(client_id).await.unwrap_err().is_invalid_id());
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// One for which [`Error::is_invalid_id`] holds, before anything is
            /// sent, if the text can't be a service token's id;
            /// [`Error::is_not_found`] if there is no such token; else whatever
            /// went wrong on the way.
            pub async fn get(&self, id: impl AsRef<str>) -> Result<Response<ServiceToken>, Error> {
                self.scope.get(id.as_ref()).await
            }

            /// Changes a service token: what the request does not name stays.
            ///
            /// ```
            /// use cf_service_tokens::UpdateServiceToken;
            /// # use cf_service_tokens::Client;
            /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
            /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
            /// # let tokens = client.account(simulator.account_id())?;
            /// # let id = simulator.tokens()[0].id.clone();
            ///
            /// let token = tokens.update(&id, &UpdateServiceToken::new().enabled(false)).await?;
            /// assert_eq!(token.enabled, Some(false));
            /// assert_eq!(token.name.as_deref(), Some("deploy"), "it stays as it was");
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// One for which [`Error::is_invalid_id`] or
            /// [`Error::is_invalid_request`] holds, before anything is sent; else
            /// whatever went wrong on the way. To send the same update again does
            /// no harm, unless it raises the
            /// [`client_secret_version`](UpdateServiceToken::client_secret_version):
            /// then it makes a new secret, which the first answer alone may hold.
            pub async fn update(
                &self,
                id: impl AsRef<str>,
                request: &UpdateServiceToken,
            ) -> Result<Response<ServiceToken>, Error> {
                self.scope.update(id.as_ref(), request).await
            }

            /// Deletes a service token, and answers what it was.
            ///
            /// ```
            /// # use cf_service_tokens::Client;
            /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
            /// # #[tokio::main(flavor = "current_thread")]
            /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
            /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
            /// # let tokens = client.account(simulator.account_id())?;
            /// # let id = simulator.tokens()[0].id.clone();
            /// let was = tokens.delete(&id).await?;
            /// assert_eq!(was.name.as_deref(), Some("deploy"));
            /// assert!(tokens.get(&id).await.unwrap_err().is_not_found());
            /// # Ok(())
            /// # }
            /// ```
            ///
            /// # Errors
            ///
            /// One for which [`Error::is_invalid_id`] holds, before anything is
            /// sent, if the text can't be a service token's id; an API error with
            /// code 12139 while a policy names the token; else whatever went wrong
            /// on the way.
            pub async fn delete(
                &self,
                id: impl AsRef<str>,
            ) -> Result<Response<ServiceToken>, Error> {
                self.scope.delete(id.as_ref()).await
            }
        }
    };
}

calls_of_both_scopes!(AccountServiceTokens);
calls_of_both_scopes!(ZoneServiceTokens);

impl AccountServiceTokens {
    pub(crate) fn new(transport: Arc<Transport>, account: AccountId, options: CallOptions) -> Self {
        Self {
            account: account.clone(),
            scope: Scope {
                transport,
                owner: Owner::Account(account),
                options,
            },
        }
    }

    /// Whose service tokens these are.
    ///
    /// See the example of [`Client::account`](crate::Client::account).
    pub fn account_id(&self) -> &AccountId {
        &self.account
    }

    /// The time that the calls go by.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.scope.transport.clock
    }

    /// A random number from 0 to 1, from the seed of the client's [`Retry`](crate::Retry).
    pub(crate) fn random(&self) -> f64 {
        self.scope.transport.retrier.random()
    }

    /// Moves the expiry of a service token one year ahead, whatever its own
    /// duration.
    ///
    /// Cloudflare's API documentation says that the expiration is refreshed, not by how
    /// much: `expires_at` in the answer tells.
    ///
    /// The client secret stays as it is, so that nothing which uses the token
    /// has to change. To refresh twice does no harm.
    ///
    /// ```
    /// # use chrono::{TimeDelta, Utc};
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy").expires_in(TimeDelta::days(9))).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?;
    /// # let id = simulator.tokens()[0].id.clone();
    /// let token = tokens.refresh(&id).await?;
    /// println!("good until {:?}", token.expires_at);
    /// assert!(token.expires_at > Some(Utc::now() + TimeDelta::days(364)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_invalid_id`] holds, before anything is sent,
    /// if the text can't be a service token's id; else whatever went wrong on
    /// the way, as [`Error`] tells it.
    pub async fn refresh(&self, id: impl AsRef<str>) -> Result<Response<ServiceToken>, Error> {
        let id = &ServiceTokenId::new(id)?;
        let Scope {
            transport, options, ..
        } = &self.scope;
        let send = |client: Client| async move {
            client
                .refresh_account_service_token(&self.account, id)
                .await
        };
        transport
            .call(&REFRESH_ACCOUNT_SERVICE_TOKEN, options, send)
            .await
    }

    /// Gives a service token a new secret, which is in the answer and **never
    /// shown again**, so store it before anything else. The request says what
    /// becomes of the old one.
    ///
    /// If the answer is not what the API documents, the secret is looked for in
    /// any JSON that came. If even that fails, [`Error::body`] holds the answer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cf_service_tokens::RotateServiceToken;
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?;
    /// # let id = simulator.tokens()[0].id.clone();
    ///
    /// let a_day = RotateServiceToken::with_grace(Duration::from_secs(24 * 60 * 60));
    /// let issued = tokens.rotate(&id, &a_day).await?;
    /// assert!(!issued.credentials().expose_secret().is_empty()); // store it now
    /// assert_eq!(issued.id.as_deref(), Some(&*id), "the token itself stays");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_invalid_id`] or [`Error::is_invalid_request`]
    /// holds, before anything is sent; else whatever went wrong on the way.
    /// Where [`Error::may_have_been_applied`] holds, the token may have a secret
    /// that nobody has seen. With a grace, the old one still works until that is
    /// over; to rotate again makes a new one, and ends the old one at once, since a
    /// token keeps only the secret before the newest.
    pub async fn rotate(
        &self,
        id: impl AsRef<str>,
        request: &RotateServiceToken,
    ) -> Result<Response<IssuedServiceToken>, Error> {
        let id = &ServiceTokenId::new(id)?;
        let body = &request.checked(self.scope.transport.clock.now())?;
        let Scope {
            transport, options, ..
        } = &self.scope;
        let send = |client: Client| async move {
            client
                .rotate_account_service_token(&self.account, id, body)
                .await
        };
        transport
            .call(&ROTATE_ACCOUNT_SERVICE_TOKEN, options, send)
            .await
    }
}

impl ZoneServiceTokens {
    pub(crate) fn new(transport: Arc<Transport>, zone: ZoneId, options: CallOptions) -> Self {
        Self {
            zone: zone.clone(),
            scope: Scope {
                transport,
                owner: Owner::Zone(zone),
                options,
            },
        }
    }

    /// Whose service tokens these are.
    ///
    /// See the example of [`Client::zone`](crate::Client::zone).
    pub fn zone_id(&self) -> &ZoneId {
        &self.zone
    }
}

impl fmt::Debug for AccountServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountServiceTokens")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ZoneServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZoneServiceTokens")
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}
