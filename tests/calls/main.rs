//! Calls, under every condition of the server, the network and the caller.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may panic and print"
)]

#[path = "../support/calls.rs"]
mod every_call;
#[path = "../support/mod.rs"]
mod support;

mod authentication;
#[cfg(feature = "blocking")]
mod blocking;
mod bounds;
mod connecting;
mod connections;
mod environment;
#[cfg(feature = "rustls")]
mod fault_matrix;
mod faults;
mod messages;
mod odd_results;
mod options;
mod pauses;
mod rate_limit;
mod raw;
mod retry;
mod secrets;
#[cfg(any(feature = "rustls-no-provider", feature = "native-tls"))]
mod tls;
mod trace;
