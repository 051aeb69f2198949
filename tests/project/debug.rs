//! The `Debug` output of each public type, which never contains a secret.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{ACCOUNT, CANARY, RawServer, TOKEN, json};
use cf_service_tokens::renewal::{
    RenewBy, RenewReason, RenewalEvent, RenewalPolicy, Shard, SkipReason, UnableReason, WatchEvent,
};
use cf_service_tokens::{
    AccountId, CreateServiceToken, Credentials, GoDuration, ManualClock, Method, RateLimit, Retry,
    RotateServiceToken, ServiceToken, ServiceTokenId, TokenDuration, UpdateServiceToken,
    WaitReason,
};
use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue};

/// The `Debug` output of each type, under its name.
struct Shown {
    sections: Vec<String>,
    text: String,
}

impl Shown {
    fn new() -> Self {
        Self {
            sections: Vec::new(),
            text: String::new(),
        }
    }

    fn add(&mut self, name: &str, value: &dyn Debug) {
        let debug = format!("{value:#?}");
        assert!(!debug.contains(CANARY), "{name} shows the secret: {debug}");
        assert!(!format!("{value:?}").contains(CANARY), "{name}");
        self.text += &format!("# {name}\n{debug}\n\n");
        self.sections.push(name.to_owned());
    }

    /// Returns the text without the parts that change from run to run.
    fn stable(&self, server: &RawServer) -> String {
        self.text
            .replace(&server.base_url(), "http://127.0.0.1:PORT/client/v4")
    }
}

fn noon() -> DateTime<Utc> {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// Returns an answer with a secret at every place where the API could put one.
fn answer_with_secrets() -> String {
    json(
        "200 OK",
        &format!(
            r#"{{"success":true,"errors":[],"messages":[{{"code":1001,"message":"for {CANARY}","documentation_url":"https://example.com/?key={CANARY}","source":{{"pointer":"/{CANARY}"}}}}],"result":{{"id":"{TOKEN}","client_id":"88bf3b6d86161464f6509f7219099e57.access.example.com","client_secret":"{CANARY}","name":"ci","duration":"8760h","enabled":true,"expires_at":"2026-12-03T12:00:00Z"}}}}"#
        ),
    )
}

fn list_of_one() -> String {
    json(
        "200 OK",
        &format!(
            r#"{{"success":true,"errors":[],"messages":[],"result":[{{"id":"{TOKEN}","name":"ci","expires_at":"2026-12-03T12:00:00Z"}}],"result_info":{{"count":1,"page":1,"per_page":50,"total_count":1}}}}"#
        ),
    )
}

/// Answers the calls for the neighbours of the token, with a secret in an app.
fn neighbour(request: &str) -> String {
    let path = request.split([' ', '?']).nth(1).unwrap_or_default();
    let result = match path.rsplit('/').next().unwrap_or_default() {
        "accounts" => format!(r#"[{{"id":"{ACCOUNT}","name":"Demo Account"}}]"#),
        "organizations" => r#"{"name":"Widget Corps","strict_service_token_auth":true,"service_token_inactivity":{"enabled":true,"inactivity_threshold_days":30,"action":"disable"}}"#.to_owned(),
        "policies" => format!(
            r#"[{{"id":"p","name":"CI","include":[{{"service_token":{{"token_id":"{TOKEN}"}}}}]}}]"#
        ),
        "groups" => {
            let refusal = r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}],"messages":[],"result":null}"#;
            return json("403 Forbidden", refusal);
        }
        "apps" => format!(
            r#"[{{"id":"a","scim_config":{{"authentication":{{"scheme":"access_service_token","client_id":"x","client_secret":"{CANARY}"}}}}}}]"#
        ),
        _ => r#"{"id":"ed17574386854bf78a67040be0a770b0","status":"active"}"#.to_owned(),
    };
    let info = r#""result_info":{"page":1,"total_count":1}"#;
    let body = format!(r#"{{"success":true,"errors":[],"messages":[],"result":{result},{info}}}"#);
    json("200 OK", &body)
}

#[tokio::test]
async fn every_public_type() {
    let server = RawServer::start(answer_with_secrets()).await;
    let builder = server
        .builder()
        .account_id(ACCOUNT)
        .retry(Retry::default().attempts(2).seed(7))
        .clock(crate::support::clock());
    let mut shown = Shown::new();
    shown.add("ClientBuilder", &builder);
    let client = builder.build().unwrap();
    shown.add("Client", &client);
    shown.add("Retry", &Retry::none());
    shown.add("RateLimit", &RateLimit::none());
    shown.add("ManualClock", &ManualClock::new(noon()));
    client.clone().with(|call| {
        let call = call.timeout(Duration::from_secs(1)).header(
            HeaderName::from_static("x-gateway-key"),
            HeaderValue::from_static(CANARY),
        );
        shown.add("CallOptions", &call);
        call
    });
    let request = client
        .request(Method::POST, "/user/tokens")
        .query("key", CANARY)
        .json(CANARY);
    shown.add("RawRequest", &request);

    shown.add("AccountId", &AccountId::new(ACCOUNT).unwrap());
    shown.add("ServiceTokenId", &ServiceTokenId::new(TOKEN).unwrap());
    shown.add("GoDuration", &GoDuration::from_hours(8760).unwrap());
    let thirty_days = "30d".parse::<GoDuration>().unwrap_err();
    shown.add("ParseDurationErrorKind", &thirty_days.kind());
    shown.add("ParseDurationError", &thirty_days);
    let too_long = GoDuration::try_from(Duration::MAX).unwrap_err();
    shown.add("DurationRangeError", &too_long);
    shown.add("TokenDuration", &TokenDuration::FOREVER);

    shown.add(
        "CreateServiceToken",
        &CreateServiceToken::new("ci").enabled(true),
    );
    shown.add("UpdateServiceToken", &UpdateServiceToken::new().name("ci"));
    let a_day = RotateServiceToken::grace(Duration::from_secs(86_400));
    shown.add("RotateServiceToken", &a_day);

    shown.add("Credentials", &Credentials::ApiToken(CANARY.into()));
    let events = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&events);
    let told = server
        .builder()
        .clock(crate::support::exact_clock())
        .on_event(move |event| *log.lock().unwrap() = format!("{event:#?}"))
        .build()
        .unwrap();
    let told = told.account(ACCOUNT).unwrap().service_tokens();
    told.get(TOKEN).await.unwrap();
    shown.add("Event", &format_args!("{}", events.lock().unwrap()));
    shown.add("WaitReason", &WaitReason::Backoff);
    let account = client.default_account().unwrap();
    shown.add("Account", &account);
    let tokens = account.service_tokens();
    shown.add("ServiceTokens", &tokens);
    shown.add("ListServiceTokens", &tokens.list().search("ci"));
    shown.add("EntryStream", &tokens.list().stream());

    let rotated = tokens.rotate(TOKEN, &a_day).await.unwrap();
    shown.add("Response", &rotated);
    shown.add("ApiMessage", &rotated.api_messages()[0]);
    let source = rotated.api_messages()[0].source.as_ref().unwrap();
    shown.add("ApiMessageSource", source);
    shown.add("ServiceTokenCredentials", rotated.credentials());
    let issued = rotated.into_inner();
    shown.add("IssuedServiceToken", &issued);
    let token: ServiceToken = issued.token().clone();
    shown.add("ServiceToken", &token);

    let failure = format!(
        r#"{{"success":false,"errors":[{{"code":6111,"message":"Bearer {CANARY}","documentation_url":"https://example.com/?key={CANARY}","source":{{"pointer":"/{CANARY}"}}}}],"messages":[],"result":null}}"#
    );
    let refusing = RawServer::start(json("400 Bad Request", &failure)).await;
    let error = refusing.tokens().refresh(TOKEN).await.unwrap_err();
    assert!(!error.to_string().contains(CANARY), "{error}");
    shown.add("Error", &error);
    shown.add("ErrorKind", &error.kind());
    let blocked = format!(
        r#"{{"title":"Error 1020: {CANARY}","detail":"Bearer {CANARY}","error_code":1020,"cloudflare_error":true}}"#
    );
    let blocking = RawServer::start(json("403 Forbidden", &blocked)).await;
    let error = blocking.tokens().refresh(TOKEN).await.unwrap_err();
    assert!(!error.to_string().contains(CANARY), "{error}");
    shown.add("Problem", error.problem().unwrap());

    let listing = RawServer::start(list_of_one()).await;
    let tokens = listing
        .builder()
        .clock(crate::support::clock())
        .build()
        .unwrap()
        .account(ACCOUNT)
        .unwrap()
        .service_tokens();
    let page = tokens.list().page(1).await.unwrap().into_inner();
    shown.add("ResultInfo", page.result_info.as_ref().unwrap());
    shown.add("ServiceTokenPage", &page);

    let policy = RenewalPolicy::new().by(RenewBy::Duration).dry_run(true);
    shown.add("RenewalPolicy", &policy);
    shown.add("RenewBy", &RenewBy::Refresh);
    shown.add("Shard", &Shard::new(0, 4).unwrap());
    shown.add("Decision", &RenewalPolicy::new().decide(&token, noon()));
    shown.add("RenewReason", &RenewReason::Due);
    shown.add("SkipReason", &SkipReason::NotDue);
    shown.add("UnableReason", &UnableReason::NoExpiry);
    shown.add("Watch", &tokens.watch(&policy));
    shown.add("WatchEvent", &WatchEvent::Waiting { until: noon() });

    // The server answers the refresh with a list as well.
    let mut renewal = tokens.renew(&RenewalPolicy::new());
    shown.add("Renewal", &renewal);
    shown.add("RenewalEvent", &renewal.next().await.unwrap());
    let Some(RenewalEvent::Settled(settled)) = renewal.next().await else {
        panic!("one token is due");
    };
    shown.add("RenewalOutcome", &settled.outcome);
    let cf_service_tokens::renewal::RenewalOutcome::Failed { error } = &settled.outcome else {
        panic!("expected a failure, since the answer is a list");
    };
    shown.add("RenewalError", error);
    shown.add("TokenRenewal", &settled);
    let report = renewal.await;
    shown.add("RenewalReport", &report);
    shown.add("RenewalFailure", &report.into_result().unwrap_err());

    let neighbours = RawServer::answering(neighbour).await;
    let client = neighbours.builder().account_id(ACCOUNT).build().unwrap();
    let listed = client.accounts().next().await.unwrap();
    shown.add("AccountInfo", &listed.unwrap());
    let account = client.default_account().unwrap();
    let organization = account.organization().await.unwrap().into_inner();
    shown.add("Organization", &organization);
    let inactivity = organization.service_token_inactivity.as_ref().unwrap();
    shown.add("ServiceTokenInactivity", inactivity);
    shown.add("InactivityAction", &inactivity.action.unwrap());
    shown.add("CleanUp", &organization.clean_up_of(&token, None));
    let api_token = account.verify_api_token().await.unwrap().into_inner();
    shown.add("ApiToken", &api_token);
    shown.add("ApiTokenStatus", &api_token.status.unwrap());
    let usage = account.usage().await.unwrap();
    shown.add("Usage", &usage);
    shown.add("UnreadListing", &usage.unread()[0]);
    let of_token = usage.of(&token);
    shown.add("TokenUsage", &of_token);
    shown.add("UsedBy", &of_token.used_by[0]);
    shown.add("AccessObject", &of_token.used_by[0].object);
    shown.add("AccessKind", &of_token.used_by[0].object.kind);
    shown.add("RulePlace", &of_token.used_by[0].place);

    assert_complete(&shown.sections);
    insta::assert_snapshot!(shown.stable(&server));
}

/// Checks that the snapshot contains every type that the crate's root and `renewal`
/// re-export.
fn assert_complete(sections: &[String]) {
    let sources = [
        include_str!("../../src/lib.rs"),
        include_str!("../../src/renewal.rs"),
    ];
    let exports = sources
        .iter()
        .flat_map(|source| source.split("pub use ").skip(1))
        .filter_map(|rest| rest.split(';').next())
        .flat_map(|export| {
            export
                .rsplit("::")
                .next()
                .unwrap_or_default()
                .split([',', '{', '}'])
        })
        .map(str::trim)
        // Leave out traits, and the types of other crates.
        .filter(|name| {
            name.starts_with(char::is_uppercase)
                && !["Clock", "Method", "ToServiceTokenId", "Stream"].contains(name)
        });
    for name in exports {
        assert!(
            sections.iter().any(|section| section == name),
            "the `Debug` output of the public type {name} is not tested"
        );
    }
}

#[cfg(feature = "blocking")]
#[test]
fn every_blocking_type() {
    let client = cf_service_tokens::blocking::Client::builder()
        .api_token(CANARY)
        .base_url("http://127.0.0.1:1/client/v4")
        .account_id(ACCOUNT)
        .build()
        .unwrap();
    let mut shown = Shown::new();
    shown.add("Client", &client);
    let account = client.default_account().unwrap();
    shown.add("Account", &account);
    let tokens = account.service_tokens();
    shown.add("ServiceTokens", &tokens);
    shown.add("ListServiceTokens", &tokens.list());
    shown.add("EntryIter", &tokens.list().iter());
    let request = client
        .request(Method::POST, "/user/tokens")
        .query("key", CANARY)
        .json(CANARY);
    shown.add("RawRequest", &request);
    insta::assert_snapshot!(shown.text);
}
