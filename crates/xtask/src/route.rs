//! Which operation is which in two documents that name things differently.

use serde_json::Value;

use crate::build::METHODS;
use crate::pointer;

/// A path without the names of its parameters, which each document chooses itself:
/// `/accounts/{}/access/service_tokens/{}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route(String);

impl Route {
    /// The route of a path.
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

    /// Whether the route is another or leads on from it, be it in an account, in a zone
    /// or in whatever else holds such things.
    pub fn is_within(&self, other: &Self) -> bool {
        self.below_holder()
            .strip_prefix(other.below_holder())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// `/access/service_tokens/{}` of `/accounts/{}/access/service_tokens/{}`.
    fn below_holder(&self) -> &str {
        let holder = self.0.split('/').nth(1).unwrap_or_default();
        let below = self.0.strip_prefix(&format!("/{holder}/{{}}"));
        below.filter(|below| !below.is_empty()).unwrap_or(&self.0)
    }
}

/// The names of a path's parameters, in their order.
pub fn parameter_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// One operation of a document, by where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// Its path without the names of the parameters.
    pub route: Route,
    /// Its HTTP method, in lower case.
    pub method: String,
    /// Its path as the document writes it.
    pub path: String,
    /// Its id in Cloudflare's document, as far as it is known.
    pub cloudflare_id: Option<String>,
    /// Its `operationId`.
    pub id: Option<String>,
    /// Whether it stands for itself, so that the operations at its path and below are of no
    /// interest.
    pub is_neighbour: bool,
}

impl Operation {
    /// Returns its id in its document, or its path if it has none.
    pub fn name(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.path)
    }

    /// The JSON pointer to it.
    pub fn pointer(&self) -> String {
        pointer::join(&pointer::join("/paths", &self.path), &self.method)
    }
}

/// The operations of a document that is read whole.
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
