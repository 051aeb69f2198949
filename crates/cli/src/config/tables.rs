//! The tables of the file, as serde reads them and as the JSON Schema describes them. Each
//! doc comment is a description in the schema.

use std::ops::Range;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::{Value, json};
use toml::Spanned;

// A string, and where it stands in the file. The schema has no use for this description.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(super) struct Text(#[schemars(with = "String", length(min = 1))] Spanned<String>);

impl Text {
    pub(super) fn as_str(&self) -> &str {
        self.0.get_ref()
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.0.span()
    }
}

/// The configuration of `cf-service-tokens keep`: accounts whose service tokens are kept
/// from expiring, and tokens whose secrets are rotated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "cf-service-tokens")]
pub(super) struct File {
    /// How long before its expiry a token is due, from 1h to 364d, in accounts that don't
    /// set it themselves. The default is 30d.
    #[schemars(extend("examples" = ["30d"]))]
    pub(super) within: Option<Text>,
    /// An account, and the rules for its tokens.
    #[schemars(length(min = 1))]
    pub(super) account: Vec<AccountTable>,
    /// The notifications after a run.
    pub(super) notify: Option<NotifyTable>,
}

/// An account, and the rules for its tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("not" = json!({ "required": ["api_token_file", "api_token_env"] })))]
pub(super) struct AccountTable {
    /// A name for the account, which messages show; unique in the file.
    #[schemars(extend("examples" = ["prod"]))]
    pub(super) name: Text,
    /// The account's id, which the dashboard shows on the account's overview page.
    #[schemars(extend("examples" = ["023e105f4ecef8ad9ca31a8372d0c353"]))]
    #[schemars(extend("pattern" = "^[0-9A-Za-z-]+$"))]
    pub(super) id: Text,
    /// A file that holds only the account's API token. It is read again when it changes.
    /// Without this and `api_token_env`, the credentials are those of the environment.
    #[schemars(extend("examples" = ["/run/secrets/cf-prod"]))]
    pub(super) api_token_file: Option<Text>,
    /// The environment variable that holds the account's API token.
    #[schemars(extend("examples" = ["CF_PROD_TOKEN"], "pattern" = VARIABLE))]
    pub(super) api_token_env: Option<Text>,
    /// How long before its expiry a token is due, from 1h to 364d.
    #[schemars(extend("examples" = ["30d"]))]
    pub(super) within: Option<Text>,
    /// Renew only these tokens: names, ids or client ids.
    #[schemars(length(min = 1), extend("examples" = [["deploy"]]))]
    pub(super) only: Option<Vec<Text>>,
    /// Don't renew these tokens: names, ids or client ids.
    #[schemars(extend("examples" = [["legacy jenkins"]]))]
    pub(super) except: Option<Vec<Text>>,
    /// Also renew tokens that expired longer ago than `within`; they work again.
    #[schemars(extend("default" = false, "examples" = [true]))]
    pub(super) include_expired: Option<bool>,
    /// Fail if the account has fewer tokens than this.
    #[schemars(range(min = 1), extend("examples" = [12]))]
    pub(super) expect_at_least: Option<usize>,
    /// A token whose secret is rotated when it is old, and where the new secret goes.
    pub(super) rotate: Option<Vec<RotateTable>>,
}

/// A token whose secret is rotated when it is old, and where the new secret goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RotateTable {
    /// The token: its name, id or client id.
    #[schemars(extend("examples" = ["deploy"]))]
    pub(super) token: Text,
    /// How old a secret may become, from 1d to 3650d.
    #[schemars(extend("examples" = ["90d"]))]
    pub(super) every: Text,
    /// How long the old secret still works, from 10m to 365d, and less than `every`. The
    /// default is 24h.
    #[schemars(extend("examples" = ["7d"]))]
    pub(super) grace: Option<Text>,
    /// Where the new secret goes: FILE, `file:FILE`, `env-file:FILE` or `command:COMMAND`.
    #[schemars(extend("examples" = ["env-file:/etc/deploy.env"]))]
    #[schemars(extend("not" = json!({ "enum": ["-", "stdout", "github-env"] })))]
    pub(super) secret_to: Text,
    /// The URL of an app behind Access, which the new secret has to open.
    #[schemars(extend("examples" = ["https://app.example.com"]))]
    #[schemars(extend("pattern" = "^https?://"))]
    pub(super) verify: Option<Text>,
    /// A program to run once the new secret is delivered and verified, and its arguments. No
    /// shell reads them.
    #[schemars(length(min = 1), extend("examples" = [["systemctl", "reload", "deploy"]]))]
    pub(super) then: Option<Vec<Text>>,
}

/// The notifications after a run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("not" = json!({ "required": ["ping_file", "ping_env"] })))]
pub(super) struct NotifyTable {
    /// A program to run after a run with a failure, and its arguments. No shell reads them.
    #[schemars(length(min = 1), extend("examples" = [["/usr/local/bin/page", "--team", "ops"]]))]
    pub(super) on_failure: Option<Vec<Text>>,
    /// A file that holds only the URL to request after each run, such as that of a health
    /// check.
    #[schemars(extend("examples" = ["/run/secrets/healthcheck-url"]))]
    pub(super) ping_file: Option<Text>,
    /// The environment variable that holds the URL to request after each run.
    #[schemars(extend("examples" = ["HEALTHCHECK_URL"], "pattern" = VARIABLE))]
    pub(super) ping_env: Option<Text>,
}

/// The name of an environment variable.
const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// Returns the JSON Schema of the file, without references.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.transforms.clear();
    });
    let mut schema = settings.into_generator().into_root_schema_for::<File>();
    let mut schema = schema.ensure_object().clone().into();
    tidy(&mut schema);
    schema
}

/// Removes the type `null`, which TOML does not have, and the line breaks of the comments.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::String(words)) = members.get_mut("description") {
                *words = words.replace('\n', " ");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(members) => members.iter_mut().for_each(tidy),
        _ => {}
    }
}
