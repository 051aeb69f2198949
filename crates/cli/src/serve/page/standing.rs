//! How a token stands, for the eye: one word, one colour, one line of detail.

use cf_service_tokens::renewal::{Decision, RenewReason, SkipReason};
use chrono::{DateTime, Utc};

use super::Token;

/// How a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It should have been renewed, and was not or can't be.
    Trouble,
    /// The token has expired.
    Expired,
    /// It is to be renewed.
    Due,
    /// It expires, but not soon.
    Well,
    /// It never expires.
    Forever,
    /// It is disabled.
    Disabled,
    /// Others look after it, or nobody.
    LeftOut,
}

impl Standing {
    /// All of them, those first that call for a look.
    pub(super) const ALL: [Self; 7] = [
        Self::Trouble,
        Self::Expired,
        Self::Due,
        Self::Well,
        Self::Forever,
        Self::Disabled,
        Self::LeftOut,
    ];

    /// How a token stands at `now`.
    pub(super) fn of(token: &Token, now: DateTime<Utc>) -> Self {
        if token.problem.is_some() || matches!(token.decision, Decision::Unable(_)) {
            return Self::Trouble;
        }
        match token.decision {
            Decision::Skip(SkipReason::Disabled) => Self::Disabled,
            _ if token.never_expires => match token.decision {
                Decision::Skip(SkipReason::NeverExpires) => Self::Forever,
                _ => Self::LeftOut,
            },
            // Also if it has expired since the decision.
            _ if token.expires_at.is_some_and(|at| at <= now) => Self::Expired,
            Decision::Renew(_) => Self::Due,
            Decision::Skip(SkipReason::NotDue) => Self::Well,
            _ => Self::LeftOut,
        }
    }

    /// The state as a word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Trouble => "Needs attention",
            Self::Expired => "Expired",
            Self::Due => "Due",
            Self::Well => "Well",
            Self::Forever => "Forever",
            Self::Disabled => "Disabled",
            Self::LeftOut => "Excluded",
        }
    }

    /// The state as the name of a class.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Expired => "expired",
            Self::Due => "due",
            Self::Well => "well",
            Self::Forever => "forever",
            Self::Disabled => "disabled",
            Self::LeftOut => "left-out",
        }
    }
}

/// Returns details about a token beyond its state's word, if any.
pub(super) fn detail(token: &Token, state: Standing) -> Option<String> {
    if let Some(problem) = &token.problem {
        return Some(problem.clone());
    }
    match token.decision {
        Decision::Unable(reason) => Some(reason.to_string()),
        Decision::Renew(RenewReason::Expired) => Some("will be renewed".to_owned()),
        Decision::Skip(reason) if matches!(state, Standing::LeftOut | Standing::Expired) => {
            let is_plain = matches!(reason, SkipReason::Expired | SkipReason::NotDue);
            (!is_plain).then(|| reason.to_string())
        }
        _ => None,
    }
}
