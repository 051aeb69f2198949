use rand::SeedableRng;
use serde_json::{Value, json};

use super::*;
use crate::state::seed::SeedToken;

const ACCOUNT: &str = "a1";

fn start() -> DateTime<Utc> {
    "2026-11-24T05:00:00Z".parse().unwrap()
}

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

fn state_of(accounts: &[SeedAccount]) -> State {
    let rng = StdRng::seed_from_u64;
    State::new(accounts, start(), rng(1), rng(2)).unwrap()
}

fn empty() -> State {
    state_of(&[SeedAccount::new(ACCOUNT)])
}

fn with(seed: SeedToken) -> (State, String) {
    let state = state_of(&[SeedAccount::new(ACCOUNT).token(seed)]);
    let id = state.tokens().next().unwrap().id.clone();
    (state, id)
}

fn create(body: Value) -> Create {
    Create::from_body(body.to_string().as_bytes()).unwrap()
}

fn update(body: Value) -> Update {
    Update::from_body(body.to_string().as_bytes()).unwrap()
}

fn rotate(body: Value) -> Rotate {
    Rotate::from_body(body.to_string().as_bytes()).unwrap()
}

fn list(parameters: &[(&str, &str)]) -> List {
    let owned: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    List::from_query(&owned).unwrap()
}

fn names(state: &State, parameters: &[(&str, &str)]) -> Vec<String> {
    let page = state.list(ACCOUNT, &list(parameters), &Behavior::default());
    page.tokens
        .into_iter()
        .map(|t| t.token.name.clone())
        .collect()
}

fn is_let_in(state: &mut State, client_id: &str, secret: &str, now: DateTime<Utc>) -> bool {
    matches!(state.admit(client_id, secret, now), Admission::Granted(_))
}

fn secret(answer: &Answer) -> String {
    answer.client_secret.as_ref().unwrap().expose().to_owned()
}

#[test]
fn a_whole_life() {
    let mut state = empty();
    let mut now = start();

    let created = state
        .create(
            ACCOUNT,
            create(json!({ "name": "CI", "duration": "720h" })),
            now,
        )
        .unwrap();
    let token = created.stored.token.clone();
    let (id, client_id) = (token.id.as_str(), token.client_id.as_str());
    let first = secret(&created);
    assert_eq!(token.expires_at, start() + days(30));
    assert_eq!((token.created_at, token.updated_at), (start(), start()));
    assert_eq!(token.last_seen_at, None);
    assert_eq!(token.client_secret_version, 1);
    assert!(token.enabled);

    now += days(1);
    assert!(is_let_in(&mut state, client_id, &first, now));
    assert!(!is_let_in(&mut state, client_id, "wrong", now));
    assert!(!is_let_in(&mut state, id, &first, now));
    let seen = state.get(ACCOUNT, id).unwrap();
    assert_eq!(seen.stored.token.last_seen_at, Some(now));
    assert_eq!(seen.stored.token.updated_at, start());
    assert!(seen.client_secret.is_none());

    // It expires at the very moment of its expiry, and a refresh brings it back.
    now = start() + days(30);
    let last_moment = now - TimeDelta::nanoseconds(1);
    assert!(is_let_in(&mut state, client_id, &first, last_moment));
    assert!(!is_let_in(&mut state, client_id, &first, now));
    assert_eq!(names(&state, &[]), ["CI"]);
    let refreshed = state.refresh(ACCOUNT, id, now).unwrap();
    assert!(refreshed.client_secret.is_none());
    assert_eq!(refreshed.stored.token.expires_at, now + days(365));
    assert_eq!(refreshed.stored.token.updated_at, now);
    assert_eq!(refreshed.stored.token.duration, "720h");
    assert!(is_let_in(&mut state, client_id, &first, now));

    let rotated = state.rotate(ACCOUNT, id, &Rotate::default(), now).unwrap();
    let second = secret(&rotated);
    assert_eq!(rotated.stored.token.client_secret_version, 2);
    assert_eq!(rotated.stored.token.client_id, client_id);
    assert!(!is_let_in(&mut state, client_id, &first, now));
    assert!(is_let_in(&mut state, client_id, &second, now));

    state.delete(ACCOUNT, id).unwrap();
    assert!(!is_let_in(&mut state, client_id, &second, now));
    assert_eq!(state.get(ACCOUNT, id).err(), Some(Rejection::NotFound));
    assert_eq!(names(&state, &[]), [""; 0]);
}

#[test]
fn ten_years_of_yearly_refreshes() {
    let (mut state, id) = with(SeedToken::new("CI").client_secret("s3cret"));
    let client_id = state.tokens().next().unwrap().client_id.clone();
    let mut now = start();
    for _ in 0..10 {
        now += days(360);
        assert!(is_let_in(&mut state, &client_id, "s3cret", now));
        state.refresh(ACCOUNT, &id, now).unwrap();
    }
    now += days(366);
    assert!(!is_let_in(&mut state, &client_id, "s3cret", now));
}

#[test]
fn a_second_refresh_is_harmless_and_none_shortens_a_life() {
    let (mut state, id) = with(SeedToken::new("CI").expires_in(days(9)));
    let once = state.refresh(ACCOUNT, &id, start()).unwrap().stored.token;
    let twice = state.refresh(ACCOUNT, &id, start()).unwrap().stored.token;
    assert_eq!(once, twice);
    assert_eq!(once.expires_at, start() + days(365));

    let (mut state, id) = with(SeedToken::new("CI").duration("43800h"));
    let refreshed = state.refresh(ACCOUNT, &id, start()).unwrap().stored.token;
    assert_eq!(refreshed.expires_at, start() + days(1825));
}

#[test]
fn forever_outlives_its_expiry() {
    let past = start() - days(1);
    let seed = SeedToken::new("CI")
        .duration("forever")
        .expires_at(past)
        .client_secret("s3cret");
    let (mut state, _) = with(seed);
    let client_id = state.tokens().next().unwrap().client_id.clone();
    assert!(is_let_in(
        &mut state,
        &client_id,
        "s3cret",
        start() + days(40_000)
    ));
}

#[test]
fn an_update_changes_what_it_names() {
    let (mut state, id) = with(SeedToken::new("CI").client_secret("s3cret"));
    let before = state.get(ACCOUNT, &id).unwrap().stored.token;
    let now = start() + days(10);

    let renamed = state
        .update(ACCOUNT, &id, update(json!({ "name": "CD" })), now)
        .unwrap();
    assert!(renamed.client_secret.is_none());
    let renamed = renamed.stored.token;
    assert_eq!(renamed.name, "CD");
    assert_eq!(renamed.updated_at, now);
    assert_eq!(renamed.expires_at, before.expires_at);

    let renewed = state
        .update(ACCOUNT, &id, update(json!({ "duration": "60m" })), now)
        .unwrap();
    assert_eq!(renewed.stored.token.expires_at, now + TimeDelta::hours(1));
    assert_eq!(renewed.stored.token.duration, "60m");

    let client_id = before.client_id;
    state
        .update(ACCOUNT, &id, update(json!({ "enabled": false })), now)
        .unwrap();
    assert!(!is_let_in(&mut state, &client_id, "s3cret", now));
    state
        .update(ACCOUNT, &id, update(json!({ "enabled": true })), now)
        .unwrap();
    assert!(is_let_in(&mut state, &client_id, "s3cret", now));
}

#[test]
fn a_grace_period_keeps_both_secrets_until_it_ends() {
    let (mut state, id) = with(SeedToken::new("CI").client_secret("first"));
    let client_id = state.tokens().next().unwrap().client_id.clone();
    let end = start() + TimeDelta::hours(1);
    let grace = rotate(json!({ "previous_client_secret_expires_at": end.to_rfc3339() }));
    let rotated = state.rotate(ACCOUNT, &id, &grace, start()).unwrap();
    let second = secret(&rotated);
    assert_eq!(
        rotated.stored.token.previous_client_secret_expires_at,
        Some(end)
    );

    let accepts = |state: &mut State, secret: &str, now| is_let_in(state, &client_id, secret, now);
    let before_end = end - TimeDelta::seconds(1);
    assert!(accepts(&mut state, "first", before_end));
    assert!(accepts(&mut state, &second, before_end));
    assert!(!accepts(&mut state, "first", end));
    assert!(accepts(&mut state, &second, end));

    // Disabling stops both.
    state
        .update(ACCOUNT, &id, update(json!({ "enabled": false })), start())
        .unwrap();
    assert!(!accepts(&mut state, "first", before_end));
    assert!(!accepts(&mut state, &second, before_end));
    state
        .update(ACCOUNT, &id, update(json!({ "enabled": true })), start())
        .unwrap();

    // Another rotation within the grace period leaves only the newest two.
    let third = secret(&state.rotate(ACCOUNT, &id, &grace, start()).unwrap());
    assert!(!accepts(&mut state, "first", before_end));
    assert!(accepts(&mut state, &second, before_end));
    assert!(accepts(&mut state, &third, before_end));
}

#[test]
fn moving_the_previous_expiry_revives_no_expired_secret() {
    let (mut state, id) = with(SeedToken::new("CI").client_secret("first"));
    let client_id = state.tokens().next().unwrap().client_id.clone();
    let until =
        |time: DateTime<Utc>| json!({ "previous_client_secret_expires_at": time.to_rfc3339() });
    let hours = |hours| start() + TimeDelta::hours(hours);

    state
        .rotate(ACCOUNT, &id, &rotate(until(hours(1))), start())
        .unwrap();
    state
        .update(ACCOUNT, &id, update(until(hours(3))), start())
        .unwrap();
    assert!(is_let_in(&mut state, &client_id, "first", hours(2)));

    state
        .update(ACCOUNT, &id, update(until(hours(-1))), start())
        .unwrap();
    assert!(!is_let_in(&mut state, &client_id, "first", start()));
    state
        .update(ACCOUNT, &id, update(until(hours(3))), start())
        .unwrap();
    assert!(!is_let_in(&mut state, &client_id, "first", start()));
}

#[test]
fn a_raised_version_rotates_and_a_lowered_one_is_refused() {
    let seed = SeedToken::new("CI")
        .client_secret("first")
        .client_secret_version(3);
    let (mut state, id) = with(seed);
    let client_id = state.tokens().next().unwrap().client_id.clone();
    let version = |version| update(json!({ "client_secret_version": version, "name": "CD" }));

    let lowered = state.update(ACCOUNT, &id, version(2), start()).err();
    let reason = "client_secret_version can't go from 3 down to 2";
    assert_eq!(
        lowered,
        Some(Rejection::invalid("client_secret_version", reason))
    );
    assert_eq!(state.tokens().next().unwrap().name, "CI");

    let same = state.update(ACCOUNT, &id, version(3), start()).unwrap();
    assert!(same.client_secret.is_none());
    assert!(is_let_in(&mut state, &client_id, "first", start()));

    let raised = state.update(ACCOUNT, &id, version(5), start()).unwrap();
    assert_eq!(raised.stored.token.client_secret_version, 5);
    assert!(!is_let_in(&mut state, &client_id, "first", start()));
    assert!(is_let_in(&mut state, &client_id, &secret(&raised), start()));

    let grace = json!({
        "client_secret_version": 6,
        "previous_client_secret_expires_at": "2026-11-24T06:00:00Z",
    });
    state.update(ACCOUNT, &id, update(grace), start()).unwrap();
    assert!(is_let_in(&mut state, &client_id, &secret(&raised), start()));
}

#[test]
fn rotations_stop_counting_at_the_highest_version() {
    let (mut state, id) = with(SeedToken::new("CI"));
    let client_id = state.tokens().next().unwrap().client_id.clone();
    let highest = json!({ "client_secret_version": 9_007_199_254_740_992_u64 });
    let highest = || update(highest.clone());
    state.update(ACCOUNT, &id, highest(), start()).unwrap();

    let rotate = |state: &mut State| state.rotate(ACCOUNT, &id, &Rotate::default(), start());
    let rotated = rotate(&mut state).unwrap();
    assert_eq!(
        rotated.stored.token.client_secret_version,
        9_007_199_254_740_992
    );
    let newest = secret(&rotate(&mut state).unwrap());
    assert!(is_let_in(&mut state, &client_id, &newest, start()));
    let same = state.update(ACCOUNT, &id, highest(), start()).unwrap();
    assert!(same.client_secret.is_none());
}

#[test]
fn a_seed_beyond_the_highest_version_can_be_rotated() {
    let (mut state, id) = with(SeedToken::new("CI").client_secret_version(u64::MAX));
    let rotated = state.rotate(ACCOUNT, &id, &Rotate::default(), start());
    assert_eq!(
        rotated.unwrap().stored.token.client_secret_version,
        u64::MAX
    );
}

#[test]
fn accounts_do_not_see_each_other() {
    let (mut state, id) = with(SeedToken::new("CI"));
    let other = "a2";
    let missing = Some(Rejection::NotFound);
    assert_eq!(state.get(other, &id).err(), missing);
    assert_eq!(
        state
            .update(other, &id, update(json!({ "name": "x" })), start())
            .err(),
        missing
    );
    assert_eq!(state.delete(other, &id).err(), missing);
    assert_eq!(state.list(other, &list(&[]), &Behavior::default()).total, 0);
    assert_eq!(
        state.list(ACCOUNT, &list(&[]), &Behavior::default()).total,
        1
    );
}

#[test]
fn lists_filter_and_page_in_order_of_creation() {
    let mut state = empty();
    for name in ["alpha", "beta", "Alpha two", "gamma"] {
        state
            .create(ACCOUNT, create(json!({ "name": name })), start())
            .unwrap();
    }
    assert_eq!(names(&state, &[]), ["alpha", "beta", "Alpha two", "gamma"]);
    assert_eq!(names(&state, &[("name", "alpha")]), ["alpha"]);
    assert_eq!(
        names(&state, &[("search", "ALPHA")]),
        ["alpha", "Alpha two"]
    );
    let id = state.tokens().nth(1).unwrap().id.to_uppercase();
    assert_eq!(names(&state, &[("search", &id[5..20])]), ["beta"]);

    let page = |page| names(&state, &[("per_page", "3"), ("page", page)]);
    assert_eq!(page("1"), ["alpha", "beta", "Alpha two"]);
    assert_eq!(page("2"), ["gamma"]);
    assert_eq!(page("3"), [""; 0]);
    assert_eq!(page("18446744073709551615"), [""; 0]);
    let last = state.list(
        ACCOUNT,
        &list(&[("per_page", "3"), ("page", "2")]),
        &Behavior::default(),
    );
    assert_eq!(last.total, 4);
}

#[test]
fn an_account_holds_as_many_tokens_as_its_limit() {
    let seed = SeedToken::new("seeded");
    let full = SeedAccount::new("a1")
        .token(seed.clone())
        .token(seed.clone());
    let other = SeedAccount::new("a2").token(seed).token_limit(2);
    let mut state = state_of(&[full.token_limit(1), other]);
    let mut create = |account| {
        let body = create(json!({ "name": "seeded" }));
        state.create(account, body, start()).err()
    };
    assert_eq!(create("a1"), Some(Rejection::LimitReached { limit: 1 }));
    assert_eq!(create("a2"), None);
    assert_eq!(create("a2"), Some(Rejection::LimitReached { limit: 2 }));
}
