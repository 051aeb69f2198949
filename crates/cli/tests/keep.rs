//! `keep`: three accounts by the rules of one file, from the first dry run to the report.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cf_service_tokens_simulator::{SeedAccount, SeedToken, Simulator, SimulatorBuilder};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use support::{CLIENT_ID, ID, OLD_SECRET, Ran, World, known_token, read};

const OTHER_ID: &str = "08c8f3bd-ea01-452b-a26c-9c2bcd8257a1";

fn days_ago(days: i64) -> chrono::DateTime<Utc> {
    Utc::now() - TimeDelta::days(days)
}

/// Prod has a secret that is old, staging a token that is due, and ops an old secret, too.
fn three() -> SimulatorBuilder {
    Simulator::builder()
        .account_id("a1")
        .token(known_token().created_at(days_ago(100)))
        .account(
            SeedAccount::new("a2").token(
                SeedToken::new("smoke tests")
                    .id("10580e3a-dfa5-474d-9c96-1ad3e50e402f")
                    .client_id("2.access")
                    .expires_in(TimeDelta::days(3)),
            ),
        )
        .account(
            SeedAccount::new("a3").token(
                SeedToken::new("deploy")
                    .id(OTHER_ID)
                    .client_id("3.access")
                    .created_at(days_ago(95))
                    .expires_in(TimeDelta::days(200)),
            ),
        )
}

/// Writes the file, a hook that fails until `ready` exists, and a sink that does as well.
fn configure(world: &World) {
    let app = world.simulator.protected_url();
    let file = format!(
        r#"
[[account]]
name = "prod"
id = "a1"
api_token_env = "CLOUDFLARE_API_TOKEN"
[[account.rotate]]
token = "Grafana scraper"
every = "90d"
grace = "7d"
secret_to = "env-file:grafana.env"
verify = "{app}"
then = ["./reload", "grafana"]

[[account]]
name = "staging"
id = "a2"
api_token_env = "CLOUDFLARE_API_TOKEN"
expect_at_least = 1

[[account]]
name = "ops"
id = "a3"
api_token_env = "CLOUDFLARE_API_TOKEN"
[[account.rotate]]
token = "deploy"
every = "90d"
grace = "7d"
secret_to = "command:test -e ready && cat > deploy.secret"

[notify]
on_failure = ["./page"]
"#
    );
    fs::write(world.path("keep.toml"), file).unwrap();
    for (name, script) in [
        (
            "reload",
            "#!/bin/sh\ncat > \"reloaded.$1\"\ntest -e ready\n",
        ),
        ("page", "#!/bin/sh\ncat >> paged\n"),
    ] {
        fs::write(world.path(name), script).unwrap();
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn keep(world: &World, arguments: &[&str]) -> Ran {
    let mut command = world.command();
    command.env_remove("CLOUDFLARE_ACCOUNT_ID");
    Ran::of(
        command
            .args(["keep", "--config", "keep.toml"])
            .args(arguments),
    )
}

/// The output with the accounts in the order of the file; they end in any.
fn in_order(ran: &Ran) -> String {
    let mut shown = format!("exit code {}\n", ran.code.unwrap());
    for (name, text) in [("stdout", &ran.stdout), ("stderr", &ran.stderr)] {
        if text.is_empty() {
            continue;
        }
        let mut blocks: Vec<String> = Vec::new();
        for line in text.lines() {
            let of_account = line.trim_start_matches("error: ");
            let is_first = ["prod (", "staging (", "ops ("]
                .iter()
                .any(|label| of_account.starts_with(label));
            match blocks.last_mut().filter(|_| !is_first) {
                Some(block) => *block += &format!("\n{line}"),
                None => blocks.push(line.to_owned()),
            }
        }
        let place = |block: &String| {
            let of_account = block.trim_start_matches("error: ");
            ["prod", "staging", "ops"]
                .iter()
                .position(|label| of_account.starts_with(label))
        };
        blocks.sort_by_key(place);
        let blocks: Vec<&str> = blocks.iter().map(|block| block.trim_end()).collect();
        let gap = if name == "stdout" { "\n\n" } else { "\n" };
        shown += &format!("--- {name}\n{}\n", blocks.join(gap));
    }
    shown
}

fn version(world: &World, id: &str) -> u64 {
    world.simulator.token(id).unwrap().client_secret_version
}

#[test]
fn what_fails_is_loud_and_finished_by_the_next_run() {
    let world = World::with(three());
    configure(&world);

    let planned = keep(&world, &["--dry-run"]);
    assert_shown!("dry run", in_order(&planned));
    assert_eq!(planned.code, Some(5));
    assert_eq!(version(&world, ID), 1);
    assert!(!world.journal().exists());

    let first = keep(&world, &[]);
    assert_shown!("first run", in_order(&first));
    assert_eq!(first.code, Some(1));
    assert_eq!((version(&world, ID), version(&world, OTHER_ID)), (2, 2));
    // The hook learns who was rotated, and no secret.
    let told: Value = serde_json::from_str(&read(&world.path("reloaded.grafana"))).unwrap();
    assert_eq!(told["token"]["id"], ID);
    assert!(support::secrets_in(&told.to_string()).is_empty());
    let paged: Value = serde_json::from_str(&read(&world.path("paged"))).unwrap();
    let failed = paged["failures"].as_array().unwrap().iter();
    let mut failed: Vec<_> = failed
        .map(|failure| failure["token"]["name"].as_str())
        .collect();
    failed.sort_unstable();
    assert_eq!(failed, [Some("Grafana scraper"), Some("deploy")]);
    assert!(support::secrets_in(&paged.to_string()).is_empty());
    // The users of the tokens have working secrets all along.
    let secret = support::secrets_in(&read(&world.path("grafana.env"))).remove(0);
    assert!(world.opens(&secret) && world.opens(OLD_SECRET));

    let again = keep(&world, &[]);
    assert_eq!(again.code, Some(1), "{}", again.shown());
    assert_eq!((version(&world, ID), version(&world, OTHER_ID)), (2, 2));

    fs::write(world.path("ready"), "").unwrap();
    let planned = keep(&world, &["--dry-run"]);
    assert_shown!("dry run of the rest", in_order(&planned));
    assert_eq!(planned.code, Some(5));
    let second = keep(&world, &[]);
    assert_shown!("second run", in_order(&second));
    assert_eq!(second.code, Some(0));
    assert_eq!((version(&world, ID), version(&world, OTHER_ID)), (2, 2));
    let client_id = world.simulator.token(OTHER_ID).unwrap().client_id;
    assert!(world.opens_as(&client_id, &read(&world.path("deploy.secret"))));
    assert_eq!(CLIENT_ID, world.simulator.token(ID).unwrap().client_id);

    let paged = read(&world.path("paged"));
    let quiet = keep(&world, &["--quiet"]);
    assert_eq!(read(&world.path("paged")), paged);
    assert_eq!(quiet.shown(), "exit code 0\n");

    let report = Ran::of(
        world
            .command()
            .args(["report", "--config", "keep.toml", "--check"]),
    );
    assert_shown!("report", report.shown());
    assert_eq!(report.code, Some(0));
}

#[test]
fn rules_that_were_not_tried_keep_the_code_of_their_account() {
    let world = World::with(three());
    configure(&world);
    let mut refused = world.command();
    refused
        .args(["keep", "--config", "keep.toml"])
        .env("CLOUDFLARE_API_TOKEN", "revoked");
    let refused = Ran::of(&mut refused);
    assert!(refused.stdout.contains("not tried"), "{}", refused.shown());
    assert_eq!(refused.code, Some(3), "{}", refused.shown());

    world.go_offline();
    let offline = keep(&world, &["--deadline", "1s"]);
    assert_eq!(offline.code, Some(4), "{}", offline.shown());
}
