//! The requests of the calls that change something.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::duration::{DurationRangeError, GoDuration, TokenDuration, saturated};
use crate::error::Error;
use crate::generated::types::{
    CreateServiceTokenRequest, RotateServiceTokenRequest, ServiceTokenName,
    UpdateServiceTokenRequest,
};

/// A request for a new service token, for
/// [`ServiceTokens::create`](crate::ServiceTokens::create).
///
/// ```
/// use cf_service_tokens::{CreateServiceToken, TokenDuration};
///
/// let for_a_month = CreateServiceToken::new("deploy").duration("720h");
/// let forever = CreateServiceToken::new("backup").duration(TokenDuration::FOREVER);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a request does nothing until it is passed to a call"]
pub struct CreateServiceToken {
    name: String,
    duration: Option<RequestedDuration>,
    enabled: Option<bool>,
    client_secret_version: Option<i64>,
    previous_client_secret_expires_at: Option<DateTime<Utc>>,
}

impl CreateServiceToken {
    /// Creates a request for a token with this name, of up to 350 characters. By default the
    /// token is enabled and valid for a year (`8760h`).
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{CreateServiceToken, TokenDuration};
    ///
    /// let issued = tokens.create(&CreateServiceToken::new("backup")).await?;
    /// assert_eq!(issued.duration, Some(TokenDuration::DEFAULT));
    /// assert_eq!(issued.enabled, Some(true));
    /// # Ok(()) }) }
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            duration: None,
            enabled: None,
            client_secret_version: None,
            previous_client_secret_expires_at: None,
        }
    }

    /// Sets how long the token is valid: a text such as `720h` or `forever`, a
    /// [`TokenDuration`], a [`GoDuration`], or a duration of `std` or `chrono`. The call
    /// refuses a text that is not a duration, and a duration that is not above zero or longer
    /// than 292 years.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use std::time::Duration;
    /// use cf_service_tokens::{CreateServiceToken, ErrorKind};
    /// use chrono::TimeDelta;
    ///
    /// let day = CreateServiceToken::new("deploy").duration("24h");
    /// assert_eq!(day, CreateServiceToken::new("deploy").duration(Duration::from_secs(86_400)));
    /// assert_eq!(day, CreateServiceToken::new("deploy").duration(TimeDelta::days(1)));
    ///
    /// let error = tokens.create(&CreateServiceToken::new("deploy").duration("1d")).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    /// assert!(error.to_string().contains("use h, m, s, ms, us or ns"));
    /// # Ok(()) }) }
    /// ```
    pub fn duration(mut self, duration: impl TryInto<TokenDuration, Error: fmt::Display>) -> Self {
        self.duration = Some(RequestedDuration::new(duration));
        self
    }

    /// Sets whether the token is enabled.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::CreateServiceToken;
    ///
    /// let for_later = CreateServiceToken::new("backup").enabled(false);
    /// assert_eq!(tokens.create(&for_later).await?.enabled, Some(false));
    /// # Ok(()) }) }
    /// ```
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = Some(enabled);
        self
    }

    /// Sets the version of the first secret; 1 by default.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{CreateServiceToken, ErrorKind};
    ///
    /// let third = CreateServiceToken::new("backup").client_secret_version(3);
    /// tokens.create(&third).await?;
    ///
    /// let none = CreateServiceToken::new("backup").client_secret_version(0);
    /// assert_eq!(tokens.create(&none).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    /// # Ok(()) }) }
    /// ```
    pub fn client_secret_version(mut self, version: i64) -> Self {
        self.client_secret_version = Some(version);
        self
    }

    /// Sets when a previous secret expires.
    ///
    /// ```
    /// use cf_service_tokens::CreateServiceToken;
    /// use chrono::{TimeDelta, Utc};
    ///
    /// let tomorrow = Utc::now() + TimeDelta::days(1);
    /// let request = CreateServiceToken::new("backup")
    ///     .client_secret_version(2)
    ///     .previous_client_secret_expires_at(tomorrow);
    /// ```
    pub fn previous_client_secret_expires_at(mut self, at: DateTime<Utc>) -> Self {
        self.previous_client_secret_expires_at = Some(at);
        self
    }

    /// Returns the request as it is sent, if the API can accept it.
    pub(crate) fn checked(&self) -> Result<CreateServiceTokenRequest, Error> {
        Ok(CreateServiceTokenRequest {
            name: checked_name(&self.name)?,
            duration: self
                .duration
                .as_ref()
                .map(RequestedDuration::checked)
                .transpose()?,
            enabled: self.enabled,
            client_secret_version: self
                .client_secret_version
                .map(checked_version)
                .transpose()?,
            previous_client_secret_expires_at: self.previous_client_secret_expires_at,
        })
    }
}

/// A request to change a service token, for
/// [`ServiceTokens::update`](crate::ServiceTokens::update). Fields that are not set stay as
/// they are.
///
/// ```
/// use cf_service_tokens::UpdateServiceToken;
///
/// let off = UpdateServiceToken::new().enabled(false);
/// let renamed = UpdateServiceToken::new().name("deploy (old)");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a request does nothing until it is passed to a call"]
pub struct UpdateServiceToken {
    name: Option<String>,
    duration: Option<RequestedDuration>,
    enabled: Option<bool>,
    client_secret_version: Option<i64>,
    previous_client_secret_expires_at: Option<DateTime<Utc>>,
}

impl UpdateServiceToken {
    /// Creates a request that changes nothing. The call refuses it until a field is set.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{ErrorKind, UpdateServiceToken};
    ///
    /// let error = tokens.update(&id, &UpdateServiceToken::new()).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidRequest, "it changes nothing");
    /// # Ok(()) }) }
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name of the token, of up to 350 characters.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::UpdateServiceToken;
    ///
    /// let token = tokens.update(&id, &UpdateServiceToken::new().name("deploy (old)")).await?;
    /// assert_eq!(token.name.as_deref(), Some("deploy (old)"));
    /// # Ok(()) }) }
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets how long the token is valid **from the moment of the call**, which moves its
    /// expiry: a renewal by something other than a year. It takes the same types as
    /// [`CreateServiceToken::duration`].
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::UpdateServiceToken;
    ///
    /// let two_years = UpdateServiceToken::new().duration("17520h");
    /// let token = tokens.update(&id, &two_years).await?;
    /// assert!(token.expires_in(Utc::now()) > Some(TimeDelta::days(729)));
    /// # Ok(()) }) }
    /// ```
    pub fn duration(mut self, duration: impl TryInto<TokenDuration, Error: fmt::Display>) -> Self {
        self.duration = Some(RequestedDuration::new(duration));
        self
    }

    /// Sets whether the token is enabled. A disabled token is kept, but its secrets don't
    /// authenticate.
    ///
    /// See the example of [`update`](crate::ServiceTokens::update).
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = Some(enabled);
        self
    }

    /// Sets the version of the secret. **A higher version than before rotates the
    /// secret.** Use [`rotate`](crate::ServiceTokens::rotate) instead: Cloudflare
    /// documents neither the new secret in the response to an update nor the current
    /// version in any response. If the response contains the secret,
    /// [`new_credentials`](crate::Response::new_credentials) returns it.
    ///
    /// The client retries an update that sets this only if the first request had no
    /// effect, since a second response would not contain the secret of the first.
    ///
    /// See the example of [`new_credentials`](crate::Response::new_credentials).
    pub fn client_secret_version(mut self, version: i64) -> Self {
        self.client_secret_version = Some(version);
        self
    }

    /// Sets when the previous secret expires, by the API's clock. An instant in the past
    /// revokes it at once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::UpdateServiceToken;
    ///
    /// let the_old_one_dies = UpdateServiceToken::new().previous_client_secret_expires_at(Utc::now());
    /// tokens.update(&id, &the_old_one_dies).await?;
    /// assert!(simulator.tokens()[0].previous_client_secret_expires_at.is_some());
    /// # Ok(()) }) }
    /// ```
    pub fn previous_client_secret_expires_at(mut self, at: DateTime<Utc>) -> Self {
        self.previous_client_secret_expires_at = Some(at);
        self
    }

    /// Whether the update may make a new secret.
    pub(crate) fn may_rotate(&self) -> bool {
        self.client_secret_version.is_some()
    }

    /// Returns the request as it is sent, if the API can accept it.
    pub(crate) fn checked(&self) -> Result<UpdateServiceTokenRequest, Error> {
        if *self == Self::default() {
            return Err(Error::invalid_request(
                "the update changes nothing; set a field",
            ));
        }
        Ok(UpdateServiceTokenRequest {
            name: self.name.as_deref().map(checked_name).transpose()?,
            duration: self
                .duration
                .as_ref()
                .map(RequestedDuration::checked)
                .transpose()?,
            enabled: self.enabled,
            client_secret_version: self
                .client_secret_version
                .map(checked_version)
                .transpose()?,
            previous_client_secret_expires_at: self.previous_client_secret_expires_at,
        })
    }
}

/// A request for a new secret, which says when the old one expires, for
/// [`ServiceTokens::rotate`](crate::ServiceTokens::rotate).
///
/// ```
/// use std::time::Duration;
/// use cf_service_tokens::RotateServiceToken;
///
/// let both_work_for_a_day = RotateServiceToken::grace(Duration::from_secs(24 * 60 * 60));
/// let only_the_new_one_works = RotateServiceToken::revoke_now();
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a request does nothing until it is passed to a call"]
pub struct RotateServiceToken {
    old_secret: OldSecret,
}

#[derive(Clone, Debug, PartialEq)]
enum OldSecret {
    Revoked,
    ValidFor(GoDuration),
    ValidUntil(DateTime<Utc>),
}

impl RotateServiceToken {
    /// Keeps the old secret valid for this long from the moment of the call, by the API's
    /// clock, so that its users have time to change. The dashboard offers 1 hour to 30 days.
    /// It takes a [`GoDuration`], or a duration of `std` or `chrono`. The call refuses a
    /// duration that is not above zero, or that is 292 years or longer.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::RotateServiceToken;
    ///
    /// let a_day = RotateServiceToken::grace(Duration::from_secs(24 * 60 * 60));
    /// assert_eq!(a_day, RotateServiceToken::grace(TimeDelta::days(1)));
    /// tokens.rotate(&id, &a_day).await?;
    /// let valid_until = simulator.tokens()[0].previous_client_secret_expires_at;
    /// assert!(valid_until > Some(Utc::now() + TimeDelta::hours(23)));
    /// # Ok(()) }) }
    /// ```
    pub fn grace(grace: impl TryInto<GoDuration, Error: Into<DurationRangeError>>) -> Self {
        Self {
            old_secret: OldSecret::ValidFor(saturated(grace)),
        }
    }

    /// Keeps the old secret valid until this instant, by the API's clock. The call refuses
    /// an instant in the past.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::{ErrorKind, RotateServiceToken};
    ///
    /// let an_hour_ago = RotateServiceToken::grace_until(Utc::now() - TimeDelta::hours(1));
    /// assert_eq!(tokens.rotate(&id, &an_hour_ago).await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    /// # Ok(()) }) }
    /// ```
    pub fn grace_until(instant: DateTime<Utc>) -> Self {
        Self {
            old_secret: OldSecret::ValidUntil(instant),
        }
    }

    /// Revokes the old secret at the moment of the call: clients that still send it fail.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
    /// use cf_service_tokens::RotateServiceToken;
    ///
    /// let issued = tokens.rotate(&id, &RotateServiceToken::revoke_now()).await?;
    /// assert!(!issued.credentials().expose_secret().is_empty()); // store it now
    /// # Ok(()) }) }
    /// ```
    pub fn revoke_now() -> Self {
        Self {
            old_secret: OldSecret::Revoked,
        }
    }

    /// Whether the old secret stays valid for a time.
    pub(crate) fn has_grace(&self) -> bool {
        self.old_secret != OldSecret::Revoked
    }

    /// Returns the request as it is sent at `now` by the API's clock, if the API can
    /// accept it.
    pub(crate) fn checked(&self, now: DateTime<Utc>) -> Result<RotateServiceTokenRequest, Error> {
        let valid_until = match self.old_secret {
            OldSecret::Revoked => None,
            OldSecret::ValidUntil(instant) if instant <= now => {
                return Err(Error::invalid_request(
                    "the grace period would end in the past; to revoke the old secret at once, use `revoke_now`",
                ));
            }
            OldSecret::ValidUntil(instant) => Some(instant),
            OldSecret::ValidFor(grace) if grace <= GoDuration::ZERO => {
                return Err(Error::invalid_request(
                    "the grace period is not longer than zero; to revoke the old secret at once, use `revoke_now`",
                ));
            }
            OldSecret::ValidFor(GoDuration::MAX) => {
                return Err(Error::invalid_request(
                    "the grace period is 292 years or longer; shorten it",
                ));
            }
            OldSecret::ValidFor(grace) => now.checked_add_signed(grace.into()),
        };
        Ok(RotateServiceTokenRequest {
            previous_client_secret_expires_at: valid_until,
        })
    }
}

/// A duration as the caller gave it, or the error of its conversion.
#[derive(Clone, Debug, PartialEq)]
struct RequestedDuration(Result<TokenDuration, String>);

impl RequestedDuration {
    fn new(duration: impl TryInto<TokenDuration, Error: fmt::Display>) -> Self {
        Self(duration.try_into().map_err(|error| error.to_string()))
    }

    /// Returns the duration as it is sent, if the API can accept it.
    fn checked(&self) -> Result<TokenDuration, Error> {
        let duration = match &self.0 {
            Ok(duration) => duration,
            Err(fault) => return Err(Error::invalid_request(format!("`duration`: {fault}"))),
        };
        let fault = match duration.finite() {
            Some(finite) if finite <= GoDuration::ZERO => "is not longer than zero",
            None if !duration.is_forever() => "is neither a Go duration nor `forever`",
            _ => return Ok(duration.clone()),
        };
        Err(Error::invalid_request(format!(
            "the duration {:?} {fault}; write it as `8760h` or `2h45m`",
            duration.as_str()
        )))
    }
}

fn checked_name(name: &str) -> Result<ServiceTokenName, Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid_request(
            "the name is empty; give the service token a name",
        ));
    }
    // The generated type checks the limit of the fragment.
    name.parse().map_err(|fault| {
        let length = name.chars().count();
        Error::invalid_request(format!(
            "the name has {length} characters, but it must not be {fault}; shorten it"
        ))
    })
}

fn checked_version(version: i64) -> Result<i64, Error> {
    if version < 1 {
        return Err(Error::invalid_request(format!(
            "the client secret version is {version}, but versions start at 1"
        )));
    }
    Ok(version)
}
