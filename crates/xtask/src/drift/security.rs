//! The credentials that an operation takes.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::schema::Located;
use crate::pointer;

/// The ways to authenticate that are in force for an operation.
pub struct Security {
    /// Each way as the credentials that it takes together, such as an email address and
    /// a key. The one without any is a call without authentication.
    pub ways: BTreeSet<BTreeSet<String>>,
    /// Where they are listed, or would be.
    pub pointer: String,
}

impl Security {
    /// Reads what the operation says of it, or the document if the operation says nothing.
    ///
    /// # Errors
    ///
    /// A scheme is named that the document doesn't have.
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
        // An empty list takes back what the document says.
        if ways.is_empty() {
            ways.insert(BTreeSet::new());
        }
        Ok(Self {
            ways,
            pointer: list.pointer,
        })
    }

    /// Whether a caller that authenticates in this way is let in.
    pub fn accepts(&self, way: &BTreeSet<String>) -> bool {
        self.ways.iter().any(|one| one.is_subset(way))
    }
}

/// A way to authenticate, in words.
pub fn words(way: &BTreeSet<String>) -> String {
    if way.is_empty() {
        return "no credentials".to_owned();
    }
    way.iter().cloned().collect::<Vec<_>>().join(" and ")
}

/// A scheme by what it is, since each document names it as it likes.
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
