//! Finds a new client secret in an answer.
//!
//! The secret is the text at `result.client_secret`, whatever the rest of the answer
//! looks like. Text elsewhere that looks like a secret is only reported by its place: a
//! caller that stored the wrong text would lose the secret.

use std::fmt;

use secrecy::SecretString;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::answer::read::fields;
use crate::answer::redact::{holds_client_secret, is_client_secret};

/// The field that holds the secret.
const CLIENT_SECRET: &str = "client_secret";
/// The maximum number of places to report.
const MAX_PLACES: usize = 10;
/// The place of a secret that is found only in the text of a body.
const BODY: &str = "body";
/// A secret is longer than this: both known forms have more than fifty characters.
const MIN_SECRET_LEN: usize = 16;

/// Returns the client secret of a result, if the API's field holds a plausible one.
pub(crate) fn secret_of(result: &RawValue) -> Option<SecretString> {
    let mut found: Option<String> = None;
    let mut is_ambiguous = false;
    for (name, value) in fields(result) {
        if name == CLIENT_SECRET {
            let text = serde_json::from_str(value.get()).ok();
            is_ambiguous |= found.is_some() && found != text;
            found = text;
        }
    }
    let secret = found.filter(|secret| is_plausible(secret) && !is_ambiguous)?;
    Some(secret.into())
}

/// Returns the client secret at `result.client_secret` of a body, if it is plausible.
pub(crate) fn secret_of_body(body: &[u8]) -> Option<SecretString> {
    let document = serde_json::from_slice(body).ok()?;
    let (_, result) = fields(document)
        .into_iter()
        .rfind(|(name, _)| name == "result")?;
    secret_of(result)
}

/// Whether a text can be a client secret of any form: visible ASCII that is longer than a
/// word and not a mask such as `********`.
fn is_plausible(text: &str) -> bool {
    let first = text.bytes().next();
    text.len() >= MIN_SECRET_LEN
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.bytes().all(|byte| Some(byte) == first)
}

/// The places in a body at which a client secret may be.
pub(crate) struct Places {
    pub(crate) paths: Vec<String>,
    /// Whether all of the body could be searched.
    pub(crate) is_whole: bool,
}

/// Searches a body of any shape for client secrets.
pub(crate) fn places(body: &[u8]) -> Places {
    let text = String::from_utf8_lossy(body);
    let mut search = Search {
        path: Vec::new(),
        places: Vec::new(),
    };
    let whole = Part {
        search: &mut search,
        is_named: false,
    };
    let mut deserializer = serde_json::Deserializer::from_str(&text);
    let is_whole = whole.deserialize(&mut deserializer).is_ok();
    let mut paths = search.places;
    if paths.is_empty() && !is_whole && holds_client_secret(&text) {
        paths.push(BODY.to_owned());
    }
    Places { paths, is_whole }
}

struct Search {
    path: Vec<String>,
    places: Vec<String>,
}

/// A part of the answer, which is searched.
struct Part<'a> {
    search: &'a mut Search,
    /// Whether a field with the name of a secret is above.
    is_named: bool,
}

impl Part<'_> {
    fn within(&mut self, segment: String, is_named: bool) -> Part<'_> {
        self.search.path.push(segment);
        Part {
            search: self.search,
            is_named: self.is_named || is_named,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let Search { path, places } = self.search;
        let may_be_secret = is_client_secret(text) || self.is_named && is_plausible(text);
        if may_be_secret && places.len() < MAX_PLACES {
            let place = path.concat();
            places.push(place.strip_prefix('.').unwrap_or(&place).to_owned());
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            // The lists of the envelope only quote secrets, and a client id is not one.
            if ["errors", "messages", "client_id"].contains(&name.as_str()) {
                map.next_value::<serde::de::IgnoredAny>()?;
                continue;
            }
            let is_named = name.to_ascii_lowercase().contains("secret");
            let part = self.within(format!(".{name}"), is_named);
            map.next_value_seed(part)?;
            self.search.path.pop();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let part = self.within(format!("[{index}]"), false);
            let next = list.next_element_seed(part)?;
            self.search.path.pop();
            if next.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const FORMED: &str = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";

    fn secret(result: &str) -> Option<String> {
        let raw: &RawValue = serde_json::from_str(result).unwrap();
        secret_of(raw).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn only_a_plausible_text_at_its_field_is_the_secret() {
        let of = |value: &str| secret(&format!(r#"{{"id":7,"client_secret":{value}}}"#));
        assert_eq!(of(&format!("{FORMED:?}")).as_deref(), Some(FORMED));
        let unknown = "cfsec2_0123456789";
        assert_eq!(of(&format!("{unknown:?}")).as_deref(), Some(unknown));
        for value in [
            r#""""#,
            r#"" ""#,
            r#""\n""#,
            r#""********""#,
            r#""********************""#,
            r#""hidden""#,
            r#""shown only once, see above""#,
            "null",
            "7",
            r#"{"algorithm":"sha256"}"#,
            "[]",
        ] {
            assert_eq!(of(value), None, "{value}");
        }
        for result in ["[]", "null", r#""text""#, "{}"] {
            assert_eq!(secret(result), None, "{result}");
        }
    }

    #[test]
    fn two_different_secrets_in_one_field_are_ambiguous() {
        let twice = |other: &str| {
            secret(&format!(
                r#"{{"client_secret":"{FORMED}","client_secret":"{other}"}}"#
            ))
        };
        assert_eq!(twice(FORMED).as_deref(), Some(FORMED));
        assert_eq!(twice("cfsec2_0123456789"), None);
    }

    #[test]
    fn places_are_found_by_name_and_by_form() {
        let body = format!(
            r#"{{"errors":["{FORMED}"],"result":[{{"client_id":"{FORMED}","n":1e2,"token":"{FORMED}",
                "clientSecret":{{"hint":"x","value":"cfsec2_0123456789"}}}}]}}"#
        );
        let found = places(body.as_bytes());
        assert_eq!(
            found.paths,
            ["result[0].token", "result[0].clientSecret.value"]
        );
        assert!(found.is_whole);
        let cut = places(&body.as_bytes()[..body.len() - 4]);
        assert_eq!((cut.paths.len(), cut.is_whole), (2, false));
        let page = places(b"<html>");
        assert_eq!((page.paths.len(), page.is_whole), (0, false));
    }

    #[test]
    fn the_search_is_bounded() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(places(deep.as_bytes()).paths, [""; 0]);
        let many = format!("[{}]", vec![format!("{FORMED:?}"); 1000].join(","));
        assert_eq!(places(many.as_bytes()).paths.len(), MAX_PLACES);
    }
}
