//! The risks of a token, which `show` and `report` name, and its users, which `delete`
//! names.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cf_service_tokens_simulator::{
    Access, Fault, Injection, Operation, Permission, Rule, SeedAccount, SeedApiToken, SeedApp,
    SeedGroup, SeedPolicy, SeedToken, ServiceTokenInactivity, Simulator, SimulatorBuilder,
    WrongJson,
};
use chrono::{TimeDelta, Utc};
use serde_json::Value;
use support::{CLIENT_ID, ID, Ran, World, known_token};

/// A token that nobody uses: older than the threshold of a clean-up, and last seen so long
/// ago.
fn old_etl(days_unseen: i64) -> SeedToken {
    let now = Utc::now() + TimeDelta::minutes(1);
    SeedToken::new("old-etl")
        .id("0e700000-fafe-4643-bbbc-4a0ed4fc8415")
        .duration("forever")
        .created_at(now - TimeDelta::days(400))
        .last_seen_at(now - TimeDelta::days(days_unseen))
}

/// An account with a token that a policy names, and `old-etl`.
fn account(days_unseen: i64, access: Access) -> SimulatorBuilder {
    let policy = SeedPolicy::new("Scrapers").include(Rule::service_token(ID));
    Simulator::builder()
        .token(known_token().last_seen_at(Utc::now()))
        .token(old_etl(days_unseen))
        .access(access.policy(policy))
}

fn disabling() -> Access {
    Access::new().service_token_inactivity(ServiceTokenInactivity::disable_after_days(90))
}

/// Whatever uses the known token, in each way that there is.
fn in_use() -> Access {
    let machines = SeedGroup::new("Machines").include(Rule::service_token(ID));
    let scrapers = SeedPolicy::new("Scrapers").include(Rule::group("Machines"));
    let own = SeedPolicy::new("Own").require(Rule::service_token(ID));
    let app = SeedApp::new("Grafana", "grafana.example.com")
        .policy(own)
        .reusable_policy("Scrapers")
        .scim_service_token(ID);
    Access::new().group(machines).policy(scrapers).app(app)
}

fn json(world: &World, arguments: &[&str]) -> Value {
    let ran = world.run(&[arguments, &["-o", "json"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The risks of a token in a `report` or `show`, in words.
fn risks(record: &Value) -> Vec<&str> {
    let risks = record["risks"].as_array().unwrap();
    risks
        .iter()
        .map(|risk| risk["words"].as_str().unwrap())
        .collect()
}

#[test]
fn show_says_what_uses_a_token() {
    let world = World::with(Simulator::builder().token(known_token()).access(in_use()));
    assert_shown!("show-used", world.run(&["show", ID]).shown());
    let record = json(&world, &["show", ID]);
    assert_eq!(record["used_by"].as_array().unwrap().len(), 4, "{record}");
    assert_eq!(record["used_by"][1]["object"]["name"], "Own", "{record}");
    assert_eq!(risks(&record), [""; 0]);
}

#[test]
fn show_says_what_may_end_a_token() {
    let world = World::with(account(78, disabling()));
    assert_shown!("show-at-risk", world.run(&["show", "old-etl"]).shown());

    let world = World::with(account(78, disabling()));
    let record = json(&world, &["show", "old-etl"]);
    assert_eq!(record["risks"][0]["risk"], "clean_up");
    assert!(record["risks"][0]["at"].is_string(), "{record}");
    let words = risks(&record);
    assert!(
        words[0].starts_with("will be disabled in 12 days ("),
        "{words:?}"
    );
    assert!(words[0].ends_with(") unless it is used"), "{words:?}");
    assert_eq!(words[1..], ["no policy, group or app names it"]);
    // Its next use saves the token, not a refresh.
    assert_eq!(world.run(&["refresh", "old-etl"]).code, Some(0));
    assert_eq!(risks(&json(&world, &["show", "old-etl"])), words);
}

#[test]
fn a_rule_that_matches_every_token_is_use_but_no_protection() {
    let any = SeedPolicy::new("Any machine").include(Rule::any_valid_service_token());
    let world = World::with(account(78, disabling().policy(any)));
    let ran = world.run(&["show", "old-etl"]);
    assert!(
        ran.stdout.contains("policy \"Any machine\" (include)"),
        "{}",
        ran.shown()
    );
    let words = json(&world, &["show", "old-etl"]);
    let words = risks(&words);
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(words[0].starts_with("will be disabled"), "{words:?}");
}

#[test]
fn a_rule_that_excludes_every_token_is_no_use() {
    let nobody = SeedPolicy::new("People")
        .include(Rule::everyone())
        .exclude(Rule::any_valid_service_token());
    let world = World::with(account(0, Access::new().policy(nobody)));
    let words = json(&world, &["show", "old-etl"]);
    assert_eq!(risks(&words), ["no policy, group or app names it"]);
}

#[test]
fn without_the_permissions_a_token_is_only_at_risk() {
    use Permission::{OrganizationsRead, ServiceTokensRead};
    let narrow = SeedApiToken::new("narrow").permissions([ServiceTokensRead, OrganizationsRead]);
    let world = World::with(account(78, disabling()).api_token(narrow));
    let ran = world.run(&["show", "old-etl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(
        ran.stderr,
        "note: some risks are unknown: this API token lacks the permission \
         \"Access: Apps and Policies Read\"\n"
    );
    let used_by = ran.stdout.lines().find(|line| line.starts_with("Used by"));
    assert!(used_by.unwrap().ends_with(" unknown"), "{}", ran.shown());
    let record = json(&world, &["show", "old-etl"]);
    assert_eq!(record["used_by"], Value::Null);
    let words = risks(&record);
    assert_eq!(words.len(), 1, "{words:?}");
    assert!(
        words[0].starts_with("may be disabled in 12 days"),
        "{words:?}"
    );

    let narrow = SeedApiToken::new("narrow").permissions([ServiceTokensRead]);
    let world = World::with(account(78, disabling()).api_token(narrow));
    let ran = world.run(&["show", "old-etl"]);
    assert_eq!(
        ran.stderr,
        "note: some risks are unknown: this API token lacks the permissions \
         \"Access: Apps and Policies Read\" and \
         \"Access: Organizations, Identity Providers, and Groups Read\"\n"
    );
    assert_eq!(risks(&json(&world, &["show", "old-etl"])), [""; 0]);
    assert_eq!(world.run(&["show", "old-etl", "-q"]).stderr, "");
}

#[test]
fn the_end_of_an_old_secret_is_a_risk() {
    let world = World::with(account(1, Access::new()));
    let rotate = ["rotate", ID, "--grace", "3d", "--secret-to", "secret"];
    assert_eq!(world.run(&rotate).code, Some(0));
    let record = json(&world, &["show", ID]);
    let words = risks(&record);
    assert!(
        words[0].starts_with("its old secret stops working in 3 days ("),
        "{words:?}"
    );
    world.advance(TimeDelta::days(3));
    assert_eq!(risks(&json(&world, &["show", ID])), [""; 0]);
}

#[test]
fn a_token_that_was_not_seen_for_long_is_mentioned() {
    let any = SeedPolicy::new("Any machine").include(Rule::any_valid_service_token());
    for (days, count) in [(80, 0), (203, 1)] {
        let world = World::with(account(days, Access::new().policy(any.clone())));
        let record = json(&world, &["show", "old-etl"]);
        assert_eq!(risks(&record).len(), count, "{record}");
    }
    let disabled = old_etl(203).disabled();
    let world = World::with(Simulator::builder().token(disabled));
    assert_eq!(risks(&json(&world, &["show", "old-etl"])), [""; 0]);
}

#[test]
fn delete_names_what_uses_the_token() {
    let world = World::with(Simulator::builder().token(known_token()).access(in_use()));
    for token in [ID, "Grafana scraper", CLIENT_ID] {
        let ran = world.run(&["delete", token, "--yes"]);
        assert_shown!("delete-used", ran.shown());
    }
    // The advice is about the same account.
    let id = world.simulator.account_id();
    let ran = world.run(&["delete", ID, "--yes", "--account", id]);
    let said = format!("`cf-service-tokens --account {id} disable {ID}`");
    assert!(ran.stderr.contains(&said), "{}", ran.shown());
    assert_eq!(world.simulator.count(Operation::Delete), 0);
    assert_eq!(world.simulator.tokens().len(), 1);
}

/// One of several tokens that is in use keeps all of them.
#[test]
fn delete_changes_nothing_if_any_token_is_in_use() {
    let world = World::with(account(1, Access::new()));
    let ran = world.run(&["delete", "old-etl", ID, "--yes"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(
        ran.stderr
            .contains("used by policy \"Scrapers\" (include)\n"),
        "{}",
        ran.shown()
    );
    assert_eq!(world.simulator.tokens().len(), 2);
    let ran = world.run(&["delete", "old-etl", "--yes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(world.simulator.tokens().len(), 1);
}

#[test]
fn where_the_use_is_unknown_the_api_refuses() {
    let narrow = SeedApiToken::new("narrow").permissions([Permission::ServiceTokensWrite]);
    let world = World::with(account(1, Access::new()).api_token(narrow));
    let ran = world.run(&["delete", ID, "--yes"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(ran.stderr.contains("12139"), "{}", ran.shown());
    let note =
        "note: what uses the token is unknown: policies: this API token lacks the permission";
    assert!(ran.stderr.contains(note), "{}", ran.shown());
    let ran = world.run(&["delete", "old-etl", "--yes"]);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{}", ran.shown());
}

#[test]
fn neighbours_that_fail_fail_no_command() {
    let world = World::with(account(78, disabling()));
    for operation in [Operation::GetOrganization, Operation::ListApps] {
        let fault = Injection::new(Fault::Status(400)).on(operation).always();
        world.simulator.inject(fault);
    }
    let ran = world.run(&["show", "old-etl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(
        ran.stderr.starts_with("note: some risks are unknown: "),
        "{}",
        ran.shown()
    );
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.shown());
    let ran = world.run(&["delete", "old-etl", "--yes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
}

#[test]
fn report_says_what_may_end_each_token() {
    let world = World::with(account(78, disabling()));
    assert_shown!("report", world.run(&["report"]).shown());
    let records = json(&world, &["report"]);
    let of = |name: &str| {
        let mut records = records.as_array().unwrap().iter();
        records.find(|record| record["name"] == name).unwrap()
    };
    assert_eq!(risks(of("Grafana scraper")), [""; 0]);
    assert_eq!(of("old-etl")["risks"][0]["risk"], "clean_up");
    assert_eq!(of("old-etl")["risks"][1]["risk"], "unused");

    // The clean-up is news, and no expiry.
    let ran = world.run(&["report", "--quiet", "--check"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(
        ran.stdout.contains("disabled in 12 days"),
        "{}",
        ran.shown()
    );
    assert!(!ran.stdout.contains("Grafana"), "{}", ran.shown());
    let page = world.run(&["report", "--html", "-"]).stdout;
    assert!(page.contains("will be disabled in 12 days"), "{page}");
    assert!(page.contains("<h1>1 at risk of the clean-up"), "{page}");
}

#[test]
fn a_report_works_without_its_neighbours() {
    let narrow = SeedApiToken::new("narrow").permissions([Permission::ServiceTokensRead]);
    let world = World::with(account(78, disabling()).api_token(narrow));
    for format in ["table", "json"] {
        let ran = world.run(&["report", "-o", format]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert_eq!(
            ran.stderr,
            "note: some risks are unknown: this API token lacks the permissions \
             \"Access: Apps and Policies Read\" and \
             \"Access: Organizations, Identity Providers, and Groups Read\"\n"
        );
    }
    assert_eq!(world.run(&["report", "-q"]).stderr, "");

    let world = World::with(account(78, disabling()));
    for operation in [Operation::GetOrganization, Operation::ListPolicies] {
        let fault = Injection::new(Fault::WrongJson(WrongJson::ResultOfAnotherType)).on(operation);
        world.simulator.inject(fault.always());
    }
    let ran = world.run(&["report"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.shown());
    assert!(ran.stdout.contains("old-etl"), "{}", ran.shown());
    // A renewal does not ask.
    world.simulator.clear_requests();
    assert_eq!(world.run(&["renew"]).code, Some(0));
    for operation in [
        Operation::GetOrganization,
        Operation::ListPolicies,
        Operation::ListGroups,
        Operation::ListApps,
        Operation::VerifyApiToken,
    ] {
        assert_eq!(world.simulator.count(operation), 0, "{operation:?}");
    }
}

#[test]
fn a_report_says_what_may_end_all_tokens() {
    let expiring = SeedApiToken::new("expiring").expires_at(Utc::now() + TimeDelta::days(12));
    let mut builder = account(1, Access::new()).seed(7).api_token(expiring);
    for number in 0..44 {
        builder = builder.token(SeedToken::new(format!("token {number}")));
    }
    let world = World::with(builder);
    let ran = world.run(&["report"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    for note in [
        "note: the account has 46 tokens, and the limit is 50 by default\n",
        "note: the API token expires in 12 days (",
    ] {
        assert!(ran.stderr.contains(note), "{note}: {}", ran.shown());
    }
    let page = world.run(&["report", "--html", "-"]).stdout;
    assert!(
        page.contains("the API token expires in 12 days ("),
        "{page}"
    );
}

/// Three accounts: a healthy one, one that is about to lose a token to the clean-up, and one
/// whose API token has expired, with a token that nobody uses.
#[test]
fn a_tour_of_three_accounts() {
    let scrapers = SeedPolicy::new("Scrapers").include(Rule::service_token(ID));
    let deploy = || {
        let token = SeedToken::new("deploy").last_seen_at(Utc::now());
        let policy = SeedPolicy::new("Deploy").include(Rule::service_token("deploy"));
        (token, policy)
    };
    let (token, policy) = deploy();
    let cleaning = SeedAccount::new("cleaning")
        .token(token)
        .token(old_etl(78))
        .access(disabling().policy(policy));
    let (token, policy) = deploy();
    let forgotten = SeedAccount::new("forgotten")
        .token(token)
        .token(SeedToken::new("import").last_seen_at(Utc::now()))
        .access(Access::new().policy(policy));
    let expired = SeedApiToken::new("expired")
        .owned_by_account("forgotten")
        .expires_at(Utc::now() - TimeDelta::days(3));
    let world = World::with(
        Simulator::builder()
            // Other ids and client ids than that of the known token.
            .seed(7)
            .account_id("healthy")
            .token(known_token().last_seen_at(Utc::now()))
            .access(disabling().policy(scrapers))
            .account(cleaning)
            .account(forgotten)
            .add_api_token(expired),
    );
    let with_expired = |arguments: &[&str]| {
        let mut command = world.command();
        Ran::of(
            command
                .args(arguments)
                .env("CLOUDFLARE_API_TOKEN", "expired"),
        )
    };

    let two = ["doctor", "--account", "healthy", "--account", "cleaning"];
    let ran = world.run(&two);
    assert_eq!(ran.code, Some(0), "a warning is no failure");
    assert_shown!("tour-doctor", ran.shown());

    let of_forgotten = ["doctor", "-q", "--account", "forgotten"];
    assert_shown!("tour-doctor-expired", with_expired(&of_forgotten).shown());
    let ran = with_expired(&["report", "--account", "forgotten"]);
    assert_eq!(ran.code, Some(3), "{}", ran.shown());
    // With another API token:
    assert_shown!("tour-doctor-unused", world.run(&of_forgotten).shown());

    let three = [&["report"], &two[1..], &["--account", "forgotten"]].concat();
    assert_shown!("tour-report", world.run(&three).shown());
    let records = json(&world, &three);
    let records: Vec<&Value> = records.as_array().unwrap().iter().collect();
    let at_risk: Vec<_> = records
        .iter()
        .filter_map(|record| {
            let risk = record["risks"][0]["risk"].as_str()?;
            let account = record["account_id"].as_str()?;
            Some((account, record["name"].as_str()?, risk))
        })
        .collect();
    assert_eq!(at_risk.len(), 2, "{at_risk:?}");
    assert!(
        at_risk.contains(&("cleaning", "old-etl", "clean_up")),
        "{at_risk:?}"
    );
    assert!(
        at_risk.contains(&("forgotten", "import", "unused")),
        "{at_risk:?}"
    );

    // A fortnight later, the clean-up has struck, and nothing else.
    world.advance(TimeDelta::days(14));
    let record = json(&world, &["show", "old-etl", "--account", "cleaning"]);
    assert_eq!(record["state"], "disabled");
}
