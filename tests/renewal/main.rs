//! Renewal: the policy, one pass, and the watch.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic and print"
)]

#[path = "../support/mod.rs"]
mod support;

mod clocks;
mod decision;
mod failures;
mod pass;
mod pauses;
mod ten_years;
mod watch;
