//! What `keep` must not do, and what it must not be silent about.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use cf_service_tokens_simulator::{
    Fault, Injection, Operation, SeedAccount, SeedToken, Simulator, SimulatorBuilder,
};
use chrono::{TimeDelta, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{CLIENT_ID, ID, OLD_SECRET, Ran, World, known_token, read, secrets_in};

const RULE: &str = "[[account.rotate]]\nevery = \"90d\"\ngrace = \"7d\"\n";

/// A token whose last change is this many days ago.
fn aged(days: i64) -> SeedToken {
    let created_at = Utc::now() - TimeDelta::days(days);
    known_token().created_at(created_at).duration("forever")
}

fn with(token: SeedToken) -> World {
    World::with(Simulator::builder().token(token))
}

/// Writes a file with the account, these keys, and rules for these tokens and sinks.
fn configure(world: &World, keys: &str, rules: &[(&str, &str)]) {
    let id = world.simulator.account_id();
    let mut file = format!(
        "[[account]]\nname = \"prod\"\nid = {id:?}\napi_token_env = \"CLOUDFLARE_API_TOKEN\"\n{keys}\n"
    );
    for (token, sink) in rules {
        file += &format!("{RULE}token = {token:?}\nsecret_to = {sink:?}\n");
    }
    file += "[notify]\non_failure = [\"./page\"]\n";
    fs::write(world.path("keep.toml"), file).unwrap();
    fs::write(world.path("page"), "#!/bin/sh\ncat > paged\n").unwrap();
    fs::set_permissions(world.path("page"), fs::Permissions::from_mode(0o755)).unwrap();
}

fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command();
    command
        .env_remove("CLOUDFLARE_ACCOUNT_ID")
        .args(["keep", "--config", "keep.toml"])
        .args(arguments);
    command
}

fn keep(world: &World, arguments: &[&str]) -> Ran {
    let ran = Ran::of(&mut command(world, arguments));
    assert!(secrets_in(&ran.shown()).is_empty(), "{}", ran.shown());
    ran
}

fn assert_ended(ran: &Ran, code: i32, said: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}", ran.shown());
    for said in said {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.shown());
    }
}

fn rotates(world: &World) -> usize {
    world.simulator.count(Operation::Rotate)
}

#[test]
fn what_no_rule_finishes_is_loud_in_each_format() {
    let world = with(aged(100));
    configure(&world, "", &[(ID, "command:exit 7")]);
    assert_ended(&keep(&world, &[]), 1, &["could not store the new secret"]);
    let entry = format!("rotate-{ID}");
    configure(&world, "", &[]);
    for arguments in [
        &[][..],
        &["--quiet"],
        &["--dry-run"],
        &["-o", "json"],
        &["-o", "jsonl", "--quiet"],
    ] {
        fs::write(world.path("paged"), "").unwrap();
        let ran = keep(&world, arguments);
        let said = [
            "no rule of the configuration file",
            "journal finish",
            &entry,
        ];
        assert_ended(&ran, 1, &said);
        let is_paged = read(&world.path("paged")).contains("no rule");
        assert_eq!(is_paged, !arguments.contains(&"--dry-run"));
        if arguments.contains(&"-o") {
            assert!(ran.stdout.contains(ID), "{}", ran.shown());
        }
    }
    // Nor is the account any more in the file.
    let file = read(&world.path("keep.toml")).replace(world.simulator.account_id(), "other");
    fs::write(world.path("keep.toml"), file).unwrap();
    let said = ["its account is not in the configuration file", &entry];
    assert_ended(&keep(&world, &["--quiet"]), 1, &said);
    assert_eq!(rotates(&world), 1);

    configure(&world, "", &[(ID, "env-file:deploy.env")]);
    assert_ended(&keep(&world, &[]), 0, &[]);
    let secret = secrets_in(&read(&world.path("deploy.env"))).remove(0);
    assert!(world.opens(&secret) && world.opens(OLD_SECRET));
    assert_eq!(rotates(&world), 1);
}

#[test]
fn a_dry_run_fails_where_the_run_would() {
    let world = with(aged(100));
    configure(&world, "", &[(ID, "command:cat > got")]);
    let lost = Injection::new(Fault::ResetAfterRequest).on(Operation::Rotate);
    world.simulator.inject(lost.taking_effect());
    assert_eq!(keep(&world, &[]).code, Some(1));
    let before = read(&world.record());
    assert_ended(&keep(&world, &["--dry-run"]), 1, &["may still take effect"]);
    world.advance(TimeDelta::minutes(6));
    let said = ["may have taken effect", "--end-grace", "works until"];
    assert_ended(&keep(&world, &["--dry-run"]), 1, &said);
    assert_eq!(read(&world.record()), before);
    assert_ended(&keep(&world, &[]), 1, &said);
    world.advance(TimeDelta::days(7));
    assert_ended(&keep(&world, &["--dry-run"]), 5, &[]);
    assert_ended(&keep(&world, &[]), 1, &["was lost", "rotated again"]);
    assert!(world.opens(&read(&world.path("got"))));
    assert_eq!(rotates(&world), 2);
}

#[test]
fn a_dry_run_reports_the_rotate_of_somebody_else() {
    let world = World::with(Simulator::builder().token(aged(10)).lenient_answers());
    configure(&world, "", &[(ID, "command:cat > got")]);
    assert_ended(&keep(&world, &[]), 0, &[]);
    let elsewhere = [
        "--journal",
        "elsewhere",
        "rotate",
        ID,
        "--secret-to",
        "secret",
    ];
    assert_eq!(world.run(&elsewhere).code, Some(0));
    let said = ["something else has rotated the token"];
    assert_ended(&keep(&world, &["--dry-run"]), 1, &said);
    assert_ended(&keep(&world, &[]), 1, &said);
    assert_eq!(rotates(&world), 1);
}

#[test]
fn a_token_that_nobody_can_use_is_not_rotated_nor_planned_to_be() {
    let expired = known_token()
        .created_at(Utc::now() - TimeDelta::days(400))
        .expires_in(TimeDelta::days(-3));
    let excluded = format!("except = [{ID:?}]");
    for (token, keys, why) in [
        (aged(100).disabled(), "", "disabled"),
        (expired, &*excluded, "expired"),
    ] {
        let world = with(token);
        configure(&world, keys, &[(ID, "command:cat > got")]);
        for arguments in [&["--dry-run"][..], &[]] {
            let ran = keep(&world, arguments);
            assert_ended(&ran, 0, &[]);
            assert!(ran.stdout.contains(why), "{}", ran.shown());
        }
        assert_eq!(rotates(&world), 0);
    }
}

#[test]
fn the_age_of_a_disabled_token_is_counted_all_the_same() {
    let world = with(aged(60).disabled());
    configure(&world, "", &[(ID, "command:cat > got")]);
    assert_ended(&keep(&world, &[]), 0, &[]);
    world.advance(TimeDelta::days(31));
    // This moves the only date that the API shows.
    assert_eq!(world.run(&["enable", ID]).code, Some(0));
    assert_ended(&keep(&world, &[]), 0, &[]);
    assert_eq!(rotates(&world), 1);
}

#[test]
fn the_secret_of_a_token_that_was_disabled_still_arrives() {
    let world = with(aged(100));
    configure(&world, "", &[(ID, "command:exit 7")]);
    assert_eq!(keep(&world, &[]).code, Some(1));
    assert_eq!(world.run(&["disable", ID]).code, Some(0));
    assert_ended(&keep(&world, &[]), 1, &["could not store the new secret"]);
    configure(&world, "", &[(ID, "command:cat > got")]);
    assert_ended(&keep(&world, &["--dry-run"]), 5, &[]);
    assert_ended(&keep(&world, &[]), 0, &[]);
    assert_eq!(secrets_in(&read(&world.path("got"))).len(), 1);
    assert_eq!(rotates(&world), 1);
}

#[test]
fn first_sight_is_before_the_renewal() {
    let created_at = Utc::now() - TimeDelta::days(60);
    let token = known_token().created_at(created_at);
    let world = with(token.expires_in(TimeDelta::days(3)));
    configure(&world, "", &[(ID, "command:cat > got")]);
    // The renewal takes effect, and ends the pass before the rules are followed.
    for operation in [Operation::Refresh, Operation::Update] {
        let refused = Injection::new(Fault::Status(401)).on(operation);
        world.simulator.inject(refused.taking_effect());
    }
    assert_ne!(keep(&world, &["--dry-run"]).code, Some(0));
    assert!(!world.journal().exists());
    let failed = keep(&world, &[]);
    assert_ne!(failed.code, Some(0), "{}", failed.shown());
    assert!(failed.stdout.contains("not tried"), "{}", failed.shown());
    let shown = world.run(&["show", ID]).stdout;
    assert!(shown.contains("at least 60 days old"), "{shown}");
}

#[test]
fn two_rules_of_one_token_are_refused() {
    let world = with(aged(100));
    let rules = [
        (ID, "command:cat > first"),
        ("Grafana scraper", "command:cat > second"),
        (CLIENT_ID, "command:cat > third"),
    ];
    configure(&world, "", &rules);
    for arguments in [&["--dry-run"][..], &[]] {
        assert_ended(&keep(&world, arguments), 1, &["names the same token"]);
    }
    let doctor = world
        .command()
        .env_remove("CLOUDFLARE_ACCOUNT_ID")
        .args(["doctor", "--config", "keep.toml"])
        .output()
        .unwrap();
    let doctor = Ran::from(doctor);
    assert_eq!(doctor.code, Some(1), "{}", doctor.shown());
    assert!(
        doctor.stdout.contains("name the same token"),
        "{}",
        doctor.shown()
    );
    assert_eq!(rotates(&world), 0);
}

#[test]
fn without_an_answer_the_exit_code_is_that_of_the_pass() {
    let world = with(aged(100));
    configure(&world, "", &[(ID, "command:cat > got")]);
    let mut command = command(&world, &[]);
    let refused = Ran::of(command.env("CLOUDFLARE_API_TOKEN", "x".repeat(40)));
    assert_ended(&refused, 3, &[]);
}

#[test]
fn an_account_without_a_token_file_is_loud_and_the_others_are_kept() {
    let world = with(aged(100));
    configure(&world, "", &[(ID, "command:cat > got")]);
    let file = read(&world.path("keep.toml"));
    let other = "[[account]]\nname = \"gone\"\nid = \"a2\"\napi_token_file = \"none\"\n";
    fs::write(world.path("keep.toml"), format!("{other}{file}")).unwrap();
    for arguments in [&["--dry-run"][..], &["-o", "json"]] {
        assert_ended(&keep(&world, arguments), 1, &["gone", "none"]);
    }
    assert!(read(&world.path("paged")).contains("gone"));
    assert!(world.opens(&read(&world.path("got"))));
}

#[test]
fn a_name_that_moves_to_another_token_is_not_followed() {
    let world = with(aged(100));
    configure(&world, "", &[("Grafana scraper", "command:cat > got")]);
    assert_ended(&keep(&world, &[]), 0, &[]);
    world.advance(TimeDelta::days(91));
    assert_eq!(world.run(&["update", ID, "--name", "old"]).code, Some(0));
    let gone = ["no token with the id, client id or name"];
    assert_ended(&keep(&world, &[]), 1, &gone);
    let create = ["create", "Grafana scraper", "--secret-to", "secret"];
    assert_eq!(world.run(&create).code, Some(0));
    world.advance(TimeDelta::days(91));
    for arguments in [&["--dry-run"][..], &[]] {
        assert_ended(
            &keep(&world, arguments),
            1,
            &["another token now has the name", "discard name-"],
        );
    }
    assert_eq!(rotates(&world), 1);
}

#[test]
fn after_a_signal_no_other_rotation_begins() {
    let other = SeedToken::new("other").id("08c8f3bd-ea01-452b-a26c-9c2bcd8257a1");
    let other = other.created_at(Utc::now() - TimeDelta::days(100));
    let builder: SimulatorBuilder = Simulator::builder().token(aged(100)).token(other);
    let world = World::with(builder);
    let sink = "command:cat > got; kill -TERM $PPID; while ! test -e seen; do :; done";
    let rules = [(ID, sink), ("other", "command:cat > other")];
    configure(&world, "", &rules);
    let mut child = command(&world, &[]);
    let child = child.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = "waiting until the new secret is in its sink";
    assert!(stderr.any(|line| line.unwrap().contains(waits)));
    fs::write(world.path("seen"), "").unwrap();
    let said: String = stderr.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    assert_eq!(rotates(&world), 1);
    assert!(world.opens(&read(&world.path("got"))));
    assert_eq!(world.journal_text(), "");
    assert_eq!(keep(&world, &[]).code, Some(0));
    assert_eq!(rotates(&world), 2);
}

#[test]
fn a_watcher_of_several_accounts_says_which_names_no_token_has() {
    let builder = Simulator::builder().token(aged(10));
    let other = SeedToken::new("other").expires_in(TimeDelta::days(200));
    let world = World::with(builder.account(SeedAccount::new("a2").token(other)));
    configure(&world, "except = [\"nobody\"]", &[]);
    let file = read(&world.path("keep.toml"));
    let other =
        "[[account]]\nname = \"two\"\nid = \"a2\"\napi_token_env = \"CLOUDFLARE_API_TOKEN\"\n";
    fs::write(world.path("keep.toml"), format!("{other}{file}")).unwrap();
    let mut child = command(&world, &["--watch"]);
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stdout.take().unwrap()).lines();
    let of_prod = log
        .map(Result::unwrap)
        .filter(|line| line.contains("prod ("));
    let before = |line: &String| !line.contains("next pass");
    let of_pass: Vec<String> = of_prod.take_while(before).collect();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(of_pass.concat().contains("\"nobody\""), "{of_pass:?}");
}

#[test]
fn rules_need_a_journal_that_survives_a_restart() {
    // In memory on each Linux that has it.
    let Ok(memory) = tempfile::TempDir::new_in("/dev/shm") else {
        return;
    };
    let world = with(aged(100));
    let mut rules = vec![(ID, "command:cat > got")];
    for code in [2, 0] {
        configure(&world, "", &rules);
        let mut command = command(&world, &[]);
        command
            .env_remove("CF_SERVICE_TOKENS_JOURNAL")
            .env("XDG_STATE_HOME", memory.path());
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, Some(code), "{}", ran.shown());
        let is_refused = ran.stderr.contains("does not survive a restart");
        assert_eq!(is_refused, code == 2, "{}", ran.shown());
        rules.clear();
    }
    assert_eq!(rotates(&world), 0);
    assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 0);
}

#[test]
fn with_too_few_tokens_the_listed_ones_are_kept_and_the_run_fails() {
    let world = with(aged(100));
    configure(&world, "expect_at_least = 2", &[(ID, "command:cat > got")]);
    let said = ["the configuration file expects at least 2"];
    assert_ended(&keep(&world, &["--dry-run"]), 1, &said);
    assert_ended(&keep(&world, &["--quiet"]), 1, &said);
    assert!(world.opens(&read(&world.path("got"))));
}

/// The operator has a file, and no command line with options.
#[test]
fn messages_name_the_keys_of_the_file_and_the_next_keep() {
    let world = with(aged(100));
    configure(&world, "", &[(ID, "env-file:missing/grafana.env")]);
    let ran = keep(&world, &[]);
    assert_ended(&ran, 1, &["or use another secret_to"]);
    assert!(!ran.stderr.contains("--secret-to"), "{}", ran.shown());

    configure(&world, "", &[(ID, "command:exit 7")]);
    let said = [
        "the secret is safe in the journal; fix the sink, or set another secret_to: the next `keep` \
         delivers the secret",
        "cf-service-tokens journal finish",
    ];
    for _ in 0..2 {
        let ran = keep(&world, &[]);
        assert_ended(&ran, 1, &said);
        assert!(!ran.stderr.contains("--secret-to"), "{}", ran.shown());
    }

    // The app fails, and each cause has a line of its own.
    let sink = "secret_to = \"grafana.env\"\nverify = \"http://127.0.0.1:1/\"\n";
    let id = world.simulator.account_id();
    let file = format!("[[account]]\nname = \"prod\"\nid = {id:?}\n{RULE}token = {ID:?}\n{sink}");
    fs::write(world.path("keep.toml"), file).unwrap();
    let ran = keep(&world, &[]);
    assert_ended(&ran, 1, &["the next `keep` verifies the secret again"]);
    for line in ran.stderr.lines() {
        assert!(line.matches("cause: ").count() <= 1, "{}", ran.shown());
    }
}

#[test]
fn a_watcher_advises_the_keys_of_the_file() {
    let expired = known_token().expires_in(TimeDelta::days(-60));
    let world = with(expired);
    configure(&world, "", &[]);
    let mut watching = command(&world, &["--watch"]);
    let mut watching = watching
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(watching.stdout.take().unwrap()).lines();
    let line = log
        .find(|line| line.as_ref().unwrap().contains("not renewed"))
        .unwrap()
        .unwrap();
    kill(
        Pid::from_raw(watching.id().try_into().unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    watching.wait().unwrap();
    assert!(line.contains("include_expired = true"), "{line}");
    assert!(!line.contains("--include-expired"), "{line}");
}
