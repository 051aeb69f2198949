//! A response as it came over the wire, before anything was made of it.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::redact::Redactor;

const CF_RAY: HeaderName = HeaderName::from_static("cf-ray");

/// How many characters of a body are kept for people to read.
const EXCERPT: usize = 200;

/// Status, headers and body of a response, whatever the body holds.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// As much of the body as arrived, and not more than the cap.
    pub(crate) body: Bytes,
    /// When the response's head arrived.
    pub(crate) at: DateTime<Utc>,
}

impl Received {
    /// Drops those of the headers that are shown to people if they hold a secret.
    pub(crate) fn drop_headers_with_secrets(&mut self, redactor: &Redactor) {
        for name in [CF_RAY, header::CONTENT_TYPE, header::LOCATION] {
            // What is not text is shown to nobody.
            let mut texts = self
                .headers
                .get_all(&name)
                .iter()
                .flat_map(HeaderValue::to_str);
            if !texts.all(|text| redactor.is_clean(text)) {
                self.headers.remove(name);
            }
        }
    }

    /// Cloudflare's name for the request, from the header `cf-ray`.
    pub(crate) fn ray_id(&self) -> Option<&str> {
        self.text_of(CF_RAY.as_str())
    }

    /// How long the API asks to be left alone: `Retry-After`, which is either
    /// whole seconds or a date (RFC 9110, section 10.2.3). A date is held against
    /// the API's own, if it tells it: the clock here may be wrong.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.text_of(header::RETRY_AFTER.as_str())?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let answered_at = self.text_of(header::DATE.as_str()).and_then(http_date);
        let wait = http_date(text)?.signed_duration_since(answered_at.unwrap_or(self.at));
        Some(wait.to_std().unwrap_or(Duration::ZERO))
    }

    /// Where a redirect would have led.
    pub(crate) fn location(&self) -> Option<&str> {
        self.text_of(header::LOCATION.as_str())
    }

    /// What the body claims to be.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.text_of(header::CONTENT_TYPE.as_str())
    }

    /// The first characters of the body as one line, without secrets.
    pub(crate) fn excerpt(&self, redactor: &Redactor) -> String {
        // The whole is redacted before it is cut, so that no part of a secret
        // is left at the cut.
        let text = redactor.redact(&String::from_utf8_lossy(&self.body));
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    fn text_of(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A date in any of the three forms that HTTP knows (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(text).ok().map(DateTime::from)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn retry_after(fields: &[(HeaderName, &'static str)]) -> Option<u64> {
        let fields = fields
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let received = Received {
            status: StatusCode::TOO_MANY_REQUESTS,
            headers: fields.collect(),
            body: Bytes::new(),
            at: "1994-11-06T08:49:07Z".parse().unwrap(),
        };
        received.retry_after().map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        for (text, wait) in [
            ("300", Some(300)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(30)),
            ("Sun Nov  6 08:49:37 1994", Some(30)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(&[(header::RETRY_AFTER, text)]), wait, "{text}");
        }
        assert_eq!(retry_after(&[]), None);
    }

    #[test]
    fn a_date_is_held_against_the_apis_own() {
        let fields = [
            (header::RETRY_AFTER, "Tue, 24 Nov 2026 12:00:09 GMT"),
            (header::DATE, "Tue, 24 Nov 2026 12:00:00 GMT"),
        ];
        assert_eq!(retry_after(&fields), Some(9));
    }
}
