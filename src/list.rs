//! Listing service tokens: a page at a time, or all of them as a stream.

use std::cmp::Ordering;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use crate::error::{Error, Kind};
use crate::generated::types::ServiceToken;
use crate::page::{Filter, ServiceTokenPage};
use crate::response::Response;
use crate::scope::Scope;

/// The most pages that one stream asks for, so that a server that makes up
/// pages without end can't keep it busy for ever.
const MOST_PAGES: u32 = 100_000;

/// Which service tokens to list; made by `list` of a scope.
///
/// ```
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).token(SeedToken::new("backup")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?;
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
    scope: Scope,
    filter: Filter,
}

impl ListServiceTokens {
    pub(crate) fn new(scope: Scope) -> Self {
        Self {
            scope,
            filter: Filter::default(),
        }
    }

    /// Only the tokens of this very name.
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

    /// Only the tokens that the API finds by this text, in their names or ids.
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
    /// let page = tokens.list().search("dep").page(1).await?;
    /// assert_eq!(page.tokens[0].name.as_deref(), Some("deploy"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn search(mut self, text: impl Into<String>) -> Self {
        self.filter.search = Some(text.into());
        self
    }

    /// How many tokens to ask for at a time, 50 by default.
    ///
    /// See the example of [`page`](Self::page).
    pub fn per_page(mut self, tokens: u32) -> Self {
        self.filter.per_page = tokens;
        self
    }

    /// One page, counted from 1.
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
    /// let page = tokens.list().per_page(10).page(1).await?;
    /// assert_eq!(page.tokens.len(), 1);
    /// let info = page.result_info.as_ref().ok_or("the API said nothing of pages")?;
    /// assert_eq!((info.per_page, info.total_count), (Some(10.0), Some(1.0)));
    ///
    /// assert!(tokens.list().page(0).await.unwrap_err().is_invalid_request());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_invalid_request`] holds, before anything is
    /// sent, if the page or [`per_page`](Self::per_page) is zero; else whatever
    /// went wrong on the way, as [`Error`] tells it.
    pub async fn page(&self, page: u32) -> Result<Response<ServiceTokenPage>, Error> {
        for (what, number) in [("page", page), ("per_page", self.filter.per_page)] {
            if number == 0 {
                return Err(Error::invalid_request(format!(
                    "`{what}` is 0, but it counts from 1"
                )));
            }
        }
        self.scope.list(&self.filter, page).await
    }

    /// All the tokens, page after page as they are asked for: one page is held
    /// in memory at a time, and no page is asked for that can't exist.
    ///
    /// A page without tokens is the last, whatever the API said. After an error the
    /// stream ends. One for which [`Error::is_decode`] holds comes
    /// from a server that gives the same page again although it says that there are
    /// more, or that makes up pages without end. Tokens that are made or deleted while it
    /// runs may be missed or come twice, since pages are counted, not marked.
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
        let pages = stream::try_unfold(Some(Place::default()), move |place| {
            let list = self.clone();
            async move {
                let Some(place) = place else {
                    return Ok(None);
                };
                let page = list.page(place.page).await?;
                if place.is_repeated_by(&page) && !place.is_promised {
                    return Ok(None);
                }
                let next = place
                    .after(&page, &list.filter)
                    .map_err(|words| page.unusable(Kind::Pages(words)))?;
                Ok(Some((page.into_inner().tokens, next)))
            }
        });
        let tokens = pages
            .map_ok(|tokens| stream::iter(tokens).map(Ok))
            .try_flatten();
        ServiceTokenStream {
            tokens: tokens.boxed(),
        }
    }
}

impl fmt::Debug for ListServiceTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListServiceTokens")
            .field("owner", &self.scope.owner)
            .field("filter", &self.filter)
            .finish()
    }
}

/// All the service tokens of a listing, one after the other; made by
/// [`ListServiceTokens::stream`].
///
/// It is a [`Stream`], and [`next`](Self::next) serves where no other stream
/// is around.
///
/// ```
/// use futures_util::TryStreamExt;
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?;
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
    /// The next token; `None` after the last one, or after an error.
    ///
    /// See the example of [`ListServiceTokens::stream`].
    ///
    /// # Errors
    ///
    /// Whatever went wrong on the way; see [`ListServiceTokens::stream`].
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

/// How far a listing has come.
#[derive(Clone, Debug)]
struct Place {
    /// The page to ask for.
    page: u32,
    /// How many tokens the pages before it held.
    seen: usize,
    /// The first token of the page before it.
    first_before: Option<ServiceToken>,
    /// Whether the API said that there is this page.
    is_promised: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            page: 1,
            seen: 0,
            first_before: None,
            is_promised: false,
        }
    }
}

impl Place {
    /// Where to go on after this page, nowhere if it was the last; or what is wrong
    /// with it.
    fn after(self, page: &ServiceTokenPage, filter: &Filter) -> Result<Option<Self>, String> {
        if self.is_repeated_by(page) {
            return Err(format!(
                "the listing is not complete: page {} is page {} once more, although the API said that there are more than {} service tokens; narrow it by `name` or `search`, or raise `per_page`",
                self.page,
                self.page - 1,
                self.seen
            ));
        }
        let seen = self.seen + page.tokens.len();
        let promise = self.promised_next(page, seen, filter);
        let has_next = promise.unwrap_or_else(|| is_full(page, filter));
        if page.tokens.is_empty() || !has_next {
            return Ok(None);
        }
        if self.page >= MOST_PAGES {
            return Err(format!(
                "the listing has not ended after {MOST_PAGES} pages; narrow it by `name` or `search`, or raise `per_page`"
            ));
        }
        Ok(Some(Self {
            page: self.page + 1,
            seen,
            first_before: page.tokens.first().cloned(),
            is_promised: promise.is_some(),
        }))
    }

    /// Whether the server gave the page before once more, as one does that
    /// takes no notice of page numbers.
    fn is_repeated_by(&self, page: &ServiceTokenPage) -> bool {
        match (&self.first_before, page.tokens.first()) {
            (Some(before), Some(now)) if before.id.is_some() => before.id == now.id,
            (Some(before), Some(now)) => before == now,
            _ => false,
        }
    }

    /// Whether the API says that there is a page after this one; `None` if it says
    /// nothing that agrees with what has been seen.
    fn promised_next(&self, page: &ServiceTokenPage, seen: usize, filter: &Filter) -> Option<bool> {
        let info = page.result_info.as_ref()?;
        let pages = info.total_pages.and_then(count);
        let tokens = info.total_count.and_then(count);
        let pages = pages.map(|total| total.cmp(&u64::from(self.page)));
        let tokens = tokens.map(|total| total.cmp(&(seen as u64)));
        // A server that gives fewer tokens a page than it was asked for may count
        // its pages by what it was asked for.
        let mut orders = [tokens, pages].into_iter().flatten();
        orders.find_map(|order| match order {
            Ordering::Equal => Some(false),
            // What is counted is documented to be all tokens, before any search.
            Ordering::Greater if !filter.narrows() => Some(true),
            _ => None,
        })
    }
}

/// Whether a page holds as many tokens as fit, so that there may be another.
fn is_full(page: &ServiceTokenPage, filter: &Filter) -> bool {
    // The server may give fewer tokens a page than it was asked for.
    let info = page.result_info.as_ref();
    let per_page = info.and_then(|info| info.per_page).and_then(count);
    let per_page = per_page
        .filter(|per_page| *per_page > 0)
        .unwrap_or(u64::from(filter.per_page));
    page.tokens.len() as u64 >= per_page
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
        let filter = Filter {
            per_page: 1,
            ..Filter::default()
        };
        let at = |page| Place {
            page,
            ..Place::default()
        };
        assert!(at(MOST_PAGES - 1).after(&page, &filter).unwrap().is_some());
        let words = at(MOST_PAGES).after(&page, &filter).unwrap_err();
        assert!(words.contains("100000 pages"), "{words}");
    }
}
