//! `doctor` checks what renewals depend on, and changes nothing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::unix::fs::PermissionsExt as _;

use cf_service_tokens_simulator::{
    Access, AppAuthentication, Fault, Injection, Operation, Permission, Rule, SeedAccount,
    SeedApiToken, SeedPolicy, SeedToken, ServiceTokenInactivity, Simulator, SimulatorBuilder,
};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use support::app::{App, LOGIN, OK, UNAUTHORIZED};
use support::{ID, Ran, World, known_token};

/// An account with one token, which a policy names.
fn healthy() -> SimulatorBuilder {
    Simulator::builder()
        .account_id("023e105f4ecef8ad9ca31a8372d0c353")
        .token(known_token().last_seen_at(Utc::now() - TimeDelta::minutes(4)))
        .access(in_use())
}

fn in_use() -> Access {
    let policy = SeedPolicy::new("Scrapers").include(Rule::service_token(ID));
    let settings = ServiceTokenInactivity::disable_after_days(90);
    Access::new()
        .policy(policy)
        .service_token_inactivity(settings)
}

/// Runs the doctor, and returns its checks.
fn checks(world: &World, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let ran = world.run(&[&["doctor", "-o", "json"], arguments].concat());
    assert_eq!(ran.stderr, "", "{}", ran.shown());
    let checks: Value = serde_json::from_str(&ran.stdout).unwrap();
    (ran.code, checks.as_array().unwrap().clone())
}

/// The check of this name.
#[track_caller]
fn check(checks: &[Value], name: &str) -> Value {
    let found: Vec<&Value> = checks.iter().filter(|c| c["check"] == name).collect();
    assert_eq!(found.len(), 1, "{name}: {checks:?}");
    found[0].clone()
}

/// Asserts the exit code and the one check that is not ok, and returns that.
#[track_caller]
fn only_fault(world: &World, arguments: &[&str], code: i32, name: &str, status: &str) -> Value {
    let (exit, checks) = checks(world, arguments);
    let faults: Vec<&Value> = checks.iter().filter(|c| c["status"] != "ok").collect();
    assert_eq!(exit, Some(code), "{checks:?}");
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0]["check"], name, "{faults:?}");
    assert_eq!(faults[0]["status"], status, "{faults:?}");
    faults[0].clone()
}

#[track_caller]
fn assert_says(check: &Value, what: &str) {
    let said = format!("{}; next: {}", check["what"], check["next"]);
    assert!(said.contains(what), "{what}: {said}");
}

#[test]
fn a_healthy_account_passes_every_check() {
    let expires_at = Utc::now() + TimeDelta::days(95) + TimeDelta::hours(1);
    let api_token = SeedApiToken::new("secret").expires_at(expires_at);
    let world = World::with(healthy().api_token(api_token));
    let before = world.simulator.tokens();
    let url = world.simulator.protected_url().to_owned();
    let ran = world.run(&["doctor", "--url", &url]);
    assert_shown!("healthy", ran.shown());
    let ran = world.run(&["doctor", "--quiet", "--url", &url]);
    assert_eq!(ran.shown(), "exit code 0\n");

    // The doctor changed nothing, and left nothing on this machine.
    assert_eq!(world.simulator.tokens(), before);
    assert!(!world.journal().exists());
    for request in world.simulator.requests() {
        let is_read = request.method == "GET";
        assert!(is_read || request.status == Some(404), "{request:?}");
    }
}

#[test]
fn a_simulated_account_has_something_to_treat() {
    let ran = support::simulated(&["doctor"]);
    assert_shown!("simulated", ran.shown());
    let lines = support::simulated(&["doctor", "-o", "jsonl"]).stdout;
    let statuses: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["status"].clone())
        .collect();
    assert!(statuses.contains(&"failure".into()), "{lines}");
}

#[test]
fn an_api_token_that_does_not_work_is_a_failure() {
    let day = TimeDelta::days(1);
    let token = || SeedApiToken::new("secret");
    for (api_token, what) in [
        (token().disabled(), "it is disabled"),
        (
            token().expires_at(Utc::now() - day * 3),
            "it expired 3 days ago",
        ),
    ] {
        let world = World::with(healthy().api_token(api_token));
        let fault = only_fault(&world, &[], 1, "api token", "failure");
        assert_says(&fault, what);
        // Nothing else is asked of the API.
        let requests = world.simulator.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
    }

    let expiring = token().expires_at(Utc::now() + day * 12);
    let world = World::with(healthy().api_token(expiring));
    let fault = only_fault(&world, &[], 0, "api token", "warning");
    assert_says(&fault, "it expires in 12 days");
    assert_says(&fault, "My Profile > API Tokens");

    let world = World::new();
    let mut unknown = world.command();
    let ran = Ran::of(
        unknown
            .args(["doctor"])
            .env("CLOUDFLARE_API_TOKEN", "unknown"),
    );
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(
        ran.stdout.contains("CLOUDFLARE_API_TOKEN"),
        "{}",
        ran.shown()
    );
    let advice = "next: check that it was copied as a whole, or create a new API token";
    assert!(ran.stdout.contains(advice), "{}", ran.shown());
}

#[test]
fn a_global_key_has_nothing_to_verify() {
    let world = World::with(healthy().email_and_api_key("a@example.com", "0123456789abcdef"));
    let mut command = world.command();
    command
        .env_remove("CLOUDFLARE_API_TOKEN")
        .env("CLOUDFLARE_EMAIL", "a@example.com")
        .env("CLOUDFLARE_API_KEY", "0123456789abcdef");
    let ran = Ran::of(command.args(["doctor", "-q"]));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(ran.stdout.contains("global API key"), "{}", ran.shown());
    assert_eq!(ran.stdout.matches("warning").count(), 1, "{}", ran.shown());
}

#[test]
fn an_api_token_of_the_account_is_verified_there() {
    let world = World::with(healthy().api_token(
        SeedApiToken::new("cfat_0123456789").owned_by_account("023e105f4ecef8ad9ca31a8372d0c353"),
    ));
    let (code, checks) = checks(&world, &[]);
    assert_eq!(code, Some(0), "{checks:?}");
    assert_says(
        &check(&checks, "api token"),
        "it is valid, and never expires",
    );
}

#[test]
fn an_account_that_the_api_token_does_not_see_is_a_failure() {
    let elsewhere = SeedApiToken::new("secret").account("a2");
    let accounts = healthy()
        .api_token(elsewhere)
        .account(SeedAccount::new("a2"));
    let fault = only_fault(&World::with(accounts), &[], 1, "account", "failure");
    assert_says(
        &fault,
        "account 023e105f4ecef8ad9ca31a8372d0c353 from CLOUDFLARE_ACCOUNT_ID",
    );

    let world = World::with(healthy().access(None));
    let fault = only_fault(&world, &[], 1, "account", "failure");
    assert_says(&fault, "enable Access for the account");
}

#[test]
fn an_api_token_that_may_only_read_is_a_failure() {
    let world = World::with(healthy().api_token(SeedApiToken::new("secret").read_only()));
    let fault = only_fault(&world, &[], 1, "permission", "failure");
    assert_says(&fault, "Access: Service Tokens Write");
}

#[test]
fn what_the_api_token_may_not_read_is_unknown() {
    let narrow = SeedApiToken::new("secret").permissions([Permission::ServiceTokensWrite]);
    let world = World::with(healthy().api_token(narrow));
    let (code, checks) = checks(&world, &[]);
    assert_eq!(code, Some(0), "{checks:?}");
    let organization = "Access: Organizations, Identity Providers, and Groups Read";
    for (name, permission) in [
        ("authentication", organization),
        ("clean-up", organization),
        ("usage", "Access: Apps and Policies Read"),
    ] {
        let check = check(&checks, name);
        assert_eq!(check["status"], "unknown", "{check}");
        let what = check["what"].as_str().unwrap();
        assert_eq!(
            what,
            format!("unknown: this API token lacks the permission {permission:?}")
        );
    }
}

/// The service tokens can be renewed even so.
#[test]
fn a_neighbour_that_fails_is_unknown() {
    let world = World::with(healthy());
    world.simulator.inject(
        Injection::new(Fault::Status(400))
            .on(Operation::GetOrganization)
            .always(),
    );
    let (code, checks) = checks(&world, &[]);
    assert_eq!(code, Some(0), "{checks:?}");
    assert_eq!(check(&checks, "clean-up")["status"], "unknown");
    assert_eq!(check(&checks, "usage")["status"], "ok");
}

#[test]
fn an_api_that_is_out_of_reach_has_an_exit_code_of_its_own() {
    let world = World::new();
    world.go_offline();
    let (code, checks) = checks(&world, &["--deadline", "2s"]);
    assert_eq!(code, Some(4), "{checks:?}");
    assert_eq!(check(&checks, "api token")["status"], "failure");
    assert_eq!(check(&checks, "journal")["status"], "ok");
}

#[test]
fn a_clock_that_is_off_is_a_warning() {
    let ahead = World::ahead(TimeDelta::minutes(-3), healthy());
    let fault = only_fault(&ahead, &[], 0, "clock", "warning");
    assert_says(
        &fault,
        "this machine's clock is 3 minutes ahead of the API's",
    );
}

#[test]
fn the_requests_that_are_left_are_checked() {
    let world = World::with(healthy().enforce_rate_limit(1_200, TimeDelta::minutes(5)));
    world.simulator.spend(1_150);
    let fault = only_fault(&world, &[], 0, "rate limit", "warning");
    assert_says(&fault, "of 1200 requests are left");
}

#[test]
fn expiry_and_quota_are_checked() {
    let named = |count: usize| {
        let mut policy = SeedPolicy::new("All");
        let mut builder = Simulator::builder();
        for number in 0..count {
            let name = format!("token {number}");
            let token = SeedToken::new(&name).expires_in(TimeDelta::days(200));
            builder = builder.token(token);
            policy = policy.include(Rule::service_token(name));
        }
        (builder, policy)
    };
    let (builder, policy) = named(44);
    let world = World::with(builder.access(Access::new().policy(policy)));
    assert_eq!(checks(&world, &["-q"]).0, Some(0));
    let (builder, policy) = named(45);
    let world = World::with(builder.access(Access::new().policy(policy)));
    let fault = only_fault(&world, &[], 0, "quota", "warning");
    assert_says(&fault, "45 of 50 tokens");
    assert_says(&fault, "Enterprise");

    let expiring = |days| {
        let token = known_token().expires_in(TimeDelta::days(days) + TimeDelta::hours(1));
        World::with(Simulator::builder().token(token).access(in_use()))
    };
    let fault = only_fault(&expiring(9), &[], 0, "expiry", "warning");
    assert_says(&fault, "\\\"Grafana scraper\\\", the first in 9 days");
    let fault = only_fault(&expiring(-9), &[], 1, "expiry", "failure");
    assert_says(&fault, "cf-service-tokens renew");
}

#[test]
fn apps_that_do_not_tell_an_expired_token_from_another_are_a_warning() {
    let lax = healthy().app_authentication(AppAuthentication::Forbid);
    let fault = only_fault(&World::with(lax), &[], 0, "authentication", "warning");
    assert_says(&fault, "turn on strict service token authentication");
}

#[test]
fn a_token_that_the_clean_up_will_hit_is_a_warning() {
    let old = |days| {
        let token = SeedToken::new("old-etl")
            .last_seen_at(Utc::now() - TimeDelta::days(days) + TimeDelta::hours(1));
        let token = token
            .created_at(Utc::now() - TimeDelta::days(400))
            .duration("forever");
        let rule = SeedPolicy::new("Any").include(Rule::any_valid_service_token());
        World::with(healthy().token(token).access(in_use().policy(rule)))
    };
    assert_eq!(checks(&old(75), &[]).0, Some(0));
    let (_, well) = checks(&old(75), &[]);
    assert_eq!(check(&well, "clean-up")["status"], "ok");
    let fault = only_fault(&old(78), &[], 0, "clean-up", "warning");
    assert_says(
        &fault,
        "tokens that are not used for 90 days are disabled: \\\"old-etl\\\" will be disabled in 12 days",
    );
    assert_says(&fault, "a refresh does not");
}

#[test]
fn a_token_that_nothing_names_is_a_warning() {
    let world = World::with(healthy().token(SeedToken::new("old-etl").duration("forever")));
    let fault = only_fault(&world, &[], 0, "usage", "warning");
    assert_says(&fault, "no policy, group or app names \\\"old-etl\\\"");
}

#[test]
fn what_an_interrupted_run_left_is_a_warning() {
    let world = World::with(healthy());
    let ran = world.run(&["rotate", ID, "--secret-to", "command:exit 7"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    let fault = only_fault(&world, &[], 0, "journal", "warning");
    assert_says(&fault, "cf-service-tokens journal --journal");
    // An unsafe directory may hold what somebody else wrote.
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(world.journal(), open).unwrap();
    let fault = only_fault(&world, &[], 1, "journal", "failure");
    assert_says(&fault, "chmod go-w");
}

#[test]
fn an_app_must_refuse_a_caller_without_a_token() {
    let world = World::with(healthy());
    for refusal in [UNAUTHORIZED, LOGIN] {
        let app = App::gated(refusal, OK);
        let (code, checks) = checks(&world, &["--url", &app.url]);
        assert_eq!(code, Some(0), "{checks:?}");
        assert_eq!(check(&checks, "app")["account_id"], Value::Null);
        let heads = app.heads();
        assert_eq!(heads.len(), 1, "{heads:?}");
        assert!(
            !heads[0].to_lowercase().contains("cf-access-client"),
            "{heads:?}"
        );
    }
    let open = App::gated(OK, OK);
    let fault = only_fault(&world, &["--url", &open.url], 1, "app", "failure");
    assert_says(&fault, "the app answers without a token (HTTP 200)");
    let broken = App::gated("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", OK);
    let fault = only_fault(&world, &["--url", &broken.url], 0, "app", "unknown");
    assert_says(&fault, "the app or its tunnel fails");
    let fault = only_fault(
        &world,
        &["--url", "http://127.0.0.1:1/?key"],
        1,
        "app",
        "failure",
    );
    assert_says(&fault, "could not reach http://127.0.0.1:1/; cause");
    let ran = world.run(&["doctor", "--url", "app.example.com"]);
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert!(
        ran.stderr.contains("https://app.example.com"),
        "{}",
        ran.shown()
    );
}

#[test]
fn all_accounts_are_checked() {
    let without_access = SeedAccount::new("a2").name("Without").access(None);
    let empty = SeedAccount::new("a3").name("Empty");
    let builder = healthy().account_name("Acme").account(without_access);
    let world = World::with(builder.account(empty));
    let mut command = world.command();
    let ran = Ran::of(command.args(["doctor", "--all-accounts"]));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    for line in [
        "Acme (023e105f4ecef8ad9ca31a8372d0c353)\nok ",
        "\n\nWithout (a2)\nok ",
        "\n\nEmpty (a3)\nok ",
        "\nok       account         it has no service tokens\n",
        "\nok       usage           there are no tokens\n",
        "\n\nthis machine\nok       journal ",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.shown());
    }
    // Named, it is a mistake, and an empty one may be.
    let (code, without) = checks(&world, &["--account", "a2"]);
    assert_eq!(code, Some(1), "{without:?}");
    assert_eq!(check(&without, "account")["status"], "failure");
    only_fault(&world, &["--account", "a3"], 0, "account", "warning");

    // The advice is about the same account.
    let due = SeedToken::new("due").expires_in(TimeDelta::days(9));
    let due = Simulator::builder().account_id("a1").token(due);
    let world = World::with(due);
    let (_, of_due) = checks(&world, &["--account", "a1"]);
    let next = check(&of_due, "expiry")["next"].to_string();
    assert!(
        next.contains("`cf-service-tokens --account a1 renew`"),
        "{next}"
    );
}

#[test]
fn accounts_that_can_not_be_listed_are_a_failure_with_its_cause() {
    let expired = SeedApiToken::new("secret").expires_at(Utc::now() - TimeDelta::days(3));
    let world = World::with(healthy().api_token(expired));
    let fault = only_fault(&world, &["--all-accounts"], 1, "api token", "failure");
    assert_says(&fault, "it expired 3 days ago");

    let narrow = SeedApiToken::new("secret").permissions([Permission::ServiceTokensWrite]);
    let world = World::with(healthy().api_token(narrow));
    let fault = only_fault(&world, &["--all-accounts"], 1, "account", "failure");
    assert_says(&fault, "Account Settings Read");
    let (_, checks) = self::checks(&world, &["--all-accounts"]);
    assert_eq!(check(&checks, "api token")["status"], "ok");
    // An API token that an account owns is verified there, so that it is not wrong here.
    let owned = SeedApiToken::new("secret").owned_by_account("a2");
    let world = World::with(healthy().account(SeedAccount::new("a2")).api_token(owned));
    let fault = only_fault(&world, &["--all-accounts"], 1, "account", "failure");
    assert_says(&fault, "name that one with --account");
    // This machine is checked all the same.
    assert_eq!(check(&checks, "journal")["status"], "ok");

    let world = World::with(healthy());
    world.go_offline();
    let (code, checks) = self::checks(&world, &["--all-accounts", "--deadline", "2s"]);
    assert_eq!(code, Some(4), "{checks:?}");
}
