//! What a call has to know of the operation it carries out.

/// An operation of the fragment; the build writes one constant for each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The fragment's `operationId`, such as `refresh_account_service_token`.
    pub(crate) id: &'static str,
    /// The HTTP method, in capitals.
    pub(crate) method: &'static str,
    /// The path below the base URL, with its parameters in braces.
    pub(crate) path: &'static str,
    /// Whether the call may be sent twice without harm.
    pub(crate) idempotent: bool,
}

impl Operation {
    /// Whether the call changes nothing.
    pub(crate) fn is_read(&self) -> bool {
        self.method == "GET"
    }

    /// Whether the call is about one token, which its path names.
    pub(crate) fn is_of_one_token(&self) -> bool {
        self.path.contains("{service_token_id}")
    }

    /// The operation in words, such as `refresh account service token`.
    pub(crate) fn words(&self) -> String {
        self.id.replace('_', " ")
    }
}
