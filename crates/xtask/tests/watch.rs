//! The watch on Cloudflare's document, by the scripts that the workflow runs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

const UPSTREAM: &str = include_str!("data/upstream-2026-10-03.json");

/// Trials share a directory below `target`.
static TRIAL: Mutex<()> = Mutex::new(());

fn script(name: &str) -> Command {
    let directory = xtask::workspace::root().join("crates/xtask/watch");
    Command::new(directory.join(name))
}

/// Runs the script on a source; the report, if it wrote one.
fn report(source: &str, directory: &Path) -> (Output, Option<String>) {
    let _one_at_a_time = TRIAL.lock().unwrap_or_else(PoisonError::into_inner);
    let file = directory.join("report.md");
    let output = script("report.sh")
        .args([Path::new(source), &file])
        .output()
        .unwrap();
    (output, fs::read_to_string(file).ok())
}

/// Writes the document after a change by hand.
fn changed(directory: &Path, change: impl FnOnce(&mut Value)) -> String {
    let mut document: Value = serde_json::from_str(UPSTREAM).unwrap();
    change(&mut document);
    let file = directory.join("openapi.json");
    fs::write(&file, document.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn nothing_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let source = changed(directory.path(), |_| {});
    // A report of another day must not stay.
    fs::write(directory.path().join("report.md"), "old").unwrap();
    // The script downloads whatever looks like a URL.
    for source in [source.clone(), format!("file://{source}")] {
        let (output, report) = report(&source, directory.path());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(report, None);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, format!("Nothing is new in {source}.\n"));
    }
}

#[test]
fn a_report_names_the_change_its_verdict_the_types_and_the_trial() {
    let directory = tempfile::tempdir().unwrap();
    let source = changed(directory.path(), |document| {
        let token = &mut document["components"]["schemas"]["access_service-tokens"];
        token["properties"]["color"] = json!({ "type": "string" });
        let token = token["properties"].as_object_mut().unwrap();
        token.remove("last_seen_at").unwrap();
    });
    let (output, report) = report(&source, directory.path());
    assert!(output.status.success(), "{output:?}");
    let report = report.unwrap().replace(&source, "openapi.json");
    insta::assert_snapshot!(report);
}

#[test]
fn a_report_says_that_the_document_does_not_generate() {
    let directory = tempfile::tempdir().unwrap();
    let source = changed(directory.path(), |document| {
        let token = &mut document["components"]["schemas"]["access_service-tokens"];
        token["properties"]["name"] = json!({ "type": "unheard of" });
    });
    let (output, report) = report(&source, directory.path());
    assert!(output.status.success(), "{output:?}");
    let report = report.unwrap();
    assert!(
        report.contains("the document does not generate."),
        "{report}"
    );
}

#[test]
fn a_step_that_fails_is_loud() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html");
    fs::write(&page, "<html>").unwrap();
    let absent = directory.path().join("absent.json");
    for source in [
        page.to_str().unwrap().to_owned(),
        absent.to_str().unwrap().to_owned(),
        format!("file://{}", absent.display()),
    ] {
        let (output, report) = report(&source, directory.path());
        assert!(!output.status.success(), "{source}: {output:?}");
        assert!(!output.stderr.is_empty());
        assert_eq!(report, None);
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// Runs the script with a `gh` that notes its arguments, and finds these issues and this
/// body of one.
fn issue(issues: &str, body: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = directory.path().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    let gh = write(
        "gh",
        "#!/usr/bin/env bash\n\
         here=$(dirname \"$0\")\n\
         case \"$1 $2\" in\n\
         'issue list') jq \"${@: -1}\" \"$here/issues\" ;;\n\
         'issue view') cat \"$here/body\" ;;\n\
         *) echo \"${*:1:3} $(cat \"$here/report.md\")\" >>\"$here/log\" ;;\n\
         esac\n",
    );
    fs::set_permissions(gh, fs::Permissions::from_mode(0o755)).unwrap();
    write("issues", issues);
    write("body", body);
    write("log", "");
    let report = write("report.md", "the report\n");
    let path = std::env::var("PATH").unwrap();
    let output = script("issue.sh")
        .arg(report)
        .env("PATH", format!("{}:{path}", directory.path().display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    fs::read_to_string(directory.path().join("log")).unwrap()
}

#[test]
fn one_issue_holds_the_newest_report() {
    const TITLE: &str = "Cloudflare's OpenAPI document has changed";
    let by = |number: u8, title: &str, author: &str| -> Value {
        json!({ "number": number, "title": title, "author": { "login": author } })
    };
    let ours = by(7, TITLE, "app/github-actions");
    let other = by(8, "Another", "app/github-actions");
    // Anybody may open an issue with that title.
    let of_somebody = by(9, TITLE, "github-actions");
    let issues = json!([of_somebody, other, ours]).to_string();
    assert_eq!(
        issue(&json!([of_somebody, other]).to_string(), ""),
        "issue create --title the report\n"
    );
    assert_eq!(issue(&issues, "the report\r\n"), "");
    assert_eq!(
        issue(&issues, "an older report\n"),
        "issue edit 7 the report\nissue comment 7 the report\n"
    );
}
