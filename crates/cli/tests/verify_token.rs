//! Where `verify` takes its token from, and what it says of one that was pasted with more.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use support::app::{App, OK, UNAUTHORIZED, try_token};
use support::{CLIENT_ID, OLD_SECRET, Ran, World, command};

#[test]
fn the_variables_of_wrangler_and_cloudflared_are_known() {
    let other = "11111111111111111111111111111111.access";
    for (id, secret) in [
        ("CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET"),
        (
            "CLOUDFLARE_ACCESS_CLIENT_ID",
            "CLOUDFLARE_ACCESS_CLIENT_SECRET",
        ),
        ("TUNNEL_SERVICE_TOKEN_ID", "TUNNEL_SERVICE_TOKEN_SECRET"),
    ] {
        let app = App::gated(UNAUTHORIZED, OK);
        let mut verify = command();
        verify.args(["verify", "--url", &app.url]);
        let ran = Ran::of(verify.env(id, CLIENT_ID).env(secret, OLD_SECRET));
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert!(
            ran.stdout.contains(&format!("{CLIENT_ID} from {id}")),
            "{}",
            ran.shown()
        );

        let world = World::new();
        let text = format!("\u{feff}{id}='{CLIENT_ID}'\nexport {secret}=\"{OLD_SECRET}\"\r\n");
        fs::write(world.path("env"), text).unwrap();
        let ran = world.run(&["verify", "--url", &app.url, "--env-file", "env"]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());

        // One variable alone is half a token.
        let app = App::gated(UNAUTHORIZED, OK);
        let mut half = command();
        half.args(["verify", "--url", &app.url]);
        let ran = Ran::of(half.env(id, CLIENT_ID));
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(
            ran.stderr.contains(&format!("{secret} is not set")),
            "{}",
            ran.shown()
        );
        assert!(app.heads().is_empty());
    }
    // Two complete tokens: which one is meant is not guessed.
    let app = App::gated(UNAUTHORIZED, OK);
    let mut two = command();
    two.args(["verify", "--url", &app.url])
        .env("TUNNEL_SERVICE_TOKEN_ID", other)
        .env("TUNNEL_SERVICE_TOKEN_SECRET", OLD_SECRET);
    let ran = try_token(&mut two, OLD_SECRET);
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert!(
        ran.stderr.contains("TUNNEL_SERVICE_TOKEN_ID"),
        "{}",
        ran.shown()
    );
}

#[test]
fn a_value_that_was_pasted_with_more_is_pointed_out() {
    let app = App::gated(UNAUTHORIZED, OK);
    let mut said = String::new();
    for (id, secret) in [
        (
            format!("CF-Access-Client-Id: {CLIENT_ID}"),
            OLD_SECRET.to_owned(),
        ),
        (
            CLIENT_ID.to_owned(),
            format!("CF-Access-Client-Secret: {OLD_SECRET}"),
        ),
        (format!("'{CLIENT_ID}'"), OLD_SECRET.to_owned()),
        (CLIENT_ID.to_owned(), format!("\"{OLD_SECRET}\"")),
        (CLIENT_ID.to_owned(), format!("{OLD_SECRET} # ci")),
        (
            CLIENT_ID.to_owned(),
            format!("CF_ACCESS_CLIENT_SECRET={OLD_SECRET}"),
        ),
        (
            CLIENT_ID.to_owned(),
            format!("{{\"secret\":\"{OLD_SECRET}\"}}"),
        ),
        (CLIENT_ID.to_owned(), format!("{OLD_SECRET}\n")),
        (OLD_SECRET.to_owned(), CLIENT_ID.to_owned()),
        (CLIENT_ID.to_owned(), CLIENT_ID.to_owned()),
        (CLIENT_ID.to_owned(), "cfat_0123456789".to_owned()),
    ] {
        let mut verify = command();
        verify.args(["verify", "--url", &app.url]);
        let ran = Ran::of(
            verify
                .env("CF_ACCESS_CLIENT_ID", id)
                .env("CF_ACCESS_CLIENT_SECRET", secret),
        );
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(!ran.shown().contains(OLD_SECRET), "{}", ran.shown());
        said += &ran.stderr;
    }
    assert!(app.heads().is_empty());
    assert_shown!(said);

    let world = World::new();
    let text =
        format!("CF_ACCESS_CLIENT_ID='{CLIENT_ID}' # ci\nCF_ACCESS_CLIENT_SECRET={OLD_SECRET}\n");
    fs::write(world.path("env"), text).unwrap();
    assert_shown!(
        "comment-in-file",
        world
            .run(&["verify", "--url", &app.url, "--env-file", "env"])
            .shown()
    );
}

#[test]
fn a_secret_of_unknown_form_is_mentioned_when_it_is_refused() {
    let app = App::gated(UNAUTHORIZED, UNAUTHORIZED);
    let mut verify = command();
    verify.args(["verify", "--wait", "0s", "--url", &app.url]);
    let ran = try_token(&mut verify, "cfast_tooshort");
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stdout.contains("64 hexadecimal digits"),
        "{}",
        ran.shown()
    );
}

#[test]
fn credentials_come_from_files_and_go_into_one_header_too() {
    let world = World::new();
    fs::write(world.path("secret"), format!("{OLD_SECRET}\n")).unwrap();
    let mut arguments = vec![
        "verify",
        "--client-id",
        CLIENT_ID,
        "--secret-file",
        "secret",
    ];
    arguments.extend(["--url", world.simulator.protected_url()]);
    assert_eq!(world.run(&arguments).code, Some(0));
    arguments.extend(["--single-header", "Authorization"]);
    let ran = world.run(&arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
}
