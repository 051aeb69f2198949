//! The generator's panics: it answers some documents with one.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe, catch_unwind};

/// What the work comes to, or the words of the panic that it ends in.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words_of(panic.as_ref()))
}

/// Does work that catches its own panics, and has none of them printed.
pub fn unprinted<T>(work: impl FnOnce() -> T) -> T {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = work();
    panic::set_hook(hook);
    outcome
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}
