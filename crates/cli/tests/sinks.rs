//! A new secret is brought to its sink, and to nowhere else.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cf_service_tokens_simulator::{Fault, Injection, Operation, WrongJson};
use support::{CLIENT_ID, ID, OLD_SECRET, World, read, secrets_in};

fn rotate(world: &World, sink: &str) -> support::Ran {
    let ran = world.run(&["rotate", ID, "--secret-to", sink, "-v"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(world.journal_text(), "", "the journal is cleared");
    ran
}

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let world = World::new();
    let path = world.path("secret");
    fs::write(&path, "a longer text than any secret ".repeat(9)).unwrap();
    // The leftovers of a crash get in the way of no later run.
    fs::write(world.path(".secret.cf-service-tokens.new"), "half").unwrap();
    let ran = rotate(&world, "file:secret");
    assert!(world.opens(&read(&path)));
    assert_eq!(mode(&world.journal()), 0o700);
    assert!(secrets_in(&ran.shown()).is_empty(), "{}", ran.shown());
    let left: Vec<_> = fs::read_dir(world.directory.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "journal")
        .collect();
    assert_eq!(left, ["secret"]);
}

#[test]
fn an_env_file_keeps_its_other_lines() {
    let world = World::new();
    fs::write(
        world.path("env"),
        "# deploy\nA=1\nCF_ACCESS_CLIENT_SECRET=old\n",
    )
    .unwrap();
    let ran = rotate(&world, "env-file:env");
    let text = read(&world.path("env"));
    let [secret] = &secrets_in(&text)[..] else {
        panic!("{text}");
    };
    assert!(world.opens(secret));
    let expected = format!(
        "# deploy\nA=1\nCF_ACCESS_CLIENT_SECRET={secret}\nCF_ACCESS_CLIENT_ID={CLIENT_ID}\n"
    );
    assert_eq!(text, expected);
    assert!(secrets_in(&ran.shown()).is_empty());

    let verified = world.run(&[
        "verify",
        "--env-file",
        "env",
        "--url",
        world.simulator.protected_url(),
    ]);
    assert_eq!(verified.code, Some(0), "{}", verified.shown());
    assert!(secrets_in(&verified.shown()).is_empty());
}

#[test]
fn a_command_reads_the_secret() {
    for command in [
        "cat >got; echo noise",
        "read got; printf %s \"$got\" >got; echo noise",
        "head -c 9 >got; cat >>got; echo noise",
    ] {
        let world = World::new();
        let ran = rotate(&world, &format!("command:{command}"));
        assert!(world.opens(&read(&world.path("got"))), "{}", ran.shown());
        assert!(ran.stdout.lines().all(|line| line != "noise"));
        assert!(ran.stderr.lines().any(|line| line == "noise"));
        assert!(secrets_in(&ran.shown()).is_empty());
    }
}

#[test]
fn a_command_that_did_not_read_the_secret_has_not_stored_it() {
    for (command, left) in [
        ("true", 54),
        ("sleep 0.1", 54),
        ("exec 3<&0; sleep 0 <&3; true", 54),
        ("exec <&-", 54),
        ("head -c 9 >part", 45),
        ("cat >got &", 54),
    ] {
        let world = World::new();
        let ran = world.run(&["rotate", ID, "--secret-to", &format!("command:{command}")]);
        assert_eq!(ran.code, Some(1), "{command}: {}", ran.shown());
        let unread = format!("left {left} bytes of the secret unread");
        assert!(ran.stderr.contains(&unread), "{command}: {}", ran.shown());
        let finish = format!("journal finish rotate-{ID}");
        assert!(ran.stderr.contains(&finish), "{command}: {}", ran.shown());
        let [secret] = &secrets_in(&world.journal_text())[..] else {
            panic!("{command}: {}", ran.shown());
        };
        assert!(world.opens(secret), "{command}");
    }
}

/// The environment of a command, without what a shell sets by itself.
fn environment(path: &std::path::Path) -> Vec<String> {
    let mut lines: Vec<_> = read(path).lines().map(str::to_owned).collect();
    lines.retain(|line| line.starts_with("CF_ACCESS_") || line.starts_with("CF_SERVICE_TOKEN_"));
    lines.sort();
    lines
}

#[test]
fn a_command_is_told_whose_secret_it_has() {
    let world = World::with(support::builder().lenient_answers());
    let mut command = world.command();
    let sink = "command:cat >got; env >environment; exit 7";
    command
        .args(["rotate", ID, "--grace", "2h", "--secret-to", sink])
        // As a command of another run would have it.
        .env("CF_SERVICE_TOKEN_NAME", "stale")
        .env("CF_ACCESS_CLIENT_SECRET", "stale");
    assert_eq!(support::Ran::of(&mut command).code, Some(1));
    let first = environment(&world.path("environment"));
    let [client_id, id, name, until, version] = &first[..] else {
        panic!("{first:?}");
    };
    assert_eq!(client_id, &format!("CF_ACCESS_CLIENT_ID={CLIENT_ID}"));
    assert_eq!(id, &format!("CF_SERVICE_TOKEN_ID={ID}"));
    assert_eq!(name, "CF_SERVICE_TOKEN_NAME=Grafana scraper");
    assert_eq!(version, "CF_SERVICE_TOKEN_SECRET_VERSION=2");
    let until = until
        .strip_prefix("CF_SERVICE_TOKEN_OLD_SECRET_UNTIL=")
        .unwrap();
    let until: chrono::DateTime<chrono::Utc> = until.parse().unwrap();
    let grace = until - chrono::Utc::now();
    assert!(grace <= chrono::TimeDelta::hours(2), "{grace}");
    assert!(grace > chrono::TimeDelta::minutes(119), "{grace}");

    // So is one that finishes an interrupted run.
    let finish = ["journal", "finish", &format!("rotate-{ID}"), "--secret-to"];
    let sink = "command:cat >got; env >environment";
    let finished = world.run(&[&finish[..], &[sink]].concat());
    assert_eq!(finished.code, Some(0), "{}", finished.shown());
    assert_eq!(environment(&world.path("environment")), first);

    // An unknown value is absent.
    let world = World::new();
    let mut command = world.command();
    command
        .args(["rotate", ID, "--revoke-now", "--secret-to", sink])
        .env("CF_SERVICE_TOKEN_SECRET_VERSION", "stale")
        .env("CF_SERVICE_TOKEN_OLD_SECRET_UNTIL", "stale");
    let ran = support::Ran::of(&mut command);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(environment(&world.path("environment")).len(), 3);

    // A new token has an id that only the answer tells.
    let created = world.run(&["create", "new", "--secret-to", sink]);
    assert_eq!(created.code, Some(0), "{}", created.shown());
    let id = format!("CF_SERVICE_TOKEN_ID={}", world.simulator.tokens()[1].id);
    assert!(environment(&world.path("environment")).contains(&id));
}

#[test]
fn a_command_gets_only_the_credentials_that_it_is_to_keep() {
    let credentials = [
        "CLOUDFLARE_API_TOKEN",
        "CLOUDFLARE_API_KEY",
        "CLOUDFLARE_EMAIL",
        "CF_ACCESS_CLIENT_SECRET",
    ];
    let sink = "command:cat >got; env >environment";
    for kept in [&[][..], &["CLOUDFLARE_API_TOKEN"], &credentials[..3]] {
        let world = World::new();
        fs::write(world.path("token"), world.simulator.api_token()).unwrap();
        let mut command = world.command();
        let arguments = ["rotate", ID, "--api-token-file", "token", "--secret-to"];
        command.args(arguments).arg(sink);
        for name in kept {
            command.args(["--keep-env", name]);
        }
        for name in credentials {
            command.env(name, "a-credential");
        }
        let ran = support::Ran::of(&mut command);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let environment = read(&world.path("environment"));
        assert!(environment.contains(CLIENT_ID), "{environment}");
        for name in credentials {
            let has_it = environment.contains(&format!("{name}=a-credential"));
            assert_eq!(has_it, kept.contains(&name), "{environment}");
        }
    }
    let world = World::new();
    for (sink, name) in [
        (sink, "CF_ACCESS_CLIENT_SECRET"),
        (sink, "PATH"),
        ("secret", "CLOUDFLARE_API_TOKEN"),
        ("stdout", "CLOUDFLARE_API_TOKEN"),
    ] {
        let ran = world.run(&["rotate", ID, "--secret-to", sink, "--keep-env", name]);
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(ran.stderr.contains("--keep-env"), "{}", ran.shown());
    }
    assert!(world.simulator.requests().is_empty());
}

#[test]
fn standard_output_has_the_secret_and_nothing_else() {
    for sink in ["stdout", "-"] {
        let world = World::new();
        let ran = rotate(&world, sink);
        assert!(world.opens(ran.stdout.trim_end()), "{}", ran.stdout);
        assert_eq!(ran.stdout.lines().count(), 1);
        assert!(ran.stderr.contains("is on standard output"));
        assert!(secrets_in(&ran.stderr).is_empty());
        assert!(!world.path("-").exists());
    }
}

#[test]
fn a_standard_output_that_keeps_nothing_is_refused() {
    let world = World::new();
    fs::write(world.path("file"), "").unwrap();
    let redirected = |path: &str| {
        let file = fs::File::options().write(true).open(path).unwrap();
        std::process::Stdio::from(file)
    };
    let unwritable = fs::File::open(world.path("file")).unwrap();
    for stdout in [
        redirected("/dev/null"),
        redirected("/dev/zero"),
        redirected("/dev/full"),
        unwritable.into(),
    ] {
        let mut command = world.command();
        command
            .args(["rotate", ID, "--secret-to", "stdout"])
            .stdout(stdout);
        let ran = support::Ran::of(&mut command);
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(ran.stderr.contains("standard output is"), "{}", ran.shown());
    }
    assert!(world.simulator.requests().is_empty());
}

#[test]
fn a_sink_that_fails_leaves_the_secret_in_the_journal() {
    let world = World::new();
    let ran = world.run(&["rotate", ID, "--secret-to", "command:exit 7"]);
    assert_shown!(ran.shown());
    assert_eq!(ran.code, Some(1));
    assert!(secrets_in(&ran.shown()).is_empty());
    let [secret] = &secrets_in(&world.journal_text())[..] else {
        panic!("{}", world.journal_text());
    };
    assert!(world.opens(secret));
    for file in fs::read_dir(world.journal()).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }

    let told = world.run(&["list", "--quiet"]);
    assert!(told.stderr.contains("was interrupted"), "{}", told.shown());
    assert!(secrets_in(&told.shown()).is_empty());
    let entry = format!("rotate-{ID}");
    let listed = world.run(&["journal"]);
    assert_shown!(listed.shown());
    let again = world.run(&["journal", "finish", &entry]);
    assert_eq!(again.code, Some(1), "the sink fails again");
    let finished = world.run(&["journal", "finish", &entry, "--secret-to", "env-file:env"]);
    assert_shown!(finished.shown());
    assert!(read(&world.path("env")).contains(secret.as_str()));
    assert!(read(&world.path("env")).contains(CLIENT_ID));
    assert_eq!(world.journal_text(), "");
}

#[test]
fn the_old_secret_works_until_it_is_ended() {
    let world = World::new();
    rotate(&world, "secret");
    assert!(world.opens(OLD_SECRET));
    let ended = world.run(&["update", ID, "--old-secret-until", "0s"]);
    assert_eq!(ended.code, Some(0), "{}", ended.shown());
    assert!(!world.opens(OLD_SECRET));
    assert!(world.opens(&read(&world.path("secret"))));
    // So no grace period is left that the next rotate could cut short.
    rotate(&world, "secret");

    let world = World::new();
    let ran = world.run(&["rotate", ID, "--secret-to", "secret", "--revoke-now"]);
    assert!(ran.stdout.contains("no longer works"), "{}", ran.shown());
    assert!(!world.opens(OLD_SECRET));
}

#[test]
fn a_grace_that_was_moved_is_kept_in_mind() {
    let world = World::new();
    rotate(&world, "secret");
    let moved = world.run(&["update", ID, "--old-secret-until", "2099-12-31T00:00:00Z"]);
    assert_eq!(moved.code, Some(0), "{}", moved.shown());
    let refused = world.run(&["rotate", ID, "--secret-to", "secret"]);
    assert_eq!(refused.code, Some(1), "{}", refused.shown());
    assert!(refused.stderr.contains("2099-12-31"), "{}", refused.shown());
}

#[test]
fn a_grace_that_may_have_been_moved_is_kept_in_mind() {
    let world = World::new();
    rotate(&world, "secret");
    let lost = Injection::new(Fault::ResetAfterRequest).on(Operation::Update);
    world.simulator.inject(lost.always().taking_effect());
    let update = |until| world.run(&["update", ID, "--old-secret-until", until]).code;
    assert_eq!(update("2099-12-31T00:00:00Z"), Some(4));
    // Nor does an end that may be nearer hide the one that may be further.
    assert_eq!(update("0s"), Some(4));
    let refused = world.run(&["rotate", ID, "--secret-to", "secret"]);
    assert_eq!(refused.code, Some(1), "{}", refused.shown());
    assert!(refused.stderr.contains("2099-12-31"), "{}", refused.shown());
}

#[test]
fn a_grace_that_was_not_moved_is_not_kept_in_mind() {
    let world = World::new();
    let refusal = Injection::new(Fault::Status(400)).on(Operation::Update);
    world.simulator.inject(refusal);
    let refused = world.run(&["update", ID, "--old-secret-until", "2099-12-31T00:00:00Z"]);
    assert_eq!(refused.code, Some(1), "{}", refused.shown());
    rotate(&world, "secret");
}

#[test]
fn an_entry_can_be_discarded() {
    let world = World::new();
    world.run(&["rotate", ID, "--secret-to", "command:exit 7"]);
    let entry = format!("rotate-{ID}");
    assert_eq!(world.run(&["journal", "discard", &entry]).code, Some(2));
    assert_ne!(world.journal_text(), "");
    assert_eq!(
        world.run(&["journal", "discard", &entry, "--yes"]).code,
        Some(0)
    );
    assert_eq!(world.journal_text(), "");
}

#[test]
fn a_refused_rotate_leaves_nothing() {
    let world = World::new();
    world
        .simulator
        .inject(Injection::new(Fault::Status(400)).on(Operation::Rotate));
    let ran = world.run(&["rotate", ID, "--secret-to", "secret"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_eq!(world.journal_text(), "");
    assert!(!world.path("secret").exists());
}

/// The body that the journal has of an answer that could not be read.
fn kept_body(world: &World) -> Option<String> {
    let journal = world.journal_text();
    let (_, body) = journal.split_once("{\"answer\"")?;
    Some(body.split_once('\n')?.1.to_owned())
}

#[test]
fn an_answer_that_breaks_off_is_kept_as_far_as_it_came() {
    let world = World::new();
    let truncated = Injection::new(Fault::TruncatedBody).on(Operation::Rotate);
    world.simulator.inject(truncated.taking_effect());
    let ran = world.run(&["rotate", ID, "--secret-to", "secret"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(secrets_in(&ran.shown()).is_empty());
    let body = kept_body(&world).unwrap();
    assert!(body.starts_with("{\"errors\""), "{body}");
    let [secret] = &secrets_in(&body)[..] else {
        panic!("{body}");
    };
    assert!(world.opens(secret));
    assert!(world.opens(OLD_SECRET));
}

/// Where the secret of an odd answer is.
#[derive(Debug, PartialEq)]
enum Whereabouts {
    /// It was found, and is in the sink.
    Sink,
    /// It is in the answer, which the journal keeps.
    KeptAnswer,
    /// There was none in the answer, which the journal keeps.
    NotInKeptAnswer,
    /// There was no answer; the journal names the token.
    NoAnswer,
}

#[test]
fn a_secret_in_an_answer_of_another_shape_is_not_lost() {
    use Whereabouts::{KeptAnswer, NoAnswer, NotInKeptAnswer, Sink};

    for (wrong, expected) in [
        (WrongJson::Empty, NoAnswer),
        (WrongJson::Truncated, KeptAnswer),
        (WrongJson::NotJson, NotInKeptAnswer),
        (WrongJson::InvalidUtf8, KeptAnswer),
        (WrongJson::ResultNull, NotInKeptAnswer),
        (WrongJson::ResultMissing, NotInKeptAnswer),
        (WrongJson::ResultOfAnotherType, NotInKeptAnswer),
        (WrongJson::SuccessMissing, Sink),
        (WrongJson::ArrayForObject, KeptAnswer),
        (WrongJson::FieldsOfAnotherType, Sink),
        (WrongJson::UnknownFields, Sink),
        (WrongJson::DeepNesting, Sink),
    ] {
        let world = World::new();
        let odd = Injection::new(Fault::WrongJson(wrong)).on(Operation::Rotate);
        world.simulator.inject(odd.taking_effect());
        let ran = world.run(&["rotate", ID, "--secret-to", "env-file:env"]);
        let opens = |text: &str| secrets_in(text).iter().any(|secret| world.opens(secret));
        let found = match kept_body(&world) {
            Some(body) if opens(&body) => KeptAnswer,
            Some(_) => NotInKeptAnswer,
            None if opens(&read(&world.path("env"))) => Sink,
            None => NoAnswer,
        };
        assert_eq!(found, expected, "{wrong:?}: {}", ran.shown());
        let is_delivered = expected == Sink;
        assert_eq!(ran.code, Some(i32::from(!is_delivered)), "{wrong:?}");
        assert_eq!(world.journal_text().is_empty(), is_delivered, "{wrong:?}");
        assert!(world.opens(OLD_SECRET), "{wrong:?}");
        assert!(secrets_in(&ran.shown()).is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_made_up_secret_replaces_no_real_one() {
    let world = World::new();
    std::fs::write(world.path("secret"), "real").unwrap();
    for sink in ["secret", "env-file:secret", "command:cat > stolen"] {
        let ran = world.run(&["--simulate", "rotate", ID, "--secret-to", sink]);
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(
            ran.shown().contains("the secret is only simulated"),
            "{}",
            ran.shown()
        );
    }
    assert_eq!(read(&world.path("secret")), "real");
    assert!(!world.path("stolen").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_can_not_be_written_leaves_the_secret_in_its_sink() {
    let world = World::new();
    for (change, sink) in [
        (&["rotate", ID, "--secret-to", "rotated"][..], "rotated"),
        (&["create", "deploy", "--secret-to", "created"], "created"),
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = world.command();
        let ran = support::Ran::of(command.args(change).stdout(full));
        assert_eq!(ran.code, Some(1), "{}", ran.shown());
        let path = world.path(sink);
        let next = format!("the secret is in {}", path.display());
        assert!(ran.stderr.contains(&next), "{}", ran.shown());
        assert_eq!(secrets_in(&read(&path)).len(), 1);
    }
}
