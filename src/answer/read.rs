//! Reads parts of an answer: strictly, or leniently and naming what is left out.

use std::fmt;

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The maximum number of fields to read from an object.
const MAX_FIELDS: usize = 1_000;
/// The maximum number of paths of unreadable parts to keep.
pub(crate) const MAX_UNREADABLE: usize = 2_000;

/// A part of the JSON that can't be read, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Undecodable {
    /// Empty for the whole answer.
    pub(crate) path: String,
    pub(crate) fault: String,
}

impl Undecodable {
    pub(crate) fn at(path: impl Into<String>, fault: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            fault: fault.into(),
        }
    }
}

/// The paths of the parts that are left out.
#[derive(Default)]
pub(crate) struct Unreadable(pub(crate) Vec<String>);

impl Unreadable {
    pub(crate) fn push(&mut self, path: impl FnOnce() -> String) {
        if self.0.len() < MAX_UNREADABLE {
            self.0.push(path());
        }
    }
}

/// Reads JSON as a `T`, leaving nothing out.
pub(crate) fn exactly<T: DeserializeOwned>(json: &[u8]) -> Result<T, Undecodable> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| Undecodable {
        path: error.path().to_string(),
        fault: fault(error.inner()),
    })
}

/// Reads the part of an answer at this path as a `T`, leaving nothing out.
pub(crate) fn exactly_at<T: DeserializeOwned>(
    part: &RawValue,
    path: &str,
) -> Result<T, Undecodable> {
    exactly(part.get().as_bytes()).map_err(|error| Undecodable {
        path: match error.path.as_str() {
            "." => path.to_owned(),
            inner if inner.starts_with('[') => format!("{path}{inner}"),
            inner => format!("{path}.{inner}"),
        },
        ..error
    })
}

/// Reads an object with optional fields. Unreadable fields are left out, and their paths
/// noted.
pub(crate) fn lenient_object<T>(
    object: &RawValue,
    path: &str,
    unreadable: &mut Unreadable,
) -> Result<T, Undecodable>
where
    T: DeserializeOwned + Default + PartialEq,
{
    let text = object.get();
    if !text.starts_with('{') {
        return Err(Undecodable::at(path, "expected an object"));
    }
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    let mut readable: Vec<(String, Box<RawValue>)> = Vec::new();
    for (name, value) in fields(object) {
        let field = if is_readable::<T>(&name, value) {
            value.to_owned()
        } else if let Some(whole) = whole_number(value).filter(|raw| is_readable::<T>(&name, raw)) {
            whole
        } else {
            unreadable.push(|| format!("{path}.{name}"));
            continue;
        };
        // A field that leaves the default unchanged is unknown or null.
        if only::<T>(&name, &field).is_ok_and(|value| value != T::default()) {
            // If a field occurs twice, the last one counts.
            readable.retain(|(known, _)| *known != name);
            readable.push((name, field));
        }
    }
    let fields = readable
        .iter()
        .map(|(name, field)| (name.as_str(), &**field));
    T::deserialize(MapDeserializer::new(fields))
        .map_err(|error| Undecodable::at(path, fault(&error)))
}

fn is_readable<T: DeserializeOwned>(name: &str, value: &RawValue) -> bool {
    only::<T>(name, value).is_ok()
}

/// Reads an object that has this field alone.
fn only<T: DeserializeOwned>(name: &str, value: &RawValue) -> Result<T, serde_json::Error> {
    T::deserialize(MapDeserializer::new(std::iter::once((name, value))))
}

/// Returns an integer that is written with a decimal point, such as `2.0`: the API
/// documents only numbers.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the number is checked to be whole and small enough"
)]
fn whole_number(value: &RawValue) -> Option<Box<RawValue>> {
    let number: f64 = serde_json::from_str(value.get()).ok()?;
    let is_whole = number.fract() == 0.0 && number.abs() < 1e15;
    is_whole
        .then(|| serde_json::value::to_raw_value(&(number as i64)).ok())
        .flatten()
}

/// Returns the fields of an object, in order and up to [`MAX_FIELDS`]; empty for other
/// JSON.
pub(crate) fn fields(object: &RawValue) -> Vec<(String, &RawValue)> {
    struct Fields;

    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while fields.len() < MAX_FIELDS
                && let Some(field) = map.next_entry()?
            {
                fields.push(field);
            }
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(fields)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(object.get());
    deserializer.deserialize_map(Fields).unwrap_or_default()
}

/// Returns the first entries of a list; `None` for JSON that is not a list.
pub(crate) fn entries(list: &RawValue, max: usize) -> Option<Vec<&RawValue>> {
    struct Entries(usize);

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while entries.len() < self.0
                && let Some(entry) = list.next_element()?
            {
                entries.push(entry);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(entries)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(list.get());
    deserializer.deserialize_seq(Entries(max)).ok()
}

/// Returns the fault in words, without the value that serde quotes: it may be a secret.
fn fault(error: &serde_json::Error) -> String {
    let words = error.to_string();
    // The path locates the fault better than the line.
    let words = words.split(" at line ").next().unwrap_or_default();
    if let Some((_, expected)) = words.rsplit_once(", expected ") {
        format!("expected {expected}")
    } else if words.starts_with("missing field") {
        words.to_owned()
    } else if words.starts_with("recursion limit") {
        "nested too deeply".to_owned()
    } else if error.is_data() {
        "unexpected value".to_owned()
    } else {
        "not JSON".to_owned()
    }
}
