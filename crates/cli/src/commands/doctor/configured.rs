//! The checks of a configuration file.

use cf_service_tokens::ServiceToken;

use super::Check;
use super::tokens::first_of;
use crate::commands::select::{self, Ids};
use crate::config::{AccountRules, Config};
use crate::connection::Api;
use crate::prove;
use crate::secret::journal::Journal;

/// Checks the accounts of the file that no call can be made for.
pub(super) fn without_credentials(api: &Api) -> Vec<Check> {
    let failures = api.failures().into_iter();
    failures
        .map(|(id, name, failure)| Check {
            account_id: Some(id.to_owned()),
            account_name: Some(name.to_owned()),
            ..Check::failed("api token", failure)
        })
        .collect()
}

fn counted(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    }
}

/// Says what the file has. A file with a mistake is refused before any check.
pub(super) fn of_file(config: &Config) -> Check {
    let rules = config.accounts.iter().map(|account| account.rotate.len());
    let what = format!(
        "{} has {} and {}",
        config.path.display(),
        counted(config.accounts.len(), "account"),
        counted(rules.sum(), "rotation rule")
    );
    Check::ok("configuration", what)
}

/// Checks what the file names on this machine.
pub(super) fn of_machine(config: &Config, journal: Option<&Journal>) -> Vec<Check> {
    let proofs = prove::all(config, journal).into_iter();
    let checks = proofs.map(|proof| match proof.found {
        Ok(words) => Check::ok(proof.kind, words),
        Err(failure) => Check::failed(proof.kind, failure),
    });
    checks.collect()
}

/// Checks that an account has as many tokens as the file expects.
pub(super) fn of_count(rules: &AccountRules, tokens: usize) -> Option<Check> {
    const CHECK: &str = "count";
    let expected = rules.expect_at_least?;
    Some(match rules.missing(tokens) {
        Some(failure) => Check::failed(CHECK, failure),
        None => Check::ok(
            CHECK,
            format!(
                "{}, and the configuration file expects at least {expected}",
                counted(tokens, "token")
            ),
        ),
    })
}

/// Checks that the rules of an account name tokens.
pub(super) fn of_rules(rules: &AccountRules, tokens: &[ServiceToken]) -> Option<Check> {
    const CHECK: &str = "rules";
    let found = |asked: &str| select::matching(tokens, asked, Ids::Whole).len();
    let selected = rules.only.iter().chain(&rules.except);
    let rotated = rules.rotate.iter().map(|rule| &rule.token);
    let named: Vec<&String> = selected.chain(rotated.clone()).collect();
    let unknown = named.iter().filter(|asked| found(asked) == 0);
    let unknown: Vec<String> = unknown.map(|asked| format!("{asked:?}")).collect();
    let shared = rotated.filter(|asked| found(asked) > 1);
    let shared: Vec<String> = shared.map(|asked| format!("{asked:?}")).collect();
    let matching = |asked: &&String| select::matching(tokens, asked, Ids::Whole);
    let mut ones: Vec<_> = rules.rotate.iter().map(|rule| &rule.token).collect();
    ones.sort_by_key(matching);
    let mut twins = ones.windows(2);
    let twins = twins.find(|pair| found(pair[0]) == 1 && matching(&pair[0]) == matching(&pair[1]));
    Some(if !unknown.is_empty() {
        let names = first_of(&unknown, ", ");
        Check::failure(
            CHECK,
            format!("no token has the name, id or client id {names}"),
        )
        .next("`cf-service-tokens list` shows the names and ids; correct the file")
    } else if !shared.is_empty() {
        let names = first_of(&shared, ", ");
        Check::failure(CHECK, format!("several tokens are named {names}"))
            .next("name the token by its id in the file")
    } else if let Some(&[one, two]) = twins {
        Check::failure(
            CHECK,
            format!("the rules {one:?} and {two:?} name the same token"),
        )
        .next("remove one of the two rules from the file")
    } else if named.is_empty() {
        return None;
    } else {
        Check::ok(CHECK, "each name in the file matches a token")
    })
}
