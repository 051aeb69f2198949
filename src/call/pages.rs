//! Listings: the pages that the API returns, and when they end.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};

use crate::answer::payload::Payload;
use crate::error::Error;
use crate::generated::types::ResultInfo;
use crate::response::Response;

/// The number of entries at which a listing fails, in case the server returns new ones
/// without end. It is the limit of one page as well, for which the API documents 1000.
pub(crate) const MAX_ENTRIES: usize = 10_000;

/// An entry of a listing.
pub(crate) trait Listed: Payload + fmt::Debug + Send + 'static {
    /// The entries in words, such as `service tokens`.
    const NAMES: &'static str;
    /// The size at which a listing fails, unless a body may be larger. The default has room
    /// for that many entries of usual size.
    const MAX_BYTES: usize = 5 * 1024 * 1024;

    /// Returns the id, which tells entries apart.
    fn id(&self) -> Option<&str>;
}

/// One page of a listing.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) result_info: Option<ResultInfo>,
}

/// A listing that can be requested by page.
pub(crate) trait Listing: Send + Sync + Sized + 'static {
    type Entry: Listed;

    /// Requests a page; the first is page 1.
    fn page(
        &self,
        page: u32,
    ) -> impl Future<Output = Result<Response<Page<Self::Entry>>, Error>> + Send;

    /// Whether a filter excludes any entry. The API's counts may ignore it.
    fn is_narrowed(&self) -> bool {
        false
    }
}

/// The entries of a page, and the pages after it.
pub(crate) type NextPage<L> = Option<(Vec<<L as Listing>::Entry>, Pages<L>)>;

/// The pages of a listing. Entries that an earlier page contained are removed.
pub(crate) struct Pages<L> {
    list: L,
    progress: Progress,
    /// Whether the previous page was the last one.
    is_last: bool,
}

impl<L: Listing> Pages<L> {
    /// Creates the pages of a listing. `body_limit` is the maximum size of one page.
    pub(crate) fn new(list: L, body_limit: usize) -> Self {
        Self {
            progress: Progress::new(L::Entry::NAMES, L::Entry::MAX_BYTES.max(body_limit)),
            list,
            is_last: false,
        }
    }

    /// Returns the next page; `None` after the last one.
    pub(crate) async fn next(mut self) -> Result<NextPage<L>, Error> {
        if self.is_last {
            return Ok(None);
        }
        let progress = &mut self.progress;
        let mut page = self.list.page(progress.page).await?;
        progress.bytes = progress.bytes.saturating_add(page.body().len());
        let is_empty = page.entries.is_empty();
        page.value.entries.retain(|entry| progress.is_new(entry));
        self.is_last = progress
            .judge(
                page.entries.len(),
                page.result_info.as_ref(),
                is_empty,
                self.list.is_narrowed(),
            )
            .map_err(|words| page.unusable(words))?;
        progress.page = progress.page.saturating_add(1);
        Ok(Some((page.into_inner().entries, self)))
    }

    /// Returns all entries as a stream, which keeps one page in memory.
    pub(crate) fn stream(self) -> EntryStream<L::Entry> {
        let entries = stream::try_unfold(self, Self::next)
            .map_ok(|entries| stream::iter(entries).map(Ok))
            .try_flatten();
        EntryStream(entries.boxed())
    }
}

/// A stream of all entries of a listing; returned by
/// [`ListServiceTokens::stream`](crate::ListServiceTokens::stream) and
/// [`Client::accounts`](crate::Client::accounts).
///
/// It is a [`Stream`]; [`next`](Self::next) needs no stream library. After an error the
/// stream ends; an error of the kind [`Decode`](crate::ErrorKind::Decode) may say that the
/// listing is incomplete.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use futures_util::TryStreamExt;
///
/// let all: Vec<_> = tokens.list().stream().try_collect().await?;
/// assert_eq!(all.len(), 1);
/// # Ok(()) }) }
/// ```
#[must_use = "nothing is listed until the stream is polled"]
pub struct EntryStream<T>(BoxStream<'static, Result<T, Error>>);

impl<T> EntryStream<T> {
    /// Returns the next entry; `None` after the last one, or after an error.
    ///
    /// See the examples of [`ListServiceTokens::stream`](crate::ListServiceTokens::stream) and
    /// [`Client::accounts`](crate::Client::accounts).
    ///
    /// # Errors
    ///
    /// Any failure of the call for a page, or an incomplete listing.
    pub async fn next(&mut self) -> Option<Result<T, Error>> {
        self.0.next().await
    }
}

impl<T> Stream for EntryStream<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl<T> fmt::Debug for EntryStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryStream").finish_non_exhaustive()
    }
}

/// The progress of a listing.
struct Progress {
    /// The entries in words.
    names: &'static str,
    /// The number of the page to request.
    page: u32,
    /// The number of different entries on the pages so far.
    listed: u64,
    /// The size of the pages so far.
    bytes: usize,
    max_bytes: usize,
    /// The hashes of these entries.
    seen: HashSet<u64>,
    hasher: RandomState,
    /// The newest counts that don't contradict the listed entries.
    total_count: Option<u64>,
    total_pages: Option<u64>,
}

impl Progress {
    fn new(names: &'static str, max_bytes: usize) -> Self {
        Self {
            names,
            page: 1,
            listed: 0,
            bytes: 0,
            max_bytes,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            total_count: None,
            total_pages: None,
        }
    }

    /// Notes an entry, and returns whether it is listed for the first time. The hash is that
    /// of its id, or of the whole entry if the API returned no id.
    fn is_new(&mut self, entry: &impl Listed) -> bool {
        self.seen.insert(match entry.id() {
            Some(id) => self.hasher.hash_one(id),
            None => self.hasher.hash_one(format!("{entry:?}")),
        })
    }

    /// Returns whether a page is the last one, or why the listing can't go on. `new` is the
    /// number of its new entries. `is_empty` says whether it had no entries at all.
    fn judge(
        &mut self,
        new: usize,
        result_info: Option<&ResultInfo>,
        is_empty: bool,
        is_narrowed: bool,
    ) -> Result<bool, String> {
        let names = self.names;
        if self.bytes > self.max_bytes {
            return Err(format!(
                "the listing is larger than {} bytes after {} {names}",
                self.max_bytes, self.listed
            ));
        }
        self.listed += new as u64;
        if let Some(info) = result_info {
            self.note_counts(info);
        }
        // Only counts that agree end the listing.
        let has_more_entries = self.total_count.map(|total| total > self.listed);
        let has_more_pages = self.total_pages.map(|pages| pages > u64::from(self.page));
        let counts = [has_more_entries, has_more_pages];
        if counts.contains(&Some(false)) && !counts.contains(&Some(true)) {
            return Ok(true);
        }
        if new > 0 {
            return if self.listed < MAX_ENTRIES as u64 {
                Ok(false)
            } else {
                Err(format!(
                    "the listing has not ended after {} {names}",
                    self.listed
                ))
            };
        }
        // The API documents that the counts include all entries, whatever the search.
        let promised = match (self.total_count, self.total_pages) {
            _ if is_narrowed => return Ok(true),
            (Some(total), _) if total > self.listed => format!("{total} {names}"),
            (None, Some(pages)) => format!("{pages} pages"),
            _ => return Ok(true),
        };
        let fault = match is_empty {
            true => "is empty",
            false => "repeats earlier entries",
        };
        Err(format!(
            "the listing is incomplete: page {} {fault} after {} {names}, but the API counts {promised}; list again",
            self.page, self.listed
        ))
    }

    /// Keeps the counts of the page, unless more entries were listed than they count.
    fn note_counts(&mut self, info: &ResultInfo) {
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
        let after = |listed: usize| Progress {
            listed: listed as u64,
            ..Progress::new("service tokens", 1000)
        };
        let judged = after(MAX_ENTRIES - 2).judge(1, None, false, false);
        assert_eq!(judged, Ok(false));
        let judged = after(MAX_ENTRIES - 1).judge(1, None, false, false);
        let words = judged.unwrap_err();
        assert!(words.contains("after 10000 service tokens"), "{words}");
        let mut large = Progress {
            bytes: 1001,
            ..after(0)
        };
        let words = large.judge(1, None, false, false).unwrap_err();
        assert!(words.contains("larger than 1000 bytes"), "{words}");
    }
}
