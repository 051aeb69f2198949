//! No file, list or body from outside fills the memory: each ends with a clear error.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fmt::Write as _;
use std::fs::{File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use support::{CLIENT_ID, ID, OLD_SECRET, Ran, World, answering, command, serve, write_response};

const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";
/// Serves these bodies, and counts the requests.
fn serve_json(body: impl Fn(usize) -> String + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    let url = serve(move |number, connection| {
        counted.store(number, Ordering::SeqCst);
        write_response(connection, "200 OK", "application/json", &body(number));
    });
    (url, count)
}

fn page(tokens: &str, info: &str) -> String {
    format!(r#"{{"success":true,"errors":[],"messages":[],"result":[{tokens}]{info}}}"#)
}

/// The command, which the system stops if it takes more than 64 MiB.
fn bounded(arguments: &[&str]) -> Command {
    let unbounded = command();
    let mut bounded = Command::new("sh");
    bounded
        .args(["-c", "ulimit -d 65536 && exec \"$0\" \"$@\""])
        .arg(unbounded.get_program())
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null());
    bounded
}

fn run(url: &str, arguments: &[&str]) -> Ran {
    Ran::of(
        bounded(arguments)
            .env("CLOUDFLARE_BASE_URL", url)
            .env("CLOUDFLARE_API_TOKEN", "0123456789")
            .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT),
    )
}

/// The error of each command, which all list the tokens.
fn refused_by_all(url: &str, said: &str) {
    for arguments in [
        &["list"][..],
        &["list", "-o", "json"],
        &["report"],
        &["renew", "--dry-run"],
        &["renew"],
    ] {
        let ran = run(url, arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.len() < 2_000, "{arguments:?}");
    }
}

#[test]
fn a_page_of_empty_entries() {
    let tokens = "{},".repeat(1_400_000 - 1) + "{}";
    let (url, _) = serve_json(move |_| page(&tokens, ""));
    refused_by_all(&url, "larger than");
    let tokens = "{},".repeat(1_390_000 - 1) + "{}";
    let (url, _) = serve_json(move |_| page(&tokens, ""));
    refused_by_all(&url, "service tokens on one page");
}

#[test]
fn pages_without_an_end() {
    for info in ["", r#","result_info":{"total_count":1000000000000}"#] {
        let (url, requests) = serve_json(move |number| {
            let mut tokens = String::new();
            for index in 0..1_000 {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(
                    tokens,
                    r#"{comma}{{"id":"{number}-{index}","name":"a name of usual length","client_id":"{number}{index}.access","duration":"8760h","expires_at":"2099-01-01T00:00:00Z","created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}}"#
                );
            }
            page(&tokens, info)
        });
        refused_by_all(&url, "has not ended");
        assert!(requests.load(Ordering::SeqCst) <= 5 * 20);
    }
}

#[test]
fn pages_of_one_long_token_without_an_end() {
    // Two of them are a little below the limit of a listing.
    let name = "x".repeat((5 << 19) - 200);
    let (url, requests) =
        serve_json(move |number| page(&format!(r#"{{"id":"{number}","name":"{name}"}}"#), ""));
    refused_by_all(&url, "listing is larger than");
    assert!(requests.load(Ordering::SeqCst) <= 5 * 20);
}

#[test]
fn an_error_with_endless_entries() {
    let errors = r#"{"code":1000,"message":"m"},"#.repeat(140_000) + "{}";
    let body = format!(r#"{{"success":false,"errors":[{errors}],"messages":[],"result":null}}"#);
    let url = answering("400 Bad Request", "application/json", body);
    let ran = run(&url, &["list"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.len() < 5_000, "{}", ran.stderr);
}

#[test]
fn a_watcher_goes_on_after_a_page_of_empty_entries() {
    let tokens = "{},".repeat(1_390_000 - 1) + "{}";
    let (url, _) = serve_json(move |_| page(&tokens, ""));
    let mut watcher = bounded(&["renew", "--watch", "-q"])
        .env("CLOUDFLARE_BASE_URL", url)
        .env("CLOUDFLARE_API_TOKEN", "0123456789")
        .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let first = log.next().unwrap().unwrap();
    assert!(first.contains("service tokens on one page"), "{first}");
    assert!(watcher.try_wait().unwrap().is_none(), "it has ended");
    watcher.kill().unwrap();
    watcher.wait().unwrap();
}

#[test]
fn a_journal_with_an_endless_record() {
    let world = World::new();
    std::fs::create_dir(world.journal()).unwrap();
    let private = Permissions::from_mode(0o700);
    std::fs::set_permissions(world.journal(), private).unwrap();
    let record = File::create(world.record()).unwrap();
    record
        .set_permissions(Permissions::from_mode(0o600))
        .unwrap();
    record.set_len(8 << 30).unwrap();
    for arguments in [
        &["journal"][..],
        &["rotate", ID, "--secret-to", "secret"],
        &["list"],
    ] {
        let mut command = bounded(arguments);
        command
            .current_dir(world.directory.path())
            .envs(world.environment());
        let ran = Ran::of(&mut command);
        assert!(ran.stderr.contains("larger than"), "{}", ran.shown());
        assert!(ran.code.is_some());
    }
}

#[test]
fn files_without_an_end() {
    let app = "https://app.example.com";
    for file in ["/dev/zero", "/dev/full"] {
        for arguments in [
            &["list", "--api-token-file", file][..],
            &["verify", "--url", app, "--env-file", file],
            &[
                "verify",
                "--url",
                app,
                "--client-id",
                CLIENT_ID,
                "--secret-file",
                file,
            ],
        ] {
            let ran = run("http://127.0.0.1:9", arguments);
            assert!(ran.stderr.contains("larger than"), "{}", ran.stderr);
        }
    }
}

/// An app that never stops to answer with headers or with a body.
#[test]
fn an_app_without_an_end() {
    for (head, endless) in [
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            "error code: 1010 ".repeat(1_000),
        ),
        ("HTTP/1.1 200 OK\r\n", "x: y\r\n".repeat(1_000)),
        (
            "HTTP/1.1 302 Found\r\nlocation: https://",
            "x".repeat(10_000),
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", "x".repeat(10_000)),
    ] {
        let url = serve(move |_, connection| {
            connection
                .set_write_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            let _ = connection.write_all(head.as_bytes());
            while connection.write_all(endless.as_bytes()).is_ok() {}
        });
        let ran = Ran::of(
            bounded(&["verify", "--wait", "0s", "--url", &url])
                .env("CF_ACCESS_CLIENT_ID", CLIENT_ID)
                .env("CF_ACCESS_CLIENT_SECRET", OLD_SECRET),
        );
        assert!([Some(1), Some(4)].contains(&ran.code), "{}", ran.shown());
    }
}
