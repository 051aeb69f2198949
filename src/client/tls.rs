//! Selects the TLS library by the crate's features, and recognises its errors.
//!
//! The feature `rustls` includes `rustls-no-provider`.

use std::error::Error as StdError;

use crate::client::base_url::BaseUrl;
use crate::error::Error;

/// Checks that TLS is available if the base URL needs it.
///
/// # Errors
///
/// A configuration error if no feature enables TLS, or if rustls has no crypto provider,
/// without which reqwest would panic.
pub(crate) fn check(base_url: &BaseUrl, has_settings: bool) -> Result<(), Error> {
    let is_on = cfg!(any(feature = "rustls-no-provider", feature = "native-tls"));
    if !is_on && base_url.needs_tls() && !has_settings {
        return Err(Error::configuration(
            "https needs TLS; enable the feature `rustls`, `rustls-no-provider` or `native-tls` of cf-service-tokens, or set up TLS with `http_client`",
        ));
    }
    // reqwest sets up rustls for every base URL, even for http.
    #[cfg(all(feature = "rustls-no-provider", not(feature = "rustls")))]
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(Error::configuration(
            "rustls has no crypto provider: install one before the client is built, such as with `rustls::crypto::ring::default_provider().install_default()`, or enable the feature `rustls`, which includes one",
        ));
    }
    Ok(())
}

/// Selects the TLS library, in case another crate enables a second one in reqwest.
pub(crate) fn select(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    #[cfg(feature = "rustls-no-provider")]
    let builder = builder.tls_backend_rustls();
    #[cfg(all(feature = "native-tls", not(feature = "rustls-no-provider")))]
    let builder = builder.tls_backend_native();
    #[cfg(any(feature = "rustls-no-provider", feature = "native-tls"))]
    let builder = builder.tls_version_min(reqwest::tls::Version::TLS_1_2);
    builder
}

/// Leaves the system's certificates out of a client that never uses TLS. Loading them takes
/// most of the time in which a client is built.
pub(crate) fn trust_none(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    #[cfg(any(feature = "rustls-no-provider", feature = "native-tls"))]
    let builder = builder.tls_certs_only([]);
    builder
}

/// Whether an error is a failure of TLS itself, and not of the underlying connection.
pub(crate) fn is_fault(error: &(dyn StdError + 'static)) -> bool {
    #[cfg(feature = "rustls-no-provider")]
    if error.is::<rustls::Error>() {
        return true;
    }
    #[cfg(feature = "native-tls")]
    if error.is::<native_tls::Error>() {
        // A connection that breaks during the handshake is no failure of TLS. A
        // connection that ends then has no error type of its own.
        let is_broken = error
            .source()
            .is_some_and(<dyn StdError>::is::<std::io::Error>)
            || error.to_string() == "unexpected EOF";
        return !is_broken;
    }
    let _ = error;
    false
}
