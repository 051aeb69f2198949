//! Drift between the fragment and the slices of Cloudflare's document of two days.

#[path = "../support/large.rs"]
mod large;

use serde_json::{Value, json};
use xtask::document::Document;
use xtask::drift::{Allowed, allowed, drift};

const OF_2024: &str = include_str!("../data/upstream-2024-08-06.json");
const OF_2026: &str = include_str!("../data/upstream-2026-10-03.json");
const FRAGMENT: &str = include_str!("../../../../openapi/service-tokens.json");

fn list() -> Vec<Allowed> {
    allowed(&xtask::workspace::root().join(xtask::workspace::ALLOWED)).unwrap()
}

/// Returns the output of `cargo xtask drift` without the line numbers.
fn printed(upstream: &str, list: &[Allowed]) -> String {
    let fragment = Document::new("fragment", FRAGMENT.to_owned());
    let upstream = Document::new("upstream", upstream.to_owned());
    let drift = drift(&fragment, &upstream, list).unwrap();
    format!("{drift:#}")
}

/// The fragment differs only as it is meant to, and each entry of that list is needed.
#[test]
fn nothing_is_new_in_the_slice_of_2026() {
    let list = list();
    insta::assert_snapshot!(printed(OF_2026, &list), @"0 breaking, 0 compatible, 177 allowed");
    for missing in 0..list.len() {
        let mut fewer = self::list();
        let entry = fewer.remove(missing);
        assert!(
            !printed(OF_2026, &fewer).starts_with("0 breaking, 0 compatible"),
            "the entry for `{}` at {} isn't needed",
            entry.change,
            entry.at
        );
    }
}

/// The zone level is left out because it is deprecated. Whatever comes there that isn't,
/// must not hide behind that.
#[test]
fn what_is_new_at_the_zone_level_is_reported() {
    const ZONE: &str = "/zones/{zone_id}/access/service_tokens/{service_token_id}";
    const AT_ZONE: &str = "/paths/~1zones~1{zone_id}~1access~1service_tokens~1{service_token_id}";

    let mut document: Value = serde_json::from_str(OF_2026).unwrap();
    let id = "zone-level-access-service-tokens-rotate-a-service-token";
    let rotate = json!({ "operationId": id, "responses": {} });
    document["paths"][format!("{ZONE}/rotate")] = json!({ "post": rotate });
    let rotate = format!(
        "compatible  the operation {id} was added\n            fragment {AT_ZONE}~1rotate/post\n"
    );
    let report = printed(&document.to_string(), &list());
    assert!(report.starts_with(&rotate), "{report}");
    assert!(
        report.ends_with("\n0 breaking, 1 compatible, 177 allowed\n"),
        "{report}"
    );

    let mut document: Value = serde_json::from_str(OF_2026).unwrap();
    let get = &mut document["paths"][ZONE]["get"];
    for extension in ["x-fern-availability", "x-fern-ignore"] {
        get.as_object_mut().unwrap().remove(extension).unwrap();
    }
    let id = "zone-level-access-service-tokens-get-a-service-token";
    let get =
        format!("compatible  the operation {id} was added\n            fragment {AT_ZONE}/get\n");
    let report = printed(&document.to_string(), &list());
    assert!(report.starts_with(&get), "{report}");
    let dead = format!(
        "\nunused      the allowed difference `the operation {id} was added, deprecated` at \
         {AT_ZONE}/get no longer exists\n0 breaking, 1 compatible, 176 allowed\n"
    );
    assert!(report.ends_with(&dead), "{report}");
}

/// All that Cloudflare has added since the day of the slice, and nothing else.
#[test]
fn what_is_new_since_the_slice_of_2024() {
    insta::assert_snapshot!(printed(OF_2024, &list()));
}

/// OpenAPI 3.1 and 3.2 say the same in other words.
#[test]
fn the_slice_of_2026_in_a_later_openapi() {
    fn later(value: &mut Value) {
        if let Value::Array(items) = value {
            items.iter_mut().for_each(later);
        }
        let Value::Object(fields) = value else {
            return;
        };
        fields.values_mut().for_each(later);
        if fields.remove("nullable") == Some(json!(true)) {
            let one = fields.insert("type".to_owned(), json!(null));
            fields["type"] = json!([one, "null"]);
        }
        if let Some([value]) = fields
            .get("enum")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
        {
            let value = value.clone();
            fields.remove("enum");
            fields.insert("const".to_owned(), value);
        }
    }
    let mut document: Value = serde_json::from_str(OF_2026).unwrap();
    later(&mut document);
    for version in ["3.1.1", "3.2.0"] {
        document["openapi"] = json!(version);
        let text = document.to_string();
        assert!(text.contains(r#"["object","null"]"#) && text.contains(r#""const":false"#));
        assert_eq!(printed(&text, &[]), printed(OF_2026, &[]));
        let generated = |text: &str| {
            let fragment = Document::new("fragment", FRAGMENT.to_owned());
            let upstream = Document::new("upstream", text.to_owned());
            xtask::trial::generate(&fragment, &upstream)
                .unwrap()
                .unwrap()
        };
        assert!(generated(&text) == generated(OF_2026), "{version}");
    }
}

#[test]
fn an_entry_that_allows_nothing_is_told() {
    let allowed = [Allowed {
        change: "*".to_owned(),
        at: "/nowhere".to_owned(),
        reason: "none".to_owned(),
    }];
    let document = Document::new("same", OF_2024.to_owned());
    let drift = drift(&document, &document, &allowed).unwrap();
    assert_eq!(
        drift.to_string(),
        "unused      the allowed difference `*` at /nowhere no longer exists\n\
         0 breaking, 0 compatible, 0 allowed\n"
    );
}

#[test]
fn the_whole_document_drifts_as_its_slice_does() {
    assert_eq!(
        printed(&large::document(1 << 20), &[]),
        printed(OF_2024, &[])
    );
}
