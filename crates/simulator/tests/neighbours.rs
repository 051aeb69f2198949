//! What surrounds the service tokens, over real sockets: accounts, organization settings,
//! policies, groups, applications and API tokens.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use std::io::ErrorKind;

use cf_service_tokens_simulator::{
    Access, AppAuthentication, Decision, Fault, Injection, Operation, Permission, Rule,
    SeedAccount, SeedApiToken, SeedApp, SeedGroup, SeedPolicy, SeedToken, ServiceTokenInactivity,
    Simulator, SimulatorBuilder, WrongJson,
};
use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Api, Reply, control, control_json, send, start};

const TOKEN: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
const POLICY: &str = "699d9864-2c56-4d2e-855e-9661899b7252";
const NOW: &str = "2026-11-24T05:00:00Z";

/// The paths about the Access configuration of account `a1`.
const AROUND: [&str; 4] = ["organizations", "policies", "groups", "apps"];

fn builder() -> SimulatorBuilder {
    let token = SeedToken::new("CI").id(TOKEN).client_id("ci.access");
    Simulator::builder().account_id("a1").token(token)
}

fn of_a1(what: &str) -> String {
    format!("/accounts/a1/access/{what}")
}

async fn call(api: &Api, api_token: &str, path: &str) -> Reply {
    send(api.bare(Method::GET, path).bearer_auth(api_token)).await
}

#[track_caller]
fn assert_refused(reply: &Reply, status: StatusCode, code: u64) {
    assert_eq!((reply.status, reply.codes()), (status, vec![code]));
}

#[tokio::test]
async fn a_policy_is_shown_with_its_rules() {
    let policy = SeedPolicy::new("Deploy")
        .id(POLICY)
        .include(Rule::service_token(TOKEN))
        .include(Rule::any_valid_service_token())
        .require(Rule::email_domain("example.com"))
        .exclude(Rule::everyone());
    let app = SeedApp::new("Dashboard", "dashboard.example.com").reusable_policy("Deploy");
    let access = Access::new().policy(policy).app(app.clone()).app(app);
    let api = Api::start(builder().access(access)).await;
    let reply = api.get(&of_a1("policies")).await;
    assert_eq!(
        reply.result(),
        json!([{
            "id": POLICY,
            "name": "Deploy",
            "decision": "non_identity",
            "include": [
                { "service_token": { "token_id": TOKEN } },
                { "any_valid_service_token": {} },
            ],
            "require": [{ "email_domain": { "domain": "example.com" } }],
            "exclude": [{ "everyone": {} }],
            "reusable": true,
            "app_count": 2,
            "created_at": NOW,
            "updated_at": NOW,
        }])
    );
    assert_eq!(
        reply.json()["result_info"],
        json!({ "count": 1, "page": 1, "per_page": 100, "total_count": 1, "total_pages": 1 })
    );
    let requests = api.simulator.requests();
    assert_eq!(requests[0].operation, Some(Operation::ListPolicies));
    assert_eq!(requests[0].account_id.as_deref(), Some("a1"));
}

#[tokio::test]
async fn groups_may_name_each_other() {
    let access = Access::new()
        .group(SeedGroup::new("one").id("g1").include(Rule::group("two")))
        .group(SeedGroup::new("two").id("g2").require(Rule::group("g1")));
    let api = Api::start(builder().access(access)).await;
    let reply = api.get(&of_a1("groups")).await;
    let group = |id: &str, name: &str, include: Value, require: Value| {
        json!({
            "id": id,
            "name": name,
            "include": include,
            "require": require,
            "exclude": [],
            "created_at": NOW,
            "updated_at": NOW,
        })
    };
    assert_eq!(
        reply.result(),
        json!([
            group("g1", "one", json!([{ "group": { "id": "g2" } }]), json!([])),
            group("g2", "two", json!([]), json!([{ "group": { "id": "g1" } }])),
        ])
    );
    assert_eq!(reply.json()["result_info"]["per_page"], 1000);
}

#[tokio::test]
async fn an_app_shows_its_own_policies_and_the_reusable_ones() {
    let scrape = SeedPolicy::new("Scrape").id("p1");
    let staff = SeedPolicy::new("Staff").id("p2").decision(Decision::Allow);
    let access = Access::new()
        .policy(staff.include(Rule::everyone()))
        .app(
            SeedApp::new("Grafana", "grafana.example.com")
                .id("app1")
                .policy(scrape.include(Rule::service_token("CI")))
                .reusable_policy("Staff")
                .scim_service_token("CI"),
        )
        .app(
            SeedApp::new("Directory", "directory.example.com")
                .scim_service_token(TOKEN)
                .scim_service_token("CI"),
        )
        .app(SeedApp::new("Open", "open.example.com"));
    let api = Api::start(builder().access(access)).await;
    let apps = api.get(&of_a1("apps")).await.result();
    let aud = apps[0]["aud"].as_str().unwrap();
    assert_eq!(aud.len(), 64);
    let policy = |id: &str, name: &str, decision: &str, include: Value, precedence: u32| {
        json!({
            "id": id,
            "name": name,
            "decision": decision,
            "include": include,
            "require": [],
            "exclude": [],
            "precedence": precedence,
            "created_at": NOW,
            "updated_at": NOW,
        })
    };
    let named = json!([{ "service_token": { "token_id": TOKEN } }]);
    let scheme = json!({
        "scheme": "access_service_token",
        "client_id": "ci.access",
        "client_secret": "********",
    });
    let scim = |domain: &str, authentication: Value| {
        json!({
            "idp_uid": "698d294c-83ef-44be-b0ba-3d2e9c9a5d0f",
            "remote_uri": format!("https://{domain}/scim/v2"),
            "authentication": authentication,
        })
    };
    assert_eq!(
        apps[0],
        json!({
            "id": "app1",
            "aud": aud,
            "name": "Grafana",
            "domain": "grafana.example.com",
            "type": "self_hosted",
            "policies": [
                policy("p1", "Scrape", "non_identity", named, 1),
                policy("p2", "Staff", "allow", json!([{ "everyone": {} }]), 2),
            ],
            "scim_config": scim("grafana.example.com", scheme.clone()),
            "created_at": NOW,
            "updated_at": NOW,
        })
    );
    let several = scim("directory.example.com", json!([scheme, scheme]));
    assert_eq!(apps[1]["scim_config"], several);
    assert_eq!(apps[1]["policies"], json!([]));
    assert_eq!(apps[2].get("scim_config"), None);
    let policies = api.get(&of_a1("policies")).await.result();
    assert_eq!(policies.as_array().unwrap().len(), 1, "{policies}");
}

#[tokio::test]
async fn the_organization_shows_its_settings() {
    let api = Api::start(builder().account_name("Widget Corps")).await;
    let settings = async |api: &Api| api.get(&of_a1("organizations")).await.result();
    let mut expected = json!({
        "name": "Widget Corps",
        "auth_domain": "a1.cloudflareaccess.com",
        "strict_service_token_auth": true,
        "created_at": NOW,
        "updated_at": NOW,
    });
    assert_eq!(settings(&api).await, expected);

    api.advance(TimeDelta::hours(1));
    let inactivity = ServiceTokenInactivity::delete_after_days(365).turned_off();
    let access = Access::new()
        .strict_service_token_auth(false)
        .service_token_inactivity(inactivity);
    api.simulator.set_access("a1", access).unwrap();
    expected["strict_service_token_auth"] = json!(false);
    expected["service_token_inactivity"] = json!({
        "enabled": false,
        "inactivity_threshold_days": 365,
        "action": "delete",
    });
    let later = json!("2026-11-24T06:00:00Z");
    expected["created_at"] = later.clone();
    expected["updated_at"] = later;
    assert_eq!(settings(&api).await, expected);

    let lenient = builder().app_authentication(AppAuthentication::Forbid);
    let api = Api::start(lenient).await;
    assert_eq!(settings(&api).await["strict_service_token_auth"], false);
}

#[tokio::test]
async fn a_list_has_pages() {
    let access = (1..=3).fold(Access::new(), |access, number| {
        access.policy(SeedPolicy::new(format!("policy {number}")))
    });
    let more = (1..=6).map(|number| SeedAccount::new(format!("more{number}")));
    let api = Api::start(more.fold(builder().access(access), SimulatorBuilder::account)).await;

    let reply = api.get(&of_a1("policies?per_page=2&page=2")).await;
    assert_eq!(reply.result()[0]["name"], "policy 3");
    assert_eq!(
        reply.json()["result_info"],
        json!({ "count": 1, "page": 2, "per_page": 2, "total_count": 3, "total_pages": 2 })
    );
    let reply = api.get("/accounts?per_page=5&page=2").await;
    let account = json!({ "id": "more5", "name": "more5", "type": "standard" });
    assert_eq!(reply.result()[0], account);
    assert_eq!(
        reply.json()["result_info"],
        json!({ "count": 2, "page": 2, "per_page": 5, "total_count": 7 })
    );
    let reply = api.get("/accounts").await;
    assert_eq!(reply.json()["result_info"]["per_page"], 20);
    for path in [
        "/accounts?per_page=4".to_owned(),
        "/accounts?per_page=51".to_owned(),
        of_a1("policies?per_page=1001"),
        of_a1("groups?per_page=0"),
        of_a1("apps?page=0"),
    ] {
        assert_refused(&api.get(&path).await, StatusCode::BAD_REQUEST, 12_130);
    }

    let capped = builder().account(SeedAccount::new("a2")).capped_pages(1);
    let reply = Api::start(capped).await.get("/accounts").await;
    assert_eq!(reply.result().as_array().unwrap().len(), 1);
    assert_eq!(reply.json().get("result_info"), None);
}

#[tokio::test]
async fn a_credential_lists_the_accounts_that_it_sees() {
    let builder = builder()
        .account(SeedAccount::new("a2").name("Staging"))
        .account(SeedAccount::new("a3"))
        .add_api_token(SeedApiToken::new("some").account("a3").account("a2"))
        .add_api_token(
            SeedApiToken::new("owned")
                .owned_by_account("a2")
                .account("a1"),
        );
    let api = Api::start(builder).await;
    let ids = |reply: &Reply| {
        let result = reply.result();
        let accounts = result.as_array().unwrap().iter();
        let ids = accounts.map(|account| account["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(&api.get("/accounts").await), ["a1", "a2", "a3"]);
    let some = call(&api, "some", "/accounts").await;
    assert_eq!(ids(&some), ["a2", "a3"]);
    assert_eq!(some.result()[0]["name"], "Staging");
    let by_key = api
        .bare(Method::GET, "/accounts")
        .header("x-auth-email", api.simulator.email())
        .header("x-auth-key", api.simulator.api_key());
    assert_eq!(ids(&send(by_key).await), ["a1", "a2", "a3"]);
    let owned = call(&api, "owned", "/accounts").await;
    assert_refused(&owned, StatusCode::BAD_REQUEST, 1001);
    let tokens = "/accounts/a2/access/service_tokens";
    assert_eq!(call(&api, "owned", tokens).await.status, StatusCode::OK);
    let foreign = call(&api, "owned", &of_a1("service_tokens")).await;
    assert_refused(&foreign, StatusCode::FORBIDDEN, 10_000);

    assert!(api.simulator.remove_account("a3"));
    assert_eq!(ids(&call(&api, "some", "/accounts").await), ["a2"]);
    let gone = call(&api, "some", "/accounts/a3/access/service_tokens").await;
    assert_refused(&gone, StatusCode::FORBIDDEN, 10_000);
    assert!(!api.simulator.remove_account("a3"));
    assert_eq!(api.simulator.requests()[0].account_id, None);
}

#[tokio::test]
async fn each_call_needs_its_permission() {
    let around = [
        ("/accounts".to_owned(), Permission::AccountSettingsRead),
        (of_a1("organizations"), Permission::OrganizationsRead),
        (of_a1("groups"), Permission::OrganizationsRead),
        (of_a1("policies"), Permission::AppsAndPoliciesRead),
        (of_a1("apps"), Permission::AppsAndPoliciesRead),
        (of_a1("service_tokens"), Permission::ServiceTokensRead),
    ];
    for only in [
        Permission::AccountSettingsRead,
        Permission::OrganizationsRead,
        Permission::AppsAndPoliciesRead,
        Permission::ServiceTokensRead,
    ] {
        let api_token = SeedApiToken::new("narrow").permissions([only]);
        let api = Api::start(builder().api_token(api_token)).await;
        for (path, permission) in &around {
            let reply = api.get(path).await;
            if *permission == only {
                assert_eq!(reply.status, StatusCode::OK, "{path}");
            } else {
                assert_refused(&reply, StatusCode::FORBIDDEN, 10_000);
            }
        }
        let verified = api.get("/user/tokens/verify").await;
        assert_eq!(verified.status, StatusCode::OK);
        let create = json!({ "name": "CD" });
        let create = api.post_json(&of_a1("service_tokens"), create).await;
        assert_refused(&create, StatusCode::FORBIDDEN, 10_000);
    }
    let write = SeedApiToken::new("write").permissions([Permission::ServiceTokensWrite]);
    let api = Api::start(builder().api_token(write)).await;
    let tokens = api.get(&of_a1("service_tokens")).await;
    assert_eq!(tokens.status, StatusCode::OK, "writing includes reading");
}

#[tokio::test]
async fn an_account_without_access_refuses_calls_about_it() {
    let api = Api::start(builder().access(None)).await;
    for what in AROUND.into_iter().chain(["service_tokens"]) {
        let reply = api.get(&of_a1(what)).await;
        assert_refused(&reply, StatusCode::FORBIDDEN, 9999);
    }
    assert_eq!(api.get("/accounts").await.status, StatusCode::OK);
    api.simulator.set_access("a1", Access::new()).unwrap();
    for what in AROUND {
        assert_eq!(api.get(&of_a1(what)).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_verification_says_how_the_api_token_stands() {
    let expiry = start() + TimeDelta::days(1);
    let builder = builder()
        .account(SeedAccount::new("a2"))
        .add_api_token(SeedApiToken::new("expiring").expires_at(expiry))
        .add_api_token(SeedApiToken::new("revoked").disabled())
        .add_api_token(SeedApiToken::new("owned").owned_by_account("a2"))
        .add_api_token(SeedApiToken::new("elsewhere").only_from([192, 0, 2, 1]));
    let api = Api::start(builder).await;
    let of_user = "/user/tokens/verify";
    let of_account = "/accounts/a2/tokens/verify";
    let verify = async |api_token, path| call(&api, api_token, path).await.result();

    let expiring = verify("expiring", of_user).await;
    let id = expiring["id"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    let standing =
        |status| json!({ "id": id, "status": status, "expires_on": "2026-11-25T05:00:00Z" });
    assert_eq!(expiring, standing("active"));
    let revoked = verify("revoked", of_user).await;
    assert_eq!(revoked["status"], "disabled");
    assert_eq!(revoked.get("expires_on"), None);
    assert_ne!(revoked["id"], id);
    assert_eq!(verify("owned", of_account).await["status"], "active");

    for (api_token, path) in [
        ("owned", of_user),
        ("owned", "/accounts/a1/tokens/verify"),
        ("expiring", of_account),
    ] {
        let reply = call(&api, api_token, path).await;
        assert_refused(&reply, StatusCode::UNAUTHORIZED, 1000);
    }
    let unknown = call(&api, "unknown", of_user).await;
    assert_refused(&unknown, StatusCode::UNAUTHORIZED, 10_000);
    let elsewhere = call(&api, "elsewhere", of_user).await;
    assert_refused(&elsewhere, StatusCode::FORBIDDEN, 9109);
    let by_key = api
        .bare(Method::GET, of_user)
        .header("x-auth-email", api.simulator.email())
        .header("x-auth-key", api.simulator.api_key());
    assert_refused(&send(by_key).await, StatusCode::BAD_REQUEST, 1001);

    api.advance(TimeDelta::days(1));
    assert_eq!(verify("expiring", of_user).await, standing("expired"));
    for api_token in ["expiring", "revoked"] {
        let reply = call(&api, api_token, &of_a1("policies")).await;
        assert_refused(&reply, StatusCode::UNAUTHORIZED, 9109);
    }
}

#[tokio::test]
async fn each_credential_has_a_rate_limit_of_its_own() {
    let limited = builder().enforce_rate_limit(2, TimeDelta::minutes(5));
    let api = Api::start(limited.add_api_token("other")).await;
    let get = async |api_token: &str| {
        let reply = call(&api, api_token, "/accounts").await;
        (reply.status.as_u16(), reply.header("ratelimit").to_owned())
    };
    let limit = |status, remaining| (status, format!("\"default\";r={remaining};t=300"));
    let own = api.simulator.api_token().to_owned();
    assert_eq!(get(&own).await, limit(200, 1));
    api.simulator.spend(1);
    assert_eq!(get(&own).await, limit(429, 0));
    assert_eq!(get("other").await, limit(200, 1));
    assert_eq!(get("unknown").await, limit(401, 1));
    assert_eq!(get("another unknown").await, limit(401, 0));
    assert_eq!(get("other").await, limit(200, 0));
}

#[tokio::test]
async fn faults_hit_these_calls_as_well() {
    let access = Access::new().policy(SeedPolicy::new("Deploy"));
    let api = Api::start(builder().access(access)).await;
    let fault = Fault::WrongJson(WrongJson::FieldsOfAnotherType);
    let injection = Injection::new(fault).on(Operation::ListPolicies);
    api.simulator.inject(injection);
    let organization = api.get(&of_a1("organizations")).await.result();
    assert_eq!(organization["name"], "a1", "the fault is for another call");
    let policies = api.get(&of_a1("policies")).await.result();
    assert_eq!(policies[0]["name"], 7);
    assert_eq!(policies[0]["include"], "yes");
    let on = json!({ "fault": { "status": 503 }, "on": "verify_api_token" });
    control_json(&api, Method::POST, "/faults", on).await;
    let reply = api.get("/user/tokens/verify").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let count = "/requests/count?operation=verify_api_token";
    let count = control(&api, Method::GET, count).await.json();
    assert_eq!(count["count"], 1);
}

#[tokio::test]
async fn nothing_else_is_routed() {
    let api = Api::start(builder()).await;
    for path in [
        "/accounts",
        "/user/tokens/verify",
        "/accounts/a1/tokens/verify",
        &of_a1("organizations"),
        &of_a1("policies"),
        &of_a1("groups"),
        &of_a1("apps"),
    ] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::HEAD] {
            let reply = send(api.request(method, path)).await;
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(reply.header("allow"), "GET");
        }
    }
    let one = api.get(&of_a1(&format!("policies/{POLICY}"))).await;
    assert_eq!(one.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_name_that_nothing_has_does_not_start() {
    let policy = |rule| SeedPolicy::new("p").include(rule);
    let app = || SeedApp::new("app", "app.example.com");
    let group = || SeedGroup::new("twins");
    for (access, expected) in [
        (
            Access::new().policy(policy(Rule::service_token("CD"))),
            "policy \"p\" names service token \"CD\", which doesn't exist in its account",
        ),
        (
            Access::new().group(SeedGroup::new("g").include(Rule::group("h"))),
            "group \"g\" names group \"h\", which doesn't exist",
        ),
        (
            Access::new().app(app().reusable_policy("p")),
            "application \"app\" names policy \"p\", which doesn't exist",
        ),
        (
            Access::new().app(app().scim_service_token("CD")),
            "application \"app\" names service token \"CD\", which doesn't exist",
        ),
        (
            Access::new()
                .group(group())
                .group(group())
                .policy(policy(Rule::group("twins"))),
            "several have that name: use an id",
        ),
        (
            Access::new().group(group().id("one")).app(app().id("one")),
            "duplicate id \"one\"",
        ),
        (
            Access::new().group(group().id("a/b")),
            "can't stand in a path",
        ),
        (
            Access::new().service_token_inactivity(ServiceTokenInactivity::disable_after_days(29)),
            "29 days is out of range",
        ),
    ] {
        let error = builder().access(access.clone()).start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
        let simulator = builder().start().await.unwrap();
        let later = simulator.set_access("a1", access).unwrap_err();
        assert_eq!(later.to_string(), error.to_string());
    }
    let long = builder().account_name("x".repeat(101)).start().await;
    let error = long.unwrap_err().to_string();
    assert_eq!(error, "an account's name must have 1 to 100 characters");
    let simulator = builder().start().await.unwrap();
    let error = simulator.set_access("a2", Access::new()).unwrap_err();
    assert_eq!(error.to_string(), "no account has the id a2");
}

#[tokio::test]
async fn a_token_that_is_gone_is_still_named() {
    let policy = SeedPolicy::new("p").include(Rule::service_token("CI"));
    let api = Api::start(builder().access(Access::new().policy(policy))).await;
    assert!(api.simulator.delete(TOKEN).is_some());
    let policies = api.get(&of_a1("policies")).await.result();
    assert_eq!(
        policies[0]["include"][0]["service_token"]["token_id"],
        TOKEN
    );
}

#[tokio::test]
async fn the_believable_account_has_neighbours() {
    let api = Api::start(Simulator::builder().account_id("a1").believable_account()).await;
    let names = async |what| {
        let result = api.get(&of_a1(what)).await.result();
        let entries = result.as_array().unwrap().iter();
        let names = entries.map(|entry| entry["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("policies").await, ["Deploy", "Partners", "Staff"]);
    assert_eq!(names("groups").await, ["Infrastructure pipelines"]);
    let apps = ["Deployments", "Grafana", "Orders API"];
    assert_eq!(names("apps").await, apps);
    let organization = api.get(&of_a1("organizations")).await.result();
    assert_eq!(organization["name"], "Widget Corps");
    assert_eq!(organization["service_token_inactivity"]["enabled"], false);
    let mut free = Vec::new();
    for token in api.simulator.tokens() {
        let path = format!("/accounts/a1/access/service_tokens/{}", token.id);
        if api.delete(&path).await.status == StatusCode::OK {
            free.push(token.name);
        }
    }
    assert_eq!(free.len(), 6, "four are named: {free:?}");
    // Tests and examples rely on the ids of the tokens.
    let bare = Simulator::builder().token(SeedToken::new("GitHub Actions deploy"));
    let bare = bare.start().await.unwrap();
    assert_eq!(bare.tokens()[0].id, api.simulator.tokens()[0].id);
}

#[tokio::test]
async fn the_control_plane_sets_and_removes_accounts() {
    let api = Api::start(builder()).await;
    let access = json!({
        "service_token_inactivity": {
            "enabled": true,
            "inactivity_threshold_days": 30,
            "action": "disable",
        },
        "strict_service_token_auth": false,
        "groups": [{ "name": "g", "id": "g1", "include": [{ "group": { "id": "g" } }] }],
        "policies": [{
            "name": "p",
            "id": "p1",
            "decision": "allow",
            "include": [{ "service_token": { "token_id": "CI" } }],
            "require": [{ "any_valid_service_token": {} }],
            "exclude": [{ "everyone": {} }],
        }],
        "apps": [{
            "name": "app",
            "domain": "app.example.com",
            "policies": [{ "name": "own" }],
            "reusable_policies": ["p"],
            "scim_service_tokens": ["CI"],
        }],
    });
    let change = json!({ "name": "Widget Corps", "token_limit": 7, "access": access });
    let changed = control_json(&api, Method::PATCH, "/accounts/a1", change).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
    let shown = changed.json();
    assert_eq!(shown["name"], "Widget Corps");
    assert_eq!(shown["token_limit"], 7);
    for (what, of_api) in [
        ("organization", "organizations"),
        ("policies", "policies"),
        ("groups", "groups"),
        ("apps", "apps"),
    ] {
        let of_api = api.get(&of_a1(of_api)).await.result();
        assert_eq!(shown["access"][what], of_api);
    }
    let policy = &shown["access"]["apps"][0]["policies"][1];
    assert_eq!(policy["id"], "p1");
    let listed = control(&api, Method::GET, "/accounts").await.json();
    assert_eq!(listed, json!([shown]));

    let kept = control_json(&api, Method::PATCH, "/accounts/a1", json!({})).await;
    assert_eq!(kept.json(), shown);
    let off = json!({ "access": null });
    let off = control_json(&api, Method::PATCH, "/accounts/a1", off).await;
    assert_eq!(off.json()["access"], Value::Null);
    let refused = api.get(&of_a1("policies")).await;
    assert_refused(&refused, StatusCode::FORBIDDEN, 9999);

    let without = json!({ "id": "a2", "name": "Without", "access": null });
    let added = control_json(&api, Method::POST, "/accounts", without).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let expected = json!({ "id": "a2", "name": "Without", "token_limit": 50, "access": null });
    assert_eq!(added.json(), expected);
    let removed = control(&api, Method::DELETE, "/accounts/a1").await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(api.simulator.tokens(), []);
    for (method, body) in [(Method::PATCH, json!({})), (Method::DELETE, json!(null))] {
        let gone = control_json(&api, method, "/accounts/a1", body).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
        assert_eq!(gone.json()["allowed"], json!(["a2"]));
    }
    control(&api, Method::POST, "/reset").await;
    assert_eq!(api.simulator.tokens().len(), 1);
    assert_eq!(api.get(&of_a1("policies")).await.result(), json!([]));
}

#[tokio::test]
async fn the_control_plane_refuses_a_wrong_configuration() {
    let api = Api::start(builder()).await;
    for (access, expected) in [
        (json!({ "policy": [] }), "unknown field `policy`"),
        (
            json!({ "policies": [{ "name": "p", "include": [{ "service_token": {} }] }] }),
            "missing field `token_id`",
        ),
        (
            json!({ "policies": [{ "name": "p", "include": [{ "ip": { "ip": "::1" } }] }] }),
            "unknown variant `ip`, expected one of `service_token`",
        ),
        (
            json!({ "policies": [{ "name": "p", "decision": "maybe" }] }),
            "unknown variant `maybe`, expected one of `allow`",
        ),
        (
            json!({ "groups": [{ "name": "g", "include": [{ "group": { "id": "h" } }] }] }),
            "group \"h\", which doesn't exist",
        ),
    ] {
        let body = json!({ "access": access });
        let refused = control_json(&api, Method::PATCH, "/accounts/a1", body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let error = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(expected), "{error}");
    }
    let both = json!({ "api_token": "x", "owned_by_account": "a1", "accounts": ["a1"] });
    let foreign = json!({ "api_token": "x", "owned_by_account": "a2" });
    for (body, expected) in [
        (both, "leave out `accounts`"),
        (foreign, "no account has the id a2"),
    ] {
        let refused = control_json(&api, Method::POST, "/api_tokens", body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.body.contains(expected), "{}", refused.body);
    }
    let narrow = json!({
        "api_token": "narrow",
        "owned_by_account": "a1",
        "permissions": ["Access: Service Tokens Read"],
        "enabled": false,
    });
    let added = control_json(&api, Method::POST, "/api_tokens", narrow).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
    let verified = call(&api, "narrow", "/accounts/a1/tokens/verify").await;
    assert_eq!(verified.result()["status"], "disabled");
}
