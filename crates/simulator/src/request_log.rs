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
const PLAIN_HEADERS: [&str; 11] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
    "x-request-id",
];

/// The parameters whose values are shown.
const PLAIN_PARAMETERS: [&str; 4] = ["name", "search", "page", "per_page"];

/// The length from which a word of letters, digits, `_` and `-` may be a secret: a global
/// API key has 37 characters, an API token 40, a Client Secret 54 or 64. An id has 32, or
/// 36 as a UUID.
const SECRET_LENGTH: usize = 37;

/// A request that the simulator received, and the status of the response.
///
/// It holds no secret, since people test with real ones by mistake. Bodies are not kept.
/// `[masked]` replaces
///
/// - the value of a header that isn't known to be harmless,
/// - the value of an undocumented query parameter,
/// - every word of 37 or more characters in the path, the query, the account id and the
///   headers. Letters, digits, `_` and `-` make a word, percent-encoded or not. A UUID has
///   36 and is shown.
///
/// See the example of [`Simulator::requests`](crate::Simulator::requests).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The path as it was sent, but for what is masked, without the query.
    pub path: String,
    /// The query as it was sent, but for what is masked, without the `?`.
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

/// The text, with every word masked that is as long as a credential. A percent-encoded
/// character counts as the one that it stands for.
pub(crate) fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let (mut word_start, mut word_length, mut at) = (0, 0, 0);
    let shown = |word, length| if length < SECRET_LENGTH { word } else { MASKED };
    while let Some((character, width)) = first_character(&text[at..]) {
        let next = at + width;
        if character.is_ascii_alphanumeric() || matches!(character, '_' | '-') {
            word_length += 1;
        } else {
            masked.push_str(shown(&text[word_start..at], word_length));
            masked.push_str(&text[at..next]);
            (word_start, word_length) = (next, 0);
        }
        at = next;
    }
    masked.push_str(shown(&text[word_start..], word_length));
    masked
}

/// The first character, decoded, and the number of bytes that it takes in the text. One
/// that is encoded several times over is decoded as often.
fn first_character(text: &str) -> Option<(char, usize)> {
    let first = text.chars().next()?;
    if first != '%' {
        return Some((first, first.len_utf8()));
    }
    let byte_at = |start: usize| {
        let digits = text.get(start..start + 2)?;
        let are_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        are_hex.then(|| u8::from_str_radix(digits, 16).ok())?
    };
    let (mut byte, mut end) = (b'%', 1);
    while byte == b'%'
        && let Some(decoded) = byte_at(end)
    {
        (byte, end) = (decoded, end + 2);
    }
    // A byte past ASCII is part of a character that is in no credential.
    Some((char::from(byte), end))
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
    fn hyphens_and_percent_encoding_hide_no_credential() {
        for token in [
            "YQSn-xWAQiiEh9qM58wZNnyQS7FUdoqGIUAbrh7T",
            "YQSn%2DxWAQiiEh9qM58wZNnyQS7FUdoqGIUAbrh7T",
            "YQSn%252dxWAQiiEh9qM58wZNnyQS7FUdoqGIUAbrh7T",
            &"%41".repeat(37),
        ] {
            assert_eq!(mask(&format!("/a/{token}/b")), "/a/[masked]/b");
            assert_eq!(mask(&format!("é%2F{token}%2Fé")), "é%2F[masked]%2Fé");
        }
        for harmless in [
            "/%66174e90a-fafe-4643-bbbc-4a0ed4fc8415",
            "Nightly%20backup%20of%20the%20database%20server",
            "%41".repeat(36).as_str(),
            "100%",
            "%2",
            "%é%25%",
        ] {
            assert_eq!(mask(harmless), harmless);
        }
    }

    #[test]
    fn only_documented_parameters_are_shown() {
        let query = "name=CI&page=2&client_secret=hunter2&flag&x=";
        let expected = "name=CI&page=2&client_secret=[masked]&flag&x=[masked]";
        assert_eq!(masked_query(query), expected);
    }
}
