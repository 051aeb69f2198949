//! Answers of an API that does not keep to its document: no secret is guessed, none that
//! may be in an answer is lost, and the sink keeps what it had.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use support::{CLIENT_ID, ID, OLD_SECRET, Ran, command, read};
use tempfile::TempDir;

const SECRET: &str = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";

/// Returns the API's answer to a request of this method and path: status, headers, body.
type Answer = (u16, &'static str, Vec<u8>);

/// An API that answers as the test wants, and a directory to work in.
struct Hostile {
    url: String,
    directory: TempDir,
}

impl Hostile {
    fn new(answer: impl Fn(&str, &str) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/client/v4", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(stream.unwrap(), &answer);
            }
        });
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("secret"), OLD_SECRET).unwrap();
        Self { url, directory }
    }

    /// Answers the token to a read, and this to a rotate or a create.
    fn issuing(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::new(move |method, path| match method {
            "POST" => (200, "", body.clone()),
            _ if path.contains('?') => (200, "", page()),
            _ => (200, "", envelope(&token())),
        })
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command().args(arguments))
    }

    fn command(&self) -> Command {
        let mut command = command();
        command
            .current_dir(self.directory.path())
            .env("CLOUDFLARE_BASE_URL", &self.url)
            .env("CLOUDFLARE_API_TOKEN", "token")
            .env("CLOUDFLARE_ACCOUNT_ID", "account")
            .env(
                "CF_SERVICE_TOKENS_JOURNAL",
                self.directory.path().join("journal"),
            );
        command
    }

    fn rotate(&self) -> Ran {
        self.run(&["rotate", ID, "--secret-to", "secret"])
    }

    fn secret(&self) -> String {
        read(&self.directory.path().join("secret"))
    }

    /// The only record.
    fn record(&self) -> Vec<u8> {
        let journal = fs::read_dir(self.directory.path().join("journal")).unwrap();
        let files: Vec<_> = journal.map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let mode = fs::metadata(&files[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::read(&files[0]).unwrap()
    }
}

fn serve(mut stream: TcpStream, answer: &impl Fn(&str, &str) -> Answer) {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    let head = loop {
        let length = stream.read(&mut piece).unwrap_or_default();
        request.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                is_length.then(|| value.parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or_default() {
                break head.to_owned();
            }
        }
        if length == 0 {
            return;
        }
    };
    let mut line = head.split_whitespace();
    let (method, path) = (line.next().unwrap(), line.next().unwrap());
    let (status, headers, body) = answer(method, path);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Odd\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    // The command may have gone.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(&body);
}

fn token() -> Value {
    json!({
        "id": ID, "client_id": CLIENT_ID, "name": "deploy", "duration": "8760h",
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    })
}

fn envelope(result: &Value) -> Vec<u8> {
    let envelope = json!({ "success": true, "errors": [], "messages": [], "result": result });
    envelope.to_string().into_bytes()
}

fn page() -> Vec<u8> {
    page_of(&[])
}

/// A listing of these tokens.
fn page_of(tokens: &[Value]) -> Vec<u8> {
    let count = tokens.len();
    let info = json!({ "count": count, "page": 1, "per_page": 1000, "total_count": count });
    let page = json!({
        "success": true, "errors": [], "messages": [], "result": tokens, "result_info": info,
    });
    page.to_string().into_bytes()
}

/// The documented answer to a rotate, with one field changed.
fn issued(field: &str, value: Value) -> Vec<u8> {
    let mut token = token();
    token["client_secret"] = json!(SECRET);
    token[field] = value;
    envelope(&token)
}

/// The answer is kept whole, the sink has what it had, and the next run is not blind.
fn assert_kept(api: &Hostile, body: &[u8], what: &str) {
    let ran = api.rotate();
    assert_eq!(ran.code, Some(1), "{what}: {}", ran.shown());
    assert_eq!(api.secret(), OLD_SECRET, "{what}: {}", ran.shown());
    assert!(api.record().ends_with(body), "{what}");
    assert!(
        ran.stderr.contains("the journal keeps it"),
        "{what}: {}",
        ran.shown()
    );
    assert!(!ran.shown().contains(SECRET), "{what}: {}", ran.shown());
    for arguments in [
        &["rotate", ID, "--secret-to", "secret", "--revoke-now"][..],
        &["journal", "finish", &format!("rotate-{ID}")],
    ] {
        let again = api.run(arguments);
        assert_eq!(again.code, Some(1), "{what}: {}", again.shown());
        let advice = format!("cf-service-tokens journal discard rotate-{ID}");
        assert!(again.stderr.contains(&advice), "{what}: {}", again.shown());
        assert!(api.record().ends_with(body), "{what}: {arguments:?}");
    }
    let discarded = api.run(&["journal", "discard", &format!("rotate-{ID}"), "--yes"]);
    assert_eq!(discarded.code, Some(0), "{what}: {}", discarded.shown());
    let left = String::from_utf8(api.record()).unwrap();
    assert!(
        left.starts_with("{\"token\"") && !left.contains("secret\":\""),
        "{left}"
    );
}

#[test]
fn the_documented_answer_is_delivered() {
    let api = Hostile::issuing(issued("name", json!("renamed in the meantime")));
    let ran = api.rotate();
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(api.secret(), SECRET);
}

#[test]
fn a_value_that_can_be_no_secret_is_kept_aside() {
    for value in [
        json!(""),
        json!(" "),
        json!("\n"),
        json!("********"),
        json!("*".repeat(56)),
        json!("cfast_1234567890123"),
        json!("0123456789 0123456789"),
        json!("cfast_äöü456789012345678"),
        json!("cfast_aB3dE5gH7jK9mN1pQ3sT5\n"),
        json!({ "algorithm": "sha256", "value": SECRET }),
        json!(["hidden", SECRET]),
        json!({ "hint": "cfast_a...", "secret": SECRET }),
        json!(null),
        json!(7),
    ] {
        let body = issued("client_secret", value.clone());
        assert_kept(&Hostile::issuing(body.clone()), &body, &value.to_string());
    }
}

#[test]
fn a_secret_elsewhere_in_the_answer_is_kept_aside() {
    let elsewhere = |result: Value| {
        let mut token = token();
        token["secrets"] = result;
        envelope(&token)
    };
    for body in [
        elsewhere(json!([SECRET])),
        elsewhere(json!({ "client_secret": SECRET })),
        envelope(&json!([{ "id": ID, "client_secret": SECRET }])),
        envelope(&json!(SECRET)),
        format!("<html>{SECRET}</html>").into_bytes(),
        json!({ "client_secret": SECRET }).to_string().into_bytes(),
    ] {
        let what = String::from_utf8_lossy(&body).into_owned();
        assert_kept(&Hostile::issuing(body.clone()), &body, &what);
    }
}

#[test]
fn an_answer_about_another_token_is_kept_aside() {
    let other = "11111111-6111-4a48-805d-3f126e371f62";
    for (field, value) in [("id", json!(other)), ("client_id", json!("other.access"))] {
        let body = issued(field, value);
        assert_kept(&Hostile::issuing(body.clone()), &body, field);
    }
    let nameless = envelope(&json!({ "client_secret": SECRET }));
    assert_kept(
        &Hostile::issuing(nameless.clone()),
        &nameless,
        "no id at all",
    );

    // So is one to a create.
    for (field, value) in [("name", json!("other")), ("client_id", json!(null))] {
        let body = issued(field, value);
        let api = Hostile::issuing(body.clone());
        let created = api.run(&["create", "deploy", "--secret-to", "secret"]);
        assert_eq!(created.code, Some(1), "{field}: {}", created.shown());
        assert_eq!(api.secret(), OLD_SECRET, "{field}");
        assert!(api.record().ends_with(&body), "{field}");
    }

    // Nor is a rotate made if the API already answers a read with another token.
    let api = Hostile::new(move |_, _| (200, "", issued("id", json!(other))));
    let ran = api.rotate();
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(
        ran.stderr.contains("nothing was changed"),
        "{}",
        ran.shown()
    );
    assert_eq!(api.secret(), OLD_SECRET);
}

#[test]
fn an_answer_that_is_no_text_is_kept_byte_for_byte() {
    let body = {
        let mut gzip = Command::new("gzip");
        let mut gzip = gzip
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let plain = issued("name", json!("deploy"));
        gzip.stdin.take().unwrap().write_all(&plain).unwrap();
        gzip.wait_with_output().unwrap().stdout
    };
    for headers in [
        "",
        "content-encoding: gzip\r\n",
        "content-encoding: deflate\r\n",
    ] {
        let sent = body.clone();
        let api = Hostile::new(move |method, _| match method {
            "POST" => (200, headers, sent.clone()),
            _ => (200, "", envelope(&token())),
        });
        assert_kept(&api, &body, headers);
    }
    // The advice shows how to unpack it, also with a grace in the record.
    let sent = std::sync::Mutex::new(vec![body, issued("name", json!("deploy"))]);
    let api = Hostile::new(move |method, _| match method {
        "POST" => (200, "", sent.lock().unwrap().pop().unwrap()),
        _ => (200, "", envelope(&token())),
    });
    assert_eq!(api.rotate().code, Some(0));
    let kept = api.run(&["rotate", ID, "--secret-to", "secret", "--end-grace"]);
    assert_eq!(kept.code, Some(1), "{}", kept.shown());
    let (_, show) = kept.stderr.split_once("owner: ").unwrap();
    let (show, _) = show.split_once(';').unwrap();
    let unpacked = Command::new("sh")
        .args(["-c", &format!("{show} | gunzip")])
        .output()
        .unwrap();
    assert!(String::from_utf8(unpacked.stdout).unwrap().contains(SECRET));
}

#[test]
fn an_error_that_holds_a_secret_is_kept_aside() {
    for status in [500, 503] {
        let body = json!({ "client_secret": "cfsec2_aB3dE5gH7jK9mN1pQ3sT5" });
        let body = body.to_string().into_bytes();
        let sent = body.clone();
        let api = Hostile::new(move |method, _| match method {
            "POST" => (status, "", sent.clone()),
            _ => (200, "", envelope(&token())),
        });
        let ran = api.rotate();
        assert_eq!(ran.code, Some(1), "{}", ran.shown());
        assert!(api.record().ends_with(&body));
        assert!(!ran.shown().contains("cfsec2_"), "{}", ran.shown());
        assert_eq!(api.secret(), OLD_SECRET);
    }
}

/// The API's messages about a call that may have made a secret may hold the secret.
#[test]
fn an_error_is_quoted_only_if_no_secret_was_made() {
    let said = "cfsec2_aB3dE5gH7jK9mN1pQ3sT5";
    let failure = json!({
        "success": false, "messages": [], "result": null,
        "errors": [{ "code": 10042, "message": said }],
    });
    let body = failure.to_string().into_bytes();
    for (status, is_quoted) in [(200, false), (500, false), (400, true)] {
        let sent = body.clone();
        let api = Hostile::new(move |method, path| match method {
            "POST" => (status, "", sent.clone()),
            _ if path.contains('?') => (200, "", page()),
            _ => (200, "", envelope(&token())),
        });
        for ran in [
            api.rotate(),
            api.run(&["create", "new", "--secret-to", "other"]),
        ] {
            assert!(ran.stderr.contains("10042"), "{status}: {}", ran.shown());
            assert_eq!(
                ran.shown().contains(said),
                is_quoted,
                "{status}: {}",
                ran.shown()
            );
        }
    }
}

#[test]
fn only_the_api_itself_can_say_that_nothing_was_changed() {
    let refusal = json!({
        "success": false, "messages": [], "result": null,
        "errors": [{ "code": 10000, "message": "forbidden" }],
    });
    for (status, body, is_certain) in [
        (403, "<html>filtered</html>".to_owned(), false),
        (403, String::new(), false),
        (403, "{}".to_owned(), false),
        (404, "not here".to_owned(), false),
        (302, String::new(), false),
        (403, refusal.to_string(), true),
        (404, refusal.to_string(), true),
    ] {
        let sent = body.clone();
        let api = Hostile::new(move |method, _| match method {
            "POST" => (status, "location: /\r\n", sent.clone().into_bytes()),
            _ => (200, "", envelope(&token())),
        });
        let ran = api.rotate();
        assert!(matches!(ran.code, Some(1 | 3)), "{status}: {}", ran.shown());
        let again = api.rotate();
        let waits = again.stderr.contains("may still take effect");
        assert_eq!(waits, !is_certain, "{status} {body}: {}", again.shown());
        assert_eq!(api.secret(), OLD_SECRET);
    }
}

#[test]
fn an_id_that_could_do_harm_in_a_shell_is_not_shown() {
    let api = Hostile::new(|method, _| match method {
        "POST" => (500, "", Vec::new()),
        _ => {
            let mut token = token();
            token["id"] = json!("x\u{1b}[2J; touch /tmp/x #");
            let info = json!({ "count": 1, "page": 1, "per_page": 1000, "total_count": 1 });
            let page = json!({
                "success": true, "errors": [], "messages": [], "result": [token],
                "result_info": info,
            });
            (200, "", page.to_string().into_bytes())
        }
    });
    let ran = api.run(&["create", "deploy", "--secret-to", "new"]);
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert!(!ran.shown().contains("touch"), "{}", ran.shown());
}

#[test]
fn an_id_in_other_letters_is_the_same_token() {
    let body = issued("name", json!("deploy"));
    // Without its hyphens an id is looked up in the listing.
    let api = Hostile::new(move |method, path| match method {
        "POST" => (200, "", body.clone()),
        _ if path.contains('?') => (200, "", page_of(&[token()])),
        _ => (200, "", envelope(&token())),
    });
    let loud = ID.to_ascii_uppercase();
    let first = api.run(&["rotate", &loud, "--secret-to", "secret"]);
    assert_eq!(first.code, Some(0), "{}", first.shown());
    for id in [ID, &loud] {
        let again = api.run(&["rotate", id, "--secret-to", "secret"]);
        assert_eq!(again.code, Some(1), "{id}: {}", again.shown());
        assert!(
            again.stderr.contains("--end-grace"),
            "{id}: {}",
            again.shown()
        );
    }
}

#[test]
fn an_answer_about_another_token_changes_none() {
    let other = "00000009-6111-4a48-805d-3f126e371f62";
    let in_a_year = (Utc::now() + TimeDelta::days(365)).to_rfc3339();
    for (change, id, code) in [
        (&["refresh", ID][..], Some(other), 1),
        (&["enable", ID], Some(other), 1),
        (&["disable", ID], Some(other), 1),
        (&["delete", ID, "--yes"], Some(other), 1),
        (&["update", ID, "--name", "new"], Some(other), 1),
        (&["refresh", &ID.to_ascii_uppercase()], Some(ID), 0),
        (&["refresh", ID], None, 0),
        (&["delete", ID, "--yes"], None, 0),
    ] {
        let mut asked = token();
        asked["expires_at"] = json!(in_a_year);
        let mut answered = asked.clone();
        answered["id"] = json!(id);
        let api = Hostile::new(move |method, _| match method {
            "GET" => (200, "", envelope(&asked)),
            _ => (200, "", envelope(&answered)),
        });
        let ran = api.run(change);
        assert_eq!(ran.code, Some(code), "{change:?} {id:?}: {}", ran.shown());
        if code == 1 {
            let said = format!("for another token, {other}");
            assert!(ran.stderr.contains(&said), "{change:?}: {}", ran.shown());
        }
    }
}

#[test]
fn a_read_of_another_token_proves_no_refresh() {
    let api = Hostile::new(move |method, _| {
        let mut token = token();
        if method == "GET" {
            token["id"] = json!("00000009-6111-4a48-805d-3f126e371f62");
            token["expires_at"] = json!((Utc::now() + TimeDelta::days(365)).to_rfc3339());
        }
        (200, "", envelope(&token))
    });
    let ran = api.run(&["refresh", ID]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(ran.stderr.contains("another token"), "{}", ran.shown());
}

#[test]
fn a_namesake_on_any_page_is_found() {
    let api = Hostile::new(|method, path| {
        let named = |index: usize, name: &str| {
            let mut token = token();
            token["id"] = json!(format!("{index:08}-6111-4a48-805d-3f126e371f62"));
            token["name"] = json!(name);
            token
        };
        let tokens: Vec<_> = match path {
            _ if method == "POST" => return (200, "", issued("name", json!("deploy"))),
            _ if path.contains("&page=1") || path.contains("?page=1") => {
                (0..50).map(|index| named(index, "other")).collect()
            }
            _ => vec![named(50, "deploy")],
        };
        let info = json!({ "page": 1, "per_page": 50, "total_count": 51 });
        let page = json!({
            "success": true, "errors": [], "messages": [], "result": tokens, "result_info": info,
        });
        (200, "", page.to_string().into_bytes())
    });
    let ran = api.run(&["create", "deploy", "--secret-to", "new"]);
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    let id = "00000050-6111-4a48-805d-3f126e371f62";
    assert!(ran.stderr.contains(id), "{}", ran.shown());
}

#[test]
fn a_blank_client_id_replaces_no_other() {
    for blank in ["", " "] {
        let api = Hostile::issuing(issued("client_id", json!(blank)));
        let env = api.directory.path().join("env");
        fs::write(&env, format!("CF_ACCESS_CLIENT_ID={CLIENT_ID}\n")).unwrap();
        let ran = api.run(&["rotate", ID, "--secret-to", "env-file:env"]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let lines = format!("CF_ACCESS_CLIENT_ID={CLIENT_ID}\nCF_ACCESS_CLIENT_SECRET={SECRET}\n");
        assert_eq!(read(&env), lines);

        // Nor does the token itself say it.
        let sent = issued("client_id", json!(blank));
        let api = Hostile::new(move |_, _| (200, "", sent.clone()));
        let env = api.directory.path().join("env");
        fs::write(&env, format!("CF_ACCESS_CLIENT_ID={CLIENT_ID}\n")).unwrap();
        let ran = api.run(&["rotate", ID, "--secret-to", "env-file:env"]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert_eq!(read(&env), lines);

        let body = issued("client_id", json!(blank));
        let api = Hostile::issuing(body.clone());
        let created = api.run(&["create", "deploy", "--secret-to", "env-file:env"]);
        assert_eq!(created.code, Some(1), "{}", created.shown());
        assert!(api.record().ends_with(&body));
    }
}

#[test]
fn an_answer_that_the_journal_can_not_keep_leaves_the_advice_of_a_lost_one() {
    let body = issued("client_secret", json!("*".repeat(100_000)));
    let api = Hostile::issuing(body);
    let unlimited = api.command();
    let mut limited = Command::new("sh");
    // In blocks of 512 bytes: enough for the room that is taken before the call.
    limited
        .args(["-c", "ulimit -f 140; exec \"$0\" \"$@\""])
        .arg(unlimited.get_program())
        .args(["rotate", ID, "--secret-to", "secret"])
        .current_dir(api.directory.path())
        .env_clear();
    for (name, value) in unlimited.get_envs() {
        limited.env(name, value.unwrap());
    }
    let ran = Ran::of(&mut limited);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(
        ran.stderr.contains("can't save the response"),
        "{}",
        ran.shown()
    );
    let next = "run the same command again after";
    assert!(ran.stderr.contains(next), "{}", ran.shown());
    assert!(String::from_utf8_lossy(&api.record()).contains("\"intent\""));
}
