//! `verify` tries a token on an app behind Access, and reports only what it proved.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::TcpListener;
use std::time::Instant;

use cf_service_tokens_simulator::{AppAuthentication, Simulator};
use support::app::{App, FORBIDDEN, LOGIN, OK, UNAUTHORIZED, answer, try_token};
use support::{CLIENT_ID, OLD_SECRET, Ran, World, command, known_token};

/// A secret of the right form.
const WRONG_SECRET: &str = "cfast_wrongwrongwrongwrongwrongwrongwrongwrongwrong123";

fn verify(world: &World, url: &str, secret: &str) -> Ran {
    let mut command = world.command();
    try_token(
        command.args(["verify", "--wait", "0s", "--url", url]),
        secret,
    )
}

#[test]
fn a_token_is_accepted_refused_not_allowed_or_sent_to_a_login() {
    let builder = || Simulator::builder().token(known_token());
    let world = World::with(builder());
    let app = world.simulator.protected_url();
    assert_shown!("accepted", verify(&world, app, OLD_SECRET).shown());
    assert_shown!(
        "not-authenticated",
        verify(&world, app, WRONG_SECRET).shown()
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
        (AppAuthentication::Forbid, "forbidden"),
    ] {
        let world = World::with(builder().app_authentication(authentication));
        let app = world.simulator.protected_url();
        assert_eq!(verify(&world, app, OLD_SECRET).code, Some(0));
        assert_shown!(name, verify(&world, app, WRONG_SECRET).shown());
    }
}

#[test]
fn an_app_that_answers_without_a_token_gets_no_secret() {
    for open in [
        OK.to_owned(),
        answer("404 Not Found", "", ""),
        answer("302 Found", "location: /welcome\r\n", ""),
        answer(
            "401 Unauthorized",
            "www-authenticate: Basic realm=x\r\n",
            "",
        ),
    ] {
        let app = App::gated(&open, OK);
        let ran = app.verify(&[]);
        assert_eq!(ran.code, Some(1), "{open}: {}", ran.shown());
        assert!(
            ran.stdout.contains("not protected by Access"),
            "{}",
            ran.shown()
        );
        assert_eq!(app.heads().len(), 1, "{open}");
        assert!(!app.heads()[0].to_lowercase().contains("cf-access"));
    }
    assert_shown!("not-protected", App::gated(OK, OK).verify(&[]).shown());
}

/// Each answer, and the outcome if it comes before a token is sent, and after.
#[test]
fn only_an_answer_that_differs_as_access_makes_it_differ_is_accepted() {
    let html_1010 = r#"<span class="cf-error-code">1010</span>"#;
    let json_1020 =
        r#"{"title":"Error 1020: Access denied","error_code":1020,"cloudflare_error":true}"#;
    for (answer, before, after) in [
        (answer("200 OK", "", ""), "not_protected", "accepted"),
        (
            answer("204 No Content", "", ""),
            "not_protected",
            "accepted",
        ),
        (answer("404 Not Found", "", ""), "not_protected", "accepted"),
        (
            answer("405 Method Not Allowed", "", ""),
            "not_protected",
            "accepted",
        ),
        (
            answer("426 Upgrade Required", "", ""),
            "not_protected",
            "accepted",
        ),
        (
            answer("303 See Other", "location: /home\r\n", ""),
            "not_protected",
            "accepted",
        ),
        (
            answer("401 No", "www-authenticate: Basic realm=x\r\n", ""),
            "not_protected",
            "accepted",
        ),
        (answer("400 Bad Request", "", ""), "unclear", "unclear"),
        (
            answer("407 Proxy Authentication Required", "", ""),
            "unclear",
            "unclear",
        ),
        (
            answer("421 Misdirected Request", "", ""),
            "unclear",
            "unclear",
        ),
        (
            answer("429 Too Many Requests", "", ""),
            "unclear",
            "unclear",
        ),
        (
            answer("429 Too Many Requests", "", "error code: 1015"),
            "unclear",
            "unclear",
        ),
        (
            answer("451 Unavailable For Legal Reasons", "", ""),
            "unclear",
            "unclear",
        ),
        (
            answer("500 Internal Server Error", "", ""),
            "unclear",
            "unclear",
        ),
        (answer("530 ", "", "error code: 1033"), "unclear", "unclear"),
        (
            answer("403 Forbidden", "", "error code: 1010"),
            "unclear",
            "unclear",
        ),
        (answer("403 Forbidden", "", html_1010), "unclear", "unclear"),
        (answer("403 Forbidden", "", json_1020), "unclear", "unclear"),
        (
            answer("403 Forbidden", "cf-mitigated: challenge\r\n", ""),
            "unclear",
            "unclear",
        ),
        (
            answer("302 Found", "location: https://www.example.com/\r\n", ""),
            "unclear",
            "unclear",
        ),
        (answer("302 Found", "", ""), "unclear", "unclear"),
        (answer("304 Not Modified", "", ""), "unclear", "unclear"),
    ] {
        let app = App::gated(&answer, OK);
        let ran = app.verify(&["-o", "jsonl"]);
        let outcome = |ran: &Ran| -> serde_json::Value {
            let record: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            record["outcome"].clone()
        };
        assert_eq!(outcome(&ran), before, "before: {answer}");
        assert_eq!(app.heads().len(), 1, "a token was sent: {answer}");

        for gate in [LOGIN, UNAUTHORIZED, FORBIDDEN] {
            let ran = App::gated(gate, &answer).verify(&["-o", "jsonl"]);
            assert_eq!(outcome(&ran), after, "after: {answer}");
            let code = match after {
                "accepted" => 0,
                _ => 4,
            };
            assert_eq!(ran.code, Some(code), "{}", ran.shown());
        }
    }
}

#[test]
fn the_edge_and_the_app_are_not_taken_for_access() {
    let blocked = App::gated(LOGIN, &answer("403 Forbidden", "", "error code: 1010"));
    assert_shown!("blocked", blocked.verify(&[]).shown());
    let failing = App::gated(
        &answer("503 Service Unavailable", "", ""),
        &answer("503 Service Unavailable", "", ""),
    );
    assert_shown!("unclear", failing.verify(&[]).shown());
    let elsewhere = App::gated(
        UNAUTHORIZED,
        &answer("302 Found", "location: https://sso.example.com/x\r\n", ""),
    );
    assert_shown!("elsewhere", elsewhere.verify(&[]).shown());
}

/// Strict authentication answers 401 to a caller that it can't authenticate, and 403 to
/// one that no policy allows. Without it, 403 has both meanings.
#[test]
fn the_two_refusals_are_told_apart_where_the_answers_prove_it() {
    for (without, with, outcome) in [
        (UNAUTHORIZED, UNAUTHORIZED, "refused"),
        (UNAUTHORIZED, FORBIDDEN, "not_allowed"),
        (FORBIDDEN, FORBIDDEN, "refused"),
        (LOGIN, UNAUTHORIZED, "refused"),
        (LOGIN, FORBIDDEN, "refused"),
        (LOGIN, LOGIN, "login"),
    ] {
        let ran = App::gated(without, with).verify(&["-o", "jsonl"]);
        let record: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(record["outcome"], outcome, "{without} {with}");
        assert_eq!(ran.code, Some(1));
    }
    // Access marks its answers; an unmarked refusal may be the app's.
    for (headers, hedged) in [
        ("", true),
        ("cf-access-aud: 1\r\n", false),
        ("www-authenticate: Cloudflare-Access x=y\r\n", false),
    ] {
        for status in ["401 Unauthorized", "403 Forbidden"] {
            let app = App::gated(LOGIN, &answer(status, headers, ""));
            let said = app.verify(&[]).stdout;
            assert_eq!(said.contains("or the app itself"), hedged, "{said}");
        }
    }
}

#[test]
fn a_new_secret_is_tried_until_it_works() {
    let app = App::new(|number, has_secret| match has_secret && number > 4 {
        true => OK.to_owned(),
        false => UNAUTHORIZED.to_owned(),
    });
    let url = app.url.clone();
    let mut late = command();
    let ran = try_token(late.args(["verify", "--url", &url]), OLD_SECRET);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(ran.stderr.contains("a new secret"), "{}", ran.shown());
    assert_eq!(app.heads().len(), 5);

    let never = App::gated(UNAUTHORIZED, UNAUTHORIZED);
    let start = Instant::now();
    let ran = try_token(
        command().args(["verify", "-q", "--wait", "1s", "--url", &never.url]),
        OLD_SECRET,
    );
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_eq!(ran.stderr, "");
    assert!(start.elapsed().as_secs_f64() >= 1.0);
    assert!(never.heads().len() > 2);

    // The proof of strict authentication does not depend on time.
    let not_allowed = App::gated(UNAUTHORIZED, FORBIDDEN);
    let ran = try_token(
        command().args(["verify", "--url", &not_allowed.url]),
        OLD_SECRET,
    );
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_eq!(not_allowed.heads().len(), 2);
}

#[test]
fn both_requests_differ_only_in_the_token() {
    let app = App::gated(UNAUTHORIZED, OK);
    let ran = app.verify(&[
        "--header",
        "X-Env: staging",
        "--header",
        "Accept: text/html",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let heads: Vec<Vec<String>> = app
        .heads()
        .iter()
        .map(|head| head.lines().map(str::to_lowercase).collect())
        .collect();
    let [without, with] = &heads[..] else {
        panic!("{heads:?}")
    };
    assert!(
        without.contains(&"x-env: staging".to_owned()),
        "{without:?}"
    );
    assert!(
        without.contains(&"accept: text/html".to_owned()),
        "{without:?}"
    );
    let agent = concat!("user-agent: cf-service-tokens/", env!("CARGO_PKG_VERSION"));
    assert!(without.contains(&agent.to_owned()), "{without:?}");
    let token: Vec<_> = with.iter().filter(|line| !without.contains(line)).collect();
    assert_eq!(token.len(), 2, "{token:?}");
    assert!(
        token
            .iter()
            .all(|line| line.starts_with("cf-access-client-"))
    );

    let app = App::gated(UNAUTHORIZED, OK);
    let ran = app.verify(&["--header", "User-Agent: probe/1"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(
        app.heads()[0]
            .to_lowercase()
            .contains("user-agent: probe/1")
    );
}

#[test]
fn a_header_that_would_spoil_the_comparison_is_refused() {
    let app = App::gated(UNAUTHORIZED, OK);
    for arguments in [
        &["--header", "CF-Access-Client-Secret: x"][..],
        &["--header", "Host: elsewhere.example.com"],
        &["--header", "no colon"],
        &["--header", "bad name: x"],
        &[
            "--header",
            "Authorization: x",
            "--single-header",
            "authorization",
        ],
    ] {
        let ran = app.verify(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.shown());
    }
    assert!(app.heads().is_empty());
}

/// The app repeats the secret wherever it can, and looks like a login page, an error or
/// a success.
#[test]
fn no_answer_makes_the_command_show_the_secret() {
    let lower = OLD_SECRET.to_lowercase();
    let encoded = OLD_SECRET.replace('_', "%5F");
    for location in [
        format!("https://x.example.com/{OLD_SECRET}?{OLD_SECRET}"),
        format!("https://{OLD_SECRET}.example.com/"),
        format!("https://a.{}.example.com/", &OLD_SECRET[6..]),
        format!("https://{OLD_SECRET}@team.cloudflareaccess.com/cdn-cgi/access/{OLD_SECRET}"),
        format!("/{OLD_SECRET}"),
        format!("/cdn-cgi/access/login/{OLD_SECRET}"),
        format!("//{encoded}/"),
        format!("http://[{OLD_SECRET}"),
    ] {
        for status in ["302 Found", &format!("302 {OLD_SECRET}")] {
            let headers = format!("location: {location}\r\nx: {OLD_SECRET}\r\n");
            let body = format!("error code: {OLD_SECRET}");
            let app = App::gated(UNAUTHORIZED, &answer(status, &headers, &body));
            for format in ["table", "json"] {
                let ran = app.verify(&["-v", "-o", format]);
                let shown = ran.shown().to_lowercase();
                assert!(!shown.contains(&lower), "{location}: {shown}");
                assert!(!shown.contains(&lower[6..]), "{location}: {shown}");
                assert!(!shown.contains(&lower[6..30]), "{location}: {shown}");
            }
        }
    }
    for broken in [
        format!("HTTP/1.1 {OLD_SECRET}\r\n\r\n"),
        format!("{OLD_SECRET}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n{OLD_SECRET}\r\n\r\n"),
        format!("HTTP/1.1 403 No\r\ncontent-length: 99999\r\n\r\n{OLD_SECRET}"),
    ] {
        let ran = App::gated(UNAUTHORIZED, &broken).verify(&["-v"]);
        assert!(!ran.shown().contains(&OLD_SECRET[6..30]), "{}", ran.shown());
    }
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
    let mut command = world.command();
    let ran = try_token(command.args(["verify", "-v", "--url", &url]), OLD_SECRET);
    let request = format!("GET {url} without the token → no response after ");
    assert!(ran.stderr.contains(&request), "{}", ran.shown());
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
