//! Counts the requests of one window of time.

use std::time::Duration;

use crate::call::rate_limit::Rule;
use crate::call::rate_limit::headers::RateLimitHeaders;

/// The API states times in whole seconds, and does not document how it rounds.
const ROUNDING: Duration = Duration::from_secs(1);

/// An answer that states an end this much later than the window's own belongs to another
/// window.
const SLACK: Duration = Duration::from_secs(2);

/// The requests of one window. Times are those of [`Clock::elapsed`](crate::Clock::elapsed).
#[derive(Debug)]
pub(super) struct Window {
    /// The number of the window, which assigns each answer to its own window.
    epoch: u64,
    /// The limit; `None` until it is known.
    rule: Option<Rule>,
    /// The time of its first request.
    began_at: Option<Duration>,
    /// The time of its first answer, by which the API's window had begun.
    first_answer_at: Option<Duration>,
    /// The earliest end that an answer stated.
    resets_at: Option<Duration>,
    /// The client's requests, answered or not.
    sent: u32,
    /// The client's requests in flight.
    unanswered: u32,
    /// The most requests that the API has counted, those of other programs included.
    counted: u32,
}

impl Window {
    pub(super) fn new(rule: Option<Rule>) -> Self {
        Self {
            epoch: 0,
            rule,
            began_at: None,
            first_answer_at: None,
            resets_at: None,
            sent: 0,
            unanswered: 0,
            counted: 0,
        }
    }

    /// Begins a new window if this one is over.
    pub(super) fn roll_over(&mut self, now: Duration) {
        if self.ends_at().is_some_and(|end| now >= end) {
            self.begin(now);
        }
    }

    /// Returns how long until there is room for one more request.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        match self.rule {
            Some(rule) if self.room(rule) == 0 => self
                .ends_at()
                .map_or(rule.window, |end| end.saturating_sub(now)),
            _ => Duration::ZERO,
        }
    }

    /// Whether the window has room for one more request.
    pub(super) fn has_room(&self) -> bool {
        self.rule.is_none_or(|rule| self.room(rule) > 0)
    }

    fn room(&self, rule: Rule) -> u32 {
        // Other programs sent the requests that the API counts beyond the client's
        // answered ones.
        let answered = self.sent.saturating_sub(self.unanswered);
        let used_by_others = self.counted.saturating_sub(answered);
        rule.quota
            .saturating_sub(self.sent.saturating_add(used_by_others))
    }

    /// Counts a request. Returns the number of the window.
    pub(super) fn enter(&mut self, now: Duration) -> u64 {
        self.began_at.get_or_insert(now);
        self.sent = self.sent.saturating_add(1);
        self.unanswered = self.unanswered.saturating_add(1);
        self.epoch
    }

    /// Notes the answer to a request of a window.
    pub(super) fn answered(&mut self, epoch: u64, now: Duration) {
        if epoch == self.epoch {
            self.first_answer_at.get_or_insert(now);
        }
    }

    /// Updates the window from the headers of the answer to one of its requests.
    pub(super) fn observe(&mut self, epoch: u64, now: Duration, stated: &RateLimitHeaders) {
        if epoch != self.epoch {
            return;
        }
        let rule = stated.rule.or(self.rule).unwrap_or(super::CLOUDFLARE);
        if self.rule.is_some_and(|known| known != rule) {
            // The known count is of another policy. This answer's count includes the
            // requests that were answered before.
            self.start_over(now);
        }
        self.rule = Some(rule);
        let resets_at = now.saturating_add(stated.resets_in.min(super::MAX_WAIT));
        if self
            .ends_at()
            .is_some_and(|end| resets_at > end.saturating_add(SLACK))
        {
            self.begin(now);
        }
        let latest = resets_at.saturating_add(ROUNDING);
        self.resets_at = Some(self.resets_at.map_or(latest, |known| known.min(latest)));
        // Answers may arrive out of order.
        let counted = rule.quota.saturating_sub(stated.remaining);
        self.counted = self.counted.max(counted);
    }

    /// Takes back a request that was not sent.
    pub(super) fn release(&mut self) {
        self.sent = self.sent.saturating_sub(1);
    }

    /// Notes that a request is no longer in flight.
    pub(super) fn finish(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// Returns the time at which the window has ended at the API as well: its length after
    /// the first answer, unless an answer stated an earlier end.
    fn ends_at(&self) -> Option<Duration> {
        let began_at = self.first_answer_at.or(self.began_at)?;
        let latest = began_at.saturating_add(self.rule?.window);
        Some(self.resets_at.map_or(latest, |known| known.min(latest)))
    }

    /// Begins a new window.
    fn begin(&mut self, now: Duration) {
        self.epoch += 1;
        self.start_over(now);
    }

    /// Forgets all but the requests in flight, which the API may count from now on.
    fn start_over(&mut self, now: Duration) {
        *self = Self {
            epoch: self.epoch,
            began_at: (self.unanswered > 0).then_some(now),
            sent: self.unanswered,
            unanswered: self.unanswered,
            ..Self::new(self.rule)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const fn rule(quota: u32, window: u64) -> Rule {
        Rule {
            quota,
            window: seconds(window),
        }
    }

    const TEN: Rule = rule(10, 300);

    fn stated(remaining: u32, resets_in: u64) -> RateLimitHeaders {
        RateLimitHeaders {
            remaining,
            resets_in: seconds(resets_in),
            rule: Some(TEN),
        }
    }

    /// Sends a request at one time, and answers it at another.
    fn answer(window: &mut Window, sent: u64, answered: u64, stated: &RateLimitHeaders) {
        let epoch = window.enter(seconds(sent));
        window.answered(epoch, seconds(answered));
        window.observe(epoch, seconds(answered), stated);
        window.finish();
    }

    /// Returns how long one more request waits, in seconds.
    fn wait(window: &mut Window, now: u64) -> u64 {
        window.roll_over(seconds(now));
        window.wait(seconds(now)).as_secs()
    }

    #[test]
    fn a_window_admits_its_quota_and_the_next_one_follows() {
        let mut window = Window::new(Some(rule(2, 300)));
        for at in [10, 20] {
            assert_eq!(wait(&mut window, at), 0);
            let epoch = window.enter(seconds(at));
            window.answered(epoch, seconds(at));
            window.finish();
        }
        assert_eq!(wait(&mut window, 30), 280);
        assert_eq!(wait(&mut window, 309), 1);
        assert_eq!(wait(&mut window, 310), 0);
        window.enter(seconds(400));
        assert_eq!(
            window.ends_at(),
            Some(seconds(700)),
            "a window begins with its first request"
        );
    }

    #[test]
    fn a_window_ends_when_the_apis_window_has_ended() {
        let mut window = Window::new(Some(TEN));
        // The request takes three seconds to arrive, and the API's window begins then.
        answer(&mut window, 0, 3, &stated(0, 300));
        assert_eq!(wait(&mut window, 300), 3);
        assert_eq!(wait(&mut window, 303), 0);
    }

    #[test]
    fn a_wait_is_rounded_up_to_the_next_second() {
        let mut window = Window::new(Some(TEN));
        answer(&mut window, 0, 0, &stated(0, 100));
        assert_eq!(wait(&mut window, 100), 1, "100.9 s may be stated as 100");
        assert_eq!(wait(&mut window, 101), 0);
    }

    #[test]
    fn a_request_in_flight_counts_in_the_next_window_too() {
        let mut window = Window::new(Some(rule(2, 300)));
        window.enter(seconds(0));
        window.enter(seconds(0));
        window.finish();
        assert_eq!(wait(&mut window, 300), 0);
        window.enter(seconds(300));
        assert_eq!(
            wait(&mut window, 300),
            300,
            "one of the two may be counted late"
        );
    }

    #[test]
    fn the_requests_of_other_programs_count() {
        let mut window = Window::new(None);
        // One request of this client, four of others; their window began earlier.
        answer(&mut window, 0, 0, &stated(5, 100));
        for _ in 0..5 {
            assert_eq!(wait(&mut window, 1), 0);
            window.enter(seconds(1));
        }
        assert_eq!(wait(&mut window, 1), 100);
    }

    #[test]
    fn the_requests_of_other_programs_count_when_answers_arrive_out_of_order() {
        let mut window = Window::new(Some(TEN));
        let epoch = window.enter(seconds(0));
        window.enter(seconds(0));
        // Others sent six in between, and the answer that counts them comes first.
        window.observe(epoch, seconds(0), &stated(2, 300));
        window.finish();
        window.observe(epoch, seconds(0), &stated(9, 300));
        window.finish();
        for _ in 0..2 {
            assert_eq!(wait(&mut window, 0), 0);
            window.enter(seconds(0));
        }
        assert_ne!(wait(&mut window, 0), 0);
    }

    #[test]
    fn a_request_in_flight_counts_twice_only_until_its_answer() {
        let mut window = Window::new(Some(rule(3, 300)));
        let epoch = window.enter(seconds(0));
        window.enter(seconds(0));
        let two_counted = RateLimitHeaders {
            remaining: 1,
            resets_in: seconds(300),
            rule: Some(rule(3, 300)),
        };
        window.observe(epoch, seconds(0), &two_counted);
        window.finish();
        assert_ne!(wait(&mut window, 0), 0, "the second may be another's");
        window.observe(epoch, seconds(0), &two_counted);
        window.finish();
        assert_eq!(wait(&mut window, 0), 0);
    }

    #[test]
    fn an_answer_from_a_later_window_begins_it() {
        let mut window = Window::new(Some(TEN));
        answer(&mut window, 0, 0, &stated(0, 10));
        let epoch = window.enter(seconds(5));
        window.observe(epoch, seconds(5), &stated(9, 300));
        window.finish();
        assert_eq!(wait(&mut window, 5), 0, "the API began a new window");
    }

    #[test]
    fn the_counts_of_two_policies_are_not_mixed() {
        let long = |remaining, resets_in| RateLimitHeaders {
            rule: Some(rule(1200, 300)),
            ..stated(remaining, resets_in)
        };
        let short = |remaining, resets_in| RateLimitHeaders {
            rule: Some(rule(100, 60)),
            ..stated(remaining, resets_in)
        };
        let mut window = Window::new(Some(rule(1200, 300)));
        answer(&mut window, 0, 0, &long(10, 200));
        answer(&mut window, 0, 0, &short(99, 50));
        assert_eq!(wait(&mut window, 0), 0, "the long window began anew");
        answer(&mut window, 0, 0, &short(0, 50));
        assert_eq!(wait(&mut window, 0), 51, "not the end of the long window");
        answer(&mut window, 1, 1, &long(0, 199));
        assert_eq!(wait(&mut window, 1), 200, "not the end of the short window");

        // The requests that this client sent are those of the long window too.
        let mut window = Window::new(Some(rule(1200, 300)));
        for sent in 1..=200 {
            answer(&mut window, 0, 0, &long(1200 - sent, 300));
        }
        answer(&mut window, 55, 55, &short(5, 5));
        let waits = (0..6).map(|_| {
            let wait = wait(&mut window, 55);
            window.enter(seconds(55));
            wait
        });
        assert_eq!(waits.collect::<Vec<_>>(), [0, 0, 0, 0, 0, 6]);
    }

    #[test]
    fn a_window_without_headers_runs_from_the_first_answer() {
        let mut window = Window::new(Some(rule(1, 300)));
        let epoch = window.enter(seconds(0));
        window.answered(epoch, seconds(3));
        window.finish();
        assert_eq!(wait(&mut window, 300), 3);
        assert_eq!(wait(&mut window, 303), 0);
        // A late answer does not date the next window.
        let late = epoch;
        window.enter(seconds(303));
        window.answered(late, seconds(310));
        assert_eq!(wait(&mut window, 310), 293);
    }

    #[test]
    fn an_answer_from_an_earlier_window_is_ignored() {
        for windows in 1..4 {
            let mut window = Window::new(Some(TEN));
            for number in 0..windows {
                let late = window.enter(seconds(number * 300));
                window.finish();
                window.roll_over(seconds((number + 1) * 300));
                window.observe(late, seconds((number + 1) * 300), &stated(0, 200));
                assert_eq!(wait(&mut window, (number + 1) * 300), 0, "{number}");
            }
        }
    }

    #[test]
    fn a_request_in_flight_begins_the_next_window_and_is_counted_once() {
        let mut window = Window::new(Some(rule(2, 300)));
        window.enter(seconds(0));
        assert_eq!(wait(&mut window, 300), 0);
        window.enter(seconds(400));
        assert_eq!(wait(&mut window, 400), 200, "the first may have begun it");

        let mut window = Window::new(Some(rule(3, 300)));
        window.enter(seconds(0));
        assert_eq!(wait(&mut window, 300), 0);
        let epoch = window.enter(seconds(300));
        let two_counted = RateLimitHeaders {
            remaining: 1,
            resets_in: seconds(300),
            rule: Some(rule(3, 300)),
        };
        window.observe(epoch, seconds(300), &two_counted);
        window.finish();
        assert_ne!(wait(&mut window, 300), 0, "the other may be another's");
    }

    #[test]
    fn a_window_without_a_request_in_flight_has_not_begun() {
        let mut window = Window::new(Some(rule(1, 300)));
        window.enter(seconds(0));
        window.finish();
        assert_eq!(wait(&mut window, 300), 0);
        assert_eq!(window.ends_at(), None);
    }
}
