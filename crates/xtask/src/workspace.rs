//! Where the project's own files are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member
        .join("../..")
        .canonicalize()
        .unwrap_or_else(|_| member.join("../.."))
}

/// Where cargo builds: the directory that this very program was built into.
///
/// # Errors
///
/// The program has been moved elsewhere.
pub fn target() -> Result<PathBuf> {
    let program = std::env::current_exe().context("the program's own file can't be found")?;
    let target = program
        .ancestors()
        .find(|one| one.join("CACHEDIR.TAG").exists());
    Ok(target
        .with_context(|| {
            format!(
                "{}: not in a target directory; run it by `cargo xtask`",
                program.display()
            )
        })?
        .to_owned())
}

/// Cargo: the one that runs this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The package whose public API users see.
pub const ROOT_PACKAGE: &str = "cf-service-tokens";
/// The OpenAPI fragment.
pub const FRAGMENT: &str = "openapi/service-tokens.json";
/// The differences from Cloudflare's document that are meant to be.
pub const ALLOWED: &str = "openapi/drift-allowed.json";
/// The listing of the public API.
pub const PUBLIC_API: &str = "tests/public-api.txt";
/// The types of other crates that may be in the public API.
pub const EXTERNAL_TYPES: &str = "tests/external-types.txt";
