//! Tests `cargo xtask generate` on upstream documents.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};
use xtask::document::Document;
use xtask::drift::{Allowed, allowed};
use xtask::types;

const UPSTREAM: &str = include_str!("data/upstream-2026-10-03.json");
const FRAGMENT: &str = include_str!("../../../openapi/service-tokens.json");
const TOKENS: &str = "/accounts/{account_id}/access/service_tokens";
const TOKEN: &str = "/accounts/{account_id}/access/service_tokens/{service_token_id}";

fn list() -> Vec<Allowed> {
    allowed(&xtask::workspace::root().join(xtask::workspace::ALLOWED)).unwrap()
}

/// The lines that a document would change.
fn diff(document: &Value) -> Vec<String> {
    let fragment = Document::new("fragment", FRAGMENT.to_owned());
    let document = Document::new("document", document.to_string());
    let diff = types::diff(&fragment, &document, &list()).unwrap().unwrap();
    diff.lines().map(ToOwned::to_owned).collect()
}

/// The lines that a change of the upstream document by hand would change.
fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut document = serde_json::from_str(UPSTREAM).unwrap();
    change(&mut document);
    diff(&document)
}

fn token_fields(document: &mut Value) -> &mut Value {
    &mut document["components"]["schemas"]["access_service-tokens"]["properties"]
}

fn creation(document: &mut Value) -> &mut Value {
    &mut document["paths"][TOKENS]["post"]["requestBody"]["content"]["application/json"]["schema"]
}

fn remove(value: &mut Value, key: &str) {
    value.as_object_mut().unwrap().remove(key).unwrap();
}

#[test]
fn the_slice_of_2026_changes_nothing() {
    assert_eq!(after(|_| {}), [""; 0]);
}

#[test]
fn fields_come_and_go() {
    let found = after(|document| {
        document["components"]["schemas"]["color"] = json!({ "type": "string" });
        token_fields(document)["color"] = json!({ "$ref": "#/components/schemas/color" });
    });
    assert_eq!(found, ["+ struct ServiceToken: color: Option<String>"]);
    let found = after(|document| remove(token_fields(document), "last_seen_at"));
    assert_eq!(
        found,
        ["- struct ServiceToken: last_seen_at: Option<DateTime<Utc>>"]
    );
    let found = after(|document| {
        creation(document)["properties"]["color"] = json!({ "type": "integer" });
        creation(document)["required"] = json!(["name", "color"]);
    });
    assert_eq!(found, ["+ struct CreateServiceTokenRequest: color: i64"]);
    let found = after(|document| remove(&mut creation(document)["properties"], "name"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("- struct CreateServiceTokenRequest: name: "));
}

#[test]
fn fields_are_made_otherwise() {
    let found = after(|document| token_fields(document)["enabled"] = json!({ "type": "string" }));
    assert_eq!(
        found,
        [
            "- struct ServiceToken: enabled: Option<bool>",
            "+ struct ServiceToken: enabled: Option<String>",
        ]
    );
    let found = after(|document| creation(document)["required"] = json!(["name", "enabled"]));
    assert_eq!(
        found,
        [
            "- struct CreateServiceTokenRequest: enabled: Option<bool>",
            "+ struct CreateServiceTokenRequest: enabled: bool",
        ]
    );
    let found = after(|document| creation(document)["required"] = json!([]));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("- struct CreateServiceTokenRequest: name: "));
    assert!(found[1].starts_with("+ struct CreateServiceTokenRequest: name: Option<"));
    let found = after(|document| {
        token_fields(document)["client_id"] = json!({ "type": "string", "enum": ["a", "b"] });
    });
    assert_eq!(
        found,
        [
            "+ enum ServiceTokenClientId",
            "+ enum ServiceTokenClientId: A",
            "+ enum ServiceTokenClientId: B",
            "- struct ServiceToken: client_id: Option<String>",
            "+ struct ServiceToken: client_id: Option<ServiceTokenClientId>",
        ]
    );
}

#[test]
fn operations_come_and_go() {
    let found = after(|document| remove(&mut document["paths"], &format!("{TOKEN}/refresh")));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("- fn refresh_account_service_token(account_id: "));
    let found = after(|document| {
        let mut operation = document["paths"][TOKEN]["delete"].clone();
        operation["operationId"] = json!("access-service-tokens-revoke");
        document["paths"][format!("{TOKEN}/revoke")]["post"] = operation;
    });
    assert!(
        found.iter().any(|line| line.starts_with(
            "+ fn access_service_tokens_revoke(account_id: &'a \
             AccessServiceTokensRevokeAccountId, service_token_id: "
        )),
        "{found:#?}"
    );
    assert!(found.iter().all(|line| line.starts_with('+')), "{found:#?}");
}

#[test]
fn parameters_and_bodies_come_and_go() {
    let query = |name: &str| json!({ "in": "query", "name": name, "schema": { "type": "string" } });
    let found = after(|document| {
        document["paths"][TOKENS]["get"]["parameters"] = json!([
            document["paths"][TOKENS]["get"]["parameters"][0],
            query("name"),
            query("color"),
        ]);
    });
    let list = |arguments: &str| {
        format!(
            "fn list_account_service_tokens(account_id: &'a AccountId, {arguments}) \
             -> Result<Prepared<Envelope<Page<ServiceToken>>>, Error>"
        )
    };
    let old = "name: Option<&'a str>, page: Option<i64>, per_page: Option<i64>, \
               search: Option<&'a str>";
    assert_eq!(
        found,
        [
            format!("- {}", list(old)),
            format!(
                "+ {}",
                list("color: Option<&'a str>, name: Option<&'a str>")
            ),
        ]
    );
    let found = after(|document| {
        remove(
            &mut document["paths"][format!("{TOKEN}/rotate")]["post"],
            "requestBody",
        );
    });
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("body: &'a RotateServiceTokenRequest"));
    assert!(!found[1].contains("body"), "{found:?}");
}

#[test]
fn a_changed_fragment_is_taken_as_it_is() {
    let mut fragment: Value = serde_json::from_str(FRAGMENT).unwrap();
    assert_eq!(diff(&fragment), [""; 0]);
    let schemas = &mut fragment["components"]["schemas"];
    schemas["ServiceToken"]["properties"]["color"] = json!({ "type": "string" });
    assert_eq!(
        diff(&fragment),
        ["+ struct ServiceToken: color: Option<String>"]
    );
}

#[test]
fn a_document_that_the_generator_refuses() {
    let mut document: Value = serde_json::from_str(UPSTREAM).unwrap();
    token_fields(&mut document)["color"] = json!({ "type": "unheard of" });
    let fragment = Document::new("fragment", FRAGMENT.to_owned());
    let document = Document::new("document", document.to_string());
    let cause = types::diff(&fragment, &document, &list())
        .unwrap()
        .unwrap_err();
    assert!(
        cause.starts_with("at components.schemas.ServiceToken"),
        "{cause}"
    );
}
