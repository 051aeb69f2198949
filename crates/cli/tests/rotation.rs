//! `rotate --if-older-than`: by age, and never instead of finishing an earlier run.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use cf_service_tokens_simulator::{Fault, Injection, Operation, SeedToken, Simulator};
use chrono::{TimeDelta, Utc};
use support::{ID, OLD_SECRET, Ran, World, known_token, read, secrets_in};

/// What a cron job runs.
const KEEP_YOUNG: [&str; 6] = [
    "rotate",
    ID,
    "--if-older-than",
    "90d",
    "--secret-to",
    "secret",
];

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

/// A world whose token was last changed this many days ago.
fn aged(ago: i64) -> World {
    World::with(Simulator::builder().token(aged_token(ago)))
}

fn aged_token(ago: i64) -> SeedToken {
    known_token()
        .created_at(Utc::now() - days(ago))
        .duration("forever")
}

fn rotates(world: &World) -> usize {
    world.simulator.count(Operation::Rotate)
}

/// Runs the cron job, which does nothing since the secret is young.
fn assert_young(world: &World, secret: &str) {
    let before = rotates(world);
    let ran = world.run(&KEEP_YOUNG);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    for said in [format!("Secret     {secret}"), "Rotated    no".to_owned()] {
        assert!(ran.stdout.contains(&said), "{said}: {}", ran.shown());
    }
    assert_eq!(ran.stderr, "");
    assert_eq!(rotates(world), before);
}

/// Runs the cron job, which rotates.
fn assert_rotates(world: &World) {
    let before = rotates(world);
    let ran = world.run(&KEEP_YOUNG);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(rotates(world), before + 1, "{}", ran.shown());
    assert!(world.opens(&read(&world.path("secret"))));
}

fn refresh(world: &World) {
    assert_eq!(world.run(&["refresh", ID]).code, Some(0));
}

#[test]
fn without_a_record_the_age_is_counted_from_first_sight() {
    let world = aged(34);
    let first = world.run(&KEEP_YOUNG);
    assert_shown!("first-sight", first.shown());
    assert_eq!(first.code, Some(0));
    // Each change moves the only date that the API shows.
    for _ in 0..2 {
        world.advance(days(27));
        refresh(&world);
    }
    assert_young(&world, "at least 88 days old");
    let shown = world.run(&["show", ID]);
    let said = "Secret     at least 88 days old";
    assert!(shown.stdout.contains(said), "{}", shown.shown());
    world.advance(days(2) + TimeDelta::minutes(1));
    assert_rotates(&world);
    assert!(world.opens(OLD_SECRET));
}

#[test]
fn an_old_token_is_rotated_at_first_sight() {
    let world = aged(91);
    assert_rotates(&world);
}

#[test]
fn by_its_record_the_age_is_exact_whoever_made_the_secret() {
    let finish = ["journal", "finish", &format!("rotate-{ID}")];
    let rotate = ["rotate", ID, "--secret-to", "secret", "--grace", "7d"];
    let failing = ["rotate", ID, "--secret-to", "command:exit 7"];
    for (first, code) in [(&rotate[..], 0), (&failing, 1)] {
        let world = aged(300);
        let ran = world.run(first);
        assert_eq!(ran.code, Some(code), "{}", ran.shown());
        if code != 0 {
            let finished = world.run(&[&finish[..], &["--secret-to", "secret"]].concat());
            assert_eq!(finished.code, Some(0), "{}", finished.shown());
        }
        world.advance(days(89));
        refresh(&world);
        assert_young(&world, "89 days old");
        world.advance(days(1));
        assert_rotates(&world);
    }
}

#[test]
fn the_age_of_a_created_secret_is_known() {
    for finish in [false, true] {
        let world = World::new();
        let sink = if finish { "command:exit 7" } else { "secret" };
        let create = ["create", "deploy", "--duration", "forever", "--secret-to"];
        world.run(&[&create[..], &[sink]].concat());
        let id = world.simulator.tokens()[1].id.clone();
        if finish {
            let listed = world.run(&["journal", "-o", "json"]).stdout;
            let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
            let entry = listed[0]["entry"].as_str().unwrap();
            let ran = world.run(&["journal", "finish", entry, "--secret-to", "secret"]);
            assert_eq!(ran.code, Some(0), "{}", ran.shown());
        }
        world.advance(days(40));
        let shown = world.run(&["show", &id, "-o", "json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(shown["secret_may_be_older"], false, "{shown}");
        assert!(shown["secret_since"].is_string(), "{shown}");
        let shown = world.run(&["show", &id]);
        let said = "Secret     40 days old";
        assert!(shown.stdout.contains(said), "{}", shown.shown());
    }
}

#[test]
fn a_version_of_somebody_else_is_reported_and_counted_anew() {
    let world = World::with(Simulator::builder().token(aged_token(10)).lenient_answers());
    assert_young(&world, "at least 10 days old");
    world.advance(days(70));
    let foreign = [
        "rotate",
        ID,
        "--secret-to",
        "other",
        "--journal",
        "other-journal",
    ];
    assert_eq!(world.run(&foreign).code, Some(0));
    world.advance(days(20));
    let reported = world.run(&KEEP_YOUNG);
    assert_shown!("somebody-else", reported.shown());
    assert_eq!(reported.code, Some(1));
    assert_young(&world, "at least 20 days old");
}

#[test]
fn an_unfinished_delivery_is_finished_and_not_replaced() {
    let world = aged(100);
    let failing = [&KEEP_YOUNG[..4], &["--secret-to", "command:exit 7"]].concat();
    for _ in 0..2 {
        let failed = world.run(&failing);
        assert_eq!(failed.code, Some(1), "{}", failed.shown());
        let said = "give another one with --secret-to, and run: ";
        assert!(failed.stderr.contains(said), "{}", failed.shown());
        assert_eq!(secrets_in(&world.journal_text()).len(), 1);
        world.advance(days(100));
    }
    let finished = world.run(&KEEP_YOUNG);
    assert_eq!(finished.code, Some(0), "{}", finished.shown());
    assert_eq!(rotates(&world), 1);
    assert!(world.opens(&read(&world.path("secret"))));
    assert!(secrets_in(&read(&world.record())).is_empty());
    // It is as old as its rotate, and not as its delivery.
    assert_rotates(&world);
}

/// A rotate by the cron job whose answer is lost, although it took effect.
fn lose_the_secret(world: &World) {
    let lost = Injection::new(Fault::ResetAfterRequest).on(Operation::Rotate);
    world.simulator.inject(lost.taking_effect());
    let ran = world.run(&KEEP_YOUNG);
    assert_eq!(ran.code, Some(4), "{}", ran.shown());
    let early = world.run(&KEEP_YOUNG);
    assert_eq!(early.code, Some(4), "{}", early.shown());
    world.advance(TimeDelta::minutes(5));
}

#[test]
fn a_lost_secret_is_loud_and_not_replaced_while_the_old_one_works() {
    let world = aged(100);
    lose_the_secret(&world);
    for hours in [1, 22] {
        let lost = world.run(&KEEP_YOUNG);
        assert_eq!(lost.code, Some(1), "{}", lost.shown());
        assert_eq!(rotates(&world), 1);
        assert!(world.opens(OLD_SECRET));
        world.advance(TimeDelta::hours(hours));
    }
    let lost = world.run(&KEEP_YOUNG);
    assert_shown!("lost", lost.shown());

    // The command that it advises can be pasted.
    let (_, advised) = lost.stderr.split_once(", run: ").unwrap();
    let program = env!("CARGO_BIN_EXE_cf-service-tokens");
    let pasted = advised
        .trim_end()
        .replace("cf-service-tokens ", &format!("{program} "));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &pasted])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs(world.environment())
        .current_dir(world.directory.path());
    let ran = Ran::of(&mut shell);
    assert_eq!(ran.code, Some(0), "{pasted}: {}", ran.shown());
    assert_eq!(rotates(&world), 2);
    assert!(world.opens(&read(&world.path("secret"))));
    assert_young(&world, "");
}

#[test]
fn after_the_end_of_the_old_secret_a_lost_one_is_replaced() {
    let world = aged(100);
    lose_the_secret(&world);
    world.advance(days(1));
    assert!(!world.opens(OLD_SECRET));
    // A refused replacement leaves the secret lost, however young it may be.
    let refused = Injection::new(Fault::Status(400)).on(Operation::Rotate);
    world.simulator.inject(refused);
    assert_eq!(world.run(&KEEP_YOUNG).code, Some(1));
    world.advance(TimeDelta::minutes(6));
    let replaced = world.run(&KEEP_YOUNG);
    assert_shown!("outage", replaced.shown());
    assert_eq!(replaced.code, Some(1));
    assert!(world.opens(&read(&world.path("secret"))));
    assert_eq!(world.simulator.tokens()[0].client_secret_version, 3);
    assert_young(&world, "");
}

#[test]
fn a_rotate_by_hand_replaces_no_lost_secret_unasked() {
    let world = aged(100);
    lose_the_secret(&world);
    world.advance(days(1));
    let by_hand = world.run(&["rotate", ID, "--secret-to", "secret"]);
    assert_eq!(by_hand.code, Some(1), "{}", by_hand.shown());
    assert_eq!(rotates(&world), 1);
}

#[test]
fn a_name_is_bound_to_the_token_that_had_it_first() {
    let world = aged(34);
    let by_name = [&["rotate", "Grafana scraper"], &KEEP_YOUNG[2..]].concat();
    assert_eq!(world.run(&by_name).code, Some(0));
    world.simulator.rename(ID, "old").unwrap();
    assert_eq!(
        world
            .run(&["create", "Grafana scraper", "--secret-to", "new"])
            .code,
        Some(0)
    );
    let refused = world.run(&by_name);
    assert_eq!(refused.code, Some(1), "{}", refused.shown());
    let id = world.simulator.tokens()[1].id.clone();
    for said in [ID, &id, "journal discard name-"] {
        assert!(refused.stderr.contains(said), "{said}: {}", refused.shown());
    }
    // By its id the token is meant, whatever its name.
    assert_eq!(world.run(&KEEP_YOUNG).code, Some(0));
    assert!(world.run(&["journal"]).stdout.contains("is empty"));

    let (_, entry) = refused.stderr.split_once("journal discard ").unwrap();
    let entry = entry.split_whitespace().next().unwrap();
    // Nobody can be asked whether that is meant.
    let discard = ["journal", "discard", entry, "--yes"];
    let unasked = world.run(&discard[..3]);
    assert_eq!(unasked.code, Some(2), "{}", unasked.shown());
    assert!(unasked.stderr.contains("add --yes"), "{}", unasked.shown());
    assert_eq!(world.run(&by_name).code, Some(1));
    let discarded = world.run(&discard);
    assert_eq!(discarded.code, Some(0), "{}", discarded.shown());
    assert_eq!(world.run(&discard).code, Some(2));
    let meant = world.run(&by_name);
    assert_eq!(meant.code, Some(0), "{}", meant.shown());
    assert!(meant.stdout.contains(&id), "{}", meant.shown());
}

#[test]
fn the_record_of_a_deleted_token_is_removed_unless_it_has_a_secret() {
    for (sink, is_kept) in [("secret", false), ("command:exit 7", true)] {
        let world = aged(34);
        world.run(&["rotate", ID, "--secret-to", sink]);
        assert!(world.record().exists());
        let deleted = world.run(&["delete", ID, "--yes"]);
        assert_eq!(deleted.code, Some(0), "{}", deleted.shown());
        assert_eq!(world.record().exists(), is_kept, "{}", deleted.shown());
    }
}

#[test]
fn an_age_has_limits() {
    let world = World::new();
    for (age, said) in [
        ("23h", "1d"),
        ("90m", "30d for a month"),
        ("11y", "count days"),
        ("3651d", "3650d"),
    ] {
        let rotate = [
            "rotate",
            ID,
            "--secret-to",
            "secret",
            "--if-older-than",
            age,
        ];
        let ran = world.run(&rotate);
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(ran.stderr.contains(said), "{}", ran.shown());
    }
    assert!(world.simulator.requests().is_empty());
}
