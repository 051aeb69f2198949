//! The commands that errors advise can be typed, whatever the journal's directory is named.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use cf_service_tokens_simulator::{Fault, Injection, Operation};
use support::{ID, Ran, World, read};

/// Runs what an advice says to type, in a shell that knows nothing of the journal.
fn typed(world: &World, line: &str) -> Ran {
    let binary = Path::new(env!("CARGO_BIN_EXE_cf-service-tokens"));
    let path = std::env::join_paths(
        std::iter::once(binary.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", line])
        .current_dir(world.directory.path())
        .env_clear()
        .envs(world.environment())
        .env_remove("CF_SERVICE_TOKENS_JOURNAL")
        .env("HOME", world.path("home"))
        .env("PATH", path.unwrap());
    Ran::of(&mut shell)
}

/// The part of a text from `start` to the end of the line, or to what follows a command.
fn command_in<'t>(text: &'t str, start: &str) -> &'t str {
    let at = text.find(start);
    assert!(at.is_some(), "{start}: {text}");
    let line = text[at.unwrap()..].lines().next().unwrap();
    let line = line.split("; then ").next().unwrap();
    line.trim_end_matches(')')
}

/// Directories whose names a shell would read as something else, given as an option.
const NAMES: [&str; 3] = ["plain", "it's a \"journal\"; touch pwned #", "$HOME *"];

#[test]
fn what_is_advised_about_a_secret_in_the_journal_can_be_typed() {
    for name in NAMES {
        let world = World::new();
        let rotate = [
            &[
                "rotate",
                ID,
                "--secret-to",
                "command:test -e ready && cat >got",
            ][..],
            &["--journal", name],
        ];
        let failed = world.run(&rotate.concat());
        let finish = command_in(&failed.stderr, "cf-service-tokens journal finish");
        let listed = world.run(&["journal", "--journal", name, "-o", "json"]);
        let entries: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!(entries[0]["next"], finish, "{}", listed.shown());
        let noted = world.run(&["list", "--journal", name]);
        let list = command_in(&noted.stderr, "cf-service-tokens journal");
        let list = list.split('`').next().unwrap();

        let ran = typed(&world, list);
        assert!(
            ran.stdout.contains(&format!("rotate-{ID}")),
            "{list}: {}",
            ran.shown()
        );
        let ran = typed(&world, finish);
        assert_eq!(ran.code, Some(1), "{finish}: {}", ran.shown());
        let again = command_in(&ran.stderr, "cf-service-tokens journal finish");
        assert_eq!(again, finish, "{}", ran.shown());
        fs::write(world.path("ready"), "").unwrap();
        let ran = typed(&world, finish);
        assert_eq!(ran.code, Some(0), "{finish}: {}", ran.shown());
        assert!(world.opens(&read(&world.path("got"))));
        assert!(!world.path("pwned").exists());
    }
}

#[test]
fn what_is_advised_about_a_kept_response_can_be_typed() {
    for name in NAMES {
        let world = World::new();
        let body = r#"{"success":true,"result":{"id":"x","client_secret":"cfast_odd"}}"#;
        let url = support::serve_heads(move |_, head, connection| {
            let body = match head.starts_with("GET") {
                true => format!(r#"{{"success":true,"result":{{"id":"{ID}"}}}}"#),
                false => body.to_owned(),
            };
            support::write_response(connection, "200 OK", "application/json", &body);
        });
        let mut rotate = world.command();
        rotate.env("CLOUDFLARE_BASE_URL", url).args([
            "rotate",
            ID,
            "--secret-to",
            "secret",
            "--journal",
            name,
        ]);
        let kept = Ran::of(&mut rotate);
        let show = command_in(&kept.stderr, "tail -n");
        let ran = typed(&world, show);
        assert_eq!(ran.stdout.trim_end(), body, "{show}: {}", kept.shown());
        let discard = command_in(&kept.stderr, "cf-service-tokens journal discard");
        let ran = typed(&world, &format!("{discard} --yes"));
        assert_eq!(ran.code, Some(0), "{discard}: {}", ran.shown());
        assert!(!world.path("pwned").exists());
    }
}

#[test]
fn what_is_advised_about_a_lost_response_can_be_typed() {
    let lost = || {
        let fault = Injection::new(Fault::ResetAfterRequest);
        fault.on(Operation::Create).taking_effect()
    };
    for name in NAMES {
        let world = World::new();
        world.simulator.inject(lost());
        let create = [
            "create",
            "deploy",
            "--secret-to",
            "secret",
            "--journal",
            name,
        ];
        let failed = world.run(&create);
        let discard = command_in(&failed.stderr, "cf-service-tokens journal discard");
        world.advance(chrono::TimeDelta::minutes(6));
        let again = world.run(&create);
        let again = command_in(&again.stderr, "cf-service-tokens journal discard");
        assert_eq!(again, discard);
        let ran = typed(&world, &format!("{discard} --yes"));
        assert_eq!(ran.code, Some(0), "{discard}: {}", ran.shown());
        assert!(!world.path("pwned").exists());
    }
}

/// A shell finds the journal of its own user without an option.
#[test]
fn the_journal_in_the_home_directory_needs_no_option() {
    let world = World::new();
    let mut rotate = world.command();
    rotate
        .env_remove("CF_SERVICE_TOKENS_JOURNAL")
        .env("HOME", world.path("home"))
        .args(["rotate", ID, "--secret-to", "command:exit 7"]);
    let ran = Ran::of(&mut rotate);
    let finish = command_in(&ran.stderr, "cf-service-tokens journal finish");
    assert_eq!(
        finish,
        format!("cf-service-tokens journal finish rotate-{ID}")
    );
    let ran = typed(&world, &format!("{finish} --secret-to got"));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());

    let mut rotate = world.command();
    rotate
        .env_remove("CF_SERVICE_TOKENS_JOURNAL")
        .env("HOME", world.path("home"))
        .env("STATE_DIRECTORY", world.path("service"))
        .args(["rotate", ID, "--end-grace", "--secret-to", "command:exit 7"]);
    let ran = Ran::of(&mut rotate);
    let finish = command_in(&ran.stderr, "cf-service-tokens journal finish");
    let ran = typed(&world, &format!("{finish} --secret-to got"));
    assert_eq!(ran.code, Some(0), "{finish}: {}", ran.shown());
}
