//! The headers that authenticate the client: those of exactly one scheme.

use crate::support::{ACCOUNT, RawServer, TOKEN, json};
use cf_service_tokens::{Client, ClientBuilder, ErrorKind};

const ANSWER: &str = r#"{"success":true,"errors":[],"messages":[],"result":{"name":"ci"}}"#;
const ALL: [&str; 4] = [
    "authorization",
    "x-auth-email",
    "x-auth-key",
    // Service keys no longer work, so the client must never send one.
    "x-auth-user-service-key",
];

/// Returns the credentials that a client from this builder sends, as `name: value`
/// lines.
async fn sent(builder: ClientBuilder) -> Vec<String> {
    let server = RawServer::start(json("200 OK", ANSWER)).await;
    let client = builder.base_url(server.base_url()).build().unwrap();
    client
        .account(ACCOUNT)
        .unwrap()
        .service_tokens()
        .get(TOKEN)
        .await
        .unwrap();
    let mut lines: Vec<String> = server
        .request()
        .lines()
        .filter(|line| ALL.iter().any(|name| line.starts_with(&format!("{name}:"))))
        .map(ToOwned::to_owned)
        .collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn each_scheme_sends_only_its_own_headers() {
    assert_eq!(
        sent(Client::builder().api_token("token")).await,
        ["authorization: Bearer token"]
    );
    assert_eq!(
        sent(Client::builder().global_key("me@example.com", "key")).await,
        ["x-auth-email: me@example.com", "x-auth-key: key"]
    );
}

#[test]
fn missing_and_ambiguous_credentials_are_refused() {
    let cases = [
        Client::builder(),
        Client::builder().api_token("a").api_token("b"),
        Client::builder()
            .api_token("a")
            .global_key("me@example.com", "b"),
        Client::builder()
            .api_token("a")
            .global_key("me@example.com", "b")
            .api_token("c"),
        Client::builder().api_token(""),
        Client::builder().global_key("", "key"),
        Client::builder().global_key("me@example.com", ""),
        Client::builder().api_token("clé"),
    ];
    let mut said = Vec::new();
    for builder in cases {
        // This base URL needs no TLS.
        let builder = builder.base_url("http://127.0.0.1:9");
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credentials, "{error}");
        assert!(error.is_configuration());
        said.push(error.to_string());
    }
    insta::assert_snapshot!(said.join("\n"), @"
    no credentials are configured; give the builder an API token with `api_token`
    an API token and an API token are configured, but a request can carry only one of them; leave the others out
    an API token and an e-mail address with a global key are configured, but a request can carry only one of them; leave the others out
    an API token, an e-mail address with a global key and an API token are configured, but a request can carry only one of them; leave the others out
    the API token is empty; copy the whole value and nothing else
    the e-mail address is empty; copy the whole value and nothing else
    the global API key is empty; copy the whole value and nothing else
    the API token contains a space, a line break or a character that is not ASCII; copy the whole value and nothing else
    ");
}
