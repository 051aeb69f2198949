//! The code that `build.rs` generates from `openapi/service-tokens.json`.
#![allow(
    dead_code,
    unused_imports,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::unwrap_used,
    missing_docs,
    reason = "the generator writes more than is used here, in its own style"
)]

include!(concat!(env!("OUT_DIR"), "/generated.rs"));
