//! From the OpenAPI fragment to Rust, in three steps: read, normalise, generate.
//!
//! Each step is a pure function; only `build.rs` reads and writes files.

mod generate;
mod normalise;
pub mod panics;
mod read;

pub use read::FragmentError;

/// The keys of a path item that hold operations.
pub const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// Turns the text of an OpenAPI fragment into the formatted Rust that
/// `src/generated.rs` includes.
pub fn rust_from_openapi(text: &str) -> Result<String, FragmentError> {
    let steps = || {
        let mut fragment = read::fragment(text)?;
        normalise::descriptions(&mut fragment.document);
        generate::rust(&fragment)
    };
    panics::caught(steps).unwrap_or_else(|words| {
        let cause = format!("the build's own steps panicked: {words}");
        Err(FragmentError::new("an unknown place", cause))
    })
}
