//! A realistic account: most tokens are fine, and a few are not.

use chrono::TimeDelta;

use crate::state::access::{
    Access, Decision, Rule, SeedApp, SeedGroup, SeedPolicy, ServiceTokenInactivity,
};
use crate::state::seed::SeedToken;

/// The name of the account.
pub(crate) const NAME: &str = "Widget Corps";

/// The tokens of the account.
pub(crate) fn tokens() -> Vec<SeedToken> {
    let days = TimeDelta::days;
    vec![
        SeedToken::new("GitHub Actions deploy")
            .expires_in(days(301))
            .last_seen(TimeDelta::minutes(4)),
        SeedToken::new("Terraform Cloud")
            .duration("17520h")
            .expires_in(days(540))
            .last_seen(TimeDelta::hours(7)),
        SeedToken::new("Grafana scraper")
            .expires_in(days(21))
            .last_seen(TimeDelta::seconds(48)),
        SeedToken::new("Nightly backup")
            .expires_in(days(5))
            .last_seen(TimeDelta::hours(3)),
        SeedToken::new("Staging smoke tests")
            .duration("720h")
            .expires_in(TimeDelta::hours(19))
            .last_seen(TimeDelta::hours(1)),
        SeedToken::new("Partner API (Northwind)")
            .expires_in(days(-3))
            .last_seen(days(3)),
        SeedToken::new("Legacy Jenkins")
            .expires_in(days(112))
            .last_seen(days(203))
            .disabled(),
        SeedToken::new("Status page probe")
            .duration("forever")
            .last_seen(TimeDelta::seconds(11)),
        SeedToken::new("Data warehouse import")
            .duration("1 year")
            .expires_in(days(88))
            .last_seen(days(1)),
        SeedToken::new("Mobile beta gateway")
            .duration("43800h")
            .expires_in(days(1_460)),
    ]
}

/// The Access configuration of the account. It names four of the tokens.
pub(crate) fn access() -> Access {
    let pipelines =
        SeedGroup::new("Infrastructure pipelines").include(Rule::service_token("Terraform Cloud"));
    let deploy = SeedPolicy::new("Deploy")
        .include(Rule::service_token("GitHub Actions deploy"))
        .include(Rule::group("Infrastructure pipelines"));
    let partners =
        SeedPolicy::new("Partners").include(Rule::service_token("Partner API (Northwind)"));
    let staff = SeedPolicy::new("Staff")
        .decision(Decision::Allow)
        .include(Rule::email_domain("example.com"));
    let grafana = SeedApp::new("Grafana", "grafana.example.com")
        .policy(SeedPolicy::new("Scrapers").include(Rule::service_token("Grafana scraper")))
        .reusable_policy("Staff");
    let orders = SeedApp::new("Orders API", "orders.example.com")
        .policy(SeedPolicy::new("Any machine").include(Rule::any_valid_service_token()))
        .reusable_policy("Partners");
    let deployments = SeedApp::new("Deployments", "deploy.example.com")
        .reusable_policy("Deploy")
        .reusable_policy("Staff");
    Access::new()
        .service_token_inactivity(ServiceTokenInactivity::disable_after_days(90).turned_off())
        .group(pipelines)
        .policy(deploy)
        .policy(partners)
        .policy(staff)
        .app(deployments)
        .app(grafana)
        .app(orders)
}
