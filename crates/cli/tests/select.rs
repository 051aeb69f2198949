//! A token is named by its id, client id or name, and a changing command never guesses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use cf_service_tokens_simulator::{Fault, Injection, Operation, SeedToken, Simulator};
use chrono::{TimeDelta, Utc};
use support::{CLIENT_ID, ID, Ran, World, known_token, serve_heads, write_response};

const ETL: &str = "0e9a2b5c-1111-4a48-805d-3f126e371f62";
const TWIN: &str = "0e9a2b5c-2222-4a48-805d-3f126e371f62";

/// An account with the known token, and two tokens named "etl".
fn world() -> World {
    let used = Utc::now() - TimeDelta::days(2);
    World::with(
        Simulator::builder()
            .token(known_token())
            .token(twin(ETL).last_seen_at(used))
            .token(twin(TWIN)),
    )
}

fn twin(id: &str) -> SeedToken {
    SeedToken::new("etl")
        .id(id)
        .client_id(format!("{id}.access"))
}

/// The requests about service tokens since `from`, by method.
fn methods(world: &World, from: usize) -> Vec<String> {
    let requests = world.simulator.requests().into_iter();
    let of_tokens = requests.filter(|request| request.path.contains("/access/service_tokens"));
    let of_tokens = of_tokens.skip(from);
    of_tokens.map(|request| request.method).collect()
}

#[test]
fn each_command_takes_a_name_an_id_and_a_client_id() {
    for token in ["Grafana scraper", ID, CLIENT_ID] {
        for arguments in [
            &["show", token][..],
            &["refresh", token],
            &["update", token, "--duration", "90d"],
            &["disable", token],
            &["enable", token],
            &["rotate", token, "--secret-to", "secret"],
            &["delete", token, "--yes"],
        ] {
            let world = world();
            let ran = world.run(arguments);
            assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.shown());
            for said in ["Grafana scraper", ID] {
                assert!(ran.stdout.contains(said), "{arguments:?}: {}", ran.shown());
            }
            let calls: Vec<_> = world.simulator.requests();
            let changed = calls.iter().filter(|call| call.method != "GET");
            for call in changed {
                assert!(call.path.contains(ID), "{arguments:?}: {}", call.path);
            }
        }
    }
}

#[test]
fn an_id_needs_no_listing_and_a_name_needs_one() {
    let world = world();
    let mut from = 0;
    for (arguments, sent) in [
        (&["enable", ID][..], &["PUT"][..]),
        (&["enable", ID, ETL, TWIN], &["PUT", "PUT", "PUT"]),
        (&["enable", "Grafana scraper"], &["GET", "PUT"]),
        (&["enable", "Grafana scraper", ETL], &["GET", "PUT", "PUT"]),
        (&["show", ID], &["GET"]),
        (&["show", &ETL[..13]], &["GET", "GET"]),
        // The command also looks up by client id what uses the token.
        (&["delete", ID, "--yes"], &["GET", "DELETE"]),
    ] {
        let ran = world.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.shown());
        assert_eq!(methods(&world, from), sent, "{arguments:?}");
        from += sent.len();
    }
}

#[test]
fn a_name_of_several_tokens_changes_none_and_lists_their_ids() {
    let world = world();
    assert_shown!("several", world.run(&["refresh", "etl"]).shown());
    for arguments in [
        &["show", "etl"][..],
        &["refresh", "Grafana scraper", "etl"],
        &["update", "etl", "--duration", "90d"],
        &["disable", "etl"],
        &["rotate", "etl", "--secret-to", "secret"],
        &["delete", "etl", "--yes"],
    ] {
        let ran = world.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.shown());
        for id in [ETL, TWIN] {
            assert!(ran.stderr.contains(id), "{arguments:?}: {}", ran.shown());
        }
    }
    assert!(methods(&world, 0).iter().all(|method| method == "GET"));
    assert!(!world.path("secret").exists());
}

#[test]
fn the_start_of_an_id_shows_a_token_and_changes_none() {
    let world = world();
    for start in [&ID[..8], &ID[..20], "FAAADDEB6111"] {
        let ran = world.run(&["show", start]);
        assert_eq!(ran.code, Some(0), "{start}: {}", ran.shown());
        assert!(ran.stdout.contains(ID), "{}", ran.shown());
        for arguments in [
            &["refresh", start][..],
            &["disable", start],
            &["update", start, "--duration", "90d"],
            &["rotate", start, "--secret-to", "secret"],
            &["delete", start, "--yes"],
        ] {
            let ran = world.run(arguments);
            assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.shown());
        }
    }
    assert_eq!(world.run(&["show", &ID[..7]]).code, Some(1));
    assert_shown!("prefix-of-two", world.run(&["show", &ETL[..8]]).shown());
    assert_shown!(
        "prefix-to-delete",
        world.run(&["delete", &ID[..8], "--yes"]).shown()
    );
    assert!(methods(&world, 0).iter().all(|method| method == "GET"));
}

#[test]
fn a_token_that_is_not_there_is_searched_in_the_account_and_similar_ones_are_named() {
    let world = world();
    assert_shown!("similar", world.run(&["refresh", "grafana"]).shown());
    assert_shown!("not-found", world.run(&["show", "vault"]).shown());
    assert_shown!(
        "client-id-not-found",
        world.run(&["show", "0.access"]).shown()
    );
}

/// The id is what the API knows the token by, and a name can be anything.
#[test]
fn an_id_takes_precedence_over_a_name() {
    let named = SeedToken::new(ID).id(ETL).client_id("e.access");
    let world = World::with(Simulator::builder().token(named).token(known_token()));
    let ran = world.run(&["disable", ID]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(ran.stdout.contains("Grafana scraper"), "{}", ran.shown());

    let world =
        World::with(Simulator::builder().token(SeedToken::new(ID).id(ETL).client_id("e.access")));
    let ran = world.run(&["disable", ID]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(
        ran.stderr.contains("`cf-service-tokens list`"),
        "{}",
        ran.shown()
    );
    assert_eq!(world.run(&["disable", ETL]).code, Some(0));
}

#[test]
fn a_token_given_twice_is_changed_once() {
    let world = world();
    let ran = world.run(&["delete", "Grafana scraper", ID, CLIENT_ID, "--yes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(methods(&world, 0), ["GET", "DELETE"]);
}

/// A page, or a listing without its end, must not make a name look unique.
#[test]
fn a_name_is_looked_up_in_the_whole_listing() {
    let builder = Simulator::builder().capped_pages(1).token(known_token());
    let twins = [ETL, TWIN].map(twin);
    let world = World::with(twins.into_iter().fold(builder, |b, token| b.token(token)));
    let ran = world.run(&["delete", "etl", "--yes"]);
    assert_eq!(ran.code, Some(2), "{}", ran.shown());
    let pages = methods(&world, 0);
    assert!(pages.len() >= 3, "{pages:?}");

    let fault = Injection::new(Fault::Status(400)).on(Operation::List);
    world.simulator.inject(fault.skip(1));
    let ran = world.run(&["delete", "Grafana scraper", "--yes"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert_eq!(methods(&world, pages.len()), ["GET", "GET"]);
}

#[test]
fn a_token_that_is_deleted_after_the_listing_is_an_error() {
    let listing = format!(
        r#"{{"success":true,"errors":[],"messages":[],"result":[{{"id":"{ID}","name":"etl"}}],"result_info":{{"total_count":1}}}}"#
    );
    let gone = r#"{"success":false,"errors":[{"code":12135,"message":"access.api.error.service_token_not_found"}],"messages":[],"result":null}"#;
    let url = serve_heads(move |_, head, connection| {
        let is_listing = head.starts_with("GET ") && !head.contains(ID);
        let (status, body) = match is_listing {
            true => ("200 OK", &*listing),
            false => ("404 Not Found", gone),
        };
        write_response(connection, status, "application/json", body);
    });
    let world = world();
    for arguments in [
        &["show", "etl"][..],
        &["refresh", "etl"],
        &["disable", "etl"],
        &["delete", "etl", "--yes"],
        &["update", "etl", "--duration", "90d"],
        &["rotate", "etl", "--secret-to", "secret"],
    ] {
        let mut command = world.command();
        let ran = Ran::of(command.env("CLOUDFLARE_BASE_URL", &url).args(arguments));
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.shown());
        assert!(ran.stderr.contains("list` shows"), "{}", ran.shown());
    }
}

#[test]
fn a_name_of_several_tokens_is_mentioned() {
    let world = world();
    let said = "2 tokens are named \"etl\": use their ids";
    let listed = world.run(&["list"]);
    assert!(listed.stderr.contains(said), "{}", listed.shown());
    assert!(!listed.stderr.contains("Grafana"), "{}", listed.shown());
    assert_eq!(world.run(&["list", "-q"]).stderr, "");
    let create = ["create", "Grafana scraper", "--secret-to", "secret"];
    assert_eq!(world.run(&create).code, Some(2));
    let created = world.run(&[&create[..], &["--allow-duplicate"]].concat());
    let said = "2 tokens are named \"Grafana scraper\": use their ids";
    assert!(created.stderr.contains(said), "{}", created.shown());
}

/// The token is one that `renew` would leave alone.
#[test]
fn a_refresh_that_revives_a_token_says_so() {
    let expired = || {
        SeedToken::new("etl")
            .id(ETL)
            .expires_in(TimeDelta::days(-3))
    };
    for token in ["etl", ETL] {
        let world = World::with(Simulator::builder().token(expired()).token(known_token()));
        let ran = world.run(&["refresh", token, ID]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        let said = format!("note: \"etl\" ({ETL}) expired 3 days ago; it works again\n");
        assert_eq!(ran.stderr, said, "{}", ran.shown());
        assert_eq!(world.run(&["refresh", token]).stderr, "");
    }
    let world = World::with(Simulator::builder().token(expired().disabled()));
    let ran = world.run(&["refresh", "etl"]);
    assert!(
        ran.stderr.contains("it is still disabled"),
        "{}",
        ran.shown()
    );
    let world = World::with(Simulator::builder().token(known_token().disabled()));
    for token in ["Grafana scraper", ID] {
        let ran = world.run(&["refresh", token]);
        let said = format!(
            "note: \"Grafana scraper\" ({ID}) is still disabled: apps refuse it until it is enabled\n"
        );
        assert_eq!(
            (ran.code, &*ran.stderr),
            (Some(0), &*said),
            "{}",
            ran.shown()
        );
    }
    let world = World::with(Simulator::builder().token(expired()));
    assert_eq!(world.run(&["refresh", "etl", "-q"]).stderr, "");

    // Only a refresh that took place revives.
    let world = World::with(Simulator::builder().token(expired()));
    let fault = Injection::new(Fault::SuccessFalse).on(Operation::Refresh);
    world.simulator.inject(fault.always());
    let ran = world.run(&["refresh", "etl"]);
    assert!(!ran.stderr.contains("works again"), "{}", ran.shown());
    // A failed read for the note fails nothing.
    let world = World::with(Simulator::builder().token(expired()));
    let fault = Injection::new(Fault::Status(400)).on(Operation::Get);
    world.simulator.inject(fault);
    let ran = world.run(&["refresh", ETL]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
}

#[test]
fn an_update_says_when_the_old_secret_expires() {
    let world = world();
    let update = |until: &str, more: &[&str]| {
        let update = ["update", "Grafana scraper", "--old-secret-until", until];
        world.run(&[&update[..], more].concat())
    };
    let ran = update("0s", &[]);
    assert!(
        ran.stdout.contains("Old secret  no longer works"),
        "{}",
        ran.shown()
    );
    let ran = update("2h", &[]);
    assert!(
        ran.stdout.contains("Old secret  works until"),
        "{}",
        ran.shown()
    );
    let ran = update("2099-01-31", &["-o", "json"]);
    let record: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(record["old_secret_valid_until"], "2099-01-31T00:00:00Z");
    let ran = world.run(&["update", ID, "--duration", "90d"]);
    assert!(!ran.stdout.contains("Old secret"), "{}", ran.shown());
}

/// The API makes no field of a response required.
#[test]
fn a_response_without_a_name_or_an_id_is_completed() {
    let token = r#"{"id":"ID","name":"etl"}"#.replace("ID", ID);
    let listing =
        format!(r#"{{"success":true,"result":[{token}],"result_info":{{"total_count":1}}}}"#);
    let url = serve_heads(move |_, head, connection| {
        let body = match head.starts_with("GET ") && !head.contains(ID) {
            true => &*listing,
            false => r#"{"success":true,"result":{}}"#,
        };
        write_response(connection, "200 OK", "application/json", body);
    });
    let world = world();
    for arguments in [
        &["delete", "etl", "--yes"][..],
        &["disable", "etl"],
        &["update", "etl", "--duration", "90d"],
    ] {
        let mut command = world.command();
        let ran = Ran::of(command.env("CLOUDFLARE_BASE_URL", &url).args(arguments));
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.shown());
        for said in ["etl", ID] {
            assert!(ran.stdout.contains(said), "{arguments:?}: {}", ran.shown());
        }
    }
}

#[test]
fn a_renewal_takes_client_ids_too() {
    let world = world();
    let ran = world.run(&["renew", "--only", CLIENT_ID, "-o", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    for token in document["accounts"][0]["tokens"].as_array().unwrap() {
        let is_selected = token["reason"] != "not_selected";
        assert_eq!(is_selected, token["id"] == ID, "{token}");
    }
    let ran = world.run(&["renew", "--except", CLIENT_ID, "-o", "json"]);
    assert!(ran.stdout.contains("\"excluded\""), "{}", ran.shown());
}

#[test]
fn a_name_of_hex_digits_is_a_name_and_an_id_needs_no_hyphens() {
    const DIGEST: &str = "0123456789abcdef0123456789abcdef";
    let named = SeedToken::new(DIGEST).id(ETL);
    let world = World::with(Simulator::builder().token(known_token()).token(named));
    for (token, id) in [(DIGEST, ETL), (&ID.replace('-', ""), ID)] {
        for command in ["show", "refresh", "disable"] {
            let ran = world.run(&[command, token]);
            assert_eq!(ran.code, Some(0), "{command}: {}", ran.shown());
            assert!(ran.stdout.contains(id), "{command}: {}", ran.shown());
        }
        // Both spellings share the record of the grace period.
        let rotate = |token| world.run(&["rotate", token, "--secret-to", "secret"]);
        assert_eq!(rotate(token).code, Some(0));
        let again = rotate(id);
        assert!(again.stderr.contains("--end-grace"), "{}", again.shown());
        std::fs::remove_file(world.path("secret")).unwrap();
    }
}
