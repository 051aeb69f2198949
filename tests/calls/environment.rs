//! Setting up a client from environment variables.

use cf_service_tokens::{Client, ClientBuilder};

use crate::support;

const ID: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// Builds a client in a process with these variables, and returns its `Debug` output or
/// its error.
fn build(how: &str, variables: &[(&str, &str)]) -> String {
    support::in_a_child("environment::child", how, variables)
}

#[test]
fn child() {
    support::be_a_child(|how| {
        let explicit = |builder: ClientBuilder| builder.base_url("https://explicit.example/v4/");
        let client = match how {
            "environment" => Client::from_env(),
            "explicit token" => ClientBuilder::from_env().api_token("explicit").build(),
            _ => explicit(ClientBuilder::from_env()).build(),
        };
        match client {
            Ok(client) => format!("{client:?}; {:?}", client.default_account()),
            Err(error) => format!("{error}; {}", error.is_configuration()),
        }
    });
}

#[test]
#[cfg_attr(
    not(any(feature = "rustls", feature = "native-tls")),
    ignore = "without TLS there is no client of an https API"
)]
fn an_api_token_alone_is_enough() {
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_API_TOKEN", "canary")]), @r#"Client { base_url: "https://api.cloudflare.com/client/v4", default_account: None, .. }; Err(no account is configured; pass one to `account`, or set CLOUDFLARE_ACCOUNT_ID)"#);
}

#[test]
fn all_compatible_variables_set_up_a_client() {
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
        @r#"Client { base_url: "http://127.0.0.1:8787/client/v4", default_account: Some(AccountId("023e105f4ecef8ad9ca31a8372d0c353")), .. }; Ok(Account { id: AccountId("023e105f4ecef8ad9ca31a8372d0c353"), .. })"#
    );
}

#[test]
fn no_credentials() {
    insta::assert_snapshot!(build("environment", &[]), @"the environment has no credentials in CLOUDFLARE_API_TOKEN, CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY; set CLOUDFLARE_API_TOKEN; true");
}

#[test]
fn half_a_scheme() {
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_EMAIL", "me@example.com")]), @"CLOUDFLARE_EMAIL is set without CLOUDFLARE_API_KEY; set both, or set CLOUDFLARE_API_TOKEN alone; true");
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_API_KEY", "canary")]), @"CLOUDFLARE_API_KEY is set without CLOUDFLARE_EMAIL; set both, or set CLOUDFLARE_API_TOKEN alone; true");
}

#[test]
fn two_schemes() {
    insta::assert_snapshot!(
        build("environment", &[("CLOUDFLARE_API_TOKEN", "canary"), ("CLOUDFLARE_EMAIL", "me@example.com")]),
        @"CLOUDFLARE_API_TOKEN and CLOUDFLARE_EMAIL are set together, but a request can carry only one kind of credentials; keep CLOUDFLARE_API_TOKEN and unset the others; true"
    );
    insta::assert_snapshot!(
        build(
            "environment",
            &[("CLOUDFLARE_API_TOKEN", "canary"), ("CLOUDFLARE_EMAIL", "me@example.com"), ("CLOUDFLARE_API_KEY", "canary")],
        ),
        @"CLOUDFLARE_API_TOKEN, CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY are set together, but a request can carry only one kind of credentials; keep CLOUDFLARE_API_TOKEN and unset the others; true"
    );
}

const SERVICE_KEY: (&str, &str) = ("CLOUDFLARE_API_USER_SERVICE_KEY", "canary");

#[test]
fn a_service_key_alone_is_refused_with_advice() {
    for others in [
        &[][..],
        &[("CLOUDFLARE_API_TOKEN", ""), ("CLOUDFLARE_API_KEY", "")],
        &[("CLOUDFLARE_EMAIL", "me@example.com")],
    ] {
        let variables = [others, &[SERVICE_KEY]].concat();
        assert_eq!(
            build("environment", &variables),
            "CLOUDFLARE_API_USER_SERVICE_KEY is set, but service keys stopped working on 2026-09-30; \
             create an API token with the permission \"Access: Service Tokens Write\" \
             and set CLOUDFLARE_API_TOKEN to it; true",
            "{others:?}"
        );
    }
    let empty = build("environment", &[("CLOUDFLARE_API_USER_SERVICE_KEY", "")]);
    assert_eq!(
        empty,
        build("environment", &[]),
        "an empty service key counts as unset"
    );
}

#[test]
fn a_service_key_beside_other_credentials_is_ignored() {
    let local = ("CLOUDFLARE_BASE_URL", "http://127.0.0.1:8787/client/v4");
    for others in [
        &[("CLOUDFLARE_API_TOKEN", "canary")][..],
        &[
            ("CLOUDFLARE_EMAIL", "me@example.com"),
            ("CLOUDFLARE_API_KEY", "canary"),
        ],
    ] {
        let without = [others, &[local]].concat();
        let with = [others, &[local, SERVICE_KEY]].concat();
        let client = build("environment", &with);
        assert!(client.starts_with("Client"), "{client}");
        assert_eq!(client, build("environment", &without));
    }
}

#[test]
fn empty_and_unusable_values() {
    insta::assert_snapshot!(build("environment", &[("CLOUDFLARE_API_TOKEN", "")]), @"CLOUDFLARE_API_TOKEN is set but empty; give it a value or unset it; true");
    for (variables, culprit) in [
        (&[("CLOUDFLARE_API_TOKEN", "canary\n")][..], 0),
        (&[("CLOUDFLARE_API_TOKEN", "canarÿ")], 0),
        (
            &[
                ("CLOUDFLARE_API_TOKEN", "canary "),
                ("CLOUDFLARE_EMAIL", ""),
            ],
            0,
        ),
        (
            &[
                ("CLOUDFLARE_API_KEY", "canary canary"),
                ("CLOUDFLARE_EMAIL", "me@example.com"),
            ],
            0,
        ),
        (
            &[
                ("CLOUDFLARE_API_KEY", "canary"),
                ("CLOUDFLARE_EMAIL", "me @example.com"),
            ],
            1,
        ),
    ] {
        assert_eq!(
            build("environment", variables),
            format!(
                "{} contains a space, a line break or a character that is not ASCII; copy the whole value and nothing else; true",
                variables[culprit].0
            )
        );
    }
    insta::assert_snapshot!(
        build("environment", &[("CLOUDFLARE_API_TOKEN", "t"), ("CLOUDFLARE_ACCOUNT_ID", "my account")]),
        @r#"CLOUDFLARE_ACCOUNT_ID can't be used: "my account" is not a valid account id: ' ' at byte 2 is not an ASCII letter, a digit or `-`; the dashboard shows it under the account's overview; true"#
    );
}

#[test]
#[cfg_attr(
    not(any(feature = "rustls", feature = "native-tls")),
    ignore = "without TLS there is no client of an https API"
)]
fn an_empty_variable_counts_as_unset() {
    let token = ("CLOUDFLARE_API_TOKEN", "canary");
    let unset = build("environment", &[token]);
    for name in [
        "CLOUDFLARE_EMAIL",
        "CLOUDFLARE_API_KEY",
        "CLOUDFLARE_API_USER_SERVICE_KEY",
        "CLOUDFLARE_BASE_URL",
        "CLOUDFLARE_ACCOUNT_ID",
    ] {
        assert_eq!(build("environment", &[token, (name, "")]), unset, "{name}");
    }
}

#[test]
fn unsafe_and_invalid_base_urls_are_refused() {
    for (url, words) in [
        (
            "http://api.example.com",
            "would send the credentials unencrypted",
        ),
        ("ftp://api.example.com", "neither https nor http"),
        ("api.example.com", "is not a URL"),
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
#[cfg_attr(
    not(any(feature = "rustls", feature = "native-tls")),
    ignore = "without TLS there is no client of an https API"
)]
fn explicit_settings_take_precedence_over_the_environment() {
    let clash = [
        ("CLOUDFLARE_EMAIL", "me@example.com"),
        ("CLOUDFLARE_API_USER_SERVICE_KEY", "canary"),
        ("CLOUDFLARE_BASE_URL", "https://environment.example/v4"),
    ];
    insta::assert_snapshot!(build("explicit token", &clash), @r#"Client { base_url: "https://environment.example/v4", default_account: None, .. }; Err(no account is configured; pass one to `account`, or set CLOUDFLARE_ACCOUNT_ID)"#);
    insta::assert_snapshot!(
        build("explicit url", &[("CLOUDFLARE_API_TOKEN", "t"), ("CLOUDFLARE_BASE_URL", "nonsense")]),
        @r#"Client { base_url: "https://explicit.example/v4", default_account: None, .. }; Err(no account is configured; pass one to `account`, or set CLOUDFLARE_ACCOUNT_ID)"#
    );
}

#[cfg(not(any(feature = "rustls-no-provider", feature = "native-tls")))]
#[test]
fn https_without_tls_names_the_features() {
    let error = Client::builder().api_token("token").build().unwrap_err();
    assert!(error.is_configuration());
    insta::assert_snapshot!(error, @"https needs TLS; enable the feature `rustls`, `rustls-no-provider` or `native-tls` of cf-service-tokens, or set up TLS with `http_client`");
}
