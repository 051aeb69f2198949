//! The credentials of a client: exactly one of Cloudflare's two schemes.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::client::environment::{API_KEY, API_TOKEN, EMAIL, Environment, USER_SERVICE_KEY};
use crate::error::Error;

const X_AUTH_EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
const X_AUTH_KEY: HeaderName = HeaderName::from_static("x-auth-key");

/// The headers that credentials travel in.
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

impl Credentials {
    /// The credentials to use: those given to the builder, or else those of
    /// the environment. The two are never mixed.
    pub(crate) fn choose(
        explicit: Vec<Self>,
        environment: Option<&Environment>,
    ) -> Result<Self, Error> {
        match (<[Self; 1]>::try_from(explicit), environment) {
            (Ok([credentials]), _) => Ok(credentials),
            (Err(several), _) if !several.is_empty() => Err(Error::credentials(format!(
                "{} are configured, but a request can carry one of them only; leave the others out",
                list(several.iter().map(Self::scheme))
            ))),
            (Err(_), Some(environment)) => Self::from_environment(environment),
            (Err(_), None) => Err(Error::credentials(
                "no credentials are configured; give the builder an API token with `api_token`",
            )),
        }
    }

    fn from_environment(environment: &Environment) -> Result<Self, Error> {
        let secret = |name| environment.secret(name).map_err(Error::about_credentials);
        let api_token = secret(API_TOKEN)?;
        let email = secret(EMAIL)?.map(|email| email.expose_secret().to_owned());
        let api_key = secret(API_KEY)?;
        match (api_token, email, api_key) {
            (Some(token), None, None) => {
                usable(API_TOKEN, token.expose_secret())?;
                Ok(Self::ApiToken(token))
            }
            (None, Some(email), Some(key)) => {
                usable(EMAIL, &email)?;
                usable(API_KEY, key.expose_secret())?;
                Ok(Self::GlobalKey { email, key })
            }
            (Some(_), email, api_key) => {
                let others = [(EMAIL, email.is_some()), (API_KEY, api_key.is_some())];
                let others = others.iter().filter(|(_, is_set)| *is_set);
                let found = [API_TOKEN].into_iter().chain(others.map(|(name, _)| *name));
                Err(Error::credentials(format!(
                    "{} are set together, but a request can carry only one kind of credentials; \
                     keep {API_TOKEN} and unset the others",
                    list(found)
                )))
            }
            (None, _, None) if environment.is_set(USER_SERVICE_KEY) => {
                Err(Error::credentials(format!(
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

    /// The headers that carry the credentials, marked as sensitive.
    pub(crate) fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        match self {
            Self::ApiToken(token) => {
                let bearer = SecretString::from(format!("Bearer {}", checked(token, self)?));
                headers.insert(header::AUTHORIZATION, value(&bearer, self)?);
            }
            Self::GlobalKey { email, key } => {
                let email = SecretString::from(email.as_str());
                checked(&email, self)?;
                checked(key, self)?;
                headers.insert(X_AUTH_EMAIL, value(&email, self)?);
                headers.insert(X_AUTH_KEY, value(key, self)?);
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

    /// Returns the name of this way of authenticating, for people.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::ApiToken(_) => "an API token",
            Self::GlobalKey { .. } => "an e-mail address with a global key",
        }
    }
}

fn half_of_a_global_key(set: &str, missing: &str) -> Error {
    Error::credentials(format!(
        "{set} is set without {missing}; set both, or set {API_TOKEN} alone"
    ))
}

/// The error of an environment that holds no credentials at all.
fn none(environment: &Environment) -> Error {
    let variables = [API_TOKEN, EMAIL, API_KEY];
    let empty = variables.iter().find(|name| environment.is_empty(name));
    Error::credentials(match empty {
        // CI systems set the variable of a secret that is missing to nothing.
        Some(name) => format!("{name} is set but empty; give it a value or unset it"),
        None => format!(
            "no credentials in the environment: looked at {}; set {API_TOKEN}",
            list(variables)
        ),
    })
}

/// The secret as text, if it can be one.
fn checked<'a>(secret: &'a SecretString, credentials: &Credentials) -> Result<&'a str, Error> {
    let text = secret.expose_secret();
    match fault(text) {
        None => Ok(text),
        Some(fault) => Err(Error::credentials(format!(
            "{} is configured, but a part of it {fault}; copy it again, whole and alone",
            credentials.scheme()
        ))),
    }
}

/// Checks what a variable holds, so that the error can name the variable.
fn usable(variable: &str, text: &str) -> Result<(), Error> {
    match fault(text) {
        None => Ok(()),
        Some(fault) => Err(Error::credentials(format!(
            "{variable} {fault}; set it again, whole and alone"
        ))),
    }
}

/// Why a text can't be sent as a credential.
fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        Some("is empty")
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("holds a space, a line break or a character that is not ASCII")
    } else {
        None
    }
}

fn value(secret: &SecretString, credentials: &Credentials) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(secret.expose_secret()).map_err(|_| {
        Error::credentials(format!(
            "{} is configured, but can't be sent in a header",
            credentials.scheme()
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// `a, b and c`.
fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.into_iter().collect();
    match items.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
