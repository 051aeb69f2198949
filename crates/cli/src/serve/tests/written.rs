//! The metrics that `tests/metrics/run.sh` holds against Prometheus, the dashboard, the
//! alerts and the documents: every metric that there is.

use std::time::Duration;

use cf_service_tokens::renewal::RenewalPolicy;
use cf_service_tokens::{Client, Clock as _};
use cf_service_tokens_simulator::{
    Access, Fault, Injection, Operation, SeedApiToken, SeedToken, ServiceTokenInactivity,
};
use chrono::TimeDelta;

use super::{VirtualClock, World, a_few_tokens, hostile_names, simulator};
use crate::risk::{self, Neighbours};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "writes files for tests/metrics/run.sh, to METRICS"]
async fn writes_metrics() {
    let directory = std::env::var("METRICS").unwrap();
    let clock = VirtualClock::default();
    let now = clock.now();
    let tokens = a_few_tokens().into_iter().chain(hostile_names());
    let mut tokens: Vec<_> = tokens.map(|token| token.last_seen_at(now)).collect();
    // The clean-up deletes this one ten days later.
    let unseen = SeedToken::new("unseen")
        .created_at(now - TimeDelta::days(400))
        .last_seen_at(now - TimeDelta::days(80))
        .duration("forever");
    tokens.push(unseen);
    let settings = ServiceTokenInactivity::delete_after_days(90);
    let simulator = simulator(&clock, tokens)
        .access(Access::new().service_token_inactivity(settings))
        .api_token(SeedApiToken::new("secret").expires_at(now + TimeDelta::days(9)))
        .start()
        .await
        .unwrap();
    let client = Client::builder()
        .api_token(simulator.api_token())
        .base_url(simulator.base_url());
    let account = client.build().unwrap();
    let account = account.account(simulator.account_id()).unwrap();

    let mut world = World::on(clock, simulator, &RenewalPolicy::new()).await;
    world
        .simulator
        .inject(Injection::new(Fault::Status(503)).on(Operation::Refresh));
    world.pass().await;
    let neighbours = Neighbours::read(&account, PATIENCE).await;
    let api_token_expires_at = risk::api_token_expiry(&account, PATIENCE).await.unwrap();
    world.account.know(&neighbours, Some(api_token_expires_at));
    for (name, accept) in [
        ("metrics.txt", "text/plain"),
        ("openmetrics.txt", "application/openmetrics-text"),
    ] {
        let head = format!("host: localhost\r\naccept: {accept}\r\n");
        let answer = world.server.ask("/metrics", &head).await;
        std::fs::write(format!("{directory}/{name}"), answer.body).unwrap();
    }
}
