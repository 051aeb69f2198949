//! The build script's steps: what they make of good fragments and of bad ones.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../build/mod.rs"]
mod build;

use serde_json::{Value, json};

const FRAGMENT: &str = include_str!("../openapi/service-tokens.json");
const REFRESH: &str = "/accounts/{account_id}/access/service_tokens/{service_token_id}/refresh";

/// What the build says of the fragment after a change.
fn after(change: impl FnOnce(&mut Value)) -> Result<String, String> {
    let mut document: Value = serde_json::from_str(FRAGMENT).unwrap();
    change(&mut document);
    build::rust_from_openapi(&document.to_string()).map_err(|error| error.to_string())
}

/// What the build says of a fragment that it must refuse.
fn refusal(change: impl FnOnce(&mut Value)) -> String {
    after(change).unwrap_err()
}

#[test]
fn the_fragment_becomes_the_code_that_is_compiled() {
    assert_eq!(
        build::rust_from_openapi(FRAGMENT).unwrap(),
        include_str!(concat!(env!("OUT_DIR"), "/generated.rs"))
    );
}

#[test]
fn a_renamed_field_is_renamed_in_the_code() {
    let code = after(|document| {
        let fields = &mut document["components"]["schemas"]["ServiceToken"]["properties"];
        let field = fields.as_object_mut().unwrap().remove("last_seen_at");
        fields["seen_at"] = field.unwrap();
    });
    let code = code.unwrap();
    assert!(code.contains("pub seen_at: ::std::option::Option<"));
    assert!(!code.contains("pub last_seen_at: "));
}

#[test]
fn idempotency_is_read_from_the_fragment() {
    assert!(after(|_| ()).unwrap().contains("idempotent: true"));
    let code = after(|document| document["paths"][REFRESH]["post"]["x-idempotent"] = json!(false));
    assert!(code.unwrap().contains("idempotent: false"));
}

#[test]
fn text_that_is_not_json() {
    let error = build::rust_from_openapi("{\n  \"openapi\": \"3.0.3\",\n  oops\n}")
        .err()
        .unwrap();
    insta::assert_snapshot!(error, @"at line 3, column 3: not JSON: key must be a string");
}

#[test]
fn json_that_is_not_openapi() {
    insta::assert_snapshot!(refusal(|document| *document = json!({ "swagger": "2.0" })), @r#"at openapi: the field is missing, so this is not OpenAPI; it should be "3.0.3""#);
    insta::assert_snapshot!(refusal(|document| *document = json!([])), @r#"at openapi: the field is missing, so this is not OpenAPI; it should be "3.0.3""#);
    insta::assert_snapshot!(refusal(|document| document["openapi"] = json!("3.1.0")), @r#"at openapi: the version is "3.1.0", and only OpenAPI 3.0 can be read"#);
    insta::assert_snapshot!(refusal(|document| document["openapi"] = json!(3)), @"at openapi: the version is 3, and only OpenAPI 3.0 can be read");
    insta::assert_snapshot!(refusal(|document| document["paths"] = json!([])), @"at paths: an object is expected here");
    insta::assert_snapshot!(refusal(|document| document["info"] = json!("title")), @r#"at info: not OpenAPI 3.0: invalid type: string "title", expected struct Info"#);
    insta::assert_snapshot!(
        refusal(|document| document["components"]["schemas"]["ApiMessage"]["type"] = json!("strange")),
        @"at components.schemas.ApiMessage: progenitor gave up on it: not yet implemented: invalid type: strange"
    );
}

#[test]
fn an_operation_that_lacks_what_the_sdk_must_know() {
    for field in ["operationId", "x-cloudflare-operation-id", "x-idempotent"] {
        let error = refusal(|document| {
            document["paths"][REFRESH]["post"]
                .as_object_mut()
                .unwrap()
                .remove(field);
        });
        assert!(error.contains(&format!("`{field}`")), "{error}");
        if field == "operationId" {
            insta::assert_snapshot!(error, @"at paths./accounts/{account_id}/access/service_tokens/{service_token_id}/refresh.post: the operation lacks `operationId`, a string that names the generated method");
        }
    }
}

#[test]
fn an_operation_id_that_is_taken() {
    let error = refusal(|document| {
        let refresh = document["paths"][REFRESH].clone();
        document["paths"]["/again/{account_id}/{service_token_id}"] = refresh;
    });
    insta::assert_snapshot!(error, @"at paths./again/{account_id}/{service_token_id}.post: the operationId `refresh_account_service_token` is taken by POST /accounts/{account_id}/access/service_tokens/{service_token_id}/refresh");
}

#[test]
fn what_progenitor_refuses() {
    let cookie = refusal(|document| {
        document["components"]["parameters"]["account_id"] =
            json!({ "name": "account_id", "in": "cookie", "schema": { "type": "string" } });
    });
    insta::assert_snapshot!(cookie, @"at paths./accounts/{account_id}/access/service_tokens.get: progenitor refuses it: unexpected or unhandled format in the OpenAPI document cookie parameters are not supported Cookie");
}

#[test]
fn what_progenitor_gives_up_on() {
    let missing_parameter = refusal(|document| {
        document["components"]["parameters"]
            .as_object_mut()
            .unwrap()
            .remove("account_id");
    });
    insta::assert_snapshot!(missing_parameter, @"at paths./accounts/{account_id}/access/service_tokens.get: progenitor gave up on it: key account_id is missing");

    let missing_schema = refusal(|document| {
        document["components"]["schemas"]
            .as_object_mut()
            .unwrap()
            .remove("ApiMessage");
    });
    insta::assert_snapshot!(missing_schema, @"at components.schemas.FailureEnvelope: progenitor gave up on it: $ref #/components/schemas/ApiMessage is missing");
}

#[test]
fn descriptions_become_prose_that_rustdoc_leaves_alone() {
    let code = after(|document| {
        document["components"]["schemas"]["ServiceToken"]["description"] = json!(
            "See https://example.com/a. And (not https://example.com/b):\n\n    an indented line\n\n```json\n{ \"a\": 1 }\n```\n\n```\nlet open = 1;"
        );
    });
    let code = code.unwrap();
    let doc = code.split("pub struct ServiceToken {").next().unwrap();
    let start = doc.rfind("See <").unwrap();
    insta::assert_snapshot!(doc[start..].split("*/").next().unwrap(), @r#"
    See <https://example.com/a>. And (not <https://example.com/b>):

    an indented line

    ```text
    { "a": 1 }
    ```

    ```text
    let open = 1;
    ```
    "#);
}
