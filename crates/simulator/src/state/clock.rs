//! The simulator's clock: the one it was given, moved by an offset.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::state::duration::later;

type Reader = Box<dyn Fn() -> DateTime<Utc> + Send + Sync>;

pub(crate) struct Clock {
    read: Reader,
    offset: Mutex<TimeDelta>,
}

impl Clock {
    pub(crate) fn new(read: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self {
            read: Box::new(read),
            offset: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let offset = *self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        later((self.read)(), offset)
    }

    /// Moves the clock, backward if the distance is negative. A distance that leaves
    /// the range of `TimeDelta` moves nothing.
    pub(crate) fn advance(&self, by: TimeDelta) {
        let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        *offset = offset.checked_add(&by).unwrap_or(*offset);
    }

    /// Makes the clock show this time, and go on from there.
    pub(crate) fn set(&self, time: DateTime<Utc>) {
        let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        *offset = time.signed_duration_since((self.read)());
    }

    /// Makes the clock show the time of the one that it was given.
    pub(crate) fn reset(&self) {
        *self.offset.lock().unwrap_or_else(PoisonError::into_inner) = TimeDelta::zero();
    }
}
