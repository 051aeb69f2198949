//! The credentials that an operation takes.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::schema::Located;
use crate::pointer;

/// The ways to authenticate to an operation.
pub struct Security {
    /// The ways, each as the set of credentials that it needs together, such as an email address
    /// and a key. An empty set is a call without authentication.
    pub ways: BTreeSet<BTreeSet<String>>,
    /// The place of their list.
    pub pointer: String,
}

impl Security {
    /// Reads the ways of the operation, or those of the document if the operation has none.
    ///
    /// # Errors
    ///
    /// The document lacks a scheme that is named.
    pub fn in_force(operation: &Located<'_>, document: &Located<'_>) -> Result<Self> {
        let places = [operation, document];
        let Some(list) = places.iter().find_map(|place| place.child("security")) else {
            return Ok(Self {
                ways: BTreeSet::from([BTreeSet::new()]),
                pointer: "/security".to_owned(),
            });
        };
        let mut ways = BTreeSet::new();
        for way in list.items() {
            let mut credentials = BTreeSet::new();
            for (name, scopes) in way.children() {
                let scheme = scheme(document.value, name)
                    .with_context(|| format!("{}: the scheme `{name}`", way.pointer))?;
                let scopes = scopes.value.as_array().into_iter().flatten();
                let scopes = scopes.filter_map(Value::as_str);
                credentials.extend(scopes.map(|scope| format!("{scheme} with scope {scope}")));
                credentials.insert(scheme);
            }
            ways.insert(credentials);
        }
        // An empty list overrides that of the document.
        if ways.is_empty() {
            ways.insert(BTreeSet::new());
        }
        Ok(Self {
            ways,
            pointer: list.pointer,
        })
    }

    /// Returns whether a caller that authenticates in this way is accepted.
    pub fn accepts(&self, way: &BTreeSet<String>) -> bool {
        self.ways.iter().any(|one| one.is_subset(way))
    }
}

/// Returns a way to authenticate in words.
pub fn words(way: &BTreeSet<String>) -> String {
    if way.is_empty() {
        return "no credentials".to_owned();
    }
    way.iter().cloned().collect::<Vec<_>>().join(" and ")
}

/// Returns a scheme by its kind, since each document chooses its name.
fn scheme(document: &Value, name: &str) -> Result<String> {
    let place = pointer::join("/components/securitySchemes", name);
    let value = document.pointer(&place).context("it doesn't exist")?;
    let scheme = Located {
        value,
        pointer: place,
    }
    .resolved(document)?
    .value;
    let text = |field: &str| scheme[field].as_str().unwrap_or_default();
    Ok(match text("type") {
        "apiKey" => format!("{} {}", text("in"), text("name")),
        "http" => format!("{} authentication", text("scheme").to_lowercase()),
        "openIdConnect" => format!("openIdConnect {}", text("openIdConnectUrl")),
        "oauth2" => {
            let flows = scheme["flows"].as_object().into_iter().flatten();
            let flows = flows.map(|(flow, urls)| {
                let url = ["tokenUrl", "authorizationUrl"].map(|field| urls[field].as_str());
                format!(
                    " {flow} {}",
                    url.into_iter().flatten().next().unwrap_or_default()
                )
            });
            format!("oauth2{}", flows.collect::<String>())
        }
        other => other.to_owned(),
    })
}
