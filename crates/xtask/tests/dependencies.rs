//! What a dependent builds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;

use xtask::workspace;

/// Cargo builds a crate once for the SDK and its build script, if both want the same features.
#[test]
fn no_crate_is_built_twice_with_other_features() {
    let tree = workspace::cargo()
        .args(["tree", "--offline", "--locked"])
        .args(["--package", workspace::ROOT_PACKAGE])
        .args(["--edges", "normal,build", "--duplicates"])
        .args(["--depth", "0", "--prefix", "none"])
        .current_dir(workspace::root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "{said}");
    let tree = String::from_utf8(tree.stdout).unwrap();
    let mut seen = HashSet::new();
    let crates = tree.lines().filter(|line| !line.is_empty());
    let twice: Vec<_> = crates.filter(|line| !seen.insert(*line)).collect();
    assert!(
        twice.is_empty(),
        "give {twice:?} the same features in [dependencies] and [build-dependencies]"
    );
}
