//! Listing service tokens: a page at a time, or all of them as a stream.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use crate::error::Error;
use crate::generated::types::{ResultInfo, ServiceToken};
use crate::response::Response;
use crate::tokens::ServiceTokens;

/// The documented maximum of `per_page`, which is also its default.
pub(crate) const MAX_PER_PAGE: u32 = 1000;

/// Ends a listing of a server that invents new tokens without end.
const MAX_TOKENS: u64 = 1_000_000;

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

/// A listing of service tokens; made by [`ServiceTokens::list`].
///
/// ```
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).token(SeedToken::new("backup")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?.service_tokens();
/// let mut all = tokens.list().search("deploy").stream();
/// while let Some(token) = all.next().await {
///     assert_eq!(token?.name.as_deref(), Some("deploy"));
/// }
///
/// let page = tokens.list().per_page(1).page(2).await?;
/// assert_eq!(page.tokens[0].name.as_deref(), Some("backup"));
/// assert!(page.ray_id().is_some());
/// # Ok(())
/// # }
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

impl Filter {
    /// Whether it leaves out any token.
    pub(crate) fn narrows(&self) -> bool {
        self.name.is_some() || self.search.is_some()
    }
}

impl ListServiceTokens {
    pub(crate) fn new(tokens: ServiceTokens) -> Self {
        Self {
            tokens,
            filter: Filter::default(),
        }
    }

    /// Lists only the tokens that have exactly this name.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    /// let page = tokens.list().name("deploy").page(1).await?;
    /// assert_eq!(page.tokens.len(), 1);
    /// let page = tokens.list().name("dep").page(1).await?;
    /// assert!(page.tokens.is_empty(), "it is the whole name");
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.filter.name = Some(name.into());
        self
    }

    /// Lists only the tokens that the API finds by this text, in their names or ids.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    /// let page = tokens.list().search("dep").page(1).await?;
    /// assert_eq!(page.tokens[0].name.as_deref(), Some("deploy"));
    /// # Ok(())
    /// # }
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
    /// # use cf_service_tokens::{Client, ErrorKind};
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    /// let page = tokens.list().per_page(10).page(1).await?;
    /// assert_eq!(page.tokens.len(), 1);
    /// let info = page.result_info.as_ref().ok_or("the API said nothing of pages")?;
    /// assert_eq!((info.per_page, info.total_count), (Some(10.0), Some(1.0)));
    ///
    /// assert_eq!(tokens.list().page(0).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Before anything is sent, an error of the kind
    /// [`InvalidRequest`](crate::ErrorKind::InvalidRequest), if the page is zero or
    /// [`per_page`](Self::per_page) is not from 1 to 1000; otherwise any failure of the
    /// call.
    pub async fn page(&self, page: u32) -> Result<Response<ServiceTokenPage>, Error> {
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

    /// Returns all tokens as a stream, which asks for a page when the one before is
    /// used up and holds one page in memory.
    ///
    /// The listing ends where the API's counts say that all tokens are listed, so
    /// that an ordinary account costs one request. Where the API gives no counts,
    /// or counts that don't fit, and beside a [`name`](Self::name) or
    /// [`search`](Self::search), which the counts need not heed, the listing goes on
    /// until a page holds no new token. No token comes twice. Tokens that are created
    /// or deleted meanwhile may be missed, since the API numbers its pages.
    ///
    /// After an error the stream ends. An error of the kind
    /// [`Decode`](crate::ErrorKind::Decode) says that the listing is incomplete: a page
    /// without a new token came although the API counts more tokens, or new tokens came
    /// without end.
    ///
    /// ```
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    /// let mut all = tokens.list().stream();
    /// let mut names = Vec::new();
    /// while let Some(token) = all.next().await {
    ///     names.extend(token?.name.clone());
    /// }
    /// assert_eq!(names, ["deploy"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(self) -> ServiceTokenStream {
        let tokens = stream::try_unfold(self.pages(), Pages::next)
            .map_ok(|tokens| stream::iter(tokens).map(Ok))
            .try_flatten();
        ServiceTokenStream {
            tokens: tokens.boxed(),
        }
    }

    pub(crate) fn pages(self) -> Pages {
        Pages {
            list: self,
            progress: Progress::default(),
            is_last: false,
        }
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

/// A stream of all service tokens of a listing; made by
/// [`ListServiceTokens::stream`].
///
/// It is a [`Stream`]; [`next`](Self::next) needs no stream library.
///
/// ```
/// use futures_util::TryStreamExt;
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?.service_tokens();
/// # let id = simulator.tokens()[0].id.clone();
///
/// let all: Vec<_> = tokens.list().stream().try_collect().await?;
/// assert_eq!(all.len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct ServiceTokenStream {
    tokens: BoxStream<'static, Result<ServiceToken, Error>>,
}

impl ServiceTokenStream {
    /// Returns the next token; `None` after the last one, or after an error.
    ///
    /// See the example of [`ListServiceTokens::stream`].
    ///
    /// # Errors
    ///
    /// Any failure of the call for a page, or a listing that is incomplete; see
    /// [`ListServiceTokens::stream`].
    pub async fn next(&mut self) -> Option<Result<ServiceToken, Error>> {
        self.tokens.next().await
    }
}

impl Stream for ServiceTokenStream {
    type Item = Result<ServiceToken, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.tokens.poll_next_unpin(context)
    }
}

impl fmt::Debug for ServiceTokenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokenStream").finish_non_exhaustive()
    }
}

/// The tokens of a page, and the pages after it.
pub(crate) type NextPage = Option<(Vec<ServiceToken>, Pages)>;

/// The pages of a listing, without the tokens that an earlier page had.
pub(crate) struct Pages {
    list: ListServiceTokens,
    progress: Progress,
    /// Whether the page before was the last one.
    is_last: bool,
}

impl Pages {
    /// Returns the next page; `None` after the last one.
    pub(crate) async fn next(mut self) -> Result<NextPage, Error> {
        if self.is_last {
            return Ok(None);
        }
        let progress = &mut self.progress;
        let page = self.list.page(progress.page).await?;
        let is_new = progress.note(&page);
        let new = is_new.iter().filter(|is_new| **is_new).count();
        self.is_last = progress
            .judge(&page, new, self.list.filter.narrows())
            .map_err(|words| page.unusable(words))?;
        progress.page = progress.page.saturating_add(1);
        let mut tokens = page.into_inner().tokens;
        let mut is_new = is_new.into_iter();
        tokens.retain(|_| is_new.next() == Some(true));
        Ok(Some((tokens, self)))
    }
}

/// The progress of a listing.
struct Progress {
    /// The page to ask for.
    page: u32,
    /// The number of tokens on the pages before it, each counted once.
    listed: u64,
    /// The same tokens, hashed.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// The newest counts that don't contradict what was listed.
    total_count: Option<u64>,
    total_pages: Option<u64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            page: 1,
            listed: 0,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            total_count: None,
            total_pages: None,
        }
    }
}

impl Progress {
    /// Notes the tokens of a page, and returns for each whether it is listed for the
    /// first time.
    fn note(&mut self, page: &ServiceTokenPage) -> Vec<bool> {
        let hashes: Vec<u64> = page.tokens.iter().map(|token| self.hash(token)).collect();
        hashes
            .into_iter()
            .map(|hash| self.seen.insert(hash))
            .collect()
    }

    /// Decides whether this page, with so many new tokens, is the last one, or why the
    /// listing can't go on.
    fn judge(
        &mut self,
        page: &ServiceTokenPage,
        new: usize,
        is_narrowed: bool,
    ) -> Result<bool, String> {
        self.listed += new as u64;
        self.note_counts(page);
        // No count is less than what was listed. Counts that disagree end nothing.
        let has_more_tokens = self.total_count.map(|total| total > self.listed);
        let has_more_pages = self.total_pages.map(|pages| pages > u64::from(self.page));
        let counts = [has_more_tokens, has_more_pages];
        if counts.contains(&Some(false)) && !counts.contains(&Some(true)) {
            return Ok(true);
        }
        if new > 0 {
            return if self.listed < MAX_TOKENS {
                Ok(false)
            } else {
                Err(format!(
                    "the listing has not ended after {} service tokens; narrow it by `name` or `search`",
                    self.listed
                ))
            };
        }
        // The counts are documented to be those of all tokens, whatever the search.
        let promised = match (self.total_count, self.total_pages) {
            _ if is_narrowed => return Ok(true),
            (Some(total), _) if total > self.listed => format!("{total} service tokens"),
            (None, Some(pages)) => format!("{pages} pages"),
            _ => return Ok(true),
        };
        let fault = if page.tokens.is_empty() {
            "is empty"
        } else {
            "repeats earlier tokens"
        };
        Err(format!(
            "the listing is incomplete: page {} {fault} after {} service tokens, but the API counts {promised}; list again, or narrow it by `name` or `search`",
            self.page, self.listed
        ))
    }

    /// Keeps the counts of the page, unless more was listed than they allow for.
    fn note_counts(&mut self, page: &ServiceTokenPage) {
        let Some(info) = &page.result_info else {
            return;
        };
        let (listed, page) = (self.listed, u64::from(self.page));
        let newest = |new: Option<f64>, old: Option<u64>, least: u64| {
            let mut counts = [new.and_then(count), old].into_iter().flatten();
            counts.find(|count| *count >= least)
        };
        self.total_count = newest(info.total_count, self.total_count, listed);
        self.total_pages = newest(info.total_pages, self.total_pages, page);
    }

    /// Hashes the token's id, or the whole token if the API gave no id.
    fn hash(&self, token: &ServiceToken) -> u64 {
        match &token.id {
            Some(id) => self.hasher.hash_one(id),
            None => self.hasher.hash_one(format!("{token:?}")),
        }
    }
}

/// A number of things, if the number can be one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is checked to be whole, not negative, and small enough"
)]
fn count(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_without_end_is_given_up() {
        let page = ServiceTokenPage {
            tokens: vec![ServiceToken::default()],
            result_info: None,
        };
        let after = |listed| Progress {
            listed,
            ..Progress::default()
        };
        assert_eq!(after(MAX_TOKENS - 2).judge(&page, 1, false), Ok(false));
        let words = after(MAX_TOKENS - 1).judge(&page, 1, false).unwrap_err();
        assert!(words.contains("after 1000000 service tokens"), "{words}");
    }
}
