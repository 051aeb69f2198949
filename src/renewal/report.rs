//! The report of a pass over an account.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::duration::{GoDuration, saturated};
use crate::error::Prose;
use crate::renewal::decision::{SkipReason, UnableReason};
use crate::renewal::outcome::{RenewalError, RenewalOutcome, TokenRenewal};

/// The report of a pass over an account.
///
/// It holds the tokens that were due, and counts the others. `Display` writes one line for
/// people; `Serialize` and `Deserialize` are for programs.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use cf_service_tokens::renewal::{RenewalPolicy, SkipReason};
///
/// let report = tokens.renew(&RenewalPolicy::new().only(["deploy", "backup"])).await;
/// assert_eq!((report.listed, report.tokens.len()), (1, 0));
/// assert_eq!(report.skipped[&SkipReason::NotDue], 1);
/// assert_eq!(report.unmatched, ["backup"]);
/// assert!(report.next_due < report.next_expiry);
/// assert!(!report.is_success(), "no token is named backup");
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RenewalReport {
    /// When the pass began.
    pub started_at: DateTime<Utc>,
    /// When the pass ended.
    pub finished_at: DateTime<Utc>,
    /// The number of tokens that were listed.
    pub listed: usize,
    /// The tokens that were due: first the ones at risk, then the others, both in the order
    /// in which they expire.
    pub tokens: Vec<TokenRenewal>,
    /// The number of skipped tokens by reason.
    pub skipped: BTreeMap<SkipReason, usize>,
    /// The names and ids in the policy's [`only`](super::RenewalPolicy::only) and
    /// [`except`](super::RenewalPolicy::except) that matched no token. Empty if the listing
    /// is incomplete.
    pub unmatched: Vec<String>,
    /// The error that stopped the pass early: the listing failed, the API did not accept the
    /// credentials, or the tokio runtime shut down.
    pub error: Option<RenewalError>,
    /// When the next token falls due, not counting the ones that are due now; `None` if no
    /// token ever does.
    pub next_due: Option<DateTime<Utc>>,
    /// When the first token expires unless it is renewed, including the ones at risk; `None`
    /// if no token ever does.
    pub next_expiry: Option<DateTime<Utc>>,
    /// How far the client's clock is ahead of the API's, below zero if it is behind.
    /// `None` if the two agree within five minutes, or if no response showed the API's
    /// time. Expiry goes by the API's clock; [`started_at`](Self::started_at) and
    /// [`finished_at`](Self::finished_at) are by the client's.
    pub clock_skew: Option<GoDuration>,
}

impl RenewalReport {
    pub(super) fn new(started_at: DateTime<Utc>) -> Self {
        Self {
            started_at,
            finished_at: started_at,
            listed: 0,
            tokens: Vec::new(),
            skipped: BTreeMap::new(),
            unmatched: Vec::new(),
            error: None,
            next_due: None,
            next_expiry: None,
            clock_skew: None,
        }
    }

    /// Returns the tokens that were due and were not renewed, in the order in which they
    /// expire.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::renewal::RenewalPolicy;
    /// use cf_service_tokens_simulator::{SeedToken, Simulator, TokenField};
    ///
    /// let odd = SeedToken::new("deploy").null(TokenField::ExpiresAt);
    /// let simulator = Simulator::builder().token(odd).start().await?;
    /// # let (client, tokens) = connect(&simulator);
    /// let report = tokens.renew(&RenewalPolicy::new()).await;
    /// for token in report.at_risk() {
    ///     assert_eq!(token.name.as_deref(), Some("deploy"));
    ///     assert_eq!(token.outcome.as_str(), "unable");
    /// }
    /// assert_eq!(report.at_risk().count(), 1);
    /// # Ok(()) }) }
    /// ```
    pub fn at_risk(&self) -> impl Iterator<Item = &TokenRenewal> {
        self.tokens
            .iter()
            .filter(|token| token.outcome.is_at_risk())
    }

    /// Returns the report, or an error if the pass did not [succeed](Self::is_success).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::renewal::RenewalPolicy;
    /// use cf_service_tokens_simulator::{SeedToken, Simulator, TokenField};
    ///
    /// let odd = SeedToken::new("deploy").null(TokenField::ExpiresAt);
    /// let simulator = Simulator::builder().token(odd).start().await?;
    /// # let (client, tokens) = connect(&simulator);
    /// let failure = tokens.renew(&RenewalPolicy::new()).await.into_result().unwrap_err();
    /// assert_eq!(
    ///     failure.to_string(),
    ///     "the renewal is incomplete: deploy can't be renewed: the API did not say when it expires"
    /// );
    /// assert_eq!(failure.report().listed, 1);
    /// # Ok(()) }) }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`RenewalFailure`], which names what failed, unless [`is_success`](Self::is_success)
    /// holds.
    pub fn into_result(self) -> Result<Self, RenewalFailure> {
        if self.is_success() {
            Ok(self)
        } else {
            Err(RenewalFailure(Box::new(self)))
        }
    }

    /// Returns whether nothing is left to do: the listing is complete, all due tokens were
    /// renewed (or would be, in a dry run), and each name in the policy matched a token.
    ///
    /// See the example of [`RenewalReport`].
    pub fn is_success(&self) -> bool {
        self.error.is_none() && self.unmatched.is_empty() && self.at_risk().next().is_none()
    }

    /// Whether something failed that may succeed in another pass.
    pub(super) fn is_worth_another_pass(&self) -> bool {
        let may_pass = |token: &TokenRenewal| match token.outcome {
            RenewalOutcome::Failed { .. } | RenewalOutcome::NotTried => true,
            // The API omitted a field that every token has; its next answer may have it.
            RenewalOutcome::Unable { reason } => reason != UnableReason::UnreadableDuration,
            RenewalOutcome::Renewed { .. } | RenewalOutcome::Planned => false,
        };
        self.error.is_some() || self.tokens.iter().any(may_pass)
    }

    /// Adds a token that was due.
    pub(super) fn note(&mut self, token: TokenRenewal, now: DateTime<Utc>) {
        if token.outcome.is_at_risk() {
            // An expired token does not bring the next pass forward.
            let expires_at = token.expires_at.filter(|at| *at > now);
            self.note_deadlines(None, expires_at);
        }
        self.tokens.push(token);
    }

    pub(super) fn skip(&mut self, reason: SkipReason) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// Notes when a token that is not renewed now falls due and expires.
    pub(super) fn note_deadlines(
        &mut self,
        due_at: Option<DateTime<Utc>>,
        expires_at: Option<DateTime<Utc>>,
    ) {
        self.next_due = self.next_due.into_iter().chain(due_at).min();
        self.next_expiry = self.next_expiry.into_iter().chain(expires_at).min();
    }

    pub(super) fn finish(&mut self, now: DateTime<Utc>, clock_skew: Option<TimeDelta>) {
        self.finished_at = now;
        self.clock_skew = clock_skew.map(saturated);
        let never = DateTime::<Utc>::MAX_UTC;
        let rank = |token: &TokenRenewal| {
            let expires_at = token.expires_at.unwrap_or(never);
            (!token.outcome.is_at_risk(), expires_at)
        };
        let names = |token: &TokenRenewal| (token.name.clone(), token.id.clone());
        // Sort by name as well, so that the order does not depend on the network.
        self.tokens
            .sort_by_cached_key(|token| (rank(token), names(token)));
    }
}

impl fmt::Display for RenewalReport {
    /// Writes one line, such as `12 tokens: 2 renewed, 1 failed, 9 skipped, 1 of them
    /// expired; not renewed: deploy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.listed == 1 { "" } else { "s" };
        write!(f, "{} token{plural}:", self.listed)?;
        let of = |outcome| {
            let same = |token: &&TokenRenewal| token.outcome.as_str() == outcome;
            self.tokens.iter().filter(same).count()
        };
        let skipped = |reason| self.skipped.get(&reason).copied().unwrap_or_default();
        let counts = [
            ("renewed", of("renewed")),
            ("to renew", of("planned")),
            ("failed", of("failed")),
            ("not tried", of("not_tried")),
            ("can't be renewed", of("unable")),
            ("skipped", self.skipped.values().sum()),
            ("of them expired", skipped(SkipReason::Expired)),
            ("of them disabled", skipped(SkipReason::Disabled)),
        ];
        let mut separator = "";
        for (words, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, "{separator} {count} {words}")?;
            separator = ",";
        }
        if separator.is_empty() {
            f.write_str(" nothing was done")?;
        }
        let at_risk: Vec<_> = self.at_risk().map(named).collect();
        if !at_risk.is_empty() {
            write!(f, "; not renewed: {}", some_of(&at_risk, ", "))?;
        }
        if let Some(error) = &self.error {
            write!(f, "; stopped early: {error}")?;
        }
        if !self.unmatched.is_empty() {
            write!(f, "; no such token: {}", some_of(&self.unmatched, ", "))?;
        }
        match self.clock_skew {
            Some(skew) if skew < GoDuration::ZERO => {
                let behind = skew.checked_neg().unwrap_or(GoDuration::MAX);
                write!(f, "; the clock is {behind:#} behind the API's")?;
            }
            Some(skew) => write!(f, "; the clock is {skew:#} ahead of the API's")?,
            None => {}
        }
        Ok(())
    }
}

/// The error of a pass that did not succeed; returned by [`RenewalReport::into_result`].
///
/// Its message names the tokens that were not renewed, and why. `Debug` writes the same
/// message, which is readable when `main` returns the error.
///
/// See the example of [`RenewalReport::into_result`].
#[derive(Clone)]
pub struct RenewalFailure(Box<RenewalReport>);

impl RenewalFailure {
    /// Returns the report of the pass.
    ///
    /// See the example of [`RenewalReport::into_result`].
    pub fn report(&self) -> &RenewalReport {
        &self.0
    }
}

impl fmt::Display for RenewalFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.0;
        let error = report.error.iter();
        let error = error.map(|error| format!("stopped early: {error}"));
        let at_risk = report.at_risk();
        let at_risk = at_risk.map(|token| format!("{} {}", named(token), token.outcome));
        let unmatched = report.unmatched.iter();
        let unmatched =
            unmatched.map(|name| format!("no token has the id, client id or name {name:?}"));
        let faults: Vec<_> = error.chain(at_risk).chain(unmatched).collect();
        write!(f, "the renewal is incomplete: {}", some_of(&faults, "; "))
    }
}

impl fmt::Debug for RenewalFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for RenewalFailure {}

/// Returns the token's name, or else its id, with control characters escaped.
fn named(token: &TokenRenewal) -> String {
    match token.name.as_deref().or(token.id.as_deref()) {
        Some(name) => Prose(name).to_string(),
        None => "a token without a name".to_owned(),
    }
}

/// Joins the first ten parts and counts the others, so that a report stays short.
fn some_of(parts: &[String], separator: &str) -> String {
    const MAX_PARTS: usize = 10;
    let shown = parts.iter().take(MAX_PARTS).cloned().collect::<Vec<_>>();
    let shown = shown.join(separator);
    match parts.len().checked_sub(MAX_PARTS) {
        None | Some(0) => shown,
        Some(others) => format!("{shown}{separator}and {others} more"),
    }
}
