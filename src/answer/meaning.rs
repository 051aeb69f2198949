//! The table of statuses and codes that retries, predicates and advice use.

use http::StatusCode;

use crate::answer::message::ApiMessage;

/// The meaning of an HTTP status, of an API code or of a code of Cloudflare's edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The API does not know the caller.
    Unauthenticated,
    /// The API token may not be used from the caller's IP address.
    AddressNotAllowed,
    /// The API knows the caller and refuses the call.
    Forbidden,
    /// Access is not enabled in the account.
    AccessNotEnabled,
    /// The id is unknown.
    NotFound,
    /// The API has no route at the path of the call.
    NoRoute,
    /// There were too many calls.
    RateLimited,
    /// The server failed temporarily.
    Transient,
    /// The proxy requires a user name and a password.
    ProxyAuthentication,
    /// The edge refuses the client program, by its `User-Agent` or its behaviour.
    ClientBlocked,
    /// The edge refuses the caller's IP address, or a rule of the firewall matched.
    AddressBlocked,
    /// The edge counted too many requests from the caller's IP address.
    RateBlocked,
    /// The server rejected the call for another reason.
    Rejected,
}

impl Meaning {
    /// Returns the meaning of a status.
    pub(crate) fn of_status(status: StatusCode) -> Option<Self> {
        Some(match status.as_u16() {
            401 => Self::Unauthenticated,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            407 => Self::ProxyAuthentication,
            408 | 500 | 502 | 503 | 504 | 520..=524 => Self::Transient,
            429 => Self::RateLimited,
            // A redirect to the result of a call that took effect.
            303 => return None,
            300..=499 => Self::Rejected,
            _ => return None,
        })
    }

    /// Whether a status of this meaning says that the call had no effect.
    pub(crate) fn is_rejection(self) -> bool {
        self != Self::Transient
    }

    /// Returns the meaning of an entry of `errors` or of its chain.
    pub(crate) fn of_message(error: &ApiMessage) -> Option<Self> {
        Some(match error.code {
            9109 if error.message.contains("from location") => Self::AddressNotAllowed,
            // 6102, 6103 and 6111 are about the form of the credentials' headers, and
            // 9106 about their absence.
            6102 | 6103 | 6111 | 9106 | 9109 | 10_000 | 10_001 => Self::Unauthenticated,
            9999 => Self::AccessNotEnabled,
            7000 | 7003 => Self::NoRoute,
            971 => Self::RateLimited,
            _ => return None,
        })
    }

    /// Returns the meaning of a code of Cloudflare's edge that blocks callers.
    pub(crate) fn of_edge_code(code: i64) -> Option<Self> {
        Some(match code {
            1010 => Self::ClientBlocked,
            1005..=1009 | 1012 | 1020 | 1106 => Self::AddressBlocked,
            1015 => Self::RateBlocked,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_errors_and_redirects_reject_the_call_with_two_exceptions() {
        for code in 200..600 {
            let status = StatusCode::from_u16(code).unwrap();
            let is_rejection = Meaning::of_status(status).is_some_and(Meaning::is_rejection);
            let expected = (300..500).contains(&code) && ![303, 408].contains(&code);
            assert_eq!(is_rejection, expected, "{code}");
        }
    }
}
