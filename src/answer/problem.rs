//! The errors that Cloudflare's edge returns in place of the API.

use serde::Deserialize;

use crate::answer::Answer;
use crate::answer::meaning::Meaning;
use crate::answer::read::{Unreadable, lenient_object};
use crate::answer::redact::Redactor;

/// The start of the edge's plain text, before the code.
const TEXT_PREFIX: &str = "error code: ";

/// The report of an error by Cloudflare's edge, which answered in place of the API:
/// problem JSON (RFC 9457), or a plain text such as `error code: 1010`.
///
/// See [`Error::problem`](crate::Error::problem).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// The kind of problem in a few words, such as `Error 1020: Access denied`.
    pub title: Option<String>,
    /// The problem in words.
    pub detail: Option<String>,
    /// Cloudflare's number for the problem, such as 1020.
    pub error_code: Option<i64>,
    /// Whether the edge suggests another attempt.
    pub retryable: Option<bool>,
}

impl Problem {
    /// Reads the edge's report of an error, without secrets.
    pub(crate) fn read(answer: &Answer, redactor: &Redactor) -> Option<Self> {
        let text = std::str::from_utf8(&answer.body).ok()?.trim();
        if let Some(code) = text.strip_prefix(TEXT_PREFIX) {
            return Some(Self {
                error_code: Some(code.parse().ok()?),
                ..Self::default()
            });
        }
        let object = serde_json::from_str(text).ok()?;
        let mut problem: Self = lenient_object(object, "", &mut Unreadable::default()).ok()?;
        problem.title.as_ref()?;
        for text in [&mut problem.title, &mut problem.detail]
            .into_iter()
            .flatten()
        {
            *text = redactor.redact(text);
        }
        Some(problem)
    }
}

/// Whether the edge blocked the caller, so that the request did not reach the API.
pub(crate) fn is_blocked(answer: &Answer) -> bool {
    let is_client_error = answer.status.is_client_error();
    let code = answer
        .problem
        .as_ref()
        .and_then(|problem| problem.error_code);
    is_client_error && (answer.is_challenge() || code.and_then(Meaning::of_edge_code).is_some())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn read(body: &'static str) -> Option<Problem> {
        let answer = Answer::new(
            StatusCode::FORBIDDEN,
            HeaderMap::new(),
            Bytes::from_static(body.as_bytes()),
            DateTime::UNIX_EPOCH,
        );
        Problem::read(&answer, &Redactor::new([]))
    }

    #[test]
    fn both_forms_are_read_and_other_text_is_not() {
        let text = read("error code: 1010\n").unwrap();
        assert_eq!((text.error_code, text.title), (Some(1010), None));
        let json = read(
            r#"{"title":"Error 1020: Access denied","detail":7,"error_code":1020.0,"retryable":false,"zone":"x"}"#,
        );
        let json = json.unwrap();
        assert_eq!(json.title.as_deref(), Some("Error 1020: Access denied"));
        assert_eq!((json.error_code, json.retryable), (Some(1020), Some(false)));
        assert_eq!(json.detail, None, "a number is not text");
        for other in [
            "",
            "error code: x",
            "[]",
            "{}",
            r#"{"detail":"alone"}"#,
            "<html>",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
