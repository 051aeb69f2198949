//! The README's session is what the command says.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::Command;

use support::Ran;

/// The parts that differ from day to day.
fn without_dates(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, replacement) in support::filters() {
        let pattern = regex::Regex::new(pattern).unwrap();
        text = pattern.replace_all(&text, replacement).into_owned();
    }
    text
}

#[test]
fn the_session_is_what_the_command_says() {
    let readme = include_str!("../README.md");
    let directory = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_cf-service-tokens"));
    let mut path = std::ffi::OsString::from(binary.parent().unwrap());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let sessions: Vec<_> = readme.split("```console\n").skip(1).collect();
    assert!(sessions.len() >= 4);
    for session in sessions {
        let session = session.split("```").next().unwrap();
        let (line, expected) = session.split_once('\n').unwrap();
        let line = line.strip_prefix("$ ").unwrap();
        let ran = Ran::of(
            Command::new("sh")
                .args(["-c", &format!("{line} 2>&1")])
                .current_dir(directory.path())
                .env_clear()
                .env("PATH", &path),
        );
        let shown = ran
            .stdout
            .replace(directory.path().to_str().unwrap(), "/home/me");
        assert_eq!(
            without_dates(&shown),
            without_dates(expected),
            "$ {line}\n{shown}"
        );
    }
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let readme = include_str!("../README.md");
    let help = Ran::of(support::command().arg("--help")).stdout;
    for code in 0..=5 {
        assert!(readme.contains(&format!("\n| {code} | ")), "{code}");
        assert!(help.contains(&format!("\n  {code}  ")), "{code}");
    }
}
