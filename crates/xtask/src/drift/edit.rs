//! Edits of the fragment, by which it follows the upstream document.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::pointer;

/// One edit of the fragment.
#[derive(Clone, Debug)]
pub enum Edit {
    /// Sets the value at a JSON pointer.
    Put(String, Value),
    /// Sets a keyword of the schema at a JSON pointer, for this use of the schema alone.
    Say(String, &'static str, Value),
    /// Removes the value at a JSON pointer.
    Remove(String),
}

impl Edit {
    /// Makes the edit. If another edit has removed its place, it does nothing.
    pub fn apply(&self, fragment: &mut Value) {
        match self {
            Self::Put(pointer, value) => put(fragment, pointer, value.clone()),
            Self::Say(pointer, keyword, value) => {
                let Some(schema) = fragment.pointer_mut(pointer) else {
                    return;
                };
                // OpenAPI 3.0 ignores keywords beside a reference.
                if schema.get("$ref").is_some() {
                    *schema = json!({ "allOf": [schema.take()] });
                }
                if let Value::Object(fields) = schema {
                    fields.insert((*keyword).to_owned(), value.clone());
                }
            }
            Self::Remove(pointer) => {
                let Some((parent, token)) = pointer::split(pointer) else {
                    return;
                };
                match fragment.pointer_mut(parent) {
                    Some(Value::Object(fields)) => drop(fields.remove(&token)),
                    Some(Value::Array(items)) => {
                        if let Some(index) = token.parse().ok().filter(|at| *at < items.len()) {
                            items.remove(index);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Sets the value at a pointer, and creates missing objects. The token `-` appends to an
/// array.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut place = document;
    for token in pointer::tokens(pointer) {
        if place.is_null() {
            *place = if token == "-" { json!([]) } else { json!({}) };
        }
        place = match place {
            Value::Object(fields) => fields.entry(token).or_insert(Value::Null),
            Value::Array(items) => {
                let at = token.parse().unwrap_or(items.len()).min(items.len());
                if at == items.len() {
                    items.push(Value::Null);
                }
                &mut items[at]
            }
            _ => return,
        };
    }
    *place = value;
}

/// Returns the value at a JSON pointer with its references resolved, so that it can
/// stand in another document. A reference to itself becomes an unrestricted schema.
pub fn inlined(document: &Value, pointer: &str) -> Value {
    let value = document.pointer(pointer).unwrap_or(&Value::Null);
    inline(document, value, &mut BTreeSet::new())
}

fn inline<'a>(document: &'a Value, value: &'a Value, within: &mut BTreeSet<&'a str>) -> Value {
    match value {
        Value::Object(fields) => match fields.get("$ref").and_then(Value::as_str) {
            Some(reference) if within.insert(reference) => {
                let target = document.pointer(reference.trim_start_matches('#'));
                let inlined = target.map_or(json!({}), |target| inline(document, target, within));
                within.remove(reference);
                inlined
            }
            Some(_) => json!({}),
            None => fields
                .iter()
                .map(|(name, value)| (name.clone(), inline(document, value, within)))
                .collect::<Map<_, _>>()
                .into(),
        },
        Value::Array(items) => {
            let items = items.iter().map(|item| inline(document, item, within));
            items.collect()
        }
        scalar => scalar.clone(),
    }
}
