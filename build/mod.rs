//! From the OpenAPI fragment to Rust, in three steps: read, normalise, generate.
//!
//! Each step is a pure function; `build.rs` alone touches files and reports.

mod generate;
mod normalise;
mod read;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use read::FragmentError;

/// Turns the text of an OpenAPI fragment into the formatted Rust that
/// `src/generated.rs` includes.
pub fn rust_from_openapi(text: &str) -> Result<String, FragmentError> {
    let steps = || {
        let mut fragment = read::fragment(text)?;
        normalise::descriptions(&mut fragment.document);
        generate::rust(&fragment)
    };
    without_panic(steps).unwrap_or_else(|words| {
        let cause = format!("the build's own steps gave up on it: {words}");
        Err(FragmentError::new("a place that is not known", cause))
    })
}

/// What the work comes to, or the words of the panic that it ends in.
fn without_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words_of(panic.as_ref()))
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_default()
}
