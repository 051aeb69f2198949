//! The requests of one window of time, as they are counted here.

use std::time::Duration;

use crate::call::rate_limit::Rule;
use crate::call::rate_limit::standing::Standing;

/// The API tells its time in whole seconds, and does not say how it rounds.
const ROUNDING: Duration = Duration::from_secs(1);

/// A window that is said to end so much later than it can is another window.
const SLACK: Duration = Duration::from_secs(2);

/// The requests of one window. Times are those of [`Clock::elapsed`](crate::Clock::elapsed).
#[derive(Debug)]
pub(super) struct Window {
    /// Counts the windows, so that an answer is known for one from another.
    epoch: u64,
    /// What is allowed; `None` as long as nobody said so.
    rule: Option<Rule>,
    /// When its first request was let through.
    began_at: Option<Duration>,
    /// When its first answer came. On the other side, the window had begun by then.
    first_answer_at: Option<Duration>,
    /// When it ends at the latest, as far as answers tell.
    resets_at: Option<Duration>,
    /// Our requests, answered or not.
    sent: u32,
    /// Those of them that have not been answered.
    unanswered: u32,
    /// How many requests the API had counted, ours and those of others, when it
    /// counted the latest that we know of.
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
    pub(super) fn turn(&mut self, now: Duration) {
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

    /// Whether there is room for one more, as long as the window lasts.
    pub(super) fn has_room(&self) -> bool {
        self.rule.is_none_or(|rule| self.room(rule) > 0)
    }

    fn room(&self, rule: Rule) -> u32 {
        // What others sent stands beside ours, as far as it is not known to be ours.
        let answered = self.sent.saturating_sub(self.unanswered);
        let used_by_others = self.counted.saturating_sub(answered);
        rule.quota
            .saturating_sub(self.sent.saturating_add(used_by_others))
    }

    /// Counts a request in, and says in which window.
    pub(super) fn enter(&mut self, now: Duration) -> u64 {
        self.began_at.get_or_insert(now);
        self.sent = self.sent.saturating_add(1);
        self.unanswered = self.unanswered.saturating_add(1);
        self.epoch
    }

    /// Notes that a request of this epoch was answered.
    pub(super) fn answered(&mut self, epoch: u64, now: Duration) {
        if epoch == self.epoch {
            self.first_answer_at.get_or_insert(now);
        }
    }

    /// Believes what the answer to a request of this epoch says of the window.
    pub(super) fn learn(&mut self, epoch: u64, now: Duration, standing: &Standing) {
        if epoch != self.epoch {
            return;
        }
        let rule = standing.rule.or(self.rule).unwrap_or(super::CLOUDFLARE);
        self.rule = Some(rule);
        let resets_at = now.saturating_add(standing.resets_in.min(super::LONGEST_WAIT));
        if self
            .ends_at()
            .is_some_and(|end| resets_at > end.saturating_add(SLACK))
        {
            self.begin(now);
        }
        let latest = resets_at.saturating_add(ROUNDING);
        self.resets_at = Some(self.resets_at.map_or(latest, |known| known.min(latest)));
        // Answers may come in another order than that in which they were counted.
        let counted = rule.quota.saturating_sub(standing.remaining);
        self.counted = self.counted.max(counted);
    }

    /// Notes that a request was never sent.
    pub(super) fn unsent(&mut self) {
        self.sent = self.sent.saturating_sub(1);
    }

    /// Notes that a request is no longer under way.
    pub(super) fn settled(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }

    /// When the window is over on the other side as well: not before its length has
    /// passed since the first answer, unless answers tell of an earlier end.
    fn ends_at(&self) -> Option<Duration> {
        let began_at = self.first_answer_at.or(self.began_at)?;
        let latest = began_at.saturating_add(self.rule?.window);
        Some(self.resets_at.map_or(latest, |known| known.min(latest)))
    }

    /// Begins a new window. What is still under way may be counted in it.
    fn begin(&mut self, now: Duration) {
        *self = Self {
            epoch: self.epoch + 1,
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

    fn standing(remaining: u32, resets_in: u64) -> Standing {
        Standing {
            remaining,
            resets_in: seconds(resets_in),
            rule: Some(TEN),
        }
    }

    /// Sends one request at a time, and has it answered at another.
    fn answer(window: &mut Window, sent: u64, answered: u64, standing: &Standing) {
        let epoch = window.enter(seconds(sent));
        window.answered(epoch, seconds(answered));
        window.learn(epoch, seconds(answered), standing);
        window.settled();
    }

    /// How long one more has to wait, in seconds.
    fn wait(window: &mut Window, now: u64) -> u64 {
        window.turn(seconds(now));
        window.wait(seconds(now)).as_secs()
    }

    #[test]
    fn it_lets_through_what_the_rule_allows_and_then_begins_anew() {
        let mut window = Window::new(Some(rule(2, 300)));
        for at in [10, 20] {
            assert_eq!(wait(&mut window, at), 0);
            let epoch = window.enter(seconds(at));
            window.answered(epoch, seconds(at));
            window.settled();
        }
        assert_eq!(wait(&mut window, 30), 280);
        assert_eq!(wait(&mut window, 309), 1);
        assert_eq!(wait(&mut window, 310), 0);
        window.enter(seconds(400));
        assert_eq!(
            window.ends_at(),
            Some(seconds(700)),
            "it begins with its first request"
        );
    }

    #[test]
    fn it_is_over_only_when_it_is_over_on_the_other_side() {
        let mut window = Window::new(Some(TEN));
        // The request took three seconds to arrive, and its window begins there.
        answer(&mut window, 0, 3, &standing(0, 300));
        assert_eq!(wait(&mut window, 300), 3);
        assert_eq!(wait(&mut window, 303), 0);
    }

    #[test]
    fn seconds_that_were_cut_off_are_waited_for() {
        let mut window = Window::new(Some(TEN));
        answer(&mut window, 0, 0, &standing(0, 100));
        assert_eq!(wait(&mut window, 100), 1, "100.9 s may be told as 100");
        assert_eq!(wait(&mut window, 101), 0);
    }

    #[test]
    fn what_is_under_way_counts_in_the_next_window_too() {
        let mut window = Window::new(Some(rule(2, 300)));
        window.enter(seconds(0));
        window.enter(seconds(0));
        window.settled();
        assert_eq!(wait(&mut window, 300), 0);
        window.enter(seconds(300));
        assert_eq!(wait(&mut window, 300), 300, "one of the two may be late");
    }

    #[test]
    fn others_that_use_the_limit_are_noticed() {
        let mut window = Window::new(None);
        // One of ours, four of others, whose window began earlier.
        answer(&mut window, 0, 0, &standing(5, 100));
        for _ in 0..5 {
            assert_eq!(wait(&mut window, 1), 0);
            window.enter(seconds(1));
        }
        assert_eq!(wait(&mut window, 1), 100);
    }

    #[test]
    fn others_are_not_forgotten_where_answers_overtake_each_other() {
        let mut window = Window::new(Some(TEN));
        let epoch = window.enter(seconds(0));
        window.enter(seconds(0));
        // Others sent six in between, and the answer that knows of them is first.
        window.learn(epoch, seconds(0), &standing(2, 300));
        window.settled();
        window.learn(epoch, seconds(0), &standing(9, 300));
        window.settled();
        for _ in 0..2 {
            assert_eq!(wait(&mut window, 0), 0);
            window.enter(seconds(0));
        }
        assert_ne!(wait(&mut window, 0), 0);
    }

    #[test]
    fn what_is_ours_and_under_way_is_not_taken_for_others_for_long() {
        let mut window = Window::new(Some(rule(3, 300)));
        let epoch = window.enter(seconds(0));
        window.enter(seconds(0));
        let two_counted = Standing {
            remaining: 1,
            resets_in: seconds(300),
            rule: Some(rule(3, 300)),
        };
        window.learn(epoch, seconds(0), &two_counted);
        window.settled();
        assert_ne!(wait(&mut window, 0), 0, "the second may be another's");
        window.learn(epoch, seconds(0), &two_counted);
        window.settled();
        assert_eq!(wait(&mut window, 0), 0);
    }

    #[test]
    fn an_answer_from_a_later_window_begins_it() {
        let mut window = Window::new(Some(TEN));
        answer(&mut window, 0, 0, &standing(0, 10));
        let epoch = window.enter(seconds(5));
        window.learn(epoch, seconds(5), &standing(9, 300));
        window.settled();
        assert_eq!(wait(&mut window, 5), 0, "the API began anew");
    }

    #[test]
    fn without_a_word_of_the_api_it_counts_from_the_first_answer() {
        let mut window = Window::new(Some(rule(1, 300)));
        let epoch = window.enter(seconds(0));
        window.answered(epoch, seconds(3));
        window.settled();
        assert_eq!(wait(&mut window, 300), 3);
        assert_eq!(wait(&mut window, 303), 0);
        // One from before says nothing of when the next window began.
        let late = epoch;
        window.enter(seconds(303));
        window.answered(late, seconds(310));
        assert_eq!(wait(&mut window, 310), 293);
    }

    #[test]
    fn an_answer_from_an_earlier_window_says_nothing_of_this_one() {
        for windows in 1..4 {
            let mut window = Window::new(Some(TEN));
            for number in 0..windows {
                let late = window.enter(seconds(number * 300));
                window.settled();
                window.turn(seconds((number + 1) * 300));
                window.learn(late, seconds((number + 1) * 300), &standing(0, 200));
                assert_eq!(wait(&mut window, (number + 1) * 300), 0, "{number}");
            }
        }
    }

    #[test]
    fn what_is_under_way_begins_the_next_window_and_is_not_taken_for_ours_twice() {
        let mut window = Window::new(Some(rule(2, 300)));
        window.enter(seconds(0));
        assert_eq!(wait(&mut window, 300), 0);
        window.enter(seconds(400));
        assert_eq!(wait(&mut window, 400), 200, "the first may have begun it");

        let mut window = Window::new(Some(rule(3, 300)));
        window.enter(seconds(0));
        assert_eq!(wait(&mut window, 300), 0);
        let epoch = window.enter(seconds(300));
        let two_counted = Standing {
            remaining: 1,
            resets_in: seconds(300),
            rule: Some(rule(3, 300)),
        };
        window.learn(epoch, seconds(300), &two_counted);
        window.settled();
        assert_ne!(wait(&mut window, 300), 0, "the other may be another's");
    }

    #[test]
    fn nothing_begins_a_window_in_which_nothing_is_under_way() {
        let mut window = Window::new(Some(rule(1, 300)));
        window.enter(seconds(0));
        window.settled();
        assert_eq!(wait(&mut window, 300), 0);
        assert_eq!(window.ends_at(), None);
    }
}
