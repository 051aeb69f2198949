//! Matches the operations of two documents that name things differently.

use serde_json::Value;

use crate::build::METHODS;
use crate::pointer;

/// A path without the names of its parameters, which each document chooses itself:
/// `/accounts/{}/access/service_tokens/{}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route(String);

impl Route {
    /// Returns the route of a path.
    pub fn of(path: &str) -> Self {
        let segments = path.trim_end_matches('/').split('/').map(|segment| {
            if segment.starts_with('{') && segment.ends_with('}') {
                "{}"
            } else {
                segment
            }
        });
        Self(segments.collect::<Vec<_>>().join("/"))
    }

    /// Returns whether the route is `other` or continues it, in an account, a zone or any other
    /// holder.
    pub fn is_within(&self, other: &Self) -> bool {
        self.below_holder()
            .strip_prefix(other.below_holder())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the route without its holder: `/access/service_tokens/{}` of
    /// `/accounts/{}/access/service_tokens/{}`.
    fn below_holder(&self) -> &str {
        let holder = self.0.split('/').nth(1).unwrap_or_default();
        let below = self.0.strip_prefix(&format!("/{holder}/{{}}"));
        below.filter(|below| !below.is_empty()).unwrap_or(&self.0)
    }
}

/// Returns the names of a path's parameters, in order.
pub fn parameter_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// The place of an operation in a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// The path without the names of its parameters.
    pub route: Route,
    /// The HTTP method, in lower case.
    pub method: String,
    /// The path as the document writes it.
    pub path: String,
    /// The id in Cloudflare's document, if it is known.
    pub cloudflare_id: Option<String>,
    /// The `operationId`.
    pub id: Option<String>,
    /// Whether other operations at its path and below are ignored.
    pub is_neighbour: bool,
}

impl Operation {
    /// Returns its id in its document, or its path if it has none.
    pub fn name(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.path)
    }

    /// Returns the JSON pointer to the operation.
    pub fn pointer(&self) -> String {
        pointer::join(&pointer::join("/paths", &self.path), &self.method)
    }
}

/// Returns the operations of a parsed document.
pub fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let methods = METHODS.iter().filter_map(move |method| {
                let operation = item.get(*method)?;
                let text = |field: &str| operation[field].as_str().map(ToOwned::to_owned);
                let id = text("operationId");
                Some(Operation {
                    route: Route::of(path),
                    method: (*method).to_owned(),
                    path: path.clone(),
                    cloudflare_id: text("x-cloudflare-operation-id").or_else(|| id.clone()),
                    id,
                    is_neighbour: operation["x-neighbour"] == true,
                })
            });
            methods.collect::<Vec<_>>()
        })
        .collect()
}
