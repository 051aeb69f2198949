//! Each recipe of docs/sinks.md brings the secret to where it says, and nowhere else. The
//! programs are stand-ins, which record what they are given.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use support::{CLIENT_ID, Ran, World, read, secrets_in};

/// The name of the token on the simulator.
const TOKEN: &str = "Grafana scraper";

/// The programs of the recipes.
const PROGRAMS: [&str; 8] = [
    "aws",
    "gh",
    "jq",
    "kubectl",
    "op",
    "systemctl",
    "systemd-creds",
    "vault",
];

/// What stands before that which a program reads, or a file holds.
const GETS: &str = "  gets: ";

struct Recipe {
    heading: String,
    rule: String,
    secret_to: String,
}

/// The recipes of the document; none in the published package.
fn recipes() -> Vec<Recipe> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sinks.md");
    let Ok(document) = fs::read_to_string(path) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for section in document.split("\n## ").skip(1) {
        for block in section.split("```toml\n").skip(1) {
            let rule = block.split("```").next().unwrap().to_owned();
            let table: toml::Table = rule.parse().unwrap();
            let rules = table["account"]["rotate"].as_array().unwrap();
            found.push(Recipe {
                heading: section.lines().next().unwrap().to_owned(),
                secret_to: rules[0]["secret_to"].as_str().unwrap().to_owned(),
                rule,
            });
        }
    }
    found
}

/// A directory with the stand-ins. One reads its standard input, and a file that an argument
/// names, and records its environment, its arguments and what it read. Those that others
/// read from write that again.
fn stand_ins(world: &World) -> PathBuf {
    let directory = world.path("bin");
    fs::create_dir(&directory).unwrap();
    for program in PROGRAMS {
        let path = directory.join(program);
        let records = world.directory.path().display();
        let script = format!(
            r#"#!/bin/sh
case " $* " in
*' /dev/fd/3 '*) read=$(cat /dev/fd/3 -) ;;
*) read=$(cat) ;;
esac
env >>{records}/environment
printf '%s\n{GETS}%s\n' "{program} $*" "$read" >>{records}/calls
case "{program} $1" in
'kubectl create' | jq*) printf %s "$read" ;;
systemd-creds*) printf %s "$read" >"$4" ;;
esac
"#
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

/// Rotates by a recipe, with its files in a directory of the test's own.
fn follow(world: &World, recipe: &Recipe) -> Ran {
    let root = world.path("root");
    for directory in ["etc/deploy", "etc/credstore.encrypted"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let placed = |text: &str| text.replace("/etc/", &format!("{}/etc/", root.display()));
    let mut path = stand_ins(world).into_os_string();
    path.push(":");
    path.push(env::var_os("PATH").unwrap());

    // The rule is one that the configuration file takes.
    let config = format!(
        "[[account]]\nname = \"prod\"\nid = \"{}\"\n{}",
        world.simulator.account_id(),
        placed(&recipe.rule).replace("\"deploy\"\nevery", &format!("\"{TOKEN}\"\nevery")),
    );
    fs::write(world.path("config.toml"), config).unwrap();
    let mut report = world.command();
    report.args(["report", "--config", "config.toml"]);
    report
        .env_remove("CLOUDFLARE_ACCOUNT_ID")
        .env("PATH", &path);
    let report = Ran::of(&mut report);
    assert_eq!(
        report.code,
        Some(0),
        "{}: {}",
        recipe.heading,
        report.shown()
    );

    let mut rotate = world.command();
    rotate.args(["rotate", TOKEN, "--secret-to", &placed(&recipe.secret_to)]);
    Ran::of(rotate.env("PATH", path))
}

/// What has come of a recipe, one line each: the calls and what they read, and the files.
fn outcome(world: &World) -> String {
    let root = world.path("root");
    let calls = read(&world.path("calls"));
    let files = [
        "/etc/deploy.env",
        "/etc/deploy/client-secret",
        "/etc/credstore.encrypted/deploy",
    ];
    let files = files.map(|path| (path, read(&root.join(&path[1..]))));
    let written = files.iter().filter(|(_, text)| !text.is_empty());
    let written = written.map(|(path, text)| format!("{path}\n{GETS}{}\n", text.trim_end()));
    let outcome = calls + &written.collect::<String>();
    outcome.replace(&root.display().to_string(), "")
}

#[test]
fn each_recipe_stores_the_secret_and_shows_it_to_nobody() {
    let recipes = recipes();
    let mut shown = String::new();
    for recipe in &recipes {
        let world = World::new();
        let ran = follow(&world, recipe);
        let heading = &recipe.heading;
        assert_eq!(ran.code, Some(0), "{heading}: {}", ran.shown());
        assert_eq!(
            world.journal_text(),
            "",
            "{heading}: the journal is cleared"
        );
        let outcome = outcome(&world);
        let is_content =
            |line: &&str| line.starts_with(GETS) || line.starts_with("CF_ACCESS_CLIENT_");
        let secrets: Vec<_> = outcome
            .lines()
            .filter(is_content)
            .flat_map(secrets_in)
            .collect();
        let secret = secrets.last().unwrap();
        assert!(world.opens(secret), "{heading}");
        let arguments: String = outcome.lines().filter(|line| !is_content(line)).collect();
        let environment = read(&world.path("environment"));
        for text in [&ran.shown(), &arguments, &environment] {
            assert!(!text.contains(secret), "{heading}: {text}");
        }
        assert!(!environment.contains(world.simulator.api_token()));
        shown += &format!(
            "{heading}\n{}",
            outcome.replace(secret, "SECRET").replace(" \n", "\n")
        );
    }
    // None in the published package.
    if recipes.is_empty() {
        return;
    }
    insta::assert_snapshot!(shown.replace(CLIENT_ID, "CLIENT_ID"), @r#"
    A file, and a reload
    /etc/deploy.env
      gets: CF_ACCESS_CLIENT_ID=CLIENT_ID
    CF_ACCESS_CLIENT_SECRET=SECRET
    A file, and a reload
    /etc/deploy/client-secret
      gets: SECRET
    systemd credentials
    systemd-creds encrypt --name=deploy - /etc/credstore.encrypted/.deploy.new
      gets: SECRET
    /etc/credstore.encrypted/deploy
      gets: SECRET
    A Kubernetes Secret
    kubectl create secret generic deploy --dry-run=client --output=yaml --from-literal=client-id=CLIENT_ID --from-file=client-secret=/dev/stdin
      gets: SECRET
    kubectl apply --server-side --force-conflicts --filename=-
      gets: SECRET
    A GitHub Actions secret
    gh secret set CF_ACCESS_CLIENT_SECRET --repo=OWNER/REPO
      gets: SECRET
    HashiCorp Vault
    vault kv put -mount=secret deploy client-id=CLIENT_ID client-secret=-
      gets: SECRET
    AWS Secrets Manager
    aws secretsmanager put-secret-value --secret-id=deploy --secret-string=file:///dev/stdin
      gets: SECRET
    1Password
    op item get deploy --vault=Ops --format=json
      gets:
    jq --rawfile secret /dev/fd/3
        (.fields | map(.label) | index("client secret") // error("no such field")) as $at |
        .fields[$at].value = $secret
      gets: SECRET
    op item edit deploy --vault=Ops
      gets: SECRET
    "#);
}

#[test]
fn a_program_that_fails_leaves_the_secret_in_the_journal() {
    for recipe in recipes() {
        let Some(command) = recipe.secret_to.strip_prefix("command:") else {
            continue;
        };
        let words: Vec<_> = command
            .split(|c: char| !(c.is_alphanumeric() || c == '-'))
            .collect();
        for program in PROGRAMS.iter().filter(|program| words.contains(program)) {
            let world = World::new();
            let broken = format!("#!/bin/sh\nexit 1 # {program}\n");
            let bin = stand_ins(&world);
            fs::write(bin.join(program), broken).unwrap();
            let mut path = bin.into_os_string();
            path.push(":");
            path.push(env::var_os("PATH").unwrap());
            let mut rotate = world.command();
            rotate.args(["rotate", TOKEN, "--secret-to", &recipe.secret_to]);
            let ran = Ran::of(rotate.env("PATH", path));
            let heading = &recipe.heading;
            assert_eq!(ran.code, Some(1), "{heading}, {program}: {}", ran.shown());
            let kept = secrets_in(&world.journal_text());
            assert!(world.opens(&kept[0]), "{heading}, {program}");
            assert!(!read(&world.record()).is_empty());
        }
    }
}
