//! Slices and trials of documents, whole ones and broken ones.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/large.rs"]
mod large;

use serde_json::{Value, json};
use xtask::document::Document;
use xtask::drift::drift;
use xtask::route::operations;
use xtask::slice::slice;
use xtask::{trial, types};

const UPSTREAM: &str = include_str!("data/upstream-2024-08-06.json");
const FRAGMENT: &str = include_str!("../../../openapi/service-tokens.json");

fn fragment() -> Document {
    Document::new("fragment", FRAGMENT.to_owned())
}

fn upstream() -> Value {
    serde_json::from_str(UPSTREAM).unwrap()
}

/// The fragment's slice of a document, or why there is none.
fn sliced(text: &str) -> Result<Value, String> {
    let document = Document::new("upstream", text.to_owned());
    let outline = document.outline().map_err(|error| format!("{error:#}"))?;
    let wanted = operations(&fragment().value().unwrap());
    slice(&wanted, &outline).map_err(|error| format!("{error:#}"))
}

fn refusal(change: impl FnOnce(&mut Value)) -> String {
    let mut document = upstream();
    change(&mut document);
    sliced(&document.to_string()).unwrap_err()
}

#[test]
fn a_slice_has_what_is_reached_and_no_more() {
    let mut document: Value = serde_json::from_str(&large::document(100_000)).unwrap();
    let schemes = &mut document["components"]["securitySchemes"];
    schemes["named_by_no_operation"] = json!({ "type": "http", "scheme": "bearer" });
    assert_eq!(sliced(&document.to_string()).unwrap(), upstream());
}

#[test]
fn a_slice_is_openapi_and_its_own_slice() {
    let slice = sliced(UPSTREAM).unwrap();
    serde_json::from_value::<openapiv3::OpenAPI>(slice.clone()).unwrap();
    assert_eq!(sliced(&slice.to_string()).unwrap(), slice);
}

#[test]
fn a_slice_follows_discriminators_and_fields_with_confusing_names() {
    let mut document = upstream();
    let schemas = &mut document["components"]["schemas"];
    schemas["access_uuid"] = json!({
        "discriminator": { "propertyName": "kind", "mapping": { "a": "#/components/schemas/a" } },
        "properties": {
            "example": { "$ref": "#/components/schemas/b" },
            "mapping": { "$ref": "#/components/schemas/c" },
        },
        "example": { "$ref": "#/components/schemas/absent" },
    });
    for name in ["a", "b", "c"] {
        schemas[name] = json!({});
    }
    let slice = sliced(&document.to_string()).unwrap();
    for name in ["a", "b", "c"] {
        assert!(slice["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[test]
fn what_cant_be_sliced_is_said() {
    assert_eq!(
        refusal(|document| document["paths"] = json!({})),
        "upstream: it has none of the fragment's operations, neither by path nor by id"
    );
    assert_eq!(
        refusal(|document| {
            let schemas = document["components"]["schemas"].as_object_mut().unwrap();
            schemas.remove("access_uuid").unwrap();
        }),
        "upstream: it refers to `#/components/schemas/access_uuid`, which it doesn't have"
    );
    assert_eq!(
        refusal(|document| {
            document["components"]["schemas"]["access_uuid"] = json!({ "$ref": "#/paths/~1x" });
        }),
        "upstream: it refers to `#/paths/~1x`, but only `#/components/` is supported"
    );
    assert_eq!(
        refusal(|document| *document = json!({ "swagger": "2.0" })),
        "upstream: not an OpenAPI document: the field `openapi` is missing"
    );
    assert_eq!(
        refusal(|document| document["openapi"] = json!("2.0")),
        "upstream: OpenAPI 2.0 is not supported, only OpenAPI 3"
    );
    assert_eq!(
        sliced("{ \"openapi\": ").unwrap_err(),
        "upstream: not an OpenAPI document: EOF while parsing a value at line 1 column 13"
    );
    assert_eq!(
        sliced("openapi: 3.0.3").unwrap_err(),
        "upstream: not an OpenAPI document: expected value at line 1 column 1"
    );
}

#[test]
fn each_part_has_its_line() {
    let text = "
{
  \"openapi\": \"3.0.3\",
  \"servers\": [
    { \"url\": \"https://one.example\" },
    {
      \"url\": \"https://two.example\"
    }
  ],
  \"security\": [
    { \"key\": [] }
  ],
  \"paths\": { \"/a/{b}\": {
    \"get\": {} } },
  \"components\": { \"schemas\": { \"c\":
    {} } }
}";
    let document = Document::new("upstream", text.to_owned());
    let outline = document.outline().unwrap();
    for (pointer, line) in [
        ("/servers", Some(4)),
        ("/servers/0", Some(5)),
        ("/servers/1", Some(6)),
        ("/servers/1/url", Some(7)),
        ("/servers/2", None),
        ("/security", Some(10)),
        ("/security/0", Some(11)),
        ("/paths/~1a~1{b}", Some(13)),
        ("/paths/~1a~1{b}/get", Some(14)),
        ("/components/schemas/c", Some(16)),
        ("/components/schemas/d", None),
    ] {
        assert_eq!(outline.line(pointer), line, "{pointer}");
    }
}

#[test]
fn the_slice_of_2024_would_generate() {
    let upstream = Document::new("upstream", UPSTREAM.to_owned());
    let rust = trial::generate(&fragment(), &upstream).unwrap().unwrap();
    assert!(rust.contains("fn refresh_account_service_token"));
    assert!(rust.contains("pub struct AccessServiceTokens"));
}

#[test]
fn a_document_that_would_not_generate() {
    let mut document = upstream();
    let path = "/accounts/{account_id}/access/service_tokens";
    document["paths"][path]["get"]["parameters"][0]["in"] = json!("cookie");
    let document = Document::new("upstream", document.to_string());
    let cause = trial::generate(&fragment(), &document)
        .unwrap()
        .unwrap_err();
    assert!(cause.starts_with("at paths."), "{cause}");
}

/// All pointers into a document.
fn pointers(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => {
            let escaped = |key: &String| key.replace('~', "~0").replace('/', "~1");
            fields
                .iter()
                .map(|(key, value)| (escaped(key), value))
                .collect()
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, item)| (index.to_string(), item))
            .collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let pointer = format!("{pointer}/{key}");
        found.push(pointer.clone());
        pointers(child, &pointer, found);
    }
}

/// Each part of the document in turn is replaced by something else: whatever that
/// makes of it is compared, or refused in words.
#[test]
fn no_document_makes_anything_panic() {
    let mut all = Vec::new();
    pointers(&upstream(), "", &mut all);
    assert!(all.len() > 500);
    let fragment = fragment();
    let mut compared = 0;
    for (index, pointer) in all.iter().enumerate() {
        let mut document = upstream();
        let other = [json!(null), json!([]), json!({}), json!("{"), json!(7)];
        *document.pointer_mut(pointer).unwrap() = other[index % other.len()].clone();
        let document = Document::new("upstream", document.to_string());
        if let Ok(drift) = drift(&fragment, &document, &[]) {
            drift.follow(&mut fragment.value().unwrap());
            compared += 1;
        }
        // Generating takes a hundred times as long.
        if index % 80 == 0 {
            let _ = trial::generate(&fragment, &document);
            let _ = types::diff(&fragment, &document, &[]);
        }
    }
    assert!(compared > all.len() / 3, "{compared} of {}", all.len());
}
