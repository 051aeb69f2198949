//! A run as a step of a GitHub Actions job.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use support::{CLIENT_ID, ID, Ran, World, read, secrets_in};

/// The command, as a step runs it.
fn step(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command();
    command
        .args(arguments)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_ENV", world.path("github-env"));
    command
}

/// The variables that the runner reads of a file, as its documentation describes it.
fn variables(text: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((name, end)) = line.split_once("<<") {
            let value: Vec<_> = lines.by_ref().take_while(|line| *line != end).collect();
            variables.insert(name.to_owned(), value.join("\n"));
        } else if let Some((name, value)) = line.split_once('=') {
            variables.insert(name.to_owned(), value.to_owned());
        } else {
            assert_eq!(line, "", "{text}");
        }
    }
    variables
}

#[test]
fn a_secret_is_masked_before_anything_else_is_printed() {
    for (sink, path) in [
        ("new", "new"),
        ("env-file:new", "new"),
        ("command:tee new; echo noise >&2", "new"),
        ("stdout", ""),
    ] {
        let world = World::new();
        let ran = Ran::of(&mut step(&world, &["rotate", ID, "--secret-to", sink]));
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let stored = match path {
            "" => ran.stdout.clone(),
            path => read(&world.path(path)),
        };
        let secret = &secrets_in(&stored)[0];
        assert!(world.opens(secret));
        let first = ran.stderr.lines().next();
        assert_eq!(first, Some(format!("::add-mask::{secret}").as_str()));
    }
    // Also of one that the journal kept.
    let world = World::new();
    assert_eq!(
        world
            .run(&["rotate", ID, "--secret-to", "command:exit 7"])
            .code,
        Some(1)
    );
    let secret = &secrets_in(&world.journal_text())[0];
    let finish = [
        "journal",
        "finish",
        &format!("rotate-{ID}"),
        "--secret-to",
        "new",
    ];
    let ran = Ran::of(&mut step(&world, &finish));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(ran.stderr, format!("::add-mask::{secret}\n"));
}

#[test]
fn nothing_is_masked_elsewhere() {
    for value in [None, Some("false"), Some("")] {
        let world = World::new();
        let mut command = world.command();
        if let Some(value) = value {
            command.env("GITHUB_ACTIONS", value);
        }
        let ran = Ran::of(command.args(["rotate", ID, "--secret-to", "new"]));
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert_eq!(ran.stderr, "", "{value:?}");
    }
}

#[test]
fn later_steps_get_the_credentials_of_a_new_token() {
    for before in ["", "A=1\n", "A=1", "A<<X\n1\nX\n"] {
        let world = World::new();
        let path = world.path("github-env");
        fs::write(&path, before).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let create = [
            "create",
            "job",
            "--duration",
            "24h",
            "--secret-to",
            "github-env",
        ];
        let ran = Ran::of(&mut step(&world, &create));
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert_eq!(secrets_in(&ran.shown()).len(), 1, "{}", ran.shown());
        let text = read(&path);
        assert!(text.starts_with(before), "{text}");
        let variables = variables(&text);
        let client_id = &world.simulator.tokens()[1].client_id;
        assert_eq!(&variables["CF_ACCESS_CLIENT_ID"], client_id);
        let secret = &variables["CF_ACCESS_CLIENT_SECRET"];
        assert!(ran.stderr.starts_with(&format!("::add-mask::{secret}\n")));
        assert_eq!(variables.len(), if before.is_empty() { 2 } else { 3 });
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o666
        );
        assert_eq!(world.journal_text(), "");
    }
}

#[test]
fn a_rotated_secret_does_not_end_with_the_job() {
    let world = World::new();
    fs::write(world.path("github-env"), "").unwrap();
    let ran = Ran::of(&mut step(
        &world,
        &["rotate", ID, "--secret-to", "github-env"],
    ));
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert!(
        ran.stderr.contains("it ends with the job"),
        "{}",
        ran.shown()
    );
    assert!(ran.stderr.contains("gh secret set"), "{}", ran.shown());
    assert!(world.simulator.requests().is_empty());

    world.run(&["rotate", ID, "--secret-to", "command:exit 7"]);
    let finish = [
        "journal",
        "finish",
        &format!("rotate-{ID}"),
        "--secret-to",
        "github-env",
    ];
    let ran = Ran::of(&mut step(&world, &finish));
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert!(!secrets_in(&world.journal_text()).is_empty());
    assert_eq!(read(&world.path("github-env")), "");
}

#[test]
fn there_must_be_a_job() {
    let world = World::new();
    fs::create_dir(world.path("directory")).unwrap();
    for (value, why) in [
        (None, "GITHUB_ENV is not set"),
        (Some(""), "GITHUB_ENV is not set"),
        (Some("none"), "No such file"),
        (Some("directory"), "Is a directory"),
        (Some("/dev/null"), "GITHUB_ENV does not name a regular file"),
    ] {
        let mut command = world.command();
        if let Some(value) = value {
            command.env("GITHUB_ENV", value);
        }
        let ran = Ran::of(command.args(["create", "job", "--secret-to", "github-env"]));
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(ran.stderr.contains(why), "{}", ran.shown());
    }
    assert!(world.simulator.requests().is_empty());
    // Nor does a made-up secret go to the later steps of one.
    fs::write(world.path("github-env"), "").unwrap();
    let simulated = ["--simulate", "create", "job", "--secret-to", "github-env"];
    let ran = Ran::of(&mut step(&world, &simulated));
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert_eq!(read(&world.path("github-env")), "");
}

#[test]
fn no_value_ends_its_own_lines() {
    let world = World::new();
    let path = world.path("github-env");
    fs::write(&path, "").unwrap();
    assert_eq!(
        world
            .run(&["rotate", ID, "--secret-to", "command:exit 7"])
            .code,
        Some(1)
    );
    // As an API would have to answer it.
    let record = world.record();
    let text = read(&record).replace(CLIENT_ID, "END_END__ENDEND");
    let text = text.replace("\"operation\":\"rotate\"", "\"operation\":\"create\"");
    fs::write(&record, text).unwrap();
    let finish = [
        "journal",
        "finish",
        &format!("rotate-{ID}"),
        "--secret-to",
        "github-env",
    ];
    let ran = Ran::of(&mut step(&world, &finish));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let variables = variables(&read(&path));
    assert_eq!(variables["CF_ACCESS_CLIENT_ID"], "END_END__ENDEND");
    assert!(world.opens(&variables["CF_ACCESS_CLIENT_SECRET"]));
}

#[test]
fn a_file_that_ends_with_the_job_keeps_no_rotated_secret() {
    let world = World::new();
    fs::write(world.path("github-env"), "").unwrap();
    std::os::unix::fs::symlink("github-env", world.path("link")).unwrap();
    for variable in ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE"] {
        for sink in ["env-file:github-env", "file:github-env", "env-file:./link"] {
            let mut command = world.command();
            command
                .env("GITHUB_ACTIONS", "true")
                .env(variable, world.path("github-env"))
                .args(["rotate", ID, "--secret-to", sink]);
            let ran = Ran::of(&mut command);
            assert_eq!(ran.code, Some(2), "{variable} {sink}: {}", ran.shown());
            let why = "it ends with the job";
            assert!(ran.stderr.contains(why), "{}", ran.shown());
        }
    }
    assert!(world.simulator.requests().is_empty());
}
