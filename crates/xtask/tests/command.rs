//! `cargo xtask` as it is called: what it prints and its exit codes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

const FRAGMENT: &str = include_str!("../../../openapi/service-tokens.json");

fn data() -> PathBuf {
    xtask::workspace::root().join("crates/xtask/tests/data/upstream-2024-08-06.json")
}

/// Runs the command: its exit code, standard output and standard error.
fn xtask(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Runs `drift` on a text.
fn drift(text: &str) -> (i32, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("upstream");
    fs::write(&file, text).unwrap();
    xtask(&["drift", file.to_str().unwrap()])
}

#[test]
fn the_exit_code_of_drift_is_the_verdict() {
    let (code, printed, _) = drift(FRAGMENT);
    assert_eq!(code, 0);
    assert!(
        printed.ends_with("0 breaking, 0 compatible, 0 allowed\n"),
        "{printed}"
    );

    let another = "\"last_seen_at\": {";
    assert_eq!(FRAGMENT.matches(another).count(), 1);
    let added = FRAGMENT.replace(another, &format!("\"color\": {{}}, {another}"));
    let (code, printed, _) = drift(&added);
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.starts_with("compatible  response: field `color` added"),
        "{printed}"
    );

    let removed = FRAGMENT.replace(another, "\"seen_at\": {");
    let (code, printed, _) = drift(&removed);
    assert_eq!(code, 2, "{printed}");
    assert!(
        printed.starts_with("breaking    response: field `last_seen_at` removed"),
        "{printed}"
    );

    let (code, _, said) = drift("no document");
    assert_eq!(code, 3);
    assert!(
        said.starts_with("error: ") && said.contains("not an OpenAPI document"),
        "{said}"
    );
}

#[test]
fn what_cant_be_done_is_3_too() {
    for arguments in [
        &["drift", "/nowhere"][..],
        &["drift"],
        &["slice", "/nowhere"],
        &["try", "/nowhere"],
        &["juggle"],
    ] {
        let (code, _, said) = xtask(arguments);
        assert_eq!(code, 3, "{arguments:?}: {said}");
        assert!(said.starts_with("error: "), "{said}");
    }
    assert_eq!(xtask(&["drift", "--help"]).0, 0);
}

#[test]
fn a_slice_goes_where_it_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("slice.json");
    let data = data();
    let (code, printed, _) = xtask(&["slice", data.to_str().unwrap()]);
    assert_eq!(code, 0);
    let to_file = [
        "slice",
        data.to_str().unwrap(),
        "--output",
        file.to_str().unwrap(),
    ];
    assert_eq!(xtask(&to_file), (0, String::new(), String::new()));
    assert_eq!(fs::read_to_string(file).unwrap(), printed);
}
