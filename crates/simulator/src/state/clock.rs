//! The simulator's clock: the one it was given, moved by an offset.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::state::duration::later;

type Reader = Box<dyn Fn() -> DateTime<Utc> + Send + Sync>;

pub(crate) struct Clock {
    /// Called while the offset isn't locked, since it may use the simulator.
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
        let read = (self.read)();
        let offset = *self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        later(read, offset)
    }

    /// Moves the clock, backward if the distance is negative. A distance that leaves
    /// the range of `TimeDelta` moves nothing.
    pub(crate) fn advance(&self, by: TimeDelta) {
        let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        *offset = offset.checked_add(&by).unwrap_or(*offset);
    }

    /// Sets the clock to this time, from which it continues.
    pub(crate) fn set(&self, time: DateTime<Utc>) {
        let read = (self.read)();
        let mut offset = self.offset.lock().unwrap_or_else(PoisonError::into_inner);
        *offset = time.signed_duration_since(read);
    }

    /// Resets the clock to the one that it was given.
    pub(crate) fn reset(&self) {
        *self.offset.lock().unwrap_or_else(PoisonError::into_inner) = TimeDelta::zero();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak, mpsc};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_function_may_move_the_clock() {
        let start: DateTime<Utc> = "2026-11-24T05:00:00Z".parse().unwrap();
        let clock = Arc::new_cyclic(|clock: &Weak<Clock>| {
            let clock = clock.clone();
            Clock::new(move || {
                if let Some(clock) = clock.upgrade() {
                    clock.advance(TimeDelta::seconds(1));
                }
                start
            })
        });
        let (told, tells) = mpsc::channel();
        // A deadlock ends neither the thread nor the test run, but it does end the test.
        std::thread::spawn(move || {
            let time = start + TimeDelta::days(1);
            clock.set(time);
            told.send(clock.now() - time)
        });
        let ahead = tells.recv_timeout(Duration::from_secs(30)).unwrap();
        assert_eq!(ahead, TimeDelta::seconds(1));
    }
}
