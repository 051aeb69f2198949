//! What the tests of `keep --watch` share: a token with an old secret, its rule, and the watcher.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use cf_service_tokens_simulator::{Simulator, SimulatorBuilder};
use chrono::{TimeDelta, Utc};
use nix::unistd::Pid;

use super::running::{Running, get, until};
use super::{ID, OLD_SECRET, Ran, World, known_token, read, secrets_in};

/// A simulator whose token has a secret of this age.
pub fn aged(days: i64) -> SimulatorBuilder {
    let token = known_token().created_at(Utc::now() - TimeDelta::days(days));
    Simulator::builder().token(token.duration("forever"))
}

/// Writes a file with one rule, which delivers to `sink`, and with `more` at its end.
pub fn configure(world: &World, sink: &str, more: &str) {
    let id = world.simulator.account_id();
    let file = format!(
        "[[account]]\nname = \"prod\"\nid = {id:?}\napi_token_env = \"CLOUDFLARE_API_TOKEN\"\n\
         [[account.rotate]]\ntoken = \"Grafana scraper\"\nevery = \"90d\"\ngrace = \"7d\"\n\
         secret_to = {sink:?}\n{more}\n"
    );
    fs::write(world.path("keep.toml"), file).unwrap();
}

pub fn script(world: &World, name: &str, text: &str) {
    fs::write(world.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o755)).unwrap();
}

pub fn keep(world: &World) -> Command {
    let mut command = world.command();
    command
        .env_remove("CLOUDFLARE_ACCOUNT_ID")
        .args(["keep", "--config", "keep.toml"]);
    command
}

pub fn watch(world: &World, arguments: &[&str]) -> Running {
    Running::start(keep(world).arg("--watch").args(arguments))
}

/// Starts a watcher that listens, and returns its address as well.
pub fn listening(world: &World, format: &str) -> (Running, String) {
    let mut watching = watch(world, &["--listen", "127.0.0.1:0", "-o", format]);
    // After what is wrong with an account.
    let mut said = watching.stderr.by_ref().map(Result::unwrap);
    let said = said.find(|line| line.contains("http://")).unwrap();
    let (_, address) = said.split_once("http://").unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    (watching, address)
}

/// Reads the log up to the end of a pass.
pub fn pass(watching: &mut Running) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = watching.line();
        if line.contains("next pass") || line.contains("\"waiting\"") {
            return lines;
        }
        lines.push(line);
    }
}

/// The value of a metric of the watcher; the sum if it has several.
pub fn metric(address: &str, name: &str) -> i64 {
    let metrics = get(address, "/metrics");
    let name = format!("cf_service_tokens_{name}{{");
    let lines = metrics.lines().filter(|line| line.starts_with(&name));
    let values = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap());
    values
        .reduce(|sum, value| sum + value)
        .unwrap_or_else(|| panic!("{name}: {metrics}"))
}

pub fn days_from_now(timestamp: i64) -> i64 {
    (timestamp - Utc::now().timestamp() + 43_200).div_euclid(86_400)
}

pub fn version(world: &World) -> u64 {
    world.simulator.token(ID).unwrap().client_secret_version
}

/// The one secret of a file opens the app, and so does the old one, and nothing is left to do.
pub fn assert_delivered(world: &World, file: &str) {
    let secrets = secrets_in(&read(&world.path(file)));
    assert_eq!(secrets.len(), 1);
    assert!(world.opens(&secrets[0]) && world.opens(OLD_SECRET));
    let quiet = Ran::of(keep(world).arg("--quiet"));
    assert_eq!(quiet.shown(), "exit code 0\n");
    assert_eq!(version(world), 2);
}

/// A world whose sink writes its process id to `started`, and then waits for `go`.
pub fn with_slow_sink() -> World {
    let world = World::with(aged(100));
    make_sink_slow(&world);
    configure(&world, "command:exec ./sink", "");
    world
}

pub fn make_sink_slow(world: &World) {
    let made = Command::new("mkfifo").arg(world.path("go")).status();
    assert!(made.unwrap().success());
    let sink = "test -e ready || { echo $$ > starting; mv starting started; read x < go; }\n\
                cat > got";
    script(world, "sink", sink);
}

pub fn wait_for_sink(world: &World) -> Pid {
    until("the sink", || world.path("started").exists());
    let id = read(&world.path("started"));
    Pid::from_raw(id.trim().parse().unwrap())
}

pub fn let_go(world: &World) {
    fs::write(world.path("ready"), "").unwrap();
    fs::write(world.path("go"), "go\n").unwrap();
}
