//! The operations of the API.

use http::Method;

/// An operation of the fragment, as a constant that the build writes; or a raw request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The fragment's `operationId`, such as `refresh_account_service_token`.
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    /// The path below the base URL, with its parameters in braces; empty for a raw
    /// request.
    pub(crate) path: &'static str,
    /// Whether the call may be sent twice without harm.
    pub(crate) idempotent: bool,
    /// The permission that an API token needs, as Cloudflare names it; `None` if it needs
    /// none, or for a raw request.
    pub(crate) permission: Option<&'static str>,
}

impl Operation {
    /// Whether the call changes nothing.
    pub(crate) fn is_read(&self) -> bool {
        self.method.is_safe()
    }

    /// Whether the call is about one token, which its path names.
    pub(crate) fn is_about_one_token(&self) -> bool {
        self.path.contains("{service_token_id}")
    }

    /// Returns the operation in words, such as `refresh account service token`.
    pub(crate) fn words(&self) -> String {
        self.id.replace('_', " ")
    }

    /// Returns the method as OpenTelemetry's conventions name it.
    pub(crate) fn traced_method(&self) -> &str {
        match self.method.as_str() {
            method @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS"
            | "CONNECT" | "TRACE") => method,
            _ => "_OTHER",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_name_the_known_methods_alone() {
        for (method, traced) in [("GET", "GET"), ("PATCH", "PATCH"), ("PURGE", "_OTHER")] {
            let operation = Operation {
                id: "raw_request",
                method: Method::from_bytes(method.as_bytes()).unwrap(),
                path: "",
                idempotent: false,
                permission: None,
            };
            assert_eq!(operation.traced_method(), traced);
        }
    }
}
