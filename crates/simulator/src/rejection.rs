//! Why the state machine turns a call down.

/// Why a call was refused, before anything was changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    NotFound,
    InUse,
    /// The account holds as many tokens as it may.
    LimitReached {
        limit: usize,
    },
    Invalid {
        /// The field of the body, or the query parameter; none for the whole body.
        field: Option<&'static str>,
        reason: String,
    },
}

impl Rejection {
    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field: Some(field),
            reason: reason.into(),
        }
    }

    pub(crate) fn body(reason: impl Into<String>) -> Self {
        Self::Invalid {
            field: None,
            reason: reason.into(),
        }
    }
}
