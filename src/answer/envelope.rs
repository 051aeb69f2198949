//! Reads the envelope around every answer.
//!
//! The API promises no field, so an unreadable field must not hide the others: it is left
//! out, and its path is reported. Only the needed parts are read, so that memory stays
//! within a small multiple of the body, and depth costs no stack.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::answer::message::{ApiMessage, ApiMessageSource};
use crate::answer::rescue;
use crate::call::pages::{Listed, MAX_ENTRIES, Page};
use crate::generated::types::{ApiToken, Organization, ResultInfo, ServiceToken};
use crate::tokens::issued::IssuedServiceToken;

/// The maximum number of entries of `errors` and `messages`, with their causes, to keep.
const MAX_MESSAGES: usize = 1_000;
/// The maximum depth of causes below an entry to keep.
const MAX_CHAIN_DEPTH: usize = 10;
/// The maximum number of fields to read from an object.
const MAX_FIELDS: usize = 1_000;
/// The maximum number of paths of unreadable parts to keep.
const MAX_UNREADABLE: usize = 2_000;

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
    fn push(&mut self, path: impl FnOnce() -> String) {
        if self.0.len() < MAX_UNREADABLE {
            self.0.push(path());
        }
    }
}

/// The envelope around a result of type `T`. The generated methods return it by name;
/// [`verdict`](crate::answer::verdict) reads it.
pub(crate) struct Envelope<T> {
    /// `None` if the envelope has no boolean there.
    pub(crate) success: Option<bool>,
    pub(crate) errors: Vec<ApiMessage>,
    pub(crate) messages: Vec<ApiMessage>,
    /// `Ok(None)` if there is no result.
    pub(crate) result: Result<Option<T>, Undecodable>,
    pub(crate) unreadable: Unreadable,
}

/// The type of a result.
pub(crate) trait Payload: Sized {
    /// Whether a result is accepted without a `success` in the envelope.
    const IS_SHOWN_ONCE: bool = false;

    /// Reads the result, which is not null.
    fn read(
        result: &RawValue,
        result_info: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable>;

    /// Returns the value for a success without a result, if `Self` has one.
    fn nothing() -> Option<Self> {
        None
    }
}

impl<T: Payload> Envelope<T> {
    /// Reads the envelope of a body.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Undecodable> {
        let document: &RawValue = serde_json::from_slice(body)
            .map_err(|_| Undecodable::at("", "the answer is not JSON"))?;
        if document.get().starts_with('{') {
            Ok(Self::of(document))
        } else {
            Err(Undecodable::at(".", "expected an object"))
        }
    }

    fn of(document: &RawValue) -> Self {
        let [
            mut success,
            mut errors,
            mut messages,
            mut result,
            mut result_info,
        ] = [None; 5];
        for (name, value) in fields(document) {
            let field = match name.as_str() {
                "success" => &mut success,
                "errors" => &mut errors,
                "messages" => &mut messages,
                "result" => &mut result,
                "result_info" => &mut result_info,
                _ => continue,
            };
            // `null` counts as absent.
            *field = Some(value).filter(|value| value.get() != "null");
        }
        let mut unreadable = Unreadable::default();
        let mut room = MAX_MESSAGES;
        let errors = read_messages(errors, "errors", &mut room, &mut unreadable);
        let messages = read_messages(messages, "messages", &mut room, &mut unreadable);
        let success = success.map(|value| serde_json::from_str(value.get()));
        if matches!(success, Some(Err(_))) {
            unreadable.push(|| "success".to_owned());
        }
        let result = result.map(|result| T::read(result, result_info, &mut unreadable));
        Self {
            success: success.and_then(Result::ok),
            errors,
            messages,
            result: result.transpose(),
            unreadable,
        }
    }
}

/// The generated methods require it, though they decode no answer.
impl<'de, T: Payload> Deserialize<'de> for Envelope<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::of(&document))
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

impl Payload for ServiceToken {
    fn read(
        result: &RawValue,
        _: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        lenient_object(result, "result", unreadable)
    }
}

impl Payload for ApiToken {
    fn read(
        result: &RawValue,
        _: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        lenient_object(result, "result", unreadable)
    }
}

impl Payload for Organization {
    fn read(
        result: &RawValue,
        _: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        let mut organization: Self = lenient_object(result, "result", unreadable)?;
        // Without the field there is no clean-up, so settings that can't be read must not be
        // left out: their readable fields are kept.
        let settings = fields(result)
            .into_iter()
            .rfind(|(name, value)| name == "service_token_inactivity" && value.get() != "null");
        if let Some((name, settings)) = settings
            && organization.service_token_inactivity.is_none()
        {
            let mut left_out = Unreadable::default();
            let settings = lenient_object(settings, &name, &mut left_out).unwrap_or_default();
            organization.service_token_inactivity = Some(settings);
        }
        Ok(organization)
    }
}

impl<T: Listed> Payload for Page<T> {
    fn read(
        result: &RawValue,
        result_info: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        let entries = entries(result, MAX_ENTRIES + 1)
            .ok_or_else(|| Undecodable::at("result", "expected a list"))?;
        if entries.len() > MAX_ENTRIES {
            let fault = format!("more than {MAX_ENTRIES} {} on one page", T::NAMES);
            return Err(Undecodable::at("result", fault));
        }
        let entries = entries
            .into_iter()
            .enumerate()
            .map(|(index, entry)| T::read(entry, &format!("result[{index}]"), unreadable));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let result_info = result_info.and_then(|info| {
            let read: Result<ResultInfo, _> = lenient_object(info, "result_info", unreadable);
            if read.is_err() {
                unreadable.push(|| "result_info".to_owned());
            }
            read.ok()
        });
        Ok(Self {
            entries,
            result_info,
        })
    }
}

impl Payload for IssuedServiceToken {
    const IS_SHOWN_ONCE: bool = true;

    fn read(
        result: &RawValue,
        _: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        let Some(secret) = rescue::secret_of(result) else {
            return Err(Undecodable::at(
                "result.client_secret",
                "expected a client secret",
            ));
        };
        Ok(Self::new(
            lenient_object(result, "result", unreadable)?,
            secret,
        ))
    }
}

/// A result of the caller's own type, which is read strictly: the caller may need a field
/// that would be left out.
pub(crate) struct Strict<T>(pub(crate) T);

impl<T: DeserializeOwned> Payload for Strict<T> {
    fn read(
        result: &RawValue,
        _: Option<&RawValue>,
        _: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        Ok(Self(exactly_at(result, "result")?))
    }

    fn nothing() -> Option<Self> {
        serde_json::from_str("null").ok().map(Self)
    }
}

/// The envelope of a failure, read for its lists.
pub(crate) type Failure = Envelope<Strict<()>>;

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
fn entries(list: &RawValue, max: usize) -> Option<Vec<&RawValue>> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
