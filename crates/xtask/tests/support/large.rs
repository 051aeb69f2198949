//! Cloudflare's document in its size: many operations and schemas about other things
//! around the few that matter here. It says nothing true but for those.

use std::fmt::Write as _;

use serde_json::{Value, json};

const UPSTREAM: &str = include_str!("../data/upstream-2024-08-06.json");

/// A document of at least so many bytes, as JSON that is laid out for people.
pub fn document(bytes: usize) -> String {
    let mut document: Value = serde_json::from_str(UPSTREAM).unwrap();
    let each = serde_json::to_string_pretty(&item(0)).unwrap().len()
        + serde_json::to_string_pretty(&schema(0)).unwrap().len();
    // Nested as deep as they will be, they take about half as much again.
    for number in 0..bytes / each + 1 {
        document["paths"][format!("/zones/{{identifier}}/things_{number}/{{uuid}}")] = item(number);
        document["components"]["schemas"][format!("thing_{number}")] = schema(number);
    }
    serde_json::to_string_pretty(&document).unwrap()
}

fn item(number: usize) -> Value {
    let parameter = |name: &str| {
        json!({
            "in": "path", "name": name, "required": true,
            "schema": { "$ref": "#/components/schemas/access_identifier" },
        })
    };
    let operation = |method: &str| {
        json!({
            "operationId": format!("things-{number}-{method}"),
            "description": words(number, 24),
            "parameters": [parameter("identifier"), parameter("uuid")],
            "responses": { "200": {
                "description": words(number, 5),
                "content": { "application/json": { "schema": { "allOf": [
                    { "$ref": "#/components/schemas/access_api-response-common" },
                    { "properties": { "result": {
                        "$ref": format!("#/components/schemas/thing_{number}"),
                    } } },
                ] } } },
            } },
        })
    };
    json!({ "get": operation("get"), "put": operation("put"), "delete": operation("delete") })
}

fn schema(number: usize) -> Value {
    let mut fields = json!({
        "before": { "$ref": format!("#/components/schemas/thing_{}", number.saturating_sub(1)) },
    });
    for field in 0..12 {
        fields[format!("field_{field}")] = json!({
            "type": "string", "maxLength": 8 + field,
            "description": words(number + field, 12), "example": words(field, 2),
        });
    }
    json!({ "type": "object", "description": words(number, 9), "properties": fields })
}

/// So many words, different ones for different numbers.
fn words(number: usize, count: usize) -> String {
    let mut words = String::new();
    for index in 0..count {
        let _ = write!(words, "word{} ", (number * 31 + index * 17) % 997);
    }
    words.trim_end().to_owned()
}
