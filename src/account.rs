//! An account: its service tokens; and its settings, policies, groups and apps, which the
//! client only reads.

pub(crate) mod api_token;
pub(crate) mod list;
pub(crate) mod listings;
pub(crate) mod organization;
pub(crate) mod usage;

use std::fmt;
use std::sync::Arc;

use crate::call::Transport;
use crate::call::options::CallOptions;
use crate::tokens::ServiceTokens;
use crate::tokens::id::AccountId;

/// An account; returned by [`Client::account`](crate::Client::account) and [`Client::default_account`](crate::Client::default_account).
///
/// It is cheap to clone.
///
/// ```
/// use cf_service_tokens::Client;
///
/// let client = Client::builder().api_token("token").build()?;
/// let account = client.account("023e105f4ecef8ad9ca31a8372d0c353")?;
/// let tokens = account.service_tokens();
/// assert_eq!(tokens.account_id(), account.id());
/// # Ok::<(), cf_service_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct Account {
    transport: Arc<Transport>,
    id: AccountId,
    options: CallOptions,
}

impl Account {
    pub(crate) fn new(transport: Arc<Transport>, id: AccountId, options: CallOptions) -> Self {
        Self {
            transport,
            id,
            options,
        }
    }

    /// Returns the id of the account.
    ///
    /// See the example of [`Account`].
    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// Returns the service tokens of the account, on which calls are made.
    ///
    /// See the example of [`Account`].
    pub fn service_tokens(&self) -> ServiceTokens {
        ServiceTokens::new(
            Arc::clone(&self.transport),
            self.id.clone(),
            self.options.clone(),
        )
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("id", self.id())
            .finish_non_exhaustive()
    }
}
