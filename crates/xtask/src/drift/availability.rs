//! Compares `deprecated` and `x-fern-availability`.

use serde_json::Value;

const DEPRECATED: &str = "deprecated";
const AVAILABLE: &str = "generally-available";

/// Returns the change of availability in words. Each side is given as the parts of its schema.
pub fn availability_change(ours: &[&Value], theirs: &[&Value]) -> Option<String> {
    match (availability(ours), availability(theirs)) {
        (old, new) if old == new => None,
        (_, DEPRECATED) => Some("deprecated now".to_owned()),
        (DEPRECATED, AVAILABLE) => Some("no longer deprecated".to_owned()),
        (old, new) => Some(format!("{new} now, and was {old}")),
    }
}

/// Returns the suffix for a new item of a list; empty if the item is generally available.
pub fn added_availability(part: &Value) -> String {
    match availability(&[part]) {
        AVAILABLE => String::new(),
        word => format!(", {word}"),
    }
}

/// Returns a word of `x-fern-availability`.
fn availability<'a>(parts: &[&'a Value]) -> &'a str {
    if parts.iter().any(|part| part[DEPRECATED] == true) {
        return DEPRECATED;
    }
    let mut stated = parts
        .iter()
        .filter_map(|part| part["x-fern-availability"].as_str());
    stated.next_back().unwrap_or(AVAILABLE)
}
