//! The sessions of the README and of the guide are what the command says.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Ran, Validator};

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

/// Returns the commands of a document's sessions, and the output that it shows for each.
fn commands(document: &str) -> Vec<(String, String)> {
    let sessions = document.split("```console\n").skip(1);
    let lines = sessions.flat_map(|session| session.split("```").next().unwrap().lines());
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command.to_owned(), String::new())),
            None => commands
                .last_mut()
                .unwrap()
                .1
                .push_str(&format!("{line}\n")),
        }
    }
    commands
}

/// Runs the sessions of a document in order, on one simulated account.
fn run_sessions(document: &str, at_least: usize) {
    let directory = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_cf-service-tokens"));
    let mut path = std::ffi::OsString::from(binary.parent().unwrap());
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut simulator = support::command()
        .arg("simulate")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let printed = BufReader::new(simulator.stdout.take().unwrap()).lines();
    let variables: Vec<(String, String)> = printed
        .map_while(|line| {
            let line = line.unwrap();
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    let commands = commands(document);
    let has_jq = Command::new("jq").arg("--version").output().is_ok();
    let mut faults = String::new();
    for (command, expected) in &commands {
        if command.contains("| jq ") && !has_jq {
            continue; // a machine without jq still tests the command
        }
        let ran = Ran::of(
            Command::new("sh")
                .args(["-c", &format!("{{ {command}\n}} 2>&1")])
                .current_dir(directory.path())
                .env_clear()
                .env("PATH", &path)
                .env("HOME", directory.path())
                .envs(variables.iter().cloned()),
        );
        let directory = directory.path().to_str().unwrap();
        let shown = ran.stdout.replace(directory, "/home/me");
        if without_dates(&shown) != without_dates(expected) {
            faults += &format!("$ {command}\n{shown}");
        }
    }
    simulator.kill().unwrap();
    simulator.wait().unwrap();
    assert!(faults.is_empty(), "the command says:\n{faults}");
    assert!(commands.len() >= at_least);
}

#[test]
fn the_tour_is_what_the_command_says() {
    run_sessions(include_str!("../../../docs/command-tour.md"), 15);
}

#[test]
fn the_runbook_is_what_the_command_says() {
    run_sessions(include_str!("../../../docs/runbook.md"), 10);
}

#[test]
fn the_guide_shows_configurations_that_are_valid() {
    let printed = Ran::of(support::command().arg("config-schema")).stdout;
    let schema: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let validator = Validator::new(schema);
    let guide = include_str!("../../../docs/configuration.md");
    let files: Vec<_> = guide.split("```toml\n").skip(1).collect();
    assert!(files.len() >= 4);
    for file in files {
        let file = file.split("```").next().unwrap();
        let file: serde_json::Value = toml::from_str(file).unwrap();
        validator.check(&file);
    }
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let readme = include_str!("../README.md");
    let guide = include_str!("../../../docs/exit-codes.md");
    let help = Ran::of(support::command().arg("--help")).stdout;
    for code in 0..=5 {
        assert!(readme.contains(&format!("\n| {code} | ")), "{code}");
        assert!(guide.contains(&format!("\n| {code} | ")), "{code}");
        assert!(help.contains(&format!("\n  {code}  ")), "{code}");
    }
}
