//! The mistakes of new users, with the message and the exit code of the command.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use cf_service_tokens_simulator::{Fault, Injection, Operation, SeedToken, Simulator};
use support::{ID, Ran, World, command, simulated};

#[test]
fn nothing_is_configured() {
    assert_shown!(Ran::of(command().arg("list")).shown());
}

#[test]
fn no_account_is_named() {
    let ran = Ran::of(command().env("CLOUDFLARE_API_TOKEN", "token").arg("list"));
    assert_shown!(ran.shown());
}

#[test]
fn a_variable_is_empty() {
    let ran = Ran::of(command().env("CLOUDFLARE_API_TOKEN", "").arg("list"));
    assert_shown!(ran.shown());
}

#[test]
fn a_service_key_alone_no_longer_works() {
    let world = World::new();
    let key = "v1.0-0123456789abcdef";
    let list = |more: &[&str]| {
        let mut list = world.command();
        list.env_remove("CLOUDFLARE_API_TOKEN")
            .env("CLOUDFLARE_API_USER_SERVICE_KEY", key)
            .arg("list")
            .args(more);
        Ran::of(&mut list)
    };
    let ran = list(&[]);
    assert!(ran.stderr.contains("2026-09-30"), "{}", ran.shown());
    assert!(!ran.shown().contains(key), "{}", ran.shown());
    assert_shown!(ran.shown());
    fs::write(world.path("token"), world.simulator.api_token()).unwrap();
    let ran = list(&["--api-token-file", "token"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
}

#[test]
fn two_kinds_of_credentials() {
    let ran = Ran::of(
        command()
            .env("CLOUDFLARE_API_TOKEN", "token")
            .env("CLOUDFLARE_EMAIL", "me@example.com")
            .arg("list"),
    );
    assert_shown!(ran.shown());
}

#[test]
fn the_base_url_is_no_url() {
    let ran = Ran::of(
        command()
            .env("CLOUDFLARE_API_TOKEN", "token")
            .env("CLOUDFLARE_BASE_URL", "api.cloudflare.com")
            .args(["list", "--account", "a"]),
    );
    assert_shown!(ran.shown());
}

/// The simulator's base URL is http, which is right for this machine.
#[test]
fn a_mistake_beside_an_http_base_url_is_named() {
    let world = World::new();
    for (variable, value, said) in [
        (
            "CLOUDFLARE_ACCOUNT_ID",
            "my account",
            "error: CLOUDFLARE_ACCOUNT_ID can't be used",
        ),
        (
            "CLOUDFLARE_ACCOUNT_ID",
            "x/y",
            "next: copy the id from there",
        ),
        (
            "CLOUDFLARE_ACCOUNT_ID",
            "a,b",
            "next: for several accounts, repeat --account",
        ),
        (
            "CLOUDFLARE_BASE_URL",
            "http://127.0.0.1:notaport/client",
            "is not a URL",
        ),
        (
            "CLOUDFLARE_BASE_URL",
            "http://gateway.internal/v4",
            "next: use https",
        ),
    ] {
        let ran = Ran::of(world.command().env(variable, value).arg("list"));
        assert!(ran.stderr.contains(said), "{value}: {}", ran.shown());
        assert!(!ran.stderr.contains("allow_http"), "{}", ran.shown());
    }
}

#[test]
fn the_api_token_file_is_not_there_or_holds_more() {
    let world = World::new();
    let list = ["list", "--api-token-file", "token"];
    assert_shown!(world.run(&list).shown());
    fs::write(world.path("token"), "a token\nand more\n").unwrap();
    assert_shown!(world.run(&list).shown());
    fs::write(
        world.path("token"),
        format!("{}\n", world.simulator.api_token()),
    )
    .unwrap();
    assert_eq!(world.run(&list).code, Some(0));
    // As a crontab has it, where no shell expands it.
    for path in ["~/token", "$HOME/token"] {
        let ran = Ran::of(
            world
                .command()
                .env_remove("CLOUDFLARE_API_TOKEN")
                .env("CLOUDFLARE_API_TOKEN_FILE", path)
                .arg("list"),
        );
        assert_eq!(ran.code, Some(3), "{}", ran.shown());
        let next = "next: write the whole path: no shell expands this one";
        assert!(ran.stderr.contains(next), "{}", ran.shown());
    }
}

#[test]
fn a_credential_is_refused() {
    let world = World::new();
    let ran = Ran::of(
        world
            .command()
            .env("CLOUDFLARE_API_TOKEN", "wrong")
            .arg("list"),
    );
    assert_shown!(ran.shown());
    let renewed = Ran::of(
        world
            .command()
            .env("CLOUDFLARE_API_TOKEN", "wrong")
            .arg("renew"),
    );
    assert_eq!(renewed.code, Some(3), "{}", renewed.shown());
}

#[test]
fn an_account_of_somebody_else() {
    let world = World::new();
    assert_shown!(
        world
            .run(&["list", "--account", "023e105f4ecef8ad9ca31a8372d0c353"])
            .shown()
    );
}

#[test]
fn an_id_of_no_token() {
    assert_shown!(simulated(&["show", "f174e90a-fafe-4643-bbbc-4a0ed4fc8415"]).shown());
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let world = World::new();
    for secret in [
        "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd",
        "bdd31cbc4dec990953e39163fbbb194c93313ca9f0a6e420346af9d326b1d2a5",
        "dTVQJs-Fj_5RZ0pWHxh2b3c4d5e6f7g8h9i0jklm",
        "c2547eb745079dac9320b638f5e225cf483cc",
    ] {
        for arguments in [
            &[secret][..],
            &["help", secret],
            &["renew", secret],
            &["report", "-o", secret],
            &["report", "--within", secret],
            &["renew", "--yes", secret],
            &["renew", "--api-token", secret],
            &["verify", "--url", "http://localhost", "--secret", secret],
            &["verify", "--single-header", &format!("x: {secret}")],
            &["rotate", ID, "--grace", secret],
        ] {
            let ran = world.run(arguments);
            assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.shown());
            assert!(!ran.shown().contains(secret), "{}", ran.shown());
            assert!(ran.stderr.starts_with("error: "), "{}", ran.shown());
        }
        let option = format!("--api-token={secret}");
        let ran = world.run(&["list", &option]);
        assert!(!ran.shown().contains(secret), "{}", ran.shown());
    }
    let secret = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";
    assert_shown!(world.run(&["renew", secret]).shown());
}

#[test]
fn a_secret_for_a_token_is_neither_repeated_nor_sent() {
    let world = World::new();
    let secret = "cfast_aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1eF3hI5kL7n12ab34cd";
    for arguments in [
        &["show", secret][..],
        &["refresh", secret],
        &["enable", secret],
        &["list", secret],
        &["list", "--name", secret],
        &["list", "--search", secret],
        &["report", secret],
        &["renew", "--only", secret],
        &["renew", "--except", secret],
        &["renew", "--watch", "--only", secret],
    ] {
        let ran = world.run(&[arguments, &["-v"]].concat());
        assert!(!ran.shown().contains(secret), "{}", ran.shown());
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
    }
    // The simulator masks secrets in its log.
    for request in world.simulator.requests() {
        let query = request.query.unwrap_or_default();
        assert!(!query.contains("name=") && !query.contains("search="));
    }
}

#[test]
fn no_network() {
    let world = World::new();
    world.go_offline();
    let ran = world.run(&["list"]);
    assert_shown!(ran.shown());
    assert_eq!(world.run(&["refresh", ID]).code, Some(4));
}

#[test]
fn a_token_in_use_is_not_deleted() {
    assert_shown!(simulated(&["delete", ID, "--yes"]).shown());
}

#[test]
fn nobody_is_there_to_confirm() {
    assert_shown!(simulated(&["delete", ID]).shown());
}

#[test]
fn values_that_can_not_be_read() {
    for arguments in [
        &["renew", "--within", "30"][..],
        &["renew", "--within", "0s"],
        &["report", "--within", "365d"],
        &["rotate", ID, "--secret-to", "s", "--grace", "10y"],
        &["renew", "--shard", "4/4"],
        &["renew", "--listen", "127.0.0.1:9464"],
        &["create", "deploy", "--secret-to", "s", "--duration", "1y"],
        &["create", "deploy"],
        &["rotate", ID, "--secret-to", "vault:secret/app"],
        &[
            "rotate",
            ID,
            "--secret-to",
            "s",
            "--grace",
            "1h",
            "--revoke-now",
        ],
        &["update", ID],
        &["update", ID, "--old-secret-until", "tomorrow"],
        &["renew", "--watch", "--output", "json"],
        &["report", "--output", "xml"],
        &["verify", "--url", "http://app.example.com"],
        &["journal", "finish", "rotate-x"],
        &["--account", "../x", "list"],
        &["frobnicate"],
        &[],
    ] {
        let ran = simulated(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.shown());
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn a_mistyped_command_line_gets_advice_that_makes_sense() {
    for (line, tip) in [
        ("lst", "tip: a similar command exists: `list`"),
        ("rm x", "tip: a similar command exists: `delete`"),
        ("journal lst", "tip: a similar command exists: `list`"),
        (
            "renew deploy",
            "tip: `renew` renews all due tokens; for one token, use `refresh`, or `renew --only`",
        ),
        (
            "update x --enabled false",
            "tip: a similar command exists: `enable`",
        ),
        (
            "frobnicate",
            "tip: `cf-service-tokens help` lists the commands",
        ),
        (
            "help rotat",
            "error: there is no command `rotat`; a similar command exists: `rotate`",
        ),
        (
            "help journal frobnicate",
            "error: there is no command `frobnicate`; `cf-service-tokens help journal` lists the \
             commands\n\nUsage: cf-service-tokens journal",
        ),
        (
            "doctor --url app.example.com",
            "not a complete URL; use one such as https://app.example.com",
        ),
        (
            "renew --witin 3d",
            "tip: a similar option exists: `--within`",
        ),
        ("list --json", "tip: use `-o json`"),
        ("delete x --force", "tip: use `--yes`"),
        ("refresh x --force", ""),
        ("list --state expired", ""),
        (
            "show x --within 3d",
            "tip: `--within` is an option of `report` and `renew`",
        ),
        (
            "completions bash --account x",
            "tip: `completions` has no use for `--account`",
        ),
        ("man -o json", "tip: `man` has no use for `-o`"),
        (
            "journal list --account x",
            "tip: `journal list` has no use for `--account`",
        ),
        (
            "--account x completions bash",
            "error: `completions` has no use for `--account`",
        ),
        ("list -o jsn", "tip: a similar value exists: 'json'"),
    ] {
        let ran = Ran::of(command().args(line.split(' ')));
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.shown());
        assert!(ran.stderr.contains(tip), "{line}: {}", ran.shown());
        if tip.is_empty() {
            assert!(!ran.stderr.contains("tip:"), "{line}: {}", ran.shown());
        }
    }
}

#[test]
fn a_span_has_one_grammar_and_limits_in_every_option() {
    let mut said = String::new();
    for arguments in [
        &["renew", "--within", "1m"][..],
        &["renew", "--within", "1M"],
        &["report", "--within", "9999d"],
        &["rotate", ID, "--secret-to", "s", "--grace", "0"],
        &["rotate", ID, "--secret-to", "s", "--grace", "1m"],
        &["create", "x", "--secret-to", "s", "--duration", "1y"],
        &["update", ID, "--old-secret-until", "tomorrow"],
    ] {
        let ran = simulated(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.shown());
        said += ran.stderr.lines().next().unwrap();
        said += "\n";
    }
    assert_shown!(said);

    let world = World::new();
    let sent = |arguments: &[&str], text: &str| {
        let ran = world.run(arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let token = world.simulator.tokens().pop().unwrap();
        assert_eq!(token.duration, text, "{arguments:?}");
    };
    sent(&["update", ID, "--duration", "30d"], "720h");
    sent(&["update", ID, "--duration", "1w"], "168h");
    sent(
        &["create", "x", "--secret-to", "s", "--duration", "90d"],
        "2160h",
    );
    sent(
        &["create", "y", "--secret-to", "t", "--duration", "forever"],
        "forever",
    );
}

#[test]
fn a_sink_that_can_not_be_written_is_found_before_the_api_is_called() {
    let world = World::new();
    fs::create_dir(world.path("directory")).unwrap();
    fs::write(world.path("target"), "").unwrap();
    fs::write(world.path("binary"), [0]).unwrap();
    std::os::unix::fs::symlink("target", world.path("link")).unwrap();
    let mut said = String::new();
    for sink in [
        "no/such/directory/secret",
        "directory",
        "link",
        "/dev/full",
        "env-file:binary",
        "command:no-such-command",
        "command:cat | (",
        "/proc/secret",
    ] {
        for arguments in [
            ["rotate", ID, "--secret-to", sink],
            ["create", "x", "--secret-to", sink],
        ] {
            let ran = world.run(&arguments);
            assert_eq!(ran.code, Some(2), "{sink}: {}", ran.shown());
            if arguments[0] == "rotate" {
                said += &ran.stderr;
            }
        }
    }
    let closed = Ran::of(
        world
            .command()
            .args(["rotate", ID, "--secret-to", "stdout"])
            .stdout(std::process::Stdio::null()),
    );
    assert_eq!(closed.code, Some(2), "{}", closed.shown());
    assert!(world.simulator.requests().is_empty());
    assert_eq!(world.journal_text(), "");
    assert_shown!(said);
}

#[test]
fn a_journal_that_can_not_be_written_is_found_before_anything_is_changed() {
    let world = World::new();
    fs::write(world.path("file"), "").unwrap();
    let ran = world.run(&["rotate", ID, "--secret-to", "secret", "--journal", "file/x"]);
    assert_shown!(ran.shown());
    assert_eq!(world.simulator.tokens()[0].client_secret_version, 1);
    assert!(!world.path("secret").exists());

    let homeless = Ran::of(
        world
            .command()
            .env_remove("CF_SERVICE_TOKENS_JOURNAL")
            .args(["rotate", ID, "--secret-to", "secret"]),
    );
    assert_shown!(homeless.shown());
}

#[test]
fn some_tokens_fail_and_others_do_not() {
    let builder = Simulator::builder();
    let soon = chrono::TimeDelta::days(3);
    let tokens = ["one", "two", "three"].map(|name| SeedToken::new(name).expires_in(soon));
    let world = World::with(tokens.into_iter().fold(builder, |b, token| b.token(token)));
    world
        .simulator
        .inject(Injection::new(Fault::SuccessFalse).on(Operation::Refresh));
    let ran = world.run(&["renew", "--quiet"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stdout.contains("failed"));
}

#[test]
fn a_renewal_that_failed_says_why_the_token_was_due() {
    for (days, reason) in [(3, "due"), (-3, "expired")] {
        let token = SeedToken::new("deploy").expires_in(chrono::TimeDelta::days(days));
        let world = World::with(Simulator::builder().token(token));
        let fault = Injection::new(Fault::SuccessFalse).on(Operation::Refresh);
        world.simulator.inject(fault);
        let ran = world.run(&["renew", "--include-expired", "-o", "json"]);
        let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let failed = &document["accounts"][0]["tokens"][0];
        assert_eq!(failed["outcome"], "failed", "{}", ran.shown());
        assert_eq!(failed["reason"], reason, "{}", ran.shown());
    }
}

#[test]
fn an_address_is_asked_for_in_its_form() {
    for address in ["localhost:9464", ":9464", "9464", "127.0.0.1"] {
        let renew = &["renew", "--watch", "--listen", address][..];
        for arguments in [renew, &["simulate", "--listen", address]] {
            let ran = Ran::of(command().args(arguments));
            assert_eq!(ran.code, Some(2), "{}", ran.shown());
            assert!(
                ran.stderr.contains("such as 127.0.0.1:9464"),
                "{}",
                ran.shown()
            );
        }
    }
}

/// An account of three tokens, whose ids are `a`, `b` and `c`.
fn three() -> World {
    let builder = Simulator::builder();
    let tokens = ["a", "b", "c"].map(|id| SeedToken::new(id).id(id));
    World::with(tokens.into_iter().fold(builder, |b, token| b.token(token)))
}

/// Returns the outcome of each token, by `--output json`.
fn outcomes(ran: &Ran) -> Vec<String> {
    let records: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let records = records.as_array().unwrap().iter();
    records
        .map(|record| {
            let id = record["id"].as_str().unwrap();
            format!("{id} {}", record["outcome"].as_str().unwrap())
        })
        .collect()
}

#[test]
fn one_token_that_is_forbidden_stops_no_other() {
    let world = three();
    let forbidden = Injection::new(Fault::Status(403));
    world
        .simulator
        .inject(forbidden.on(Operation::Refresh).skip(1));
    let ran = world.run(&["refresh", "a", "b", "c", "--output", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_eq!(outcomes(&ran), ["a refreshed", "b failed", "c refreshed"]);
}

#[test]
fn credentials_that_are_not_known_stop_all() {
    let world = three();
    let unknown = || Injection::new(Fault::Status(401));
    let refresh = ["refresh", "a", "b", "c", "--output", "json"];
    world
        .simulator
        .inject(unknown().on(Operation::Refresh).skip(1));
    let ran = world.run(&refresh);
    assert_eq!(outcomes(&ran), ["a refreshed", "b failed", "c not_tried"]);
    assert_eq!(ran.code, Some(1), "some were refreshed: {}", ran.shown());
    let calls = world.simulator.requests();
    let refreshed = calls.iter().filter(|call| call.method == "POST");
    assert_eq!(refreshed.count(), 2);

    let unknown = || unknown().on(Operation::Refresh);
    world.simulator.inject(unknown());
    let ran = world.run(&refresh);
    assert_eq!(outcomes(&ran), ["a failed", "b not_tried", "c not_tried"]);
    assert_eq!(ran.code, Some(3), "{}", ran.shown());
    world.simulator.inject(unknown());
    let ran = world.run(&["refresh", "a", "b", "--quiet"]);
    assert!(ran.stdout.contains("not tried"), "{}", ran.shown());
}

#[test]
fn a_list_is_advised_only_where_a_token_was_not_found() {
    let advice = "`cf-service-tokens list` shows";
    let world = World::new();
    let ran = world.run(&["show", "f174e90a-fafe-4643-bbbc-4a0ed4fc8415"]);
    assert!(ran.stderr.contains(advice), "{}", ran.shown());
    let wrong = world.simulator.base_url().replace("/v4", "/v5");
    for arguments in [&["list"][..], &["show", ID]] {
        let ran = Ran::of(
            world
                .command()
                .env("CLOUDFLARE_BASE_URL", &wrong)
                .args(arguments),
        );
        assert_eq!(ran.code, Some(1), "{}", ran.shown());
        assert!(
            ran.stderr.contains("CLOUDFLARE_BASE_URL"),
            "{}",
            ran.shown()
        );
        assert!(!ran.stderr.contains(advice), "{}", ran.shown());
    }
}

#[test]
fn a_rate_limit_and_a_failing_server_are_told_from_a_refusal() {
    // Longer than anybody waits for a create.
    let too_many = Fault::TooManyRequests {
        retry_after_seconds: Some(3600),
    };
    for (fault, code) in [
        (Fault::Status(503), 4),
        (Fault::HtmlPage(502), 4),
        (too_many.clone(), 4),
        (Fault::Status(400), 1),
        (Fault::HtmlPage(403), 1),
    ] {
        let world = World::new();
        world
            .simulator
            .inject(Injection::new(fault.clone()).always());
        // Without a retry's pauses: a create is not repeated.
        let ran = world.run(&["create", "x", "--secret-to", "secret"]);
        assert_eq!(ran.code, Some(code), "{fault}: {}", ran.shown());
    }
}
