//! Setting up a client from environment variables.
//!
//! A process can't change its own environment safely while it runs, so each
//! case runs this very test program again, as a child that has the variables.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may panic, and this one prints for its parent"
)]

use std::collections::BTreeMap;
use std::env;
use std::process::Command;

use cf_service_tokens::{Client, ClientBuilder};

/// Set in the child: what to build a client from.
const BUILD: &str = "CF_SERVICE_TOKENS_TEST_BUILD";
const ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// What the child prints of a client built with these variables set.
fn build(how: &str, variables: &[(&str, &str)]) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env_clear()
        .envs(variables.iter().copied().collect::<BTreeMap<_, _>>())
        .env(BUILD, how)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.split_once("built: "));
    line.unwrap_or_else(|| panic!("the child printed {text}"))
        .1
        .to_owned()
}

/// The child's side: prints what became of the client, in one line.
#[test]
fn child() {
    let Ok(how) = env::var(BUILD) else {
        return;
    };
    let client = match how.as_str() {
        "environment" => Client::from_env(),
        "explicit token" => ClientBuilder::from_env().api_token("explicit").build(),
        "explicit url" => ClientBuilder::from_env()
            .base_url("https://explicit.example/v4/")
            .build(),
        other => panic!("{other}"),
    };
    match client {
        Ok(client) => println!("\nbuilt: {client:?}; {:?}", client.default_account()),
        Err(error) => println!("\nbuilt: {error}; {}", error.is_configuration()),
    }
}

#[test]
fn an_api_token_alone_is_enough() {
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_API_TOKEN", "canary")]), @r#"Client { base_url: "https://api.cloudflare.com/client/v4", default_account: None, .. }; Err(Error { kind: Configuration("no account is configured; name one to `account`, or set CLOUDFLARE_ACCOUNT_ID"), source: None })"#);
}

#[test]
fn all_variables_that_fit_together() {
    insta::assert_snapshot!(
        build(
            "environment",
            &[
                ("CLOUDFLARE_EMAIL", "me@example.com"),
                ("CLOUDFLARE_API_KEY", "canary"),
                ("CLOUDFLARE_BASE_URL", "http://127.0.0.1:8787/client/v4"),
                ("CLOUDFLARE_ACCOUNT_ID", ID),
            ],
        ),
        @r#"Client { base_url: "http://127.0.0.1:8787/client/v4", default_account: Some(AccountId("023e105f4ecef8ad9ca31a8372d0c353")), .. }; Ok(AccountServiceTokens { account: AccountId("023e105f4ecef8ad9ca31a8372d0c353"), .. })"#
    );
}

#[test]
fn no_credentials() {
    insta::assert_snapshot!(build("environment", &[]), @"no credentials in the environment: looked at CLOUDFLARE_API_TOKEN, CLOUDFLARE_EMAIL, CLOUDFLARE_API_KEY and CLOUDFLARE_API_USER_SERVICE_KEY; set CLOUDFLARE_API_TOKEN; true");
}

#[test]
fn half_a_scheme() {
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_EMAIL", "me@example.com")]), @"CLOUDFLARE_EMAIL is set but CLOUDFLARE_API_KEY is not, and one is of no use without the other; set both, or CLOUDFLARE_API_TOKEN alone; true");
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_API_KEY", "canary")]), @"CLOUDFLARE_API_KEY is set but CLOUDFLARE_EMAIL is not, and one is of no use without the other; set both, or CLOUDFLARE_API_TOKEN alone; true");
}

#[test]
fn two_schemes() {
    insta::assert_snapshot!(
        build("environment", &[("CLOUDFLARE_API_TOKEN", "canary"), ("CLOUDFLARE_EMAIL", "me@example.com")]),
        @"CLOUDFLARE_API_TOKEN and CLOUDFLARE_EMAIL are set together, but a request can carry one kind of credentials only; unset all but CLOUDFLARE_API_TOKEN, or all but one kind; true"
    );
    insta::assert_snapshot!(
        build(
            "environment",
            &[("CLOUDFLARE_API_TOKEN", "canary"), ("CLOUDFLARE_API_USER_SERVICE_KEY", "canary")],
        ),
        @"CLOUDFLARE_API_TOKEN and CLOUDFLARE_API_USER_SERVICE_KEY are set together, but a request can carry one kind of credentials only; unset all but CLOUDFLARE_API_TOKEN, or all but one kind; true"
    );
}

#[test]
fn empty_and_unusable_values() {
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_API_TOKEN", "")]), @"CLOUDFLARE_API_TOKEN is set but empty; give it a value or unset it; true");
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_API_TOKEN", "canary\n")]), @"an API token is configured, but a part of it holds a space, a line break or a character that is not ASCII; copy it again, whole and alone; true");
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_API_TOKEN", "canarÿ")]), @"an API token is configured, but a part of it holds a space, a line break or a character that is not ASCII; copy it again, whole and alone; true");
    insta::assert_snapshot!(
        build("environment", &[("CLOUDFLARE_API_TOKEN", "t"), ("CLOUDFLARE_ACCOUNT_ID", "my account")]),
        @r#""my account" is no account id: ' ' at byte 2 is none of the ASCII letters, digits and `-` that an id is made of; the dashboard shows it under the account's overview; false"#
    );
}

#[test]
fn base_urls_that_would_leak_or_lead_nowhere() {
    for (url, words) in [
        ("http://api.example.com", "use https"),
        ("ftp://api.example.com", "neither https nor http"),
        ("api.example.com", "is no URL"),
        ("", "is set but empty"),
        (
            "https://me:canary@api.example.com",
            "a user name or a password",
        ),
        ("https://api.example.com/?canary", "a query or a fragment"),
        ("https://api.example.com/#canary", "a query or a fragment"),
    ] {
        let said = build(
            "environment",
            &[("CLOUDFLARE_API_TOKEN", "t"), ("CLOUDFLARE_BASE_URL", url)],
        );
        assert!(said.contains(words), "{url}: {said}");
        assert!(said.contains("CLOUDFLARE_BASE_URL"), "{url}: {said}");
        assert!(said.ends_with("; true"), "{url}: {said}");
        assert!(!said.contains("canary"), "{url}: {said}");
    }
}

#[test]
fn what_is_explicit_replaces_the_environment_whole() {
    let clash = [
        ("CLOUDFLARE_EMAIL", "me@example.com"),
        ("CLOUDFLARE_API_USER_SERVICE_KEY", "canary"),
        ("CLOUDFLARE_BASE_URL", "https://environment.example/v4"),
    ];
    insta::assert_snapshot!(build("explicit token", &clash), @r#"Client { base_url: "https://environment.example/v4", default_account: None, .. }; Err(Error { kind: Configuration("no account is configured; name one to `account`, or set CLOUDFLARE_ACCOUNT_ID"), source: None })"#);
    insta::assert_snapshot!(
        build("explicit url", &[("CLOUDFLARE_API_TOKEN", "t"), ("CLOUDFLARE_BASE_URL", "nonsense")]),
        @r#"Client { base_url: "https://explicit.example/v4", default_account: None, .. }; Err(Error { kind: Configuration("no account is configured; name one to `account`, or set CLOUDFLARE_ACCOUNT_ID"), source: None })"#
    );
}
