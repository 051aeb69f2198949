//! Compares `deprecated` and `x-fern-availability`.

use serde_json::Value;

const DEPRECATED: &str = "deprecated";
const AVAILABLE: &str = "generally-available";

/// The change between two places, each given as the parts that speak of it, in words.
pub fn availability_change(ours: &[&Value], theirs: &[&Value]) -> Option<String> {
    match (availability(ours), availability(theirs)) {
        (old, new) if old == new => None,
        (_, DEPRECATED) => Some("deprecated now".to_owned()),
        (DEPRECATED, AVAILABLE) => Some("no longer deprecated".to_owned()),
        (old, new) => Some(format!("{new} now, and was {old}")),
    }
}

/// Returns the suffix that a new item of a list gets; empty if it is generally available.
pub fn added_availability(part: &Value) -> String {
    match availability(&[part]) {
        AVAILABLE => String::new(),
        word => format!(", {word}"),
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
    stated.next_back().unwrap_or(AVAILABLE)
}
