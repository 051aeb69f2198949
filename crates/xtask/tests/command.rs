//! `cargo xtask` as it is called: what it prints and its exit codes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

const UPSTREAM: &str = include_str!("data/upstream-2026-10-03.json");

fn data() -> PathBuf {
    xtask::workspace::root().join("crates/xtask/tests/data/upstream-2026-10-03.json")
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
    let (code, printed, _) = drift(UPSTREAM);
    assert_eq!(code, 0);
    assert!(
        printed.starts_with("0 breaking, 0 compatible, "),
        "{printed}"
    );

    let mut document: Value = serde_json::from_str(UPSTREAM).unwrap();
    let schemas = &mut document["components"]["schemas"];
    let dead = &mut schemas["access_uuid"];
    let limit = dead.as_object_mut().unwrap().remove("maxLength").unwrap();
    let (code, printed, _) = drift(&document.to_string());
    assert_ne!(code, 0, "{printed}");
    assert!(
        printed.contains("\nunused      the allowed difference"),
        "{printed}"
    );

    let schemas = &mut document["components"]["schemas"];
    schemas["access_uuid"]["maxLength"] = limit;
    let fields = &mut schemas["access_service-tokens"]["properties"];
    fields["color"] = json!({});
    let (code, printed, _) = drift(&document.to_string());
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.starts_with("compatible  response: field `color` added"),
        "{printed}"
    );

    let fields = &mut document["components"]["schemas"]["access_service-tokens"]["properties"];
    fields
        .as_object_mut()
        .unwrap()
        .remove("last_seen_at")
        .unwrap();
    let (code, printed, _) = drift(&document.to_string());
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
        &["generate", "/nowhere"],
        &["generate", "--check", "/nowhere"],
        &["report", "/nowhere"],
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

/// As of `cargo xtask slice openapi.json | head`.
#[test]
fn a_reader_that_has_gone_is_no_error() {
    let data = data();
    for (chore, code) in [("slice", 0), ("drift", 0), ("generate", 0)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args([chore, data.to_str().unwrap()])
            .stdout(writer)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{chore}: {output:?}");
        assert!(output.stderr.is_empty(), "{chore}: {output:?}");
    }
}

/// The recorded slices are byte for byte what the recipe in `facts.jq` makes of them.
#[test]
fn a_recorded_slice_is_what_its_recipe_makes() {
    let directory = xtask::workspace::root().join("crates/xtask/tests/data");
    for day in ["2024-08-06", "2026-10-03"] {
        let file = directory.join(format!("upstream-{day}.json"));
        let temporary = tempfile::tempdir().unwrap();
        let slice = temporary.path().join("slice.json");
        let (code, _, said) = xtask(&[
            "slice",
            file.to_str().unwrap(),
            "--output",
            slice.to_str().unwrap(),
        ]);
        assert_eq!(code, 0, "{said}");
        let facts = Command::new("jq")
            .args(["--indent", "1", "--sort-keys", "--arg", "day", day])
            .arg("--from-file")
            .arg(directory.join("facts.jq"))
            .arg(&slice)
            .output()
            .unwrap();
        assert!(facts.status.success(), "{facts:?}");
        let facts = String::from_utf8(facts.stdout).unwrap();
        assert!(fs::read_to_string(file).unwrap() == facts, "{day}");
    }
}

#[test]
fn generate_prints_the_code_or_the_types_that_change() {
    let data = data();
    let (code, printed, _) = xtask(&["generate", data.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(printed.contains("pub struct ServiceToken {"), "{printed}");
    let check = ["generate", "--check", data.to_str().unwrap()];
    assert_eq!(xtask(&check), (0, String::new(), String::new()));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("changed.json");
    let mut document: Value = serde_json::from_str(UPSTREAM).unwrap();
    let fields = &mut document["components"]["schemas"]["access_service-tokens"]["properties"];
    fields["color"] = json!({ "type": "string" });
    fs::write(&file, document.to_string()).unwrap();
    let (code, printed, _) = xtask(&["generate", "--check", file.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert_eq!(printed, "+ struct ServiceToken: color: Option<String>\n");
}
