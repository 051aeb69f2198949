//! An account such as one finds in use: most tokens well, a few not.

use chrono::TimeDelta;

use crate::state::seed::SeedToken;

/// The tokens of the account.
pub(crate) fn tokens() -> Vec<SeedToken> {
    let days = TimeDelta::days;
    vec![
        SeedToken::new("GitHub Actions deploy")
            .expires_in(days(301))
            .last_seen(TimeDelta::minutes(4))
            .used_by_policy(),
        SeedToken::new("Terraform Cloud")
            .duration("17520h")
            .expires_in(days(540))
            .last_seen(TimeDelta::hours(7))
            .used_by_policy(),
        SeedToken::new("Grafana scraper")
            .expires_in(days(21))
            .last_seen(TimeDelta::seconds(48))
            .used_by_policy(),
        SeedToken::new("Nightly backup")
            .expires_in(days(5))
            .last_seen(TimeDelta::hours(3)),
        SeedToken::new("Staging smoke tests")
            .duration("720h")
            .expires_in(TimeDelta::hours(19))
            .last_seen(TimeDelta::hours(1)),
        SeedToken::new("Partner API (Northwind)")
            .expires_in(days(-3))
            .last_seen(days(3))
            .used_by_policy(),
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
