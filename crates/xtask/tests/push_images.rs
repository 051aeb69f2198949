//! `.ci/push-images` in a repository with other versions, and `.ci/push-chart`, with programs in
//! the place of buildah and Helm that write down what they are told.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

const IMAGE: &str = "registry.example.test/image";

/// Keeps the tags that are pushed, and makes up a digest for each image.
const BUILDAH: &str = r#"#!/usr/bin/env bash
set -euo pipefail
[ "$1 $2" = "manifest push" ] || exit 0
echo "sha256:${6##*-}" >"$5"
echo "$7" >>"$PUSHED"
"#;

/// Packages a chart of version 0.1.0, and pushes what there is.
const HELM: &str = r#"#!/usr/bin/env bash
set -euo pipefail
case $1 in
package) touch "$4/cf-service-tokens-0.1.0.tgz" ;;
push)
    [ -e "$2" ]
    echo "$3 ${*:4}" >>"$PUSHED"
    printf 'Pushed: %s\nDigest: sha256:chart\n' "$3" >&2
    ;;
esac
"#;

fn run(program: &str, arguments: &[&str], directory: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn git(arguments: &[&str], directory: &Path) {
    let author = ["-c", "user.name=a", "-c", "user.email=a@example.test"];
    run("git", &[&author, arguments].concat(), directory);
}

/// A released version, and its archives.
fn repository(root: &Path, tags: &[&str]) {
    fs::create_dir_all(root.join(".ci")).unwrap();
    for script in [".ci/push-images", ".ci/push-chart"] {
        fs::copy(xtask::workspace::root().join(script), root.join(script)).unwrap();
    }
    git(&["init", "--quiet"], root);
    git(&["commit", "--quiet", "--allow-empty", "--message=a"], root);
    git(&["remote", "add", "origin", "."], root);
    for tag in tags {
        git(&["tag", tag], root);
    }
    for machine in ["x86_64", "aarch64"] {
        let name = format!("cf-service-tokens-cli-{machine}-unknown-linux-gnu");
        fs::create_dir(root.join(&name)).unwrap();
        fs::write(root.join(&name).join("cf-service-tokens"), machine).unwrap();
        run("tar", &["-czf", &format!("{name}.tar.gz"), &name], root);
    }
}

/// Runs a script as a workflow does; what it ended with, what it pushed, and its output for
/// later steps.
fn script(root: &Path, name: &str, arguments: &[&str]) -> (Output, String, String) {
    let programs = root.join("programs");
    fs::create_dir_all(&programs).unwrap();
    for (name, text) in [("buildah", BUILDAH), ("helm", HELM)] {
        let program = programs.join(name);
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (pushed, results) = (root.join("pushed"), root.join("results"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(root.join(".ci").join(name))
        .args(arguments)
        .current_dir(root)
        .env("HOME", "/home")
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("PUSHED", &pushed)
        .env("GITHUB_OUTPUT", &results)
        .output()
        .unwrap();
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    (output, read(pushed), read(results))
}

/// Pushes the images; also returns the tags and the output for later steps.
fn push(root: &Path, version: &str) -> (Output, Vec<String>, String) {
    let (output, pushed, results) = script(root, "push-images", &[IMAGE, version, "."]);
    let prefix = format!("docker://{IMAGE}:");
    let tags = pushed.lines().map(|tag| tag.strip_prefix(&prefix).unwrap());
    (output, tags.map(str::to_owned).collect(), results)
}

fn pushed(tags: &[&str], version: &str) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    repository(root.path(), tags);
    let (output, pushed, results) = push(root.path(), version);
    assert!(output.status.success(), "{output:?}");
    let names: Vec<&str> = results
        .lines()
        .map(|line| line.split_once("=sha256:").unwrap().0)
        .collect();
    assert_eq!(names, ["digest", "digest-shell"]);
    pushed
}

#[test]
fn the_highest_version_is_the_latest() {
    for (tags, version) in [
        (vec!["v0.1.0"], "0.1.0"),
        (vec!["v0.9.0", "v0.10.0"], "0.10.0"),
        // A version to come is not released, and other tags are not versions of the crates.
        (
            vec!["v1.9.9", "v1.10.0", "v2.0.0-rc.1", "v3", "docs/v9.9.9x"],
            "1.10.0",
        ),
    ] {
        let shell = format!("{version}-shell");
        let expected = [version, "latest", &shell, "latest-shell"];
        assert_eq!(pushed(&tags, version), expected, "{tags:?}");
    }
}

#[test]
fn another_version_leaves_the_latest_one() {
    for (tags, version) in [
        (vec!["v1.9.1", "v1.10.0"], "1.9.1"),
        (vec!["v0.1.0", "v0.2.0-rc.1"], "0.2.0-rc.1"),
        (vec!["v0.2.0-rc.1"], "0.2.0-rc.1"),
    ] {
        let expected = [version.to_owned(), format!("{version}-shell")];
        assert_eq!(pushed(&tags, version), expected, "{tags:?}");
    }
}

#[test]
fn nothing_is_pushed_if_the_versions_are_unknown() {
    let root = tempfile::tempdir().unwrap();
    repository(root.path(), &["v0.1.0"]);
    git(
        &["remote", "set-url", "origin", "/nonexistent"],
        root.path(),
    );
    let (output, pushed, _) = push(root.path(), "0.1.0");
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(pushed, [""; 0]);
}

#[test]
fn the_chart_is_pushed_in_the_version_of_the_release() {
    let root = tempfile::tempdir().unwrap();
    repository(root.path(), &["v0.1.0"]);
    let chart = "registry.example.test/charts/cf-service-tokens";
    let (output, pushed, results) = script(root.path(), "push-chart", &[chart, "0.1.0"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        pushed,
        "oci://registry.example.test/charts --registry-config /home/.docker/config.json\n"
    );
    assert_eq!(results, "digest=sha256:chart\n");

    let (output, _, results) = script(root.path(), "push-chart", &[chart, "0.2.0"]);
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(results, "digest=sha256:chart\n");
}
