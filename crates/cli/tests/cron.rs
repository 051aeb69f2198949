//! Each crontab of the help and of the documents works in cron's environment.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use cf_service_tokens_simulator::{SeedToken, Simulator};
use chrono::{TimeDelta, Utc};
use support::{Ran, World, command};

/// Where each crontab expects the API token.
const TOKEN_FILE: &str = "/etc/cf-service-tokens/api-token";

/// The crontabs, with the text that holds each.
fn crontabs() -> Vec<(String, String)> {
    let mut crontabs = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The README of the repository is not in the published package.
    for readme in [root.join("README.md"), root.join("../../README.md")] {
        let text = fs::read_to_string(&readme).unwrap_or_default();
        for crontab in text.split("```crontab\n").skip(1) {
            let crontab = crontab.split("```").next().unwrap();
            crontabs.push((readme.display().to_string(), crontab.to_owned()));
        }
    }
    let help = Ran::of(command().args(["renew", "--help"])).stdout;
    let crontab = help.split_once("Daily from cron").unwrap().1;
    let crontab = crontab.lines().skip_while(|line| !line.starts_with("  "));
    let crontab = crontab.take_while(|line| line.starts_with("  "));
    let crontab: Vec<&str> = crontab.map(str::trim).collect();
    crontabs.push(("the help of renew".to_owned(), crontab.join("\n")));
    crontabs
}

/// Runs the commands of a crontab as cron does: by sh, with no variables but its own.
fn run(crontab: &str, home: &Path, base_url: &str) -> Vec<Ran> {
    let mut variables = vec![("CLOUDFLARE_BASE_URL", base_url)];
    let mut ran = Vec::new();
    for line in crontab.lines().filter(|line| !line.trim().is_empty()) {
        let is_schedule = line.starts_with(|c: char| c.is_ascii_digit() || c == '*');
        match line.split_once('=').filter(|_| !is_schedule) {
            Some(variable) => variables.push(variable),
            None => {
                let command = line
                    .split_whitespace()
                    .skip(5)
                    .collect::<Vec<_>>()
                    .join(" ");
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &command]).env_clear().current_dir(home);
                shell.envs([("PATH", "/usr/bin:/bin"), ("SHELL", "/bin/sh")]);
                shell.env("HOME", home).env("LOGNAME", "me");
                shell.envs(variables.iter().copied());
                ran.push(Ran::of(&mut shell));
            }
        }
    }
    ran
}

#[test]
fn a_crontab_renews_in_silence_and_tells_of_a_failure() {
    let crontabs = crontabs();
    assert!(crontabs.len() >= 2);
    for (place, crontab) in crontabs {
        let due = SeedToken::new("due")
            .id("due")
            .expires_in(TimeDelta::days(3));
        let world = World::with(Simulator::builder().token(due));
        let home = world.directory.path();
        fs::create_dir_all(home.join(".cargo/bin")).unwrap();
        symlink(
            env!("CARGO_BIN_EXE_cf-service-tokens"),
            home.join(".cargo/bin/cf-service-tokens"),
        )
        .unwrap();
        let token = home.join("api-token");
        fs::write(&token, world.simulator.api_token()).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(crontab.contains(TOKEN_FILE), "{place}: {crontab}");
        let crontab = crontab
            .replace(TOKEN_FILE, token.to_str().unwrap())
            .replace(
                "023e105f4ecef8ad9ca31a8372d0c353",
                world.simulator.account_id(),
            );

        let base_url = world.simulator.base_url();
        for ran in run(&crontab, home, base_url) {
            assert_eq!(ran.shown(), "exit code 0\n", "{place}: {crontab}");
        }
        let renewed = world.simulator.tokens().pop().unwrap();
        let in_a_year = Utc::now() + TimeDelta::days(360);
        assert!(renewed.expires_at > in_a_year, "{place}");

        fs::write(&token, "revoked").unwrap();
        for ran in run(&crontab, home, base_url) {
            assert_eq!(ran.code, Some(3), "{place}: {}", ran.shown());
            assert!(ran.stderr.contains("error: "), "{place}: {}", ran.shown());
        }
    }
}
