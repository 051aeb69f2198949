//! `report --html`: where the page goes, and what stands beside it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::process::{Command, Stdio};

use cf_service_tokens_simulator::{SeedToken, Simulator};
use chrono::TimeDelta;
use support::{Ran, World};

/// An account with a token that is due.
fn world() -> World {
    let token = SeedToken::new("deploy").expires_in(TimeDelta::days(3));
    World::with(Simulator::builder().token(token))
}

fn is_page(text: &str) -> bool {
    text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>") && text.contains("deploy")
}

/// The names of the files in the working directory.
fn files(world: &World) -> Vec<String> {
    let files = std::fs::read_dir(world.directory.path()).unwrap();
    let name = |file: std::fs::DirEntry| file.file_name().into_string().unwrap();
    files.map(|file| name(file.unwrap())).collect()
}

#[test]
fn the_umask_decides_who_may_read_a_new_page() {
    for (umask, mode) in [("022", 0o644), ("077", 0o600)] {
        let world = world();
        let program = world.command().get_program().to_owned();
        let mut shell = Command::new("sh");
        shell.env_clear().envs(world.environment());
        shell.current_dir(world.directory.path());
        shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
        let ran = Ran::of(shell.arg(program).args(["report", "--html", "page.html"]));
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let metadata = std::fs::metadata(world.path("page.html")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
    }
}

#[test]
fn a_page_that_is_written_again_keeps_its_mode() {
    let world = world();
    for mode in [0o644, 0o640, 0o664] {
        std::fs::write(world.path("page.html"), "old").unwrap();
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(world.path("page.html"), permissions).unwrap();
        let ran = world.run(&["report", "--html", "page.html"]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let metadata = std::fs::metadata(world.path("page.html")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
    }
}

#[test]
fn a_link_stays_and_what_it_points_to_gets_the_page() {
    let world = world();
    std::fs::create_dir(world.path("site")).unwrap();
    std::os::unix::fs::symlink("site/tokens.html", world.path("page.html")).unwrap();
    for content in [None, Some("old")] {
        if let Some(content) = content {
            std::fs::write(world.path("site/tokens.html"), content).unwrap();
        }
        let ran = world.run(&["report", "--html", "page.html"]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert!(world.path("page.html").is_symlink());
        assert!(is_page(
            &std::fs::read_to_string(world.path("site/tokens.html")).unwrap()
        ));
    }
}

#[test]
fn a_pipe_is_written_to_and_stays() {
    let world = world();
    let pipe = world.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    // The reader of a pipe that was replaced would wait for ever.
    let mut reader = Command::new("timeout");
    let reader = reader.args(["30", "cat"]).arg(&pipe);
    let reader = reader.stdout(Stdio::piped()).spawn().unwrap();
    let ran = world.run(&["report", "--html", "pipe"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    let read = reader.wait_with_output().unwrap().stdout;
    assert!(is_page(&String::from_utf8(read).unwrap()));
    assert_eq!(files(&world), ["pipe"]);
}

#[test]
fn a_page_in_a_file_takes_the_place_of_the_table_and_stands_beside_json() {
    let world = world();
    let page = || std::fs::read_to_string(world.path("page.html")).unwrap();

    let ran = world.run(&["report", "--html", "page.html"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert!(ran.stderr.starts_with("wrote page.html"), "{}", ran.shown());
    assert!(is_page(&page()));
    let ran = world.run(&["report", "--html", "page.html", "--quiet"]);
    assert_eq!(ran.shown(), "exit code 0\n");

    for format in ["json", "jsonl"] {
        std::fs::write(world.path("page.html"), "old").unwrap();
        let beside = world.run(&["report", "--html", "page.html", "-o", format]);
        assert_eq!((beside.code, beside.stderr.as_str()), (Some(0), ""));
        assert!(is_page(&page()));
        let record: serde_json::Value =
            serde_json::from_str(beside.stdout.trim_matches(['[', ']', '\n'])).unwrap();
        assert_eq!(record["name"], "deploy");
    }
    assert_eq!(files(&world), ["page.html"]);
}

#[test]
fn a_page_on_standard_output_is_alone_there() {
    let world = world();
    let ran = world.run(&["report", "--html", "-"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(0), ""),
        "{}",
        ran.shown()
    );
    assert!(is_page(&ran.stdout));

    world.simulator.clear_requests();
    for format in ["json", "jsonl"] {
        let ran = world.run(&["report", "--html", "-", "-o", format]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
        assert!(ran.stderr.contains("--html FILE"), "{}", ran.shown());
        assert!(!ran.stderr.contains("--output"), "{}", ran.shown());
    }
    assert!(
        world.simulator.requests().is_empty(),
        "refused before a call"
    );
    assert!(files(&world).is_empty());
}

#[test]
fn a_page_that_cannot_be_written_leaves_the_json() {
    let world = world();
    let nowhere = "no/such/directory.html";
    for check in [&["--check"][..], &[]] {
        let ran = world.run(&[&["report", "--html", nowhere], check].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
        assert!(ran.stderr.contains(nowhere), "{}", ran.shown());
        assert!(!ran.stderr.contains(".tmp"), "{}", ran.shown());
        let ran = world.run(&[&["report", "--html", nowhere, "-o", "json"], check].concat());
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(ran.stdout.contains("\"deploy\""), "{}", ran.shown());
    }
    std::fs::create_dir(world.path("page.html")).unwrap();
    let ran = world.run(&["report", "--html", "page.html"]);
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert_eq!(files(&world), ["page.html"], "nothing half-written is left");
}
