//! Stands in until the command is here: it declares the modules that it will have.
#![allow(dead_code, reason = "only tests use these modules here")]

mod monitor;
mod page;
mod when;

fn main() {}
