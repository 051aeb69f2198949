//! No message of the command names a method or a type of the SDK: its reader has neither.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cf_service_tokens_simulator::{Fault, Injection, WrongJson};
use support::{ID, World};

/// The names that are also words of the command: its commands, and names in JSON.
const OWN: [&str; 16] = [
    "client_id",
    "client_secret",
    "create",
    "delete",
    "finish",
    "forever",
    "id",
    "list",
    "refresh",
    "renew",
    "report",
    "rotate",
    "show",
    "simulate",
    "update",
    "verify",
];

/// The methods and types of the SDK; none in the published package.
fn sdk_names() -> BTreeSet<String> {
    let listing = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/public-api.txt");
    let listing = fs::read_to_string(listing).unwrap_or_default();
    let path = regex::Regex::new(r"\bpub (?:async )?(?:fn|struct|enum|trait) ([\w:]+)").unwrap();
    let paths = listing.lines().filter_map(|line| path.captures(line));
    let names = paths.map(|path| path[1].rsplit("::").next().unwrap().to_owned());
    names.filter(|name| !OWN.contains(&name.as_str())).collect()
}

/// The names of the SDK that stand in backticks in the text.
fn named(names: &BTreeSet<String>, text: &str) -> Vec<String> {
    let quoted = regex::Regex::new(r"`([\w:]+)(?:\(\))?`").unwrap();
    let words = quoted.captures_iter(text).map(|word| word[1].to_owned());
    words
        .filter(|word| names.contains(word.rsplit("::").next().unwrap()))
        .collect()
}

/// The files with an extension in a directory, at any depth.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_name_of_the_sdk_is_recognized() {
    let names = sdk_names();
    let is_packaged = names.is_empty();
    for text in [
        "allow it with `allow_http`",
        "use `RotateServiceToken::revoke_now`",
        "call `verify_api_token()` first",
        "a `ServiceToken`",
    ] {
        assert!(is_packaged || !named(&names, text).is_empty(), "{text}");
    }
    for text in [
        "run `renew` again",
        "the `client_id` is not the id",
        "allow_http",
    ] {
        assert_eq!(named(&names, text), Vec::<String>::new());
    }
}

#[test]
fn no_text_of_the_command_names_the_sdk() {
    let names = sdk_names();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in files(&root.join("tests/snapshots"), "snap") {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(named(&names, &text), Vec::<String>::new(), "{file:?}");
    }
    for file in files(&root.join("src"), "rs") {
        let text = fs::read_to_string(&file).unwrap();
        // A comment speaks to those who read the code; one of an option is its help.
        let shown = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let shown: String = shown.flat_map(|line| [line, "\n"]).collect();
        let shown = shown.split("#[cfg(test)]\nmod tests {").next().unwrap();
        assert_eq!(named(&names, shown), Vec::<String>::new(), "{file:?}");
    }
}

#[test]
fn a_failed_call_says_what_to_do_and_names_no_part_of_the_sdk() {
    let names = sdk_names();
    let faults = [
        Fault::ResetAfterHead,
        Fault::ResetDuringRequest,
        Fault::ResetAfterRequest,
        Fault::ResetDuringAnswer,
        Fault::StalledHeaders,
        Fault::StalledBody,
        Fault::TruncatedBody,
        Fault::EndlessBody,
        Fault::SlowDrip(Duration::from_millis(50)),
        Fault::TooManyRequests {
            retry_after_seconds: Some(3600),
        },
        Fault::LockOut,
        Fault::Status(400),
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(404),
        Fault::Status(409),
        Fault::Status(503),
        Fault::HtmlPage(403),
        Fault::HtmlPage(502),
        Fault::SuccessFalse,
        Fault::WrongContentType,
        Fault::FalseGzip,
        Fault::OversizedHeaders,
        Fault::Redirect,
        Fault::WrongJson(WrongJson::ResultNull),
    ];
    std::thread::scope(|scope| {
        for fault in faults {
            let names = &names;
            scope.spawn(move || {
                let world = World::new();
                world
                    .simulator
                    .inject(Injection::new(fault.clone()).always());
                let create = ["create", "x", "--secret-to", "secret"];
                for command in [&["list"][..], &["refresh", ID], &["renew", "-v"], &create] {
                    let ran = world.run(&[command, &["--deadline", "1s"]].concat());
                    let named = named(names, &ran.shown());
                    assert_eq!(named, Vec::<String>::new(), "{fault}: {}", ran.shown());
                    // The API's own refusals say themselves what is wrong.
                    let is_explained = ["next: ", "the API refused the call"]
                        .iter()
                        .any(|words| ran.stderr.contains(words));
                    assert!(
                        ran.code == Some(0) || is_explained,
                        "{fault}: {}",
                        ran.shown()
                    );
                }
            });
        }
    });
}
