//! The servers of an operation.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schema::Located;

/// The servers that apply to an operation.
pub struct Servers {
    /// The URLs, without a trailing slash, and with the defaults of their variables.
    pub urls: BTreeSet<String>,
    /// The place of their list.
    pub pointer: String,
}

impl Servers {
    /// Returns the servers of the first place that names any: the operation's override
    /// the path item's, which override the document's.
    pub fn in_force(places: &[&Located<'_>]) -> Self {
        let mut lists = places.iter().filter_map(|place| place.child("servers"));
        let Some(list) = lists.find(|list| list.items().next().is_some()) else {
            return Self {
                urls: BTreeSet::new(),
                pointer: "/servers".to_owned(),
            };
        };
        Self {
            urls: list.items().map(|server| url(server.value)).collect(),
            pointer: list.pointer,
        }
    }
}

fn url(server: &Value) -> String {
    let mut url = server["url"].as_str().unwrap_or_default().to_owned();
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        let default = variable["default"].as_str().unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), default);
    }
    url.trim_end_matches('/').to_owned()
}
