//! What the `drift` crate compares: operations, parameters, the presence of request
//! bodies, and the response codes.
//!
//! What goes over the wire is compared by [`Comparison`], because `drift` 0.2 doesn't
//! look into it: it weighs no field that is added, removed or made required, overlooks
//! `nullable`, takes `allOf` only as a wrapper of one, and panics when a media type
//! comes or goes.
//!
//! [`Comparison`]: super::compare::Comparison

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, anyhow};
use drift::{ChangeClass, ChangeComparison, ChangeDetails};
use serde_json::{Map, Value, json};

use super::change::{Changes, Verdict};
use crate::build::panics;
use crate::pointer;
use crate::route::{Operation, Route, operations};

/// Has the `drift` crate compare what is outside the bodies.
pub fn outside(ours: &Value, theirs: &Value, changes: &mut Changes) -> Result<()> {
    let our_operations = operations(ours);
    let their_operations = operations(theirs);
    let moved = moved(&our_operations, &their_operations);
    let (our_outside, their_outside) = (without_bodies(ours), without_bodies(theirs));
    // It asserts what it expects of a document.
    let found =
        panics::unprinted(|| panics::caught(|| drift::compare(&our_outside, &their_outside)))
            .map_err(|words| anyhow!("`drift` gave up on them: {words}"))
            .and_then(|found| found)
            .context("the documents can't be compared")?;
    for found in found {
        for path in &found.paths {
            let endpoint = path.old.endpoint_base().unwrap_or_default();
            let operation = our_operations
                .iter()
                .find(|operation| pointer_of(operation) == endpoint.trim_start_matches('#'));
            for change in &found.changes {
                let Some(verdict) = verdict(change.class, change.details, path.comparison) else {
                    continue;
                };
                let at = place(path.old.current_pointer(), &change.old_subpath);
                let mut their_place = place(path.new.current_pointer(), &change.new_subpath);
                let mut what = lower_case_start(&change.message);
                if let Some(to) = operation.and_then(|operation| moved.get(operation)) {
                    what = format!("the operation has moved to {} {}", to.method, to.path);
                    their_place = pointer_of(to);
                } else if moved.values().any(|to| pointer_of(to) == their_place) {
                    // Told already, as the move.
                    continue;
                }
                changes.add(
                    operation.map_or("", Operation::name),
                    verdict,
                    what,
                    &at,
                    &their_place,
                );
            }
        }
    }
    Ok(())
}

fn place(base: &str, subpath: &str) -> String {
    let base = base.trim_start_matches('#');
    match subpath {
        "" => base.to_owned(),
        subpath => format!("{base}/{subpath}"),
    }
}

fn lower_case_start(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

fn pointer_of(operation: &Operation) -> String {
    let paths = pointer::join("/paths", &operation.path);
    pointer::join(&paths, &operation.method)
}

/// The operations that stand elsewhere upstream, known by their ids.
fn moved<'o>(
    ours: &'o [Operation],
    theirs: &'o [Operation],
) -> BTreeMap<&'o Operation, &'o Operation> {
    let place = |operation: &'o Operation| (&operation.route, &operation.method);
    let places: BTreeSet<(&Route, &String)> = theirs.iter().map(place).collect();
    ours.iter()
        .filter(|operation| !places.contains(&place(operation)))
        .filter_map(|operation| {
            let has_its_id = |other: &&Operation| {
                other.cloudflare_id.is_some() && other.cloudflare_id == operation.cloudflare_id
            };
            Some((operation, theirs.iter().find(has_its_id)?))
        })
        .collect()
}

/// What a change that `drift` found means for callers, if anything.
fn verdict(
    class: ChangeClass,
    details: ChangeDetails,
    direction: ChangeComparison,
) -> Option<Verdict> {
    match (class, details, direction) {
        (ChangeClass::Trivial, ..) => None,
        // To `drift`, a body that is no longer wanted harms nobody. But whoever sends
        // one wants it to have an effect.
        (_, ChangeDetails::Removed, ChangeComparison::Input) => Some(Verdict::Breaking),
        (ChangeClass::ForwardIncompatible, ..) => Some(Verdict::Compatible),
        _ => Some(Verdict::Breaking),
    }
}

/// The document without words and without what is inside bodies and parameters.
fn without_bodies(document: &Value) -> Value {
    let mut bare = json!({
        "openapi": "3.0.3",
        "info": { "title": "", "version": "" },
        "paths": {},
        "components": {},
    });
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        bare["paths"][path] = bare_part(item);
    }
    for section in ["parameters", "requestBodies", "responses"] {
        let components = document["components"][section].as_object();
        for (name, component) in components.into_iter().flatten() {
            bare["components"][section][name] = bare_part(component);
        }
    }
    bare
}

fn bare_part(part: &Value) -> Value {
    match part {
        Value::Object(fields) => {
            let mut bare = Map::new();
            for (name, value) in fields {
                match name.as_str() {
                    "content" if fields.contains_key("in") => {
                        bare.insert("schema".to_owned(), json!({}));
                    }
                    "content" | "schema" => {
                        bare.insert(name.clone(), json!({}));
                    }
                    // A response must have one.
                    "description" => {
                        bare.insert(name.clone(), json!(""));
                    }
                    "summary" | "tags" | "security" | "servers" | "callbacks" | "headers"
                    | "links" | "example" | "examples" | "externalDocs" | "deprecated" => {}
                    extension if extension.starts_with("x-") => {}
                    _ => {
                        bare.insert(name.clone(), bare_part(value));
                    }
                }
            }
            Value::Object(bare)
        }
        Value::Array(items) => items.iter().map(bare_part).collect(),
        scalar => scalar.clone(),
    }
}
