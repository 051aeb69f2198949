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

/// Every command, as it is typed; the everyday ones first, as in the help.
const COMMANDS: [&[&str]; 23] = [
    &["list"],
    &["report"],
    &["show"],
    &["renew"],
    &["keep"],
    &["refresh"],
    &["rotate"],
    &["create"],
    &["update"],
    &["enable"],
    &["disable"],
    &["delete"],
    &["doctor"],
    &["verify"],
    &["journal"],
    &["journal", "list"],
    &["journal", "finish"],
    &["journal", "discard"],
    &["simulate"],
    &["completions"],
    &["config-schema"],
    &["man"],
    &["help"],
];

#[test]
fn the_help_of_every_command() {
    insta::assert_snapshot!("cf-service-tokens", help(&["--help"]));
    insta::assert_snapshot!("cf-service-tokens-short", help(&["-h"]));
    insta::assert_snapshot!("options", help(&["help", "options"]));
    for command in COMMANDS {
        let long = help(&[command, &["--help"]].concat());
        insta::assert_snapshot!(command.join("-"), long);
        assert_eq!(help(&[&["help"], command].concat()), long);
        // The common options are explained once.
        assert!(!long.contains("throwaway"), "{long}");
    }
    assert_eq!(help(&["help"]), help(&["--help"]));
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = Ran::of(command().args(["completions", shell]));
        assert_eq!(ran.code, Some(0));
        for word in ["rotate", "--secret-to", "--within", "--api-token-file"] {
            // fish writes its options without dashes.
            let word = word.trim_start_matches('-');
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
}

/// The page, without what `roff` adds to a hyphen.
fn page(text: &str) -> String {
    text.replace("\\-", "-")
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let directory = tempfile::tempdir().unwrap();
    let ran = Ran::of(command().args(["man", "--to"]).arg(directory.path()));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let read = |name: &str| {
        let file = directory.path().join(format!("{name}.1"));
        page(&std::fs::read_to_string(file).unwrap())
    };
    for command in COMMANDS {
        let page = read(&format!("cf-service-tokens-{}", command.join("-")));
        assert!(page.contains(".SH \"EXIT STATUS\"\n"), "{page}");
        assert!(!page.contains("EXTRA"), "{page}");
        assert!(!page.contains("help options` explains"), "{page}");
    }
    let rotate = read("cf-service-tokens-rotate");
    for part in [
        " [OPTIONS] --secret-to <SINK> <TOKEN>\n",
        ".SH EXAMPLES\n",
        "--grace 7d --secret-to env-file:/etc/deploy.env\n",
        "How long each call may take",
    ] {
        assert!(rotate.contains(part), "{part}: {rotate}");
    }
    assert!(read("cf-service-tokens-verify").contains(".SH OUTCOMES\n"));
    let whole = Ran::of(command().arg("man"));
    assert_eq!(page(&whole.stdout), read("cf-service-tokens"));
}
