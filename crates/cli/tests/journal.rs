//! Where the journal is, and whose entries are trusted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cf_service_tokens_simulator::{Operation, Simulator};
use support::{ID, Ran, World, known_token, read, secrets_in};

/// A world in whose journal a secret waits for this command.
fn world_with_secret_for(command: &str) -> World {
    let world = World::new();
    let sink = format!("command:test -e ready || exit 7; {command}");
    let ran = world.run(&["rotate", ID, "--secret-to", &sink]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_eq!(secrets_in(&world.journal_text()).len(), 1);
    fs::write(world.path("ready"), "").unwrap();
    world
}

/// The message, and how to provoke it.
type Fault = (&'static str, fn(&World));

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn give_away(path: &Path) {
    chown(path, Some(12_345), None).unwrap();
}

/// Only root can.
fn can_give_away() -> bool {
    let file = tempfile::NamedTempFile::new().unwrap();
    chown(file.path(), Some(12_345), None).is_ok()
}

#[test]
fn what_another_user_may_have_written_is_not_trusted() {
    let faults: [Fault; 5] = [
        ("can write", |world| allow(&world.journal(), 0o777)),
        ("can write", |world| allow(&world.record(), 0o620)),
        ("another user", |world| give_away(&world.journal())),
        ("another user", |world| give_away(&world.record())),
        ("symbolic link", |world| {
            fs::rename(world.record(), world.path("elsewhere")).unwrap();
            symlink(world.path("elsewhere"), world.record()).unwrap();
        }),
    ];
    for (said, fault) in faults {
        if said == "another user" && !can_give_away() {
            continue;
        }
        let world = world_with_secret_for("cat >got");
        fault(&world);
        for arguments in [
            &["journal", "finish", &format!("rotate-{ID}")][..],
            &["journal"],
            &["rotate", ID, "--secret-to", "secret"],
        ] {
            let ran = world.run(arguments);
            assert_eq!(ran.code, Some(2), "{said}: {}", ran.shown());
            assert!(ran.stderr.contains(said), "{said}: {}", ran.shown());
        }
        assert!(!world.path("got").exists(), "{said}: the command was run");
        assert!(!world.path("secret").exists());
        assert_eq!(world.simulator.tokens()[0].client_secret_version, 2);
    }
}

#[test]
fn an_entry_of_ones_own_is_finished() {
    let world = world_with_secret_for("cat >got");
    let ran = world.run(&["journal", "finish", &format!("rotate-{ID}")]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(world.opens(&read(&world.path("got"))));
}

#[test]
fn the_journal_is_where_the_environment_says() {
    let world = World::new();
    let at = |name: &str| world.path(name).into_os_string();
    let several = format!("{}:/nowhere", world.path("service").display());
    let below = "cf-service-tokens";
    for (variables, expected) in [
        (vec![("STATE_DIRECTORY", several.into())], "service".into()),
        (
            vec![("XDG_STATE_HOME", at("xdg")), ("HOME", at("home"))],
            format!("xdg/{below}"),
        ),
        (
            vec![("XDG_STATE_HOME", "relative".into()), ("HOME", at("home"))],
            format!("home/.local/state/{below}"),
        ),
    ] {
        let mut command = world.command();
        command
            .env("CF_SERVICE_TOKENS_JOURNAL", "")
            .envs(variables)
            .args(["rotate", ID, "--revoke-now"])
            .args(["--secret-to", "command:exit 7"]);
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, Some(1), "{}", ran.shown());
        let entry = world.path(&expected).join(format!("rotate-{ID}.jsonl"));
        assert_eq!(secrets_in(&read(&entry)).len(), 1, "{expected}");
    }
}

#[test]
fn a_home_that_depends_on_the_working_directory_has_no_journal() {
    let world = World::new();
    for (name, value) in [("HOME", "home"), ("STATE_DIRECTORY", "state")] {
        let mut command = world.command();
        command
            .env("CF_SERVICE_TOKENS_JOURNAL", "")
            .env(name, value)
            .args(["rotate", ID, "--secret-to", "secret"]);
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(ran.stderr.contains("set --journal"), "{}", ran.shown());
        assert!(!world.path(value).exists());
    }
}

#[test]
fn every_command_tells_of_an_entry_that_can_not_be_read() {
    let world = world_with_secret_for("cat >got");
    let damaged = world.journal().join("rotate-damaged.jsonl");
    fs::write(&damaged, "{\"entry\":\n").unwrap();
    fs::set_permissions(&damaged, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = world.run(&["list", "--quiet"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(
        ran.stderr.contains("rotate-damaged.jsonl"),
        "{}",
        ran.shown()
    );
    assert!(ran.stderr.contains("was interrupted"), "{}", ran.shown());
}

#[test]
fn no_secret_stays_beside_a_sink_that_was_given_up() {
    let name = format!("rotate-{ID}");
    for settle in [
        &["journal", "discard", &name, "--yes"][..],
        &["journal", "finish", &name, "--secret-to", "other"],
    ] {
        let world = world_with_secret_for("cat >got");
        // As a run that was killed just before it put the file in place leaves it.
        let text = read(&world.record());
        let sink = world.path("secret");
        let begin = text.find("command:").unwrap();
        let end = begin + text[begin..].find('"').unwrap();
        let text = format!("{}file:{}{}", &text[..begin], sink.display(), &text[end..]);
        fs::write(world.record(), text).unwrap();
        let leftover = world.path(".secret.cf-service-tokens.new");
        fs::write(&leftover, "the secret").unwrap();
        let ran = world.run(settle);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert!(!leftover.exists(), "{settle:?}");
        assert_eq!(world.journal_text(), "");
    }
}

#[test]
fn files_of_others_in_the_journal_are_left_alone() {
    let world = world_with_secret_for("cat >got");
    let others = [
        "data.jsonl",
        "create-deploy.jsonl",
        "rotate-.jsonl",
        "rotate-a_b.jsonl",
        "notes",
        "faaaddeb-6111-4a48-805d-3f126e371f62.lock",
    ];
    for name in others {
        fs::write(world.journal().join(name), "{\"my\":\"data\"}").unwrap();
    }
    let entry = format!("rotate-{ID}");
    for arguments in [
        &["journal"][..],
        &["list"],
        &["rotate", ID, "--secret-to", "secret"],
        &["journal", "finish", "data"],
        &["journal", "discard", "create-deploy", "--yes"],
        &["journal", "finish", &entry],
        &["rotate", ID, "--secret-to", "secret", "--end-grace"],
    ] {
        let ran = world.run(arguments);
        assert!(!ran.stderr.contains("can't"), "{}", ran.shown());
    }
    assert!(world.opens(&read(&world.path("secret"))));
    for name in others {
        assert_eq!(
            read(&world.journal().join(name)),
            "{\"my\":\"data\"}",
            "{name}"
        );
    }
}

#[test]
fn a_record_that_can_not_be_read_stays() {
    for damage in [
        "{\"my\":\"data\"}",
        "{\"my\":\"data\"}\n",
        "{\"secret\":{}}\n",
        "x",
    ] {
        let world = World::new();
        assert_eq!(world.run(&["journal"]).code, Some(0));
        fs::create_dir(world.journal()).unwrap();
        allow(&world.journal(), 0o700);
        fs::write(world.record(), damage).unwrap();
        allow(&world.record(), 0o600);
        for arguments in [
            &["journal"][..],
            &["rotate", ID, "--secret-to", "secret"],
            &["rotate", ID, "--secret-to", "secret", "--revoke-now"],
            &["journal", "discard", &format!("rotate-{ID}"), "--yes"],
        ] {
            let ran = world.run(arguments);
            assert_eq!(ran.code, Some(2), "{damage}: {}", ran.shown());
        }
        assert_eq!(world.run(&["list"]).code, Some(0));
        assert_eq!(read(&world.record()), damage);
        assert_eq!(world.simulator.tokens()[0].client_secret_version, 1);
    }
}

#[test]
fn a_last_line_without_its_line_break_is_read() {
    let world = world_with_secret_for("cat >got");
    let text = read(&world.record());
    fs::write(world.record(), text.trim_end()).unwrap();
    let finished = world.run(&["journal", "finish", &format!("rotate-{ID}")]);
    assert_eq!(finished.code, Some(0), "{}", finished.shown());
    assert!(world.opens(&read(&world.path("got"))));

    // An answer that was cut off is no reason to rotate again, nor is it removed.
    let world = world_with_secret_for("cat >got");
    let cut = &read(&world.record())[..text.find("cfast_").unwrap() + 20];
    fs::write(world.record(), cut).unwrap();
    for more in ["--end-grace", "--revoke-now"] {
        let again = world.run(&["rotate", ID, "--secret-to", "secret", more]);
        assert_eq!(again.code, Some(1), "{}", again.shown());
        assert!(again.stderr.contains("tail -n +2"), "{}", again.shown());
    }
    assert_eq!(read(&world.record()), cut);

    // An intent alone is one.
    let (intent, _) = text.split_once('\n').unwrap();
    fs::write(world.record(), intent).unwrap();
    let again = world.run(&["rotate", ID, "--secret-to", "secret"]);
    assert_eq!(again.code, Some(4), "{}", again.shown());
}

#[test]
fn a_secret_is_kept_even_if_the_journal_is_removed_during_the_call() {
    let directory = Arc::new(Mutex::new(PathBuf::new()));
    let journal = Arc::clone(&directory);
    let builder = Simulator::builder().token(known_token());
    let world = World::with(builder.on_request(move |request| {
        if request.operation == Some(Operation::Rotate) {
            fs::remove_dir_all(&*journal.lock().unwrap()).unwrap();
        }
    }));
    *directory.lock().unwrap() = world.journal();
    let ran = world.run(&[
        "rotate",
        ID,
        "--secret-to",
        "command:cat >/dev/null; exit 7",
    ]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(
        ran.stderr.contains("safe in the journal"),
        "{}",
        ran.shown()
    );
    let finish = [
        "journal",
        "finish",
        &format!("rotate-{ID}"),
        "--secret-to",
        "got",
    ];
    let finished = world.run(&finish);
    assert_eq!(finished.code, Some(0), "{}", finished.shown());
    assert!(world.opens(&read(&world.path("got"))));
}

#[test]
fn room_for_the_answer_is_taken_before_the_call() {
    let record = Arc::new(Mutex::new(PathBuf::new()));
    let (seen, taken) = (Arc::clone(&record), Arc::new(Mutex::new(0)));
    let room = Arc::clone(&taken);
    let builder = Simulator::builder().token(known_token());
    let world = World::with(builder.on_request(move |request| {
        if request.operation == Some(Operation::Rotate) {
            let metadata = fs::metadata(&*seen.lock().unwrap()).unwrap();
            *room.lock().unwrap() = metadata.blocks() * 512;
        }
    }));
    *record.lock().unwrap() = world.record();
    let ran = world.run(&["rotate", ID, "--secret-to", "secret"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(*taken.lock().unwrap() >= 64 * 1024);
    assert!(
        read(&world.record()).len() < 300,
        "only the first line stays"
    );
}

#[test]
fn a_limit_of_file_sizes_is_met_before_the_call_or_not_at_all() {
    // In blocks of 512 bytes; the record takes 64 KiB and its intent.
    for blocks in [0, 1, 2, 64, 128, 129, 136, 256] {
        let world = World::new();
        let mut limited = std::process::Command::new("sh");
        limited
            .args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_cf-service-tokens"))
            .args(["rotate", ID, "--secret-to", "secret"])
            .current_dir(world.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(world.environment());
        let ran = Ran::of(&mut limited);
        let version = world.simulator.tokens()[0].client_secret_version;
        match ran.code {
            Some(0) => {
                assert_eq!((version, blocks >= 129), (2, true), "{blocks}");
                assert!(world.opens(&read(&world.path("secret"))));
            }
            Some(2) => assert_eq!((version, blocks < 256), (1, true), "{blocks}"),
            _ => panic!("{blocks}: {}", ran.shown()),
        }
    }
}

#[test]
fn a_record_that_can_not_be_read_hides_no_other() {
    let world = world_with_secret_for("cat >got");
    let damaged = world.journal().join("rotate-damaged.jsonl");
    fs::write(&damaged, "{\"entry\":\n").unwrap();
    allow(&damaged, 0o600);
    let listed = world.run(&["journal"]);
    assert_eq!(listed.code, Some(2), "{}", listed.shown());
    let entry = format!("rotate-{ID}");
    assert!(listed.stdout.contains(&entry), "{}", listed.shown());
    let discard = ["journal", "discard", "rotate-damaged", "--yes"];
    for ran in [listed, world.run(&discard)] {
        for said in [damaged.to_str().unwrap(), "then remove the file"] {
            assert!(ran.stderr.contains(said), "{}", ran.shown());
        }
    }
    let finished = world.run(&["journal", "finish", &entry]);
    assert_eq!(finished.code, Some(0), "{}", finished.shown());
    let listed = world.run(&["journal"]);
    assert!(!listed.stdout.contains("is empty"), "{}", listed.shown());
    fs::remove_file(&damaged).unwrap();
    assert_eq!(world.run(&["journal"]).code, Some(0));
}
