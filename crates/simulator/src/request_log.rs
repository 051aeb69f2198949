//! The requests that were received, without their secrets.

use std::collections::VecDeque;

use axum::http::HeaderMap;
use serde::Serialize;

use crate::api::Operation;
use crate::faults::Fault;

/// The number of requests that the log holds.
const CAPACITY: usize = 10_000;

/// Replaces a value that may be secret.
const MASKED: &str = "[masked]";

/// The headers whose values are shown. Every other may hold a credential.
const PLAIN_HEADERS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "traceparent",
    "transfer-encoding",
    "user-agent",
    "x-request-id",
];

/// The parameters whose values are shown.
const PLAIN_PARAMETERS: [&str; 4] = ["name", "search", "page", "per_page"];

/// The length from which a word may be a secret: a global API key has 37 hex digits, an
/// API token 40 characters, a Client Secret 54 or 64. Ids have 32 digits, or hyphens.
const SECRET_LENGTH: usize = 37;

/// A request that the simulator received, and the status of the response.
///
/// It holds no secret, since people test with real ones by mistake. Bodies are not kept.
/// `[masked]` replaces the values of headers that aren't known to be harmless, the values
/// of undocumented query parameters, and everything in path and query that is as long as
/// a credential.
///
/// See the example of [`Simulator::requests`](crate::Simulator::requests).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The path as it was sent, without the query.
    pub path: String,
    /// The query as it was sent, without the `?`.
    pub query: Option<String>,
    /// The headers in lower case, in no particular order.
    pub headers: Vec<(String, String)>,
    /// The account that the path names; `None` for an unknown route and for the
    /// protected app.
    pub account_id: Option<String>,
    /// The operation that it asked for; `None` for an unknown route and for the
    /// protected app.
    pub operation: Option<Operation>,
    /// The status of the response; `None` if a fault prevented any response.
    pub status: Option<u16>,
    /// The fault that it met.
    pub fault: Option<Fault>,
    /// Whether it changed the state: true for every call that succeeds, except for list
    /// and get, and never for the protected app.
    pub changed: bool,
}

/// The callback that sees each request.
pub(crate) type Listener = Box<dyn Fn(&ReceivedRequest) + Send + Sync>;

/// The latest requests, oldest first.
#[derive(Default)]
pub(crate) struct RequestLog {
    requests: VecDeque<ReceivedRequest>,
}

impl RequestLog {
    pub(crate) fn push(&mut self, request: ReceivedRequest) {
        if self.requests.len() == CAPACITY {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    pub(crate) fn clear(&mut self) {
        self.requests.clear();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ReceivedRequest> {
        self.requests.iter()
    }
}

/// The headers, with the values of those that may hold a credential masked.
pub(crate) fn masked_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let masked = |name: &str, value: &[u8]| {
        if PLAIN_HEADERS.contains(&name) {
            mask(&String::from_utf8_lossy(value))
        } else {
            MASKED.to_owned()
        }
    };
    headers
        .iter()
        .map(|(name, value)| {
            let name = name.as_str();
            (name.to_owned(), masked(name, value.as_bytes()))
        })
        .collect()
}

/// The query, with the values of undocumented parameters masked.
pub(crate) fn masked_query(query: &str) -> String {
    let parameters = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if !PLAIN_PARAMETERS.contains(&name) => {
                format!("{}={MASKED}", mask(name))
            }
            _ => mask(parameter),
        });
    parameters.collect::<Vec<_>>().join("&")
}

/// The text, with every word masked that is as long as a credential.
pub(crate) fn mask(text: &str) -> String {
    let is_separator = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split_inclusive(is_separator)
        .map(|part| {
            let word = part.trim_end_matches(is_separator);
            if word.len() >= SECRET_LENGTH {
                format!("{MASKED}{}", &part[word.len()..])
            } else {
                part.to_owned()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_long_as_a_credential_are_masked() {
        let key = "0123456789abcdef0123456789abcdef01234";
        let secret = format!("cfast_{}", "Ab1".repeat(16));
        for credential in [key, &secret, &"f".repeat(64)] {
            assert_eq!(mask(credential), MASKED);
            assert_eq!(mask(&format!("/a/{credential}/b")), "/a/[masked]/b");
            assert_eq!(mask(&format!("é{credential}é")), "é[masked]é");
        }
        for id in [
            "/accounts/023e105f4ecef8ad9ca31a8372d0c353/access",
            "/f174e90a-fafe-4643-bbbc-4a0ed4fc8415/rotate",
            "88bf3b6d86161464f6509f7219099e57.access",
        ] {
            assert_eq!(mask(id), id);
        }
    }

    #[test]
    fn only_documented_parameters_are_shown() {
        let query = "name=CI&page=2&client_secret=hunter2&flag&x=";
        let expected = "name=CI&page=2&client_secret=[masked]&flag&x=[masked]";
        assert_eq!(masked_query(query), expected);
    }
}
