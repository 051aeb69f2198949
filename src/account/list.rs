//! The accounts of a credential.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::{BoxStream, Stream, StreamExt};
use serde_json::value::RawValue;

use crate::answer::envelope::{Undecodable, Unreadable, lenient_object};
use crate::call::Transport;
use crate::call::options::CallOptions;
use crate::call::pages::{Listed, Listing, Page, Pages};
use crate::client::Client;
use crate::error::Error;
use crate::generated;
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
    pub fn accounts(&self) -> AccountStream {
        let listing = AccountListing {
            transport: Arc::clone(&self.transport),
            options: self.options.clone(),
        };
        let body_limit = self.transport.settings.body_limit;
        AccountStream {
            accounts: Pages::new(listing, body_limit).stream(),
        }
    }
}

/// A stream of accounts; returned by [`Client::accounts`](crate::Client::accounts).
///
/// It is a [`Stream`]; [`next`](Self::next) needs no stream library. After an error the
/// stream ends; an error of the kind [`Decode`](crate::ErrorKind::Decode) may say that the
/// listing is incomplete.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { neighbours_example(async |client, account| {
/// use futures_util::TryStreamExt;
///
/// let all: Vec<_> = client.accounts().try_collect().await?;
/// assert_eq!(all.len(), 1);
/// # Ok(()) }) }
/// ```
#[must_use = "nothing is listed until the stream is polled"]
pub struct AccountStream {
    accounts: BoxStream<'static, Result<AccountInfo, Error>>,
}

impl AccountStream {
    /// Returns the next account; `None` after the last one, or after an error.
    ///
    /// See the example of [`Client::accounts`](crate::Client::accounts).
    ///
    /// # Errors
    ///
    /// Any failure of the call for a page, or an incomplete listing.
    pub async fn next(&mut self) -> Option<Result<AccountInfo, Error>> {
        self.accounts.next().await
    }
}

impl Stream for AccountStream {
    type Item = Result<AccountInfo, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accounts.poll_next_unpin(context)
    }
}

impl fmt::Debug for AccountStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountStream").finish_non_exhaustive()
    }
}

struct AccountListing {
    transport: Arc<Transport>,
    options: CallOptions,
}

impl Listing for AccountListing {
    type Entry = AccountInfo;

    async fn page(&self, page: u32) -> Result<Response<Page<AccountInfo>>, Error> {
        let send = |client: generated::Client| async move {
            client
                .list_accounts(Some(page.into()), Some(MAX_PER_PAGE))
                .await
        };
        self.transport
            .call(&LIST_ACCOUNTS, &self.options, send)
            .await
    }
}

impl Listed for AccountInfo {
    const NAMES: &'static str = "accounts";

    fn read(
        entry: &RawValue,
        path: &str,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        lenient_object(entry, path, unreadable)
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}
