//! What a pass over an account came to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::renewal::decision::{SkipReason, UnableReason};
use crate::renewal::outcome::{RenewalError, RenewalOutcome, TokenRenewal};

/// What a pass over an account came to.
///
/// It holds the tokens that were due, and counts the others.
///
/// ```
/// use cf_service_tokens::renewal::{RenewalPolicy, SkipReason};
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?;
/// # let id = simulator.tokens()[0].id.clone();
///
/// let report = tokens.renew(&RenewalPolicy::new().only(["deploy", "backup"])).report().await;
/// assert_eq!((report.listed, report.tokens.len()), (1, 0));
/// assert_eq!(report.skipped[&SkipReason::NotDue], 1);
/// assert_eq!(report.unmatched, ["backup"]);
/// assert!(report.next_due < report.next_expiry);
/// assert!(!report.is_success(), "there is no token of that name");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RenewalReport {
    /// When the pass began.
    pub started_at: DateTime<Utc>,
    /// When the pass ended.
    pub finished_at: DateTime<Utc>,
    /// How many tokens were listed.
    pub listed: usize,
    /// The tokens that should be renewed: first those that were not, then the
    /// others, in both cases those first that expire first.
    pub tokens: Vec<TokenRenewal>,
    /// How many tokens were left as they are, by reason.
    pub skipped: BTreeMap<SkipReason, usize>,
    /// The names and ids in the policy's [`only`](super::RenewalPolicy::only) and
    /// [`except`](super::RenewalPolicy::except) that matched no token. Empty if
    /// not all tokens could be listed.
    pub unmatched: Vec<String>,
    /// Why the pass ended before its end: the tokens could not all be listed, or
    /// the credentials were not accepted.
    pub error: Option<Arc<RenewalError>>,
    /// When the next of the tokens falls due that are not due now; `None` if none
    /// ever does.
    pub next_due: Option<DateTime<Utc>>,
    /// When the first of all these tokens lapses unless it is renewed, those that
    /// should have been renewed included; `None` if none ever does.
    pub next_expiry: Option<DateTime<Utc>>,
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
        }
    }

    /// The tokens that should have been renewed and were not, those first that
    /// expire first.
    ///
    /// ```
    /// use cf_service_tokens::renewal::RenewalPolicy;
    /// use cf_service_tokens_simulator::{SeedToken, Simulator, TokenField};
    /// # use cf_service_tokens::Client;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let odd = SeedToken::new("deploy").null(TokenField::ExpiresAt);
    /// let simulator = Simulator::builder().token(odd).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?;
    /// let report = tokens.renew(&RenewalPolicy::new()).report().await;
    /// for token in report.at_risk() {
    ///     assert_eq!(token.name.as_deref(), Some("deploy"));
    ///     assert_eq!(token.outcome.as_str(), "unable");
    /// }
    /// assert_eq!(report.at_risk().count(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn at_risk(&self) -> impl Iterator<Item = &TokenRenewal> {
        self.tokens
            .iter()
            .filter(|token| token.outcome.is_at_risk())
    }

    /// Whether nothing is left to look after: all tokens were listed, all that
    /// were due are renewed (or would be), and each name in the policy is a token's.
    ///
    /// See the example of [`RenewalReport`].
    pub fn is_success(&self) -> bool {
        self.error.is_none() && self.unmatched.is_empty() && self.at_risk().next().is_none()
    }

    fn skipped_for(&self, reason: SkipReason) -> usize {
        self.skipped.get(&reason).copied().unwrap_or_default()
    }

    /// Whether something failed that another pass may put right.
    pub(super) fn is_worth_another_pass(&self) -> bool {
        let may_pass = |token: &TokenRenewal| match token.outcome {
            RenewalOutcome::Failed(_) | RenewalOutcome::NotTried => true,
            // The API left out of its answer what every token has.
            RenewalOutcome::Unable(reason) => reason != UnableReason::UnreadableDuration,
            RenewalOutcome::Renewed { .. } | RenewalOutcome::Planned => false,
        };
        self.error.is_some() || self.tokens.iter().any(may_pass)
    }

    /// Notes what became of a token that should be renewed.
    pub(super) fn note(&mut self, token: TokenRenewal) {
        if token.outcome.is_at_risk() {
            self.looks_after(None, token.expires_at);
        }
        self.tokens.push(token);
    }

    pub(super) fn skip(&mut self, reason: SkipReason) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// Notes when a token falls due and lapses that is not to be renewed now.
    pub(super) fn looks_after(
        &mut self,
        due_at: Option<DateTime<Utc>>,
        expires_at: Option<DateTime<Utc>>,
    ) {
        self.next_due = self.next_due.into_iter().chain(due_at).min();
        self.next_expiry = self.next_expiry.into_iter().chain(expires_at).min();
    }

    pub(super) fn finish(&mut self, now: DateTime<Utc>) {
        self.finished_at = now;
        let never = DateTime::<Utc>::MAX_UTC;
        let rank = |token: &TokenRenewal| {
            let expires_at = token.expires_at.unwrap_or(never);
            (!token.outcome.is_at_risk(), expires_at)
        };
        let names = |token: &TokenRenewal| (token.name.clone(), token.id.clone());
        // By name as well, so that the order is not that in which answers came.
        self.tokens
            .sort_by_cached_key(|token| (rank(token), names(token)));
    }
}

impl fmt::Display for RenewalReport {
    /// One line, such as `12 tokens: 2 renewed, 1 failed, 9 skipped, 1 of them expired`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.listed == 1 { "" } else { "s" };
        write!(f, "{} token{plural}:", self.listed)?;
        let of = |outcome| {
            let same = |token: &&TokenRenewal| token.outcome.as_str() == outcome;
            self.tokens.iter().filter(same).count()
        };
        let counts = [
            ("renewed", of("renewed")),
            ("to renew", of("planned")),
            ("failed", of("failed")),
            ("not tried", of("not_tried")),
            ("can't be renewed", of("unable")),
            ("skipped", self.skipped.values().sum()),
            ("of them expired", self.skipped_for(SkipReason::Expired)),
            ("of them disabled", self.skipped_for(SkipReason::Disabled)),
        ];
        let mut separator = "";
        for (words, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, "{separator} {count} {words}")?;
            separator = ",";
        }
        if separator.is_empty() {
            f.write_str(" nothing was done")?;
        }
        if let Some(error) = &self.error {
            write!(f, "; stopped early: {error}")?;
        }
        if !self.unmatched.is_empty() {
            write!(f, "; no such token: {}", self.unmatched.join(", "))?;
        }
        Ok(())
    }
}
