//! One pass over an account: list, decide, renew, verify.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use chrono::{DateTime, Utc};
use futures_util::stream::Stream;
use tokio::runtime::Handle;
use tokio::task::{self, JoinSet};
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use crate::answer::wire::lacks_driver;
use crate::call::clock::api::Moment;
use crate::call::pages::{NextPage, Pages};
use crate::error::Error;
use crate::generated::types::ServiceToken;
use crate::renewal::decision::{Decision, RenewReason, SkipReason};
use crate::renewal::outcome::{RenewalError, RenewalOutcome, TokenRenewal, verified};
use crate::renewal::policy::{RenewBy, RenewalPolicy};
use crate::renewal::report::RenewalReport;
use crate::tokens::ServiceTokens;
use crate::tokens::list::ListServiceTokens;
use crate::tokens::requests::UpdateServiceToken;

/// The deadline of each call, if neither the client nor the call sets one. A lock-out
/// takes five minutes, and the calls of a pass share the rate limit.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// An event of a pass over an account.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use cf_service_tokens::renewal::{Decision, RenewalEvent, RenewalPolicy, SkipReason};
///
/// let first = tokens.renew(&RenewalPolicy::new()).next().await;
/// let Some(RenewalEvent::Decided { token, decision }) = first else {
///     panic!("{first:?}");
/// };
/// assert_eq!(token.name.as_deref(), Some("deploy"));
/// assert_eq!(decision, Decision::Skip(SkipReason::NotDue));
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RenewalEvent {
    /// The pass listed a token and decided about it.
    Decided {
        /// The token.
        token: Box<ServiceToken>,
        /// The decision about it.
        decision: Decision,
    },
    /// The renewal of a token succeeded or failed. Every token with the decision
    /// [`Renew`](Decision::Renew) has one such event, except in a dry run.
    Settled(TokenRenewal),
    /// The pass has ended.
    Finished(RenewalReport),
}

/// A pass over an account; returned by [`ServiceTokens::renew`].
///
/// Await it to get the report. It is also a [`Stream`] of events, which ends with the
/// report. Nothing happens until it is polled.
///
/// Poll it inside a tokio runtime, where it runs its calls as tasks: they continue while
/// the caller does not poll. Outside of a runtime, or after the runtime has shut down,
/// the pass ends with [`RenewalError::NoRuntime`].
///
/// To stop a pass, drop it: no more calls are made, and tokens that were being renewed may
/// have been renewed.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use cf_service_tokens::renewal::{RenewalEvent, RenewalPolicy};
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy").expires_in(TimeDelta::days(9))).start().await?;
/// # let (client, tokens) = connect(&simulator);
///
/// let mut renewal = tokens.renew(&RenewalPolicy::new());
/// while let Some(event) = renewal.next().await {
///     match event {
///         RenewalEvent::Settled(token) => println!("{:?} {}", token.name, token.outcome),
///         RenewalEvent::Finished(report) => assert_eq!(report.to_string(), "1 token: 1 renewed"),
///         _ => {}
///     }
/// }
/// # Ok(()) }) }
/// ```
#[must_use = "nothing is renewed until the events or the report are awaited"]
pub struct Renewal {
    pass: Pass,
}

impl Renewal {
    /// Returns the next event; `None` after the report. This method is cancel safe.
    ///
    /// See the examples of [`Renewal`] and [`RenewalEvent`].
    pub async fn next(&mut self) -> Option<RenewalEvent> {
        self.pass.next().await
    }
}

impl IntoFuture for Renewal {
    type Output = RenewalReport;
    type IntoFuture = Pin<Box<dyn Future<Output = RenewalReport> + Send>>;

    /// Runs the pass to its end, and returns its report.
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
        // `self.next()` would call the stream's method, which calls this one.
        pin!(Self::next(self.get_mut())).poll(context)
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").finish_non_exhaustive()
    }
}

impl ServiceTokens {
    /// Renews the due tokens of the account, as the policy says.
    ///
    /// The pass lists the tokens a page at a time. Then it renews the due ones in the
    /// order in which they expire, and verifies each response: it must be about the
    /// same token, with an expiry that moved. A token that can't be renewed does not
    /// stop the others. Credentials that the API rejects stop the pass.
    ///
    /// Tokens fall due by the API's clock, which the listing shows; see
    /// [`RenewalReport::clock_skew`].
    ///
    /// Calls wait for the rate limit. Each call has a deadline of 15 minutes, unless
    /// [`with`](Self::with) or [`ClientBuilder::deadline`](crate::ClientBuilder::deadline)
    /// sets another.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::renewal::RenewalPolicy;
    /// use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// use chrono::TimeDelta;
    ///
    /// let due = SeedToken::new("deploy").expires_in(TimeDelta::days(9));
    /// let simulator = Simulator::builder().token(due).start().await?;
    /// # let (client, tokens) = connect(&simulator);
    /// let report = tokens.renew(&RenewalPolicy::new()).await;
    /// assert!(report.is_success());
    /// assert_eq!(report.to_string(), "1 token: 1 renewed");
    /// # Ok(()) }) }
    /// ```
    pub fn renew(&self, policy: &RenewalPolicy) -> Renewal {
        Renewal {
            pass: Pass::new(self, policy.clone(), self.api_clock().moment()),
        }
    }
}

/// The state of a pass.
pub(super) struct Pass {
    tokens: ServiceTokens,
    policy: RenewalPolicy,
    pub(super) began: Moment,
    /// The start of the last successful pass. A token that had not been expired for longer
    /// than the window by then stays due.
    since: Moment,
    stage: Stage,
    /// The due tokens that wait for their renewal.
    due: VecDeque<Due>,
    in_flight: JoinSet<Result<DateTime<Utc>, RenewalError>>,
    /// The tokens that are being renewed, by task.
    renewing: HashMap<task::Id, Due>,
    /// The names and ids in the policy that no token has had so far.
    unmatched: BTreeSet<String>,
    report: RenewalReport,
}

enum Stage {
    Listing(Box<Listing>),
    Renewing,
    /// The pass waits for the renewals in flight, and starts no other.
    Stopping,
    Finished,
}

/// A due token, and why it is renewed.
struct Due {
    token: ServiceToken,
    reason: RenewReason,
}

impl Pass {
    pub(super) fn new(tokens: &ServiceTokens, policy: RenewalPolicy, since: Moment) -> Self {
        let tokens = tokens.with(|call| call.default_deadline(DEADLINE));
        Self {
            began: tokens.api_clock().moment(),
            since,
            stage: Stage::Listing(Box::new(Listing::new(tokens.list().pages()))),
            due: VecDeque::new(),
            in_flight: JoinSet::new(),
            renewing: HashMap::new(),
            unmatched: policy.named(),
            report: RenewalReport::new(tokens.clock().now()),
            tokens,
            policy,
        }
    }

    /// Returns the next event. This method is cancel safe.
    pub(super) async fn next(&mut self) -> Option<RenewalEvent> {
        loop {
            match &mut self.stage {
                Stage::Listing(listing) => match listing.next().await {
                    Some(Ok(token)) => return Some(self.decided(token)),
                    Some(Err(error)) => self.cut_short(error),
                    None => {
                        self.report.unmatched = self.unmatched.iter().cloned().collect();
                        self.start_renewing();
                    }
                },
                Stage::Renewing | Stage::Stopping => {
                    self.fill_up();
                    if let Some((id, result)) = next_done(&mut self.in_flight).await {
                        let result = result.and_then(|result| result);
                        if let Some(due) = self.renewing.remove(&id) {
                            return Some(self.settled(&due, result));
                        }
                    } else if let Some(Due { token, reason }) = self.due.pop_front() {
                        let outcome = RenewalOutcome::NotTried;
                        let renewal = self.note(&token, Some(reason), outcome);
                        return Some(RenewalEvent::Settled(renewal));
                    } else {
                        return Some(self.finished());
                    }
                }
                Stage::Finished => return None,
            }
        }
    }

    fn decided(&mut self, token: ServiceToken) -> RenewalEvent {
        self.report.listed += 1;
        for name in RenewalPolicy::names(&token) {
            self.unmatched.remove(name);
        }
        let clock = self.tokens.api_clock();
        let (now, since) = (clock.now(), clock.at(self.since));
        // One wrong `Date` must not make every token long expired: both clocks must agree.
        let by_the_client = self.tokens.clock().now().min(self.since.date);
        let since = since.earliest.min(now.earliest).min(by_the_client);
        let decision = self.policy.decide_since(&token, now.latest, since);
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
                    self.report.note_deadlines(due_at, token.expires_at);
                }
                self.report.skip(reason);
            }
        }
        RenewalEvent::Decided {
            token: Box::new(token),
            decision,
        }
    }

    /// Handles an error of the listing. The pass still renews the tokens that are known to
    /// be due, unless no call can succeed.
    fn cut_short(&mut self, error: RenewalError) {
        if error.stops_a_pass() {
            self.stage = Stage::Stopping;
        } else {
            self.start_renewing();
        }
        self.report.error = Some(error);
    }

    fn start_renewing(&mut self) {
        self.due
            .make_contiguous()
            .sort_by_key(|due| due.token.expires_at);
        self.stage = Stage::Renewing;
    }

    fn fill_up(&mut self) {
        while matches!(self.stage, Stage::Renewing)
            && self.in_flight.len() < self.policy.concurrency
            && let Some(due) = self.due.pop_front()
        {
            let renewal = renew(self.tokens.clone(), self.policy.by, due.token.clone());
            match spawn(&mut self.in_flight, renewal) {
                Ok(id) => {
                    self.renewing.insert(id, due);
                }
                Err(error) => {
                    self.due.push_front(due);
                    self.cut_short(error);
                }
            }
        }
    }

    fn settled(&mut self, due: &Due, result: Result<DateTime<Utc>, RenewalError>) -> RenewalEvent {
        let outcome = match result {
            Ok(expires_at) => {
                let mut renewed = due.token.clone();
                renewed.expires_at = Some(expires_at);
                let due_at = self.policy.due_at(&renewed);
                self.report.note_deadlines(due_at, renewed.expires_at);
                RenewalOutcome::Renewed { expires_at }
            }
            Err(error) => {
                if error.stops_a_pass() {
                    self.stage = Stage::Stopping;
                    self.report.error = Some(error.clone());
                }
                RenewalOutcome::Failed { error }
            }
        };
        RenewalEvent::Settled(self.note(&due.token, Some(due.reason), outcome))
    }

    fn note(
        &mut self,
        token: &ServiceToken,
        reason: Option<RenewReason>,
        outcome: RenewalOutcome,
    ) -> TokenRenewal {
        let renewal = TokenRenewal::new(token, reason, outcome);
        self.report.note(renewal.clone(), self.tokens.now());
        renewal
    }

    fn finished(&mut self) -> RenewalEvent {
        self.stage = Stage::Finished;
        let skew = self.tokens.api_clock().skew();
        self.report.finish(self.tokens.clock().now(), skew);
        RenewalEvent::Finished(self.report.clone())
    }
}

/// The listing of a pass, a page at a time.
struct Listing {
    /// The remaining tokens of the current page.
    page: vec::IntoIter<ServiceToken>,
    /// The following pages; `None` while a task requests the next one.
    pages: Option<Pages<ListServiceTokens>>,
    in_flight: JoinSet<Result<NextPage<ListServiceTokens>, Error>>,
}

impl Listing {
    fn new(pages: Pages<ListServiceTokens>) -> Self {
        Self {
            page: Vec::new().into_iter(),
            pages: Some(pages),
            in_flight: JoinSet::new(),
        }
    }

    /// Returns the next token; `None` after the last one. This method is cancel safe.
    async fn next(&mut self) -> Option<Result<ServiceToken, RenewalError>> {
        loop {
            if let Some(token) = self.page.next() {
                return Some(Ok(token));
            }
            if let Some(pages) = self.pages.take()
                && let Err(error) = spawn(&mut self.in_flight, pages.next())
            {
                return Some(Err(error));
            }
            let (_, page) = next_done(&mut self.in_flight).await?;
            match page.and_then(|page| page.map_err(RenewalError::Call)) {
                Ok(Some((page, pages))) => {
                    self.page = page.into_iter();
                    self.pages = Some(pages);
                }
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Makes a call in a task, so that it continues while the caller does not poll the pass.
/// The task is aborted when the pass is dropped.
pub(super) fn spawn<T: Send + 'static>(
    tasks: &mut JoinSet<T>,
    call: impl Future<Output = T> + Send + 'static,
) -> Result<task::Id, RenewalError> {
    let runtime = Handle::try_current().map_err(|_| RenewalError::NoRuntime)?;
    let call = call.in_current_span().with_current_subscriber();
    Ok(tasks.spawn_on(call, &runtime).id())
}

/// Waits for the next task to end; `None` if there is none.
pub(super) async fn next_done<T: 'static>(
    tasks: &mut JoinSet<T>,
) -> Option<(task::Id, Result<T, RenewalError>)> {
    match tasks.join_next_with_id().await? {
        Ok((id, done)) => Some((id, Ok(done))),
        Err(error) => {
            let id = error.id();
            match error.try_into_panic() {
                Ok(panic) if lacks_driver(&*panic) => {
                    Some((id, Err(RenewalError::Call(Error::without_driver()))))
                }
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels a task.
                Err(_) => Some((id, Err(RenewalError::NoRuntime))),
            }
        }
    }
}

/// Renews one token, and checks that it was renewed.
async fn renew(
    tokens: ServiceTokens,
    by: RenewBy,
    token: ServiceToken,
) -> Result<DateTime<Utc>, RenewalError> {
    let answer = match by {
        RenewBy::Refresh => tokens.refresh(&token).await,
        RenewBy::Duration => {
            let mut request = UpdateServiceToken::new();
            if let Some(duration) = &token.duration {
                request = request.duration(duration.clone());
            }
            tokens.update(&token, &request).await
        }
    };
    let answer = answer.map_err(RenewalError::Call)?;
    // A clock that jumped ahead must not turn a success into a failure.
    let now = tokens.api_clock().now().earliest;
    match verified(&token, &answer, now) {
        Ok(expires_at) => Ok(expires_at),
        Err(error @ RenewalError::OtherToken { id: Some(_) }) => Err(error),
        // The token itself may show the new expiry although the answer does not.
        Err(error) => match tokens.get(&token).await {
            Ok(read) => verified(&token, &read, now),
            Err(_) => Err(error),
        },
    }
}
