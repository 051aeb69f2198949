//! An error of a connection names the host, and what failed: DNS, TCP or TLS.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::ErrorKind;
use std::net::TcpListener;

use support::{ID, Ran, World, answering, command, simulated};

/// Returns the error of the command for an API at this URL.
fn at(url: &str) -> Ran {
    Ran::of(
        command()
            .env("CLOUDFLARE_BASE_URL", url)
            .env("CLOUDFLARE_API_TOKEN", "0123456789")
            .env("CLOUDFLARE_ACCOUNT_ID", "023e105f4ecef8ad9ca31a8372d0c353")
            // A resolver without a network gives up soon.
            .env("RES_OPTIONS", "timeout:1 attempts:1")
            .args(["list", "--deadline", "1s"]),
    )
}

fn assert_says(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(4), "{}", ran.shown());
    for words in words {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.shown());
    }
    for noise in ["error sending request", "client error"] {
        assert!(!ran.stderr.contains(noise), "{}", ran.shown());
    }
}

#[test]
fn a_port_that_nothing_listens_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = format!("could not connect to {host}");
    let cause = "cause: tcp connect error\n  cause: Connection refused";
    let ran = at(&format!("http://{host}/client/v4"));
    assert_says(&ran, &[&error, cause, "next: check the network"]);
}

/// No name ends in `.invalid`, as RFC 2606 says; without a network the error is the same.
#[test]
fn a_name_that_is_not_found() {
    let ran = at("https://nope.invalid/client/v4");
    let error = "could not connect to nope.invalid:443";
    let cause = "cause: dns error\n  cause: ";
    assert_says(&ran, &[error, cause, "CLOUDFLARE_BASE_URL"]);
}

#[test]
fn a_server_that_does_not_speak_tls() {
    let url = answering("400 Bad Request", "text/plain", String::new());
    let host = url.strip_prefix("http://").unwrap();
    let error = format!("the TLS handshake with {host} failed");
    let ran = at(&format!("https://{host}/client/v4"));
    assert_says(
        &ran,
        &[
            &error,
            "cause: received corrupt message",
            "next: check this",
        ],
    );
}

/// Another shell would look at the real account.
#[test]
fn what_is_advised_about_a_simulated_account_is_simulated_too() {
    for arguments in [
        &["show", "vault"][..],
        &["refresh", "vault"],
        &["refresh", ID, "f174e90a-fafe-4643-bbbc-4a0ed4fc8415"],
    ] {
        let ran = simulated(arguments);
        let said = "`cf-service-tokens --simulate list`";
        assert!(ran.stderr.contains(said), "{}", ran.shown());
    }
    let ran = World::new().run(&["show", "vault"]);
    assert!(
        ran.stderr.contains("`cf-service-tokens list`"),
        "{}",
        ran.shown()
    );
}

#[test]
fn a_refusal_says_where_the_account_comes_from() {
    let world = World::new();
    let other = "023e105f4ecef8ad9ca31a8372d0c353";
    let by_option = world.run(&["list", "--account", other]);
    let said = format!("account {other} from --account, the API token in CLOUDFLARE_API_TOKEN");
    assert!(by_option.stderr.contains(&said), "{}", by_option.shown());
    let mut list = world.command();
    let by_variable = Ran::of(list.env("CLOUDFLARE_ACCOUNT_ID", other).arg("list"));
    let said = format!("account {other} from CLOUDFLARE_ACCOUNT_ID");
    assert!(
        by_variable.stderr.contains(&said),
        "{}",
        by_variable.shown()
    );
}

/// Cloudflare would answer with an error about the credentials or the route.
#[test]
fn an_id_that_is_none_of_cloudflares_is_refused_before_any_call() {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let list = |id: &str, arguments: &[&str]| {
        let mut list = command();
        list.env("HTTPS_PROXY", &url)
            .env("CLOUDFLARE_API_TOKEN", "0123456789")
            .env("CLOUDFLARE_ACCOUNT_ID", id)
            .args(["list", "--deadline", "1s"])
            .args(arguments);
        Ran::of(&mut list)
    };
    let whole = "023e105f4ecef8ad9ca31a8372d0c353";
    let cut = &whole[1..];
    for (ran, said) in [
        (list(cut, &[]), "CLOUDFLARE_ACCOUNT_ID \"23e"),
        (list(whole, &["--account", cut]), "--account \"23e"),
        (list(cut, &[]), "this one has 31"),
        (list("acme", &[]), "\"acme\": an account id has only digits"),
    ] {
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
        assert!(ran.stderr.contains(said), "{said}: {}", ran.shown());
        assert!(ran.stderr.contains("next: copy"), "{}", ran.shown());
    }
    let call = proxy.accept().unwrap_err();
    assert_eq!(call.kind(), ErrorKind::WouldBlock);
    // The right one is used, and the variable does not count beside the option.
    assert_eq!(list(cut, &["--account", whole]).code, Some(4));
    proxy.accept().unwrap();
}
