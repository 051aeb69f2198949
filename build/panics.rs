//! The generator panics on some documents. These functions catch and silence that.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Returns the result of the work, or the message of its panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words_of(panic.as_ref()))
}

/// Runs work that catches its own panics, without printing them. Panics of other threads
/// are still printed.
pub fn unprinted<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_SILENT.get() {
                hook(panic);
            }
        }));
    });
    let _silence = Silence {
        before: IS_SILENT.replace(true),
    };
    work()
}

thread_local! {
    /// Whether panics of this thread skip the hook.
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Silence that ends when it is dropped, so that a panic ends it too.
struct Silence {
    before: bool,
}

impl Drop for Silence {
    fn drop(&mut self) {
        IS_SILENT.set(self.before);
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic, and this one must"
)]
mod tests {
    use std::sync::{Arc, Barrier, Mutex};
    use std::thread;

    use super::*;

    fn fail(words: &str) {
        assert_eq!(caught(|| panic!("{words}")), Err::<(), _>(words.to_owned()));
    }

    #[test]
    fn only_the_working_thread_is_silent_and_only_during_its_work() {
        let printed = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&printed);
        panic::set_hook(Box::new(move |panic| {
            log.lock().unwrap().push(words_of(panic.payload()));
        }));

        // Two pieces of work overlap, and the first to begin ends first.
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                unprinted(|| {
                    barrier.wait();
                    fail("at work");
                    barrier.wait();
                });
                barrier.wait();
            });
            barrier.wait();
            fail("beside it");
            unprinted(|| {
                barrier.wait();
                barrier.wait();
                fail("at work");
                unprinted(|| fail("at work within"));
                fail("at work");
            });
            fail("after it");
        });
        let uncaught = caught(|| unprinted(|| panic!("uncaught")));
        assert_eq!(uncaught, Err::<(), _>("uncaught".to_owned()));
        fail("after a panic");

        // From here on, panics are printed as usual.
        drop(panic::take_hook());
        let printed = printed.lock().unwrap();
        assert_eq!(*printed, ["beside it", "after it", "after a panic"]);
    }
}
