//! The JSON Schema of a token's duration is the one that the fragment has.

use cf_service_tokens::{AccountId, GoDuration, ServiceTokenId, TokenDuration};
use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};

#[test]
fn the_schema_of_a_duration_is_the_fragments_own() {
    let fragment: Value =
        serde_json::from_str(include_str!("../../openapi/service-tokens.json")).unwrap();
    let mut schema = serde_json::to_value(schema_for!(TokenDuration)).unwrap();
    let fields = schema.as_object_mut().unwrap();
    // The title and `$schema` describe the document, not the type.
    fields.remove("$schema");
    fields.remove("title");
    assert_eq!(schema, fragment["components"]["schemas"]["TokenDuration"]);
}

#[test]
fn a_go_duration_is_a_string_of_that_format() {
    let schema = serde_json::to_value(schema_for!(GoDuration)).unwrap();
    assert_eq!(schema["type"], json!("string"));
    assert_eq!(schema["format"], json!("go-duration"));
}

#[test]
fn a_duration_has_a_schema_name_and_is_inlined() {
    fn check<T: JsonSchema>(name: &str) {
        assert_eq!(T::schema_name(), name);
        let id = T::schema_id();
        assert!(id.starts_with("cf_service_tokens::"), "{id}");
        assert!(id.ends_with(&format!("::{name}")), "{id}");
        let list = serde_json::to_value(schema_for!(Vec<T>)).unwrap();
        assert_eq!(list["items"]["format"], json!("go-duration"), "{list}");
    }
    check::<TokenDuration>("TokenDuration");
    check::<GoDuration>("GoDuration");
}

#[test]
fn the_schema_of_an_id_is_the_fragments_own() {
    fn check<T: JsonSchema>(name: &str) {
        let fragment: Value =
            serde_json::from_str(include_str!("../../openapi/service-tokens.json")).unwrap();
        let schema = serde_json::to_value(schema_for!(T)).unwrap();
        let documented = &fragment["components"]["schemas"][name];
        assert_eq!(schema["type"], documented["type"]);
        assert_eq!(schema["maxLength"], documented["maxLength"], "{documented}");
    }
    check::<AccountId>("AccountId");
    check::<ServiceTokenId>("ServiceTokenId");
}
