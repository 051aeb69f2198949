//! The unit of systemd for `keep` does its work with what systemd hands it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cf_service_tokens_simulator::Simulator;
use chrono::{TimeDelta, Utc};
use support::{ID, Ran, World, command, known_token, read};

#[test]
fn the_unit_of_keep_finds_its_credentials_and_its_journal() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../deploy/systemd/cf-service-tokens-keep.service");
    // It is not in the published package.
    if !unit.parent().unwrap().exists() {
        return;
    }
    let unit = read(&unit);
    let settings = |key: &str| -> Vec<String> {
        let lines = unit.lines().filter_map(|line| line.strip_prefix(key));
        lines.map(str::to_owned).collect()
    };
    let old = known_token().created_at(Utc::now() - TimeDelta::days(100));
    let world = World::with(Simulator::builder().token(old));
    let id = world.simulator.account_id();
    let config = format!(
        "[[account]]\nname = \"prod\"\nid = {id:?}\napi_token_file = \"api-token\"\n\
         [[account.rotate]]\ntoken = {ID:?}\nevery = \"90d\"\nsecret_to = {:?}\n",
        format!("file:{}", world.path("secret").display())
    );
    fs::create_dir(world.path("credentials")).unwrap();
    for credential in settings("LoadCredential=") {
        let (name, _) = credential.split_once(':').unwrap();
        let content = match name {
            "keep.toml" => &config,
            "api-token" => world.simulator.api_token(),
            _ => panic!("{credential}"),
        };
        let path = world.path("credentials").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    }
    assert_eq!(settings("StateDirectory="), ["cf-service-tokens"]);
    fs::create_dir(world.path("state")).unwrap();

    let [start] = &settings("ExecStart=")[..] else {
        panic!("{unit}");
    };
    let directory = world.path("credentials");
    let start = start.replace("%d", directory.to_str().unwrap());
    let mut words = start.split_whitespace();
    assert_eq!(words.next(), Some("/usr/local/bin/cf-service-tokens"));
    // What the environment of a service has.
    let mut keep = command();
    keep.env("CLOUDFLARE_BASE_URL", world.simulator.base_url())
        .env("STATE_DIRECTORY", world.path("state"))
        .args(words);
    let ran = Ran::of(&mut keep);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(world.opens(&read(&world.path("secret"))), "{}", ran.shown());
    let record = world.path("state").join(format!("rotate-{ID}.jsonl"));
    assert!(record.exists(), "{}", ran.shown());
}
