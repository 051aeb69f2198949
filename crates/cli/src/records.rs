//! The output of the commands about tokens, in every format.

use std::fmt;

use anstyle::AnsiColor;
use cf_service_tokens::renewal::{Decision, RenewReason, RenewalError, RenewalPolicy, SkipReason};
use cf_service_tokens::{Error, ServiceToken};
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::commands::select::Chosen;
use crate::failure::with_causes;
use crate::output::{self, Cell, Record};
use crate::time;

/// A token.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct TokenRecord {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) state: State,
    pub(crate) duration: Option<String>,
    /// When the token expires; null if it never does.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// How long until then; negative if the token has expired.
    pub(crate) expires_in_seconds: Option<i64>,
    pub(crate) last_seen_at: Option<DateTime<Utc>>,
    pub(crate) created_at: Option<DateTime<Utc>>,
    pub(crate) updated_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    pub(crate) never_expires: bool,
    #[serde(skip)]
    pub(crate) has_readable_duration: bool,
}

/// The state of a token.
// Tables, JSON, the page and the metrics use these words. The states that need a person's
// attention come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(rename_all = "snake_case")
)]
pub(crate) enum State {
    /// The token has expired, and no longer authenticates.
    Expired,
    /// The API did not return what a renewal needs to know, such as the expiry.
    Unknown,
    /// The token expires within the window.
    Due,
    /// The token expires after the window.
    Active,
    NeverExpires,
    Disabled,
    /// `--only` or `--except` tells `renew` to leave the token alone.
    Excluded,
}

impl State {
    pub(crate) const ALL: [Self; 7] = [
        Self::Expired,
        Self::Unknown,
        Self::Due,
        Self::Active,
        Self::NeverExpires,
        Self::Disabled,
        Self::Excluded,
    ];

    /// The state at `now`, with a window of 30 days.
    pub(crate) fn of(token: &ServiceToken, now: DateTime<Utc>) -> Self {
        let decision = RenewalPolicy::new().decide(token, now);
        Self::decided(decision, token.expires_at, now)
    }

    /// The state at `now` of a token that a policy decided about, perhaps earlier.
    pub(crate) fn decided(
        decision: Decision,
        expires_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Self {
        match decision {
            Decision::Skip(SkipReason::NeverExpires) => Self::NeverExpires,
            Decision::Skip(SkipReason::Disabled) => Self::Disabled,
            Decision::Skip(SkipReason::Excluded | SkipReason::NotSelected) => Self::Excluded,
            _ if expires_at.is_some_and(|at| at <= now) => Self::Expired,
            Decision::Renew(RenewReason::Expired) | Decision::Skip(SkipReason::Expired) => {
                Self::Expired
            }
            Decision::Renew(_) => Self::Due,
            Decision::Skip(SkipReason::NotDue) => Self::Active,
            _ => Self::Unknown,
        }
    }

    /// Whether a person should look: the token has expired, may have, or soon will.
    pub(crate) fn needs_attention(self) -> bool {
        matches!(self, Self::Expired | Self::Unknown | Self::Due)
    }

    /// The state as JSON and the metrics have it; `Display` is for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Due => "due",
            Self::Active => "active",
            Self::NeverExpires => "never_expires",
            Self::Disabled => "disabled",
            Self::Excluded => "excluded",
        }
    }

    pub(crate) fn cell(self) -> Cell {
        let words = self.to_string();
        match self {
            Self::Expired | Self::Unknown => Cell::bad(words),
            Self::Due => Cell::warning(words),
            Self::Active | Self::NeverExpires => Cell::good(words),
            Self::Disabled | Self::Excluded => Cell::faint(words),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeverExpires => "never expires",
            state => state.as_str(),
        })
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl TokenRecord {
    pub(crate) fn new(token: &ServiceToken, now: DateTime<Utc>) -> Self {
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            client_id: token.client_id.clone(),
            state: State::of(token, now),
            duration: token.duration.as_ref().map(ToString::to_string),
            expires_at: token.expires_at.filter(|_| !token.never_expires()),
            expires_in_seconds: token.expires_in(now).map(|left| left.num_seconds()),
            last_seen_at: token.last_seen_at,
            created_at: token.created_at,
            updated_at: token.updated_at,
            never_expires: token.never_expires(),
            has_readable_duration: token.duration.as_ref().is_none_or(|d| d.is_readable()),
        }
    }

    pub(crate) fn expiry_cell(&self, now: DateTime<Utc>) -> Cell {
        expiry_cell(self.expires_at, self.never_expires, now)
    }

    pub(crate) fn last_seen_cell(&self, now: DateTime<Utc>) -> Cell {
        let last_seen = self.last_seen_at.map(|at| time::distance(at - now));
        Cell::plain(last_seen.unwrap_or_else(|| "never".to_owned()))
    }

    /// The duration, which says why `renew --by duration` can't renew the token.
    fn duration_cell(&self) -> Cell {
        match &self.duration {
            Some(text) if !self.has_readable_duration => Cell::warning(format!(
                "{} (not a duration such as 8760h)",
                output::bounded(text)
            )),
            duration => Cell::maybe(duration.clone()),
        }
    }

    /// All there is to know, a field a line.
    pub(crate) fn fields(&self, now: DateTime<Utc>) -> Vec<(&'static str, Cell)> {
        let at = |time: Option<DateTime<Utc>>| {
            Cell::maybe(
                time.map(|time| format!("{} ({})", time::minute(time), time::distance(time - now))),
            )
        };
        vec![
            ("Name", Cell::maybe(self.name.clone())),
            ("Id", Cell::maybe(self.id.clone())),
            ("Client id", Cell::maybe(self.client_id.clone())),
            ("State", self.state.cell()),
            (
                "Expires",
                match self.never_expires {
                    true => Cell::plain("never"),
                    false => at(self.expires_at),
                },
            ),
            ("Duration", self.duration_cell()),
            ("Last seen", at(self.last_seen_at)),
            ("Created", at(self.created_at)),
            ("Updated", at(self.updated_at)),
        ]
    }
}

/// When a token expires, as a cell that warns of what is near.
pub(crate) fn expiry_cell(
    expires_at: Option<DateTime<Utc>>,
    never_expires: bool,
    now: DateTime<Utc>,
) -> Cell {
    match expires_at {
        _ if never_expires => Cell::plain("never"),
        None => Cell::plain("-"),
        Some(at) if at <= now => Cell::time(at, now).colored(AnsiColor::Red),
        Some(at) if (at - now).num_days() < 30 => Cell::time(at, now).colored(AnsiColor::Yellow),
        Some(at) => Cell::time(at, now),
    }
}

impl Record for TokenRecord {
    const COLUMNS: &'static [&'static str] =
        &["NAME", "ID", "STATE", "EXPIRES", "DURATION", "LAST SEEN"];
    const SPARE: &'static [&'static str] = &["DURATION", "LAST SEEN", "ID"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::name(self.name.as_deref()),
            Cell::id(self.id.as_deref()),
            self.state.cell(),
            self.expiry_cell(now),
            Cell::maybe(self.duration.clone()),
            self.last_seen_cell(now),
        ]
    }
}

/// Why a call failed: fields of every record of an outcome.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Fault {
    pub(crate) error: Option<String>,
    pub(crate) error_status: Option<u16>,
    pub(crate) error_code: Option<i64>,
    pub(crate) ray_id: Option<String>,
}

impl From<&Error> for Fault {
    fn from(error: &Error) -> Self {
        Self {
            error: Some(with_causes(error)),
            error_status: error.status().map(|status| status.as_u16()),
            error_code: error.api_errors().first().map(|error| error.code),
            ray_id: error.ray_id().map(str::to_owned),
        }
    }
}

impl From<&RenewalError> for Fault {
    fn from(error: &RenewalError) -> Self {
        match error {
            RenewalError::Call(error) => Self::from(error),
            error => Self {
                error: Some(error.to_string()),
                ..Self::default()
            },
        }
    }
}

/// The outcome of a change of a token.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ChangeRecord {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) outcome: &'static str,
    pub(crate) state: Option<State>,
    pub(crate) duration: Option<String>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
    #[serde(flatten)]
    fault: Fault,
    #[serde(skip)]
    never_expires: bool,
}

impl ChangeRecord {
    pub(crate) fn changed(outcome: &'static str, token: &ServiceToken, now: DateTime<Utc>) -> Self {
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            outcome,
            state: Some(State::of(token, now)),
            duration: token.duration.as_ref().map(ToString::to_string),
            expires_at: token.expires_at.filter(|_| !token.never_expires()),
            fault: Fault::default(),
            never_expires: token.never_expires(),
        }
    }

    pub(crate) fn failed(token: &Chosen, error: &RenewalError) -> Self {
        Self {
            outcome: "failed",
            fault: Fault::from(error),
            ..Self::not_tried(token)
        }
    }

    /// Left as it is, since the credentials were not accepted.
    pub(crate) fn not_tried(token: &Chosen) -> Self {
        Self {
            id: Some(token.id.to_string()),
            name: token.name().map(str::to_owned),
            outcome: "not_tried",
            state: None,
            duration: None,
            expires_at: None,
            fault: Fault::default(),
            never_expires: false,
        }
    }
}

impl Record for ChangeRecord {
    const COLUMNS: &'static [&'static str] = &["NAME", "ID", "OUTCOME", "EXPIRES"];
    const SPARE: &'static [&'static str] = &["ID"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let outcome = match self.outcome {
            "not_tried" => Cell::bad("not tried"),
            outcome if self.is_news() => Cell::bad(outcome),
            outcome => Cell::good(outcome),
        };
        let expiry = match self.outcome {
            // A deleted token has no expiry.
            "deleted" => Cell::plain(""),
            _ => expiry_cell(self.expires_at, self.never_expires, now),
        };
        vec![
            Cell::name(self.name.as_deref()),
            Cell::id(self.id.as_deref()),
            outcome,
            expiry,
        ]
    }

    fn is_news(&self) -> bool {
        matches!(self.outcome, "failed" | "not_tried")
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_state_is_one_word_in_all_outputs() {
        let now = Utc::now();
        let mut token = ServiceToken::default();
        token.id = Some("a".to_owned());
        let mut states = vec![(State::of(&token, now), "unknown", "unknown")];
        for (days, word) in [
            (-400, "expired"),
            (-3, "expired"),
            (3, "due"),
            (31, "active"),
        ] {
            token.expires_at = Some(now + TimeDelta::days(days));
            states.push((State::of(&token, now), word, word));
        }
        token.enabled = Some(false);
        states.push((State::of(&token, now), "disabled", "disabled"));
        token.enabled = None;
        let except = RenewalPolicy::new().except(["a"]).decide(&token, now);
        let excluded = State::decided(except, token.expires_at, now);
        states.push((excluded, "excluded", "excluded"));
        token.duration = "forever".parse().ok();
        states.push((State::of(&token, now), "never_expires", "never expires"));
        for (state, name, words) in states {
            let json = serde_json::to_value(state).unwrap();
            assert_eq!((json, state.to_string()), (name.into(), words.to_owned()));
        }
    }

    #[test]
    fn a_token_expires_after_the_decision_too() {
        let now = Utc::now();
        let decision = Decision::Skip(SkipReason::NotDue);
        let at = |from_now| State::decided(decision, Some(now + from_now), now);
        assert_eq!(at(TimeDelta::seconds(1)), State::Active);
        assert_eq!(at(TimeDelta::zero()), State::Expired);
    }
}
