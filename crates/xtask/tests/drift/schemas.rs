//! The bodies: fields, types, limits, alternatives.

use serde_json::{Value, json};

use super::{UPSTREAM, after, between, creation, object, schema, upstream};

#[test]
fn a_field_is_added() {
    let color = || json!({ "type": "string" });
    let found = after(|document| {
        schema(document, "access_service-tokens")["properties"]["color"] = color();
    });
    assert_eq!(found, ["compatible: response: field `color` added"]);
    let found = after(|document| creation(document)["properties"]["color"] = color());
    assert_eq!(found, ["compatible: request: field `color` added"]);
    let found = after(|document| {
        creation(document)["properties"]["color"] = color();
        creation(document)["required"] = json!(["name", "color"]);
    });
    assert_eq!(
        found,
        ["breaking: request: field `color` added, and required"]
    );
}

#[test]
fn a_field_is_removed() {
    let found = after(|document| {
        object(&mut schema(document, "access_service-tokens")["properties"]).remove("client_id");
    });
    assert_eq!(found, ["breaking: response: field `client_id` removed"]);
    let found = after(|document| {
        object(&mut creation(document)["properties"]).remove("duration");
    });
    assert_eq!(found, ["breaking: request: field `duration` removed"]);
}

#[test]
fn a_type_is_changed() {
    let count = |to: &str| {
        let to = json!({ "type": to });
        after(|document| schema(document, "access_result_info")["properties"]["count"] = to)
    };
    assert_eq!(
        count("string"),
        ["breaking: response: type changed from number to string"]
    );
    assert_eq!(
        count("integer"),
        ["compatible: response: type changed from number to integer"]
    );
    let found = after(|document| creation(document)["properties"]["name"] = json!({}));
    assert_eq!(
        found,
        ["compatible: request: type changed from string to any"]
    );
}

#[test]
fn a_field_is_made_required() {
    let found = after(|document| creation(document)["required"] = json!(["name", "duration"]));
    assert_eq!(found, ["breaking: request: field `duration` made required"]);
    let found = after(|document| {
        schema(document, "access_service-tokens")["required"] = json!(["id"]);
    });
    assert_eq!(found, ["compatible: response: field `id` made required"]);
    let found = after(|document| {
        schema(document, "access_api-response-common")["required"] = json!(["success", "errors"]);
    });
    assert_eq!(
        found,
        ["breaking: response: field `messages` made optional"]
    );
    let found = after(|document| creation(document)["required"] = json!([]));
    assert_eq!(found, ["compatible: request: field `name` made optional"]);
}

#[test]
fn an_enum_value_is_added() {
    let success = |values: Value| {
        after(|document| {
            schema(document, "access_api-response-common")["properties"]["success"]["enum"] =
                values;
        })
    };
    assert_eq!(
        success(json!([true, false])),
        ["breaking: response: enum value false added"]
    );
    assert_eq!(
        success(json!([])),
        ["compatible: response: enum value true removed"]
    );

    let with_words = |words: Value| {
        let mut document = upstream();
        creation(&mut document)["properties"]["kind"] = json!({ "type": "string", "enum": words });
        document
    };
    let (few, many) = (with_words(json!(["a"])), with_words(json!(["b", "a"])));
    assert_eq!(
        between(&few, &many),
        [r#"compatible: request: enum value "b" added"#]
    );
    assert_eq!(
        between(&many, &few),
        [r#"breaking: request: enum value "b" removed"#]
    );
}

#[test]
fn only_words_are_changed() {
    fn reword(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(reword);
                if fields.contains_key("type") || fields.contains_key("operationId") {
                    for words in ["description", "title", "example", "x-note"] {
                        fields.insert(words.to_owned(), json!("other words"));
                    }
                    fields.insert("deprecated".to_owned(), json!(false));
                }
            }
            Value::Array(items) => items.iter_mut().for_each(reword),
            _ => {}
        }
    }
    assert_eq!(after(reword), [""; 0]);
}

#[test]
fn null_is_allowed_in_any_words() {
    let named = |name: &Value| {
        let mut document = upstream();
        document["openapi"] = json!("3.2.0");
        creation(&mut document)["properties"]["name"] = name.clone();
        document
    };
    let forms = [
        json!({ "type": "string", "nullable": true }),
        json!({ "type": ["string", "null"] }),
        json!({ "type": ["null", "string"] }),
        json!({ "oneOf": [{ "type": "string" }, { "type": "null" }] }),
        json!({ "anyOf": [{ "type": ["null"] }, { "type": "string" }] }),
        json!({ "anyOf": [{ "enum": [null] }, { "type": "string" }] }),
        json!({ "oneOf": [{ "type": "string" }, { "const": null }] }),
        json!({ "nullable": true, "allOf": [{ "type": "string" }] }),
    ];
    for form in &forms {
        for other in &forms {
            assert_eq!(
                between(&named(form), &named(other)),
                [""; 0],
                "{form} {other}"
            );
        }
        let plain = named(&json!({ "type": "string" }));
        assert_eq!(
            between(&plain, &named(form)),
            ["compatible: request: may now be null"],
            "{form}"
        );
    }
    let words = json!({ "type": "string", "nullable": true, "enum": ["a", null] });
    let later = json!({ "type": ["string", "null"], "const": "a" });
    assert_eq!(between(&named(&words), &named(&later)), [""; 0]);
}

#[test]
fn what_stands_beside_a_reference_applies_since_3_1() {
    let with_version = |version: &str, more: Value| {
        let mut document = upstream();
        document["openapi"] = json!(version);
        let field = &mut creation(&mut document)["properties"]["duration"];
        object(field).extend(object(&mut more.clone()).clone());
        document
    };
    let more = json!({ "deprecated": true, "description": "words" });
    let none = with_version("3.0.3", json!({}));
    for (version, found) in [
        ("3.0.3", &[][..]),
        ("3.1.0", &["compatible: request: deprecated now"]),
        ("3.2.0", &["compatible: request: deprecated now"]),
    ] {
        assert_eq!(
            between(&none, &with_version(version, more.clone())),
            found,
            "{version}"
        );
    }
}

#[test]
fn extensions_may_be_anything() {
    let found = after(|document| {
        document["components"]["x-foo"] = json!("bar");
        document["paths"]["x-foo"] = json!("bar");
        document["x-foo"] = json!({ "$ref": "nowhere" });
        creation(document)["x-foo"] = json!({ "$ref": "nowhere" });
        creation(document)["default"] = json!({ "$ref": "nowhere" });
    });
    // Only the default is a schema's own, and it is no reference.
    assert_eq!(
        found,
        [r#"compatible: request: default {"$ref":"nowhere"} added"#]
    );
}

#[test]
fn other_names_and_wrappers_are_no_change() {
    let text = UPSTREAM
        .replace("access_service-tokens\"", "token\"")
        .replace("{account_id}", "{identifier}")
        .replace("\"account_id\"", "\"identifier\"")
        .replace("{service_token_id}", "{uuid}")
        .replace("\"service_token_id\"", "\"uuid\"");
    let mut renamed: Value = serde_json::from_str(&text).unwrap();
    let timestamp = &mut schema(&mut renamed, "token")["properties"]["created_at"];
    *timestamp = json!({ "description": "words", "allOf": [timestamp.take(), {}] });
    assert_eq!(between(&upstream(), &renamed), [""; 0]);
}

#[test]
fn limits_break_requests_when_they_tighten_and_responses_when_they_loosen() {
    let with = |keyword: &str, value: Value| {
        let mut document = upstream();
        let name = json!({ "type": "string", keyword: value });
        *schema(
            &mut document,
            "access_service-tokens_components-schemas-name",
        ) = name;
        document
    };
    for (keyword, loose, tight) in [
        ("maxLength", json!(9), json!(8)),
        ("minLength", json!(1), json!(2)),
        ("pattern", Value::Bool(false), json!("a+")),
        ("format", Value::Bool(false), json!("uuid")),
        ("nullable", json!(true), json!(false)),
    ] {
        let (loose, tight) = (with(keyword, loose), with(keyword, tight));
        let tightened = between(&loose, &tight).join("\n");
        assert!(tightened.contains("breaking: request"), "{tightened}");
        assert!(tightened.contains("compatible: response"), "{tightened}");
        assert!(!tightened.contains("breaking: response"), "{tightened}");
        let loosened = between(&tight, &loose).join("\n");
        assert!(loosened.contains("compatible: request"), "{loosened}");
        assert!(loosened.contains("breaking: response"), "{loosened}");
        assert!(!loosened.contains("breaking: request"), "{loosened}");
    }
    let (one, other) = (with("pattern", json!("a")), with("pattern", json!("b")));
    let found = between(&one, &other);
    assert!(
        found.iter().all(|line| line.starts_with("breaking")),
        "{found:?}"
    );
    // A limit of another type says nothing.
    let stray = with("minItems", json!(1));
    assert_eq!(between(&upstream(), &stray), [""; 0]);
}

#[test]
fn a_field_of_the_other_direction_is_none() {
    let found = after(|document| {
        creation(document)["properties"]["id"] = json!({ "type": "string", "readOnly": true });
    });
    assert_eq!(found, [""; 0]);
    let found = after(|document| {
        creation(document)["properties"]["name"] = json!({ "type": "string", "readOnly": true });
    });
    assert_eq!(found, ["breaking: request: field `name` removed"]);
}

#[test]
fn alternatives_are_compared_in_any_order() {
    let with = |alternatives: Value| {
        let mut document = upstream();
        creation(&mut document)["properties"]["name"] = json!({ "oneOf": alternatives });
        document
    };
    let text = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    let number = json!({ "type": "object", "properties": { "a": { "type": "number" } } });
    let two = with(json!([text, number]));
    assert_eq!(between(&two, &with(json!([number, text]))), [""; 0]);
    let three = with(json!([number, { "type": "array", "items": {} }, text]));
    assert_eq!(
        between(&two, &three),
        ["compatible: request: alternative added"]
    );
    assert_eq!(
        between(&three, &two),
        ["breaking: request: alternative removed"]
    );
}

#[test]
fn schemas_that_contain_themselves_come_to_an_end() {
    let recursive = |of: &str| {
        let mut document = upstream();
        let name = "access_service-tokens";
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        schema(&mut document, name)["properties"]["parent"] =
            json!({ "oneOf": [reference, { "type": of }], "allOf": [reference] });
        schema(&mut document, "access_duration")["anyOf"] =
            json!([{ "$ref": "#/components/schemas/access_duration" }, { "type": of }]);
        document
    };
    between(&recursive("string"), &recursive("array"));
    assert_eq!(between(&recursive("string"), &recursive("string")), [""; 0]);
}
