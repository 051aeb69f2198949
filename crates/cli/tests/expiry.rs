//! The expiry that `create` and `rotate` show, which the answers to both calls lack.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cf_service_tokens_simulator::{Fault, Injection, Operation, Simulator, WrongJson};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use support::{ID, OLD_SECRET, Ran, World, known_token, read, secrets_in};

const CREATE: [&str; 6] = [
    "create",
    "deploy",
    "--secret-to",
    "env-file:env",
    "-o",
    "json",
];
const ROTATE: [&str; 6] = ["rotate", ID, "--secret-to", "secret", "-o", "json"];

/// The calls that the simulator received, in order.
fn calls(world: &World) -> Vec<Operation> {
    let requests = world.simulator.requests();
    requests
        .iter()
        .filter_map(|request| request.operation)
        .collect()
}

fn document(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(secrets_in(&ran.shown()).is_empty(), "{}", ran.shown());
    serde_json::from_str(&ran.stdout).unwrap()
}

fn expires_at(document: &Value) -> DateTime<Utc> {
    document["expires_at"].as_str().unwrap().parse().unwrap()
}

/// The new token's secret is in its sink and nowhere else.
fn assert_the_secret_is_safe(world: &World) {
    let url = world.simulator.protected_url();
    let verified = world.run(&["verify", "--env-file", "env", "--url", url]);
    assert_eq!(verified.code, Some(0), "{}", verified.shown());
    assert_eq!(world.journal_text(), "");
}

#[test]
fn create_reads_the_new_token_once() {
    for (duration, hours) in [("720h", 720), ("8760h", 8760)] {
        let world = World::new();
        let created = world.run(&[&CREATE[..], &["--duration", duration]].concat());
        let created = document(&created);
        let id = created["id"].as_str().unwrap();
        let token = world.simulator.token(id).unwrap();
        assert_eq!(expires_at(&created), token.expires_at);
        assert_eq!((token.expires_at - token.created_at).num_hours(), hours);
        assert_eq!(created["duration"], duration);
        let expected = [Operation::List, Operation::Create, Operation::Get];
        assert_eq!(calls(&world), expected);
        assert_the_secret_is_safe(&world);
    }
}

#[test]
fn create_reads_nothing_that_it_knows_or_does_not_show() {
    let world = World::new();
    let forever = world.run(&[&CREATE[..], &["--duration", "forever"]].concat());
    assert_eq!(document(&forever).get("expires_at"), Some(&Value::Null));
    assert_eq!(calls(&world), [Operation::List, Operation::Create]);

    let world = World::new();
    let quiet = world.run(&["create", "deploy", "--secret-to", "env-file:env", "--quiet"]);
    assert_eq!(quiet.shown(), "exit code 0\n");
    assert_eq!(calls(&world), [Operation::List, Operation::Create]);

    let world = World::with(Simulator::builder().lenient_answers());
    let created = document(&world.run(&CREATE));
    assert_eq!(expires_at(&created), world.simulator.tokens()[0].expires_at);
    assert_eq!(calls(&world), [Operation::List, Operation::Create]);
}

#[test]
fn an_expiry_that_can_not_be_read_is_unknown_and_the_secret_is_safe() {
    let failing = |fault| Injection::new(fault).on(Operation::Get).always();
    for injection in [
        failing(Fault::Status(403)),
        failing(Fault::SuccessFalse),
        failing(Fault::ResetAfterRequest),
        failing(Fault::WrongJson(WrongJson::Truncated)),
    ] {
        let world = World::new();
        world.simulator.inject(injection.clone().taking_effect());
        let ran = world.run(&CREATE);
        let created = document(&ran);
        assert_eq!(created.get("expires_at"), None, "{injection:?}");
        let note = "note: the secret is safe, but the new token can't be read";
        assert!(ran.stderr.contains(note), "{}", ran.shown());
        assert_the_secret_is_safe(&world);
    }
    let world = World::new();
    world.simulator.inject(failing(Fault::Status(403)));
    let ran = world.run(&["create", "deploy", "--secret-to", "stdout"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(secrets_in(&ran.stdout), [ran.stdout.trim_end()]);
    assert!(ran.stderr.contains("Expires    unknown"), "{}", ran.shown());
    assert!(secrets_in(&ran.stderr).is_empty(), "{}", ran.shown());
}

#[test]
fn rotate_shows_the_expiry_from_before() {
    let in_a_week = known_token().expires_in(TimeDelta::days(7));
    let world = World::with(Simulator::builder().token(in_a_week));
    let before = world.simulator.tokens()[0].expires_at;
    let rotated = document(&world.run(&ROTATE));
    assert_eq!(expires_at(&rotated), before);
    assert_eq!(rotated["duration"], "8760h");
    // Before and after its record is locked, and after the rotate.
    let get = Operation::Get;
    assert_eq!(calls(&world), [get, get, Operation::Rotate, get]);
    assert!(world.opens(&read(&world.path("secret"))));

    let world = World::with(Simulator::builder().token(known_token().duration("forever")));
    let rotated = document(&world.run(&ROTATE));
    assert_eq!(rotated.get("expires_at"), Some(&Value::Null));
}

#[test]
fn an_old_secret_works_no_longer_than_its_token() {
    let rotate = |world: &World, grace| {
        let rotate = [&ROTATE[..], &["--grace", grace]].concat();
        document(&world.run(&rotate))["old_secret_valid_until"].clone()
    };
    let in_a_week = || known_token().expires_in(TimeDelta::days(7));
    let world = World::with(Simulator::builder().token(in_a_week()));
    let until = rotate(&world, "30d");
    assert_eq!(
        until.as_str().unwrap().parse(),
        Ok(world.simulator.tokens()[0].expires_at)
    );
    // The grace itself goes on, since a refresh moves the end of the token.
    world.advance(TimeDelta::days(8));
    assert!(!world.opens(OLD_SECRET));
    assert_eq!(world.run(&ROTATE).code, Some(1));
    assert_eq!(world.run(&["refresh", ID]).code, Some(0));
    assert!(world.opens(OLD_SECRET));

    let world = World::with(Simulator::builder().token(in_a_week()));
    let until: DateTime<Utc> = rotate(&world, "6d").as_str().unwrap().parse().unwrap();
    assert!(until < world.simulator.tokens()[0].expires_at);

    let never = known_token().duration("forever");
    let world = World::with(Simulator::builder().token(never));
    let until: DateTime<Utc> = rotate(&world, "300d").as_str().unwrap().parse().unwrap();
    assert!(until > Utc::now() + TimeDelta::days(299));

    let expired = known_token().expires_in(TimeDelta::days(-7));
    let world = World::with(Simulator::builder().token(expired));
    assert_eq!(rotate(&world, "30d"), Value::Null);
    let shown = world.run(&["rotate", ID, "--secret-to", "secret", "--end-grace"]);
    assert!(
        shown.stdout.contains("no longer works"),
        "{}",
        shown.shown()
    );
}

#[test]
fn a_sink_and_the_journal_name_the_end_of_the_old_secret_alike() {
    let in_a_week = known_token().expires_in(TimeDelta::days(7));
    let world = World::with(Simulator::builder().token(in_a_week));
    let sink = "command:cat >/dev/null; echo $CF_SERVICE_TOKEN_OLD_SECRET_UNTIL >until; exit 7";
    let ran = world.run(&["rotate", ID, "--grace", "30d", "--secret-to", sink]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    let expiry = world.simulator.tokens()[0].expires_at;
    let told: DateTime<Utc> = read(&world.path("until")).trim().parse().unwrap();
    assert_eq!(told.timestamp(), expiry.timestamp());
    let journal = world.run(&["journal", "-o", "json"]);
    let entries: Value = serde_json::from_str(&journal.stdout).unwrap();
    let until = entries[0]["old_secret_valid_until"].as_str().unwrap();
    assert_eq!(until.parse(), Ok(expiry));
}

#[test]
fn a_grace_is_counted_by_the_clock_of_the_api() {
    for ahead in [TimeDelta::days(-2), TimeDelta::days(2)] {
        let world = World::new();
        world.advance(ahead);
        let rotated = document(&world.run(&ROTATE));
        let until: DateTime<Utc> = rotated["old_secret_valid_until"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let off = until - (Utc::now() + ahead + TimeDelta::days(1));
        assert!(off.abs() < TimeDelta::minutes(1), "{until}");
        assert!(world.opens(OLD_SECRET), "{ahead}");
        world.advance(TimeDelta::hours(23));
        assert_eq!(world.run(&ROTATE).code, Some(1), "{ahead}");
        assert!(world.opens(OLD_SECRET), "{ahead}");
        world.advance(TimeDelta::hours(2));
        assert_eq!(world.run(&ROTATE).code, Some(0), "{ahead}");
    }
}

#[test]
fn distances_are_counted_by_the_clock_of_the_api() {
    for ahead in [TimeDelta::days(-2), TimeDelta::days(2)] {
        let in_a_week = known_token().expires_in(TimeDelta::days(7));
        let world = World::ahead(ahead, Simulator::builder().token(in_a_week));
        for (change, distance) in [
            (&["rotate", ID, "--secret-to", "secret"][..], "in 24 hours"),
            (&["create", "deploy", "--secret-to", "env"], "in 365 days"),
            (&["refresh", ID], "in 365 days"),
        ] {
            let ran = world.run(change);
            assert_eq!(ran.code, Some(0), "{}", ran.shown());
            let mut lines = ran.stdout.lines();
            assert!(lines.any(|l| l.ends_with(distance)), "{}", ran.shown());
        }
        for reading in ["list", "show", "report"] {
            let mut command = world.command();
            command.arg(reading).args((reading == "show").then_some(ID));
            let ran = Ran::of(&mut command);
            assert!(ran.stdout.contains("in 365 days"), "{}", ran.shown());
        }
    }
}
