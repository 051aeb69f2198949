//! The accounts of a credential.

use std::sync::Arc;

use crate::call::Transport;
use crate::call::options::CallOptions;
use crate::call::pages::{EntryStream, Listed, Listing, Page, Pages};
use crate::client::Client;
use crate::error::Error;
use crate::generated::operations::LIST_ACCOUNTS;
use crate::generated::types::AccountInfo;
use crate::response::Response;

/// The documented maximum of `per_page`.
const MAX_PER_PAGE: i64 = 50;

impl Client {
    /// Returns the accounts that the credentials have access to, as a stream that requests them
    /// page by page.
    ///
    /// An API token of a user needs the permission "Account Settings Read". The API refuses
    /// this call with an API token that an [account owns][owned] (HTTP 400, code 1001); such
    /// a token has one account anyway.
    ///
    /// Cloudflare's document does not name the permission of this call; the name is that of
    /// its [list of permissions][permissions].
    ///
    /// [owned]: https://developers.cloudflare.com/fundamentals/api/get-started/account-owned-tokens/
    /// [permissions]: https://developers.cloudflare.com/fundamentals/api/reference/permissions/
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { neighbours_example(async |client, account| {
    /// let mut accounts = client.accounts();
    /// while let Some(account) = accounts.next().await {
    ///     let account = account?;
    ///     println!("{:?}: {:?}", account.id, account.name);
    /// #   assert_eq!(account.name.as_deref(), Some("Demo Account"));
    /// }
    /// # Ok(()) }) }
    /// ```
    pub fn accounts(&self) -> EntryStream<AccountInfo> {
        let listing = AccountListing {
            transport: Arc::clone(&self.transport),
            options: self.options.clone(),
        };
        let body_limit = self.transport.settings.body_limit;
        Pages::new(listing, body_limit).stream()
    }
}

struct AccountListing {
    transport: Arc<Transport>,
    options: CallOptions,
}

impl Listing for AccountListing {
    type Entry = AccountInfo;

    async fn page(&self, page: u32) -> Result<Response<Page<AccountInfo>>, Error> {
        let requests = &self.transport.settings.requests;
        let request = requests.list_accounts(Some(page.into()), Some(MAX_PER_PAGE));
        self.transport
            .call(&LIST_ACCOUNTS, &self.options, request)
            .await
    }
}

impl Listed for AccountInfo {
    const NAMES: &'static str = "accounts";

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}
