//! The clean-up of inactive tokens, as the clock moves.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use cf_service_tokens_simulator::{
    Access, Rule, SeedAccount, SeedApp, SeedGroup, SeedPolicy, SeedToken, ServiceTokenInactivity,
    Simulator, Token,
};
use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::json;
use support::{Api, start};

const TOKEN: &str = "f174e90a";

fn seed() -> SeedToken {
    let seed = SeedToken::new("CI").id(TOKEN).client_id("ci.access");
    seed.client_secret("secret")
}

fn disabling() -> Access {
    Access::new().service_token_inactivity(ServiceTokenInactivity::disable_after_days(30))
}

fn deleting() -> Access {
    Access::new().service_token_inactivity(ServiceTokenInactivity::delete_after_days(30))
}

async fn with(seed: SeedToken, access: Access) -> Api {
    Api::start(Simulator::builder().token(seed).access(access)).await
}

fn token(api: &Api) -> Token {
    api.simulator.token(TOKEN).unwrap()
}

fn path(api: &Api, rest: &str) -> String {
    api.account(&format!("/{TOKEN}{rest}"))
}

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

#[tokio::test]
async fn an_inactive_token_is_disabled_at_the_threshold() {
    let api = with(seed(), disabling()).await;
    api.advance(days(30) - TimeDelta::nanoseconds(1));
    assert_eq!(api.get(&path(&api, "")).await.result()["enabled"], true);
    // Long after: the token was disabled in between.
    api.advance(days(70));
    let shown = api.get(&path(&api, "")).await.result();
    assert_eq!(shown["enabled"], false);
    assert_eq!(shown["updated_at"], "2026-12-24T05:00:00Z");
    let knock = api.knock("ci.access", "secret").await;
    assert_eq!(knock.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_inactive_token_is_deleted() {
    let api = with(seed().disabled(), deleting()).await;
    api.advance(days(29));
    assert_eq!(api.get(&path(&api, "")).await.status, StatusCode::OK);
    api.advance(days(1));
    let gone = api.get(&path(&api, "")).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert_eq!(api.simulator.tokens(), []);
}

#[tokio::test]
async fn only_an_accepted_call_at_the_app_keeps_a_token_active() {
    let api = with(seed(), disabling()).await;
    for _ in 0..3 {
        api.advance(days(29));
        let knock = api.knock("ci.access", "secret").await;
        assert_eq!(knock.status, StatusCode::OK);
    }
    api.advance(days(29));
    assert_eq!(api.knock("ci.access", "wrong").await.status, 401);
    let refreshed = api.post(&path(&api, "/refresh")).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    let rotated = api.post(&path(&api, "/rotate")).await;
    assert_eq!(rotated.status, StatusCode::OK);
    let update = json!({ "duration": "17520h" });
    api.put_json(&path(&api, ""), update).await.result();
    assert!(token(&api).enabled);
    api.advance(days(1));
    assert!(!token(&api).enabled);
}

#[tokio::test]
async fn a_token_counts_from_its_last_use_before_the_start() {
    let seed = seed().created_at(start() - days(100));
    let api = with(seed.last_seen_at(start() - days(10)), disabling()).await;
    api.advance(days(20) - TimeDelta::seconds(1));
    assert!(token(&api).enabled);
    api.advance(TimeDelta::seconds(1));
    assert!(!token(&api).enabled);
}

#[tokio::test]
async fn only_a_rule_of_a_policy_that_names_the_token_protects_it() {
    let rule = || Rule::service_token(TOKEN);
    let policy = || SeedPolicy::new("policy");
    let app = || SeedApp::new("app", "app.example.com");
    let group = || SeedGroup::new("group").include(rule());
    for (access, is_protected) in [
        (disabling().policy(policy().include(rule())), true),
        (disabling().policy(policy().require(rule())), true),
        (disabling().policy(policy().exclude(rule())), true),
        (
            disabling().app(app().policy(policy().include(rule()))),
            true,
        ),
        (
            disabling()
                .group(group())
                .policy(policy().include(Rule::group("group"))),
            false,
        ),
        (
            disabling().policy(policy().include(Rule::any_valid_service_token())),
            false,
        ),
        (disabling().app(app().scim_service_token(TOKEN)), false),
    ] {
        let api = with(seed(), access.clone()).await;
        api.advance(days(300));
        assert_eq!(token(&api).enabled, is_protected, "{access:?}");
    }
}

#[tokio::test]
async fn a_changed_setting_counts_from_the_change() {
    let api = with(seed(), Access::new()).await;
    api.advance(days(100));
    assert!(token(&api).enabled);
    let account = api.simulator.account_id();
    api.simulator.set_access(account, disabling()).unwrap();
    let disabled = token(&api);
    assert!(!disabled.enabled);
    assert_eq!(disabled.updated_at, start() + days(100));
    let inactivity = ServiceTokenInactivity::delete_after_days(30).turned_off();
    let off = Access::new().service_token_inactivity(inactivity);
    api.simulator.set_access(account, off).unwrap();
    api.advance(days(100));
    assert!(api.simulator.token(TOKEN).is_some());
}

#[tokio::test]
async fn enabling_a_token_begins_anew() {
    let api = with(seed(), disabling()).await;
    api.advance(days(40));
    let enable = json!({ "enabled": true });
    api.put_json(&path(&api, ""), enable.clone()).await.result();
    api.advance(days(29));
    assert!(token(&api).enabled);
    // It is enabled already.
    api.put_json(&path(&api, ""), enable).await.result();
    api.advance(days(1));
    assert!(!token(&api).enabled);
}

#[tokio::test]
async fn each_account_has_settings_of_its_own() {
    let builder = Simulator::builder()
        .account(SeedAccount::new("a2").token(seed()).access(deleting()))
        .token(SeedToken::new("kept"));
    let api = Api::start(builder).await;
    api.advance(days(30));
    let tokens = api.simulator.tokens();
    assert_eq!(tokens.len(), 1);
    assert_eq!((tokens[0].name.as_str(), tokens[0].enabled), ("kept", true));
}
