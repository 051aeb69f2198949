//! The project itself: the build script, the generated code, the public types, and the programs of README.md.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic and print"
)]

#[path = "../support/mod.rs"]
mod support;

mod build_script;
mod debug;
mod generated;
mod readme;
#[cfg(feature = "schemars")]
mod schema;
