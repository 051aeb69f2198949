//! One pass over an account: list, decide, renew, verify.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::stream::Stream;
use tokio::task::JoinSet;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use crate::error::Error;
use crate::generated::types::ServiceToken;
use crate::renewal::decision::{Decision, RenewReason, SkipReason};
use crate::renewal::outcome::{RenewalError, RenewalOutcome, TokenRenewal, verified};
use crate::renewal::policy::{RenewBy, RenewalPolicy};
use crate::renewal::report::RenewalReport;
use crate::tokens::ServiceTokens;
use crate::tokens::list::ServiceTokenStream;
use crate::tokens::requests::UpdateServiceToken;

/// How long each call may take where neither the client nor the call sets a deadline.
/// An account may have more tokens than the rate
/// limit has room for, and one that was locked out must wait for five minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// An event of a pass over an account, as it happens.
///
/// ```
/// use cf_service_tokens::renewal::{Decision, RenewalEvent, RenewalPolicy, SkipReason};
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?.service_tokens();
/// # let id = simulator.tokens()[0].id.clone();
///
/// let first = tokens.renew(&RenewalPolicy::new()).next().await;
/// let Some(RenewalEvent::Decided { token, decision }) = first else {
///     panic!("{first:?}");
/// };
/// assert_eq!(token.name.as_deref(), Some("deploy"));
/// assert_eq!(decision, Decision::Skip(SkipReason::NotDue));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RenewalEvent {
    /// A token was listed, and the policy decided about it.
    Decided {
        /// The token as it was listed.
        token: Box<ServiceToken>,
        /// The decision about it.
        decision: Decision,
    },
    /// A token was renewed, or could not be. This comes once for every token whose
    /// [`Decision`] is to renew it, unless the policy asks for a dry run.
    Settled(TokenRenewal),
    /// The pass is over.
    Finished(RenewalReport),
}

/// A pass over an account; made by [`ServiceTokens::renew`].
///
/// Await it to get the report. It is also a [`Stream`] of what happens, the last of which
/// is the report. Nothing is done unless it is awaited or read by [`next`](Self::next). Do
/// so inside a tokio runtime: renewals run as tasks, so
/// that a caller may take its time between two events without holding them up. To
/// stop, drop it: no more calls are made, and tokens that were being renewed may be
/// renewed or not.
///
/// ```
/// use cf_service_tokens::renewal::{RenewalEvent, RenewalPolicy};
/// # use chrono::TimeDelta;
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy").expires_in(TimeDelta::days(9))).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?.service_tokens();
///
/// let mut renewal = tokens.renew(&RenewalPolicy::new());
/// while let Some(event) = renewal.next().await {
///     match event {
///         RenewalEvent::Settled(token) => println!("{:?} {}", token.name, token.outcome),
///         RenewalEvent::Finished(report) => assert_eq!(report.to_string(), "1 token: 1 renewed"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is renewed until the events or the report are awaited"]
pub struct Renewal {
    pass: Pass,
}

impl Renewal {
    /// Returns what happens next; `None` after the report. This method is cancel safe.
    ///
    /// See the examples of [`Renewal`] and [`RenewalEvent`].
    pub async fn next(&mut self) -> Option<RenewalEvent> {
        self.pass.next().await
    }
}

impl IntoFuture for Renewal {
    type Output = RenewalReport;
    type IntoFuture = Pin<Box<dyn Future<Output = RenewalReport> + Send>>;

    /// Completes the pass, and returns its report.
    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            while self.next().await.is_some() {}
            self.pass.report
        })
    }
}

impl Stream for Renewal {
    type Item = RenewalEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // `self.next()` would be that of the stream, which ends up here again.
        pin!(Self::next(self.get_mut())).poll(context)
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").finish_non_exhaustive()
    }
}

impl ServiceTokens {
    /// Renews the tokens of the account that fall due, as the policy says.
    ///
    /// The tokens are listed a page at a time. Those that are due are then
    /// renewed, the ones that expire first before the others, and each answer is
    /// held against what it should show: the same token, with an expiry that
    /// moved. One token's failure stops no other. Credentials that are not
    /// accepted stop everything at once.
    ///
    /// Memory use grows with the number of due tokens, not with the account. Where
    /// the rate limit has no room for so many calls, they wait: each may take a
    /// quarter of an hour, unless [`with`](Self::with) or
    /// [`ClientBuilder::deadline`](crate::ClientBuilder::deadline) sets another
    /// deadline.
    ///
    /// ```
    /// use cf_service_tokens::renewal::RenewalPolicy;
    /// use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// use chrono::TimeDelta;
    /// # use cf_service_tokens::Client;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let due = SeedToken::new("deploy").expires_in(TimeDelta::days(9));
    /// let simulator = Simulator::builder().token(due).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// let report = tokens.renew(&RenewalPolicy::new()).await;
    /// assert!(report.is_success());
    /// assert_eq!(report.to_string(), "1 token: 1 renewed");
    /// # Ok(())
    /// # }
    /// ```
    pub fn renew(&self, policy: &RenewalPolicy) -> Renewal {
        Renewal {
            pass: Pass::new(self, policy.clone(), self.clock().now()),
        }
    }
}

/// A pass, and how far it has come.
pub(super) struct Pass {
    tokens: ServiceTokens,
    policy: RenewalPolicy,
    /// When all was last well: a token that had not been expired for longer than the
    /// window by then stays due.
    since: DateTime<Utc>,
    stage: Stage,
    /// The tokens that were listed, are due, and are not being renewed yet.
    due: VecDeque<Due>,
    /// Tasks rather than futures, so that a caller that polls rarely costs no renewal
    /// its time. They are aborted when the pass is dropped.
    in_flight: JoinSet<Tried>,
    /// The names in the policy that no token had so far.
    unmatched: BTreeSet<String>,
    report: RenewalReport,
}

enum Stage {
    Listing(ServiceTokenStream),
    Renewing,
    /// Renewals in flight are awaited; no other begins.
    Stopping,
    Finished,
}

/// A token that is to be renewed, as it was listed, and why.
struct Due {
    token: ServiceToken,
    reason: RenewReason,
}

/// A token, and how its renewal ended.
type Tried = (Due, Result<DateTime<Utc>, RenewalError>);

impl Pass {
    pub(super) fn new(tokens: &ServiceTokens, policy: RenewalPolicy, since: DateTime<Utc>) -> Self {
        let tokens = tokens.with(|call| call.default_deadline(PATIENCE));
        Self {
            stage: Stage::Listing(tokens.list().stream()),
            due: VecDeque::new(),
            in_flight: JoinSet::new(),
            unmatched: policy.named(),
            report: RenewalReport::new(tokens.clock().now()),
            tokens,
            policy,
            since,
        }
    }

    /// Returns what happens next. This method is cancel safe.
    pub(super) async fn next(&mut self) -> Option<RenewalEvent> {
        loop {
            match &mut self.stage {
                Stage::Listing(stream) => match stream.next().await {
                    Some(Ok(token)) => return Some(self.decided(token)),
                    Some(Err(error)) => self.cut_short(error),
                    None => {
                        self.report.unmatched = self.unmatched.iter().cloned().collect();
                        self.start_renewing();
                    }
                },
                Stage::Renewing => {
                    self.fill_up();
                    return Some(match next_settled(&mut self.in_flight).await {
                        Some(tried) => self.settled(tried),
                        None => self.finished(),
                    });
                }
                Stage::Stopping => {
                    if let Some(tried) = next_settled(&mut self.in_flight).await {
                        return Some(self.settled(tried));
                    }
                    return Some(match self.due.pop_front() {
                        Some(Due { token, reason }) => {
                            let outcome = RenewalOutcome::NotTried;
                            RenewalEvent::Settled(self.note(&token, Some(reason), outcome))
                        }
                        None => self.finished(),
                    });
                }
                Stage::Finished => return None,
            }
        }
    }

    fn decided(&mut self, token: ServiceToken) -> RenewalEvent {
        self.report.listed += 1;
        for name in [&token.id, &token.name].into_iter().flatten() {
            self.unmatched.remove(name);
        }
        let now = self.tokens.clock().now();
        let decision = self.policy.decide_since(&token, now, self.since);
        match decision {
            Decision::Renew(reason) if self.policy.dry_run => {
                self.note(&token, Some(reason), RenewalOutcome::Planned);
            }
            Decision::Renew(reason) => {
                let token = token.clone();
                self.due.push_back(Due { token, reason });
            }
            Decision::Unable(reason) => {
                self.note(&token, None, RenewalOutcome::Unable { reason });
            }
            Decision::Skip(reason) => {
                if reason == SkipReason::NotDue {
                    let due_at = self.policy.due_at(&token);
                    self.report.looks_after(due_at, token.expires_at);
                }
                self.report.skip(reason);
            }
        }
        RenewalEvent::Decided {
            token: Box::new(token),
            decision,
        }
    }

    /// Handles a listing that broke off. The tokens that are known to be due are renewed
    /// all the same, unless the credentials are not accepted.
    fn cut_short(&mut self, error: Error) {
        if error.is_unauthenticated() {
            self.stage = Stage::Stopping;
        } else {
            self.start_renewing();
        }
        self.report.error = Some(Arc::new(RenewalError::Call(error)));
    }

    fn start_renewing(&mut self) {
        self.due
            .make_contiguous()
            .sort_by_key(|due| due.token.expires_at);
        self.stage = Stage::Renewing;
    }

    fn fill_up(&mut self) {
        while self.in_flight.len() < self.policy.concurrency {
            let Some(due) = self.due.pop_front() else {
                return;
            };
            let renewal = renew(self.tokens.clone(), self.policy.by, due);
            let renewal = renewal.in_current_span().with_current_subscriber();
            self.in_flight.spawn(renewal);
        }
    }

    fn settled(&mut self, (due, result): Tried) -> RenewalEvent {
        let Due { token, reason } = due;
        let outcome = match result {
            Ok(expires_at) => {
                let mut renewed = token.clone();
                renewed.expires_at = Some(expires_at);
                let due_at = self.policy.due_at(&renewed);
                self.report.looks_after(due_at, renewed.expires_at);
                RenewalOutcome::Renewed { expires_at }
            }
            Err(error) => {
                let error = Arc::new(error);
                if matches!(&*error, RenewalError::Call(error) if error.is_unauthenticated()) {
                    self.stage = Stage::Stopping;
                    self.report.error = Some(Arc::clone(&error));
                }
                RenewalOutcome::Failed { error }
            }
        };
        RenewalEvent::Settled(self.note(&token, Some(reason), outcome))
    }

    fn note(
        &mut self,
        token: &ServiceToken,
        reason: Option<RenewReason>,
        outcome: RenewalOutcome,
    ) -> TokenRenewal {
        let renewal = TokenRenewal::new(token, reason, outcome);
        self.report.note(renewal.clone());
        renewal
    }

    fn finished(&mut self) -> RenewalEvent {
        self.stage = Stage::Finished;
        self.report.finish(self.tokens.clock().now());
        RenewalEvent::Finished(self.report.clone())
    }
}

/// Waits for the next renewal to end; `None` if none is in flight.
async fn next_settled(in_flight: &mut JoinSet<Tried>) -> Option<Tried> {
    match in_flight.join_next().await? {
        Ok(tried) => Some(tried),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels a task, and with it this one.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Renews one token, and makes sure of it.
async fn renew(tokens: ServiceTokens, by: RenewBy, due: Due) -> Tried {
    let result = extend(&tokens, by, &due.token).await;
    (due, result)
}

async fn extend(
    tokens: &ServiceTokens,
    by: RenewBy,
    token: &ServiceToken,
) -> Result<DateTime<Utc>, RenewalError> {
    let id = token.id.as_deref().unwrap_or_default();
    let answer = match by {
        RenewBy::Refresh => tokens.refresh(id).await,
        RenewBy::Duration => {
            let mut request = UpdateServiceToken::new();
            if let Some(duration) = &token.duration {
                request = request.duration(duration.clone());
            }
            tokens.update(id, &request).await
        }
    };
    let answer = answer.map_err(RenewalError::Call)?;
    let now = tokens.clock().now();
    match verified(token, &answer, now) {
        Ok(expires_at) => Ok(expires_at),
        Err(error @ RenewalError::OtherToken { id: Some(_) }) => Err(error),
        // The token itself may show what the answer does not.
        Err(error) => match tokens.get(id).await {
            Ok(read) => verified(token, &read, now),
            Err(_) => Err(error),
        },
    }
}
