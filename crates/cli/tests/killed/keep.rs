//! `kill -9` at every point of a `keep` that renews one token and rotates another.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};

use cf_service_tokens_simulator::{Operation, SeedToken, Simulator};
use chrono::{TimeDelta, Utc};

use crate::support::{ID, OLD_SECRET, Ran, World, known_token, read, secrets_in};
use crate::trace::at_each_point;

const KEEP: [&str; 3] = ["keep", "--config", "keep.toml"];
const DUE: &str = "10580e3a-dfa5-474d-9c96-1ad3e50e402f";

/// A token that is due, and one with an old secret, which an env file has.
fn world() -> World {
    let world = World::with(
        Simulator::builder()
            .account_id("a1")
            .token(known_token().created_at(Utc::now() - TimeDelta::days(100)))
            .token(
                SeedToken::new("smoke tests")
                    .id(DUE)
                    .client_id("2.access")
                    .expires_in(TimeDelta::days(3)),
            ),
    );
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
secret_to = "env-file:secret"
verify = "{app}"
then = ["./reload"]
"#
    );
    fs::write(world.path("keep.toml"), file).unwrap();
    fs::write(world.path("reload"), "#!/bin/sh\necho >>reloaded\n").unwrap();
    fs::set_permissions(world.path("reload"), fs::Permissions::from_mode(0o755)).unwrap();
    let before = format!("CF_ACCESS_CLIENT_SECRET={OLD_SECRET}\n");
    fs::write(world.path("secret"), before).unwrap();
    world
}

/// The secret that the users of the token have.
fn in_sink(world: &World) -> String {
    secrets_in(&read(&world.path("secret"))).remove(0)
}

fn version(world: &World) -> u64 {
    world.simulator.token(ID).unwrap().client_secret_version
}

/// Whenever it is killed, the users of the token still get in, and nothing is lost without a
/// trace.
fn assert_users_get_in(world: &World, at: &str) {
    assert!(world.opens(&in_sink(world)), "{at}: the sink's secret");
    assert!(world.opens(OLD_SECRET), "{at}: the old secret");
    let requests = world.simulator.requests();
    let mut operations = requests.iter().filter_map(|request| request.operation);
    let was_sent = operations.any(|operation| operation == Operation::Rotate);
    let is_new = in_sink(world) != OLD_SECRET;
    let is_known = is_new || world.journal_text().contains(ID);
    assert!(!was_sent || is_known, "{at}: the rotate left no trace");
}

/// All is done: the due token is renewed, and the other one has been rotated once, and its
/// users were told.
fn assert_all_is_done(world: &World, ran: &Ran, at: &str) {
    assert_eq!(ran.code, Some(0), "{at}: {}", ran.shown());
    assert_eq!(version(world), 2, "{at}");
    assert_ne!(in_sink(world), OLD_SECRET, "{at}");
    assert!(world.opens(&in_sink(world)), "{at}");
    assert!(
        !read(&world.path("reloaded")).is_empty(),
        "{at}: no hook ran"
    );
    assert_eq!(world.journal_text(), "", "{at}");
    let renewed = world.simulator.token(DUE).unwrap();
    assert!(
        renewed.expires_at > Utc::now() + TimeDelta::days(360),
        "{at}"
    );
}

/// Starts the run that decides about a rotate without a response.
fn later(world: &World) -> Child {
    world.advance(TimeDelta::minutes(5));
    let mut later = world.command();
    later
        .args(KEEP)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    later.spawn().unwrap()
}

#[test]
fn killed_at_any_point_keep_loses_no_secret_and_finishes_later() {
    let mut undecided = Vec::new();
    let mut was_unsettled = false;
    let all = at_each_point(&KEEP, world, |world, at| {
        assert_users_get_in(&world, at);
        let next = world.run(&KEEP);
        if next.code == Some(0) {
            assert_all_is_done(&world, &next, at);
            assert!(world.opens(OLD_SECRET), "{at}");
            return;
        }
        // The rotate may still take effect.
        assert_eq!(next.code, Some(1), "{at}: {}", next.shown());
        assert!(next.stderr.contains("may still take effect"), "{at}");
        assert_users_get_in(&world, at);
        was_unsettled |= version(&world) == 2;
        let later = later(&world);
        undecided.push((world, later, at.to_owned()));
    });
    assert!(was_unsettled && undecided.len() > 1, "{all:?}");
    for (world, later, at) in undecided {
        let later = Ran::from(later.wait_with_output().unwrap());
        assert_eq!(version(&world), 2, "{at}: {}", later.shown());
        assert!(world.opens(OLD_SECRET), "{at}");
        if later.code == Some(0) {
            assert!(later.stderr.contains("had no effect"), "{at}");
            assert_all_is_done(&world, &later, &at);
            continue;
        }
        // The secret is lost, and every run says so as long as the old one works.
        for ran in [later, world.run(&KEEP), world.run(&KEEP)] {
            assert_eq!(ran.code, Some(1), "{at}: {}", ran.shown());
            assert!(ran.stderr.contains("may have taken effect"), "{at}");
            assert!(ran.stderr.contains("the old one works until"), "{at}");
        }
        assert_eq!(version(&world), 2, "{at}");
        assert!(world.opens(&in_sink(&world)), "{at}");
        // After that, the token gets a new one, and the run reports the outage.
        world.advance(TimeDelta::days(8));
        let outage = world.run(&KEEP);
        assert_eq!(outage.code, Some(1), "{at}: {}", outage.shown());
        assert!(
            outage.stderr.contains("was lost"),
            "{at}: {}",
            outage.shown()
        );
        assert_eq!(version(&world), 3, "{at}");
        assert!(world.opens(&in_sink(&world)), "{at}");
        let well = world.run(&KEEP);
        assert_eq!(well.code, Some(0), "{at}: {}", well.shown());
    }
    for name in ["connect", "recvfrom", "fsync", "rename", "open"] {
        assert!(all.iter().any(|point| point.contains(name)), "{name}");
    }
}
