//! What `cargo xtask drift` says of documents that differ from the fragment.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/large.rs"]
mod large;

use serde_json::{Map, Value, json};
use xtask::document::Document;
use xtask::drift::{Verdict, drift};

const UPSTREAM: &str = include_str!("data/upstream-2024-08-06.json");
const FRAGMENT: &str = include_str!("../../../openapi/service-tokens.json");
const TOKENS: &str = "/accounts/{account_id}/access/service_tokens";
const TOKEN: &str = "/accounts/{account_id}/access/service_tokens/{service_token_id}";
const ROTATE: &str = "/accounts/{account_id}/access/service_tokens/{service_token_id}/rotate";

fn upstream() -> Value {
    serde_json::from_str(UPSTREAM).unwrap()
}

/// What has changed between two documents, a line each.
fn between(ours: &Value, theirs: &Value) -> Vec<String> {
    let ours = Document::parse("ours", ours.to_string()).unwrap();
    let theirs = Document::parse("theirs", theirs.to_string()).unwrap();
    let drift = drift(&ours, &theirs, &[]).unwrap();
    let changes = drift.changes.iter();
    changes
        .map(|change| format!("{}: {}", change.verdict, change.what))
        .collect()
}

/// What has changed after a change of the upstream document by hand.
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
fn an_operation_is_removed_or_added() {
    let found = after(|document| {
        object(&mut document["paths"]).remove(ROTATE);
    });
    assert_eq!(
        found,
        ["breaking: the operation access-service-tokens-rotate-a-service-token was removed"]
    );
    let found = after(|document| {
        let mut operation = document["paths"][ROTATE]["post"].clone();
        operation["operationId"] = json!("revoke");
        document["paths"][format!("{TOKEN}/revoke")]["post"] = operation;
    });
    assert_eq!(found, ["compatible: the operation revoke was added"]);
}

#[test]
fn a_path_is_moved() {
    for to in [format!("{TOKEN}/secret"), "/keys/{key}/rotate".to_owned()] {
        let found = after(|document| {
            let item = object(&mut document["paths"]).remove(ROTATE).unwrap();
            document["paths"][&to] = item;
            // A parameter must be named as in the path.
            if to.starts_with("/keys") {
                document["paths"][&to]["post"]["parameters"] = json!([
                    { "in": "path", "name": "key", "required": true, "schema": {} },
                ]);
            }
        });
        assert_eq!(
            found,
            [format!("breaking: the operation has moved to post {to}")]
        );
    }
}

#[test]
fn a_parameter_is_added() {
    let with_parameter = |required: bool| {
        after(|document| {
            let parameters = document["paths"][TOKENS]["get"]["parameters"].as_array_mut();
            parameters.unwrap().push(json!({
                "in": "query", "name": "color", "required": required,
                "schema": { "type": "string" },
            }));
        })
    };
    assert_eq!(
        with_parameter(false),
        ["compatible: a new, optional parameter 'color' was added"]
    );
    assert_eq!(
        with_parameter(true),
        ["breaking: a new, required parameter 'color' was added"]
    );
}

#[test]
fn a_response_code_is_changed() {
    let found = after(|document| {
        let responses = object(&mut document["paths"][ROTATE]["post"]["responses"]);
        let response = responses.remove("200").unwrap();
        responses.insert("202".to_owned(), response);
    });
    assert_eq!(
        found,
        [
            "breaking: operation added a new response code 202",
            "compatible: operation no longer responds with status 200",
        ]
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
fn what_is_deprecated_is_told() {
    let deprecated = |pointer: &'static str| {
        let mut document = upstream();
        document.pointer_mut(pointer).unwrap()["deprecated"] = json!(true);
        document
    };
    for (pointer, what) in [
        (
            "/paths/~1accounts~1{account_id}~1access~1service_tokens/get",
            "the operation is",
        ),
        (
            "/paths/~1accounts~1{account_id}~1access~1service_tokens/get/parameters/0",
            "the parameter 'account_id' is",
        ),
        (
            "/components/schemas/access_result_info/properties/count",
            "response:",
        ),
        (
            "/paths/~1accounts~1{account_id}~1access~1service_tokens/post/requestBody\
             /content/application~1json/schema",
            "request:",
        ),
    ] {
        let changed = deprecated(pointer);
        let now = format!("compatible: {what} deprecated now");
        assert_eq!(between(&upstream(), &changed), [now], "{pointer}");
        let no_longer = format!("compatible: {what} no longer deprecated");
        assert_eq!(between(&changed, &upstream()), [no_longer], "{pointer}");
    }
}

#[test]
fn a_base_url_is_changed() {
    const OLD: &str = "https://api.cloudflare.com/client/v4";
    let removed = format!("breaking: the server {OLD} was removed");
    let next = || json!([{ "url": "https://api.cloudflare.com/client/v5" }]);
    let added = "compatible: the server https://api.cloudflare.com/client/v5 was added";
    let of_the_document = after(|document| document["servers"] = next());
    assert_eq!(of_the_document, [removed.as_str(), added]);
    let of_a_path = after(|document| document["paths"][ROTATE]["servers"] = next());
    assert_eq!(of_a_path, [removed.as_str(), added]);
    let of_an_operation = after(|document| {
        document["paths"][ROTATE]["servers"] = json!([{ "url": OLD }]);
        document["paths"][ROTATE]["post"]["servers"] = next();
    });
    assert_eq!(of_an_operation, [removed.as_str(), added]);
    let one_more = after(|document| {
        document["servers"] = json!([next()[0], { "url": OLD, "description": "words" }]);
    });
    assert_eq!(one_more, [added]);
    let none = after(|document| {
        object(document).remove("servers");
    });
    assert_eq!(none, [removed]);

    let same = after(|document| {
        document["servers"] = json!([{
            "url": "https://{host}/client/v4/",
            "variables": { "host": { "default": "api.cloudflare.com" } },
        }]);
        document["paths"][TOKENS]["servers"] = json!([]);
    });
    assert_eq!(same, [""; 0]);
}

#[test]
fn a_parameter_is_written_otherwise() {
    let list = |more: Value| {
        let mut document = upstream();
        let mut parameter = json!({
            "in": "query", "name": "ids",
            "schema": { "type": "array", "items": { "type": "string" } },
        });
        object(&mut parameter).extend(object(&mut more.clone()).clone());
        let parameters = document["paths"][TOKENS]["get"]["parameters"].as_array_mut();
        parameters.unwrap().push(parameter);
        document
    };
    let before = list(json!({}));
    let stated = json!({ "style": "form", "explode": true, "allowReserved": false });
    assert_eq!(between(&before, &list(stated)), [""; 0]);
    assert_eq!(
        between(&before, &list(json!({ "explode": false }))),
        ["breaking: explode of the parameter 'ids' changed from true to false"]
    );
    assert_eq!(
        between(&before, &list(json!({ "style": "pipeDelimited" }))),
        [
            "breaking: explode of the parameter 'ids' changed from true to false",
            r#"breaking: style of the parameter 'ids' changed from "form" to "pipeDelimited""#,
        ]
    );
    assert_eq!(
        between(&before, &list(json!({ "allowReserved": true }))),
        ["breaking: allowReserved of the parameter 'ids' changed from false to true"]
    );
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
fn bodies_come_and_go() {
    let body = json!({ "required": true, "content": { "application/json": { "schema": {} } } });
    let found = after(|document| document["paths"][ROTATE]["post"]["requestBody"] = body);
    assert_eq!(
        found,
        ["breaking: no body parameter was specified and now one is required"]
    );
    let found = after(|document| {
        object(&mut document["paths"][TOKENS]["post"]).remove("requestBody");
    });
    assert_eq!(found, ["breaking: a required body parameter was removed"]);
    let found = after(|document| {
        let content = &mut document["paths"][TOKENS]["post"]["requestBody"]["content"];
        let schema = object(content).remove("application/json").unwrap();
        content["application/xml"] = schema;
    });
    assert_eq!(
        found,
        [
            "breaking: request: media type application/json removed",
            "compatible: request: media type application/xml added",
        ]
    );
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

/// All that Cloudflare has added since the day of the slice, and nothing else: known
/// differences are allowed, and each entry of that list is used.
#[test]
fn the_fragment_since_the_slice_of_2024() {
    let root = xtask::workspace::root();
    let allowed = xtask::drift::allowed(&root.join(xtask::workspace::ALLOWED)).unwrap();
    // All in one line, so that an edit elsewhere in it moves nothing.
    let fragment: Value = serde_json::from_str(FRAGMENT).unwrap();
    let fragment = Document::parse("fragment", fragment.to_string()).unwrap();
    let upstream = Document::parse("upstream", UPSTREAM.to_owned()).unwrap();
    let drift = drift(&fragment, &upstream, &allowed).unwrap();
    assert_eq!(drift.verdict(), Some(Verdict::Breaking));
    assert_eq!(drift.unused.len(), 0);
    insta::assert_snapshot!(drift.to_string());
}

#[test]
fn an_entry_that_allows_nothing_is_told() {
    let allowed = [xtask::drift::Allowed {
        change: "*".to_owned(),
        at: "/nowhere".to_owned(),
        reason: "none".to_owned(),
    }];
    let document = Document::parse("same", UPSTREAM.to_owned()).unwrap();
    let drift = drift(&document, &document, &allowed).unwrap();
    assert_eq!(
        drift.to_string(),
        "unused      the allowed difference `*` at /nowhere isn't there any more\n\
         0 breaking, 0 compatible, 0 allowed\n"
    );
}

#[test]
fn the_whole_document_drifts_as_its_slice_does() {
    let fragment = Document::parse("fragment", FRAGMENT.to_owned()).unwrap();
    let words = |text: String| {
        let upstream = Document::parse("upstream", text).unwrap();
        let drift = drift(&fragment, &upstream, &[]).unwrap();
        let changes = drift.changes.iter();
        changes
            .map(|change| format!("{change:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(words(large::document(1 << 20)), words(UPSTREAM.to_owned()));
}
