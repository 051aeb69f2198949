//! Listing service tokens: a page at a time, or all of them as a stream.

use std::fmt;

use crate::call::pages::{EntryStream, Listed, Listing, Page, Pages};
use crate::error::Error;
use crate::generated::types::{ResultInfo, ServiceToken};
use crate::response::Response;
use crate::tokens::ServiceTokens;

/// The documented maximum of `per_page`, which is also its default.
pub(crate) const MAX_PER_PAGE: u32 = 1000;

/// One page of service tokens.
///
/// See the example of [`ListServiceTokens::page`](crate::ListServiceTokens::page).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ServiceTokenPage {
    /// The tokens of the page.
    pub tokens: Vec<ServiceToken>,
    /// The page's number and the API's counts, if the API gave them.
    pub result_info: Option<ResultInfo>,
}

/// A listing of service tokens; returned by [`ServiceTokens::list`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).token(SeedToken::new("backup")).start().await?;
/// # let (client, tokens) = connect(&simulator);
/// let mut all = tokens.list().search("deploy").stream();
/// while let Some(token) = all.next().await {
///     assert_eq!(token?.name.as_deref(), Some("deploy"));
/// }
///
/// let page = tokens.list().per_page(1).page(2).await?;
/// assert_eq!(page.tokens[0].name.as_deref(), Some("backup"));
/// assert!(page.ray_id().is_some());
/// # Ok(()) }) }
/// ```
#[derive(Clone)]
#[must_use = "nothing is listed until `page` or `stream` is called"]
pub struct ListServiceTokens {
    tokens: ServiceTokens,
    filter: Filter,
}

/// The filter of a listing.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub(crate) name: Option<String>,
    pub(crate) search: Option<String>,
    pub(crate) per_page: u32,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            name: None,
            search: None,
            per_page: MAX_PER_PAGE,
        }
    }
}

impl ListServiceTokens {
    pub(crate) fn new(tokens: ServiceTokens) -> Self {
        Self {
            tokens,
            filter: Filter::default(),
        }
    }

    /// Lists only the tokens with exactly this name.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// let page = tokens.list().name("deploy").page(1).await?;
    /// assert_eq!(page.tokens.len(), 1);
    /// let page = tokens.list().name("dep").page(1).await?;
    /// assert!(page.tokens.is_empty(), "the whole name must match");
    /// # Ok(()) }) }
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.filter.name = Some(name.into());
        self
    }

    /// Lists only the tokens with this text in their name or id, as the API searches.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// let page = tokens.list().search("dep").page(1).await?;
    /// assert_eq!(page.tokens[0].name.as_deref(), Some("deploy"));
    /// # Ok(()) }) }
    /// ```
    pub fn search(mut self, text: impl Into<String>) -> Self {
        self.filter.search = Some(text.into());
        self
    }

    /// Sets how many tokens to ask for at a time: from 1 to 1000, the default.
    ///
    /// See the example of [`page`](Self::page).
    pub fn per_page(mut self, tokens: u32) -> Self {
        self.filter.per_page = tokens;
        self
    }

    /// Returns one page; the first is page 1.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// let page = tokens.list().per_page(10).page(1).await?;
    /// assert_eq!(page.tokens.len(), 1);
    /// let info = page.result_info.as_ref().ok_or("the API said nothing of pages")?;
    /// assert_eq!((info.per_page, info.total_count), (Some(10.0), Some(1.0)));
    ///
    /// assert_eq!(tokens.list().page(0).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error of the kind
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest), if the page is zero or
    /// [`per_page`](Self::per_page) is not from 1 to 1000; otherwise any failure of the
    /// call.
    pub async fn page(&self, page: u32) -> Result<Response<ServiceTokenPage>, Error> {
        let page = Listing::page(self, page).await?;
        Ok(page.map(|page| ServiceTokenPage {
            tokens: page.entries,
            result_info: page.result_info,
        }))
    }

    /// Returns all tokens as a stream, which requests a page when the previous one is
    /// used up, and keeps one page in memory.
    ///
    /// The listing ends when the API's counts say that it is complete, so most accounts
    /// cost one request. If the API returns no counts or contradictory ones, and with a
    /// [`name`](Self::name) or [`search`](Self::search), which the counts may ignore, the
    /// listing goes on until a page contains no new token. The stream returns each token
    /// once. It may miss tokens if others are created or deleted meanwhile, since the API
    /// numbers its pages.
    ///
    /// After an error the stream ends. An error of the kind
    /// [`Decode`](crate::ErrorKind::Decode) says that the listing is incomplete: a page
    /// contained no new token although the API counts more, or new tokens came without
    /// end.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// let mut all = tokens.list().stream();
    /// let mut names = Vec::new();
    /// while let Some(token) = all.next().await {
    ///     names.extend(token?.name.clone());
    /// }
    /// assert_eq!(names, ["deploy"]);
    /// # Ok(()) }) }
    /// ```
    pub fn stream(self) -> EntryStream<ServiceToken> {
        self.pages().stream()
    }

    pub(crate) fn pages(self) -> Pages<Self> {
        let body_limit = self.tokens.transport.settings.body_limit;
        Pages::new(self, body_limit)
    }
}

impl Listing for ListServiceTokens {
    type Entry = ServiceToken;

    async fn page(&self, page: u32) -> Result<Response<Page<ServiceToken>>, Error> {
        if page == 0 {
            return Err(Error::invalid_request(
                "`page` is 0, but the first page is 1",
            ));
        }
        let per_page = self.filter.per_page;
        if !(1..=MAX_PER_PAGE).contains(&per_page) {
            return Err(Error::invalid_request(format!(
                "`per_page` is {per_page}, but it must be from 1 to {MAX_PER_PAGE}"
            )));
        }
        self.tokens.page(&self.filter, page).await
    }

    fn is_narrowed(&self) -> bool {
        self.filter.name.is_some() || self.filter.search.is_some()
    }
}

impl Listed for ServiceToken {
    const NAMES: &'static str = "service tokens";

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl fmt::Debug for ListServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListServiceTokens")
            .field("account", self.tokens.account_id())
            .field("filter", &self.filter)
            .finish()
    }
}
