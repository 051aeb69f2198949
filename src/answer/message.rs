//! The entries of the envelope's lists `errors` and `messages`.

use serde::{Deserialize, Serialize};

use crate::answer::redact::Redactor;

/// One entry of `errors` or `messages` in an answer of the API.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs")); fn main() { example(async |simulator, client, tokens, id| {
/// let error = tokens.get("00000000-0000-0000-0000-000000000000").await.unwrap_err();
/// let message = &error.api_errors()[0];
/// assert_eq!(message.message, "access.api.error.service_token_not_found");
/// assert!(message.error_chain.is_empty());
/// # Ok(()) }) }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ApiMessage {
    /// Cloudflare's number for the problem. New numbers appear at any time, so this is
    /// an integer and not an enum.
    pub code: i64,
    /// The problem in words.
    pub message: String,
    /// The URL of Cloudflare's documentation of the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documentation_url: Option<String>,
    /// The part of the request that the entry is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ApiMessageSource>,
    /// The causes of the problem. Cloudflare does not document this field; if
    /// credentials have the wrong form, only this field has the code for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub error_chain: Vec<ApiMessage>,
}

/// The part of a request that an [`ApiMessage`] is about.
///
/// See the example of [`ApiMessage`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiMessageSource {
    /// A JSON pointer into the body of the request, such as `/duration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl ApiMessage {
    /// Returns this entry and its causes, from the first to the last.
    pub(crate) fn with_chain(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        let causes = self.error_chain.iter().flat_map(Self::with_chain);
        Box::new(std::iter::once(self).chain(causes))
    }

    /// Redacts all texts.
    pub(crate) fn redact(&mut self, redactor: &Redactor) {
        let pointer = self.source.as_mut().map(|source| &mut source.pointer);
        let texts = [
            Some(&mut self.message),
            self.documentation_url.as_mut(),
            pointer.and_then(Option::as_mut),
        ];
        for text in texts.into_iter().flatten() {
            *text = redactor.redact(text);
        }
        for cause in &mut self.error_chain {
            cause.redact(redactor);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn it_has_the_fields_of_the_fragment_and_the_chain() {
        let fragment: Value =
            serde_json::from_str(include_str!("../../openapi/service-tokens.json")).unwrap();
        let documented = fragment["components"]["schemas"]["ApiMessage"]["properties"].clone();
        let message = ApiMessage {
            documentation_url: Some(String::new()),
            source: Some(ApiMessageSource::default()),
            error_chain: vec![ApiMessage::default()],
            ..ApiMessage::default()
        };
        let Value::Object(mut fields) = serde_json::to_value(message).unwrap() else {
            unreachable!("a struct is an object");
        };
        assert!(fields.remove("error_chain").is_some());
        let names = |value: &Value| -> Vec<String> {
            let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&Value::Object(fields)), names(&documented));
    }
}
