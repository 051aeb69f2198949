//! The places of the project's own files.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Returns the root of the workspace.
pub fn root() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member
        .join("../..")
        .canonicalize()
        .unwrap_or_else(|_| member.join("../.."))
}

/// Returns Cargo's metadata of the workspace: its packages, and its target directory.
///
/// # Errors
///
/// Cargo can't be run, or can't read the workspace.
pub fn metadata() -> Result<Value> {
    let metadata = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .context("can't run cargo")?;
    ensure!(
        metadata.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    Ok(serde_json::from_slice(&metadata.stdout)?)
}

/// Returns the target directory.
///
/// # Errors
///
/// The same as of [`metadata`].
pub fn target() -> Result<PathBuf> {
    let metadata = metadata()?;
    let target = metadata["target_directory"].as_str();
    Ok(target
        .context("cargo metadata reports no target_directory")?
        .into())
}

/// Returns the Cargo that runs this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The package whose public API users see.
pub const ROOT_PACKAGE: &str = "cf-service-tokens";
/// The OpenAPI fragment.
pub const FRAGMENT: &str = "openapi/service-tokens.json";
/// The list of intended differences from Cloudflare's document.
pub const ALLOWED: &str = "openapi/drift-allowed.json";
/// The listing of the public API.
pub const PUBLIC_API: &str = "tests/public-api.txt";
/// The list of the types of other crates that the public API may use.
pub const EXTERNAL_TYPES: &str = "tests/external-types.txt";
