//! An answer of the API: its status, headers and body, and the parts parsed from them.
//! [`Response`](crate::Response) and [`Error`](crate::Error) each hold one.

pub(crate) mod envelope;
pub(crate) mod meaning;
pub(crate) mod message;
pub(crate) mod payload;
pub(crate) mod problem;
pub(crate) mod read;
pub(crate) mod redact;
pub(crate) mod rescue;
pub(crate) mod verdict;
pub(crate) mod wire;

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use meaning::Meaning;
use message::ApiMessage;
use problem::Problem;
use redact::Redactor;

const CF_RAY: HeaderName = HeaderName::from_static("cf-ray");

/// The header of the edge's challenges for browsers.
const CF_MITIGATED: HeaderName = HeaderName::from_static("cf-mitigated");

/// The maximum number of characters of a body to show.
const MAX_EXCERPT: usize = 200;

/// An answer, with any body.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, as far as it arrived and up to the limit.
    pub(crate) body: Bytes,
    /// When the answer's head arrived.
    pub(crate) received_at: DateTime<Utc>,
    /// The header `Date`, if the answer has the envelope and so comes from the API
    /// itself.
    pub(crate) api_time: Option<DateTime<Utc>>,
    /// The `errors` of the envelope.
    pub(crate) errors: Vec<ApiMessage>,
    /// The `messages` of the envelope.
    pub(crate) messages: Vec<ApiMessage>,
    /// The report of Cloudflare's edge, if it answered in place of the API.
    pub(crate) problem: Option<Problem>,
    /// The start of the body as one line without secrets; empty if no part of the body
    /// may be shown.
    pub(crate) excerpt: String,
    /// The paths in the body at which a new client secret may be, if the call that
    /// makes one failed.
    pub(crate) secret_places: Vec<String>,
}

impl Answer {
    /// Creates an answer before its body is parsed.
    pub(crate) fn new(
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
        received_at: DateTime<Utc>,
    ) -> Self {
        Self {
            status,
            headers,
            body,
            received_at,
            api_time: None,
            errors: Vec::new(),
            messages: Vec::new(),
            problem: None,
            excerpt: String::new(),
            secret_places: Vec::new(),
        }
    }

    /// Returns the ray id, from the header `cf-ray`.
    pub(crate) fn ray_id(&self) -> Option<&str> {
        self.text_of(CF_RAY)
    }

    /// Returns how long the API asks the caller to wait: `Retry-After`, which is either
    /// whole seconds or a date (RFC 9110, section 10.2.3). A date is compared with the
    /// answer's own, if there is one: the clock here may be wrong.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let text = self.text_of(header::RETRY_AFTER)?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let answered_at = self.date().unwrap_or(self.received_at);
        let wait = http_date(text)?.signed_duration_since(answered_at);
        Some(wait.to_std().unwrap_or(Duration::ZERO))
    }

    /// Returns the header `Date`.
    fn date(&self) -> Option<DateTime<Utc>> {
        http_date(self.text_of(header::DATE)?)
    }

    /// Returns the target of a redirect.
    pub(crate) fn location(&self) -> Option<&str> {
        self.text_of(header::LOCATION)
    }

    /// Returns the header `Content-Type`.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.text_of(header::CONTENT_TYPE)
    }

    /// Whether Cloudflare's edge answered with a challenge for browsers.
    pub(crate) fn is_challenge(&self) -> bool {
        self.headers.contains_key(CF_MITIGATED)
    }

    /// Whether the status, an API code or the edge's report has this meaning.
    pub(crate) fn means(&self, meaning: Meaning) -> bool {
        let of_problem = self.problem.as_ref().and_then(|problem| {
            let code = problem.error_code?;
            Meaning::of_edge_code(code)
        });
        Meaning::of_status(self.status) == Some(meaning)
            || of_problem == Some(meaning)
            || self
                .messages_of_errors()
                .any(|error| Meaning::of_message(error) == Some(meaning))
    }

    /// Returns the entries of `errors`, each followed by its chain.
    fn messages_of_errors(&self) -> impl Iterator<Item = &ApiMessage> {
        self.errors.iter().flat_map(ApiMessage::with_chain)
    }

    /// Removes the headers that errors show, if they contain a secret.
    fn drop_headers_with_secrets(&mut self, redactor: &Redactor) {
        for name in [CF_RAY, header::CONTENT_TYPE, header::LOCATION] {
            // Values that are not text are never shown, so they need no check.
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

    /// Notes where a new client secret may be.
    fn find_secrets(&mut self, redactor: &Redactor) {
        let places = rescue::places(&self.body).paths;
        self.secret_places = places.iter().map(|place| redactor.redact(place)).collect();
    }

    /// Returns the first characters of the body as one line, without secrets.
    fn excerpt(&self, redactor: &Redactor) -> String {
        // Redact before truncating, so that no part of a secret remains.
        let text = redactor.redact(&String::from_utf8_lossy(&self.body));
        let mut line = String::new();
        for word in text.split_whitespace() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
            // A character has at most four bytes.
            if line.len() > 4 * MAX_EXCERPT {
                break;
            }
        }
        match line.char_indices().nth(MAX_EXCERPT) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    fn text_of(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Parses a date in any of the three forms of HTTP (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    httpdate::parse_http_date(text).ok().map(DateTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry_after(fields: &[(HeaderName, &'static str)]) -> Option<u64> {
        let headers = fields
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        let at = "1994-11-06T08:49:07Z".parse().unwrap();
        let answer = Answer::new(StatusCode::TOO_MANY_REQUESTS, headers, Bytes::new(), at);
        answer.retry_after().map(|wait| wait.as_secs())
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
    fn a_date_is_compared_with_the_apis_own() {
        let fields = [
            (header::RETRY_AFTER, "Tue, 24 Nov 2026 12:00:09 GMT"),
            (header::DATE, "Tue, 24 Nov 2026 12:00:00 GMT"),
        ];
        assert_eq!(retry_after(&fields), Some(9));
    }
}
