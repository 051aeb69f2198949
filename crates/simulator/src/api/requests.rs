//! The bodies and queries of requests, read into what the state machine takes.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::state::Rejection;
use crate::state::duration::{self, DEFAULT_DURATION, Lifetime};

/// The largest integer that every JSON reader holds exactly.
pub(crate) const MAX_VERSION: u64 = 1 << 53;
/// In characters, as JSON Schema counts them: Unicode code points.
const MAX_NAME_LENGTH: usize = 350;

/// A duration that was read: the text to echo, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Duration {
    pub(crate) text: String,
    pub(crate) lifetime: Lifetime,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Create {
    pub(crate) name: String,
    pub(crate) duration: Duration,
    pub(crate) client_secret_version: u64,
    pub(crate) previous_client_secret_expires_at: Option<DateTime<Utc>>,
    pub(crate) enabled: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) name: Option<String>,
    pub(crate) duration: Option<Duration>,
    pub(crate) client_secret_version: Option<u64>,
    pub(crate) previous_client_secret_expires_at: Option<DateTime<Utc>>,
    pub(crate) enabled: Option<bool>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rotate {
    pub(crate) previous_client_secret_expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) name: Option<String>,
    pub(crate) search: Option<String>,
    pub(crate) paging: Paging,
}

/// The page of a list that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paging {
    pub(crate) page: usize,
    pub(crate) per_page: usize,
}

/// The bounds of `per_page`, which each list has of its own.
#[derive(Clone, Copy)]
pub(crate) struct PerPage {
    pub(crate) default: usize,
    pub(crate) min: usize,
    pub(crate) max: usize,
}

impl Create {
    pub(crate) fn from_body(body: &[u8]) -> Result<Self, Rejection> {
        let fields = Fields::from_body(body)?;
        Ok(Self {
            name: fields
                .name()?
                .ok_or_else(|| Rejection::invalid("name", "name is required"))?,
            duration: match fields.duration()? {
                Some(duration) => duration,
                None => Duration::read(DEFAULT_DURATION)?,
            },
            client_secret_version: fields.version()?.unwrap_or(1),
            previous_client_secret_expires_at: fields.previous_expiry()?,
            enabled: fields.enabled()?.unwrap_or(true),
        })
    }
}

impl Update {
    pub(crate) fn from_body(body: &[u8]) -> Result<Self, Rejection> {
        let fields = Fields::from_body(body)?;
        let update = Self {
            name: fields.name()?,
            duration: fields.duration()?,
            client_secret_version: fields.version()?,
            previous_client_secret_expires_at: fields.previous_expiry()?,
            enabled: fields.enabled()?,
        };
        if update == Self::default() {
            return Err(Rejection::body("the body names nothing to update"));
        }
        Ok(update)
    }
}

impl Rotate {
    /// The body is optional: none at all asks for a plain rotation.
    pub(crate) fn from_body(body: &[u8]) -> Result<Self, Rejection> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self {
            previous_client_secret_expires_at: Fields::from_body(body)?.previous_expiry()?,
        })
    }
}

impl List {
    /// Reads decoded query parameters; unknown ones are ignored.
    pub(crate) fn from_query(parameters: &[(String, String)]) -> Result<Self, Rejection> {
        Ok(Self {
            name: parameter(parameters, "name").map(str::to_owned),
            search: parameter(parameters, "search").map(str::to_lowercase),
            paging: Paging::from_query(parameters, PerPage::OF_TOKENS)?,
        })
    }
}

impl PerPage {
    pub(crate) const OF_TOKENS: Self = Self {
        default: 1000,
        min: 1,
        max: 1000,
    };
    pub(crate) const OF_ACCOUNTS: Self = Self {
        default: 20,
        min: 5,
        max: 50,
    };
    pub(crate) const OF_POLICIES: Self = Self {
        default: 100,
        min: 1,
        max: 1000,
    };
    pub(crate) const OF_GROUPS_AND_APPS: Self = Self::OF_TOKENS;
}

impl Paging {
    /// Reads decoded query parameters; all others are ignored.
    pub(crate) fn from_query(
        parameters: &[(String, String)],
        per_page: PerPage,
    ) -> Result<Self, Rejection> {
        let number = |name: &'static str, default: usize, min: usize, max: usize| {
            let Some(value) = parameter(parameters, name) else {
                return Ok(default);
            };
            let number = value.parse().ok();
            number
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| {
                    let reason = format!("{name} must be a whole number from {min} to {max}");
                    Rejection::invalid(name, reason)
                })
        };
        let PerPage { default, min, max } = per_page;
        Ok(Self {
            page: number("page", 1, 1, usize::MAX)?,
            per_page: number("per_page", default, min, max)?,
        })
    }

    /// Returns the entries of the page, which holds at most `cap` of them.
    pub(crate) fn of<T>(self, entries: impl Iterator<Item = T>, cap: Option<usize>) -> Vec<T> {
        let per_page = self.per_page.min(cap.unwrap_or(usize::MAX));
        let before = (self.page - 1).saturating_mul(per_page);
        entries.skip(before).take(per_page).collect()
    }
}

fn parameter<'p>(parameters: &'p [(String, String)], wanted: &str) -> Option<&'p str> {
    let mut parameters = parameters.iter();
    parameters.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
}

impl Duration {
    fn read(text: &str) -> Result<Self, Rejection> {
        match duration::lifetime(text) {
            Ok(lifetime) => Ok(Self {
                text: text.to_owned(),
                lifetime,
            }),
            Err(reason) => Err(Rejection::invalid("duration", reason)),
        }
    }
}

/// A JSON object whose known fields are read one by one; the others are ignored.
struct Fields(Map<String, Value>);

impl Fields {
    fn from_body(body: &[u8]) -> Result<Self, Rejection> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Rejection::body("the body must be a JSON object")),
            Err(error) => Err(Rejection::body(format!("the body is not JSON: {error}"))),
        }
    }

    /// The field's value, read by `read`. `null` is a value, and one of the wrong type:
    /// the document makes no field nullable.
    fn get<T>(
        &self,
        field: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, Rejection> {
        match self.0.get(field) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(Rejection::invalid(
                    field,
                    format!("{field} must be {expected}"),
                )),
            },
        }
    }

    fn name(&self) -> Result<Option<String>, Rejection> {
        let expected = format!("a non-empty string of at most {MAX_NAME_LENGTH} characters");
        self.get("name", &expected, |value| {
            let name = value.as_str()?;
            let fits = !name.trim().is_empty() && name.chars().count() <= MAX_NAME_LENGTH;
            fits.then(|| name.to_owned())
        })
    }

    fn duration(&self) -> Result<Option<Duration>, Rejection> {
        let text = self.get("duration", "a string", |value| {
            value.as_str().map(str::to_owned)
        })?;
        text.map(|text| Duration::read(&text)).transpose()
    }

    fn version(&self) -> Result<Option<u64>, Rejection> {
        self.get("client_secret_version", "a whole number from 1", |value| {
            // The API calls it a number, so a client may well send `2.0`.
            let whole = |number: &f64| number.fract() == 0.0 && *number >= 0.0;
            let version = value
                .as_u64()
                .or_else(|| value.as_f64().filter(whole).map(|number| number as u64))?;
            (1..=MAX_VERSION).contains(&version).then_some(version)
        })
    }

    fn previous_expiry(&self) -> Result<Option<DateTime<Utc>>, Rejection> {
        self.get(
            "previous_client_secret_expires_at",
            "an RFC 3339 timestamp",
            |value| {
                // chrono takes a blank for the T.
                let text = value.as_str().filter(|text| !text.contains(' '))?;
                let time = DateTime::parse_from_rfc3339(text).ok()?;
                Some(time.with_timezone(&Utc))
            },
        )
    }

    fn enabled(&self) -> Result<Option<bool>, Rejection> {
        self.get("enabled", "a boolean", Value::as_bool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(rejection: Rejection) -> Option<&'static str> {
        match rejection {
            Rejection::Invalid { field, .. } => field,
            other => panic!("not about a field: {other:?}"),
        }
    }

    #[test]
    fn a_create_needs_a_name_and_has_defaults_for_the_rest() {
        let create = Create::from_body(br#"{"name": "CI", "unknown": [1]}"#).unwrap();
        assert_eq!(create.name, "CI");
        assert_eq!(create.duration.text, "8760h");
        assert_eq!(create.client_secret_version, 1);
        assert_eq!(create.previous_client_secret_expires_at, None);
        assert!(create.enabled);
    }

    #[test]
    fn a_wrong_value_is_blamed_on_its_field() {
        for (body, field) in [
            ("{}", "name"),
            (r#"{"name": ""}"#, "name"),
            (r#"{"name": "  "}"#, "name"),
            (r#"{"name": 7}"#, "name"),
            (r#"{"name": null}"#, "name"),
            (r#"{"name": ["x"]}"#, "name"),
            (r#"{"name": "x", "duration": null}"#, "duration"),
            (r#"{"name": "x", "enabled": null}"#, "enabled"),
            (
                r#"{"name": "x", "client_secret_version": null}"#,
                "client_secret_version",
            ),
            (
                r#"{"name": "x", "client_secret_version": [2]}"#,
                "client_secret_version",
            ),
            (
                r#"{"name": "x", "previous_client_secret_expires_at": null}"#,
                "previous_client_secret_expires_at",
            ),
            (
                r#"{"name": "x", "previous_client_secret_expires_at": 1900000000}"#,
                "previous_client_secret_expires_at",
            ),
            (
                r#"{"name": "x", "previous_client_secret_expires_at": "2030-01-01 00:00:00Z"}"#,
                "previous_client_secret_expires_at",
            ),
            (r#"{"name": "x", "duration": "1d"}"#, "duration"),
            (r#"{"name": "x", "duration": "0"}"#, "duration"),
            (r#"{"name": "x", "duration": 60}"#, "duration"),
            (
                r#"{"name": "x", "client_secret_version": 0}"#,
                "client_secret_version",
            ),
            (
                r#"{"name": "x", "client_secret_version": 1.5}"#,
                "client_secret_version",
            ),
            (
                r#"{"name": "x", "client_secret_version": "2"}"#,
                "client_secret_version",
            ),
            (
                r#"{"name": "x", "client_secret_version": 9007199254740993}"#,
                "client_secret_version",
            ),
            (
                r#"{"name": "x", "previous_client_secret_expires_at": "tomorrow"}"#,
                "previous_client_secret_expires_at",
            ),
            (r#"{"name": "x", "enabled": "yes"}"#, "enabled"),
        ] {
            let rejection = Create::from_body(body.as_bytes()).unwrap_err();
            assert_eq!(field_of(rejection), Some(field), "{body}");
        }
    }

    #[test]
    fn a_name_has_at_most_350_characters() {
        let create = |length| {
            let body = serde_json::json!({ "name": "\u{1f511}".repeat(length) });
            Create::from_body(body.to_string().as_bytes())
        };
        assert_eq!(create(350).unwrap().name.chars().count(), 350);
        assert_eq!(field_of(create(351).unwrap_err()), Some("name"));
    }

    #[test]
    fn a_version_may_be_written_with_a_point() {
        let update = Update::from_body(br#"{"client_secret_version": 2.0}"#).unwrap();
        assert_eq!(update.client_secret_version, Some(2));
    }

    #[test]
    fn a_body_must_be_a_json_object() {
        for body in ["", "{", "[]", "null", "\"x\""] {
            assert_eq!(
                field_of(Create::from_body(body.as_bytes()).unwrap_err()),
                None,
                "{body}"
            );
        }
    }

    #[test]
    fn an_update_must_name_something() {
        for body in ["{}", r#"{"nmae": "x"}"#] {
            assert_eq!(
                field_of(Update::from_body(body.as_bytes()).unwrap_err()),
                None,
                "{body}"
            );
        }
        let update = Update::from_body(br#"{"enabled": false}"#).unwrap();
        assert_eq!(update.enabled, Some(false));
    }

    #[test]
    fn a_rotate_may_come_without_a_body() {
        assert_eq!(Rotate::from_body(b"").unwrap(), Rotate::default());
        assert_eq!(Rotate::from_body(b"{}").unwrap(), Rotate::default());
        let rotate = Rotate::from_body(
            br#"{"previous_client_secret_expires_at": "2030-01-01T02:00:00+02:00"}"#,
        )
        .unwrap();
        let expected = "2030-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(rotate.previous_client_secret_expires_at, Some(expected));
        for body in [
            "{",
            "null",
            r#"{"previous_client_secret_expires_at": null}"#,
        ] {
            assert!(Rotate::from_body(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn pages_have_bounds() {
        let list =
            |name: &str, value: &str| List::from_query(&[(name.to_owned(), value.to_owned())]);
        let default = List::from_query(&[]).unwrap();
        let Paging { page, per_page } = default.paging;
        assert_eq!((page, per_page), (1, 1000));
        assert_eq!(list("page", "3").unwrap().paging.page, 3);
        assert_eq!(list("per_page", "1000").unwrap().paging.per_page, 1000);
        for (name, value) in [
            ("page", "0"),
            ("page", "-1"),
            ("page", "one"),
            ("page", ""),
            ("per_page", "0"),
            ("per_page", "1001"),
        ] {
            let rejection = list(name, value).unwrap_err();
            assert_eq!(field_of(rejection), Some(name), "{name}={value}");
        }
    }
}
