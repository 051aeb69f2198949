//! The health checks.

use std::time::Duration;

use cf_service_tokens::Clock as _;
use cf_service_tokens::renewal::RenewalPolicy;
use cf_service_tokens_simulator::{Fault, Injection, Operation};

use super::{SILENCE, World, a_few_tokens};

#[tokio::test]
async fn ready_once_a_pass_has_reached_its_end() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    assert_eq!(world.server.get("/readyz").await.status, 503);
    assert!(
        world
            .server
            .get("/")
            .await
            .body
            .contains("not all been listed yet")
    );
    // Credentials that are not accepted.
    world
        .simulator
        .inject(Injection::new(Fault::Status(403)).on(Operation::List));
    world.pass().await;
    let answer = world.server.get("/readyz").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let page = world.server.get("/").await.body;
    assert!(page.contains("UTC, stopped early: "), "{page}");
    assert!(!page.contains("no service tokens here"));

    world.pass().await;
    let answer = world.server.get("/readyz").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "ok: a pass has completed\n")
    );
    assert!(!world.server.get("/").await.body.contains("stopped early"));

    world.simulator.inject(
        Injection::new(Fault::Status(503))
            .on(Operation::List)
            .times(3),
    );
    world.pass().await;
    assert_eq!(
        world.server.get("/readyz").await.status,
        200,
        "an outage passes"
    );
}

#[tokio::test]
async fn not_ready_while_the_credentials_are_refused() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    world.pass().await;
    assert_eq!(world.server.get("/readyz").await.status, 200);
    for fault in [
        Injection::new(Fault::Status(401)).on(Operation::List),
        Injection::new(Fault::Status(403)).on(Operation::List),
    ] {
        world.simulator.inject(fault);
        world.pass().await;
        let answer = world.server.get("/readyz").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (503, "not ready: the API refuses the credentials\n")
        );
        assert_eq!(world.server.get("/healthz").await.status, 200);
        world.pass().await;
        assert_eq!(world.server.get("/readyz").await.status, 200);
    }
}

#[tokio::test]
async fn healthy_unless_it_is_silent_for_too_long() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    let start = world.server.get("/healthz").await;
    assert_eq!(
        (start.status, start.body.as_str()),
        (200, "ok: a pass is running\n")
    );
    world.clock.pass(SILENCE);
    assert_eq!(world.server.get("/healthz").await.status, 200);
    world.clock.pass(Duration::from_secs(1));
    let stuck = world.server.get("/healthz").await;
    assert_eq!(stuck.status, 503);
    assert_eq!(stuck.body, "stuck: nothing has happened for 45 minutes\n");

    // It goes on, and then waits for most of a day.
    let until = world.pass().await;
    let waiting = world.server.get("/healthz").await;
    assert_eq!(waiting.status, 200);
    assert!(
        waiting
            .body
            .starts_with("ok: the next pass begins at 2026-11-25 "),
        "{waiting:?}"
    );
    world
        .clock
        .pass((until - world.clock.now()).to_std().unwrap());
    world.clock.pass(SILENCE);
    assert_eq!(world.server.get("/healthz").await.status, 200);
    world.clock.pass(Duration::from_secs(1));
    assert_eq!(world.server.get("/healthz").await.status, 503);
}

#[tokio::test]
async fn a_rotation_may_take_as_long_as_a_renewal() {
    let mut world = World::new(a_few_tokens(), &RenewalPolicy::new()).await;
    world.pass().await;
    // One rule after the other, each behind those of other accounts.
    for _ in 0..3 {
        world.account.queued();
        world.clock.pass(SILENCE * 9);
        let waiting = world.server.get("/healthz").await;
        assert_eq!(
            (waiting.status, waiting.body.as_str()),
            (200, "ok: waiting for other accounts\n")
        );
        world.account.begins_rule();
        world.clock.pass(SILENCE);
        let rotating = world.server.get("/healthz").await;
        assert_eq!(
            (rotating.status, rotating.body.as_str()),
            (200, "ok: following a rotation rule\n")
        );
    }
    world.clock.pass(Duration::from_secs(1));
    let stuck = world.server.get("/healthz").await;
    assert_eq!(stuck.status, 503);
    assert_eq!(stuck.body, "stuck: nothing has happened for 45 minutes\n");
}
