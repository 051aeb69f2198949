//! Keeps a client below the API's rate limit, so that it is never locked out.
//!
//! The API counts requests in windows, and refuses everything for minutes once
//! there are too many. Each answer tells what is left (`Ratelimit`) and what the
//! rule is (`Ratelimit-Policy`), so that even a limit shared with other programs
//! is known before it is reached.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::select;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sfv::{BareItem, List, ListEntry, Parameters, Parser};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::received::Received;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How many requests a client sends in a window of time.
///
/// Calls beyond that wait for the next window, in the order in which they came;
/// one that would have to wait past its deadline fails at once. What the API
/// says of its limit in answers goes before what is set here.
///
/// ```
/// use std::time::Duration;
/// use cf_service_tokens::{Client, RateLimit};
///
/// // Leave half of Cloudflare's limit to others who use the same API token.
/// let half = RateLimit::new(600, Duration::from_secs(300));
/// let client = Client::builder().api_token("token").rate_limit(half).build()?;
/// # Ok::<(), cf_service_tokens::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RateLimit {
    rule: Option<Rule>,
}

impl Default for RateLimit {
    /// Cloudflare's own limit: 1,200 requests in five minutes.
    fn default() -> Self {
        Self::new(1200, Duration::from_secs(300))
    }
}

impl RateLimit {
    /// At most so many requests in each window of this length. Zero requests
    /// count as one.
    pub fn new(requests: u32, window: Duration) -> Self {
        Self {
            rule: Some(Rule {
                quota: requests.max(1),
                window,
            }),
        }
    }

    /// No limit but that of the API, which locks a caller out for five minutes.
    pub fn none() -> Self {
        Self { rule: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Rule {
    quota: u32,
    window: Duration,
}

/// Lets requests through as the limit allows, one after the other.
pub(crate) struct RateLimiter {
    /// `None` where there is no limit.
    window: Option<Mutex<Window>>,
    /// Held by the one who waits at the head of the line. It is fair, and whoever
    /// goes away gives up its place.
    turnstile: tokio::sync::Mutex<()>,
    /// Rings when there may be more room than there was.
    room: Notify,
}

impl RateLimiter {
    pub(crate) fn new(limit: &RateLimit) -> Self {
        Self {
            window: limit.rule.map(|rule| Mutex::new(Window::new(rule))),
            turnstile: tokio::sync::Mutex::new(()),
            room: Notify::new(),
        }
    }

    /// Waits until a request may be sent.
    ///
    /// # Errors
    ///
    /// How long that would be, at once, if it is longer than `patience`.
    pub(crate) async fn enter(
        &self,
        clock: &dyn Clock,
        patience: Duration,
    ) -> Result<Permit<'_>, Duration> {
        let Some(window) = &self.window else {
            return Ok(self.permit(0));
        };
        let give_up_at = clock.elapsed().saturating_add(patience);
        let too_long = |wait: Duration| clock.elapsed().saturating_add(wait) > give_up_at;

        if let Some(wait) = lock(window)
            .wait(clock.elapsed())
            .filter(|wait| too_long(*wait))
        {
            return Err(wait);
        }
        let _turn = self.turnstile.lock().await;
        loop {
            let entered = lock(window).enter(clock.elapsed());
            match entered {
                Ok(epoch) => return Ok(self.permit(epoch)),
                Err(wait) if too_long(wait) => return Err(wait),
                Err(wait) => {
                    let room = std::pin::pin!(self.room.notified());
                    select(room, clock.sleep(wait)).await;
                }
            }
        }
    }

    fn permit(&self, epoch: u64) -> Permit<'_> {
        Permit {
            limiter: self,
            epoch,
        }
    }
}

/// A request that was let through. Whatever becomes of it, it counts as sent,
/// unless [`unsent`](Self::unsent) says otherwise.
pub(crate) struct Permit<'a> {
    limiter: &'a RateLimiter,
    epoch: u64,
}

impl Permit<'_> {
    /// Notes what an answer says of the limit.
    pub(crate) fn answered(&self, clock: &dyn Clock, answer: &Received) {
        let Some(window) = &self.limiter.window else {
            return;
        };
        let now = clock.elapsed();
        let mut window = lock(window);
        if let Some(standing) = Standing::read(&answer.headers, &mut window.policies)
            && self.epoch == window.epoch
        {
            window.learn(now, &standing);
        }
        if answer.status == StatusCode::TOO_MANY_REQUESTS
            && let Some(wait) = answer.retry_after()
        {
            window.lock_out(now.saturating_add(wait));
        }
    }

    /// Notes that the request was never sent.
    pub(crate) fn unsent(&self) {
        if let Some(window) = &self.limiter.window {
            let mut window = lock(window);
            window.sent = window.sent.saturating_sub(1);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(window) = &self.limiter.window {
            let mut window = lock(window);
            window.unanswered = window.unanswered.saturating_sub(1);
            drop(window);
            self.limiter.room.notify_one();
        }
    }
}

fn lock(window: &Mutex<Window>) -> MutexGuard<'_, Window> {
    window.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The requests of one window. Times are those of [`Clock::elapsed`].
#[derive(Debug)]
struct Window {
    /// Counts the windows, so that an answer is known for one from another.
    epoch: u64,
    /// What the caller allows.
    rule: Rule,
    /// What the API allows, once it has said so.
    api_rule: Option<Rule>,
    /// `None` until the first request of the window.
    ends_at: Option<Duration>,
    /// Whether an answer has told when the window ends.
    end_is_told: bool,
    /// Our requests of the window, answered or not.
    sent: u32,
    /// Those of them that have not been answered.
    unanswered: u32,
    /// What others have used of the API's window, as far as answers tell.
    used_by_others: u32,
    /// Until when the API wants to be left alone, whatever the window has room for.
    locked_out_until: Duration,
    policies: Policies,
}

impl Window {
    fn new(rule: Rule) -> Self {
        Self {
            epoch: 0,
            rule,
            api_rule: None,
            ends_at: None,
            end_is_told: false,
            sent: 0,
            unanswered: 0,
            used_by_others: 0,
            locked_out_until: Duration::ZERO,
            policies: Policies::default(),
        }
    }

    /// Counts a request in and says in which window, or else how long it has to
    /// wait.
    fn enter(&mut self, now: Duration) -> Result<u64, Duration> {
        if let Some(wait) = self.wait(now) {
            return Err(wait);
        }
        let length = self.api_rule.unwrap_or(self.rule).window;
        self.ends_at.get_or_insert(now.saturating_add(length));
        self.sent += 1;
        self.unanswered += 1;
        Ok(self.epoch)
    }

    /// How long until there is room for one more; `None` if there is.
    fn wait(&mut self, now: Duration) -> Option<Duration> {
        if self.ends_at.is_some_and(|end| now >= end) {
            // What is under way has its place in the new window from the start.
            let end = now.saturating_add(self.api_rule.unwrap_or(self.rule).window);
            self.begin((self.unanswered > 0).then_some(end));
        }
        let api_quota = self.api_rule.unwrap_or(self.rule).quota;
        let is_full = self.sent >= self.rule.quota
            || self.sent.saturating_add(self.used_by_others) >= api_quota;
        let room_from = self.ends_at.filter(|_| is_full).unwrap_or_default();
        room_from
            .max(self.locked_out_until)
            .checked_sub(now)
            .filter(|wait| !wait.is_zero())
    }

    /// Begins a new window. What is still under way may be counted in it.
    fn begin(&mut self, ends_at: Option<Duration>) {
        self.epoch += 1;
        self.ends_at = ends_at;
        self.end_is_told = false;
        self.sent = self.unanswered;
        self.used_by_others = 0;
    }

    /// Believes what an answer to a request of this window says.
    fn learn(&mut self, now: Duration, standing: &Standing) {
        // The API tells whole seconds, and answers take their time.
        const SLACK: Duration = Duration::from_secs(2);

        self.api_rule = standing.rule.or(self.api_rule);
        let end = now.saturating_add(standing.resets_in);
        match self.ends_at {
            Some(known) if end > known.saturating_add(SLACK) => self.begin(Some(end)),
            Some(known) if self.end_is_told => self.ends_at = Some(end.min(known)),
            // The API's window begins when the first request reaches it, which is
            // later than it was sent.
            _ => self.ends_at = Some(end),
        }
        self.end_is_told = true;
        // The API has counted those of ours that it has answered, this one
        // included. What it counted beyond them was sent by others, or is ours
        // and under way.
        let answered = self.sent.saturating_sub(self.unanswered) + 1;
        let quota = self.api_rule.unwrap_or(self.rule).quota;
        let counted = quota.saturating_sub(standing.remaining);
        self.used_by_others = counted.saturating_sub(answered);
    }

    /// Lets nothing through until then.
    fn lock_out(&mut self, until: Duration) {
        self.locked_out_until = self.locked_out_until.max(until);
    }
}

/// What an answer says of the limit, in the header fields `Ratelimit` and
/// `Ratelimit-Policy`.
#[derive(Debug, PartialEq)]
pub(crate) struct Standing {
    remaining: u32,
    resets_in: Duration,
    rule: Option<Rule>,
}

impl Standing {
    /// The limit that is nearest, if the fields can be read.
    pub(crate) fn read(headers: &HeaderMap, policies: &mut Policies) -> Option<Self> {
        let limits = items(headers.get(RATELIMIT)?)?;
        let (name, remaining, resets_in) = limits
            .iter()
            .filter_map(|(name, parameters)| {
                Some((name, whole(parameters, "r")?, whole(parameters, "t")?))
            })
            .min_by_key(|(_, remaining, _)| *remaining)?;
        let rule = headers
            .get(RATELIMIT_POLICY)
            .and_then(|policy| policies.rule(policy, name));
        Some(Self {
            remaining,
            resets_in: Duration::from_secs(resets_in.into()),
            rule,
        })
    }
}

/// What `Ratelimit-Policy` says. Answer after answer says the same, so that it is
/// read only when it changes.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    text: Vec<u8>,
    rules: Vec<(BareItem, Rule)>,
}

impl Policies {
    fn rule(&mut self, text: &HeaderValue, name: &BareItem) -> Option<Rule> {
        if self.text != text.as_bytes() {
            self.text = text.as_bytes().to_vec();
            self.rules = rules(text).unwrap_or_default();
        }
        let (_, rule) = self.rules.iter().find(|(policy, _)| policy == name)?;
        Some(*rule)
    }
}

fn rules(text: &HeaderValue) -> Option<Vec<(BareItem, Rule)>> {
    let rules = items(text)?.into_iter().filter_map(|(name, parameters)| {
        let rule = Rule {
            quota: whole(&parameters, "q")?.max(1),
            window: Duration::from_secs(whole(&parameters, "w")?.into()),
        };
        Some((name, rule))
    });
    Some(rules.collect())
}

/// The items of a structured field (RFC 9651), each a name with parameters.
fn items(text: &HeaderValue) -> Option<Vec<(BareItem, Parameters)>> {
    let list: List = Parser::new(text.as_bytes()).parse().ok()?;
    let items = list.into_iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some((item.bare_item, item.params)),
        ListEntry::InnerList(_) => None,
    });
    Some(items.collect())
}

/// A parameter that is a whole number, and not negative.
fn whole(parameters: &Parameters, name: &str) -> Option<u32> {
    let (_, value) = parameters.iter().find(|(key, _)| key.as_str() == name)?;
    u32::try_from(i64::from(value.as_integer()?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn window(quota: u32) -> Window {
        Window::new(Rule {
            quota,
            window: seconds(300),
        })
    }

    fn standing(remaining: u32, resets_in: u64) -> Standing {
        Standing {
            remaining,
            resets_in: seconds(resets_in),
            rule: Some(Rule {
                quota: 10,
                window: seconds(300),
            }),
        }
    }

    /// Sends one request and has it answered.
    fn answered(window: &mut Window, now: Duration, standing: &Standing) {
        window.enter(now).unwrap();
        window.learn(now, standing);
        window.unanswered -= 1;
    }

    #[test]
    fn a_window_lets_through_what_the_rule_allows_and_then_begins_anew() {
        let mut window = window(2);
        assert_eq!(window.enter(seconds(10)), Ok(0));
        assert_eq!(window.enter(seconds(20)), Ok(0));
        window.unanswered = 0;
        assert_eq!(window.enter(seconds(30)), Err(seconds(280)));
        assert_eq!(window.enter(seconds(309)), Err(seconds(1)));
        assert_eq!(window.enter(seconds(310)), Ok(1));
        assert_eq!(
            window.ends_at,
            Some(seconds(610)),
            "it begins with its first request"
        );
    }

    #[test]
    fn what_is_under_way_counts_in_the_next_window_too() {
        let mut window = window(2);
        window.enter(seconds(0)).unwrap();
        window.enter(seconds(0)).unwrap();
        window.unanswered -= 1;
        assert_eq!(window.enter(seconds(300)), Ok(1));
        assert!(
            window.enter(seconds(300)).is_err(),
            "one of the two may be late"
        );
    }

    #[test]
    fn others_that_use_the_limit_are_noticed() {
        let mut window = window(10);
        // One of ours, four of others.
        answered(&mut window, seconds(0), &standing(5, 100));
        assert_eq!(window.used_by_others, 4);
        assert_eq!(
            window.ends_at,
            Some(seconds(100)),
            "their window began earlier"
        );
        for _ in 0..5 {
            window.enter(seconds(1)).unwrap();
        }
        assert_eq!(window.enter(seconds(1)), Err(seconds(99)));
    }

    #[test]
    fn what_is_ours_and_under_way_is_not_taken_for_others_for_long() {
        let mut window = window(10);
        window.enter(seconds(0)).unwrap();
        window.enter(seconds(0)).unwrap();
        // The first answer counts both of ours.
        window.learn(seconds(0), &standing(8, 300));
        window.unanswered -= 1;
        assert_eq!(window.used_by_others, 1);
        window.learn(seconds(0), &standing(8, 300));
        window.unanswered -= 1;
        assert_eq!(window.used_by_others, 0);
    }

    #[test]
    fn a_window_ends_when_the_api_says_not_a_window_after_the_first_was_sent() {
        let mut window = window(2);
        let within = |milliseconds| Duration::from_millis(milliseconds);
        // The first request took 400 ms to reach the API.
        window.enter(within(0)).unwrap();
        window.enter(within(0)).unwrap();
        window.learn(within(500), &standing(1, 300));
        window.unanswered -= 1;
        assert_eq!(window.enter(within(300_000)), Err(within(500)));
        window.learn(within(900), &standing(0, 300));
        assert_eq!(window.ends_at, Some(within(300_500)), "none lengthens it");
        window.learn(within(900), &standing(0, 299));
        assert_eq!(window.ends_at, Some(within(299_900)));
    }

    #[test]
    fn a_lock_out_holds_until_it_is_over() {
        let mut window = window(10);
        window.enter(seconds(0)).unwrap();
        window.lock_out(seconds(500));
        assert_eq!(window.enter(seconds(400)), Err(seconds(100)));
        window.lock_out(seconds(450));
        assert_eq!(
            window.enter(seconds(499)),
            Err(seconds(1)),
            "none shortens another"
        );
        assert!(window.enter(seconds(500)).is_ok());
    }

    #[test]
    fn a_lock_out_is_over_before_its_window_if_the_api_says_so() {
        let mut window = window(10);
        answered(&mut window, seconds(0), &standing(9, 300));
        window.lock_out(seconds(7));
        assert_eq!(window.enter(seconds(6)), Err(seconds(1)));
        assert_eq!(window.enter(seconds(7)), Ok(0), "it is the same window");

        window.lock_out(seconds(400));
        assert_eq!(window.enter(seconds(301)), Err(seconds(99)));
    }

    #[test]
    fn the_callers_own_rule_holds_beside_the_apis() {
        let mut window = window(3);
        answered(&mut window, seconds(0), &standing(2, 100));
        window.enter(seconds(0)).unwrap();
        window.enter(seconds(0)).unwrap();
        assert!(window.enter(seconds(0)).is_err(), "three are allowed");
    }

    #[test]
    fn header_fields_are_read_as_structured_fields() {
        let read = |limit: &str, policy: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("ratelimit", limit.parse().unwrap());
            headers.insert("ratelimit-policy", policy.parse().unwrap());
            Standing::read(&headers, &mut Policies::default())
        };
        let expected = |remaining, resets_in, rule: Option<(u32, u64)>| {
            Some(Standing {
                remaining,
                resets_in: seconds(resets_in),
                rule: rule.map(|(quota, window)| Rule {
                    quota,
                    window: seconds(window),
                }),
            })
        };
        assert_eq!(
            read(r#""default";r=50;t=30"#, r#""default";q=1200;w=300"#),
            expected(50, 30, Some((1200, 300)))
        );
        assert_eq!(
            read(
                r#""a";r=50;t=30, "b";r=5;t=7"#,
                r#""a";q=100;w=60, "b";q=10;w=10"#
            ),
            expected(5, 7, Some((10, 10))),
            "the nearest limit counts"
        );
        assert_eq!(
            read(r#""default";r=50;t=30"#, "nonsense;;"),
            expected(50, 30, None)
        );
        for unreadable in [
            "",
            "50",
            r#""default";r=-1;t=30"#,
            r#""default";r=50"#,
            r#""default";r=1.5;t=3"#,
            "r=50;t=30;;",
        ] {
            assert_eq!(
                read(unreadable, r#""default";q=1200;w=300"#),
                None,
                "{unreadable}"
            );
        }
    }
}
