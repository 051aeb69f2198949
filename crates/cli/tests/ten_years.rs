//! Keeps an account for ten years of the API's time: every few days the real command runs
//! `keep` on real files. Sinks and hooks break, responses get lost, the API token expires and
//! is replaced late, somebody makes a token of a name that is taken, and the clean-up deletes
//! a token that nobody uses; an operator responds late, or not at all.
//!
//! Whatever happens:
//! - No enabled token that is in use expires.
//! - The secret in each sink opens the app. The only exception is a secret that was lost and
//!   that nobody did anything about until the old one's grace period was over.
//! - A run fails if and only if something needs a person, and the operator knew for as long
//!   as the grace period.
//! - No secret grows much older than its rule allows, and none is replaced before it is old.
//!
//! Each run derives from a seed. By default, two seeds run. To run more, or a single one:
//!
//! ```sh
//! KEEP_SEEDS=20 cargo test -p cf-service-tokens-cli --test ten_years -- --nocapture
//! KEEP_SEED=17 cargo test -p cf-service-tokens-cli --test ten_years -- --nocapture
//! ```
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use cf_service_tokens_simulator::{
    Access, Fault, Injection, Operation, SeedApiToken, SeedToken, ServiceTokenInactivity, Simulator,
};
use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use support::{Ran, World, read, secrets_in};

const YEARS: i64 = 10;
/// The tokens whose secrets are rotated: the name, the days of `every` and of `grace`, and
/// where the secret goes.
const RULES: [(&str, i64, i64, &str); 3] = [
    ("deploy", 90, 14, "env-file:deploy.secret"),
    (
        "etl",
        30,
        14,
        "command:test ! -e broken && cat > etl.secret",
    ),
    ("grafana", 180, 14, "grafana.secret"),
];
/// The longest time between two runs, in days, and until the operator responds. Both together
/// are shorter than each grace period, and so the operator can prevent every outage.
const LONGEST_PAUSE: i64 = 7;
const LONGEST_DELAY: i64 = 6;
/// How much older than its rule allows a secret may grow, in days: its rotation may wait for
/// several troubles.
const LATENESS: i64 = 60;

const CONFIG: [&str; 2] = ["--config", "keep.toml"];
/// The API tokens, one for each year and the next one.
const API_TOKENS: usize = 11;

/// Something that needs the operator, and when the operator acts; `None`: never.
#[derive(Debug)]
struct Problem {
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Sink,
    Hook,
    ApiToken,
    Namesake,
    CleanedUp,
    /// The secret of the token with this index in `RULES` may be lost.
    Lost(usize),
}

struct Life {
    world: World,
    random: Rng,
    seed: u64,
    troubles: BTreeMap<Trouble, Problem>,
    started_at: DateTime<Utc>,
    /// The index of the API token in use.
    api_token: usize,
    /// When each token of `RULES` got its newest secret.
    rotated_at: [DateTime<Utc>; 3],
    /// What the last run said.
    said: String,
    counts: Counts,
}

/// How much happened, so that a life in which nothing does is noticed.
#[derive(Debug, Default)]
struct Counts {
    runs: usize,
    failed: usize,
    rotations: usize,
    lost: usize,
    outages: usize,
    troubles: usize,
}

fn id(name: &str) -> String {
    format!(
        "00000000-0000-4000-8000-0000000000{:02x}",
        name.as_bytes()[0]
    )
}

fn old_secret(name: &str) -> String {
    format!("cfast_{name:0>48}")
}

fn api_token(number: usize) -> String {
    format!("{number:0>40}")
}

impl Life {
    fn new(seed: u64) -> Self {
        let start = Utc::now();
        let mut builder = Simulator::builder().seed(seed).account_id("a1").access(
            Access::new()
                .service_token_inactivity(ServiceTokenInactivity::delete_after_days(90))
                .strict_service_token_auth(true),
        );
        for (name, ..) in RULES.iter().chain(&[("ci", 0, 0, "")]) {
            builder = builder.token(
                SeedToken::new(*name)
                    .id(id(name))
                    .client_id(format!("{name}.access"))
                    .client_secret(old_secret(name)),
            );
        }
        builder = builder.token(
            SeedToken::new("unused")
                .id(id("unused"))
                .client_id("unused.access"),
        );
        for number in 0..API_TOKENS {
            let years = i64::try_from(number).unwrap() + 1;
            let expiry = start + TimeDelta::days(years * 365);
            let token = SeedApiToken::new(api_token(number)).expires_at(expiry);
            builder = match number {
                0 => builder.api_token(token),
                _ => builder.add_api_token(token),
            };
        }
        let world = World::with(builder);
        let life = Self {
            world,
            random: Rng::with_seed(seed),
            seed,
            troubles: BTreeMap::new(),
            started_at: start,
            api_token: 0,
            rotated_at: [start; 3],
            said: String::new(),
            counts: Counts::default(),
        };
        life.configure(5);
        for (name, ..) in RULES {
            fs::write(life.sink(name), old_secret(name)).unwrap();
        }
        let before = "CF_ACCESS_CLIENT_ID=deploy.access\nCF_ACCESS_CLIENT_SECRET=";
        let before = format!("{before}{}\n", old_secret("deploy"));
        fs::write(life.sink("deploy"), before).unwrap();
        let hook = "#!/bin/sh\ntest ! -e hook-broken\n";
        fs::write(life.world.path("hook"), hook).unwrap();
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(life.world.path("hook"), executable).unwrap();
        life
    }

    fn sink(&self, name: &str) -> std::path::PathBuf {
        self.world.path(&format!("{name}.secret"))
    }

    fn configure(&self, expect_at_least: usize) {
        let app = self.world.simulator.protected_url();
        let mut file = format!(
            "[[account]]\nname = \"prod\"\nid = \"a1\"\napi_token_file = \"api-token\"\n\
             expect_at_least = {expect_at_least}\n"
        );
        for (name, every, grace, sink) in RULES {
            file += &format!(
                "[[account.rotate]]\ntoken = \"{name}\"\nevery = \"{every}d\"\n\
                 grace = \"{grace}d\"\nsecret_to = \"{sink}\"\nverify = \"{app}\"\n\
                 then = [\"./hook\"]\n"
            );
        }
        fs::write(self.world.path("keep.toml"), file).unwrap();
        fs::write(self.world.path("api-token"), api_token(self.api_token)).unwrap();
    }

    fn now(&self) -> DateTime<Utc> {
        self.world.now()
    }

    fn command(&self) -> Command {
        let mut command = self.world.command();
        command
            .env_remove("CLOUDFLARE_API_TOKEN")
            .env_remove("CLOUDFLARE_ACCOUNT_ID");
        command
    }

    /// Whether the users of a token get in.
    fn get_in(&self, name: &str) -> bool {
        let secret = match name {
            "ci" => old_secret("ci"),
            _ => secrets_in(&read(&self.sink(name))).remove(0),
        };
        self.world.opens_as(&format!("{name}.access"), &secret)
    }

    fn version(&self, name: &str) -> u64 {
        self.world
            .simulator
            .token(&id(name))
            .unwrap()
            .client_secret_version
    }

    fn begin(&mut self, trouble: Trouble, is_noticed: bool) {
        let delay = TimeDelta::days(self.random.i64(0..=LONGEST_DELAY));
        let since = self.now();
        let until = is_noticed.then(|| since + delay);
        self.troubles.insert(trouble, Problem { since, until });
        self.counts.troubles += 1;
    }

    /// Lets days pass, and whatever they bring.
    fn pass_time(&mut self) {
        for _ in 0..self.random.i64(1..=LONGEST_PAUSE) {
            self.world.advance(TimeDelta::days(1));
            for name in ["deploy", "etl", "grafana", "ci"] {
                self.assert_users_get_in(name);
            }
            self.respond();
        }
        let is_new = |trouble| !self.troubles.contains_key(&trouble);
        match self.random.u32(0..20) {
            0 if is_new(Trouble::Sink) => {
                fs::write(self.world.path("broken"), "").unwrap();
                self.begin(Trouble::Sink, true);
            }
            1 if is_new(Trouble::Hook) => {
                fs::write(self.world.path("hook-broken"), "").unwrap();
                self.begin(Trouble::Hook, true);
            }
            2 if is_new(Trouble::Namesake) => {
                let arguments = ["--secret-to", "file:namesake", "--allow-duplicate"];
                let created = self.cf(&[&["create", "deploy"][..], &arguments].concat());
                assert_eq!(created.code, Some(0), "{}", created.shown());
                self.begin(Trouble::Namesake, true);
            }
            3 => {
                let lost = Injection::new(Fault::ResetAfterRequest).on(Operation::Rotate);
                self.world.simulator.clear_faults();
                self.world.simulator.inject(lost.taking_effect());
            }
            _ => {}
        }
    }

    /// Runs a command with an API token that works for all the time.
    fn cf(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.by_hand(self.command().args(arguments)))
    }

    fn by_hand<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("CLOUDFLARE_API_TOKEN", api_token(API_TOKENS - 1))
            .env("CLOUDFLARE_ACCOUNT_ID", "a1")
    }

    fn assert_users_get_in(&mut self, name: &str) {
        let token = self.world.simulator.token(&id(name)).unwrap();
        let at = format!("seed {}, {}: {name}", self.seed, self.now());
        assert!(
            token.expires_at > self.now(),
            "{at} has expired\n{}",
            self.said
        );
        if self.get_in(name) {
            return;
        }
        let rule = RULES.iter().position(|(rule, ..)| *rule == name);
        let problem = rule.and_then(|rule| self.troubles.get(&Trouble::Lost(rule)));
        let problem = problem.unwrap_or_else(|| panic!("{at}: locked out\n{}", self.said));
        // Nobody acted, and the operator was told for the whole grace period.
        assert_eq!(problem.until, None, "{at}: {problem:?}\n{}", self.said);
        let grace = TimeDelta::days(RULES[rule.unwrap()].2);
        assert!(self.now() - problem.since >= grace, "{at}: {problem:?}");
    }

    /// The operator does what is due.
    fn respond(&mut self) {
        let now = self.now();
        let is_due = |problem: &Problem| problem.until.is_some_and(|until| until <= now);
        let troubles = self.troubles.iter();
        let due = troubles.filter(|(_, problem)| is_due(problem));
        let due: Vec<Trouble> = due.map(|(trouble, _)| *trouble).collect();
        for trouble in due {
            match trouble {
                Trouble::Sink => fs::remove_file(self.world.path("broken")).unwrap(),
                Trouble::Hook => fs::remove_file(self.world.path("hook-broken")).unwrap(),
                Trouble::ApiToken => {
                    self.api_token += 1;
                    fs::write(self.world.path("api-token"), api_token(self.api_token)).unwrap();
                }
                Trouble::Namesake => {
                    let tokens = self.world.simulator.tokens().into_iter();
                    let other = tokens
                        .filter(|token| token.name == "deploy")
                        .find(|token| token.id != id("deploy"));
                    self.world.simulator.delete(&other.unwrap().id).unwrap();
                    fs::remove_file(self.world.path("namesake")).unwrap();
                }
                Trouble::CleanedUp => self.configure(4),
                Trouble::Lost(rule) => {
                    if !self.follow_advice(rule) {
                        // Something else keeps the operator from acting.
                        continue;
                    }
                }
            }
            self.troubles.remove(&trouble);
        }
    }

    /// Runs the commands that the failure about a lost secret advises, as a shell does.
    fn follow_advice(&mut self, rule: usize) -> bool {
        let name = RULES[rule].0;
        if self.is_broken(name) {
            return false;
        }
        self.world.simulator.clear_faults();
        let looked = self.cf(&[&["keep", "--quiet", "--dry-run"][..], &CONFIG].concat());
        if looked.code == Some(3) {
            return false;
        }
        let entry = format!("rotate-{}", id(name));
        let mut lines = looked.stderr.lines();
        let line = lines.find(|line| line.contains("journal discard") && line.contains(&entry));
        let line = line.unwrap_or_else(|| panic!("no advice about {name}\n{}", looked.shown()));
        let command = line.split("run: ").nth(1).unwrap();
        let command = command.split(". To change over").next().unwrap();
        let program = env!("CARGO_BIN_EXE_cf-service-tokens");
        let command = command.replace("cf-service-tokens ", &format!("{program} "));
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &command])
            .current_dir(self.world.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(self.world.environment());
        let ran = Ran::of(self.by_hand(&mut shell));
        assert_eq!(ran.code, Some(0), "{command}\n{}", ran.shown());
        self.rotated_at[rule] = self.now();
        true
    }

    /// Whether a delivery to the sink of a token would fail.
    fn is_broken(&self, name: &str) -> bool {
        name == "etl" && self.troubles.contains_key(&Trouble::Sink)
    }

    /// What the journal has of a token's last run, if it is not settled.
    fn unsettled(&self, name: &str) -> Option<String> {
        let record = self
            .world
            .journal()
            .join(format!("rotate-{}.jsonl", id(name)));
        Some(read(&record)).filter(|record| record.contains("{\"intent\""))
    }

    fn keep(&mut self) {
        let expiry = i64::try_from(self.api_token).unwrap() + 1;
        let expires_at = self.started_at + TimeDelta::days(365 * expiry);
        if self.now() >= expires_at && !self.troubles.contains_key(&Trouble::ApiToken) {
            self.begin(Trouble::ApiToken, true);
        }
        let is_expected = read(&self.world.path("keep.toml")).contains("at_least = 5");
        let is_cleaned_up = self.world.simulator.token(&id("unused")).is_none();
        if is_cleaned_up && is_expected && !self.troubles.contains_key(&Trouble::CleanedUp) {
            self.begin(Trouble::CleanedUp, true);
        }
        let before = RULES.map(|(name, ..)| self.version(name));
        let ran = Ran::of(self.command().args(["keep", "--quiet"]).args(CONFIG));
        self.counts.runs += 1;
        self.said = ran.shown();
        let at = format!("seed {}, {}", self.seed, self.now());
        let is_outage = self
            .said
            .contains("was lost, and the one before it has not worked");
        let mut is_unsettled = false;
        for (rule, (name, every, ..)) in RULES.into_iter().enumerate() {
            let unsettled = self.unsettled(name);
            let is_on_its_way = unsettled.is_some();
            is_unsettled |= is_on_its_way;
            let is_lost = unsettled.is_some_and(|record| {
                !record.contains("{\"secret\"") && !record.contains("\n\"settled\"")
            });
            let was_lost = self.troubles.contains_key(&Trouble::Lost(rule));
            let age = self.now() - self.rotated_at[rule];
            match self.version(name) - before[rule] {
                0 => {}
                1 => {
                    let is_old = age >= TimeDelta::days(every);
                    assert!(
                        is_old || was_lost,
                        "{at}: {name} after {age}\n{}",
                        self.said
                    );
                    self.rotated_at[rule] = self.now();
                    self.counts.rotations += 1;
                }
                more => panic!("{at}: {name} was rotated {more} times\n{}", self.said),
            }
            let latest = TimeDelta::days(every + LATENESS);
            assert!(
                age <= latest,
                "{at}: the secret of {name} is {age} old\n{}",
                self.said
            );
            match (is_lost, was_lost) {
                (true, false) => {
                    self.counts.lost += 1;
                    let is_noticed = self.random.u32(0..4) > 0;
                    self.begin(Trouble::Lost(rule), is_noticed);
                }
                (false, true) if is_outage => {
                    self.counts.outages += 1;
                    self.troubles.remove(&Trouble::Lost(rule));
                }
                // It has a new secret, which is still on its way.
                (false, true) => assert!(is_on_its_way, "{at}: {name}\n{}", self.said),
                _ => {}
            }
        }
        let needs_a_person = |trouble: &Trouble| {
            use Trouble::{ApiToken, CleanedUp, Lost, Namesake};
            matches!(trouble, ApiToken | CleanedUp | Namesake | Lost(_))
        };
        let is_troubled = self.troubles.keys().any(needs_a_person) || is_unsettled || is_outage;
        assert_eq!(
            ran.code != Some(0),
            is_troubled,
            "{at}: {:?}\n{}",
            self.troubles,
            self.said
        );
        match is_troubled {
            true => self.counts.failed += 1,
            // Cron sends no mail.
            false => assert_eq!(self.said, "exit code 0\n", "{at}"),
        }
    }
}

/// Lives ten years by a seed.
fn live(seed: u64) -> Counts {
    let mut life = Life::new(seed);
    let end = life.started_at + TimeDelta::days(365 * YEARS);
    while life.now() < end {
        life.pass_time();
        life.keep();
    }
    life.counts
}

#[test]
#[allow(clippy::print_stdout, reason = "it says how much was tried")]
fn no_used_token_dies_of_what_keep_could_have_prevented() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds: Vec<u64> = match (number("KEEP_SEED"), number("KEEP_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, Some(seeds)) => (1..=seeds).collect(),
        (None, None) => vec![1, 2],
    };
    let lives: Vec<_> = seeds
        .into_iter()
        .map(|seed| std::thread::spawn(move || live(seed)))
        .collect();
    for life in lives {
        let counts = life.join().unwrap();
        println!("{counts:?}");
        assert!(counts.rotations > 100 && counts.lost > 0, "{counts:?}");
        assert!(counts.troubles > 20 && counts.failed > 20, "{counts:?}");
    }
}
