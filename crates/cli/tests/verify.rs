//! What `verify` says of a token, on an app behind Access.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use cf_service_tokens_simulator::{AppAuthentication, Simulator};
use support::{CLIENT_ID, OLD_SECRET, Ran, World, known_token};

/// Runs `verify` with this secret in the environment.
fn verify(world: &World, url: &str, secret: &str) -> Ran {
    let ran = Ran::of(
        world
            .command()
            .env("CF_ACCESS_CLIENT_ID", CLIENT_ID)
            .env("CF_ACCESS_CLIENT_SECRET", secret)
            .args(["verify", "--url", url]),
    );
    assert!(!ran.shown().contains(secret), "{}", ran.shown());
    ran
}

#[test]
fn accepted_refused_or_sent_to_a_login() {
    let builder = || Simulator::builder().token(known_token());
    let world = World::with(builder());
    let app = world.simulator.protected_url();
    assert_eq!(verify(&world, app, OLD_SECRET).code, Some(0));
    assert_shown!(
        "not-authenticated",
        verify(&world, app, "cfast_wrong").shown()
    );

    for (token, name) in [
        (known_token().disabled(), "not-authenticated"),
        (known_token().not_allowed_at_app(), "not-allowed"),
    ] {
        let world = World::with(Simulator::builder().token(token));
        let app = world.simulator.protected_url();
        assert_shown!(name, verify(&world, app, OLD_SECRET).shown());
    }
    for (authentication, name) in [
        (AppAuthentication::Login, "login"),
        (AppAuthentication::Forbid, "not-allowed"),
    ] {
        let world = World::with(builder().app_authentication(authentication));
        let app = world.simulator.protected_url();
        assert_eq!(verify(&world, app, OLD_SECRET).code, Some(0));
        assert_shown!(name, verify(&world, app, "cfast_wrong").shown());
    }
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

#[test]
fn what_is_missing_or_out_of_reach() {
    let world = World::new();
    let url = world.simulator.protected_url().to_owned();
    assert_shown!(
        "nothing-to-try",
        world.run(&["verify", "--url", &url]).shown()
    );
    world.go_offline();
    assert_shown!("out-of-reach", verify(&world, &url, OLD_SECRET).shown());
}

#[test]
fn an_app_that_fails_says_nothing_about_the_token() {
    let world = World::new();
    let app = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", app.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut connection, _) = app.accept().unwrap();
        let mut head = BufReader::new(&connection).lines().map(Result::unwrap);
        assert!(head.any(|line| line.is_empty()));
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
        connection.write_all(answer.as_bytes()).unwrap();
    });
    assert_shown!("unclear", verify(&world, &url, OLD_SECRET).shown());
    serving.join().unwrap();
}

/// A proxy would see the secret, which is not encrypted on its way to this machine.
#[test]
fn no_proxy_stands_between_the_command_and_this_machine() {
    let world = World::new();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let url = world.simulator.protected_url();
    let by_name = url.replace("127.0.0.1", "localhost");
    for arguments in [
        &["verify", "--url", url][..],
        &["verify", "--url", &by_name],
        &["--simulate", "verify"],
    ] {
        let mut command = world.command();
        for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env(variable, &address);
        }
        // A simulated account makes a token of its own.
        if arguments[0] == "verify" {
            command
                .env("CF_ACCESS_CLIENT_ID", CLIENT_ID)
                .env("CF_ACCESS_CLIENT_SECRET", OLD_SECRET);
        }
        let ran = Ran::of(command.args(arguments));
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.shown());
        assert!(proxy.accept().is_err(), "{arguments:?} went to the proxy");
    }
}

#[test]
fn a_secret_does_not_go_to_another_machine_without_tls() {
    let world = World::new();
    for url in [
        "http://app.example.com/",
        "http://localhost.example.com/",
        "http://192.0.2.1/",
    ] {
        let ran = verify(&world, url, OLD_SECRET);
        assert_eq!(ran.code, Some(2), "{url}: {}", ran.shown());
        assert!(ran.stderr.contains("not https"), "{}", ran.shown());
    }
}
