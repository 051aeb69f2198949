//! How a client proves who it is: exactly one of Cloudflare's three schemes.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::environment::{API_KEY, API_TOKEN, EMAIL, Environment, USER_SERVICE_KEY};
use crate::error::Error;

const X_AUTH_EMAIL: HeaderName = HeaderName::from_static("x-auth-email");
const X_AUTH_KEY: HeaderName = HeaderName::from_static("x-auth-key");
const X_AUTH_USER_SERVICE_KEY: HeaderName = HeaderName::from_static("x-auth-user-service-key");

/// The headers that credentials travel in.
pub(crate) const HEADERS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    X_AUTH_EMAIL,
    X_AUTH_KEY,
    X_AUTH_USER_SERVICE_KEY,
];

/// One of the ways to authenticate to Cloudflare's API.
#[derive(Clone)]
pub(crate) enum Credentials {
    /// An API token, in the header `Authorization`.
    ApiToken(SecretString),
    /// An e-mail address with the global API key of its user.
    GlobalKey { email: String, key: SecretString },
    /// A user service key, as Cloudflare's own services use.
    UserServiceKey(SecretString),
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
        let service_key = secret(USER_SERVICE_KEY)?;

        let found: Vec<&str> = [
            (API_TOKEN, api_token.is_some()),
            (EMAIL, email.is_some()),
            (API_KEY, api_key.is_some()),
            (USER_SERVICE_KEY, service_key.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, is_set)| is_set.then_some(name))
        .collect();

        match (api_token, email, api_key, service_key) {
            (Some(token), None, None, None) => {
                usable(API_TOKEN, token.expose_secret())?;
                Ok(Self::ApiToken(token))
            }
            (None, Some(email), Some(key), None) => {
                usable(EMAIL, &email)?;
                usable(API_KEY, key.expose_secret())?;
                Ok(Self::GlobalKey { email, key })
            }
            (None, None, None, Some(key)) => {
                usable(USER_SERVICE_KEY, key.expose_secret())?;
                Ok(Self::UserServiceKey(key))
            }
            (None, None, None, None) => Err(Error::credentials(format!(
                "no credentials in the environment: looked at {}; set {API_TOKEN}",
                list([API_TOKEN, EMAIL, API_KEY, USER_SERVICE_KEY])
            ))),
            (None, Some(_), None, None) => Err(Error::credentials(format!(
                "{EMAIL} is set but {API_KEY} is not, and one is of no use without the other; \
                 set both, or {API_TOKEN} alone"
            ))),
            (None, None, Some(_), None) => Err(Error::credentials(format!(
                "{API_KEY} is set but {EMAIL} is not, and one is of no use without the other; \
                 set both, or {API_TOKEN} alone"
            ))),
            _ => Err(Error::credentials(format!(
                "{} are set together, but they don't belong together, and a request can carry one kind \
                 of credentials only; unset all but {API_TOKEN}, or all but one kind",
                list(found)
            ))),
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
            Self::UserServiceKey(key) => {
                checked(key, self)?;
                headers.insert(X_AUTH_USER_SERVICE_KEY, value(key, self)?);
            }
        }
        Ok(headers)
    }

    /// What must never be printed.
    pub(crate) fn secrets(&self) -> Vec<SecretString> {
        match self {
            Self::ApiToken(secret)
            | Self::GlobalKey { key: secret, .. }
            | Self::UserServiceKey(secret) => vec![secret.clone()],
        }
    }

    /// What people call this way of authenticating.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::ApiToken(_) => "an API token",
            Self::GlobalKey { .. } => "an e-mail address with a global key",
            Self::UserServiceKey(_) => "a user service key",
        }
    }
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
