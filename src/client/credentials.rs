//! The credentials of a client: exactly one of Cloudflare's two schemes.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::client::environment::{API_KEY, API_TOKEN, EMAIL, Environment, USER_SERVICE_KEY};
use crate::error::{Error, ErrorKind};

const X_AUTH_EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
const X_AUTH_KEY: HeaderName = HeaderName::from_static("x-auth-key");

/// The headers that carry credentials.
pub(crate) const HEADERS: [HeaderName; 3] = [header::AUTHORIZATION, X_AUTH_EMAIL, X_AUTH_KEY];

/// The credentials of a client; passed to
/// [`Client::with_credentials`](crate::Client::with_credentials).
///
/// Its `Debug` output holds no secret.
///
/// ```
/// use cf_service_tokens::Credentials;
///
/// let credentials = Credentials::ApiToken("token".into());
/// assert!(!format!("{credentials:?}").contains("token\""));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// An API token, which is sent in the header `Authorization`.
    ApiToken(SecretString),
    /// The global API key of the user who has this e-mail address.
    GlobalKey {
        /// The e-mail address.
        email: String,
        /// The key.
        key: SecretString,
    },
}

/// The owner of an API token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    User,
    Account,
    /// An older API token, which does not show its owner.
    Unknown,
}

impl Credentials {
    /// Returns the owner of the API token, by the [prefix] that Cloudflare gives it; `None`
    /// for a global key.
    ///
    /// [prefix]: https://developers.cloudflare.com/fundamentals/api/get-started/token-formats/
    pub(crate) fn owner(&self) -> Option<Owner> {
        match self {
            Self::ApiToken(token) => Some(match token.expose_secret() {
                token if token.starts_with("cfut_") => Owner::User,
                token if token.starts_with("cfat_") => Owner::Account,
                _ => Owner::Unknown,
            }),
            Self::GlobalKey { .. } => None,
        }
    }

    /// Returns the builder's credentials, or else the environment's, but never a mix of
    /// the two.
    pub(crate) fn choose(
        explicit: Vec<Self>,
        environment: Option<&Environment>,
    ) -> Result<Self, Error> {
        match (<[Self; 1]>::try_from(explicit), environment) {
            (Ok([credentials]), _) => Ok(credentials),
            (Err(several), _) if !several.is_empty() => Err(unusable(format!(
                "{} are configured, but a request can carry only one of them; leave the others out",
                list(several.iter().map(Self::scheme))
            ))),
            (Err(_), Some(environment)) => Self::from_environment(environment),
            (Err(_), None) => Err(unusable(
                "no credentials are configured; give the builder an API token with `api_token`",
            )),
        }
    }

    fn from_environment(environment: &Environment) -> Result<Self, Error> {
        let read = |name| {
            let value = environment.secret(name);
            let value = value.map_err(|error| error.with_kind(ErrorKind::Credentials))?;
            match &value {
                Some(secret) => check(secret.expose_secret(), name).map(|()| value),
                None => Ok(None),
            }
        };
        match (read(API_TOKEN)?, read(EMAIL)?, read(API_KEY)?) {
            (Some(token), None, None) => Ok(Self::ApiToken(token)),
            (None, Some(email), Some(key)) => Ok(Self::GlobalKey {
                email: email.expose_secret().to_owned(),
                key,
            }),
            (Some(_), email, api_key) => {
                let others = [(EMAIL, email.is_some()), (API_KEY, api_key.is_some())];
                let others = others.iter().filter(|(_, is_set)| *is_set);
                let found = [API_TOKEN].into_iter().chain(others.map(|(name, _)| *name));
                Err(unusable(format!(
                    "{} are set together, but a request can carry only one kind of credentials; \
                     keep {API_TOKEN} and unset the others",
                    list(found)
                )))
            }
            (None, _, None) if !matches!(environment.secret(USER_SERVICE_KEY), Ok(None)) => {
                Err(unusable(format!(
                    "{USER_SERVICE_KEY} is set, but service keys stopped working on 2026-09-30; \
                     create an API token with the permission \"Access: Service Tokens Write\" \
                     and set {API_TOKEN} to it"
                )))
            }
            (None, Some(_), None) => Err(half_of_a_global_key(EMAIL, API_KEY)),
            (None, None, Some(_)) => Err(half_of_a_global_key(API_KEY, EMAIL)),
            (None, None, None) => Err(none(environment)),
        }
    }

    /// Returns the headers that carry the credentials, marked as sensitive.
    pub(crate) fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        match self {
            Self::ApiToken(token) => {
                check(token.expose_secret(), "the API token")?;
                let bearer = SecretString::from(format!("Bearer {}", token.expose_secret()));
                headers.insert(header::AUTHORIZATION, sensitive(bearer.expose_secret())?);
            }
            Self::GlobalKey { email, key } => {
                check(email, "the e-mail address")?;
                check(key.expose_secret(), "the global API key")?;
                headers.insert(X_AUTH_EMAIL, sensitive(email)?);
                headers.insert(X_AUTH_KEY, sensitive(key.expose_secret())?);
            }
        }
        Ok(headers)
    }

    /// Returns the secrets, which must never be printed.
    pub(crate) fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::ApiToken(secret) | Self::GlobalKey { key: secret, .. } => vec![secret.clone()],
        }
    }

    /// Returns the name of the authentication scheme, for people.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::ApiToken(_) => "an API token",
            Self::GlobalKey { .. } => "an e-mail address with a global key",
        }
    }
}

/// Returns the error for credentials that are missing or can't be sent.
fn unusable(words: impl Into<String>) -> Error {
    Error::new(ErrorKind::Credentials, words)
}

fn half_of_a_global_key(set: &str, missing: &str) -> Error {
    unusable(format!(
        "{set} is set without {missing}; set both, or set {API_TOKEN} alone"
    ))
}

/// Returns the error for an environment without credentials.
fn none(environment: &Environment) -> Error {
    let variables = [API_TOKEN, EMAIL, API_KEY];
    let empty = variables.iter().find(|name| environment.is_empty(name));
    unusable(match empty {
        // CI systems set the variable of a missing secret to an empty value.
        Some(name) => format!("{name} is set but empty; give it a value or unset it"),
        None => format!(
            "the environment has no credentials in {}; set {API_TOKEN}",
            list(variables)
        ),
    })
}

/// Checks that a text can be sent as a credential; `what` names it in the error.
fn check(text: &str, what: &str) -> Result<(), Error> {
    let fault = if text.is_empty() {
        "is empty"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "contains a space, a line break or a character that is not ASCII"
    } else {
        return Ok(());
    };
    Err(unusable(format!(
        "{what} {fault}; copy the whole value and nothing else"
    )))
}

fn sensitive(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| unusable("the credentials can't be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Joins names as in `a, b and c`.
fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.into_iter().collect();
    match items.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
