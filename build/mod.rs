//! From the OpenAPI fragment to Rust, in three steps: read, normalise, generate.
//!
//! Each step is a pure function; `build.rs` alone touches files and reports.

mod generate;
mod normalise;
mod read;

pub use read::FragmentError;

/// Turns the text of an OpenAPI fragment into the formatted Rust that
/// `src/generated.rs` includes.
pub fn rust_from_openapi(text: &str) -> Result<String, FragmentError> {
    let mut fragment = read::fragment(text)?;
    normalise::descriptions(&mut fragment.document);
    generate::rust(&fragment)
}
