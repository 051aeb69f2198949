//! Responses with wrong JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::faults::Effect;

/// A way in which the JSON of a response is wrong, see
/// [`Fault::WrongJson`](crate::Fault::WrongJson).
///
/// A call takes effect as the injection says. With `SuccessMissing`, `ArrayForObject`,
/// `FieldsOfAnotherType`, `UnknownFields` and `DeepNesting` it always takes effect, since a
/// client may read those responses as a success.
///
/// ```
/// use cf_service_tokens_simulator::{Fault, Simulator, WrongJson};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let simulator = Simulator::builder().start().await?;
/// simulator.inject(Fault::WrongJson(WrongJson::ResultNull));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WrongJson {
    /// There is no body at all.
    Empty,
    /// The text is truncated.
    Truncated,
    /// Plain text, labelled as JSON.
    NotJson,
    /// A byte that is not valid UTF-8.
    InvalidUtf8,
    /// `"result": null`, with a success.
    ResultNull,
    /// No `result`, with a success.
    ResultMissing,
    /// `"result"` is a string.
    ResultOfAnotherType,
    /// No `success`, but the result.
    SuccessMissing,
    /// The envelope within an array.
    ArrayForObject,
    /// Fields of the result that have wrong types: a token's `enabled` is a string, and its
    /// `expires_at` a number. In every other result each string is a number, and all else a
    /// string.
    FieldsOfAnotherType,
    /// Undocumented fields, in the envelope and in the result.
    UnknownFields,
    /// An unknown field that holds a hundred thousand nested arrays.
    DeepNesting,
}

impl WrongJson {
    pub(crate) const ALL: [Self; 12] = [
        Self::Empty,
        Self::Truncated,
        Self::NotJson,
        Self::InvalidUtf8,
        Self::ArrayForObject,
        Self::ResultNull,
        Self::ResultMissing,
        Self::ResultOfAnotherType,
        Self::SuccessMissing,
        Self::FieldsOfAnotherType,
        Self::UnknownFields,
        Self::DeepNesting,
    ];

    pub(crate) fn effect(self) -> Effect {
        match self {
            Self::SuccessMissing
            | Self::ArrayForObject
            | Self::FieldsOfAnotherType
            | Self::UnknownFields
            | Self::DeepNesting => Effect::Always,
            _ => Effect::Either,
        }
    }

    /// Makes wrong what was right.
    pub(crate) fn spoil(self, body: &[u8]) -> Vec<u8> {
        let mut bytes = body.to_vec();
        match self {
            Self::Empty => Vec::new(),
            Self::NotJson => b"upstream connect error or disconnect before headers".to_vec(),
            Self::Truncated => {
                bytes.truncate(body.len() / 2);
                bytes
            }
            Self::InvalidUtf8 => {
                bytes.insert(body.len() / 2, 0xff);
                bytes
            }
            Self::ArrayForObject => [b"[", body, b"]"].concat(),
            Self::DeepNesting => {
                const DEPTH: usize = 100_000;
                bytes.pop(); // the brace at the end
                bytes.extend_from_slice(b",\"nested\":");
                bytes.extend_from_slice(&[b'['; DEPTH]);
                bytes.extend_from_slice(&[b']'; DEPTH]);
                bytes.push(b'}');
                bytes
            }
            _ => {
                let mut envelope = serde_json::from_slice(body).unwrap_or_default();
                self.change(&mut envelope);
                envelope.to_string().into_bytes()
            }
        }
    }

    fn change(self, envelope: &mut Value) {
        let Some(fields) = envelope.as_object_mut() else {
            return;
        };
        match self {
            Self::ResultNull => drop(fields.insert("result".into(), Value::Null)),
            Self::ResultMissing => drop(fields.remove("result")),
            Self::ResultOfAnotherType => drop(fields.insert("result".into(), json!("done"))),
            Self::SuccessMissing => drop(fields.remove("success")),
            Self::FieldsOfAnotherType => each_object(fields.get_mut("result"), |object| {
                if object.contains_key("client_id") {
                    object.insert("enabled".into(), json!("yes"));
                    object.insert("expires_at".into(), json!(1_900_000_000));
                    return;
                }
                for value in object.values_mut() {
                    *value = if value.is_string() {
                        json!(7)
                    } else {
                        json!("yes")
                    };
                }
            }),
            Self::UnknownFields => {
                fields.insert("trace".into(), json!({ "colo": "FRA" }));
                each_object(fields.get_mut("result"), |object| {
                    object.insert("tags".into(), json!(["a", 1, null]));
                });
            }
            _ => {}
        }
    }
}

/// Changes the one object, or each of a list.
fn each_object(result: Option<&mut Value>, change: impl Fn(&mut serde_json::Map<String, Value>)) {
    match result {
        Some(Value::Object(object)) => change(object),
        Some(Value::Array(objects)) => objects
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(change),
        _ => {}
    }
}

impl fmt::Display for WrongJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty body",
            Self::Truncated => "truncated",
            Self::NotJson => "plain words",
            Self::InvalidUtf8 => "invalid UTF-8",
            Self::ArrayForObject => "an array for the envelope",
            Self::ResultNull => "result null",
            Self::ResultMissing => "result missing",
            Self::ResultOfAnotherType => "result of another type",
            Self::SuccessMissing => "success missing",
            Self::FieldsOfAnotherType => "fields of another type",
            Self::UnknownFields => "unknown fields",
            Self::DeepNesting => "deep nesting",
        })
    }
}
