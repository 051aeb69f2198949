//! Ids, checked when they are created, so that they are safe in a path.

#[cfg(feature = "schemars")]
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::generated::types::ServiceToken;
use crate::response::Response;
use crate::tokens::issued::IssuedServiceToken;

/// A value that identifies a service token: its id, as text or as a [`ServiceTokenId`], or
/// the token itself.
///
/// The calls of [`ServiceTokens`](crate::ServiceTokens) take it. For a token without an id,
/// they return an error of the kind [`InvalidId`](crate::ErrorKind::InvalidId) and send
/// nothing. This trait is sealed: only this crate implements it.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use cf_service_tokens::ServiceTokenId;
/// # let text = simulator.tokens()[0].id.clone();
///
/// let token = tokens.get(&text).await?;
/// let token = tokens.refresh(&token).await?;
/// let id = ServiceTokenId::new(&text)?;
/// tokens.delete(&id).await?;
/// # Ok(()) }) }
/// ```
pub trait ToServiceTokenId: sealed::ToServiceTokenId {}

impl<T: sealed::ToServiceTokenId + ?Sized> ToServiceTokenId for T {}

mod sealed {
    use super::{Error, IssuedServiceToken, Response, ServiceToken, ServiceTokenId};

    pub trait ToServiceTokenId: Send + Sync {
        /// Returns the id that the value is or has.
        fn to_id(&self) -> Result<ServiceTokenId, Error>;
    }

    impl ToServiceTokenId for str {
        fn to_id(&self) -> Result<ServiceTokenId, Error> {
            ServiceTokenId::new(self)
        }
    }

    impl ToServiceTokenId for String {
        fn to_id(&self) -> Result<ServiceTokenId, Error> {
            ServiceTokenId::new(self)
        }
    }

    impl ToServiceTokenId for ServiceTokenId {
        fn to_id(&self) -> Result<ServiceTokenId, Error> {
            Ok(self.clone())
        }
    }

    impl ToServiceTokenId for ServiceToken {
        fn to_id(&self) -> Result<ServiceTokenId, Error> {
            match &self.id {
                Some(id) => ServiceTokenId::new(id),
                None => Err(super::without_id(self.name.as_deref())),
            }
        }
    }

    impl ToServiceTokenId for IssuedServiceToken {
        fn to_id(&self) -> Result<ServiceTokenId, Error> {
            (**self).to_id()
        }
    }

    impl<T: ToServiceTokenId> ToServiceTokenId for Response<T> {
        fn to_id(&self) -> Result<ServiceTokenId, Error> {
            (**self).to_id()
        }
    }

    impl<T: ToServiceTokenId + ?Sized> ToServiceTokenId for &T {
        fn to_id(&self) -> Result<ServiceTokenId, Error> {
            (**self).to_id()
        }
    }
}

/// Returns the error for a text that can't be an id.
fn invalid(what: &str, id: &str, fault: &str, hint: &str) -> Error {
    // A secret that is pasted as an id must not be printed.
    let shown = match id.len() {
        0..=36 if !id.contains("cfast_") => format!("{id:?}"),
        _ => "the given text".to_owned(),
    };
    let words = format!("{shown} is not a valid {what} id: {fault}; {hint}");
    Error::new(ErrorKind::InvalidId, words)
}

/// Returns the error for a token without an id.
fn without_id(name: Option<&str>) -> Error {
    let name = name.map(|name| format!(" {name:?}")).unwrap_or_default();
    let words = format!("the service token{name} has no id; take its id from a listing");
    Error::new(ErrorKind::InvalidId, words)
}

/// Defines the type of an id.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal, $hint:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The documented maximum length.
            pub const MAX_LEN: usize = $longest;

            /// Creates an id from a text.
            ///
            /// See the example of the [type](Self).
            ///
            /// # Errors
            ///
            /// An error of the kind [`InvalidId`](crate::ErrorKind::InvalidId), if the
            /// text is empty, is longer than [`MAX_LEN`](Self::MAX_LEN), or contains anything
            /// but ASCII letters, digits and `-`.
            pub fn new(id: impl AsRef<str>) -> Result<Self, Error> {
                let id = id.as_ref();
                check(id, Self::MAX_LEN)
                    .map_err(|fault| invalid($what, id, &fault, $hint))?;
                Ok(Self(id.into()))
            }

            /// Returns the id as text.
            ///
            /// See the example of the [type](Self).
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(id: &str) -> Result<Self, Error> {
                Self::new(id)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;

            fn try_from(id: &str) -> Result<Self, Error> {
                Self::new(id)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(id: String) -> Result<Self, Error> {
                Self::new(id)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into_string()
            }
        }

        #[cfg(feature = "schemars")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_id() -> Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": concat!("The id of a Cloudflare ", $what, "."),
                    "minLength": 1,
                    "maxLength": Self::MAX_LEN,
                    "pattern": "^[A-Za-z0-9-]+$",
                })
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

id! {
    /// The id of a Cloudflare account: 32 hexadecimal digits in practice.
    ///
    /// ```
    /// use cf_service_tokens::{AccountId, ErrorKind};
    ///
    /// let id: AccountId = "023e105f4ecef8ad9ca31a8372d0c353".parse()?;
    /// assert_eq!(id.as_str().len(), 32);
    /// assert_eq!(AccountId::new("../user").unwrap_err().kind(), ErrorKind::InvalidId);
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    AccountId, "account", 32, "the dashboard shows it under the account's overview"
}

id! {
    /// The id of a service token: a UUID in practice.
    ///
    /// It is the token's `id`, not its `client_id`.
    ///
    /// ```
    /// use cf_service_tokens::ServiceTokenId;
    ///
    /// let id: ServiceTokenId = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415".parse()?;
    /// assert_eq!(id.to_string(), "f174e90a-fafe-4643-bbbc-4a0ed4fc8415");
    ///
    /// let client_id = "88bf3b6d86161464f6509f7219099e57.access.example.com";
    /// assert!(ServiceTokenId::new(client_id).is_err());
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    ServiceTokenId, "service token", 36, "it is the token's `id`, not its `client_id`"
}

/// Checks that a text can be an id; the error says why it can't.
fn check(id: &str, longest: usize) -> Result<(), String> {
    if id.is_empty() {
        return Err("it is empty".to_owned());
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    // All bytes before it are ASCII, so a character begins here.
    if let Some(at) = id.bytes().position(|byte| !is_allowed(byte)) {
        let character = id[at..].chars().next().unwrap_or_default();
        return Err(format!(
            "{character:?} at byte {at} is not an ASCII letter, a digit or `-`"
        ));
    }
    if id.len() > longest {
        return Err(format!(
            "it has {} characters, more than {longest}",
            id.len()
        ));
    }
    Ok(())
}
