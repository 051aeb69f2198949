//! The calls that read the things around service tokens: accounts, settings, API tokens, and
//! the policies, groups and apps that name a token.

use std::time::Duration;

use crate::support::{ACCOUNT, RawServer, TOKEN, json};
use cf_service_tokens::{
    AccessKind, Account, ApiTokenStatus, CleanUp, Client, ClientBuilder, Clock, ErrorKind,
    InactivityAction, ManualClock, Retry, RulePlace, ServiceToken, Usage,
};
use cf_service_tokens_simulator::{
    Access, Permission, Rule, SeedApiToken, SeedApp, SeedGroup, SeedPolicy, SeedToken,
    ServiceTokenInactivity, Simulator,
};
use chrono::TimeDelta;
use futures_util::TryStreamExt;
use serde_json::{Value, json as value};

const CLIENT_ID: &str = "88bf3b6d86161464f6509f7219099e57.access";

fn fine(result: &Value) -> String {
    let body = value!({
        "success": true, "errors": [], "messages": [], "result": result,
    });
    json("200 OK", &body.to_string())
}

fn refused(status: &str, code: i64, message: &str) -> String {
    let body = value!({
        "success": false, "errors": [{ "code": code, "message": message }], "messages": [],
        "result": null,
    });
    json(status, &body.to_string())
}

/// Cloudflare's answer to an API token without the permission.
fn forbidden() -> String {
    refused("403 Forbidden", 10_000, "Authentication error")
}

fn client(server: &RawServer) -> Client {
    server.builder().build().unwrap()
}

fn builder_without_credentials(server: &RawServer) -> ClientBuilder {
    let builder = Client::builder().base_url(server.base_url());
    builder.retry(Retry::none())
}

fn account(server: &RawServer) -> Account {
    client(server).account(ACCOUNT).unwrap()
}

/// Returns the last segment of the request's path.
fn resource(request: &str) -> &str {
    let path = request.split([' ', '?']).nth(1).unwrap();
    path.rsplit('/').next().unwrap()
}

/// Returns the request lines so far.
fn lines(server: &RawServer) -> Vec<String> {
    let requests = server.requests();
    let lines = requests.iter().map(|request| {
        let line = request.lines().next().unwrap();
        line.replace("/client/v4", "").replace(" HTTP/1.1", "")
    });
    lines.collect()
}

/// Starts a server with these lists, each as one page, or with an answer of its own.
async fn neighbours(lists: &[(&'static str, Value)]) -> RawServer {
    let lists = lists.to_vec();
    RawServer::answering(move |request| {
        let found = lists.iter().find(|(name, _)| *name == resource(request));
        match found {
            Some((_, Value::String(answer))) => answer.clone(),
            // A page that is not the first one is empty.
            _ if request.contains("?page=") && !request.contains("?page=1&") => fine(&value!([])),
            Some((_, list)) => fine(list),
            None => fine(&value!([])),
        }
    })
    .await
}

fn token() -> ServiceToken {
    serde_json::from_value(value!({ "id": TOKEN, "client_id": CLIENT_ID })).unwrap()
}

fn service_token(id: &str) -> Value {
    value!({ "service_token": { "token_id": id } })
}

fn group(id: &str) -> Value {
    value!({ "group": { "id": id } })
}

/// Returns what uses the token, a line each.
fn used_by(usage: &Usage) -> Vec<String> {
    let of = usage.of(&token());
    of.used_by.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn accounts_are_listed_page_by_page() {
    let server = RawServer::answering(|request| {
        let page = (1..=3).find(|page| request.contains(&format!("page={page}&")));
        let page: usize = page.unwrap();
        let accounts: Vec<Value> = (0..120)
            .skip((page - 1) * 50)
            .take(50)
            .map(|index| value!({ "id": format!("id-{index}"), "name": index.to_string(), "settings": {} }))
            .collect();
        let body = value!({
            "success": true, "errors": [], "messages": [], "result": accounts,
            "result_info": { "page": page, "per_page": 50, "count": accounts.len(), "total_count": 120 },
        });
        json("200 OK", &body.to_string())
    })
    .await;
    let all: Vec<_> = client(&server).accounts().try_collect().await.unwrap();
    assert_eq!(all.len(), 120);
    assert_eq!(all[119].id.as_deref(), Some("id-119"));
    assert_eq!(all[119].name.as_deref(), Some("119"));
    assert_eq!(
        lines(&server),
        [1, 2, 3].map(|page| format!("GET /accounts?page={page}&per_page=50"))
    );
}

#[tokio::test]
async fn a_listing_of_accounts_that_is_incomplete_is_an_error() {
    let server = RawServer::answering(|request| {
        let accounts = match request.contains("page=1&") {
            true => value!([{ "id": "a", "name": 7 }]),
            false => value!([]),
        };
        let body = value!({
            "success": true, "errors": [], "messages": [], "result": accounts,
            "result_info": { "total_count": 2 },
        });
        json("200 OK", &body.to_string())
    })
    .await;
    let client = client(&server);
    let mut accounts = client.accounts();
    let first = accounts.next().await.unwrap().unwrap();
    assert_eq!((first.id.as_deref(), first.name), (Some("a"), None));
    let error = accounts.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    insta::assert_snapshot!(error, @"list accounts: the listing is incomplete: page 2 is empty after 1 accounts, but the API counts 2 accounts; list again (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 86 bytes)");
    assert!(accounts.next().await.is_none());
}

#[tokio::test]
async fn an_api_token_of_an_account_cannot_list_accounts() {
    let message = "List accounts endpoint does not support account owned tokens.";
    let server = RawServer::start(refused("400 Bad Request", 1001, message)).await;
    let client = client(&server);
    let error = client.accounts().next().await.unwrap().unwrap_err();
    insta::assert_snapshot!(error, @"list accounts: the API refused the call (HTTP 400, ray id 8f2b1c9d0e1f2a3b-FRA): 1001 List accounts endpoint does not support account owned tokens");
    assert_eq!(error.missing_permission(), None);
}

#[tokio::test]
async fn the_settings_of_access() {
    let server = RawServer::start(fine(&value!({
        "name": "Widget Corps",
        "auth_domain": "widget.cloudflareaccess.com",
        "strict_service_token_auth": true,
        "service_token_inactivity": {
            "enabled": true, "inactivity_threshold_days": 30.0, "action": "delete",
        },
    })))
    .await;
    let organization = account(&server).organization().await.unwrap();
    assert_eq!(organization.name.as_deref(), Some("Widget Corps"));
    assert_eq!(organization.strict_service_token_auth, Some(true));
    let clean_up = organization.service_token_inactivity.as_ref().unwrap();
    assert_eq!(clean_up.enabled, Some(true));
    assert_eq!(clean_up.inactivity_threshold_days, Some(30));
    assert_eq!(clean_up.action, Some(InactivityAction::Delete));
    assert_eq!(
        lines(&server),
        [format!("GET /accounts/{ACCOUNT}/access/organizations")]
    );
}

#[tokio::test]
async fn settings_that_cannot_be_read_are_not_taken_for_none() {
    for (settings, enabled, action) in [
        (
            value!({ "enabled": true, "action": "quarantine" }),
            Some(true),
            None,
        ),
        (
            value!({ "enabled": "yes", "action": "delete" }),
            None,
            Some(InactivityAction::Delete),
        ),
        (value!("on"), None, None),
    ] {
        let result = value!({ "name": "w", "service_token_inactivity": settings });
        let server = RawServer::start(fine(&result)).await;
        let organization = account(&server).organization().await.unwrap();
        assert_eq!(
            organization.unreadable(),
            ["result.service_token_inactivity"]
        );
        assert_eq!(organization.name.as_deref(), Some("w"));
        let clean_up = organization.service_token_inactivity.as_ref().unwrap();
        assert_eq!((clean_up.enabled, clean_up.action), (enabled, action));
        let effect = organization.clean_up_of(&ServiceToken::default(), Some(false));
        assert!(
            matches!(effect, CleanUp::AtRisk { at: None, .. }),
            "{effect:?}"
        );
    }
    let server = RawServer::start(fine(&value!({ "service_token_inactivity": null }))).await;
    let organization = account(&server).organization().await.unwrap();
    assert_eq!(organization.service_token_inactivity, None);
}

#[tokio::test]
async fn a_missing_permission_is_named_and_a_failure_is_not_taken_for_one() {
    let permission = "Access: Organizations, Identity Providers, and Groups Read";
    for (answer, missing) in [
        (forbidden(), Some(permission)),
        (refused("403 Forbidden", 1002, "no"), Some(permission)),
        (
            refused("401 Unauthorized", 10_000, "Authentication error"),
            None,
        ),
        (refused("403 Forbidden", 9109, "Invalid access token"), None),
        (
            refused(
                "403 Forbidden",
                9109,
                "Cannot use the access token from location: 1",
            ),
            None,
        ),
        (
            refused("403 Forbidden", 9999, "access is not enabled"),
            None,
        ),
        (refused("404 Not Found", 7003, "no route"), None),
        (json("403 Forbidden", "<html>"), None),
        (json("503 Service Unavailable", "{}"), None),
    ] {
        let server = RawServer::start(answer.clone()).await;
        let error = account(&server).organization().await.unwrap_err();
        assert_eq!(error.missing_permission(), missing, "{error}");
    }
    let server = RawServer::start(forbidden()).await;
    let error = account(&server).organization().await.unwrap_err();
    insta::assert_snapshot!(error, @r#"get access organization: the API refused the call (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): 10000 Authentication error; check that the credentials are right, that they have the permission "Access: Organizations, Identity Providers, and Groups Read", and that they belong to the account"#);
    let raw = client(&server).request(cf_service_tokens::Method::GET, "/user");
    let error = raw.send::<Value>().await.unwrap_err();
    assert_eq!(error.missing_permission(), None);
    insta::assert_snapshot!(error, @"raw request: the API refused the call (HTTP 403, ray id 8f2b1c9d0e1f2a3b-FRA): 10000 Authentication error; check that the credentials are right, and that they have the permission for this call");
}

/// The calls for an API token: of a user, and of an account.
const OF_USER: &str = "GET /user/tokens/verify";
const OF_ACCOUNT: &str = "GET /accounts/023e105f4ecef8ad9ca31a8372d0c353/tokens/verify";

#[tokio::test]
async fn an_api_token_is_verified_by_its_owner() {
    for (prefix, knows, requests) in [
        ("cfut_", "user", &[OF_USER][..]),
        ("cfat_", "accounts", &[OF_ACCOUNT]),
        ("", "user", &[OF_USER]),
        ("", "accounts", &[OF_USER, OF_ACCOUNT]),
    ] {
        let server =
            RawServer::answering(
                move |request| match request.contains(&format!("/v4/{knows}/")) {
                    true => fine(&value!({
                        "id": "ed17574386854bf78a67040be0a770b0", "status": "active",
                        "expires_on": "2027-01-01T00:00:00Z",
                    })),
                    false => refused("401 Unauthorized", 1000, "Invalid API Token"),
                },
            )
            .await;
        let builder = builder_without_credentials(&server);
        let client = builder.api_token(format!("{prefix}t")).account_id(ACCOUNT);
        let client = client.build().unwrap();
        let verified = client.verify_api_token().await.unwrap();
        assert_eq!(verified.status, Some(ApiTokenStatus::Active));
        assert_eq!(
            verified.id.as_deref(),
            Some("ed17574386854bf78a67040be0a770b0")
        );
        assert_eq!(verified.not_before, None);
        let expires_on = verified.expires_on.unwrap().to_rfc3339();
        assert_eq!(expires_on, "2027-01-01T00:00:00+00:00");
        assert_eq!(lines(&server), requests);
        let verified = client.default_account().unwrap().verify_api_token().await;
        assert_eq!(verified.unwrap().status, Some(ApiTokenStatus::Active));
        assert_eq!(lines(&server), [requests, requests].concat());
    }
}

#[tokio::test]
async fn an_api_token_that_nobody_knows() {
    let server = RawServer::in_turn(&[
        refused("401 Unauthorized", 1000, "Invalid API Token"),
        refused("403 Forbidden", 10_000, "Authentication error"),
        refused("401 Unauthorized", 1000, "Invalid API Token"),
        json("503 Service Unavailable", "{}"),
        json("503 Service Unavailable", "{}"),
        fine(&value!({ "status": "revoked" })),
    ])
    .await;
    let account = account(&server);
    let error = account.verify_api_token().await.unwrap_err();
    assert!(error.is_auth());
    insta::assert_snapshot!(error, @"verify user api token: the API refused the call (HTTP 401, ray id 8f2b1c9d0e1f2a3b-FRA): 1000 Invalid API Token; check that the credentials are right, and that they have the permission for this call");
    let error = account.verify_api_token().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 503, "the second call failed");
    let error = account.verify_api_token().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 503, "the first call failed");
    assert_eq!(server.requests().len(), 5);
    let verified = account.verify_api_token().await.unwrap();
    assert_eq!(verified.status, None);
    assert_eq!(verified.unreadable(), ["result.status"]);
}

#[tokio::test]
async fn what_cannot_be_verified_sends_nothing() {
    let server = RawServer::start("").await;
    let builder = builder_without_credentials(&server);
    let client = builder.api_token("cfat_t").build().unwrap();
    let error = client.verify_api_token().await.unwrap_err();
    assert!(error.is_configuration());
    insta::assert_snapshot!(error, @"an account owns the API token, and no account is configured; call `verify_api_token` of the account, or set CLOUDFLARE_ACCOUNT_ID");
    let builder = builder_without_credentials(&server);
    let client = builder.global_key("a@example.com", "k").build().unwrap();
    let error = client.verify_api_token().await.unwrap_err();
    assert!(error.is_configuration());
    insta::assert_snapshot!(error, @"the client has a global key, which can't be verified; use an API token");
    assert_eq!(server.requests(), [""; 0]);
}

#[tokio::test]
async fn every_way_to_use_a_token_is_found() {
    let server = neighbours(&[
        (
            "policies",
            value!([
                { "id": "p1", "name": "CI", "decision": "non_identity",
                  "include": [service_token("other"), service_token(TOKEN)],
                  "require": [{ "ip": { "ip": "10.0.0.0/8" } }, service_token(TOKEN)],
                  "exclude": null },
                { "id": "p2", "name": "Staff", "include": [{ "everyone": {} }], "require": [],
                  "exclude": [group("g2")] },
                { "id": "p3", "include": [{ "any_valid_service_token": {} }] },
                { "id": "p4", "name": "Nobody", "include": [service_token("other")] },
            ]),
        ),
        (
            "groups",
            value!([
                { "id": "g1", "name": "Machines", "include": [service_token(TOKEN), group("g2")] },
                { "id": "g2", "name": "Everything", "include": [group("g1")],
                  "require": [{ "any_valid_service_token": {} }] },
                { "id": "g3", "name": "Other", "include": [group("g4")] },
            ]),
        ),
        (
            "apps",
            value!([
                { "id": "a1", "name": "Grafana", "type": "self_hosted", "policies": [
                    { "id": "p1", "name": "CI", "precedence": 1, "include": [service_token(TOKEN)] },
                    { "id": "p5", "name": "Own", "include": [group("g1")] } ] },
                { "id": "a2", "name": "Wiki", "policies": [{ "id": "p1", "name": "CI" }],
                  "scim_config": { "idp_uid": "i", "remote_uri": "https://x", "authentication": {
                      "scheme": "access_service_token", "client_id": CLIENT_ID, "client_secret": "s" } } },
                { "id": "a3", "name": "HR", "scim_config": { "authentication": [
                    { "scheme": "httpbasic", "user": "u", "password": "p" },
                    { "scheme": "oauth2", "client_id": CLIENT_ID },
                    { "scheme": "access_service_token", "client_id": CLIENT_ID } ] } },
                { "id": "a4", "name": "Bookmark", "policies": null, "scim_config": null },
                { "id": "a5", "name": "Other scheme", "scim_config": { "authentication":
                    { "scheme": "oauth2", "client_id": CLIENT_ID } } },
            ]),
        ),
    ])
    .await;
    let usage = account(&server).usage().await.unwrap();
    assert_eq!(
        used_by(&usage),
        [
            r#"policy "CI" (include), in the app "Grafana" and the app "Wiki""#,
            r#"policy "CI" (require), in the app "Grafana" and the app "Wiki""#,
            r#"group "Machines" (include)"#,
            r#"group "Everything" (include), through the group "Machines""#,
            r#"policy "Own" (include), through the group "Machines", in the app "Grafana""#,
            r#"policy "Staff" (exclude), through the group "Everything""#,
            r#"group "Machines" (include), through the group "Everything""#,
            r#"app "Wiki" (SCIM configuration)"#,
            r#"app "HR" (SCIM configuration)"#,
        ]
    );
    let any: Vec<_> = usage.any_valid_service_token();
    let any: Vec<_> = any.iter().map(ToString::to_string).collect();
    assert_eq!(
        any,
        [
            r#"policy "p3" (include)"#,
            r#"group "Everything" (require)"#,
            r#"policy "Staff" (exclude), through the group "Everything""#,
            r#"group "Machines" (include), through the group "Everything""#,
            r#"group "Everything" (include), through the group "Machines""#,
            r#"policy "Own" (include), through the group "Machines", in the app "Grafana""#,
        ]
    );
    let of = usage.of(&token());
    assert_eq!(
        (of.is_used(), of.is_named_by_policy()),
        (Some(true), Some(true))
    );
    let first = &of.used_by[0];
    assert_eq!(first.object.kind, AccessKind::Policy);
    assert_eq!(first.object.id.as_deref(), Some("p1"));
    assert_eq!(first.place, RulePlace::Include);
    assert_eq!((&first.via, first.apps.len()), (&None, 2));
    assert_eq!(usage.unread(), []);
    let mut sent = lines(&server);
    sent.sort();
    sent.dedup();
    let expected = [
        "apps?page=1&per_page=200",
        "apps?page=2&per_page=200",
        "groups?page=1&per_page=1000",
        "groups?page=2&per_page=1000",
        "policies?page=1&per_page=1000",
        "policies?page=2&per_page=1000",
    ];
    assert_eq!(
        sent,
        expected.map(|rest| format!("GET /accounts/{ACCOUNT}/access/{rest}"))
    );
}

#[tokio::test]
async fn a_group_alone_is_a_use_but_not_a_policy_that_names_the_token() {
    let server = neighbours(&[
        ("policies", value!([{ "id": "p", "include": [group("g")] }])),
        (
            "groups",
            value!([{ "id": "g", "include": [service_token(TOKEN)] }]),
        ),
    ])
    .await;
    let usage = account(&server).usage().await.unwrap();
    let of = usage.of(&token());
    assert_eq!(
        (of.is_used(), of.is_named_by_policy()),
        (Some(true), Some(false))
    );
    let json = serde_json::to_value(&of).unwrap();
    assert_eq!(json["used_by"][1]["object"]["kind"], "policy");
    assert_eq!(json["used_by"][1]["place"], "include");
    assert_eq!(json["used_by"][1]["via"]["id"], "g");
}

#[tokio::test]
async fn a_token_is_unused_only_if_everything_was_read() {
    let apps = "Access: Apps and Policies Read";
    let groups = "Access: Organizations, Identity Providers, and Groups Read";
    for (unread, named, lines) in [
        (&[][..], Some(false), vec![]),
        (
            &["groups"],
            Some(false),
            vec![format!(
                "groups: this API token lacks the permission \"{groups}\""
            )],
        ),
        (
            &["apps"],
            None,
            vec![format!(
                "apps: this API token lacks the permission \"{apps}\""
            )],
        ),
        (
            &["policies"],
            None,
            vec![format!(
                "policies: this API token lacks the permission \"{apps}\""
            )],
        ),
    ] {
        let lists: Vec<_> = unread
            .iter()
            .map(|name| (*name, value!(forbidden())))
            .collect();
        let server = neighbours(&lists).await;
        let usage = account(&server).usage().await.unwrap();
        let of = usage.of(&token());
        assert_eq!(
            of.is_used(),
            unread.is_empty().then_some(false),
            "{unread:?}"
        );
        assert_eq!(of.is_named_by_policy(), named, "{unread:?}");
        let shown: Vec<_> = usage.unread().iter().map(ToString::to_string).collect();
        assert_eq!(shown, lines);
        // A token that the API does not describe can't be looked for.
        let nameless = usage.of(&ServiceToken::default());
        assert_eq!(
            (nameless.is_used(), nameless.is_named_by_policy()),
            (None, None)
        );
    }
}

#[tokio::test]
async fn a_use_is_known_although_a_listing_may_not_be_read() {
    let server = neighbours(&[
        ("policies", value!(forbidden())),
        ("groups", value!(forbidden())),
        (
            "apps",
            value!([{ "id": "a", "name": "Wiki", "policies": [
            { "name": "Own", "include": [service_token(TOKEN)] } ] }]),
        ),
    ])
    .await;
    let usage = account(&server).usage().await.unwrap();
    assert_eq!(
        used_by(&usage),
        [r#"policy "Own" (include), in the app "Wiki""#]
    );
    let of = usage.of(&token());
    assert_eq!(
        (of.is_used(), of.is_named_by_policy()),
        (Some(true), Some(true))
    );
    assert_eq!(usage.unread().len(), 2);
}

#[tokio::test]
async fn a_failure_is_an_error_and_not_an_unread_listing() {
    let down = json("503 Service Unavailable", "{}");
    for resource in ["policies", "groups", "apps"] {
        let server = neighbours(&[(resource, value!(down))]).await;
        let error = account(&server).usage().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(!error.may_have_been_applied());
    }
    let blocked = json("403 Forbidden", "error code: 1010");
    let server = neighbours(&[("apps", value!(blocked))]).await;
    let error = account(&server).usage().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Blocked);
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_is_an_error_at_its_place() {
    for (policy, place) in [
        (
            value!({ "include": [service_token("a"), { "service_token": { "token_id": 7 } }] }),
            "result[0].include[1].service_token.token_id",
        ),
        (
            value!({ "include": [{ "service_token": {} }] }),
            "result[0].include[0].service_token",
        ),
        (
            value!({ "require": [{ "group": "g" }] }),
            "result[0].require[0].group",
        ),
        (value!({ "exclude": {} }), "result[0].exclude"),
        (value!({ "include": ["x"] }), "result[0].include[0]"),
        (value!("p"), "result[0]"),
    ] {
        for list in ["policies", "groups"] {
            let server = neighbours(&[(list, value!([policy]))]).await;
            let error = account(&server).usage().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode);
            let shown = error.to_string();
            assert!(shown.contains(&format!("at `{place}`")), "{shown}");
        }
    }
    let secret =
        value!([{ "scim_config": { "authentication": [{ "client_secret": "s3cret" }, 7] } }]);
    let server = neighbours(&[("apps", secret)]).await;
    let error = account(&server).usage().await.unwrap_err();
    insta::assert_snapshot!(error, @"list access apps: the answer can't be read at `result[0].scim_config.authentication`: unexpected value (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 119 bytes)");
}

#[tokio::test]
async fn rules_of_a_thousand_policies_and_groups_are_found() {
    let policies = (0..1000).map(
        |index| value!({ "id": format!("p{index}"), "include": [group(&format!("g{index}"))] }),
    );
    // Each group names the next one, and the last one the token.
    let groups = (0..1000).map(|index| {
        let rule = match index {
            999 => service_token(TOKEN),
            _ => group(&format!("g{}", index + 1)),
        };
        value!({ "id": format!("g{index}"), "include": [rule, group("g0")] })
    });
    let (policies, groups): (Vec<_>, Vec<_>) = (policies.collect(), groups.collect());
    let server = neighbours(&[("policies", value!(policies)), ("groups", value!(groups))]).await;
    let usage = account(&server).usage().await.unwrap();
    let of = usage.of(&token());
    let named = of
        .used_by
        .iter()
        .filter(|used_by| used_by.object.kind == AccessKind::Policy);
    assert_eq!(named.count(), 1000);
    assert_eq!(of.is_named_by_policy(), Some(false));
}

#[tokio::test]
async fn a_listing_of_rules_that_shrinks_is_an_error() {
    let server = RawServer::answering(|request| {
        let result = match (resource(request), request.contains("page=1&")) {
            ("groups", true) => value!([{ "id": "g" }]),
            _ => value!([]),
        };
        let total = if resource(request) == "groups" { 2 } else { 0 };
        let body = value!({
            "success": true, "errors": [], "messages": [], "result": result,
            "result_info": { "total_count": total },
        });
        json("200 OK", &body.to_string())
    })
    .await;
    let error = account(&server).usage().await.unwrap_err();
    insta::assert_snapshot!(error, @"list access groups: the listing is incomplete: page 2 is empty after 1 groups, but the API counts 2 groups; list again (HTTP 200, ray id 8f2b1c9d0e1f2a3b-FRA, application/json, 86 bytes)");
}

#[tokio::test]
async fn listings_without_end_are_refused() {
    let large = "x".repeat(3 << 20);
    for (comment, words) in [
        (String::new(), "has not ended after 10000 groups"),
        (large, "larger than 16777216 bytes"),
    ] {
        let per_page = if comment.is_empty() { 1000 } else { 1 };
        let server = RawServer::scripted(move |index, request| {
            let entries = (0..per_page).filter(|_| resource(request) == "groups");
            let page = entries
                .map(|entry| value!({ "id": format!("{index}-{entry}"), "comment": comment }));
            fine(&page.collect())
        })
        .await;
        let error = account(&server).usage().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn no_renewal_reads_a_neighbour() {
    let server = RawServer::answering(|request| match resource(request) {
        "service_tokens" => {
            fine(&value!([{ "id": TOKEN, "name": "ci", "expires_at": "2026-11-25T00:00:00Z" }]))
        }
        "refresh" => {
            fine(&value!({ "id": TOKEN, "name": "ci", "expires_at": "2027-11-25T00:00:00Z" }))
        }
        _ => json("503 Service Unavailable", "{}"),
    })
    .await;
    let builder = server.builder().clock(crate::support::exact_clock());
    let tokens = crate::support::service_tokens(builder);
    let report = tokens
        .renew(&cf_service_tokens::renewal::RenewalPolicy::new())
        .await;
    assert_eq!(report.to_string(), "1 token: 1 renewed");
    assert!(
        lines(&server)
            .iter()
            .all(|line| line.contains("/access/service_tokens"))
    );
}

#[cfg(feature = "blocking")]
#[test]
fn blocking_calls() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(neighbours(&[
        ("accounts", value!([{ "id": ACCOUNT, "name": "Demo" }])),
        (
            "organizations",
            value!(fine(&value!({ "strict_service_token_auth": false }))),
        ),
        ("verify", value!(fine(&value!({ "status": "expired" })))),
        (
            "policies",
            value!([{ "id": "p", "name": "CI", "include": [service_token(TOKEN)] }]),
        ),
    ]));
    let client = cf_service_tokens::blocking::Client::builder()
        .api_token("t")
        .base_url(server.base_url())
        .build()
        .unwrap();
    let accounts: Result<Vec<_>, _> = client.accounts().collect();
    assert_eq!(accounts.unwrap()[0].name.as_deref(), Some("Demo"));
    let account = client.account(ACCOUNT).unwrap();
    let organization = account.organization().unwrap();
    assert_eq!(organization.strict_service_token_auth, Some(false));
    for verified in [client.verify_api_token(), account.verify_api_token()] {
        assert_eq!(verified.unwrap().status, Some(ApiTokenStatus::Expired));
    }
    assert_eq!(
        used_by(&account.usage().unwrap()),
        [r#"policy "CI" (include)"#]
    );
}

/// Starts a simulator whose clean-up disables tokens after 30 days, with tokens that are
/// named by a policy, by a group alone, by a SCIM configuration alone, and by nothing.
async fn simulator(clock: &ManualClock) -> Simulator {
    let group = SeedGroup::new("machines").include(Rule::service_token("grouped"));
    let policy = SeedPolicy::new("ci")
        .include(Rule::service_token("named"))
        .include(Rule::group("machines"));
    let access = Access::new()
        .service_token_inactivity(ServiceTokenInactivity::disable_after_days(30))
        .policy(policy)
        .group(group)
        .app(SeedApp::new("wiki", "wiki.example.com").scim_service_token("scim"));
    let noon = clock.now();
    let mut builder = Simulator::builder()
        .clock(clock.reader())
        .access(access)
        .add_api_token(
            SeedApiToken::new("tokens-only").permissions([Permission::ServiceTokensRead]),
        );
    for name in ["named", "grouped", "scim", "unused"] {
        builder = builder.token(SeedToken::new(name).created_at(noon));
    }
    builder.start().await.unwrap()
}

#[tokio::test]
async fn the_clean_up_does_what_it_is_said_to_do() {
    let clock = crate::support::exact_clock();
    let simulator = simulator(&clock).await;
    let tokens = crate::support::tokens_with(&simulator, |builder| builder.clock(clock.clone()));
    let builder = Client::builder()
        .base_url(simulator.base_url())
        .api_token(simulator.api_token())
        .clock(clock.clone());
    let account = builder
        .build()
        .unwrap()
        .account(simulator.account_id())
        .unwrap();
    let organization = account.organization().await.unwrap();
    let usage = account.usage().await.unwrap();
    assert_eq!(usage.unread(), []);
    let mut foretold = Vec::new();
    for (name, is_used, is_named) in [
        ("named", true, true),
        ("grouped", true, false),
        ("scim", true, false),
        ("unused", false, false),
    ] {
        let token = tokens.find(name).await.unwrap();
        let of_token = usage.of(&token);
        assert_eq!(of_token.is_used(), Some(is_used), "{name}");
        assert_eq!(of_token.is_named_by_policy(), Some(is_named), "{name}");
        let clean_up = organization.clean_up_of(&token, of_token.is_named_by_policy());
        foretold.push((token, clean_up));
    }
    let at = clock.now() + TimeDelta::days(30);
    clock.advance(Duration::from_secs(30 * 24 * 60 * 60 - 1));
    for (token, _) in &foretold {
        assert_eq!(tokens.get(token).await.unwrap().enabled, Some(true));
    }
    clock.advance(Duration::from_secs(1));
    for (token, clean_up) in &foretold {
        let is_hit = match clean_up {
            CleanUp::Safe => false,
            CleanUp::Due {
                at: said, action, ..
            } => {
                assert_eq!((*said, *action), (at, Some(InactivityAction::Disable)));
                true
            }
            other => panic!("{token}: {other:?}"),
        };
        assert_eq!(
            tokens.get(token).await.unwrap().enabled,
            Some(!is_hit),
            "{token}"
        );
    }
}

#[tokio::test]
async fn an_api_token_for_service_tokens_alone_learns_what_it_lacks() {
    let clock = crate::support::exact_clock();
    let simulator = simulator(&clock).await;
    let builder = Client::builder()
        .base_url(simulator.base_url())
        .api_token("tokens-only")
        .account_id(simulator.account_id());
    let client = builder.build().unwrap();
    let account = client.default_account().unwrap();
    assert!(account.service_tokens().find("named").await.is_ok());
    let error = client.accounts().next().await.unwrap().unwrap_err();
    assert_eq!(error.missing_permission(), Some("Account Settings Read"));
    let error = account.organization().await.unwrap_err();
    let groups = "Access: Organizations, Identity Providers, and Groups Read";
    assert_eq!(error.missing_permission(), Some(groups));
    let apps = "Access: Apps and Policies Read";
    let usage = account.usage().await.unwrap();
    let unread = usage
        .unread()
        .iter()
        .map(|unread| (unread.kind, unread.permission));
    assert_eq!(
        unread.collect::<Vec<_>>(),
        [
            (AccessKind::Policy, apps),
            (AccessKind::Group, groups),
            (AccessKind::App, apps),
        ]
    );
    let api_token = client.verify_api_token().await.unwrap();
    assert_eq!(api_token.status, Some(ApiTokenStatus::Active));
}
