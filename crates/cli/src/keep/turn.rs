//! The turn to rotate: one secret at a time is on its way.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

/// The turn to rotate, for which the rules of all accounts wait in a queue.
pub(super) struct Turn {
    permit: Semaphore,
    is_closed: AtomicBool,
}

/// The turn, until this is dropped.
pub(super) struct Taken<'a> {
    _permit: SemaphorePermit<'a>,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            permit: Semaphore::new(1),
            is_closed: AtomicBool::new(false),
        }
    }
}

impl Turn {
    /// Waits for the turn; `None` if it is closed.
    pub(super) async fn take(&self) -> Option<Taken<'_>> {
        let permit = self.permit.acquire().await.ok()?;
        // Those in the queue get the permit before the caller that closes the turn and then waits.
        let is_closed = self.is_closed.load(Ordering::Relaxed);
        (!is_closed).then_some(Taken { _permit: permit })
    }

    /// Lets no rule take the turn from now on. The rule that has it keeps it.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_taken(&self) -> bool {
        self.permit.available_permits() == 0
    }

    /// Waits until no rule has the turn.
    pub(super) async fn is_free(&self) {
        let _ = self.permit.acquire().await;
    }
}
