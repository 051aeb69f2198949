//! Prints a document of the size of Cloudflare's, to measure with:
//! `cargo run --package xtask --example large-document > target/large.json`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool for measuring"
)]

#[path = "../tests/support/large.rs"]
mod large;

fn main() {
    println!("{}", large::document(22 << 20));
}
