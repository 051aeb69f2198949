//! A second look at an envelope that the generated code could not read.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use crate::decode::{Decoded, Undecodable, make_whole, object, without_unreadable};
use crate::envelope::{Envelope, Undelivered};
use crate::generated::types::ApiMessage;

/// An envelope whose lists hold nothing but what can be read; its result is as it
/// came.
pub(crate) struct Tidied {
    document: Value,
    unreadable: Vec<String>,
}

impl Tidied {
    /// Leaves out of the envelope's lists what can't be read.
    pub(crate) fn new(mut document: Value) -> Self {
        let mut unreadable = Vec::new();
        if let Value::Object(fields) = &mut document {
            for list in ["errors", "messages"] {
                tidy_messages(fields, list, &mut unreadable);
            }
        }
        Self {
            document,
            unreadable,
        }
    }

    /// What the envelope tells beside its result, whatever that is.
    pub(crate) fn remarks(&self) -> Undelivered {
        let list = |name: &str| {
            let entries = self.document.get(name).and_then(Value::as_array);
            let entries = entries.into_iter().flatten();
            entries
                .filter_map(|entry| ApiMessage::deserialize(entry).ok())
                .collect()
        };
        Undelivered {
            refused: self.document.get("success") == Some(&Value::Bool(false)),
            errors: list("errors"),
            messages: list("messages"),
        }
    }

    /// The whole envelope, without what is neither its own nor readable.
    pub(crate) fn envelope<E: Envelope + DeserializeOwned>(
        mut self,
    ) -> Result<Decoded<E>, Undecodable> {
        let fields = object(&mut self.document, ".")?;
        if let Some(result) = fields.get_mut("result").filter(|result| !result.is_null()) {
            E::tidy(result, &mut self.unreadable)?;
        }
        let (value, left_out) = without_unreadable(&mut self.document, |parents, last| {
            match (parents, last) {
                ([], Segment::Map { key }) => key != "success" && key != "result",
                // An entry of a list of results is what the caller asked for; its
                // fields are not.
                ([Segment::Map { key }], Segment::Seq { .. }) => key != "result",
                _ => true,
            }
        })?;
        self.unreadable.extend(left_out);
        Ok(Decoded {
            value,
            unreadable: self.unreadable,
        })
    }
}

/// Makes one of the envelope's own lists a list of what can be read of it. It may
/// be null or absent, or one entry that is in no list.
fn tidy_messages(fields: &mut Map<String, Value>, list: &str, unreadable: &mut Vec<String>) {
    let entries = match fields.remove(list) {
        Some(Value::Array(entries)) => entries,
        Some(entry @ Value::Object(_)) => vec![entry],
        None | Some(Value::Null) => Vec::new(),
        Some(_) => {
            unreadable.push(list.to_owned());
            Vec::new()
        }
    };
    let mut readable = Vec::with_capacity(entries.len());
    for (index, mut entry) in entries.into_iter().enumerate() {
        let path = format!("{list}[{index}]");
        let left_out = object(&mut entry, &path)
            .map(|fields| make_whole(fields, "code"))
            .and_then(|()| without_unreadable::<ApiMessage>(&mut entry, |_, _| true));
        match left_out {
            Ok((_, left_out)) => {
                unreadable.extend(left_out.iter().map(|field| format!("{path}.{field}")));
                readable.push(entry);
            }
            Err(_) => unreadable.push(path),
        }
    }
    fields.insert(list.to_owned(), Value::Array(readable));
}
