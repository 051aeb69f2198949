//! The calls for service tokens, and the types that they take and return.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic and print"
)]

#[path = "../support/mod.rs"]
mod support;

mod duration;
mod issued;
mod listing;
mod neighbours;
mod refresh;
mod requests;
mod whole_life;
