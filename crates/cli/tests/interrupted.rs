//! What the next run makes of a `create` or `rotate` whose answer was lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use cf_service_tokens_simulator::{Fault, Injection, Operation, Simulator, TokenField};
use support::{ID, OLD_SECRET, Ran, World, known_token, read};

const ROTATE: [&str; 4] = ["rotate", ID, "--secret-to", "secret"];

/// An answer that is lost on its way, of a rotate that has no effect.
fn lost() -> Injection {
    Injection::new(Fault::ResetAfterRequest).on(Operation::Rotate)
}

/// Runs a rotate whose answer is lost.
fn interrupt(world: &World, rotate: &[&str], lost: Injection) {
    world.simulator.inject(lost);
    let ran = world.run(rotate);
    assert_eq!(ran.code, Some(4), "{}", ran.shown());
    assert!(world.journal_text().contains(ID));
}

/// How many rotates the simulator was asked for.
fn rotates(world: &World) -> usize {
    let requests = world.simulator.requests();
    let rotates = requests
        .iter()
        .filter(|request| request.operation == Some(Operation::Rotate));
    rotates.count()
}

/// The next run asks for no rotate, and says that the first one may have taken effect.
fn assert_not_repeated(world: &World, again: &Ran, why: &str) {
    assert_eq!(again.code, Some(1), "{}", again.shown());
    for said in [
        "may have taken effect",
        why,
        &format!("cf-service-tokens journal discard rotate-{ID}"),
    ] {
        assert!(again.stderr.contains(said), "{said}: {}", again.shown());
    }
    assert!(!world.path("secret").exists());
    assert!(world.journal_text().contains(ID));
}

#[test]
fn a_rotate_without_effect_is_repeated() {
    let world = World::new();
    interrupt(&world, &ROTATE, lost());
    let again = world.run(&ROTATE);
    assert_eq!(again.code, Some(0), "{}", again.shown());
    assert!(again.stderr.contains("had no effect"), "{}", again.shown());
    assert!(world.opens(&read(&world.path("secret"))));
    assert!(world.opens(OLD_SECRET));
    assert_eq!(world.journal_text(), "");
}

#[test]
fn a_rotate_with_effect_is_not_repeated() {
    let world = World::new();
    world.simulator.inject(lost().taking_effect());
    let ran = world.run(&ROTATE);
    assert_shown!("lost", ran.shown());
    let again = world.run(&ROTATE);
    assert_shown!("may-have-taken-effect", again.shown());
    assert_not_repeated(&world, &again, "has been updated since");
    assert!(world.opens(OLD_SECRET));
    assert_eq!(rotates(&world), 1);
}

#[test]
fn a_revoking_rotate_with_effect_is_not_repeated() {
    let world = World::new();
    let revoke = [&ROTATE[..], &["--revoke-now"]].concat();
    interrupt(&world, &revoke, lost().taking_effect());
    let again = world.run(&revoke);
    assert_shown!("may-have-revoked", again.shown());
    assert_not_repeated(&world, &again, "has been updated since");
}

#[test]
fn another_change_in_between_leaves_it_open_whether_the_rotate_took_effect() {
    for change in [
        &["update", ID, "--name", "Grafana"][..],
        &["refresh", ID],
        &["disable", ID],
    ] {
        let world = World::new();
        interrupt(&world, &ROTATE, lost());
        let changed = world.run(change);
        assert_eq!(changed.code, Some(0), "{}", changed.shown());
        let again = world.run(&ROTATE);
        assert_not_repeated(&world, &again, "has been updated since");
        assert_eq!(rotates(&world), 1, "{change:?}");

        // The way out that the error names.
        let entry = format!("rotate-{ID}");
        let discarded = world.run(&["journal", "discard", &entry, "--yes"]);
        assert_eq!(discarded.code, Some(0), "{}", discarded.shown());
        let rotated = world.run(&[&ROTATE[..], &["--end-grace"]].concat());
        assert_eq!(rotated.code, Some(0), "{}", rotated.shown());
        assert_eq!(rotates(&world), 2, "{change:?}");
    }
}

#[test]
fn an_unknown_time_of_update_leaves_it_open_whether_the_rotate_took_effect() {
    let silent =
        || World::with(Simulator::builder().token(known_token().absent(TokenField::UpdatedAt)));
    let why = "does not say when the token was last updated";

    let neither = silent();
    interrupt(&neither, &ROTATE, lost());
    assert_not_repeated(&neither, &neither.run(&ROTATE), why);
    assert_eq!(rotates(&neither), 1);

    let before = World::new();
    interrupt(&before, &ROTATE, lost());
    let after = silent();
    let mut again = after.command();
    again.env("CF_SERVICE_TOKENS_JOURNAL", before.journal());
    assert_not_repeated(&before, &Ran::of(again.args(ROTATE)), why);
    assert_eq!(rotates(&after), 0);

    let world = World::new();
    interrupt(&world, &ROTATE, lost());
    let mut line: serde_json::Value = serde_json::from_str(&read(&world.record())).unwrap();
    line["intent"]["updated_at"] = serde_json::Value::Null;
    fs::write(world.record(), format!("{line}\n")).unwrap();
    assert_not_repeated(&world, &world.run(&ROTATE), why);
    assert_eq!(rotates(&world), 1);
}

#[test]
fn a_lost_create_is_not_followed_by_a_second_token() {
    let world = World::new();
    let lost = Injection::new(Fault::ResetAfterRequest).on(Operation::Create);
    world.simulator.inject(lost.taking_effect());
    let create = ["create", "deploy", "--secret-to", "secret"];
    assert_eq!(world.run(&create).code, Some(4));
    let again = world.run(&create);
    assert_eq!(again.code, Some(1), "{}", again.shown());
    assert!(again.stderr.contains("rotate"), "{}", again.stderr);
    assert_eq!(world.simulator.tokens().len(), 2);
}
