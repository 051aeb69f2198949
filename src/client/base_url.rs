//! The base URL of the API, checked before credentials are sent there.

use std::net::IpAddr;

use reqwest::Url;

use crate::error::Error;

const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";

/// A URL to which credentials may be sent.
#[derive(Clone)]
pub(crate) struct BaseUrl {
    url: Url,
}

impl BaseUrl {
    /// Checks a URL. `setting` names the place that it was read from, for the error.
    pub(crate) fn parse(text: &str, setting: &str, allow_http: bool) -> Result<Self, Error> {
        // The text may hold a password, so the error leaves it out.
        let refuse = |fault: &str| Err(Error::configuration(format!("{setting} {fault}")));
        let Ok(url) = Url::parse(text) else {
            return refuse(
                "is not a URL; it should look like https://api.cloudflare.com/client/v4",
            );
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("contains a user name or a password; leave them out");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("contains a query or a fragment; leave them out");
        }
        let base_url = Self { url };
        match base_url.url.scheme() {
            "https" => Ok(base_url),
            "http" if allow_http || base_url.is_loopback() => Ok(base_url),
            "http" => refuse(
                "uses http, which would send the credentials unencrypted; use https, or allow http with `allow_http`",
            ),
            _ => refuse("is neither https nor http; use https"),
        }
    }

    /// Returns the URL of Cloudflare's API.
    pub(crate) fn cloudflare() -> Result<Self, Error> {
        Self::parse(CLOUDFLARE, "the base URL", false)
    }

    /// Returns the URL without a slash at the end, since the path begins with one.
    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the path, also without a slash at the end.
    pub(crate) fn path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.url.port_or_known_default()
    }

    /// Returns the server for errors, such as `api.cloudflare.com:443`.
    pub(crate) fn host_and_port(&self) -> String {
        let port = self.port().map(|port| format!(":{port}"));
        format!("{}{}", self.host(), port.unwrap_or_default())
    }

    /// Returns the target of a redirect from this URL.
    pub(crate) fn join(&self, location: &str) -> Option<Url> {
        self.url.join(location).ok()
    }

    pub(crate) fn needs_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether the URL leads to this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || address
                .parse()
                .is_ok_and(|address: IpAddr| address.is_loopback())
    }
}
