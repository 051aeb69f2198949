//! Tests `cargo xtask drift` on documents that differ from the fragment.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod operations;
mod schemas;
mod slices;

use serde_json::{Map, Value};
use xtask::document::Document;
use xtask::drift::drift;

const UPSTREAM: &str = include_str!("../data/upstream-2024-08-06.json");
const TOKENS: &str = "/accounts/{account_id}/access/service_tokens";
const TOKEN: &str = "/accounts/{account_id}/access/service_tokens/{service_token_id}";
const ROTATE: &str = "/accounts/{account_id}/access/service_tokens/{service_token_id}/rotate";

fn upstream() -> Value {
    serde_json::from_str(UPSTREAM).unwrap()
}

/// Returns the changes between two documents, one a line.
fn between(ours: &Value, theirs: &Value) -> Vec<String> {
    let ours = Document::new("ours", ours.to_string());
    let theirs = Document::new("theirs", theirs.to_string());
    let drift = drift(&ours, &theirs, &[]).unwrap();
    let changes = drift.changes.iter();
    changes
        .map(|change| format!("{}: {}", change.verdict, change.what))
        .collect()
}

/// Returns the changes after an edit of the upstream document.
fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut changed = upstream();
    change(&mut changed);
    between(&upstream(), &changed)
}

/// A schema of the upstream document.
fn schema<'a>(document: &'a mut Value, name: &str) -> &'a mut Value {
    let schema = &mut document["components"]["schemas"][name];
    assert!(schema.is_object(), "no schema {name}");
    schema
}

/// The schema of the body of the request to create a token.
fn creation(document: &mut Value) -> &mut Value {
    &mut document["paths"][TOKENS]["post"]["requestBody"]["content"]["application/json"]["schema"]
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().unwrap()
}
