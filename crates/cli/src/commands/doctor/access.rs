//! The checks of the credentials and the account, and of what each response shows.

use cf_service_tokens::{ApiToken, ApiTokenStatus, Error, Response, ServiceToken};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::HeaderMap;

use super::Check;
use crate::config::Config;
use crate::connection::Connection;
use crate::failure::{Exit, Failure};
use crate::risk::{API_TOKEN_NOTICE, Unknown};
use crate::secret::reading;
use crate::time;

/// How far this machine's clock may be off.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(1);
/// Below which share of the requests the doctor warns: one in ten.
const FEW_REQUESTS: u32 = 10;
/// An id that no token has.
const NO_TOKEN: &str = "00000000-0000-0000-0000-000000000000";

/// Returns the headers of the answer about the API token, whatever it says.
pub(super) fn headers(verified: &Result<Response<ApiToken>, Error>) -> Option<&HeaderMap> {
    match verified {
        Ok(answer) => Some(answer.headers()),
        Err(error) => error.headers(),
    }
}

pub(super) fn of_api_token(
    verified: &Result<Response<ApiToken>, Error>,
    now: DateTime<Utc>,
    explain: impl Fn(Failure) -> Failure,
) -> Check {
    const CHECK: &str = "api token";
    const NEW: &str = "create a new API token in the dashboard, under My Profile > API Tokens or \
                       Manage Account > Account API Tokens, and use it";
    let token = match verified {
        Ok(token) => token,
        // Only a global key can't be verified.
        Err(error) if error.is_configuration() => {
            let what = "the global API key does not expire, and can do whatever its user can";
            return Check::warning(CHECK, what).next(
                "use an API token whose only permission is \"Access: Service Tokens Write\"",
            );
        }
        Err(error) => {
            let failure = explain(Failure::from(error));
            // Another call shows whether the credentials work.
            return match failure.exit {
                _ if error.is_unauthenticated() => Check::failed(CHECK, failure)
                    .next(format!("check that it was copied as a whole, or {NEW}")),
                Exit::Credentials | Exit::Unreachable => Check::failed(CHECK, failure),
                _ => Check::unknown(CHECK, &Unknown::because(error)),
            };
        }
    };
    let distance = |at: DateTime<Utc>| time::distance_and_date(at, now);
    match (token.status, token.not_before, token.expires_on) {
        (Some(ApiTokenStatus::Disabled), ..) => Check::failure(CHECK, "it is disabled")
            .next("enable it in the dashboard, or use another one"),
        (Some(ApiTokenStatus::Expired), _, at) => {
            let at = at.map(|at| format!(" {}", distance(at)));
            let what = format!("it expired{}", at.unwrap_or_default());
            Check::failure(CHECK, what).next(NEW)
        }
        (_, Some(at), _) if at > now => Check::failure(
            CHECK,
            format!("it is not valid yet: it starts {}", distance(at)),
        )
        .next("wait until then, or use another one"),
        (_, _, Some(at)) if at - now <= API_TOKEN_NOTICE => {
            let what = format!(
                "it expires {}, after which no token can be renewed",
                distance(at)
            );
            Check::warning(CHECK, what).next(NEW)
        }
        (_, _, Some(at)) => Check::ok(CHECK, format!("it is valid, and expires {}", distance(at))),
        (_, _, None) => Check::ok(CHECK, "it is valid, and never expires"),
    }
}

pub(super) fn of_access(
    tokens: &[ServiceToken],
    config: Option<&Config>,
    may_be_unused: bool,
) -> Check {
    let source = match config {
        Some(_) => "the id in the file",
        None => "--account or CLOUDFLARE_ACCOUNT_ID",
    };
    match tokens.len() {
        0 if may_be_unused => Check::ok("account", "it has no service tokens"),
        0 => Check::warning(
            "account",
            "it has no service tokens, or the API token sees none",
        )
        .next(format!("check that {source} names the right account")),
        1 => Check::ok("account", "the API token sees it and its service token"),
        count => Check::ok(
            "account",
            format!("the API token sees it and its {count} service tokens"),
        ),
    }
}

/// Checks the permission by a call that can't have an effect.
pub(super) async fn of_permission(connection: &Connection) -> Check {
    const CHECK: &str = "permission";
    let Err(error) = connection.tokens.refresh(NO_TOKEN).await else {
        return Check::warning(
            CHECK,
            "unknown: the API refreshed a token that does not exist",
        );
    };
    match error.missing_permission() {
        _ if error.is_token_not_found() => Check::ok(CHECK, "the API token can change tokens"),
        Some(permission) => Check::failure(
            CHECK,
            format!("nothing can be renewed: this API token lacks the permission {permission:?}"),
        )
        .next("add the permission to it; `list`, `show` and `report` work without"),
        None => Check::unknown(CHECK, &Unknown::because(&error)),
    }
}

pub(super) fn of_rate_limit(headers: &HeaderMap) -> Option<Check> {
    const CHECK: &str = "rate limit";
    let left = parameter(headers, "ratelimit", "r")?;
    let Some(quota) = parameter(headers, "ratelimit-policy", "q") else {
        return Some(Check::ok(CHECK, format!("{left} requests are left")));
    };
    let what = format!("{left} of {quota} requests are left");
    Some(match left < quota / FEW_REQUESTS {
        true => Check::warning(CHECK, what).next(
            "other programs share this limit; an API token that the account owns has its own",
        ),
        false => Check::ok(CHECK, what),
    })
}

/// Returns the smallest value of a parameter in a header such as `"default";r=50;t=30`.
fn parameter(headers: &HeaderMap, header: &str, name: &str) -> Option<u32> {
    let fields = headers.get_all(header).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    let parameters = fields.flat_map(|field| field.split([';', ',']));
    let values = parameters.filter_map(|parameter| {
        let value = parameter.trim().strip_prefix(name)?.strip_prefix('=')?;
        value.parse().ok()
    });
    values.min()
}

pub(super) fn of_clock(headers: &HeaderMap) -> Option<Check> {
    const CHECK: &str = "clock";
    let ahead = Utc::now() - reading::date_of(headers)?;
    Some(match ahead.abs() > CLOCK_TOLERANCE {
        true => Check::warning(CHECK, time::clock_difference(ahead))
            .next("set it, by NTP for example; expiry goes by the API's clock"),
        false => Check::ok(CHECK, "this machine's clock agrees with the API's"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn the_tightest_limit_counts() {
        let mut headers = HeaderMap::new();
        let limits = r#""burst";r=50;t=30, "default"; r=9 ;t=30"#;
        headers.append("ratelimit", limits.parse().unwrap());
        assert_eq!(parameter(&headers, "ratelimit", "r"), Some(9));
        assert_eq!(parameter(&headers, "ratelimit", "q"), None);
        assert_eq!(parameter(&headers, "ratelimit-policy", "q"), None);
        headers.insert("ratelimit", "r, r=, r=-1".parse().unwrap());
        assert_eq!(parameter(&headers, "ratelimit", "r"), None);
    }

    #[test]
    fn few_requests_are_a_warning() {
        for (left, status) in [("119", Status::Warning), ("120", Status::Ok)] {
            let mut headers = HeaderMap::new();
            let policy = r#""default";q=1200;w=300"#;
            headers.insert("ratelimit-policy", policy.parse().unwrap());
            let limit = format!("\"default\";r={left};t=30");
            headers.insert("ratelimit", limit.parse().unwrap());
            assert_eq!(of_rate_limit(&headers).unwrap().status, status, "{left}");
        }
    }
}
