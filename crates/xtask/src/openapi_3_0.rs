//! Converts a document of a later version of OpenAPI to OpenAPI 3.0, which the build reads.

use serde_json::{Map, Value, json};

/// Converts a document of OpenAPI 3.1 or 3.2 to 3.0.
pub fn rewrite(document: &mut Value) {
    if let Value::Object(fields) = document {
        fields.insert("openapi".to_owned(), json!("3.0.3"));
    }
    within(document);
}

fn within(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                match key.as_str() {
                    // The keys are names, and a name may also be a keyword.
                    "properties" | "schemas" => {
                        let named = value.as_object_mut().into_iter().flatten();
                        named.for_each(|(_, value)| within(value));
                    }
                    "const" | "default" | "enum" | "example" | "examples" => {}
                    _ => within(value),
                }
            }
            schema(fields);
        }
        Value::Array(items) => items.iter_mut().for_each(within),
        _ => {}
    }
}

fn schema(fields: &mut Map<String, Value>) {
    types(fields);
    for keyword in ["anyOf", "oneOf"] {
        alternatives(fields, keyword);
    }
    if let Some(constant) = fields.remove("const") {
        fields.insert("enum".to_owned(), json!([constant]));
    }
    for (limit, exclusive) in [
        ("minimum", "exclusiveMinimum"),
        ("maximum", "exclusiveMaximum"),
    ] {
        if let Some(bound) = fields.get(exclusive).filter(|one| one.is_number()).cloned() {
            fields.insert(limit.to_owned(), bound);
            fields.insert(exclusive.to_owned(), json!(true));
        }
    }
}

fn types(fields: &mut Map<String, Value>) {
    let mut types = match fields.get("type") {
        Some(Value::Array(types)) => types.clone(),
        Some(Value::String(one)) if one == "null" => vec![json!(one)],
        _ => return,
    };
    let count = types.len();
    types.retain(|one| one != "null");
    if types.len() < count {
        fields.insert("nullable".to_owned(), json!(true));
    }
    fields.remove("type");
    match types.as_slice() {
        [] => {}
        [one] => drop(fields.insert("type".to_owned(), one.clone())),
        many => {
            let alternatives = many.iter().map(|one| json!({ "type": one }));
            fields.insert("anyOf".to_owned(), alternatives.collect());
        }
    }
}

/// Removes null from the alternatives. If one alternative is left, it takes their place.
fn alternatives(fields: &mut Map<String, Value>, keyword: &str) {
    let Some(Value::Array(list)) = fields.get_mut(keyword) else {
        return;
    };
    let count = list.len();
    // By now, a schema that allowed only null is `nullable: true` and nothing else.
    list.retain(|one| *one != json!({ "nullable": true }));
    if list.len() == count {
        return;
    }
    let only = list.len() == 1;
    if let Some(list) = fields.remove(keyword) {
        let keyword = if only { "allOf" } else { keyword };
        fields.insert(keyword.to_owned(), list);
    }
    fields.insert("nullable".to_owned(), json!(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_keywords_become_those_of_3_0() {
        for (later, earlier) in [
            (
                json!({ "type": ["string", "null"], "maxLength": 8 }),
                json!({ "type": "string", "maxLength": 8, "nullable": true }),
            ),
            (
                json!({ "type": ["null", "string", "integer"] }),
                json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }], "nullable": true }),
            ),
            (
                json!({ "oneOf": [{ "type": "null" }, { "$ref": "#/x" }] }),
                json!({ "allOf": [{ "$ref": "#/x" }], "nullable": true }),
            ),
            (
                json!({ "anyOf": [{ "$ref": "#/x" }, { "$ref": "#/y" }, { "type": "null" }] }),
                json!({ "anyOf": [{ "$ref": "#/x" }, { "$ref": "#/y" }], "nullable": true }),
            ),
            (json!({ "const": false }), json!({ "enum": [false] })),
            (
                json!({ "type": "number", "exclusiveMinimum": 1 }),
                json!({ "type": "number", "minimum": 1, "exclusiveMinimum": true }),
            ),
        ] {
            let in_a_document = |schema: &Value, version: &str| {
                json!({
                    "openapi": version,
                    "components": { "schemas": { "const": { "properties": { "const": schema } } } },
                })
            };
            let mut document = in_a_document(&later, "3.1.0");
            rewrite(&mut document);
            assert_eq!(document, in_a_document(&earlier, "3.0.3"));
            // A document of 3.0 stays as it is.
            rewrite(&mut document);
            assert_eq!(document, in_a_document(&earlier, "3.0.3"));
        }
    }
}
