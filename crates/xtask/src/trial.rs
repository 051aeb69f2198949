//! Tries whether an upstream document generates and compiles, as the fragment does.
//!
//! The command is `cargo xtask try`, but `try` is a reserved word of Rust.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::build;
use crate::document::Document;
use crate::openapi_3_0;
use crate::pointer;
use crate::route::{Operation, operations};
use crate::slice::slice;
use crate::workspace;

/// The outcome of a trial.
pub enum Outcome {
    /// The generator refuses the document, with a message that says where and why.
    NotGenerated(String),
    /// The generated code does not compile, with the compiler's errors.
    NotCompiled(Generated, String),
    /// The document generates and compiles.
    Compiled(Generated),
}

/// Generated code.
pub struct Generated {
    /// The file that holds it.
    pub file: PathBuf,
    /// The number of its lines.
    pub lines: usize,
}

/// Tries an upstream document: slices it, adds the extensions that only the fragment has,
/// generates code, and compiles it in a crate of its own.
///
/// # Errors
///
/// The document can't be sliced, or the crate can't be written or checked.
pub fn run(fragment: &Document, upstream: &Document) -> Result<Outcome> {
    match generate(fragment, upstream)? {
        Ok(rust) => compile(&rust),
        Err(cause) => Ok(Outcome::NotGenerated(cause)),
    }
}

/// Generates the code of a trial, or returns the reason why that fails.
///
/// # Errors
///
/// The document can't be sliced.
pub fn generate(fragment: &Document, upstream: &Document) -> Result<Result<String, String>> {
    let mut ours = operations(&fragment.value()?);
    // The fragment has only a part of the neighbours' schemas, with types of its own.
    ours.retain(|operation| !operation.is_neighbour);
    let mut slice = slice(&ours, &upstream.outline()?)?;
    openapi_3_0::rewrite(&mut slice);
    complete(&ours, &mut slice);
    let rust = build::panics::unprinted(|| build::rust_from_openapi(&slice.to_string()));
    Ok(rust.map_err(|error| error.to_string()))
}

/// Adds to each operation the extensions that the build requires.
pub fn complete(ours: &[Operation], slice: &mut Value) {
    for theirs in operations(slice) {
        let twin = ours.iter().find(|one| {
            let is_there = (&one.route, &one.method) == (&theirs.route, &theirs.method);
            is_there || (one.cloudflare_id.is_some() && one.cloudflare_id == theirs.id)
        });
        let place = pointer::join(&pointer::join("/paths", &theirs.path), &theirs.method);
        let Some(Value::Object(operation)) = slice.pointer_mut(&place) else {
            continue;
        };
        let upstream_id = theirs
            .id
            .unwrap_or_else(|| format!("{} {}", theirs.method, theirs.path));
        let id = twin.and_then(|twin| twin.id.clone());
        let id = id.unwrap_or_else(|| in_snake_case(&upstream_id));
        operation.insert("operationId".to_owned(), json!(id));
        operation.insert("x-cloudflare-operation-id".to_owned(), json!(upstream_id));
        // Any value will do: it does not change whether the code compiles.
        operation.insert("x-idempotent".to_owned(), json!(false));
    }
}

fn in_snake_case(id: &str) -> String {
    let words = id.split(|character: char| !character.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}

fn compile(rust: &str) -> Result<Outcome> {
    let target = workspace::target()?;
    let directory = target.join("trial");
    let write = |name: &str, text: &str| {
        let file = directory.join(name);
        fs::create_dir_all(directory.join("src"))
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("can't write {}", file.display()))?;
        anyhow::Ok(file)
    };
    write("Cargo.toml", &manifest()?)?;
    write("src/lib.rs", include_str!("../trial/lib.rs"))?;
    let file = write("src/generated.rs", rust)?;
    let generated = Generated {
        file,
        lines: rust.lines().count(),
    };
    // The crate is compiled with the locked versions of this workspace.
    let lock = workspace::root().join("Cargo.lock");
    fs::copy(&lock, directory.join("Cargo.lock"))
        .with_context(|| format!("can't copy {}", lock.display()))?;
    let check = workspace::cargo()
        .args(["check", "--quiet", "--message-format", "short"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&directory)
        .output()
        .context("can't run cargo")?;
    if check.status.success() {
        return Ok(Outcome::Compiled(generated));
    }
    let errors = String::from_utf8_lossy(&check.stderr).into_owned();
    Ok(Outcome::NotCompiled(generated, errors))
}

/// Returns the manifest of a crate with the dependencies of the root crate.
fn manifest() -> Result<String> {
    let metadata = workspace::metadata()?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let root = packages
        .into_iter()
        .find(|package| package["name"] == workspace::ROOT_PACKAGE)
        .with_context(|| format!("cargo metadata reports no {}", workspace::ROOT_PACKAGE))?;
    let mut manifest = format!(
        "# Written by `cargo xtask try`.\n\
         [package]\nname = \"trial\"\nedition = {}\n\n\
         [workspace]\n\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n\n\
         [dependencies]\n",
        root["edition"]
    );
    let dependencies = root["dependencies"].as_array().into_iter().flatten();
    for dependency in dependencies.filter(|one| one["kind"].is_null() && one["optional"] == false) {
        writeln!(
            manifest,
            "{} = {{ version = {}, default-features = {}, features = {} }}",
            dependency["name"].as_str().unwrap_or_default(),
            dependency["req"],
            dependency["uses_default_features"],
            dependency["features"]
        )?;
    }
    Ok(manifest)
}
