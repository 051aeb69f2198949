//! The risks of a token: whatever may end it, or its use, unnoticed. They depend on the
//! settings of the account, and on its policies, groups and apps.

use std::time::Duration;

use cf_service_tokens::{
    Account, CleanUp, Error, InactivityAction, Organization, Response, RulePlace, ServiceToken,
    TokenUsage, Usage,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::failure::with_causes;
use crate::output::Cell;
use crate::records::State;
use crate::secret::journal::Journal;
use crate::time;

/// How long before the clean-up of inactive tokens it is a risk. The shortest threshold is
/// 30 days, so a token that is used every other week is at no risk.
const CLEAN_UP_NOTICE: TimeDelta = TimeDelta::days(14);
/// How long a token in use is seldom without a request.
const LONG_UNSEEN: TimeDelta = TimeDelta::days(90);
/// How long before its end the grace period of an old secret is a risk.
const GRACE_NOTICE: TimeDelta = TimeDelta::days(3);
/// The names of the risks that the metrics count, beside the states of tokens.
pub(crate) const COUNTED: [&str; 3] = ["clean_up", "unused", "unseen"];

/// How many service tokens an account may have, unless Cloudflare raised the limit.
pub(crate) const QUOTA: usize = 50;
/// From how many of them on that is worth a warning.
pub(crate) const NEARLY_FULL: usize = 45;
/// How long before its expiry an API token is worth a warning.
pub(crate) const API_TOKEN_NOTICE: TimeDelta = TimeDelta::days(30);

/// How long the API may take to say what is known of an account beside its tokens, with its
/// retries. No command depends on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Something that may end a token, or that shows that nobody would miss it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Risk {
    /// It has expired.
    Expired { at: Option<DateTime<Utc>> },
    /// The clean-up of inactive tokens hits it, or may hit it.
    CleanUp {
        /// When, unless the token is used before, if that is known.
        at: Option<DateTime<Utc>>,
        action: Option<InactivityAction>,
        is_certain: bool,
    },
    /// It expires within the window.
    Expires { at: Option<DateTime<Utc>> },
    /// The secret before the newest one stops working.
    OldSecret { at: DateTime<Utc> },
    /// No policy, group or app names it, nor any rule that matches every token.
    Unused,
    /// It was last seen long ago, or never since it was created.
    Unseen {
        last_seen_at: Option<DateTime<Utc>>,
        created_at: Option<DateTime<Utc>>,
    },
}

impl Risk {
    /// Returns the risks of a token, the worst one first.
    pub(crate) fn of(
        token: &ServiceToken,
        state: State,
        neighbours: &Neighbours,
        journal: Option<&Journal>,
        now: DateTime<Utc>,
    ) -> Vec<Self> {
        let mut risks = Vec::new();
        let at = token.expires_at;
        match state {
            State::Expired => risks.push(Self::Expired { at }),
            State::Due => risks.push(Self::Expires { at }),
            _ => {}
        }
        let usage = neighbours.usage_of(token);
        risks.extend(clean_up(token, neighbours, usage.as_ref(), now));
        let old_secret = journal.and_then(|journal| journal.grace(token.id.as_deref()?));
        if let Some(at) = old_secret.filter(|at| *at > now && *at - now <= GRACE_NOTICE) {
            risks.push(Self::OldSecret { at });
        }
        // Nobody would miss what does not work anyway.
        if !matches!(state, State::Expired | State::Disabled) {
            let is_unused = usage.is_some_and(|usage| usage.is_used() == Some(false));
            if is_unused && !neighbours.any_token_is_admitted() {
                risks.push(Self::Unused);
            }
            let (last_seen_at, created_at) = (token.last_seen_at, token.created_at);
            if last_seen_at
                .or(created_at)
                .is_some_and(|at| now - at > LONG_UNSEEN)
            {
                risks.push(Self::Unseen {
                    last_seen_at,
                    created_at,
                });
            }
        }
        risks.sort_by_key(Self::rank);
        risks
    }

    /// Returns a smaller number for what is worse.
    fn rank(&self) -> u8 {
        match self {
            Self::Expired { .. } => 0,
            Self::CleanUp { .. } => 1,
            Self::Expires { .. } => 2,
            Self::OldSecret { .. } => 3,
            Self::Unused => 4,
            Self::Unseen { .. } => 5,
        }
    }

    /// The name of the risk in JSON and in the metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "expired",
            Self::CleanUp { .. } => "clean_up",
            Self::Expires { .. } => "expires",
            Self::OldSecret { .. } => "old_secret",
            Self::Unused => "unused",
            Self::Unseen { .. } => "unseen",
        }
    }

    /// When it strikes, if it does at a time that is known.
    pub(crate) fn at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Expired { at } | Self::Expires { at } | Self::CleanUp { at, .. } => *at,
            Self::OldSecret { at } => Some(*at),
            Self::Unused | Self::Unseen { .. } => None,
        }
    }

    /// Whether the state of the token says it already.
    pub(crate) fn is_expiry(&self) -> bool {
        matches!(self, Self::Expired { .. } | Self::Expires { .. })
    }

    /// Describes the risk.
    pub(crate) fn words(&self, now: DateTime<Utc>) -> String {
        let distance = |at: DateTime<Utc>| time::distance_and_date(at, now);
        match self {
            Self::Expired { at } => match at {
                Some(at) => format!("expired {}", distance(*at)),
                None => "expired".to_owned(),
            },
            Self::Expires { at } => match at {
                Some(at) => format!("expires {}", distance(*at)),
                None => "expires soon".to_owned(),
            },
            Self::CleanUp {
                at,
                action,
                is_certain,
            } => {
                let verb = if *is_certain { "will be" } else { "may be" };
                let what = done_by(*action);
                let when = match at {
                    Some(at) if *at <= now => "by the next clean-up".to_owned(),
                    Some(at) => distance(*at),
                    None => "by the clean-up".to_owned(),
                };
                format!("{verb} {what} {when} unless it is used")
            }
            Self::OldSecret { at } => format!("its old secret stops working {}", distance(*at)),
            Self::Unused => "no policy, group or app names it".to_owned(),
            Self::Unseen {
                last_seen_at,
                created_at,
            } => match (last_seen_at, created_at) {
                (Some(at), _) => format!("last seen {}", distance(*at)),
                (None, Some(at)) => format!("never seen since it was created {}", distance(*at)),
                (None, None) => "never seen".to_owned(),
            },
        }
    }

    /// Describes the risk in a few words, and in one or two.
    fn short(&self, now: DateTime<Utc>) -> (String, &'static str) {
        match self {
            Self::CleanUp {
                at,
                action,
                is_certain,
            } => {
                let what = done_by(*action);
                let maybe = if *is_certain { "" } else { "may be " };
                let when = match at {
                    Some(at) if *at > now => time::distance(*at - now),
                    _ => "soon".to_owned(),
                };
                (format!("{maybe}{what} {when}"), "clean-up")
            }
            Self::OldSecret { at } => {
                let distance = time::distance(*at - now);
                (format!("old secret ends {distance}"), "old secret")
            }
            Self::Unused => ("nothing names it".to_owned(), "unused"),
            Self::Unseen {
                last_seen_at: Some(_),
                ..
            } => ("unseen for 90 days".to_owned(), "unseen"),
            Self::Unseen { .. } => ("never seen".to_owned(), "unseen"),
            Self::Expired { .. } => ("expired".to_owned(), "expired"),
            Self::Expires { .. } => ("due".to_owned(), "due"),
        }
    }

    /// Whether somebody should act soon, although the token's state does not say so.
    pub(crate) fn needs_attention(&self) -> bool {
        matches!(self, Self::CleanUp { .. })
    }

    /// Returns the worst of these risks that the token's state does not say.
    pub(crate) fn beside_state(risks: &[Self]) -> Option<&Self> {
        risks.iter().find(|risk| !risk.is_expiry())
    }

    /// Returns that risk as a cell of a table.
    pub(crate) fn cell(risks: &[Self], now: DateTime<Utc>) -> Cell {
        let Some(risk) = Self::beside_state(risks) else {
            return Cell::plain("");
        };
        let (words, short) = risk.short(now);
        let cell = match risk.needs_attention() {
            true => Cell::warning(words),
            false => Cell::plain(words),
        };
        cell.or_short(short)
    }
}

/// Returns what the clean-up does to tokens.
pub(crate) fn done_by(action: Option<InactivityAction>) -> &'static str {
    match action {
        Some(InactivityAction::Disable) => "disabled",
        Some(InactivityAction::Delete) => "deleted",
        _ => "disabled or deleted",
    }
}

/// Returns what the clean-up does to the token, if that is soon, or may be.
fn clean_up(
    token: &ServiceToken,
    neighbours: &Neighbours,
    usage: Option<&TokenUsage>,
    now: DateTime<Utc>,
) -> Option<Risk> {
    let is_named = usage.and_then(TokenUsage::is_named_by_policy);
    let organization = neighbours.organization.as_ref().ok()?;
    let (at, action, is_certain) = match organization.clean_up_of(token, is_named) {
        CleanUp::Due { at, action, .. } => (Some(at), action, true),
        CleanUp::AtRisk { at, action, .. } => (at, action, false),
        _ => return None,
    };
    let is_soon = at.is_none_or(|at| at - now <= CLEAN_UP_NOTICE);
    is_soon.then_some(Risk::CleanUp {
        at,
        action,
        is_certain,
    })
}

/// Something that may end a token.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RiskRecord {
    risk: &'static str,
    at: Option<DateTime<Utc>>,
    words: String,
}

impl RiskRecord {
    pub(crate) fn of_all(risks: &[Risk], now: DateTime<Utc>) -> Vec<Self> {
        let record = |risk: &Risk| Self {
            risk: risk.name(),
            at: risk.at(),
            words: risk.words(now),
        };
        risks.iter().map(record).collect()
    }
}

/// The settings of an account's organization, and the users of its tokens. Where one is
/// unknown, it holds the reason.
#[derive(Debug)]
pub(crate) struct Neighbours {
    pub(crate) organization: Result<Organization, Unknown>,
    pub(crate) usage: Result<Usage, Unknown>,
}

/// Why something is not known.
#[derive(Clone, Debug)]
pub(crate) enum Unknown {
    /// The API token lacks this permission.
    Permission(&'static str),
    /// The call failed.
    Failed(String),
}

/// Returns what a call finds out in this time, or why it does not.
pub(crate) async fn known<T>(
    call: impl Future<Output = Result<T, Error>>,
    patience: Duration,
) -> Result<T, Unknown> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => answer.map_err(|error| Unknown::because(&error)),
        Err(_) => Err(Unknown::Failed(format!(
            "no answer in {} seconds",
            patience.as_secs()
        ))),
    }
}

impl Unknown {
    pub(crate) fn because(error: &Error) -> Self {
        match error.missing_permission() {
            Some(permission) => Self::Permission(permission),
            None => Self::Failed(with_causes(error)),
        }
    }
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Permission(permission) => {
                write!(f, "this API token lacks the permission {permission:?}")
            }
            Self::Failed(error) => f.write_str(error),
        }
    }
}

impl Neighbours {
    /// Reads them, with four requests or more, in this time. It fails no command.
    pub(crate) async fn read(account: &Account, patience: Duration) -> Self {
        let (organization, usage) = tokio::join!(
            known(account.organization(), patience),
            known(account.usage(), patience)
        );
        Self {
            organization: organization.map(Response::into_inner),
            usage,
        }
    }

    /// Whether a call failed, so that the next time more may be known.
    pub(crate) fn has_failed(&self) -> bool {
        let failed = |unknown: Option<&Unknown>| matches!(unknown, Some(Unknown::Failed(_)));
        failed(self.organization.as_ref().err()) || failed(self.usage.as_ref().err())
    }

    /// Returns what uses a token, as far as it is known.
    pub(crate) fn usage_of(&self, token: &ServiceToken) -> Option<TokenUsage> {
        self.usage.as_ref().ok().map(|usage| usage.of(token))
    }

    /// Whether a rule that matches every token uses them, rather than excludes them.
    pub(crate) fn any_token_is_admitted(&self) -> bool {
        let Ok(usage) = &self.usage else { return false };
        let mut any = usage.any_valid_service_token().into_iter();
        any.any(|used_by| used_by.place != RulePlace::Exclude)
    }

    /// Returns why something is not known, each reason once.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let mut permissions = Vec::new();
        let mut failures = Vec::new();
        let unread = self.usage.as_ref().map_or(&[][..], Usage::unread);
        let unread = unread
            .iter()
            .map(|unread| Unknown::Permission(unread.permission));
        let organization = self.organization.as_ref().err().cloned();
        let usage = self.usage.as_ref().err().cloned();
        for unknown in organization.into_iter().chain(usage).chain(unread) {
            match unknown {
                Unknown::Permission(permission) => permissions.push(format!("{permission:?}")),
                Unknown::Failed(error) => failures.push(error),
            }
        }
        permissions.sort();
        permissions.dedup();
        failures.dedup();
        match &permissions[..] {
            [] => {}
            [one] => failures.push(format!("this API token lacks the permission {one}")),
            several => failures.push(format!(
                "this API token lacks the permissions {}",
                several.join(" and ")
            )),
        }
        failures
    }

    /// Returns why some risks are unknown, if any are.
    pub(crate) fn why_unknown(&self) -> Option<String> {
        let unknown = self.unknown();
        (!unknown.is_empty()).then(|| unknown.join("; "))
    }

    /// Returns a note about what is not known, for a command that shows risks.
    pub(crate) fn note(&self) -> Option<String> {
        let why = self.why_unknown()?;
        Some(format!("some risks are unknown: {why}"))
    }
}

/// Returns when the API token expires, if it does; or why that is unknown.
pub(crate) async fn api_token_expiry(
    account: &Account,
    patience: Duration,
) -> Result<Option<DateTime<Utc>>, Unknown> {
    let verified = known(account.verify_api_token(), patience).await?;
    Ok(verified.expires_on)
}

/// Returns notes about what may end all tokens of an account: too many of them, and the
/// expiry of the API token that renews them.
pub(crate) fn notes_of_account(
    tokens: usize,
    api_token_expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<String> {
    let quota = (tokens >= NEARLY_FULL)
        .then(|| format!("the account has {tokens} tokens, and the limit is {QUOTA} by default"));
    let expiry = api_token_expires_at.filter(|at| *at - now <= API_TOKEN_NOTICE);
    let expiry = expiry.map(|at| {
        let distance = time::distance_and_date(at, now);
        format!("the API token expires {distance}, after which no token can be renewed")
    });
    quota.into_iter().chain(expiry).collect()
}

/// Returns those notes as one sentence.
pub(crate) fn note_of_account(
    tokens: usize,
    api_token_expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<String> {
    let notes = notes_of_account(tokens, api_token_expires_at, now);
    (!notes.is_empty()).then(|| format!("Note: {}.", notes.join("; ")))
}
