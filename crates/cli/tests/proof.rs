//! What `keep` needs of this machine is tested before it is needed: by `doctor --config`, and
//! by `keep --dry-run`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cf_service_tokens_simulator::{Access, Operation, Rule, SeedPolicy, SeedToken, Simulator};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use support::{ID, Ran, World, known_token};

/// Two tokens that a policy names, the secret of one of which is old.
fn world() -> World {
    let old = known_token().created_at(Utc::now() - TimeDelta::days(100));
    let young = SeedToken::new("deploy").expires_in(TimeDelta::days(200));
    let policy = SeedPolicy::new("All").include(Rule::any_valid_service_token());
    World::with(
        Simulator::builder()
            .account_id("023e105f4ecef8ad9ca31a8372d0c353")
            .token(old.duration("forever"))
            .token(young)
            .access(Access::new().policy(policy)),
    )
}

fn script(world: &World, name: &str, text: &str, mode: u32) {
    fs::write(world.path(name), text).unwrap();
    fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// Writes a file with a rule for each token, and the notifications.
fn configure(world: &World, rules: &[(&str, &str, &str)], notify: &str) {
    let mut file = "[[account]]\nname = \"prod\"\nid = \"023e105f4ecef8ad9ca31a8372d0c353\"\n\
                    api_token_env = \"CLOUDFLARE_API_TOKEN\"\n"
        .to_owned();
    for (token, sink, then) in rules {
        file += &format!(
            "[[account.rotate]]\ntoken = {token:?}\nevery = \"90d\"\nsecret_to = {sink:?}\n\
             then = [{then:?}]\n"
        );
    }
    file += &format!("[notify]\n{notify}\n");
    fs::write(world.path("keep.toml"), file).unwrap();
}

fn run(world: &World, arguments: &[&str]) -> Ran {
    let mut command = world.command();
    command.env_remove("CLOUDFLARE_ACCOUNT_ID");
    Ran::of(command.args(arguments).args(["--config", "keep.toml"]))
}

/// The names of the files in the directory.
fn files(world: &World) -> Vec<String> {
    let files = fs::read_dir(world.directory.path()).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The rest of a rotation would fail after the old secret has begun to end.
#[test]
fn what_would_fail_is_found_before() {
    let world = world();
    script(&world, "reload", "#!/bin/sh\n", 0o644);
    script(&world, "restart", "#!/usr/bin/no-such-shell\n", 0o755);
    fs::write(world.path("ping"), "http://example.com/5ecret\n").unwrap();
    fs::write(world.path("journal"), "a file").unwrap();
    let rules = [
        (ID, "env-file:missing/grafana.env", "./reload"),
        ("deploy", "command:no-such-program --put", "./restart"),
    ];
    let notify = "on_failure = [\"no-such-pager\"]\nping_file = \"ping\"";
    configure(&world, &rules, notify);
    let before = files(&world);

    let ran = run(&world, &["doctor", "--quiet"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_shown!("doctor", ran.shown());
    let ran = run(&world, &["doctor", "-o", "json"]);
    let checks: Value = serde_json::from_str(&ran.stdout).unwrap();
    let failed = checks.as_array().unwrap().iter();
    let failed = failed.filter(|check| check["status"] == "failure");
    let failed: Vec<_> = failed.map(|check| check["check"].clone()).collect();
    let expected = ["sink", "hook", "sink", "hook", "hook", "ping", "journal"];
    assert_eq!(failed, expected, "{checks}");

    fs::remove_file(world.path("journal")).unwrap();
    let ran = run(&world, &["keep", "--dry-run"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_shown!("dry run", ran.shown());
    fs::write(world.path("journal"), "a file").unwrap();
    assert_eq!(files(&world), before);
    assert_eq!(world.simulator.count(Operation::Rotate), 0);
}

#[test]
fn what_would_work_is_said_and_nothing_is_changed() {
    let world = world();
    script(&world, "reload", "#!/bin/sh\necho > ran\n", 0o755);
    fs::write(world.path("ping"), "http://127.0.0.1:1/5ecret\n").unwrap();
    let rules = [
        (ID, "grafana.secret", "./reload"),
        ("deploy", "command:cat > ran", "true"),
    ];
    let notify = "on_failure = [\"./reload\"]\nping_file = \"ping\"";
    configure(&world, &rules, notify);
    let before = files(&world);

    let ran = run(&world, &["doctor"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let (_, machine) = ran.stdout.split_once("matches a token\n").unwrap();
    assert_shown!("well", machine);
    let ran = run(&world, &["keep", "--dry-run"]);
    assert_eq!((ran.code, &*ran.stderr), (Some(5), ""), "{}", ran.shown());
    assert_eq!(files(&world), before);
}
