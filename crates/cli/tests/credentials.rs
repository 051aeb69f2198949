//! Credentials are checked before they are used, and a refusal says what to do.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::{self, Permissions};
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use cf_service_tokens_simulator::{SeedApiToken, Simulator};
use support::{ID, Ran, World, answering, command, known_token};

const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// Forms in which people paste a token, and what the command says of them.
fn pasted(token: &str) -> [(String, &'static str); 9] {
    [
        (format!("\"{token}\""), "is in quotes"),
        (format!("'{token}'"), "is in quotes"),
        (
            format!("CLOUDFLARE_API_TOKEN={token}"),
            "begins with the variable's name",
        ),
        (
            format!("export CLOUDFLARE_API_TOKEN='{token}'"),
            "begins with the variable's name",
        ),
        (format!("{{\"token\":\"{token}\"}}"), "is JSON"),
        (
            format!("Authorization: Bearer {token}"),
            "begins with the header's name",
        ),
        (format!("Bearer {token}"), "begins with `Bearer`"),
        (format!("{token} # ci"), "is followed by a comment"),
        (
            "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd".to_owned(),
            "is the secret of a service token",
        ),
    ]
}

#[test]
fn a_pasted_credential_is_pointed_out_and_not_sent() {
    let world = World::new();
    let token = world.simulator.api_token().to_owned();
    for (value, named) in pasted(&token) {
        for variable in ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"] {
            let mut list = world.command();
            if variable == "CLOUDFLARE_API_KEY" {
                list.env_remove("CLOUDFLARE_API_TOKEN")
                    .env("CLOUDFLARE_EMAIL", "me@example.com");
            }
            let ran = Ran::of(list.env(variable, &value).arg("list"));
            assert_eq!(ran.code, Some(3), "{value}: {}", ran.shown());
            let said = format!("{variable} {named}");
            assert!(ran.stderr.contains(&said), "{value}: {}", ran.shown());
            assert!(!ran.stderr.contains(&value), "{}", ran.shown());
        }
        fs::write(world.path("token"), format!("{value}\n")).unwrap();
        let ran = world.run(&["list", "-q", "--api-token-file", "token"]);
        assert_eq!(ran.code, Some(3), "{value}: {}", ran.shown());
        let said = format!("the API token in token {named}");
        assert!(ran.stderr.contains(&said), "{}", ran.shown());
        assert!(!ran.stderr.contains(&value), "{}", ran.shown());
    }
    assert!(world.simulator.requests().is_empty());
}

#[test]
fn a_token_file_that_others_can_read_is_mentioned() {
    let world = World::new();
    fs::write(world.path("token"), world.simulator.api_token()).unwrap();
    for (mode, quiet, mentioned) in [
        (0o644, "-v", Some("(mode 0644)")),
        (0o604, "-v", Some("(mode 0604)")),
        (0o644, "-q", None),
        (0o640, "-v", None),
        (0o600, "-v", None),
    ] {
        fs::set_permissions(world.path("token"), Permissions::from_mode(mode)).unwrap();
        let ran = world.run(&["list", quiet, "--api-token-file", "token"]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let said = ran.stderr.lines().find(|line| line.contains("chmod"));
        let expected = mentioned
            .map(|mode| format!("note: other users can read token {mode}; run: chmod o-r token"));
        assert_eq!(said, expected.as_deref(), "{}", ran.shown());
    }
}

/// Runs a command with this text on standard input.
fn piped(command: &mut Command, text: &str) -> Ran {
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    input.rewind().unwrap();
    Ran::of(command.stdin(input))
}

#[test]
fn the_api_token_comes_from_standard_input() {
    let world = World::new();
    let token = format!("{}\n", world.simulator.api_token());
    let run = |arguments: &[&str], text: &str| {
        let mut command = world.command();
        // The option replaces it.
        command.env("CLOUDFLARE_API_TOKEN", "wrong");
        piped(
            command.args(arguments).args(["--api-token-file", "-"]),
            text,
        )
    };
    assert_eq!(run(&["list"], &token).code, Some(0));
    let refused = run(&["list"], "wrong");
    let said = "the API token on standard input";
    assert!(refused.stderr.contains(said), "{}", refused.shown());

    let sent = world.simulator.requests().len();
    let long = "x".repeat(64 * 1024 + 1);
    for (text, said) in [
        ("", "the API token on standard input is empty"),
        ("a token", "contains a space"),
        (&long, "it is larger than the 65536 bytes"),
    ] {
        let ran = run(&["list"], text);
        assert_eq!(ran.code, Some(3), "{}", ran.shown());
        assert!(ran.stderr.contains(said), "{}", ran.shown());
    }
    // Nothing is left to answer a question with.
    let ran = run(&["delete", ID], &format!("{token}y\n"));
    assert_ne!(ran.code, Some(0), "{}", ran.shown());
    let ran = run(&["delete", ID], &token);
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert!(ran.stderr.contains("--yes"), "{}", ran.shown());
    assert_eq!(world.simulator.requests().len(), sent);
    assert_eq!(run(&["delete", ID, "--yes"], &token).code, Some(0));
}

#[test]
fn a_variable_names_the_file_of_the_api_token() {
    let world = World::new();
    fs::write(world.path("right"), world.simulator.api_token()).unwrap();
    fs::write(world.path("wrong"), "wrong").unwrap();
    let run = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut list = world.command();
        list.env_remove("CLOUDFLARE_API_TOKEN")
            .envs(variables.iter().copied());
        Ran::of(list.args(["list", "-q"]).args(arguments))
    };
    let file = "CLOUDFLARE_API_TOKEN_FILE";
    assert_eq!(run(&[(file, "right")], &[]).code, Some(0));
    // The option takes precedence.
    let option = ["--api-token-file", "right"];
    assert_eq!(run(&[(file, "wrong")], &option).code, Some(0));
    let both = [(file, "wrong"), ("CLOUDFLARE_API_TOKEN", "wrong")];
    assert_eq!(run(&both, &option).code, Some(0));
    // An empty variable counts as unset.
    let token = ("CLOUDFLARE_API_TOKEN", world.simulator.api_token());
    assert_eq!(run(&[(file, ""), token], &[]).code, Some(0));
    assert_eq!(
        run(&[(file, "right"), ("CLOUDFLARE_API_TOKEN", "")], &[]).code,
        Some(0)
    );

    let ran = run(&[(file, "wrong")], &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.shown());
    assert!(
        ran.stderr.contains("the API token in wrong"),
        "{}",
        ran.shown()
    );
    assert_shown!("file-missing", run(&[(file, "none")], &[]).shown());
    assert_shown!(
        "file-and-token",
        run(&[(file, "right"), token], &[]).shown()
    );
    for other in ["CLOUDFLARE_API_KEY", "CLOUDFLARE_EMAIL"] {
        let ran = run(&[(file, "right"), (other, "x")], &[]);
        assert_eq!(ran.code, Some(3), "{}", ran.shown());
        assert!(ran.stderr.contains(other), "{}", ran.shown());
    }
}

#[test]
fn an_api_token_for_the_name_of_its_file_is_not_repeated() {
    for token in [
        "cfut_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd",
        "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL-_",
    ] {
        let mut by_variable = command();
        by_variable.env("CLOUDFLARE_API_TOKEN_FILE", token);
        let mut by_option = command();
        by_option.args(["--api-token-file", token]);
        for mut list in [by_variable, by_option] {
            let ran = Ran::of(list.args(["list", "--account", ACCOUNT]));
            assert_eq!(ran.code, Some(3), "{}", ran.shown());
            assert!(!ran.shown().contains(token), "{}", ran.shown());
            assert!(ran.stderr.contains("next: "), "{}", ran.shown());
        }
    }
}

#[test]
fn variables_of_older_tools_are_named() {
    let list =
        |variables: &[(&str, &str)]| Ran::of(command().envs(variables.iter().copied()).arg("list"));
    assert_shown!("older-token", list(&[("CF_API_TOKEN", "x")]).shown());
    let account = [("CLOUDFLARE_API_TOKEN", "x"), ("CF_ACCOUNT_ID", ACCOUNT)];
    assert_shown!("older-account", list(&account).shown());
}

#[test]
fn a_base_url_without_tls_is_refused_in_the_command_s_own_words() {
    let ran = Ran::of(
        command()
            .env("CLOUDFLARE_BASE_URL", "http://gateway.internal/cf")
            .env("CLOUDFLARE_API_TOKEN", "0123456789")
            .args(["list", "--account", ACCOUNT]),
    );
    assert_shown!(ran.shown());
}

/// A refusal names the account, the source of the credentials and the permission.
#[test]
fn a_refusal_says_whose_credentials_lack_what() {
    let builder = Simulator::builder()
        .token(known_token())
        .add_api_token(SeedApiToken::new("reader").read_only());
    let world = World::with(builder);
    fs::write(world.path("reader"), "reader\n").unwrap();
    fs::set_permissions(world.path("reader"), Permissions::from_mode(0o600)).unwrap();
    let refused = world.run(&["refresh", ID, "--api-token-file", "reader"]);
    assert_shown!("read-only", refused.shown());
    assert_eq!(
        world.run(&["list", "--api-token-file", "reader"]).code,
        Some(0)
    );

    for (arguments, permission) in [
        (&["list"][..], "Service Tokens Read"),
        (&["show", ID], "Service Tokens Read"),
        (&["report"], "Service Tokens Read"),
        (&["renew", "--dry-run"], "Service Tokens Read"),
        (&["renew"], "Service Tokens Write"),
        (&["refresh", ID], "Service Tokens Write"),
        (&["delete", ID, "--yes"], "Service Tokens Write"),
        (&["create", "x", "--secret-to", "s"], "Service Tokens Write"),
        (&["rotate", ID, "--secret-to", "s"], "Service Tokens Write"),
        (&["update", ID, "--name", "x"], "Service Tokens Write"),
    ] {
        let mut command = world.command();
        command.env("CLOUDFLARE_API_TOKEN", "wrong");
        let ran = Ran::of(command.args(arguments));
        assert_eq!(ran.code, Some(3), "{}", ran.shown());
        for words in [
            permission,
            world.simulator.account_id(),
            "the API token in CLOUDFLARE_API_TOKEN",
        ] {
            assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.shown());
        }
    }
    let ran = Ran::of(
        world
            .command()
            .env_remove("CLOUDFLARE_API_TOKEN")
            .env("CLOUDFLARE_EMAIL", "me@example.com")
            .env("CLOUDFLARE_API_KEY", "wrong")
            .arg("list"),
    );
    assert!(
        ran.stderr
            .contains("the global API key in CLOUDFLARE_API_KEY"),
        "{}",
        ran.shown()
    );
}

/// Each refusal that no other attempt would change, whatever its HTTP status.
#[test]
fn every_refusal_has_the_same_code_and_a_next_step() {
    let envelope = |errors: &str| {
        format!(r#"{{"success":false,"errors":[{errors}],"messages":[],"result":null}}"#)
    };
    let chain = r#"{"code":6003,"message":"Invalid request headers","error_chain":[{"code":6111,"message":"Invalid format for Authorization header"}]}"#;
    let access =
        r#"{"code":9999,"message":"access.api.error.not_enabled: Access is not enabled."}"#;
    let location =
        r#"{"code":9109,"message":"Cannot use the access token from location: 192.0.2.1"}"#;
    let mut said = String::new();
    for (status, body) in [
        ("400 Bad Request", envelope(chain)),
        ("400 Bad Request", envelope(access)),
        ("403 Forbidden", envelope(access)),
        ("403 Forbidden", envelope(location)),
        ("403 Forbidden", "error code: 1010".to_owned()),
        ("403 Forbidden", "error code: 1020".to_owned()),
        ("407 Proxy Authentication Required", String::new()),
    ] {
        let url = answering(status, "application/json", body);
        for arguments in [&["list"][..], &["renew"]] {
            let ran = Ran::of(
                command()
                    .env("CLOUDFLARE_BASE_URL", &url)
                    .env("CLOUDFLARE_API_TOKEN", "0123456789")
                    .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
                    .args(arguments),
            );
            assert_eq!(ran.code, Some(3), "{}", ran.shown());
            assert!(ran.stderr.contains("next: "), "{}", ran.shown());
            if arguments == ["list"] {
                said += &ran.stderr;
            }
        }
    }
    assert_shown!(said);

    // A rate passes.
    let url = answering("429 Too Many", "text/plain", "error code: 1015".to_owned());
    let ran = Ran::of(
        command()
            .env("CLOUDFLARE_BASE_URL", &url)
            .env("CLOUDFLARE_API_TOKEN", "0123456789")
            .args(["list", "--account", ACCOUNT]),
    );
    assert_eq!(ran.code, Some(4), "{}", ran.shown());
}
