//! `keep --watch --listen`: who learns that something is wrong, and that nobody learns a secret.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::fs;

use cf_service_tokens_simulator::SeedAccount;
use nix::sys::signal::Signal;
use support::keeping::{
    aged, configure, keep, let_go, listening, metric, pass, script, wait_for_sink, watch,
    with_slow_sink,
};
use support::running::{Running, get, until};
use support::{ID, OLD_SECRET, Ran, World, read, secrets_in};

/// A hook of failures, which writes them to `paged`.
const PAGE: &str = "[notify]\non_failure = [\"./page\"]";

fn script_page(world: &World) {
    script(
        world,
        "page",
        "cat >> paging; cp paging copy; mv copy paged",
    );
}

fn wait_for_page(world: &World, what: &str) {
    until(what, || read(&world.path("paged")).contains(what));
}

#[test]
fn too_few_tokens_are_told_everywhere() {
    let world = World::with(aged(1));
    let what = "1 service token, but the configuration file expects at least 2";
    configure(&world, "env-file:grafana.env", PAGE);
    let config = read(&world.path("keep.toml"));
    let config = config.replacen(
        "[[account.rotate]]",
        "expect_at_least = 2\n[[account.rotate]]",
        1,
    );
    fs::write(world.path("keep.toml"), config).unwrap();
    script_page(&world);
    let (mut watching, address) = listening(&world, "table");
    for passes in 1..=2 {
        pass(&mut watching);
        let page = get(&address, "/");
        assert!(page.contains(&format!("Too few tokens: {what}.")), "{page}");
        assert_eq!(metric(&address, "failed_passes_total"), passes);
        assert_eq!(metric(&address, "last_success_timestamp_seconds"), 0);
        watching.signal(Signal::SIGHUP);
    }
    pass(&mut watching);
    wait_for_page(&world, what);
    let said = watching.end(Signal::SIGTERM);
    assert_eq!(said.matches(what).count(), 1, "{said}");
}

#[test]
fn what_no_rule_finishes_is_told_everywhere() {
    let world = World::with(aged(100).account(SeedAccount::new("other")));
    configure(&world, "command:exit 7", "");
    assert_eq!(Ran::of(&mut keep(&world)).code, Some(1));
    script_page(&world);
    let config = read(&world.path("keep.toml"));
    let (account, _) = config.split_once("[[account.rotate]]").unwrap();

    // The account is there, but the rule is gone.
    fs::write(world.path("keep.toml"), format!("{account}{PAGE}\n")).unwrap();
    let what = "no rule of the configuration file names the token";
    let (mut watching, address) = listening(&world, "table");
    let log = pass(&mut watching).join("\n");
    assert!(log.contains(what), "{log}");
    assert_eq!(metric(&address, "failed_rotations_total"), 1);
    assert_eq!(metric(&address, "rotations_unfinished"), 1);
    let page = get(&address, "/");
    assert!(page.contains(what), "{page}");
    wait_for_page(&world, what);
    let said = watching.end(Signal::SIGTERM);
    assert!(said.contains(what), "{said}");

    // The account is gone, too.
    let file = format!(
        "{}{PAGE}\n",
        account.replace(world.simulator.account_id(), "other")
    );
    fs::write(world.path("keep.toml"), file).unwrap();
    let what = "its account is not in the configuration file";
    let watching = watch(&world, &[]);
    wait_for_page(&world, what);
    let said = watching.end(Signal::SIGTERM);
    assert!(said.contains(what), "{said}");
}

/// The page, the metrics and the health of a watcher.
fn served(address: &str) -> String {
    let paths = ["/", "/metrics", "/healthz", "/readyz"];
    paths.map(|path| get(address, path)).join("\n")
}

#[test]
fn a_watcher_that_rotates_shows_no_secret() {
    for format in ["table", "jsonl"] {
        let world = with_slow_sink();
        let more = format!("then = [\"./reload\"]\n{PAGE}");
        configure(&world, "command:exec ./sink", &more);
        script(&world, "reload", "cat >> hooked; test -e well");
        script_page(&world);
        let mut command = keep(&world);
        command.args(["--watch", "--listen", "127.0.0.1:0", "-v", "-o", format]);
        let mut watching = Running::start(&mut command);
        let mut said = Vec::new();
        while !said.iter().any(|line: &String| line.contains("http://")) {
            said.push(watching.stderr.next().unwrap().unwrap());
        }
        let (_, address) = said[said.len() - 1].split_once("http://").unwrap();
        let address = address.split('/').next().unwrap().to_owned();

        // While the sink gets the secret, after the hook has failed, and once all is well.
        wait_for_sink(&world);
        let mut shown = vec![served(&address)];
        assert!(
            shown[0].contains("ok: following a rotation rule"),
            "{shown:?}"
        );
        let_go(&world);
        shown.extend(pass(&mut watching));
        shown.push(served(&address));
        assert!(shown.concat().contains("reload exited with 1"), "{shown:?}");
        wait_for_page(&world, "reload exited with 1");
        fs::write(world.path("well"), "").unwrap();
        watching.signal(Signal::SIGHUP);
        shown.extend(pass(&mut watching));
        shown.push(served(&address));
        shown.extend(said);
        shown.push(watching.end(Signal::SIGTERM));
        for file in ["hooked", "paged"] {
            shown.push(read(&world.path(file)));
            assert!(shown[shown.len() - 1].contains(ID), "{file}");
        }

        let shown = shown.join("\n");
        let secret = read(&world.path("got"));
        assert!(world.opens(&secret) && world.opens(OLD_SECRET));
        assert!(shown.contains("Grafana scraper"));
        for secret in [&*secret, OLD_SECRET, world.simulator.api_token()] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(secrets_in(&shown), [""; 0], "{shown}");
    }
}
