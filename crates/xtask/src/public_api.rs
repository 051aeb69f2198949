//! Lists the public API of the root crate, and the types of other crates in it.
//!
//! Both come from rustdoc's JSON, whose format has versions. This module reads the version
//! of `rustdoc-types` that `public-api` depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::workspace;

/// The environment variable that makes this program stand in for rustdoc. It holds
/// rustdoc's path. Only rustdoc gets the setting that allows its unstable JSON: with it,
/// cargo would rebuild half of the dependencies.
pub const STAND_IN: &str = "XTASK_RUSTDOC";

/// A toolchain whose rustdoc writes the supported format.
pub const TOOLCHAIN: &str = "1.95";

/// Auto traits that callers don't name. They differ between compilers.
const LEFT_OUT: [&str; 5] = [
    "core::marker::Freeze for ",
    "core::marker::Unpin for ",
    "core::marker::UnsafeUnpin for ",
    "core::panic::unwind_safe::RefUnwindSafe for ",
    "core::panic::unwind_safe::UnwindSafe for ",
];

/// The result of reading rustdoc's JSON.
pub enum Read {
    /// The toolchain writes an unsupported format.
    UnknownFormat {
        /// The format of the JSON.
        found: u32,
        /// The supported format.
        known: u32,
    },
    /// The public API.
    Api(PublicApi),
}

/// The public API of the root crate.
pub struct PublicApi {
    /// The items, one a line.
    pub listing: String,
    /// The types, traits and functions of other crates, except of the standard
    /// library, each with the first item that names it.
    pub external: BTreeMap<String, String>,
}

/// Runs rustdoc on the root crate with all features, and reads its output.
///
/// # Errors
///
/// The crate doesn't compile, or JSON of the supported format can't be read.
pub fn read() -> Result<Read> {
    let target = workspace::target()?;
    let rustdoc = env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into());
    let status = workspace::cargo()
        .args(["rustdoc", "--quiet", "--lib", "--all-features"])
        .args(["--package", workspace::ROOT_PACKAGE, "--target-dir"])
        .arg(&target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .env("RUSTDOC", env::current_exe()?)
        .env(STAND_IN, rustdoc)
        .current_dir(workspace::root())
        .status()
        .context("can't run cargo")?;
    ensure!(status.success(), "rustdoc failed; see above");
    let name = workspace::ROOT_PACKAGE.replace('-', "_");
    from_json(&target.join("doc").join(name).with_extension("json"))
}

/// Runs rustdoc, if the program was called in its place.
///
/// # Errors
///
/// Rustdoc can't be run.
pub fn stand_in_for_rustdoc() -> Result<Option<u8>> {
    let Some(rustdoc) = env::var_os(STAND_IN) else {
        return Ok(None);
    };
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let status = Command::new(&rustdoc)
        .args(arguments)
        .env("RUSTC_BOOTSTRAP", "1")
        .status()
        .with_context(|| format!("can't run {}", rustdoc.display()))?;
    Ok(Some(if status.success() { 0 } else { 1 }))
}

#[derive(Deserialize)]
struct Head {
    format_version: u32,
}

#[derive(Deserialize)]
struct ExternalCrates {
    external_crates: BTreeMap<String, ExternalCrate>,
}

#[derive(Deserialize)]
struct ExternalCrate {
    name: String,
}

fn from_json(file: &Path) -> Result<Read> {
    let place = || format!("can't read {}", file.display());
    let json = fs::read_to_string(file).with_context(place)?;
    let head: Head = serde_json::from_str(&json).with_context(place)?;
    if head.format_version != rustdoc_types::FORMAT_VERSION {
        return Ok(Read::UnknownFormat {
            found: head.format_version,
            known: rustdoc_types::FORMAT_VERSION,
        });
    }
    let api = public_api::Builder::from_rustdoc_json(file)
        .omit_blanket_impls(true)
        .build()
        .with_context(place)?;
    let items: Vec<String> = api
        .items()
        .map(ToString::to_string)
        .filter(|item| {
            let is_left_out = LEFT_OUT.iter().any(|left_out| item.contains(left_out));
            !(item.starts_with("impl") && is_left_out)
        })
        .collect();
    let crates: ExternalCrates = serde_json::from_str(&json).with_context(place)?;
    let crates: BTreeSet<String> = crates
        .external_crates
        .into_values()
        .map(|one| one.name)
        .filter(|name| !["alloc", "core", "std"].contains(&name.as_str()))
        .collect();
    let mut external = BTreeMap::new();
    for item in &items {
        for path in external_paths(item, &crates) {
            external.entry(path).or_insert_with(|| item.clone());
        }
    }
    Ok(Read::Api(PublicApi {
        listing: items.join("\n") + "\n",
        external,
    }))
}

/// Returns the paths in an item that begin with the name of another crate.
fn external_paths(item: &str, crates: &BTreeSet<String>) -> Vec<String> {
    let is_part = |character: char| character.is_alphanumeric() || "_:".contains(character);
    item.split(|character| !is_part(character))
        .map(|path| path.trim_end_matches(':'))
        .filter(|path| {
            let first = path.split_once("::").map(|(first, _)| first);
            first.is_some_and(|first| crates.contains(first))
        })
        .map(without_members)
        .collect()
}

/// Returns the path of a type without a function: `TimeDelta` for `TimeDelta::from`.
fn without_members(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split("::") {
        parts.push(part);
        if part.starts_with(char::is_uppercase) {
            break;
        }
    }
    parts.join("::")
}

impl PublicApi {
    /// Compares the public API with the recorded listing, and returns a diff if they
    /// differ.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn diff(&self, file: &Path) -> Result<Option<String>> {
        let written =
            fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        if written == self.listing {
            return Ok(None);
        }
        let diff = similar::TextDiff::from_lines(&written, &self.listing);
        Ok(Some(diff.unified_diff().context_radius(0).to_string()))
    }

    /// Compares the types of other crates with the list of allowed ones.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn external_faults(&self, file: &Path) -> Result<Vec<String>> {
        let list =
            fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        let name = workspace::EXTERNAL_TYPES;
        let lines = list.lines().map(str::trim);
        let allowed: BTreeSet<&str> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        let strangers = self
            .external
            .iter()
            .filter(|(path, _)| !allowed.contains(path.as_str()))
            .map(|(path, item)| format!("`{path}` is not in {name}, but in: {item}"));
        let unused = allowed
            .iter()
            .filter(|path| !self.external.contains_key(**path))
            .map(|path| format!("`{path}` is in {name}, but in no public item"));
        Ok(strangers.chain(unused).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn paths_of_other_crates_are_found() {
        let crates = BTreeSet::from(["chrono".to_owned(), "http".to_owned()]);
        let found = |item: &str| external_paths(item, &crates);
        assert_eq!(
            found("pub fn ours::f(&chrono::datetime::DateTime<chrono::offset::utc::Utc>) -> u8"),
            ["chrono::datetime::DateTime", "chrono::offset::utc::Utc"]
        );
        assert_eq!(
            found("pub fn chrono::time_delta::TimeDelta::from(ours::T) -> Self"),
            ["chrono::time_delta::TimeDelta"]
        );
        assert_eq!(
            found("pub fn ours::http::f(core::option::Option<u8>)"),
            [""; 0]
        );
    }

    #[test]
    fn a_format_that_is_not_known() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("doc.json");
        fs::write(&file, r#"{ "format_version": 1, "whatever": [] }"#).unwrap();
        let read = from_json(&file).unwrap();
        assert!(matches!(read, Read::UnknownFormat { found: 1, .. }));
        fs::write(&file, "no JSON").unwrap();
        assert!(from_json(&file).is_err());
    }

    #[test]
    fn what_differs_from_the_files() {
        let api = PublicApi {
            listing: "pub fn ours::f(http::Uri)\n".to_owned(),
            external: BTreeMap::from([("http::Uri".to_owned(), "ours::f".to_owned())]),
        };
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("list.txt");

        fs::write(&file, &api.listing).unwrap();
        assert_eq!(api.diff(&file).unwrap(), None);
        fs::write(&file, "pub fn ours::g()\n").unwrap();
        let diff = api.diff(&file).unwrap().unwrap();
        assert!(diff.contains("-pub fn ours::g()"), "{diff}");
        assert!(diff.contains("+pub fn ours::f(http::Uri)"), "{diff}");

        fs::write(&file, "# A remark.\nhttp::Uri\n").unwrap();
        assert_eq!(api.external_faults(&file).unwrap(), [""; 0]);
        fs::write(&file, "http::Method\n").unwrap();
        assert_eq!(
            api.external_faults(&file).unwrap(),
            [
                "`http::Uri` is not in tests/external-types.txt, but in: ours::f",
                "`http::Method` is in tests/external-types.txt, but in no public item",
            ]
        );
    }
}
