//! The help of every command, as a snapshot: it is how people learn the command.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{Ran, command};

fn help(arguments: &[&str]) -> String {
    let ran = Ran::of(command().args(arguments).env("COLUMNS", "100"));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(ran.stderr, "");
    ran.stdout
}

#[test]
fn the_help_of_every_command() {
    insta::assert_snapshot!("cf-service-tokens", help(&["--help"]));
    insta::assert_snapshot!("cf-service-tokens-short", help(&["-h"]));
    let commands = [
        "list",
        "show",
        "create",
        "update",
        "enable",
        "disable",
        "delete",
        "refresh",
        "rotate",
        "renew",
        "verify",
        "report",
        "journal",
        "simulate",
        "completions",
        "man",
    ];
    let journal = [["journal", "finish"], ["journal", "discard"]];
    let commands = commands.iter().map(std::slice::from_ref);
    for name in commands.chain(journal.iter().map(<[_; 2]>::as_slice)) {
        let help = help(&[name, &["--help"]].concat());
        let name = name.join("-");
        // What every command takes is the same for all, and shown once above.
        let (own, every) = help.split_once("Options of every command:").unwrap();
        let after = every
            .split_once("[env: CF_SERVICE_TOKENS_JOURNAL]\n")
            .unwrap()
            .1;
        insta::assert_snapshot!(name, format!("{own}[Options of every command]\n{after}"));
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = Ran::of(command().args(["completions", shell]));
        assert_eq!(ran.code, Some(0));
        for word in ["rotate", "--secret-to", "--within", "--api-token-file"] {
            // fish writes its options without dashes.
            let word = word.trim_start_matches('-');
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let page = Ran::of(command().arg("man"));
    assert_eq!(page.code, Some(0));
    assert!(page.stdout.contains(".TH cf-service-tokens 1"));
    assert!(page.stdout.contains("Exit codes:"));

    let directory = tempfile::tempdir().unwrap();
    let ran = Ran::of(command().args(["man", "--to"]).arg(directory.path()));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    for page in ["cf-service-tokens.1", "cf-service-tokens-rotate.1"] {
        assert!(directory.path().join(page).exists(), "{page}");
    }
}
