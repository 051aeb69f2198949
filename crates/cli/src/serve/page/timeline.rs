//! Places times on the page, on one axis for all tokens.
//!
//! The axis ends about a year ahead, since a refresh makes a token valid for a year. The page
//! draws later times at the edge, so that the window stays visible beside a token that
//! lasts for decades.

use std::time::Duration;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeDelta, Utc};

/// The most that the axis shows of the future: a little more than a refresh gives, unless the
/// window is longer.
const MAX_AHEAD: TimeDelta = TimeDelta::days(380);
/// The least that the axis shows of the future.
const MIN_AHEAD: TimeDelta = TimeDelta::days(14);
/// The longest window that the axis shows.
const MAX_WINDOW: TimeDelta = TimeDelta::days(50 * 365);
/// The number of labels that fit beside each other on a phone.
const MAX_TICKS: usize = 6;
/// The width of a label on the page, in percent of the axis.
const LABEL_WIDTH: f64 = 10.0;

/// An axis of time, from its start at 0 % to its end at 100 %.
pub(super) struct Axis {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    now: DateTime<Utc>,
    window: TimeDelta,
}

/// A date on the axis.
pub(super) struct Tick {
    /// The place of the date, in percent.
    pub(super) at: f64,
    /// The date as the page shows it.
    pub(super) label: String,
}

/// A part of the axis, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    /// The place of its start.
    pub(super) from: f64,
    /// The place of its end.
    pub(super) to: f64,
}

impl Stretch {
    pub(super) fn width(self) -> f64 {
        self.to - self.from
    }
}

impl Axis {
    /// Creates the axis for tokens that expire at these times.
    pub(super) fn new(
        now: DateTime<Utc>,
        window: Duration,
        expiries: impl Iterator<Item = DateTime<Utc>>,
    ) -> Self {
        let window = TimeDelta::from_std(window)
            .unwrap_or(MAX_WINDOW)
            .min(MAX_WINDOW);
        // The end of the window must be visible.
        let min_ahead = MIN_AHEAD.max(window + window / 4);
        let last = expiries.max().map_or(min_ahead, |last| last - now);
        let ahead = last.min(MAX_AHEAD).max(min_ahead);
        Self {
            start: now - ahead / 5,
            end: now + ahead + ahead / 50,
            now,
            window,
        }
    }

    /// Returns the place of a time in percent. A time before or after the axis has the place of
    /// the edge.
    pub(super) fn at(&self, time: DateTime<Utc>) -> f64 {
        let seconds = |span: TimeDelta| span.as_seconds_f64();
        let share = seconds(time - self.start) / seconds(self.end - self.start);
        (share * 100.0).clamp(0.0, 100.0)
    }

    /// Returns whether a time is before the axis.
    pub(super) fn is_before(&self, time: DateTime<Utc>) -> bool {
        time <= self.start
    }

    /// Returns whether a time is after the axis.
    pub(super) fn is_after(&self, time: DateTime<Utc>) -> bool {
        time > self.end
    }

    /// Returns the place of the page's own time.
    pub(super) fn now(&self) -> f64 {
        self.at(self.now)
    }

    /// Returns the part in which the tokens that expire are due.
    pub(super) fn window(&self) -> Stretch {
        Stretch {
            from: self.now(),
            to: self.at(self.now + self.window),
        }
    }

    /// Returns the past part of a lifetime, and the part that is left.
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

    /// Returns whether the label of a tick fits: inside the axis, and beside the label of the
    /// page's own time.
    pub(super) fn has_room_for(&self, tick: &Tick) -> bool {
        (6.0..95.0).contains(&tick.at) && (tick.at - self.now()).abs() >= LABEL_WIDTH
    }

    /// Returns the dates along the axis.
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
            .find(|ticks| ticks.len() <= MAX_TICKS)
            .unwrap_or_default()
    }

    fn ticks_every(&self, step: Step) -> Vec<Tick> {
        let mut ticks = Vec::new();
        let mut date = step.first_before(self.start.date_naive());
        while let Some(next) = date.and_then(|date| step.next_after(date)) {
            let time = next.and_time(NaiveTime::MIN).and_utc();
            if time >= self.end || ticks.len() > MAX_TICKS {
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

/// The distance between two ticks.
#[derive(Clone, Copy)]
enum Step {
    Days(u64),
    Months(u32),
}

impl Step {
    /// Returns a date to count from. Months are counted from the start of a year, so that every
    /// January has a tick.
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
