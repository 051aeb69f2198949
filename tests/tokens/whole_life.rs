//! The whole life of a service token, over real sockets: at the API through this
//! crate, and at an app behind Access with the token's own headers.

use std::time::Duration;

use cf_service_tokens::{
    Client, Clock, CreateServiceToken, ErrorKind, ManualClock, RotateServiceToken,
    ServiceTokenCredentials, ServiceTokens, TokenDuration, UpdateServiceToken,
};
use cf_service_tokens_simulator::{Access, Rule, SeedPolicy, SeedToken, Simulator};
use chrono::{DateTime, TimeDelta, Utc};

/// A simulator with a clock that only the test moves.
struct World {
    simulator: Simulator,
    clock: ManualClock,
}

impl World {
    async fn new() -> Self {
        let clock = ManualClock::new(Utc::now());
        let simulator = Simulator::builder()
            .clock(clock.reader())
            .token(SeedToken::new("other"))
            .start()
            .await
            .unwrap();
        Self { simulator, clock }
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn pass(&self, time: TimeDelta) {
        self.clock.advance(time.to_std().unwrap());
    }

    fn client(&self) -> Client {
        Client::builder()
            .api_token(self.simulator.api_token())
            .base_url(self.simulator.base_url())
            .clock(self.clock.clone())
            .build()
            .unwrap()
    }

    /// Returns the status with which the app behind Access answers these credentials.
    async fn at_the_app(&self, credentials: &ServiceTokenCredentials) -> u16 {
        let http = reqwest::Client::new();
        let request = http.get(self.simulator.protected_url());
        let in_two = request.headers(credentials.headers().unwrap()).send();
        let request = http.get(self.simulator.protected_url());
        let in_one = request
            .header("authorization", credentials.single_header().unwrap())
            .send();
        let (in_two, in_one) = (in_two.await.unwrap(), in_one.await.unwrap());
        assert_eq!(in_two.status(), in_one.status());
        in_two.status().as_u16()
    }
}

async fn names(tokens: &ServiceTokens) -> Vec<String> {
    let mut stream = tokens.list().per_page(1).stream();
    let mut names = Vec::new();
    while let Some(token) = stream.next().await {
        names.push(token.unwrap().name.unwrap());
    }
    names
}

#[tokio::test]
async fn in_an_account() {
    let world = World::new().await;
    let tokens = world
        .client()
        .account(world.simulator.account_id())
        .unwrap()
        .service_tokens();

    let issued = tokens
        .create(&CreateServiceToken::new("deploy"))
        .await
        .unwrap();
    assert_eq!(issued.status(), 201);
    assert_eq!(issued.duration, Some(TokenDuration::DEFAULT));
    assert_eq!(
        issued.expires_at, None,
        "the documented answer has no expiry"
    );
    let (token, first) = issued.into_inner().into_parts();
    let id = token.id.unwrap();
    let created = tokens.get(&id).await.unwrap();
    assert_eq!(created.expires_at, Some(world.now() + TimeDelta::days(365)));
    assert_eq!(world.at_the_app(&first).await, 200);

    assert_eq!(names(&tokens).await, ["other", "deploy"]);
    let named = tokens.list().name("deploy").page(1).await.unwrap();
    assert_eq!(named.tokens.len(), 1);
    assert_eq!(named.tokens[0].id.as_ref(), Some(&id));
    assert_eq!(named.tokens[0].last_seen_at, Some(world.now()));

    // A refresh just before the expiry extends it to a year from now, and the secret
    // stays valid.
    world.pass(TimeDelta::days(364));
    let refreshed = tokens.refresh(&id).await.unwrap();
    assert_eq!(
        refreshed.expires_at,
        Some(world.now() + TimeDelta::days(365))
    );
    world.pass(TimeDelta::days(364));
    assert_eq!(world.at_the_app(&first).await, 200);
    world.pass(TimeDelta::days(1));
    assert_eq!(world.at_the_app(&first).await, 401, "it has expired");
    tokens.refresh(&id).await.unwrap();
    assert_eq!(
        world.at_the_app(&first).await,
        200,
        "the refreshed token is valid again"
    );

    // Both secrets are valid until the grace period ends.
    let grace = RotateServiceToken::grace_until(world.now() + TimeDelta::days(1));
    let second = tokens
        .rotate(&id, &grace)
        .await
        .unwrap()
        .credentials()
        .clone();
    assert_ne!(first.expose_secret(), second.expose_secret());
    assert_eq!(first.client_id(), second.client_id());
    assert_eq!(world.at_the_app(&first).await, 200);
    assert_eq!(world.at_the_app(&second).await, 200);
    world.pass(TimeDelta::days(1));
    assert_eq!(world.at_the_app(&first).await, 401);
    assert_eq!(world.at_the_app(&second).await, 200);

    // Without a grace period, the old secret is revoked at once.
    let revoking = RotateServiceToken::revoke_now();
    let third = tokens
        .rotate(&id, &revoking)
        .await
        .unwrap()
        .credentials()
        .clone();
    assert_eq!(world.at_the_app(&second).await, 401);
    assert_eq!(world.at_the_app(&third).await, 200);

    tokens
        .update(&id, &UpdateServiceToken::new().enabled(false))
        .await
        .unwrap();
    assert_eq!(world.at_the_app(&third).await, 401);
    let enabled = tokens
        .update(&id, &UpdateServiceToken::new().enabled(true))
        .await
        .unwrap();
    assert_eq!(enabled.enabled, Some(true));
    assert_eq!(world.at_the_app(&third).await, 200);

    let renamed = tokens
        .update(&id, &UpdateServiceToken::new().name("deploy (old)"))
        .await
        .unwrap();
    assert_eq!(renamed.name.as_deref(), Some("deploy (old)"));
    assert_eq!(renamed.enabled, Some(true), "a field that is not set stays");

    let hour: TokenDuration = "60m".parse().unwrap();
    let shortened = tokens
        .update(&id, &UpdateServiceToken::new().duration(hour))
        .await
        .unwrap();
    assert_eq!(shortened.duration.as_ref().unwrap().as_str(), "60m");
    assert_eq!(shortened.expires_in(world.now()), Some(TimeDelta::hours(1)));

    let account = world.simulator.account_id();
    let policy = SeedPolicy::new("deploy").include(Rule::service_token(&id));
    let named = Access::new().policy(policy);
    world.simulator.set_access(account, named).unwrap();
    let error = tokens.delete(&id).await.unwrap_err();
    assert_eq!(error.api_errors()[0].code, 12139);
    world.simulator.set_access(account, Access::new()).unwrap();

    let deleted = tokens.delete(&id).await.unwrap();
    assert_eq!(deleted.name.as_deref(), Some("deploy (old)"));
    assert_eq!(world.at_the_app(&third).await, 401);
    let error = tokens.get(&id).await.unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(names(&tokens).await, ["other"]);
}

#[tokio::test]
async fn a_second_rotation_revokes_the_secret_before_the_lost_one() {
    let world = World::new().await;
    let tokens = world
        .client()
        .account(world.simulator.account_id())
        .unwrap()
        .service_tokens();
    let issued = tokens
        .create(&CreateServiceToken::new("deploy"))
        .await
        .unwrap();
    let (token, in_use) = issued.into_inner().into_parts();
    let id = token.id.unwrap();
    let grace = RotateServiceToken::grace_until(world.now() + TimeDelta::days(1));
    // The second secret is lost.
    tokens.rotate(&id, &grace).await.unwrap();
    assert_eq!(
        world.at_the_app(&in_use).await,
        200,
        "the grace period is not over"
    );
    let newest = tokens.rotate(&id, &grace).await.unwrap();
    assert_eq!(world.at_the_app(&in_use).await, 401);
    assert_eq!(world.at_the_app(newest.credentials()).await, 200);
}

#[tokio::test]
async fn common_mistakes_have_advice() {
    let world = World::new().await;
    let simulator = &world.simulator;
    let tokens = world
        .client()
        .account(simulator.account_id())
        .unwrap()
        .service_tokens();
    let seeded = simulator.tokens();

    let error = tokens.get(&seeded[0].client_id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidId);
    assert!(error.to_string().contains("not its `client_id`"), "{error}");

    let stranger = Client::builder()
        .api_token("wrong")
        .base_url(simulator.base_url());
    let stranger = stranger
        .build()
        .unwrap()
        .account(simulator.account_id())
        .unwrap()
        .service_tokens();
    let error = stranger.refresh(&seeded[0].id).await.unwrap_err();
    assert!(error.is_auth());
    assert_eq!(error.api_errors()[0].code, 10_000);
    assert!(error.ray_id().is_some());

    let too_short = RotateServiceToken::grace(Duration::from_secs(3600));
    let error = tokens
        .rotate("f174e90a-fafe-4643-bbbc-4a0ed4fc8415", &too_short)
        .await
        .unwrap_err();
    assert!(error.is_not_found());
    assert!(!error.may_have_been_applied());
}
