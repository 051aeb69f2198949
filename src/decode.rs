//! Reads JSON that the generated code could not read.
//!
//! The API promises no field, so one that can't be read must not hide the
//! others: it is left out and named. What can't be done without still fails,
//! with the path to it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use crate::generated::types::ServiceToken;

/// The most fields that are left out of one thing before it is given up, so that
/// a hostile answer can't keep the caller busy.
const MOST_LEFT_OUT: usize = 100;

/// A value, and the paths of what had to be left out of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded<T> {
    pub(crate) value: T,
    pub(crate) unreadable: Vec<String>,
}

/// Where JSON has another shape than expected, and how.
#[derive(Debug, PartialEq)]
pub(crate) struct Undecodable {
    pub(crate) path: String,
    pub(crate) fault: String,
}

/// Reads a body as a `T`, leaving nothing out.
pub(crate) fn exactly<T: DeserializeOwned>(body: &[u8]) -> Result<T, Undecodable> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| Undecodable {
        path: error.path().to_string(),
        fault: fault(error.inner()),
    })
}

/// Reads a service token, of which every field may be left out; the paths of those
/// that were go to `unreadable`.
pub(crate) fn service_token(
    token: &mut Value,
    path: &str,
    unreadable: &mut Vec<String>,
) -> Result<ServiceToken, Undecodable> {
    make_whole(object(token, path)?, "client_secret_version");
    let (token, left_out) = without_unreadable(token, |_, _| true)?;
    unreadable.extend(left_out.iter().map(|field| format!("{path}.{field}")));
    Ok(token)
}

/// The fields of what must be an object. The generated code takes a list of the
/// right length for one as well.
pub(crate) fn object<'a>(
    value: &'a mut Value,
    path: &str,
) -> Result<&'a mut Map<String, Value>, Undecodable> {
    value.as_object_mut().ok_or_else(|| Undecodable {
        path: path.to_owned(),
        fault: "expected an object".to_owned(),
    })
}

/// Reads a `T`, leaving out one thing after the other that can't be read, as
/// long as `may_leave_out` allows it.
pub(crate) fn without_unreadable<T: DeserializeOwned>(
    document: &mut Value,
    may_leave_out: fn(&[Segment], &Segment) -> bool,
) -> Result<(T, Vec<String>), Undecodable> {
    let mut left_out: Vec<Place> = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize(&*document) {
            Ok(value) => {
                let left_out = left_out.into_iter().map(|place| place.path);
                return Ok((value, left_out.collect()));
            }
            Err(error) => error,
        };
        let segments: Vec<Segment> = error.path().iter().cloned().collect();
        let place = Place::of(&segments, &left_out);
        let may_go_on = left_out.len() < MOST_LEFT_OUT
            && segments
                .split_last()
                .is_some_and(|(last, parents)| may_leave_out(parents, last));
        if !may_go_on || !remove(document, &segments) {
            return Err(Undecodable {
                path: place.path,
                fault: fault(error.inner()),
            });
        }
        left_out.push(place);
    }
}

/// Where something stood before anything was left out.
struct Place {
    path: String,
    /// For an entry of a list: the path of the list, and the entry's index.
    entry: Option<(String, usize)>,
}

impl Place {
    /// Of what stands there now. An entry of a list has moved up by those before it
    /// that were left out.
    fn of(segments: &[Segment], left_out: &[Self]) -> Self {
        let (mut path, mut entry) = (String::new(), None);
        for segment in segments {
            if let Segment::Seq { index } = segment {
                let before = left_out.iter().filter_map(|place| place.entry.as_ref());
                let index = before
                    .filter(|(list, _)| *list == path)
                    .fold(*index, |index, (_, gone)| {
                        index + usize::from(*gone <= index)
                    });
                entry = Some((path.clone(), index));
                path.push_str(&format!("[{index}]"));
            } else {
                entry = None;
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&segment.to_string());
            }
        }
        if path.is_empty() {
            path.push('.');
        }
        Self { path, entry }
    }
}

/// Writes a whole number without a point: where the API documents plain numbers,
/// `2.0` is one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the number is checked to be whole and small enough"
)]
pub(crate) fn make_whole(fields: &mut Map<String, Value>, field: &str) {
    let Some(value) = fields.get_mut(field) else {
        return;
    };
    match value.as_f64() {
        Some(number) if value.is_f64() && number.fract() == 0.0 && number.abs() < 1e15 => {
            *value = Value::from(number as i64);
        }
        _ => {}
    }
}

/// Removes what stands at the path, if something does.
fn remove(document: &mut Value, path: &[Segment]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let parent = parents
        .iter()
        .try_fold(document, |value, segment| match segment {
            Segment::Map { key } => value.get_mut(key),
            Segment::Seq { index } => value.get_mut(index),
            _ => None,
        });
    match (parent, last) {
        (Some(Value::Object(fields)), Segment::Map { key }) => fields.remove(key).is_some(),
        (Some(Value::Array(items)), Segment::Seq { index }) if *index < items.len() => {
            items.remove(*index);
            true
        }
        _ => false,
    }
}

/// What serde says, without the value that it quotes: that may be a secret.
fn fault(error: &serde_json::Error) -> String {
    let words = error.to_string();
    // Where it is in the text, the path tells better.
    let words = words.split(" at line ").next().unwrap_or_default();
    if let Some((_, expected)) = words.rsplit_once(", expected ") {
        format!("expected {expected}")
    } else if words.starts_with("missing field") {
        words.to_owned()
    } else {
        "the value is of no form that is known".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Account {
        names: Vec<String>,
        tokens: Vec<Token>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Token {
        name: Option<String>,
    }

    #[test]
    fn what_cannot_be_read_is_left_out_wherever_it_is() {
        let mut document = json!({
            "names": [1, "a", 2, "b", 3],
            "tokens": [{ "name": "c" }, { "name": 4 }, "d"],
        });
        let (account, left_out) =
            without_unreadable::<Account>(&mut document, |_, _| true).unwrap();
        let name = |name: Option<&str>| Token {
            name: name.map(ToOwned::to_owned),
        };
        assert_eq!(account.names, ["a", "b"]);
        assert_eq!(account.tokens, [name(Some("c")), name(None)]);
        let places = [
            "names[0]",
            "names[2]",
            "names[4]",
            "tokens[1].name",
            "tokens[2]",
        ];
        assert_eq!(left_out, places);
    }

    #[test]
    fn what_is_mostly_unreadable_is_refused() {
        let read = |unreadable| {
            let mut document = json!(vec![1; unreadable]);
            without_unreadable::<Vec<String>>(&mut document, |_, _| true)
        };
        assert!(read(MOST_LEFT_OUT).is_ok());
        assert_eq!(read(MOST_LEFT_OUT + 1).unwrap_err().path, "[100]");
    }
}
