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

/// The number of tokens at which a listing fails, in case the server returns new ones
/// without end. By default, an account has 50.
const MAX_TOKENS: u64 = 10_000;
/// The size at which a listing fails, unless a body may be larger. It has room for that many
/// tokens of usual size.
const MAX_LISTING_BYTES: usize = 5 * 1024 * 1024;

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

impl Filter {
    /// Whether it excludes any token.
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
    pub fn stream(self) -> ServiceTokenStream {
        let tokens = stream::try_unfold(self.pages(), Pages::next)
            .map_ok(|tokens| stream::iter(tokens).map(Ok))
            .try_flatten();
        ServiceTokenStream {
            tokens: tokens.boxed(),
        }
    }

    pub(crate) fn pages(self) -> Pages {
        let body_limit = self.tokens.transport.settings.body_limit;
        Pages {
            progress: Progress {
                max_bytes: MAX_LISTING_BYTES.max(body_limit),
                ..Progress::default()
            },
            list: self,
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

/// A stream of all service tokens of a listing; returned by
/// [`ListServiceTokens::stream`].
///
/// It is a [`Stream`]; [`next`](Self::next) needs no stream library.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use futures_util::TryStreamExt;
///
/// let all: Vec<_> = tokens.list().stream().try_collect().await?;
/// assert_eq!(all.len(), 1);
/// # Ok(()) }) }
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
    /// Any failure of the call for a page, or an incomplete listing; see
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

/// The pages of a listing. Tokens that an earlier page contained are removed.
pub(crate) struct Pages {
    list: ListServiceTokens,
    progress: Progress,
    /// Whether the previous page was the last one.
    is_last: bool,
}

impl Pages {
    /// Returns the next page; `None` after the last one.
    pub(crate) async fn next(mut self) -> Result<NextPage, Error> {
        if self.is_last {
            return Ok(None);
        }
        let progress = &mut self.progress;
        let mut page = self.list.page(progress.page).await?;
        progress.bytes = progress.bytes.saturating_add(page.body().len());
        let is_empty = page.tokens.is_empty();
        page.value.tokens.retain(|token| progress.is_new(token));
        self.is_last = progress
            .judge(&page, is_empty, self.list.filter.narrows())
            .map_err(|words| page.unusable(words))?;
        progress.page = progress.page.saturating_add(1);
        Ok(Some((page.into_inner().tokens, self)))
    }
}

/// The progress of a listing.
struct Progress {
    /// The number of the page to request.
    page: u32,
    /// The number of different tokens on the pages so far.
    listed: u64,
    /// The size of the pages so far.
    bytes: usize,
    max_bytes: usize,
    /// The hashes of these tokens.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// The newest counts that don't contradict the listed tokens.
    total_count: Option<u64>,
    total_pages: Option<u64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            page: 1,
            listed: 0,
            bytes: 0,
            max_bytes: MAX_LISTING_BYTES,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            total_count: None,
            total_pages: None,
        }
    }
}

impl Progress {
    /// Notes a token, and returns whether it is listed for the first time. The hash is that
    /// of its id, or of the whole token if the API returned no id.
    fn is_new(&mut self, token: &ServiceToken) -> bool {
        self.seen.insert(match &token.id {
            Some(id) => self.hasher.hash_one(id),
            None => self.hasher.hash_one(format!("{token:?}")),
        })
    }

    /// Returns whether a page is the last one, or why the listing can't go on. `page`
    /// has only the new tokens. `is_empty` says whether the API's page had none at all.
    fn judge(
        &mut self,
        page: &ServiceTokenPage,
        is_empty: bool,
        is_narrowed: bool,
    ) -> Result<bool, String> {
        if self.bytes > self.max_bytes {
            return Err(format!(
                "the listing is larger than {} bytes after {} service tokens",
                self.max_bytes, self.listed
            ));
        }
        let new = page.tokens.len();
        self.listed += new as u64;
        self.note_counts(page);
        // Only counts that agree end the listing.
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
                    "the listing has not ended after {} service tokens",
                    self.listed
                ))
            };
        }
        // The API documents that the counts include all tokens, whatever the search.
        let promised = match (self.total_count, self.total_pages) {
            _ if is_narrowed => return Ok(true),
            (Some(total), _) if total > self.listed => format!("{total} service tokens"),
            (None, Some(pages)) => format!("{pages} pages"),
            _ => return Ok(true),
        };
        let fault = match is_empty {
            true => "is empty",
            false => "repeats earlier tokens",
        };
        Err(format!(
            "the listing is incomplete: page {} {fault} after {} service tokens, but the API counts {promised}; list again",
            self.page, self.listed
        ))
    }

    /// Keeps the counts of the page, unless more tokens were listed than they count.
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
}

/// Returns a number of the API as a count, if it is whole and not negative.
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
    fn an_endless_listing_is_an_error() {
        let page = ServiceTokenPage {
            tokens: vec![ServiceToken::default()],
            result_info: None,
        };
        let after = |listed| Progress {
            listed,
            ..Progress::default()
        };
        assert_eq!(after(MAX_TOKENS - 2).judge(&page, false, false), Ok(false));
        let words = after(MAX_TOKENS - 1)
            .judge(&page, false, false)
            .unwrap_err();
        assert!(words.contains("after 10000 service tokens"), "{words}");
        let mut large = Progress {
            bytes: MAX_LISTING_BYTES + 1,
            ..Progress::default()
        };
        let words = large.judge(&page, false, false).unwrap_err();
        assert!(words.contains("larger than 5242880 bytes"), "{words}");
    }
}
