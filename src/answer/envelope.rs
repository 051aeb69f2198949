//! Reads the envelope around every answer.
//!
//! The API promises no field, so an unreadable field must not hide the others: it is left
//! out, and its path is reported. Only the needed parts are read, so that memory stays
//! within a small multiple of the body, and depth costs no stack.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::answer::message::{ApiMessage, ApiMessageSource};
use crate::answer::payload::{Payload, Strict};
use crate::answer::read::{Undecodable, Unreadable, entries, fields, lenient_object};

/// The maximum number of entries of `errors` and `messages`, with their causes, to keep.
const MAX_MESSAGES: usize = 1_000;
/// The maximum depth of causes below an entry to keep.
const MAX_CHAIN_DEPTH: usize = 10;

/// The envelope around a result of type `T`. The generated methods name it as the type of the
/// answer; [`verdict`](crate::answer::verdict) reads it.
pub(crate) struct Envelope<T> {
    /// `None` if the envelope has no boolean there.
    pub(crate) success: Option<bool>,
    pub(crate) errors: Vec<ApiMessage>,
    pub(crate) messages: Vec<ApiMessage>,
    /// `Ok(None)` if there is no result.
    pub(crate) result: Result<Option<T>, Undecodable>,
    pub(crate) unreadable: Unreadable,
}

/// The envelope of a failure, read for its lists.
pub(crate) type Failure = Envelope<Strict<()>>;

impl<T: Payload> Envelope<T> {
    /// Reads the envelope of a body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Undecodable> {
        let not_json = || Undecodable::at("", "the answer is not JSON");
        let text = str::from_utf8(body).map_err(|_| not_json())?;
        serde_json::from_str(text).map_err(|_| match serde_json::from_str::<&RawValue>(text) {
            Ok(other) if !other.get().starts_with('{') => {
                Undecodable::at(".", "expected an object")
            }
            _ => not_json(),
        })
    }

    fn of(parts: Parts) -> Self {
        let mut unreadable = Unreadable::default();
        let mut room = MAX_MESSAGES;
        let errors = read_messages(parts.errors, "errors", &mut room, &mut unreadable);
        let messages = read_messages(parts.messages, "messages", &mut room, &mut unreadable);
        let success = match parts.success.map(RawValue::get) {
            Some("true") => Some(true),
            Some("false") => Some(false),
            None => None,
            Some(_) => {
                unreadable.push(|| "success".to_owned());
                None
            }
        };
        let result = parts
            .result
            .map(|result| T::read(result, "result", parts.result_info, &mut unreadable));
        Self {
            success,
            errors,
            messages,
            result: result.transpose(),
            unreadable,
        }
    }
}

impl<'de, T: Payload> Deserialize<'de> for Envelope<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Parts::default()).map(Self::of)
    }
}

/// The fields of the envelope, which are read later. `null` counts as absent, and if a field
/// occurs twice, the last one counts.
#[derive(Default)]
struct Parts<'a> {
    success: Option<&'a RawValue>,
    errors: Option<&'a RawValue>,
    messages: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    result_info: Option<&'a RawValue>,
}

impl<'de> Visitor<'de> for Parts<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Name {
            Success,
            Errors,
            Messages,
            Result,
            ResultInfo,
            #[serde(other)]
            Other,
        }

        while let Some(name) = map.next_key()? {
            let part = match name {
                Name::Success => &mut self.success,
                Name::Errors => &mut self.errors,
                Name::Messages => &mut self.messages,
                Name::Result => &mut self.result,
                Name::ResultInfo => &mut self.result_info,
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *part = map.next_value()?;
        }
        Ok(self)
    }
}

/// Reads `errors`, `messages` or a chain. Each entry may be unreadable, and a single entry
/// may take the place of the list. `room` is the number of entries that may still be read.
fn read_messages(
    list: Option<&RawValue>,
    name: &str,
    room: &mut usize,
    unreadable: &mut Unreadable,
) -> Vec<ApiMessage> {
    let Some(list) = list else {
        return Vec::new();
    };
    let entries = if list.get().starts_with('{') {
        vec![list]
    } else if let Some(entries) = entries(list, *room + 1) {
        entries
    } else {
        unreadable.push(|| name.to_owned());
        return Vec::new();
    };
    let mut messages = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let path = format!("{name}[{index}]");
        if *room == 0 {
            unreadable.push(|| path);
            break;
        }
        *room -= 1;
        messages.extend(message(entry, &path, room, unreadable));
    }
    messages
}

/// Reads one entry of `errors`, `messages` or a chain, which needs its code.
fn message(
    entry: &RawValue,
    path: &str,
    room: &mut usize,
    unreadable: &mut Unreadable,
) -> Option<ApiMessage> {
    #[derive(Default, PartialEq, Deserialize)]
    struct Parts {
        code: Option<i64>,
        message: Option<String>,
        documentation_url: Option<String>,
        source: Option<ApiMessageSource>,
    }
    let mut left_out = Unreadable::default();
    let parts = lenient_object::<Parts>(entry, path, &mut left_out).ok();
    let Some((code, parts)) = parts.and_then(|parts| Some((parts.code?, parts))) else {
        unreadable.push(|| path.to_owned());
        return None;
    };
    for path in left_out.0 {
        unreadable.push(|| path);
    }
    Some(ApiMessage {
        code,
        message: parts.message.unwrap_or_default(),
        documentation_url: parts.documentation_url,
        source: parts.source,
        error_chain: causes(entry, path, room, unreadable),
    })
}

/// Reads the `error_chain` of an entry.
fn causes(
    entry: &RawValue,
    path: &str,
    room: &mut usize,
    unreadable: &mut Unreadable,
) -> Vec<ApiMessage> {
    let chain = fields(entry)
        .into_iter()
        .rfind(|(name, value)| name == "error_chain" && value.get() != "null")
        .map(|(_, value)| value);
    let path = format!("{path}.error_chain");
    // Each level is scanned once more than the one above it.
    if chain.is_some() && path.matches("error_chain").count() > MAX_CHAIN_DEPTH {
        unreadable.push(|| path);
        return Vec::new();
    }
    read_messages(chain, &path, room, unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::read::MAX_UNREADABLE;
    use crate::call::pages::{MAX_ENTRIES, Page};
    use crate::generated::types::ServiceToken;

    fn read<T: Payload>(body: &str) -> Envelope<T> {
        Envelope::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn a_field_that_cannot_be_read_is_left_out_and_named() {
        let envelope: Envelope<Page<ServiceToken>> = read(
            r#"{"success":true,"errors":[],"messages":[],"result":[
                {"id":"a","name":7,"client_secret_version":2.0},
                {"id":"b","expires_at":"soon","x":{"y":[1]},"id":"c"}],
                "result_info":{"page":"one","count":2}}"#,
        );
        let page = envelope.result.unwrap().unwrap();
        assert_eq!(page.entries[0].id.as_deref(), Some("a"));
        assert_eq!(page.entries[0].client_secret_version, Some(2));
        assert_eq!(
            page.entries[1].id.as_deref(),
            Some("c"),
            "the last one counts"
        );
        assert_eq!(page.result_info.unwrap().count, Some(2.0));
        assert_eq!(
            envelope.unreadable.0,
            ["result[0].name", "result[1].expires_at", "result_info.page"]
        );
    }

    #[test]
    fn a_list_is_not_an_object() {
        let token = r#"["88bf3b6d.access",1,null,null,null,null,"id",null,"ci",null]"#;
        let envelope: Envelope<ServiceToken> =
            read(&format!(r#"{{"success":true,"result":{token}}}"#));
        let fault = Undecodable::at("result", "expected an object");
        assert_eq!(envelope.result, Err(fault));
        let fault = Envelope::<ServiceToken>::read(b"[true,[],[]]")
            .err()
            .unwrap();
        assert_eq!(fault, Undecodable::at(".", "expected an object"));
    }

    #[test]
    fn unreadable_entries_of_the_lists_are_left_out() {
        let envelope: Envelope<ServiceToken> = read(
            r#"{"success":false,"messages":{"code":1001,"message":"alone"},"errors":[
                {"code":6003.0,"message":"m","source":7,"error_chain":[{"code":6111,"message":"n"}]},
                {"code":1000},
                {"code":1002,"message":"o","error_chain":null},
                [1000,"p"],
                {"code":1003,"message":"q","error_chain":{}}]}"#,
        );
        assert_eq!(envelope.success, Some(false));
        let codes: Vec<i64> = envelope.errors.iter().map(|error| error.code).collect();
        assert_eq!(codes, [6003, 1000, 1002, 1003]);
        assert_eq!(envelope.errors[0].error_chain[0].code, 6111);
        assert_eq!(envelope.messages[0].message, "alone");
        assert_eq!(
            envelope.unreadable.0,
            ["errors[0].source", "errors[3]", "errors[4].error_chain[0]"]
        );
    }

    #[test]
    fn too_many_entries_are_not_kept() {
        let list = |entry: &str, count: usize| format!("[{}]", vec![entry; count].join(","));
        let many = list("7", 100_000);
        let envelope: Envelope<ServiceToken> = read(&format!(r#"{{"errors":{many}}}"#));
        assert_eq!(envelope.unreadable.0.len(), MAX_MESSAGES + 1);
        let page = |count| -> Envelope<Page<ServiceToken>> {
            read(&format!(r#"{{"result":{}}}"#, list("{}", count)))
        };
        assert!(page(MAX_ENTRIES).result.is_ok());
        let fault = page(MAX_ENTRIES + 1).result.unwrap_err();
        assert_eq!(fault.fault, "more than 10000 service tokens on one page");
        let odd = format!(r#"{{"result":{}}}"#, list(r#"{"id":7}"#, MAX_ENTRIES));
        let envelope: Envelope<Page<ServiceToken>> = read(&odd);
        assert_eq!(envelope.unreadable.0.len(), MAX_UNREADABLE);
    }

    #[test]
    fn an_answer_has_one_limit_for_all_its_messages() {
        let list = |entry: &str, count: usize| format!("[{}]", vec![entry; count].join(","));
        let causes = list(r#"{"code":1}"#, 299);
        let error = format!(r#"{{"code":2,"error_chain":{causes}}}"#);
        let errors = list(&error, 5);
        let envelope: Envelope<ServiceToken> =
            read(&format!(r#"{{"errors":{errors},"messages":{{"code":3}}}}"#));
        let kept =
            |messages: &[ApiMessage]| messages.iter().flat_map(ApiMessage::with_chain).count();
        assert_eq!(kept(&envelope.errors), MAX_MESSAGES);
        assert_eq!(kept(&envelope.messages), 0);
        assert_eq!(
            envelope.unreadable.0,
            ["errors[3].error_chain[99]", "errors[4]", "messages[0]"]
        );
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let body = format!(
            r#"{{"success":true,"result":{{"id":"a","x":{}}}}}"#,
            deep(1_000_000)
        );
        let envelope: Envelope<ServiceToken> = read(&body);
        assert_eq!(envelope.result.unwrap().unwrap().id.as_deref(), Some("a"));
        let chain = r#"[{"code":1,"message":"","error_chain":"#;
        let body = format!(
            r#"{{"errors":{}{}}}"#,
            chain.repeat(100_000),
            "}]".repeat(100_000)
        );
        let body = body.replace(":}", ":null}");
        let envelope: Envelope<ServiceToken> = read(&body);
        let deepest = format!("errors[0]{}", ".error_chain[0]".repeat(MAX_CHAIN_DEPTH));
        assert_eq!(envelope.unreadable.0, [format!("{deepest}.error_chain")]);
        let body = format!(r#"{{"result":{}}}"#, deep(1_000));
        let envelope: Envelope<Strict<serde_json::Value>> = read(&body);
        let fault = envelope.result.err().unwrap();
        assert_eq!(fault.fault, "nested too deeply");
        assert!(fault.path.starts_with("result[0][0]"), "{}", fault.path);
    }
}
