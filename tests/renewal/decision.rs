//! The decision about a token is a function of the token, the policy and the time.

use std::time::Duration;

use cf_service_tokens::ServiceToken;
use cf_service_tokens::renewal::{Decision, RenewBy, RenewalPolicy, Shard, SkipReason};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// Returns a token with these fields.
fn read(fields: Value) -> ServiceToken {
    serde_json::from_value(fields).unwrap()
}

#[test]
fn decisions() {
    let now: DateTime<Utc> = "2026-11-24T12:00:00Z".parse().unwrap();
    let default = RenewalPolicy::new();
    let by_duration = RenewalPolicy::new().by(RenewBy::Duration);
    let all = RenewalPolicy::new()
        .include_disabled(true)
        .include_expired(true);
    let edge = "2026-12-24T12:00:00Z";
    let cases = [
        (
            "not due",
            &default,
            json!({ "id": "a", "expires_at": "2026-12-24T12:00:01Z" }),
        ),
        ("due", &default, json!({ "id": "a", "expires_at": edge })),
        (
            "at its very end",
            &default,
            json!({ "id": "a", "expires_at": "2026-11-24T12:00:00Z" }),
        ),
        (
            "expired in the window",
            &default,
            json!({ "id": "a", "expires_at": "2026-10-25T12:00:01Z" }),
        ),
        (
            "expired before it",
            &default,
            json!({ "id": "a", "expires_at": "2026-10-25T12:00:00Z" }),
        ),
        (
            "expired before, included",
            &all,
            json!({ "id": "a", "expires_at": "2026-10-25T12:00:00Z" }),
        ),
        (
            "Go's zero time",
            &default,
            json!({ "id": "a", "expires_at": "0001-01-01T00:00:00Z" }),
        ),
        (
            "expired and disabled",
            &default,
            json!({ "id": "a", "expires_at": "2026-11-24T12:00:00Z", "enabled": false }),
        ),
        (
            "expired in a short life",
            &by_duration,
            json!({ "id": "a", "expires_at": "2026-11-24T06:00:01Z", "duration": "12h" }),
        ),
        (
            "expired before it, short",
            &by_duration,
            json!({ "id": "a", "expires_at": "2026-11-24T06:00:00Z", "duration": "12h" }),
        ),
        (
            "disabled",
            &default,
            json!({ "id": "a", "expires_at": edge, "enabled": false }),
        ),
        (
            "disabled, included",
            &all,
            json!({ "id": "a", "expires_at": edge, "enabled": false }),
        ),
        (
            "forever",
            &default,
            json!({ "id": "a", "expires_at": edge, "duration": "forever" }),
        ),
        (
            "forever, no expiry",
            &default,
            json!({ "id": "a", "duration": "forever" }),
        ),
        ("no expiry", &default, json!({ "id": "a" })),
        ("no id", &default, json!({ "expires_at": edge })),
        (
            "an id for another path",
            &default,
            json!({ "id": "../a", "expires_at": edge }),
        ),
        (
            "odd duration",
            &default,
            json!({ "id": "a", "expires_at": edge, "duration": "1 year" }),
        ),
        (
            "odd duration, by it",
            &by_duration,
            json!({ "id": "a", "expires_at": edge, "duration": "1 year" }),
        ),
        (
            "no duration, by it",
            &by_duration,
            json!({ "id": "a", "expires_at": edge }),
        ),
        (
            "zero duration, by it",
            &by_duration,
            json!({ "id": "a", "expires_at": edge, "duration": "0s" }),
        ),
        (
            "odd duration, expired",
            &by_duration,
            json!({ "id": "a", "expires_at": "2026-11-23T12:00:00Z", "duration": "1 year" }),
        ),
        (
            "short one, half left",
            &by_duration,
            json!({ "id": "a", "expires_at": "2026-11-24T18:00:00Z", "duration": "12h" }),
        ),
        (
            "short one, more left",
            &by_duration,
            json!({ "id": "a", "expires_at": "2026-11-24T18:00:01Z", "duration": "12h" }),
        ),
    ];
    let lines: Vec<String> = cases
        .into_iter()
        .map(|(case, policy, fields)| format!("{case:<24} {:?}", policy.decide(&read(fields), now)))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    not due                  Skip(NotDue)
    due                      Renew(Due)
    at its very end          Renew(Expired)
    expired in the window    Renew(Expired)
    expired before it        Skip(Expired)
    expired before, included Renew(Expired)
    Go's zero time           Unable(NoExpiry)
    expired and disabled     Skip(Disabled)
    expired in a short life  Renew(Expired)
    expired before it, short Skip(Expired)
    disabled                 Skip(Disabled)
    disabled, included       Renew(Due)
    forever                  Skip(NeverExpires)
    forever, no expiry       Skip(NeverExpires)
    no expiry                Unable(NoExpiry)
    no id                    Unable(NoId)
    an id for another path   Unable(NoId)
    odd duration             Renew(Due)
    odd duration, by it      Unable(UnreadableDuration)
    no duration, by it       Unable(UnreadableDuration)
    zero duration, by it     Unable(UnreadableDuration)
    odd duration, expired    Unable(UnreadableDuration)
    short one, half left     Renew(Due)
    short one, more left     Skip(NotDue)
    ");
}

#[test]
fn a_window_without_end_does_not_overflow() {
    let policy = RenewalPolicy::new()
        .window(Duration::MAX)
        .by(RenewBy::Duration);
    let token = read(json!({ "id": "a", "expires_at": "2026-12-24T12:00:00Z" }));
    assert!(policy.due_at(&token) < Some(DateTime::UNIX_EPOCH));
    let year =
        read(json!({ "id": "a", "expires_at": "2026-12-24T12:00:00Z", "duration": "8760h" }));
    let half_a_year_before = year.expires_at.map(|at| at - TimeDelta::hours(4380));
    assert_eq!(policy.due_at(&year), half_a_year_before);
}

#[test]
fn an_empty_selection_selects_no_token() {
    let policy = RenewalPolicy::new().only::<&str>([]);
    let token = read(json!({ "id": "a", "expires_at": "2026-12-24T12:00:00Z" }));
    let now = token.expires_at.unwrap();
    let decision = policy.decide(&token, now);
    assert_eq!(decision, Decision::Skip(SkipReason::NotSelected));
}

#[test]
fn a_negative_window_counts_as_zero() {
    for window in [TimeDelta::MIN, TimeDelta::days(-1)] {
        let policy = RenewalPolicy::new().window(window);
        let token = read(json!({ "id": "a", "expires_at": "2026-12-24T12:00:00Z" }));
        assert_eq!(policy.due_at(&token), token.expires_at, "{window}");
    }
}

#[test]
fn shards_that_do_not_exist() {
    for text in ["4/4", "0/0", "", "x", "-1/2", "1", "1/2/3"] {
        let error = text.parse::<Shard>().unwrap_err();
        assert!(error.is_configuration(), "{text}: {error}");
    }
    insta::assert_snapshot!("4/4".parse::<Shard>().unwrap_err(), @"there is no shard 4 of 4: shards count from 0, so write 0/4 for the first");
    insta::assert_snapshot!("all".parse::<Shard>().unwrap_err(), @r#""all" is not a shard: write I/N, such as 0/4 for the first of four"#);
}

#[test]
fn the_shard_of_an_account_never_changes() {
    for (count, index) in [(3, 1), (7, 3), (1000, 405)] {
        for other in 0..count {
            let shard = Shard::new(other, count).unwrap();
            assert_eq!(
                shard.holds(crate::support::ACCOUNT),
                other == index,
                "{shard}"
            );
        }
    }
    let shard: Shard = "2/7".parse().unwrap();
    assert_eq!(shard.to_string(), "2/7");
}
