//! The configuration file: what it means, and what a mistake in it is told.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cf_service_tokens_simulator::{SeedAccount, SeedApiToken, SeedToken, Simulator};
use chrono::TimeDelta;
use serde_json::Value;
use support::{Ran, World, command};
use tempfile::TempDir;

const ACCOUNT: &str = "\
[[account]]
name = \"prod\"
id = \"023e105f4ecef8ad9ca31a8372d0c353\"
";
const RULE: &str = "\
[[account.rotate]]
token = \"deploy\"
every = \"90d\"
secret_to = \"env-file:deploy.env\"
";
/// Of the form of an API token, and of none.
const API_TOKEN: &str = "YQSn-xWAQiiEh9qM58wZNnyQS7FUdoqGIUAbrh7T";

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

/// Runs `doctor` on a configuration file.
fn doctor(text: &str) -> Ran {
    let directory = TempDir::new().unwrap();
    write(&directory.path().join("keep.toml"), text);
    let mut doctor = command();
    doctor.current_dir(directory.path());
    Ran::of(doctor.args(["doctor", "--config", "keep.toml"]))
}

#[test]
fn twenty_mistakes_of_a_new_user() {
    let in_account = |line: &str| format!("{ACCOUNT}{line}\n");
    let in_rule = |line: &str| format!("{ACCOUNT}{RULE}{line}\n");
    let rule = |from: &str, to: &str| format!("{ACCOUNT}{}", RULE.replace(from, to));
    let mistakes = [
        ("a span without quotes", in_account("within = 30d")),
        ("a span without a unit", in_account("within = \"30\"")),
        ("YAML", "account:\n  - name: prod\n".to_owned()),
        (
            "an open quote",
            in_account("api_token_file = \"/run/secrets/cf"),
        ),
        (
            "one bracket instead of two",
            ACCOUNT.replace("[[account]]", "[account]"),
        ),
        (
            "a misspelt key",
            in_account("excpet = [\"legacy jenkins\"]"),
        ),
        ("a misspelt table", ACCOUNT.replace("account", "accounts")),
        (
            "a key of another program",
            ACCOUNT.replace("id =", "account_id ="),
        ),
        (
            "a key below the wrong line",
            in_rule("except = [\"backup\"]"),
        ),
        ("no id", "[[account]]\nname = \"prod\"\n".to_owned()),
        (
            "a name as the id",
            ACCOUNT.replace("023e105f4ecef8ad9ca31a8372d0c353", "My account"),
        ),
        (
            "an id that was not copied as a whole",
            ACCOUNT.replace("023e105f4ecef8ad", "023e105f4ecef8a"),
        ),
        (
            "the id of a token",
            ACCOUNT.replace(
                "023e105f4ecef8ad9ca31a8372d0c353",
                "f174e90a-fafe-4643-bbbc-4a0ed4fc8415",
            ),
        ),
        ("a window that is too long", in_account("within = \"365d\"")),
        ("no program", in_rule("then = [\"\"]")),
        ("a number in quotes", in_account("expect_at_least = \"12\"")),
        (
            "a string instead of a list",
            in_account("only = \"deploy\""),
        ),
        (
            "the API token itself",
            in_account(&format!("api_token = \"{API_TOKEN}\"")),
        ),
        (
            "the API token as a file",
            in_account(&format!("api_token_file = \"{API_TOKEN}\"")),
        ),
        (
            "a key for the API token",
            in_account("api_token = \"changeme\""),
        ),
        (
            "two sources of the API token",
            in_account("api_token_file = \"a\"\napi_token_env = \"B\""),
        ),
        (
            "a value as the name of a variable",
            in_account("api_token_env = \"$CF_TOKEN\""),
        ),
        (
            "a path for a shell",
            in_account("api_token_file = \"~/cf-prod\""),
        ),
        ("the same account twice", format!("{ACCOUNT}{ACCOUNT}")),
        (
            "the same token twice",
            format!("{ACCOUNT}{RULE}{}", RULE.replace("deploy.env", "other.env")),
        ),
        (
            "the same sink twice",
            format!("{ACCOUNT}{RULE}{}", RULE.replace("\"deploy\"", "\"other\"")),
        ),
        (
            "a sink that does not last",
            rule("env-file:deploy.env", "stdout"),
        ),
        (
            "a sink of another program",
            rule("env-file:deploy.env", "vault:secret/app"),
        ),
        ("months", rule("90d", "3mo")),
        ("a grace as long as the rule", in_rule("grace = \"90d\"")),
        ("a grace that is too short", in_rule("grace = \"0\"")),
        (
            "a URL without its scheme",
            in_rule("verify = \"app.example.com\""),
        ),
        (
            "an app without TLS",
            in_rule("verify = \"http://app.example.com\""),
        ),
        (
            "a command line as one string",
            in_rule("then = \"systemctl reload deploy\""),
        ),
        (
            "a command line as one word",
            in_rule("then = [\"systemctl reload deploy\"]"),
        ),
        (
            "a URL to ping",
            format!("{ACCOUNT}[notify]\nping_file = \"https://hc.example.com/s3cr3t\"\n"),
        ),
        (
            "a sink that another key reads",
            format!("{ACCOUNT}{RULE}[notify]\nping_file = \"deploy.env\"\n"),
        ),
        (
            "several at once",
            in_account("within = 30\nincude_expired = true\nonly = []"),
        ),
    ];
    let mut shown = String::new();
    for (title, text) in &mistakes {
        let ran = doctor(text);
        assert_eq!(ran.code, Some(2), "{title}: {}", ran.shown());
        assert_eq!(ran.stdout, "", "{title}");
        let count = |start| {
            ran.stderr
                .lines()
                .filter(|line| line.starts_with(start))
                .count()
        };
        assert_eq!(
            count("error: "),
            count("   next: "),
            "{title}: {}",
            ran.shown()
        );
        for secret in [API_TOKEN, "changeme", "s3cr3t"] {
            assert!(!ran.stderr.contains(secret), "{title}: {}", ran.shown());
        }
        for foreign in [
            "serde",
            "TOML parse",
            "invalid type",
            "unknown field",
            "expected one of",
        ] {
            assert!(!ran.stderr.contains(foreign), "{title}: {}", ran.shown());
        }
        shown += &format!("# {title}\n{}\n", ran.stderr);
    }
    assert_shown!("twenty-mistakes", shown.trim_end());
}

#[test]
fn a_file_that_others_can_write_is_refused() {
    let directory = TempDir::new().unwrap();
    let inner = directory.path().join("etc");
    let file = inner.join("keep.toml");
    fs::create_dir(&inner).unwrap();
    write(&file, ACCOUNT);
    let chmod =
        |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let run = |path: &Path| Ran::of(command().args(["doctor", "--config"]).arg(path));
    // Nothing is wrong with it, but there is no API token.
    assert_eq!(run(&file).code, Some(3), "{}", run(&file).shown());

    let mut shown = String::new();
    let mut refuse = |title: &str, path: &Path| {
        let ran = run(path);
        assert_eq!(ran.code, Some(2), "{title}: {}", ran.shown());
        shown += &format!("# {title}\n{}\n", ran.stderr);
    };
    chmod(&file, 0o602);
    refuse("the file", &file);
    chmod(&file, 0o600);
    chmod(&inner, 0o1777);
    refuse("its directory, even if it is sticky", &file);
    chmod(&inner, 0o700);
    chmod(directory.path(), 0o777);
    refuse("a directory above it", &file);
    chmod(directory.path(), 0o1777);
    assert_eq!(run(&file).code, Some(3), "{}", run(&file).shown());
    chmod(directory.path(), 0o700);

    let open = directory.path().join("open");
    fs::create_dir(&open).unwrap();
    std::os::unix::fs::symlink(&file, open.join("link.toml")).unwrap();
    assert_eq!(run(&open.join("link.toml")).code, Some(3));
    chmod(&open, 0o777);
    refuse("the directory of a link to it", &open.join("link.toml"));

    refuse("a directory", &inner);
    refuse("no file", &inner.join("no.toml"));
    refuse("a pipe", Path::new("/dev/null"));
    fs::write(&file, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    refuse("a large file", &file);
    fs::write(&file, b"name = \"\xff\"").unwrap();
    refuse("not text", &file);
    assert_shown!("untrusted", shown.trim_end());
}

#[test]
fn the_file_and_options_that_name_accounts_exclude_each_other() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("keep.toml");
    write(&file, "nonsense");
    let mut shown = String::new();
    for arguments in [
        &["report", "--config", "keep.toml", "--account", "a1"][..],
        &["doctor", "--all-accounts", "--config", "keep.toml"],
        &["--simulate", "report", "--config", "keep.toml"],
    ] {
        let ran = Ran::of(command().current_dir(directory.path()).args(arguments));
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        shown += &format!("$ {}\n{}\n", arguments.join(" "), ran.stderr);
    }
    assert_shown!("with-other-options", shown.trim_end());

    let with_variable = |value: &Path, arguments: &[&str]| {
        let mut command = command();
        Ran::of(
            command
                .env("CF_SERVICE_TOKENS_CONFIG", value)
                .args(arguments),
        )
    };
    // An option on the command line takes precedence over the variable.
    let ran = with_variable(&file, &["--simulate", "report"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let ran = with_variable(&file, &["report"]);
    assert!(ran.stderr.contains("keep.toml, line 1"), "{}", ran.shown());
    // An empty variable counts as unset.
    let ran = with_variable(Path::new(""), &["report"]);
    assert!(ran.stderr.contains("no API token given"), "{}", ran.shown());
}

/// Two accounts that each have an API token, and a third one with that of the first.
fn three() -> World {
    let due = |id: &str| {
        SeedToken::new(format!("{id} of all"))
            .id(id)
            .expires_in(TimeDelta::days(40))
    };
    let world = World::with(
        Simulator::builder()
            .account_id("a1")
            .token(due("t1"))
            .token(
                SeedToken::new("legacy jenkins")
                    .id("t2")
                    .expires_in(TimeDelta::days(3)),
            )
            .account(SeedAccount::new("a2").token(due("t3")))
            .account(SeedAccount::new("a3").token(due("t4")))
            .api_token(
                SeedApiToken::new("token-of-prod")
                    .account("a1")
                    .account("a3"),
            )
            .add_api_token(SeedApiToken::new("token-of-test").account("a2")),
    );
    write(&world.directory.path().join("prod"), "token-of-prod\n");
    write(
        &world.directory.path().join("keep.toml"),
        "\
within = \"45d\"

[[account]]
name = \"prod\"
id = \"a1\"
api_token_file = \"prod\"
except = [\"legacy jenkins\"]
expect_at_least = 3

[[account]]
name = \"test\"
id = \"a2\"
api_token_env = \"TEST_TOKEN\"
within = \"14d\"
[[account.rotate]]
token = \"somebody\"
every = \"90d\"
secret_to = \"somebody.secret\"

[[account]]
name = \"lab\"
id = \"a3\"
api_token_file = \"prod\"
expect_at_least = 1
[[account.rotate]]
token = \"nobody\"
every = \"90d\"
secret_to = \"nobody.secret\"
",
    );
    world
}

/// Runs a command on the file, without credentials in the environment but that of `test`.
fn on_file(world: &World, arguments: &[&str]) -> Ran {
    let mut command = world.command();
    command
        .env_remove("CLOUDFLARE_API_TOKEN")
        .env_remove("CLOUDFLARE_ACCOUNT_ID")
        .env("TEST_TOKEN", "token-of-test")
        .args(arguments)
        .args(["--config", "keep.toml"]);
    Ran::of(&mut command)
}

fn json(ran: &Ran) -> Vec<Value> {
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_report_goes_by_the_rules_and_the_credentials_of_each_account() {
    let world = three();
    let ran = on_file(&world, &["report", "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let tokens = json(&ran);
    let state = |id: &str| {
        let token = tokens.iter().find(|token| token["id"] == id).unwrap();
        format!("{} {}", token["account_name"], token["state"])
    };
    assert_eq!(state("t1"), "\"prod\" \"due\"");
    assert_eq!(state("t2"), "\"prod\" \"excluded\"");
    assert_eq!(state("t3"), "\"test\" \"active\"");
    assert_eq!(state("t4"), "\"lab\" \"due\"");

    // The option replaces the windows of the file.
    let ran = on_file(&world, &["report", "--within", "7d"]);
    assert!(
        ran.stdout.contains("All 4 tokens are fine"),
        "{}",
        ran.shown()
    );
    assert_shown!("report", on_file(&world, &["report"]).shown());
    let ran = on_file(&world, &["report", "--within", "7d", "--check"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
}

#[test]
fn the_doctor_checks_the_file_too() {
    let world = three();
    let ran = on_file(&world, &["doctor"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_shown!("doctor", ran.shown());
}

#[test]
fn an_account_without_credentials_does_not_stop_the_others() {
    let world = three();
    fs::remove_file(world.directory.path().join("prod")).unwrap();
    let ran = on_file(&world, &["report"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(ran.stdout.contains("t3 of all"), "{}", ran.shown());
    assert_shown!("report-without-credentials", ran.shown());
    let ran = on_file(&world, &["doctor", "-o", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    let checks = json(&ran);
    let failed = checks.iter().filter(|check| check["status"] == "failure");
    let failed: Vec<_> = failed
        .map(|check| (&check["account_name"], &check["check"]))
        .collect();
    let (api_token, rules) = (Value::from("api token"), Value::from("rules"));
    let [test, prod, lab] = ["test", "prod", "lab"].map(Value::from);
    let expected = [(&test, &rules), (&prod, &api_token), (&lab, &api_token)];
    assert_eq!(failed, expected);
}

#[test]
fn an_option_that_no_account_needs_is_refused() {
    let world = three();
    let ran = on_file(&world, &["report", "--api-token-file", "prod"]);
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert!(
        ran.stderr.contains("no account uses --api-token-file prod"),
        "{}",
        ran.shown()
    );
}

#[test]
fn the_environment_has_the_credentials_of_an_account_without_its_own() {
    let world = three();
    let file = world.directory.path().join("keep.toml");
    let text = fs::read_to_string(&file).unwrap();
    write(&file, &text.replace("api_token_env = \"TEST_TOKEN\"\n", ""));
    let mut command = world.command();
    command.env("CLOUDFLARE_API_TOKEN", "token-of-test");
    let ran = Ran::of(command.args(["report", "--config", "keep.toml"]));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    for id in ["t1 of all", "t3 of all", "t4 of all"] {
        assert!(ran.stdout.contains(id), "{}", ran.shown());
    }
}

#[test]
fn accounts_with_the_same_api_token_share_its_rate_limit() {
    let world = World::with(
        Simulator::builder()
            .account_id("a1")
            .account(SeedAccount::new("a2"))
            .account(SeedAccount::new("a3"))
            .api_token(
                SeedApiToken::new("token-of-prod")
                    .account("a1")
                    .account("a3"),
            )
            .add_api_token(SeedApiToken::new("token-of-test").account("a2"))
            .enforce_rate_limit(5, TimeDelta::minutes(5)),
    );
    let file = |name: &str| world.directory.path().join(name);
    write(&file("prod"), "token-of-prod");
    write(&file("copy"), "token-of-prod");
    write(
        &file("keep.toml"),
        "\
[[account]]
name = \"prod\"
id = \"a1\"
api_token_file = \"prod\"
[[account]]
name = \"lab\"
id = \"a3\"
api_token_file = \"copy\"
[[account]]
name = \"test\"
id = \"a2\"
api_token_env = \"TEST_TOKEN\"
",
    );
    let ran = on_file(&world, &["doctor", "--deadline", "1s", "-o", "json"]);
    let requests = world.simulator.requests();
    let of = |account: &str| {
        let paths = requests.iter().map(|request| &request.path);
        paths.filter(|path| path.contains(account)).count()
    };
    // The first account uses the limit up, so that the second one sends nothing at all.
    assert!(of("/a1/") >= 3 && of("/a2/") >= 3, "{}", ran.shown());
    assert_eq!(of("/a3/"), 0, "{}", ran.shown());
    assert_eq!(of("/tokens/verify"), 2, "{}", ran.shown());
}

/// The part of the README that is a configuration file.
fn example() -> String {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    rest.split("```").next().unwrap().to_owned()
}

#[test]
fn the_example_of_the_readme_can_be_used() {
    let ran = doctor(&example());
    // It has no mistake, but its files with API tokens are not there.
    assert_eq!(ran.code, Some(3), "{}", ran.shown());
    assert!(
        ran.stderr
            .contains("can't read the API token from /run/secrets/cf-prod"),
        "{}",
        ran.shown()
    );
}

#[test]
fn the_schema_describes_the_file() {
    let ran = Ran::of(command().arg("config-schema"));
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let schema: Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("keep.json", schema).unwrap();
    let schema = compiler.compile("keep.json", &mut schemas).unwrap();
    let is_valid = |text: &str| {
        let file: Value = toml::from_str(text).unwrap();
        schemas.validate(&file, schema).is_ok()
    };
    assert!(is_valid(&example()));
    let account = |line: &str| format!("{ACCOUNT}{line}\n");
    let rule = |from: &str, to: &str| format!("{ACCOUNT}{}", RULE.replace(from, to));
    let sound = account("only = [\"deploy\"]\nexpect_at_least = 1") + RULE;
    assert!(is_valid(&sound));
    assert_eq!(doctor(&sound).code, Some(3));
    for text in [
        String::new(),
        ACCOUNT.replace("account", "accounts"),
        ACCOUNT.replace("[[account]]", "[account]"),
        ACCOUNT.replace("name = \"prod\"\n", ""),
        ACCOUNT.replace("prod", ""),
        ACCOUNT.replace("023e", "My account"),
        account("excpet = []"),
        account("only = []"),
        account("only = \"deploy\""),
        account("expect_at_least = 0"),
        account("expect_at_least = \"12\""),
        account("include_expired = \"yes\""),
        account("within = 30"),
        account("api_token_env = \"$TOKEN\""),
        account("api_token_env = \"TOKEN\"\napi_token_file = \"token\""),
        rule("env-file:deploy.env", "stdout"),
        rule("every = \"90d\"\n", ""),
        rule("every", "then = []\nevery"),
        rule("every", "verify = \"app.example.com\"\nevery"),
        account("[notify]\nping_env = \"URL\"\nping_file = \"url\""),
        account("[notify]\non_failure = \"page\""),
    ] {
        assert!(!is_valid(&text), "{text}");
        assert_eq!(doctor(&text).code, Some(2), "{text}");
    }
}
