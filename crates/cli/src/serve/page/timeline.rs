//! Where times stand on the page: one axis for all tokens.
//!
//! It reaches from some time ago to about a year ahead, which is as far as a
//! refresh reaches; what lies beyond is drawn to the edge. So the window can be
//! seen even where some token lasts for decades.

use std::time::Duration;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, Utc};

/// A little more than a refresh gives.
const FARTHEST: TimeDelta = TimeDelta::days(380);
const NEAREST: TimeDelta = TimeDelta::days(14);
/// No window is drawn longer than this.
const LONGEST_WINDOW: TimeDelta = TimeDelta::days(50 * 365);
/// So many labels fit on a phone.
const MOST_TICKS: usize = 6;

/// The axis of time, from its start at 0 % to its end at 100 %.
pub(super) struct Axis {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    now: DateTime<Utc>,
    window: TimeDelta,
}

/// A date on the axis.
pub(super) struct Tick {
    /// Where it stands, in percent.
    pub(super) at: f64,
    /// The date in words.
    pub(super) label: String,
}

/// A part of the axis, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    /// Where it begins.
    pub(super) from: f64,
    /// Where it ends.
    pub(super) to: f64,
}

impl Stretch {
    pub(super) fn width(self) -> f64 {
        self.to - self.from
    }
}

impl Axis {
    /// The axis for tokens that expire at these times.
    pub(super) fn new(
        now: DateTime<Utc>,
        window: Duration,
        expiries: impl Iterator<Item = DateTime<Utc>>,
    ) -> Self {
        let window = TimeDelta::from_std(window)
            .unwrap_or(LONGEST_WINDOW)
            .min(LONGEST_WINDOW);
        // The window and some more, so that it can be told where it ends.
        let shortest = NEAREST.max(window + window / 4);
        let last = expiries.max().map_or(shortest, |last| last - now);
        let ahead = last.min(FARTHEST).max(shortest);
        Self {
            start: now - ahead / 5,
            end: now + ahead + ahead / 50,
            now,
            window,
        }
    }

    /// Where a time stands, in percent; beyond the axis, at its edge.
    pub(super) fn at(&self, time: DateTime<Utc>) -> f64 {
        let seconds = |span: TimeDelta| span.as_seconds_f64();
        let share = seconds(time - self.start) / seconds(self.end - self.start);
        (share * 100.0).clamp(0.0, 100.0)
    }

    /// Whether a time lies before the axis.
    pub(super) fn is_before(&self, time: DateTime<Utc>) -> bool {
        time <= self.start
    }

    /// Whether a time lies beyond the axis.
    pub(super) fn is_beyond(&self, time: DateTime<Utc>) -> bool {
        time > self.end
    }

    /// Where now is.
    pub(super) fn now(&self) -> f64 {
        self.at(self.now)
    }

    /// The window: whatever ends in it falls due.
    pub(super) fn window(&self) -> Stretch {
        Stretch {
            from: self.now(),
            to: self.at(self.now + self.window),
        }
    }

    /// The parts of a life that are over and that are left.
    pub(super) fn life(
        &self,
        from: Option<DateTime<Utc>>,
        to: Option<DateTime<Utc>>,
    ) -> (Stretch, Stretch) {
        let from = from.map_or(0.0, |from| self.at(from));
        let to = to.map_or(100.0, |to| self.at(to)).max(from);
        let now = self.now().clamp(from, to);
        (Stretch { from, to: now }, Stretch { from: now, to })
    }

    /// The dates to be written along the axis.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        const STEPS: [Step; 11] = [
            Step::Days(2),
            Step::Days(4),
            Step::Days(7),
            Step::Days(14),
            Step::Months(1),
            Step::Months(2),
            Step::Months(3),
            Step::Months(6),
            Step::Months(12),
            Step::Months(60),
            Step::Months(240),
        ];
        STEPS
            .iter()
            .map(|step| self.ticks_every(*step))
            .find(|ticks| ticks.len() <= MOST_TICKS)
            .unwrap_or_default()
    }

    fn ticks_every(&self, step: Step) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let mut date = step.first_before(self.start.date_naive());
        while let Some(next) = date.and_then(|date| step.next_after(date)) {
            let time = next.and_time(NaiveTime::MIN).and_utc();
            if time >= self.end || ticks.len() > MOST_TICKS {
                break;
            }
            if time > self.start {
                ticks.push(Tick {
                    at: self.at(time),
                    label: step.label(next),
                });
            }
            date = Some(next);
        }
        ticks
    }
}

/// How far ticks are apart.
#[derive(Clone, Copy)]
enum Step {
    Days(u64),
    Months(u32),
}

impl Step {
    /// A date to count from: months are counted in whole years.
    fn first_before(self, date: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Days(_) => Some(date),
            Self::Months(months) => {
                let years = i32::try_from(months / 12).unwrap_or(1).max(1);
                NaiveDate::from_ymd_opt(date.year().div_euclid(years) * years, 1, 1)
            }
        }
    }

    fn next_after(self, date: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Days(days) => date.checked_add_days(Days::new(days)),
            Self::Months(months) => date.checked_add_months(Months::new(months)),
        }
    }

    fn label(self, date: NaiveDate) -> String {
        let format = match self {
            Self::Days(_) => "%-d %b",
            Self::Months(12..) => "%Y",
            Self::Months(_) if date.month() == 1 => "%Y",
            Self::Months(_) => "%b",
        };
        date.format(format).to_string()
    }
}
