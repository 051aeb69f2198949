//! A second look at a body that the generated code could not read.
//!
//! The API promises no field, so one that can't be read must not hide the
//! others: it is left out and named. What can't be done without still fails,
//! with the path to it.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use crate::generated::types::ServiceToken;

/// The most fields that are left out before the body is given up, so that a
/// hostile answer can't keep the caller busy.
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

/// Reads an envelope, leaving out what is neither the envelope's own nor readable.
pub(crate) fn envelope<T: DeserializeOwned>(
    mut document: Value,
) -> Result<Decoded<T>, Undecodable> {
    let mut unreadable = Vec::new();
    for list in ["errors", "messages"] {
        give_an_empty_list(&mut document, list, &mut unreadable);
    }
    let (value, left_out) = without_unreadable(document, |parents, last| match (parents, last) {
        ([], Segment::Map { key }) => key != "success" && key != "result",
        // An entry of a list of results is what the caller asked for; its
        // fields are not.
        ([Segment::Map { key }], Segment::Seq { .. }) => key != "result",
        _ => true,
    })?;
    unreadable.extend(left_out);
    Ok(Decoded { value, unreadable })
}

/// Reads a body as a `T`, leaving nothing out.
pub(crate) fn exactly<T: DeserializeOwned>(body: &[u8]) -> Result<T, Undecodable> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| Undecodable {
        path: error.path().to_string(),
        fault: fault(error.inner()),
    })
}

/// Reads a service token, of which every field may be left out.
pub(crate) fn service_token(fields: Map<String, Value>) -> Decoded<ServiceToken> {
    match without_unreadable(Value::Object(fields), |_, _| true) {
        Ok((value, unreadable)) => Decoded { value, unreadable },
        Err(_) => Decoded {
            value: ServiceToken::default(),
            unreadable: Vec::new(),
        },
    }
}

/// Reads a `T`, leaving out one thing after the other that can't be read, as
/// long as `may_leave_out` allows it.
fn without_unreadable<T: DeserializeOwned>(
    mut document: Value,
    may_leave_out: fn(&[Segment], &Segment) -> bool,
) -> Result<(T, Vec<String>), Undecodable> {
    let mut left_out = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize(&document) {
            Ok(value) => return Ok((value, left_out)),
            Err(error) => error,
        };
        let segments: Vec<Segment> = error.path().iter().cloned().collect();
        let may_go_on = left_out.len() < MOST_LEFT_OUT
            && segments
                .split_last()
                .is_some_and(|(last, parents)| may_leave_out(parents, last));
        if !may_go_on || !remove(&mut document, &segments) {
            return Err(Undecodable {
                path: error.path().to_string(),
                fault: fault(error.inner()),
            });
        }
        left_out.push(error.path().to_string());
    }
}

/// Puts an empty list where the envelope's own lists are null, absent or of
/// another type; only the last is worth a word.
fn give_an_empty_list(document: &mut Value, list: &str, unreadable: &mut Vec<String>) {
    let Some(fields) = document.as_object_mut() else {
        return;
    };
    match fields.get(list) {
        Some(Value::Array(_)) => return,
        None | Some(Value::Null) => {}
        Some(_) => unreadable.push(list.to_owned()),
    }
    fields.insert(list.to_owned(), Value::Array(Vec::new()));
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
    if let Some((_, expected)) = words.rsplit_once(", expected ") {
        format!("expected {expected}")
    } else if words.starts_with("missing field") {
        words
    } else {
        "the value is of no form that is known".to_owned()
    }
}
