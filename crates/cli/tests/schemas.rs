//! What the command writes is what the schemas of docs/schemas describe, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use cf_service_tokens_simulator::{Fault, Injection, Operation};
use serde_json::Value;
use support::{ID, Ran, Validator, World};

/// Reads a schema, so that names which it does not describe are errors: a program must
/// ignore them, since a later version may add some.
fn schema(name: &str) -> Value {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(object) => {
                if object.contains_key("properties") && !object.contains_key("additionalProperties")
                {
                    let open = object.contains_key("oneOf") || object.contains_key("allOf");
                    let rule = if open {
                        "unevaluatedProperties"
                    } else {
                        "additionalProperties"
                    };
                    object.insert(rule.to_owned(), false.into());
                }
                object.values_mut().for_each(close);
            }
            Value::Array(array) => array.iter_mut().for_each(close),
            _ => {}
        }
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    let text = std::fs::read_to_string(directory.join(format!("{name}.json"))).unwrap();
    let mut schema: Value = serde_json::from_str(&text).unwrap();
    close(&mut schema);
    schema
}

/// Checks an output, as a document and then as lines.
fn check(name: &str, code: i32, run: impl Fn(&str) -> Ran) {
    let validator = Validator::new(schema(name));
    let ran = run("json");
    assert_eq!(ran.code, Some(code), "{name}: {}", ran.shown());
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    validator.check(&document);
    assert_ne!(
        document,
        Value::Array(Vec::new()),
        "{name}: there is no object"
    );
    if name == "renew" {
        return;
    }
    let objects = match document {
        Value::Array(objects) => objects.len(),
        _ => 1,
    };
    let ran = run("jsonl");
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), objects, "{name}: {}", ran.shown());
}

fn simulated(name: &str, code: i32, arguments: &[&str]) {
    check(name, code, |format| {
        support::simulated(&[arguments, &["--output", format]].concat())
    });
}

fn in_a_world(name: &str, code: i32, arguments: &[&str]) {
    check(name, code, |format| {
        World::new().run(&[arguments, &["--output", format]].concat())
    });
}

#[test]
fn outputs_about_tokens() {
    simulated("list", 0, &["list"]);
    simulated("show", 0, &["show", "Grafana scraper"]);
    simulated("report", 0, &["report"]);
    simulated("doctor", 1, &["doctor"]);
}

#[test]
fn outputs_of_changes() {
    for command in ["refresh", "enable", "disable"] {
        in_a_world("changes", 0, &[command, ID]);
    }
    in_a_world("changes", 0, &["delete", ID, "--yes"]);
    in_a_world("update", 0, &["update", ID, "--duration", "90d"]);
    check("changes", 1, |format| {
        let world = World::new();
        let fault = Injection::new(Fault::Status(400)).on(Operation::Refresh);
        world.simulator.inject(fault);
        world.run(&["refresh", ID, "--output", format])
    });
}

#[test]
fn outputs_of_a_renewal() {
    simulated("renew", 0, &["renew"]);
    simulated("renew", 5, &["renew", "--dry-run"]);
    let ran = support::simulated(&["renew", "--output", "jsonl"]);
    assert_eq!(events(&ran), ["summary", "token"].map(str::to_owned).into());
}

/// Checks the events of a run, and returns their kinds.
fn events(ran: &Ran) -> BTreeSet<String> {
    let validator = Validator::new(schema("renew-event"));
    let mut kinds = BTreeSet::new();
    for line in ran.stdout.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        validator.check(&event);
        kinds.insert(event["event"].as_str().unwrap().to_owned());
    }
    kinds
}

#[test]
fn outputs_of_keep() {
    let keep = |format: &str| {
        let world = World::new();
        let file = format!(
            "[[account]]\nname = \"prod\"\nid = \"{}\"\n[[account.rotate]]\ntoken = \"{ID}\"\n\
             every = \"90d\"\nsecret_to = \"file:deploy.secret\"\n",
            world.simulator.account_id()
        );
        std::fs::write(world.path("keep.toml"), file).unwrap();
        world.run(&["keep", "--config", "keep.toml", "--output", format])
    };
    check("renew", 0, keep);
    let kinds = events(&keep("jsonl"));
    assert_eq!(
        kinds,
        ["rotation", "summary", "token"].map(str::to_owned).into()
    );
}

#[test]
fn outputs_about_secrets() {
    in_a_world("issued", 0, &["create", "ci", "--secret-to", "new"]);
    in_a_world("issued", 0, &["rotate", ID, "--secret-to", "new"]);
    check("journal", 0, |format| {
        let world = World::new();
        world.run(&["rotate", ID, "--secret-to", "command:exit 7"]);
        world.run(&["journal", "--output", format])
    });
    check("verify", 0, |format| {
        let world = World::new();
        let url = world.simulator.protected_url();
        Ran::of(
            world
                .command()
                .args(["verify", "--url", url, "--output", format])
                .env("CF_ACCESS_CLIENT_ID", support::CLIENT_ID)
                .env("CF_ACCESS_CLIENT_SECRET", support::OLD_SECRET),
        )
    });
}
