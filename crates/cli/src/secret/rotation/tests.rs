//! What there is to do for a token, by its record, its reading and its rule.

use secrecy::SecretString;

use super::*;
use crate::secret::sink::IssuedSecret;

const DAY: Duration = Duration::from_secs(86_400);

/// This many days from now, which is day 0.
fn day(days: i64) -> DateTime<Utc> {
    let now: DateTime<Utc> = "2026-11-26T06:00:00Z".parse().unwrap();
    now + TimeDelta::days(days)
}

fn reading(updated_at: Option<DateTime<Utc>>, version: Option<i64>) -> Reading {
    let mut token = ServiceToken::default();
    token.updated_at = updated_at;
    token.client_secret_version = version;
    Reading {
        token,
        id: ServiceTokenId::new("faaaddeb-6111-4a48-805d-3f126e371f62").unwrap(),
        at: day(0),
    }
}

fn known(since: i64, is_estimate: bool, version: Option<i64>, grace: Option<i64>) -> Known {
    Known {
        secret_since: Some(day(since)),
        is_estimate,
        version,
        old_secret_valid_until: grace.map(day),
    }
}

/// A rotate that began days ago, with a grace of seven days.
fn run(began: i64, stage: Stage) -> Run {
    let intent = Intent {
        operation: Operation::Rotate,
        account_id: "account".to_owned(),
        token_id: None,
        name: None,
        client_id: None,
        updated_at: Some(day(-200)),
        expires_at: None,
        old_secret_valid_until: Some(day(began + 7)),
        version: None,
        started_at: day(began),
        may_arrive_until: day(began) + TimeDelta::minutes(5),
        sink: "file:secret".to_owned(),
        then_steps: Steps::default(),
        outage_since: None,
    };
    Run { intent, stage }
}

fn secret() -> IssuedSecret {
    IssuedSecret {
        client_id: None,
        client_secret: SecretString::from("secret"),
        token_id: None,
        version: None,
    }
}

fn young(since: i64, is_estimate: bool) -> Due {
    Due::Young {
        secret_since: day(since),
        is_estimate,
        due_at: day(since + 90),
    }
}

fn rotate(since: i64, is_estimate: bool) -> Due {
    Due::Rotate {
        secret_since: day(since),
        is_estimate,
        due_at: Some(day(since + 90)),
    }
}

#[test]
fn a_secret_is_due_by_its_record_or_by_first_sight() {
    let read = |days: i64| reading(Some(day(days)), None);
    for (what, known, reading, expected) in [
        ("first sight", None, read(-34), young(-34, true)),
        (
            "first sight of an old one",
            None,
            read(-90),
            rotate(-90, true),
        ),
        (
            "no date at first sight",
            None,
            reading(None, None),
            young(0, true),
        ),
        ("a date in the future", None, read(3), young(0, true)),
        (
            "by record, whatever was changed since",
            Some(known(-90, false, None, None)),
            read(-1),
            rotate(-90, false),
        ),
        (
            "a day early",
            Some(known(-89, false, None, None)),
            read(-200),
            young(-89, false),
        ),
        (
            "an estimate stays one",
            Some(known(-120, true, None, None)),
            read(-1),
            rotate(-120, true),
        ),
        (
            "only a grace is known",
            Some(Known {
                secret_since: None,
                ..known(0, true, None, Some(-1))
            }),
            read(-34),
            young(-34, true),
        ),
        (
            "the known version",
            Some(known(-120, false, Some(2), None)),
            reading(Some(day(-1)), Some(2)),
            rotate(-120, false),
        ),
        (
            "a version that is shown for the first time",
            Some(known(-120, false, None, None)),
            reading(Some(day(-1)), Some(2)),
            rotate(-120, false),
        ),
        (
            "somebody else's version",
            Some(known(-120, false, Some(2), None)),
            reading(Some(day(-10)), Some(3)),
            young(-10, true),
        ),
        (
            "somebody else's old version",
            Some(known(-200, false, Some(2), None)),
            reading(Some(day(-95)), Some(3)),
            rotate(-95, true),
        ),
        (
            "old enough, but within a grace",
            Some(known(-120, false, None, Some(1))),
            read(-120),
            Due::InGrace { until: day(1) },
        ),
        (
            "young, and within a grace",
            Some(known(-1, false, None, Some(6))),
            read(-1),
            young(-1, false),
        ),
        (
            "after the grace",
            Some(known(-120, false, None, Some(0))),
            read(-120),
            rotate(-120, false),
        ),
    ] {
        let due = |ends_grace| due(known.as_ref(), None, &reading, Some(DAY * 90), ends_grace);
        assert_eq!(due(false), expected, "{what}");
        if let Due::InGrace { .. } = expected {
            assert_eq!(due(true), rotate(-120, false), "{what}");
        }
    }
}

#[test]
fn a_rotate_by_hand_asks_for_no_age_but_for_the_grace() {
    let now = Due::Rotate {
        secret_since: day(-1),
        is_estimate: false,
        due_at: None,
    };
    let read = reading(Some(day(-1)), None);
    for (grace, ends_grace, expected) in [
        (None, false, now.clone()),
        (Some(1), false, Due::InGrace { until: day(1) }),
        (Some(1), true, now.clone()),
    ] {
        let known = known(-1, false, None, grace);
        assert_eq!(due(Some(&known), None, &read, None, ends_grace), expected);
    }
}

#[test]
fn an_unfinished_run_comes_first() {
    let unchanged = || reading(Some(day(-200)), None);
    let changed = || reading(Some(day(-1)), None);
    let finish = |left| Due::Finish { left };
    let lost = |until| Due::Lost {
        old_secret_works_until: day(until),
    };
    let mut revoking = run(-1, Stage::Called);
    revoking.intent.old_secret_valid_until = None;
    let replacing = |stage| {
        let mut run = run(-1, stage);
        run.intent.outage_since = Some(day(-3));
        run
    };
    for (what, run, reading, expected) in [
        (
            "just begun",
            run(0, Stage::Called),
            unchanged(),
            Due::Arriving {
                until: day(0) + TimeDelta::minutes(5),
            },
        ),
        (
            "begun in the future, after a clock was set back",
            run(9, Stage::Called),
            changed(),
            Due::Arriving {
                until: day(0) + TimeDelta::minutes(5),
            },
        ),
        (
            "without effect",
            run(-1, Stage::Called),
            unchanged(),
            rotate(-120, false),
        ),
        (
            "perhaps with effect",
            run(-1, Stage::Called),
            changed(),
            lost(6),
        ),
        (
            "no date",
            run(-1, Stage::Called),
            reading(None, None),
            lost(6),
        ),
        (
            "after its grace",
            run(-8, Stage::Called),
            changed(),
            Due::Outage { since: day(-1) },
        ),
        (
            "at the end of its grace",
            run(-7, Stage::Called),
            changed(),
            Due::Outage { since: day(0) },
        ),
        (
            "revoked",
            revoking,
            changed(),
            Due::Outage { since: day(-1) },
        ),
        ("an odd answer", run(-1, Stage::Kept), unchanged(), lost(6)),
        (
            "an odd answer after its grace",
            run(-8, Stage::Kept),
            unchanged(),
            Due::Outage { since: day(-1) },
        ),
        (
            "the replacement of a lost secret, without effect",
            replacing(Stage::Called),
            unchanged(),
            Due::Outage { since: day(-3) },
        ),
        (
            "the replacement of a lost secret, perhaps with effect",
            replacing(Stage::Called),
            changed(),
            Due::Outage { since: day(-3) },
        ),
        (
            "not delivered",
            run(-90, Stage::Answered(secret())),
            changed(),
            finish(Left::Delivery),
        ),
        (
            "not verified",
            run(-90, Stage::Delivered(secret())),
            changed(),
            finish(Left::Verification),
        ),
        (
            "not announced",
            run(-90, Stage::Settled),
            changed(),
            finish(Left::Hook),
        ),
    ] {
        let known = known(-120, false, None, None);
        let due = due(Some(&known), Some(&run), &reading, Some(DAY * 90), false);
        assert_eq!(due, expected, "{what}");
    }
}
