//! The JSON Schema of each output, in docs/schemas.
//!
//! `WRITE_SCHEMAS=1 cargo test -p cf-service-tokens-cli --bins schemas` writes the files.

use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use crate::commands::doctor::Check;
use crate::commands::issue::IssuedRecord;
use crate::commands::journal::EntryRecord;
use crate::commands::report::ReportRecord;
use crate::commands::show::ShowRecord;
use crate::commands::update::UpdatedRecord;
use crate::commands::verify;
use crate::records::{ChangeRecord, TokenRecord};
use crate::renew::record::{Document, Event, OfAccount};

/// The document of `renew` and `keep`.
// They write it piece by piece.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct RenewDocument {
    accounts: Vec<OfAccount<'static, Document<'static>>>,
}

/// A rule or a configuration that names a token.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct UsedBy {
    object: AccessObject,
    /// `include`, `require`, `exclude` or `scim_config`.
    place: String,
    /// The group that the rule names; null if the rule names the token itself.
    via: Option<AccessObject>,
    /// The apps that have the policy.
    apps: Vec<AccessObject>,
}

/// A policy, a group or an app.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct AccessObject {
    /// `policy`, `group` or `app`.
    kind: String,
    id: Option<String>,
    name: Option<String>,
}

fn schema<T: JsonSchema>(title: &str) -> Schema {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema
}

fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("list", schema::<Vec<TokenRecord>>("The output of list")),
        ("show", schema::<ShowRecord>("The output of show")),
        (
            "report",
            schema::<Vec<ReportRecord>>("The output of report"),
        ),
        ("renew", schema::<RenewDocument>("The output of renew")),
        (
            "renew-event",
            schema::<Event<'_>>("A line of renew --output jsonl"),
        ),
        (
            "changes",
            schema::<Vec<ChangeRecord>>("The output of refresh, enable, disable and delete"),
        ),
        ("update", schema::<UpdatedRecord>("The output of update")),
        (
            "issued",
            schema::<IssuedRecord>("The output of create and rotate"),
        ),
        ("verify", schema::<verify::Record>("The output of verify")),
        ("doctor", schema::<Vec<Check>>("The output of doctor")),
        (
            "journal",
            schema::<Vec<EntryRecord>>("The output of journal list"),
        ),
    ]
}

#[test]
fn the_schemas_are_those_of_the_records() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    for (name, schema) in schemas() {
        let path = directory.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("WRITE_SCHEMAS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap_or_default(),
            text,
            "{name}.json is out of date: see the first lines of {}",
            file!()
        );
    }
}
