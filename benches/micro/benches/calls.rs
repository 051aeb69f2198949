//! Measures the work of a call besides waiting: its request, the envelope, the decision.

use std::hint::black_box;
use std::time::Duration;

use cf_service_tokens::renewal::RenewalPolicy;
use cf_service_tokens::{Client, RateLimit, ServiceToken};
use chrono::{TimeDelta, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use reqwest::dns::{Name, Resolve, Resolving};
use serde::Deserialize;

const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
const TOKEN: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
const REFRESHED: &str = r#"{
    "success": true, "errors": [], "messages": [],
    "result": {
        "id": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415",
        "client_id": "88bf3b6d86161464f6509f7219099e57.access.example.com",
        "name": "CI deploy", "duration": "8760h", "enabled": true,
        "client_secret_version": 1,
        "created_at": "2026-01-01T05:20:00.12345Z",
        "updated_at": "2026-11-24T05:20:00.12345Z",
        "expires_at": "2027-11-24T05:20:00.12345Z",
        "last_seen_at": null
    }
}"#;

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is decoded, and that is measured")]
struct Envelope {
    success: bool,
    errors: Vec<Message>,
    messages: Vec<Message>,
    result: Option<ServiceToken>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is decoded, and that is measured")]
struct Message {
    code: i64,
    message: String,
}

fn envelope(criterion: &mut Criterion) {
    criterion.bench_function("envelope decode", |bencher| {
        bencher.iter(|| {
            let envelope: serde_json::Result<Envelope> = serde_json::from_str(black_box(REFRESHED));
            black_box(envelope)
        });
    });
}

/// Looks for a host and never finds it, so that a call comes as far as the wire.
struct Nowhere;

impl Resolve for Nowhere {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(std::future::pending())
    }
}

/// A call until it would wait for the network: its request is built by then.
fn request(criterion: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    let _entered = runtime.enter();
    let Ok(http) = reqwest::Client::builder().dns_resolver(Nowhere).build() else {
        return;
    };

    let client = Client::builder()
        .api_token("token")
        .rate_limit(RateLimit::new(u32::MAX, Duration::from_secs(300)))
        .http_client(|http| http.dns_resolver(Nowhere))
        .build();
    if let Ok(tokens) = client.and_then(|client| client.account(ACCOUNT)) {
        let tokens = tokens.service_tokens();
        criterion.bench_function("request, cf-service-tokens", |bencher| {
            bencher.iter(|| tokens.refresh(black_box(TOKEN)).now_or_never().is_none());
        });
    }
    criterion.bench_function("request, reqwest by hand", |bencher| {
        bencher.iter(|| {
            let url = format!(
                "https://api.cloudflare.com/client/v4/accounts/{ACCOUNT}/access/service_tokens/{}/refresh",
                black_box(TOKEN)
            );
            http.post(url)
                .bearer_auth("token")
                .timeout(Duration::from_secs(30))
                .send()
                .now_or_never()
                .is_none()
        });
    });
}

fn decision(criterion: &mut Criterion) {
    let (policy, now) = (RenewalPolicy::new(), Utc::now());
    let mut token = ServiceToken::default();
    token.id = Some(TOKEN.to_owned());
    token.name = Some("CI deploy".to_owned());
    token.expires_at = Some(now + TimeDelta::days(9));
    criterion.bench_function("renewal decision", |bencher| {
        bencher.iter(|| black_box(&policy).decide(black_box(&token), black_box(now)));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(150))
        .measurement_time(Duration::from_millis(400));
    targets = envelope, request, decision
}
criterion_main!(benches);
