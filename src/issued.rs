//! A service token whose secret has just been made: the only time it is shown.

use std::fmt;
use std::ops::Deref;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::{Map, Value};

use crate::decode::{self, Decoded};
use crate::error::Error;
use crate::generated::types::ServiceToken;
use crate::redact;
use crate::response::Response;

const CF_ACCESS_CLIENT_ID: HeaderName = HeaderName::from_static("cf-access-client-id");
const CF_ACCESS_CLIENT_SECRET: HeaderName = HeaderName::from_static("cf-access-client-secret");

/// The field that holds the secret.
const CLIENT_SECRET: &str = "client_secret";

/// A service token with its new secret.
///
/// The API shows the secret in this answer and never again, so store it before
/// anything else. The fields of the token are available by deref. Of these,
/// `expires_at`, `last_seen_at` and `client_secret_version` are `None` in the answers
/// that Cloudflare documents; [`get`](crate::ServiceTokens::get) returns the first two.
///
/// ```
/// use cf_service_tokens::CreateServiceToken;
/// # use cf_service_tokens::Client;
/// # use cf_service_tokens_simulator::{SeedToken, Simulator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
/// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
/// # let tokens = client.account(simulator.account_id())?.service_tokens();
///
/// let issued = tokens.create(&CreateServiceToken::new("backup")).await?;
/// assert!(!issued.credentials().expose_secret().is_empty()); // store it now
/// assert_eq!(issued.name.as_deref(), Some("backup"));
///
/// let id = issued.id.as_deref().ok_or("the API gave no id")?;
/// println!("valid until {:?}", tokens.get(id).await?.expires_at);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct IssuedServiceToken {
    token: ServiceToken,
    credentials: ServiceTokenCredentials,
}

impl IssuedServiceToken {
    /// The token as the API shows it from now on.
    ///
    /// See the example of [`into_parts`](Self::into_parts).
    pub fn token(&self) -> &ServiceToken {
        &self.token
    }

    /// What the token's users need.
    ///
    /// See the example of [`into_parts`](Self::into_parts).
    pub fn credentials(&self) -> &ServiceTokenCredentials {
        &self.credentials
    }

    /// The token and its credentials, each on its own.
    ///
    /// ```
    /// use cf_service_tokens::CreateServiceToken;
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    ///
    /// let issued = tokens.create(&CreateServiceToken::new("backup")).await?.into_inner();
    /// assert_eq!(issued.token().name.as_deref(), Some("backup"));
    /// assert!(issued.credentials().client_id().is_some());
    /// let (token, credentials) = issued.into_parts();
    /// assert_eq!(token.client_id.as_deref(), credentials.client_id());
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_parts(self) -> (ServiceToken, ServiceTokenCredentials) {
        (self.token, self.credentials)
    }

    /// Finds the secret in an answer of another shape than documented, so that
    /// it is not lost, with as much of the token as can be read.
    pub(crate) fn rescue(document: &Value) -> Option<Decoded<Self>> {
        let client_secret = find_secret(document)?;
        let mut unreadable = Vec::new();
        let token = find_token(document)
            .and_then(|fields| {
                let mut fields = Value::Object(fields.clone());
                decode::service_token(&mut fields, "result", &mut unreadable).ok()
            })
            .unwrap_or_default();
        let credentials = ServiceTokenCredentials {
            client_id: token.client_id.clone(),
            client_secret,
        };
        Some(Decoded {
            value: Self { token, credentials },
            unreadable,
        })
    }
}

impl Deref for IssuedServiceToken {
    type Target = ServiceToken;

    fn deref(&self) -> &ServiceToken {
        &self.token
    }
}

impl<'de> Deserialize<'de> for IssuedServiceToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let Some(Value::String(client_secret)) = fields.remove(CLIENT_SECRET) else {
            return Err(D::Error::missing_field(CLIENT_SECRET));
        };
        let token = ServiceToken::deserialize(Value::Object(fields)).map_err(D::Error::custom)?;
        let credentials = ServiceTokenCredentials {
            client_id: token.client_id.clone(),
            client_secret: client_secret.into(),
        };
        Ok(Self { token, credentials })
    }
}

impl Response<ServiceToken> {
    /// Returns the credentials with a new client secret, if the answer holds one. The
    /// answer to an update that raised the
    /// [`client_secret_version`](crate::UpdateServiceToken::client_secret_version)
    /// may hold one, although Cloudflare documents none. **No later call shows it
    /// again**, so store it before anything else.
    ///
    /// ```
    /// use cf_service_tokens::UpdateServiceToken;
    /// # use cf_service_tokens::Client;
    /// # use cf_service_tokens_simulator::{SeedToken, Simulator};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).lenient_answers().start().await?;
    /// # let client = Client::builder().base_url(simulator.base_url()).api_token(simulator.api_token()).build()?;
    /// # let tokens = client.account(simulator.account_id())?.service_tokens();
    /// # let id = simulator.tokens()[0].id.clone();
    ///
    /// let raise = UpdateServiceToken::new().client_secret_version(2);
    /// let answer = tokens.update(&id, &raise).await?;
    /// let credentials = answer.new_credentials().ok_or("the answer holds no secret")?;
    /// assert!(!credentials.expose_secret().is_empty()); // store it now
    ///
    /// let rename = UpdateServiceToken::new().name("deploy 2");
    /// assert!(tokens.update(&id, &rename).await?.new_credentials().is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new_credentials(&self) -> Option<ServiceTokenCredentials> {
        let document: Value = serde_json::from_slice(self.body()).ok()?;
        Some(ServiceTokenCredentials {
            client_id: self.client_id.clone(),
            client_secret: named_secret(&document)?.into(),
        })
    }
}

/// What authenticates a machine to an app behind Access: the client id and the
/// client secret of a service token.
///
/// The secret shows itself in no `Debug`, and is handed out by
/// [`expose_secret`](Self::expose_secret) and the two header forms alone. Its memory
/// is wiped when this is dropped. That of the answer that it came in is not: a
/// [`Response`](crate::Response) keeps the body until it is dropped or
/// [taken apart](crate::Response::into_inner), and what decoding and the network
/// left in memory is out of reach.
///
/// ```
/// use cf_service_tokens::ServiceTokenCredentials;
///
/// let credentials = ServiceTokenCredentials::new("88bf3b6d.access.example.com", "the secret");
/// let request = reqwest::Client::new()
///     .get("https://app.example.com/")
///     .headers(credentials.headers()?);
/// assert!(!format!("{credentials:?}").contains("the secret"));
/// # Ok::<(), cf_service_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct ServiceTokenCredentials {
    client_id: Option<String>,
    client_secret: SecretString,
}

impl ServiceTokenCredentials {
    /// Credentials that were stored earlier.
    ///
    /// ```
    /// # use cf_service_tokens::ServiceTokenCredentials;
    /// let credentials = ServiceTokenCredentials::new("88bf3b6d.access.example.com", "the secret");
    /// assert_eq!(credentials.client_id(), Some("88bf3b6d.access.example.com"));
    /// assert_eq!(credentials.expose_secret(), "the secret");
    /// ```
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<SecretString>) -> Self {
        Self {
            client_id: Some(client_id.into()),
            client_secret: client_secret.into(),
        }
    }

    /// Returns the value of the header `CF-Access-Client-Id`. It is `None` only if the
    /// API's answer to create or rotate lacked it; [`get`](crate::ServiceTokens::get)
    /// returns it then.
    ///
    /// See the example of [`new`](Self::new).
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The secret, still wrapped.
    ///
    /// ```
    /// # use cf_service_tokens::ServiceTokenCredentials;
    /// let credentials = ServiceTokenCredentials::new("88bf3b6d.access.example.com", "the secret");
    /// let kept = credentials.client_secret().clone(); // wiped when it is dropped, too
    /// assert!(!format!("{kept:?}").contains("the secret"));
    /// ```
    pub fn client_secret(&self) -> &SecretString {
        &self.client_secret
    }

    /// The secret itself: see that it goes nowhere but to where it is kept.
    ///
    /// See the example of [`new`](Self::new).
    pub fn expose_secret(&self) -> &str {
        self.client_secret.expose_secret()
    }

    /// The two headers that an app behind Access expects by Cloudflare's
    /// documentation, marked as sensitive,
    /// so that HTTP libraries neither log nor compress them.
    ///
    /// ```
    /// # use cf_service_tokens::ServiceTokenCredentials;
    /// let credentials = ServiceTokenCredentials::new("88bf3b6d.access.example.com", "the secret");
    /// let headers = credentials.headers()?;
    /// assert_eq!(headers["cf-access-client-id"], "88bf3b6d.access.example.com");
    /// assert!(headers["cf-access-client-secret"].is_sensitive());
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// One for which [`Error::is_configuration`] holds, if there is no client
    /// id, or if one of the two can't be sent in a header.
    pub fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(CF_ACCESS_CLIENT_ID, sensitive(self.known_client_id()?)?);
        headers.insert(CF_ACCESS_CLIENT_SECRET, sensitive(self.expose_secret())?);
        Ok(headers)
    }

    /// Both in the value of one header, for an app that is set up to read them
    /// from there; which header that is, is the app's own choice (often
    /// `Authorization`).
    ///
    /// ```
    /// # use cf_service_tokens::ServiceTokenCredentials;
    /// let credentials = ServiceTokenCredentials::new("88bf3b6d.access.example.com", "the secret");
    /// let value = credentials.single_header()?;
    /// let app = reqwest::Client::new().get("https://app.example.com/").header("authorization", &value);
    /// assert!(value.to_str().is_ok_and(|both| both.contains("the secret")));
    /// # Ok::<(), cf_service_tokens::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`headers`](Self::headers).
    pub fn single_header(&self) -> Result<HeaderValue, Error> {
        let both = serde_json::json!({
            "cf-access-client-id": self.known_client_id()?,
            "cf-access-client-secret": self.expose_secret(),
        });
        sensitive(SecretString::from(both.to_string()).expose_secret())
    }

    fn known_client_id(&self) -> Result<&str, Error> {
        self.client_id().ok_or_else(|| {
            Error::configuration(
                "the credentials have no client id, since the API's answer had none; get the token to learn it",
            )
        })
    }
}

impl fmt::Debug for ServiceTokenCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceTokenCredentials")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .finish()
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Error::configuration(
            "the service token's credentials hold a character that can't be sent in a header; copy them again, whole and alone",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The secret in an answer of any shape: what is named as one, or else what
/// is one by its form.
fn find_secret(document: &Value) -> Option<SecretString> {
    named_secret(document)
        .or_else(|| formed_secret(document))
        .map(SecretString::from)
}

/// The first text that is a client secret by its form, where a new one may stand:
/// what the envelope's lists quote is none, nor is a client id.
fn formed_secret(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => redact::is_client_secret(text).then_some(text),
        Value::Array(items) => items.iter().find_map(formed_secret),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !["errors", "messages", "client_id"].contains(&name.as_str()))
            .find_map(|(_, field)| formed_secret(field)),
        _ => None,
    }
}

/// The fields of the token in an answer of any shape: those beside a client id.
fn find_token(value: &Value) -> Option<&Map<String, Value>> {
    match value {
        Value::Object(fields) if fields.contains_key("client_id") => Some(fields),
        Value::Object(fields) => fields.values().find_map(find_token),
        Value::Array(items) => items.iter().find_map(find_token),
        _ => None,
    }
}

/// The first text below a field that is called a client secret.
fn named_secret(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let is_secret = name
                .replace(['_', '-'], "")
                .eq_ignore_ascii_case("clientsecret");
            if is_secret {
                first_text(field)
            } else {
                named_secret(field)
            }
        }),
        Value::Array(items) => items.iter().find_map(named_secret),
        _ => None,
    }
}

fn first_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => (!text.is_empty()).then_some(text),
        Value::Array(items) => items.iter().find_map(first_text),
        Value::Object(fields) => fields.values().find_map(first_text),
        _ => None,
    }
}
