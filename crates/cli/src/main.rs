//! Stands in until the command is here: it declares the modules that it will have.
#![allow(dead_code, reason = "only tests use these modules yet")]

mod monitor;
mod page;

fn main() {}
