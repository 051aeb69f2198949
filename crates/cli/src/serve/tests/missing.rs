//! Tokens that are no longer listed.

use cf_service_tokens::renewal::RenewalPolicy;

use super::{VirtualClock, World, a_few_tokens, simulator, values};

#[tokio::test]
async fn a_token_that_is_no_longer_listed_is_missing_until_it_is_back() {
    let clock = VirtualClock::default();
    // The list leaves out tokens with other names, as it does without permission for them.
    let builder = simulator(&clock, a_few_tokens());
    let builder = builder.list_only(["due", "well", "disabled", "excluded"]);
    let policy = RenewalPolicy::new().except(["excluded"]);
    let mut world = World::on(clock, builder.start().await.unwrap(), &policy).await;
    world.pass().await;
    assert_eq!(values(&world.metrics().await, "missing "), ["0"]);
    assert_eq!(world.missing, Vec::<String>::new());

    let rename = |id: &str, name: &str| drop(world.simulator.rename(id, name).unwrap());
    for (id, name) in [("0a", "a"), ("0b", "b"), ("0c", "c"), ("0f", "f")] {
        rename(id, name);
    }
    world.pass().await;
    world.pass().await;
    // Nobody misses a token that was disabled or left out.
    let words = "2 tokens that were seen before are no longer listed: due, well";
    assert_eq!(world.missing, [words]);
    assert_eq!(values(&world.metrics().await, "missing "), ["2"]);
    assert!(world.server.get("/").await.body.contains(words));

    let rename = |id: &str, name: &str| drop(world.simulator.rename(id, name).unwrap());
    rename("0a", "due");
    world.pass().await;
    assert_eq!(values(&world.metrics().await, "missing "), ["1"]);
    let page = world.server.get("/").await.body;
    assert!(page.contains("no longer listed: well."), "{page}");

    // One is back while another one goes.
    let rename = |id: &str, name: &str| drop(world.simulator.rename(id, name).unwrap());
    rename("0a", "a");
    rename("0b", "well");
    world.pass().await;
    let words = "1 token that was seen before is no longer listed: due";
    assert_eq!(world.missing.last().unwrap(), words);
    assert_eq!(world.missing.len(), 2);
}
