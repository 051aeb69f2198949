//! Where the project's own files are.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member
        .join("../..")
        .canonicalize()
        .unwrap_or_else(|_| member.join("../.."))
}

/// The OpenAPI fragment.
pub const FRAGMENT: &str = "openapi/service-tokens.json";
/// The differences from Cloudflare's document that are meant to be.
pub const ALLOWED: &str = "openapi/drift-allowed.json";
