//! A service token with its new secret, which the API shows only once.

use std::fmt;
use std::ops::Deref;

use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::answer::rescue;
use crate::error::Error;
use crate::generated::types::ServiceToken;
use crate::response::Response;

const CF_ACCESS_CLIENT_ID: HeaderName = HeaderName::from_static("cf-access-client-id");
const CF_ACCESS_CLIENT_SECRET: HeaderName = HeaderName::from_static("cf-access-client-secret");

/// A service token with its new secret.
///
/// The API returns the secret only once, so store it before anything else. The fields
/// of the token are available by deref. Cloudflare documents the response without
/// `expires_at`, `last_seen_at` and `client_secret_version`;
/// [`get`](crate::ServiceTokens::get) returns the first two.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// use cf_service_tokens::CreateServiceToken;
///
/// let issued = tokens.create(&CreateServiceToken::new("backup")).await?;
/// assert!(!issued.credentials().expose_secret().is_empty()); // store it now
/// assert_eq!(issued.name.as_deref(), Some("backup"));
///
/// let id = issued.id.as_deref().ok_or("the API gave no id")?;
/// println!("valid until {:?}", tokens.get(id).await?.expires_at);
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug)]
pub struct IssuedServiceToken {
    token: ServiceToken,
    credentials: ServiceTokenCredentials,
}

impl IssuedServiceToken {
    pub(crate) fn new(token: ServiceToken, client_secret: SecretString) -> Self {
        let credentials = ServiceTokenCredentials {
            client_id: token.client_id.clone(),
            client_secret,
        };
        Self { token, credentials }
    }

    /// Returns the token without its secret.
    ///
    /// See the example of [`into_parts`](Self::into_parts).
    pub fn token(&self) -> &ServiceToken {
        &self.token
    }

    /// Returns the client id and the new secret.
    ///
    /// See the example of [`into_parts`](Self::into_parts).
    pub fn credentials(&self) -> &ServiceTokenCredentials {
        &self.credentials
    }

    /// Returns the token and its credentials, each by value.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::CreateServiceToken;
    ///
    /// let issued = tokens.create(&CreateServiceToken::new("backup")).await?.into_inner();
    /// assert_eq!(issued.token().name.as_deref(), Some("backup"));
    /// assert!(issued.credentials().client_id().is_some());
    /// let (token, credentials) = issued.into_parts();
    /// assert_eq!(token.client_id.as_deref(), credentials.client_id());
    /// # Ok(()) }) }
    /// ```
    pub fn into_parts(self) -> (ServiceToken, ServiceTokenCredentials) {
        (self.token, self.credentials)
    }
}

impl Deref for IssuedServiceToken {
    type Target = ServiceToken;

    fn deref(&self) -> &ServiceToken {
        &self.token
    }
}

impl Response<ServiceToken> {
    /// Returns the credentials with a new client secret, if the response contains one.
    /// The response to an update that raised the
    /// [`client_secret_version`](crate::UpdateServiceToken::client_secret_version) may
    /// contain one, although Cloudflare documents none. **No later call returns it
    /// again**, so store it before anything else.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::UpdateServiceToken;
    /// # let simulator = Simulator::builder().token(SeedToken::new("deploy")).lenient_answers().start().await?;
    /// # let (client, tokens) = connect(&simulator);
    /// # let id = simulator.tokens()[0].id.clone();
    ///
    /// let raise = UpdateServiceToken::new().client_secret_version(2);
    /// let response = tokens.update(&id, &raise).await?;
    /// let credentials = response.new_credentials().ok_or("the response holds no secret")?;
    /// assert!(!credentials.expose_secret().is_empty()); // store it now
    ///
    /// let rename = UpdateServiceToken::new().name("deploy 2");
    /// assert!(tokens.update(&id, &rename).await?.new_credentials().is_none());
    /// # Ok(()) }) }
    /// ```
    pub fn new_credentials(&self) -> Option<ServiceTokenCredentials> {
        Some(ServiceTokenCredentials {
            client_id: self.client_id.clone(),
            client_secret: rescue::secret_of_body(self.body())?,
        })
    }
}

/// The client id and the client secret of a service token, which authenticate a machine to
/// an app behind Access.
///
/// `Debug` does not show the secret; only [`expose_secret`](Self::expose_secret) and
/// the two header forms return it. Its memory is wiped on drop. The memory of the
/// response is not: a [`Response`](crate::Response) keeps the body until it is dropped
/// or [taken apart](crate::Response::into_inner), and the network stack keeps copies.
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
    /// Creates credentials from a client id and a secret that were stored earlier.
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
    /// API's response lacked it; [`get`](crate::ServiceTokens::get) returns it then.
    ///
    /// See the example of [`new`](Self::new).
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Returns the secret, still wrapped.
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

    /// Returns the secret itself. Pass it only to the place that stores it.
    ///
    /// See the example of [`new`](Self::new).
    pub fn expose_secret(&self) -> &str {
        self.client_secret.expose_secret()
    }

    /// Returns the two headers that an app behind Access expects, marked as sensitive, so
    /// that HTTP libraries neither log nor compress them.
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
    /// An error for which [`Error::is_configuration`] holds, if the client id is missing, or
    /// if one of the two can't be sent in a header.
    pub fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(CF_ACCESS_CLIENT_ID, sensitive(self.known_client_id()?)?);
        headers.insert(CF_ACCESS_CLIENT_SECRET, sensitive(self.expose_secret())?);
        Ok(headers)
    }

    /// Returns the value of a single header that contains both, for an app that is configured
    /// to read them from one header, often `Authorization`.
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
    /// The same as for [`headers`](Self::headers).
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
                "the credentials have no client id, since the API's answer had none; `get` returns the token with its client id",
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
            "the service token's credentials contain a character that can't be sent in a header; copy them again, without anything around them",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}
