//! The clock of the API, read from its answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::answer::Answer;
use crate::call::clock::{Clock, signed};
use crate::call::trace;

/// The largest difference between the client's clock and the API's that is ignored.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// The clock of the API, by which tokens and secrets expire.
///
/// The `Date` of the API's answers shows it. Before the first answer, and while the two
/// agree, this is the client's clock.
pub(crate) struct ApiClock {
    clock: Arc<dyn Clock>,
    samples: Mutex<Samples>,
}

/// A moment by the client's clock: by its date, which may be set, and by its timer, which
/// may stand still while the machine is suspended.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) date: DateTime<Utc>,
    elapsed: Duration,
}

/// The API's time at a moment, as a range: it is wide only where the clocks contradict
/// each other, and then each caller uses the end that does less harm.
#[derive(Clone, Copy)]
pub(crate) struct ApiTime {
    pub(crate) earliest: DateTime<Utc>,
    pub(crate) latest: DateTime<Utc>,
}

#[derive(Clone, Copy, Default)]
struct Samples {
    newest: Option<Sample>,
    /// The sample before the newest, if the newest contradicts it.
    contradicted: Option<Sample>,
}

/// The API's time in an answer, and when the answer arrived.
#[derive(Clone, Copy)]
struct Sample {
    api_time: DateTime<Utc>,
    received: Moment,
}

impl ApiClock {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            samples: Mutex::default(),
        }
    }

    /// Returns the present moment.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            date: self.clock.now(),
            elapsed: self.clock.elapsed(),
        }
    }

    /// Returns the API's time now.
    pub(crate) fn now(&self) -> ApiTime {
        self.at(self.moment())
    }

    /// Returns the API's time at a moment, which may be before the first answer.
    pub(crate) fn at(&self, moment: Moment) -> ApiTime {
        let samples = self.samples();
        let mut readings = Vec::new();
        for sample in [samples.newest, samples.contradicted].into_iter().flatten() {
            readings.extend(sample.api_time_at(moment));
        }
        if readings.iter().all(|time| is_close(*time, moment.date)) {
            readings = vec![moment.date];
        } else if samples.contradicted.is_some() {
            readings.push(moment.date);
        }
        ApiTime {
            earliest: readings.iter().copied().min().unwrap_or(moment.date),
            latest: readings.iter().copied().max().unwrap_or(moment.date),
        }
    }

    /// Whether any answer has shown the API's time.
    pub(crate) fn is_known(&self) -> bool {
        self.samples().newest.is_some()
    }

    /// Returns how far the client's clock is ahead of the API's, in whole minutes; `None`
    /// if the difference is small or unknown.
    pub(crate) fn skew(&self) -> Option<TimeDelta> {
        self.samples().skew()
    }

    /// Learns the API's time from an answer of the API.
    pub(crate) fn observe(&self, answer: &Answer) {
        let Some(api_time) = answer.api_time else {
            return;
        };
        let received = Moment {
            date: answer.received_at,
            elapsed: self.clock.elapsed(),
        };
        let is_expected = |before: &Sample| {
            let mut expected = before.api_time_at(received).into_iter();
            expected.any(|time| is_close(time, api_time))
        };
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let skew_before = samples.skew();
        *samples = Samples {
            newest: Some(Sample { api_time, received }),
            contradicted: samples.newest.filter(|before| !is_expected(before)),
        };
        let skew = samples.skew();
        drop(samples);
        if let Some(skew) = skew.filter(|_| skew_before.is_none()) {
            trace::clock_skew(skew);
        }
    }

    fn samples(&self) -> Samples {
        *self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Samples {
    fn skew(&self) -> Option<TimeDelta> {
        let samples = [self.newest, self.contradicted].into_iter().flatten();
        let mut skews = samples.map(|sample| sample.received.date - sample.api_time);
        let skew = skews.find(|skew| skew.abs() > TOLERANCE)?;
        // Round to a minute: a `Date` has whole seconds, and an answer takes time to
        // arrive.
        Some(TimeDelta::minutes((skew.num_seconds() + 30).div_euclid(60)))
    }
}

impl Sample {
    /// Returns the API's time at a moment by the client's date and by its timer.
    fn api_time_at(&self, moment: Moment) -> [DateTime<Utc>; 2] {
        let by_date = moment.date - self.received.date;
        let by_timer = signed(moment.elapsed) - signed(self.received.elapsed);
        [by_date, by_timer].map(|passed| {
            let time = self.api_time.checked_add_signed(passed);
            time.unwrap_or(match passed < TimeDelta::zero() {
                true => DateTime::<Utc>::MIN_UTC,
                false => DateTime::<Utc>::MAX_UTC,
            })
        })
    }
}

fn is_close(one: DateTime<Utc>, other: DateTime<Utc>) -> bool {
    (one - other).abs() <= TOLERANCE
}
