//! Extracts the fragment's operations, and everything that they refer to, from an upstream
//! document.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::build::METHODS;
use crate::document::Outline;
use crate::pointer;
use crate::route::{Operation, Route};

/// Extracts the part of a document that concerns the fragment: the operations at its paths
/// and below, operations with its ids that have moved, and the components that these refer
/// to. Of a neighbour, it takes that operation alone. The result is an OpenAPI document.
///
/// # Errors
///
/// The document has none of the operations, or refers to a component that it lacks.
pub fn slice(wanted: &[Operation], upstream: &Outline<'_>) -> Result<Value> {
    let mut paths = Map::new();
    for (path, item) in upstream.paths() {
        let item = cut_item(wanted, path, item)
            .with_context(|| format!("{}: paths.{path}", upstream.name()))?;
        paths.extend(item.map(|item| (path.to_owned(), item)));
    }
    ensure!(
        !paths.is_empty(),
        "{}: it has none of the fragment's operations, neither by path nor by id",
        upstream.name()
    );
    let mut document = Map::new();
    for (name, value) in upstream.head() {
        document.insert(name.to_owned(), serde_json::from_str(value.get())?);
    }
    document.insert("paths".to_owned(), Value::Object(paths));
    let components = components(upstream, &Value::Object(document.clone()))?;
    document.insert("components".to_owned(), components);
    Ok(Value::Object(document))
}

/// The part of an operation that decides whether to take it.
#[derive(Deserialize)]
struct OperationHead {
    #[serde(rename = "operationId")]
    id: Option<String>,
}

fn cut_item(wanted: &[Operation], path: &str, item: &RawValue) -> Result<Option<Value>> {
    let route = Route::of(path);
    let is_near = wanted
        .iter()
        .any(|operation| !operation.is_neighbour && route.is_within(&operation.route));
    let is_there = |key: &str, one: &Operation| one.route == route && one.method.as_str() == key;
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(item.get())?;
    fields.retain(|key, operation| {
        !METHODS.contains(&key.as_str())
            || is_near
            || wanted.iter().any(|one| is_there(key, one))
            || is_wanted(wanted, operation)
    });
    if !METHODS.iter().any(|method| fields.contains_key(*method)) {
        return Ok(None);
    }
    let fields = fields
        .into_iter()
        .map(|(key, value)| Ok((key, serde_json::from_str(value.get())?)));
    Ok(Some(Value::Object(fields.collect::<Result<_>>()?)))
}

/// Returns whether an operation has the id of a wanted one, at any path.
fn is_wanted(wanted: &[Operation], operation: &RawValue) -> bool {
    let head = serde_json::from_str::<OperationHead>(operation.get());
    let id = head.ok().and_then(|head| head.id);
    id.is_some() && wanted.iter().any(|one| one.cloudflare_id == id)
}

/// Returns the components that a document refers to, as its `components`.
fn components(upstream: &Outline<'_>, document: &Value) -> Result<Value> {
    let mut components = json!({});
    let mut reached = BTreeSet::new();
    let mut waiting = references(document);
    while let Some(reference) = waiting.pop() {
        let mut tokens = pointer::tokens(&reference);
        let (Some("components"), Some(section), Some(name)) =
            (tokens.next().as_deref(), tokens.next(), tokens.next())
        else {
            bail!(
                "{}: it refers to `{reference}`, but only `#/components/` is supported",
                upstream.name()
            );
        };
        if !reached.insert((section.clone(), name.clone())) {
            continue;
        }
        let component = upstream.component(&section, &name).with_context(|| {
            format!(
                "{}: it refers to `{reference}`, which it doesn't have",
                upstream.name()
            )
        })?;
        let component: Value = serde_json::from_str(component.get())
            .with_context(|| format!("{}: components.{section}.{name}", upstream.name()))?;
        waiting.extend(references(&component));
        components[section][name] = component;
    }
    Ok(components)
}

/// Returns the references of a value: by `$ref`, by a discriminator, and by `security`.
fn references(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("$ref", Value::String(reference)) => found.push(reference.clone()),
                    ("mapping", Value::Object(mapping)) => {
                        let targets = mapping.values().filter_map(Value::as_str);
                        found.extend(targets.filter(|one| one.starts_with('#')).map(String::from));
                    }
                    ("security", Value::Array(schemes)) => {
                        let names = schemes.iter().filter_map(Value::as_object);
                        let names = names.flat_map(Map::keys);
                        found.extend(
                            names.map(|name| pointer::join("#/components/securitySchemes", name)),
                        );
                    }
                    // The keys are names of fields, which may be any of the words above.
                    ("properties", Value::Object(fields)) => {
                        fields.values().for_each(|field| collect(field, found));
                    }
                    // Values and extensions are not schemas.
                    ("example" | "examples" | "default" | "enum", _) => {}
                    (extension, _) if extension.starts_with("x-") => {}
                    _ => collect(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}
