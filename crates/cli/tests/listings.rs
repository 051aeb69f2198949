//! A listing is whole or an error, and what it holds can't mislead a terminal.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cf_service_tokens_simulator::{Fault, Injection, Operation, SeedToken, Simulator};
use chrono::TimeDelta;
use support::{Ran, World, command, serve, simulated};

const ACCOUNT: &str = "023e105f4ecef8ad9ca31a8372d0c353";

fn tokens(range: std::ops::Range<usize>) -> String {
    let tokens: Vec<String> = range
        .map(|number| {
            format!(
                r#"{{"id":"{number}","name":"token {number}","expires_at":"2099-01-01T00:00:00Z"}}"#
            )
        })
        .collect();
    tokens.join(",")
}

/// Runs a command on an API that returns these bodies, one after the other, and then the
/// last one for ever.
fn on_pages(bodies: Vec<String>, arguments: &[&str]) -> Ran {
    let url = serve(move |number, connection| {
        let body = &bodies[number.min(bodies.len()) - 1];
        support::write_response(connection, "200 OK", "application/json", body);
    });
    Ran::of(
        command()
            .env("CLOUDFLARE_BASE_URL", url)
            .env("CLOUDFLARE_API_TOKEN", "0123456789")
            .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
            .args(arguments),
    )
}

fn page(tokens: &str, info: &str) -> String {
    format!(r#"{{"success":true,"errors":[],"messages":[],"result":[{tokens}]{info}}}"#)
}

#[test]
fn a_listing_cut_short_is_an_error() {
    let info = r#","result_info":{"total_count":120}"#;
    let empty = page("", info);
    let again = page(&tokens(0..50), info);
    for second in [empty, again] {
        for arguments in [
            &["list"][..],
            &["report"],
            &["report", "--check"],
            &["renew"],
            &["renew", "--dry-run"],
            &["renew", "-q"],
        ] {
            let pages = vec![page(&tokens(0..50), info), second.clone()];
            let ran = on_pages(pages, arguments);
            assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.shown());
            let said = "the listing is incomplete: page 2";
            assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.shown());
        }
    }
}

#[test]
fn pages_smaller_than_asked_for_are_all_listed() {
    let pages = |last: &str| {
        let mut pages: Vec<String> = (0..6)
            .map(|index| page(&tokens(index * 20..(index + 1) * 20), ""))
            .collect();
        pages.push(page(last, ""));
        pages
    };
    let ran = on_pages(pages(""), &["list", "-o", "jsonl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(ran.stdout.lines().count(), 120);
}

/// A name that clears the screen, hides and turns what follows, and adds a line.
const NAME: &str = "a\u{1b}[2J\u{9b}2J\u{202e}\u{200b}\u{2028}\u{feff}\nroot\r\u{7}z";

fn misleads(text: &str) -> bool {
    text.chars().any(|c| {
        (c.is_control() && c != '\n')
            || ['\u{202e}', '\u{200b}', '\u{2028}', '\u{feff}'].contains(&c)
    })
}

#[test]
fn a_name_reaches_the_terminal_escaped() {
    let soon = SeedToken::new(NAME)
        .id("soon")
        .expires_in(TimeDelta::days(3));
    let old = SeedToken::new(format!("{NAME} old"))
        .id("old")
        .expires_in(TimeDelta::days(-300));
    let world = World::with(Simulator::builder().token(soon).token(old));
    for arguments in [
        &["list"][..],
        &["show", "soon"],
        &["report"],
        &["renew", "--dry-run"],
        &["renew", "--only", "no\u{1b}such"],
        &["renew"],
        &["refresh", "soon"],
        &["refresh", "soon", "no\u{1b}such"],
        &["update", "soon", "--duration", "30d"],
        &["create", NAME, "--secret-to", "s\u{1b}x"],
        &["rotate", "soon", "--secret-to", "env-file:s\u{202e}y"],
    ] {
        let ran = world.run(arguments);
        assert!(!misleads(&ran.stdout), "{arguments:?}: {:?}", ran.stdout);
        assert!(!misleads(&ran.stderr), "{arguments:?}: {:?}", ran.stderr);
        assert!(!ran.stderr.contains("\nroot"), "{:?}", ran.stderr);
    }
    let fault = Injection::new(Fault::SuccessFalse).on(Operation::Refresh);
    world.simulator.inject(fault);
    let ran = world.run(&["refresh", "soon"]);
    assert!(!misleads(&ran.shown()), "{:?}", ran.shown());
    let shown = simulated(&["create", "x", "--secret-to", "no/such\u{1b}/file"]).shown();
    assert!(!misleads(&shown), "{shown:?}");
}

/// The server chooses the id, and the advice is a command line to copy.
#[test]
fn an_advised_command_has_no_id_that_a_shell_would_run() {
    let world = World::new();
    let evil = r#"{"id":"x\u001b[2J; touch pwned #","name":"deploy"}"#;
    let url = serve(move |_, connection| {
        let info = r#","result_info":{"total_count":1}"#;
        support::write_response(connection, "200 OK", "application/json", &page(evil, info));
    });
    let create = ["create", "deploy", "--secret-to", "secret"];
    let ran = Ran::of(world.command().env("CLOUDFLARE_BASE_URL", url).args(create));
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    assert!(!misleads(&ran.shown()), "{:?}", ran.shown());
    assert!(!ran.stderr.contains("pwned"), "{}", ran.shown());
    let said = r#"a token named "deploy" exists already: ID"#;
    assert!(ran.stderr.contains(said), "{}", ran.shown());
}
