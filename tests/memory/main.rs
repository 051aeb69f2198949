//! The memory that the client uses.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic and print"
)]

#[path = "../support/mod.rs"]
mod support;

#[cfg(target_os = "linux")]
mod bodies;
mod durations;
#[cfg(target_os = "linux")]
mod fleet;
#[cfg(target_os = "linux")]
mod passes;
