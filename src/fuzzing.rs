//! The targets of the fuzzer, which the tests run for a short time.
//!
//! Each function takes any bytes and must not panic; it asserts everything else that must
//! hold.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a fuzz target fails by panicking, and only the fuzzer calls it"
)]

use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::value::RawValue;

use crate::account::usage::{AccessKind, Usage};
use crate::answer::Answer;
use crate::answer::payload::Payload;
use crate::answer::read::Unreadable;
use crate::answer::redact::Redactor;
use crate::answer::verdict::Attempt;
use crate::answer::wire::{BodyEnd, Exchanged};
use crate::call::operation::Operation;
use crate::call::pages::{Listed, Page};
use crate::call::rate_limit::RateLimitHeaders;
use crate::client::base_url::BaseUrl;
use crate::duration::{GoDuration, TokenDuration};
use crate::generated::operations::{LIST_ACCOUNT_SERVICE_TOKENS, ROTATE_ACCOUNT_SERVICE_TOKEN};
use crate::generated::types::ServiceToken;
use crate::tokens::issued::IssuedServiceToken;

/// Durations: a parsed duration prints as a text that parses as the same duration.
pub fn duration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(duration) = text.parse::<GoDuration>() {
        assert_eq!(duration.to_string().parse(), Ok(duration));
        assert_eq!(format!("{duration:#}").parse(), Ok(duration));
    }
    if let Ok(duration) = text.parse::<TokenDuration>() {
        assert_eq!(duration.as_str(), text);
        assert_eq!(duration, text.parse().unwrap());
    }
}

/// Envelopes of each kind: bytes of a body, under HTTP 200.
pub fn envelope(data: &[u8]) {
    response_of(StatusCode::OK, HeaderMap::new(), data);
}

/// Header fields: lines of `name: value`, under an empty HTTP 429.
pub fn headers(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            continue;
        };
        for name in [
            "ratelimit",
            "ratelimit-policy",
            "retry-after",
            "cf-ray",
            "location",
            "content-type",
        ] {
            headers.append(HeaderName::from_static(name), value.clone());
            let alone = HeaderMap::from_iter([(HeaderName::from_static(name), value.clone())]);
            let _ = RateLimitHeaders::read(&alone);
            response_of(StatusCode::TOO_MANY_REQUESTS, alone, b"");
        }
    }
    let _ = RateLimitHeaders::read(&headers);
    response_of(StatusCode::FOUND, headers, b"");
}

/// Whole responses: two bytes of status, one of the head's length, head, body.
pub fn response(data: &[u8]) {
    let [high, low, head, rest @ ..] = data else {
        return;
    };
    let Ok(status) = StatusCode::from_u16(u16::from_be_bytes([*high, *low])) else {
        return;
    };
    let (head, body) = rest.split_at(usize::from(*head).min(rest.len()));
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or(b""), parts.next().unwrap_or(b""));
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    response_of(status, headers, body);
}

/// Listings of policies, groups and apps: bytes of a result, which stand for each of them.
pub fn usage(data: &[u8]) {
    let Ok(result) = serde_json::from_slice::<&RawValue>(data) else {
        return;
    };
    fn read<T: Listed>(result: &RawValue) -> Result<Vec<T>, &'static str> {
        let page = Page::read(result, "result", None, &mut Unreadable::default());
        page.map(|page| page.entries).map_err(|_| "unread")
    }
    let usage = Usage::new(read(result), read(result), read(result));
    let token = ServiceToken {
        id: Some("t".to_owned()),
        client_id: Some("c".to_owned()),
        ..ServiceToken::default()
    };
    let of_token = usage.of(&token);
    let any = usage.any_valid_service_token();
    let uses = of_token.used_by.iter().chain(&any);
    for used_by in uses {
        assert!(!used_by.to_string().contains(char::is_control));
        let via = used_by.via.as_ref();
        assert!(via.is_none_or(|group| group.kind == AccessKind::Group));
    }
    let is_all_read = usage.unread().is_empty();
    assert_eq!(
        of_token.is_used().is_none(),
        of_token.used_by.is_empty() && !is_all_read
    );
    if of_token.is_named_by_policy() == Some(true) {
        assert_eq!(of_token.is_used(), Some(true));
    }
}

/// Judges an answer for two calls, and prints each result.
fn response_of(status: StatusCode, headers: HeaderMap, body: &[u8]) {
    let redactor = Redactor::new([]);
    let Ok(base_url) = BaseUrl::cloudflare() else {
        unreachable!("the URL is a constant");
    };
    let attempt = |operation| Attempt {
        operation,
        number: 1,
        began_at: tokio::time::Instant::now(),
        timeout: Duration::from_secs(1),
        body_limit: 1024,
        base_url: &base_url,
        redactor: &redactor,
    };
    let (list, rotate): (&Operation, &Operation) =
        (&LIST_ACCOUNT_SERVICE_TOKENS, &ROTATE_ACCOUNT_SERVICE_TOKEN);
    let body = Bytes::copy_from_slice(body);
    for is_complete in [true, false] {
        let exchanged = || {
            let at = DateTime::UNIX_EPOCH;
            let answer = Answer::new(status, headers.clone(), body.clone(), at);
            let body_end = if is_complete {
                BodyEnd::Complete
            } else {
                BodyEnd::TooLarge
            };
            Some(Exchanged::Answered(Box::new(answer), body_end))
        };
        if let Err(error) = attempt(list).judge::<Page<ServiceToken>>(exchanged()) {
            assert!(!error.may_have_been_applied(), "a listing changes nothing");
            let _ = format!("{error} {error:?}");
        }
        match attempt(rotate).judge::<IssuedServiceToken>(exchanged()) {
            Ok(issued) => {
                let secret = issued.credentials().expose_secret();
                let shown = format!("{issued:?}");
                let body = String::from_utf8_lossy(&body);
                let is_nothing_else = secret.len() >= 20 && body.matches(secret).count() == 1;
                assert!(!is_nothing_else || !shown.contains(secret), "{shown}");
            }
            Err(error) => {
                assert_eq!(
                    error.body(),
                    Some(body.as_ref()),
                    "the error has the whole body"
                );
                let _ = format!("{error} {error:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Returns bytes that mostly consist of the given parts.
    fn likely(parts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            8 => proptest::sample::select(parts).prop_map(|part| part.as_bytes().to_vec()),
            1 => vec(any::<u8>(), 0..4),
        ];
        vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    const DURATIONS: &[&str] = &[
        "1",
        "23",
        "0",
        ".",
        "5",
        "h",
        "m",
        "s",
        "ms",
        "us",
        "µs",
        "μs",
        "ns",
        "-",
        "+",
        "forever",
        "9223372036854775808",
        "d",
        " ",
    ];
    const JSON: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"success\"",
        "true",
        "false",
        "null",
        "\"errors\":[]",
        "\"messages\":[]",
        "\"result\"",
        "\"client_secret\"",
        "\"client_id\"",
        "\"name\"",
        "\"expires_at\"",
        "\"a text of more than twenty characters\"",
        "7",
        "1e400",
        "\"code\"",
        "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":",
    ];
    const ENTRIES: &[&str] = &[
        r#"{"id":"g","include":[{"group":{"id":"h"}},{"service_token":{"token_id":"t"}}]}"#,
        r#"{"id":"h","name":"\u001b","require":[{"group":{"id":"g"}},{"group":{"id":"h"}}]}"#,
        r#"{"id":"i","exclude":[{"any_valid_service_token":{}},{"group":{"id":"g"}}]}"#,
        r#"{"include":[{"service_token":{"token_id":"t"},"group":{"id":"i"}},{"ip":7}]}"#,
        r#"{"id":"a","policies":[{"id":"g","include":[{"group":{"id":"i"}}]},{}]}"#,
        r#"{"scim_config":{"authentication":{"scheme":"access_service_token","client_id":"c"}}}"#,
        r#"{"scim_config":{"authentication":[{"scheme":"oauth2","client_id":"c"},[]]}}"#,
        r#"{"include":[{"service_token":{}}]}"#,
        "{}",
        "null",
    ];
    const HEADERS: &[&str] = &[
        "\"default\"",
        ";r=",
        ";t=",
        ";q=",
        ";w=",
        "50",
        "-1",
        "1.5",
        "99999999999999999",
        ",",
        "\n",
        "300",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "https://",
        "//",
        "text/html",
        "?",
    ];

    proptest! {
        #[test]
        fn durations(data in prop_oneof![likely(DURATIONS), vec(any::<u8>(), 0..64)]) {
            duration(&data);
        }

        #[test]
        fn envelopes(data in prop_oneof![likely(JSON), vec(any::<u8>(), 0..256)]) {
            envelope(&data);
        }

        #[test]
        fn usages(
            entries in vec(proptest::sample::select(ENTRIES), 0..8),
            data in vec(any::<u8>(), 0..64),
        ) {
            usage(format!("[{}]", entries.join(",")).as_bytes());
            usage(&data);
        }

        #[test]
        fn header_fields(data in prop_oneof![likely(HEADERS), vec(any::<u8>(), 0..256)]) {
            headers(&data);
        }

        #[test]
        fn responses(
            status in 100_u16..600,
            head in any::<u8>(),
            rest in prop_oneof![likely(JSON), likely(HEADERS), vec(any::<u8>(), 0..256)],
        ) {
            let [high, low] = status.to_be_bytes();
            response(&[&[high, low, head][..], &rest].concat());
        }
    }
}
