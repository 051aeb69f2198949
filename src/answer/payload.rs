//! The types of results, and how each is read.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::answer::read::{Undecodable, Unreadable, entries, exactly_at, fields, lenient_object};
use crate::answer::rescue;
use crate::call::pages::{Listed, MAX_ENTRIES, Page};
use crate::generated::types::{AccountInfo, ApiToken, Organization, ResultInfo, ServiceToken};
use crate::tokens::issued::IssuedServiceToken;

/// The type of a result, or of an entry of one.
pub(crate) trait Payload: Sized {
    /// Whether a result is accepted without a `success` in the envelope.
    const IS_SHOWN_ONCE: bool = false;

    /// Reads the part of an answer at this path, which is not null.
    fn read(
        part: &RawValue,
        path: &str,
        result_info: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable>;

    /// Returns the value for a success without a result, if `Self` has one.
    fn nothing() -> Option<Self> {
        None
    }
}

/// An object whose unreadable fields are left out.
trait Lenient: DeserializeOwned + Default + PartialEq {}

impl Lenient for AccountInfo {}
impl Lenient for ApiToken {}
impl Lenient for ServiceToken {}

impl<T: Lenient> Payload for T {
    fn read(
        part: &RawValue,
        path: &str,
        _: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        lenient_object(part, path, unreadable)
    }
}

impl Payload for Organization {
    fn read(
        part: &RawValue,
        path: &str,
        _: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        let mut organization: Self = lenient_object(part, path, unreadable)?;
        // Without the field there is no clean-up, so settings that can't be read must not be
        // left out: their readable fields are kept.
        let settings = fields(part)
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
        part: &RawValue,
        path: &str,
        result_info: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        let entries = entries(part, MAX_ENTRIES + 1)
            .ok_or_else(|| Undecodable::at(path, "expected a list"))?;
        if entries.len() > MAX_ENTRIES {
            let fault = format!("more than {MAX_ENTRIES} {} on one page", T::NAMES);
            return Err(Undecodable::at(path, fault));
        }
        let entries = entries
            .into_iter()
            .enumerate()
            .map(|(index, entry)| T::read(entry, &format!("{path}[{index}]"), None, unreadable));
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
        part: &RawValue,
        path: &str,
        _: Option<&RawValue>,
        unreadable: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        let Some(secret) = rescue::secret_of(part) else {
            let path = format!("{path}.client_secret");
            return Err(Undecodable::at(path, "expected a client secret"));
        };
        Ok(Self::new(lenient_object(part, path, unreadable)?, secret))
    }
}

/// A value that is read strictly: the caller may need a field that would be left out.
pub(crate) struct Strict<T>(pub(crate) T);

impl<T: DeserializeOwned> Payload for Strict<T> {
    fn read(
        part: &RawValue,
        path: &str,
        _: Option<&RawValue>,
        _: &mut Unreadable,
    ) -> Result<Self, Undecodable> {
        exactly_at(part, path).map(Self)
    }

    fn nothing() -> Option<Self> {
        serde_json::from_str("null").ok().map(Self)
    }
}
