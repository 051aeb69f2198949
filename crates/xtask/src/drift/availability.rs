//! Whether something may be relied on: `deprecated` and `x-fern-availability`.

use serde_json::Value;

const DEPRECATED: &str = "deprecated";

/// The change between two places, each given as the parts that speak of it, in words.
pub fn availability_change(ours: &[&Value], theirs: &[&Value]) -> Option<String> {
    match (availability(ours), availability(theirs)) {
        (old, new) if old == new => None,
        (_, DEPRECATED) => Some("deprecated now".to_owned()),
        (DEPRECATED, "generally-available") => Some("no longer deprecated".to_owned()),
        (old, new) => Some(format!("{new} now, and was {old}")),
    }
}

/// A word of `x-fern-availability`.
fn availability<'a>(parts: &[&'a Value]) -> &'a str {
    if parts.iter().any(|part| part[DEPRECATED] == true) {
        return DEPRECATED;
    }
    let mut stated = parts
        .iter()
        .filter_map(|part| part["x-fern-availability"].as_str());
    stated.next_back().unwrap_or("generally-available")
}
