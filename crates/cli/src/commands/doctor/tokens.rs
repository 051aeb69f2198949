//! The checks of an account's tokens, and of what is known of the account beside them.

use std::time::Duration;

use cf_service_tokens::renewal::RenewalPolicy;
use cf_service_tokens::{Organization, ServiceToken};
use chrono::{DateTime, Utc};

use super::Check;
use crate::config::Config;
use crate::output;
use crate::records::State;
use crate::risk::{self, NEARLY_FULL, Neighbours, QUOTA, Risk, Unknown};
use crate::secret::journal::Journal;
use crate::time;

/// The most tokens that a check names.
const MAX_NAMED: usize = 5;

/// Checks the tokens, and what is known of the account beside them.
pub(super) fn of_tokens(
    tokens: &[ServiceToken],
    neighbours: &Neighbours,
    policy: &RenewalPolicy,
    config: Option<&Config>,
    window: Duration,
    journal: Option<&Journal>,
    now: DateTime<Utc>,
) -> Vec<Check> {
    let risks: Vec<(&ServiceToken, Risk)> = tokens
        .iter()
        .flat_map(|token| {
            let decision = policy.decide(token, now);
            let state = State::decided(decision, token.expires_at, now);
            let risks = Risk::of(token, state, neighbours, journal, now);
            risks.into_iter().map(move |risk| (token, risk))
        })
        .collect();
    let mut checks = vec![
        of_expiry(&risks, config, window, now),
        of_quota(tokens.len()),
    ];
    match &neighbours.organization {
        Ok(organization) => {
            checks.push(of_authentication(organization));
            checks.push(of_clean_up(organization, &risks, now));
        }
        Err(unknown) => {
            checks.push(Check::unknown("authentication", unknown));
            checks.push(Check::unknown("clean-up", unknown));
        }
    }
    checks.push(of_usage(tokens, neighbours, &risks));
    checks
}

fn of_expiry(
    risks: &[(&ServiceToken, Risk)],
    config: Option<&Config>,
    window: Duration,
    now: DateTime<Utc>,
) -> Check {
    let window = time::length(window);
    let (renew, include_expired) = match config {
        Some(config) => {
            let file = output::quoted(&config.path.to_string_lossy());
            (format!("keep --config {file}"), "include_expired = true")
        }
        None => ("renew".to_owned(), "--include-expired"),
    };
    let expired = named(risks, |risk| matches!(risk, Risk::Expired { .. }));
    let due = named(risks, |risk| matches!(risk, Risk::Expires { .. }));
    let first = risks
        .iter()
        .filter(|(_, risk)| matches!(risk, Risk::Expires { .. }))
        .filter_map(|(_, risk)| risk.at())
        .min();
    let first = first.map(|at| format!(", the first {}", time::distance(at - now)));
    let first = first.unwrap_or_default();
    let expired = expired.map(|expired| format!("expired: {expired}"));
    let due = due.map(|due| format!("due: {due}{first}"));
    let parts: Vec<String> = expired.iter().chain(&due).cloned().collect();
    let what = parts.join("; ");
    match (expired, due) {
        (Some(_), _) => Check::failure("expiry", what).next(format!(
            "run `cf-service-tokens {renew}`, with {include_expired} for tokens that expired more \
             than {window} ago; disable or delete those that nobody needs"
        )),
        (None, Some(_)) => Check::warning("expiry", what).next(format!(
            "run `cf-service-tokens {renew}`, for example daily from cron"
        )),
        (None, None) => {
            let what = format!("no token has expired or is due within {window}");
            Check::ok("expiry", what)
        }
    }
}

fn of_quota(count: usize) -> Check {
    let what = format!("{count} of {QUOTA} tokens");
    match count {
        NEARLY_FULL.. => Check::warning("quota", what).next(
            "delete the tokens that nobody uses; Enterprise accounts may have a higher limit, \
             which the API does not report",
        ),
        _ => Check::ok("quota", what),
    }
}

fn of_authentication(organization: &Organization) -> Check {
    const CHECK: &str = "authentication";
    match organization.strict_service_token_auth {
        Some(true) => Check::ok(
            CHECK,
            "strict: an app answers 401 if a token can't authenticate, 403 if no policy allows it",
        ),
        _ => Check::warning(
            CHECK,
            "not strict: an app may answer an expired token with 403 or with a login page",
        )
        .next("turn on strict service token authentication in Zero Trust's settings"),
    }
}

fn of_clean_up(
    organization: &Organization,
    risks: &[(&ServiceToken, Risk)],
    now: DateTime<Utc>,
) -> Check {
    const CHECK: &str = "clean-up";
    let settings = organization.service_token_inactivity.as_ref();
    let Some(settings) = settings.filter(|settings| settings.enabled != Some(false)) else {
        return Check::ok(CHECK, "inactive tokens are left alone");
    };
    let done = risk::done_by(settings.action);
    let rule = match settings.inactivity_threshold_days {
        Some(days) => format!("tokens that are not used for {days} days are {done}"),
        None => format!("inactive tokens are {done}"),
    };
    let hit: Vec<String> = risks
        .iter()
        .filter(|(_, risk)| matches!(risk, Risk::CleanUp { .. }))
        .map(|(token, risk)| format!("{} {}", name(token), risk.words(now)))
        .collect();
    match hit.is_empty() {
        true => Check::ok(CHECK, format!("{rule}; none will be soon")),
        false => Check::warning(CHECK, format!("{rule}: {}", first_of(&hit, "; "))).next(
            "use the token, or add a rule that names it to a policy; a refresh does not protect \
             it, and neither does a group",
        ),
    }
}

fn of_usage(
    tokens: &[ServiceToken],
    neighbours: &Neighbours,
    risks: &[(&ServiceToken, Risk)],
) -> Check {
    const CHECK: &str = "usage";
    let usage = match &neighbours.usage {
        Ok(usage) => usage,
        Err(unknown) => return Check::unknown(CHECK, unknown),
    };
    if let Some(unread) = usage.unread().first() {
        return Check::unknown(CHECK, &Unknown::Permission(unread.permission));
    }
    match named(risks, |risk| *risk == Risk::Unused) {
        Some(unused) => Check::warning(CHECK, format!("no policy, group or app names {unused}"))
            .next("disable a token before you delete it, in case something still needs it"),
        None if neighbours.any_token_is_admitted() => Check::ok(
            CHECK,
            "a rule admits every valid service token of the account",
        ),
        None if tokens.is_empty() => Check::ok(CHECK, "there are no tokens"),
        None => Check::ok(CHECK, "a policy, group or app names each token"),
    }
}

/// Names the tokens with such a risk; `None` if there are none.
fn named(risks: &[(&ServiceToken, Risk)], is: impl Fn(&Risk) -> bool) -> Option<String> {
    let named = risks.iter().filter(|(_, risk)| is(risk));
    let named: Vec<String> = named.map(|(token, _)| name(token)).collect();
    (!named.is_empty()).then(|| first_of(&named, ", "))
}

fn name(token: &ServiceToken) -> String {
    let name = token.name.as_deref().filter(|name| !name.trim().is_empty());
    match name.or(token.id.as_deref()) {
        Some(name) => format!("{name:?}"),
        None => "a token without a name".to_owned(),
    }
}

/// Joins the first of these texts, and counts the others.
pub(super) fn first_of(texts: &[String], separator: &str) -> String {
    let first = texts.iter().take(MAX_NAMED).cloned();
    let others = texts.len().saturating_sub(MAX_NAMED);
    let others = (others > 0).then(|| format!("and {others} more"));
    first.chain(others).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn an_account_that_is_nearly_full_is_a_warning() {
        for (count, status) in [(0, Status::Ok), (44, Status::Ok), (45, Status::Warning)] {
            assert_eq!(of_quota(count).status, status, "{count}");
        }
    }

    #[test]
    fn many_tokens_are_counted() {
        let names: Vec<String> = (1..=7).map(|number| number.to_string()).collect();
        assert_eq!(first_of(&names[..5], ", "), "1, 2, 3, 4, 5");
        assert_eq!(first_of(&names, ", "), "1, 2, 3, 4, 5, and 2 more");
    }
}
