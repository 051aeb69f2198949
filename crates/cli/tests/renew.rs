//! `renew`, `report` and `refresh` on tokens that are due or have expired, also where the
//! output can't be written.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use cf_service_tokens_simulator::{
    Fault, Injection, Operation, SeedToken, Simulator, SimulatorBuilder, TokenField,
};
use chrono::{TimeDelta, Utc};
use support::{ID, Ran, World, known_token};

fn token(name: &str, days: i64) -> SeedToken {
    SeedToken::new(name)
        .id(name)
        .expires_in(TimeDelta::days(days))
}

fn account(tokens: impl IntoIterator<Item = SeedToken>) -> SimulatorBuilder {
    tokens
        .into_iter()
        .fold(Simulator::builder(), SimulatorBuilder::token)
}

/// Whether the token works for most of a year.
fn is_renewed(world: &World, id: &str) -> bool {
    world.simulator.token(id).unwrap().expires_at > Utc::now() + TimeDelta::days(360)
}

#[test]
fn a_recently_expired_token_is_renewed_quietly() {
    let world = World::with(account([token("partner", -3)]));
    assert_eq!(world.run(&["renew", "-q"]).shown(), "exit code 0\n");
    assert!(is_renewed(&world, "partner"));
}

#[test]
fn a_token_that_expired_long_ago_is_named_whatever_its_age() {
    for days in [-31, -400] {
        let world = World::with(account([token("partner", days)]));
        let ran = world.run(&["renew", "--quiet"]);
        assert_eq!(ran.code, Some(1), "{}", ran.shown());
        assert_eq!(ran.stdout, "");
        let errors: Vec<_> = ran.stderr.lines().filter(|l| l.contains("error")).collect();
        assert_eq!(errors.len(), 1, "{}", ran.shown());
        assert!(errors[0].contains("partner"), "{}", ran.shown());
        assert!(ran.stderr.contains("--include-expired"), "{}", ran.shown());
        assert!(!is_renewed(&world, "partner"));

        let renewed = world.run(&["renew", "--quiet", "--include-expired"]);
        assert_eq!(renewed.shown(), "exit code 0\n");
        assert!(is_renewed(&world, "partner"));
    }
}

#[test]
fn an_expired_token_that_is_disabled_or_left_out_is_no_failure() {
    let world = World::with(account([
        token("disabled", -400).disabled(),
        token("left out", -400).id("left-out"),
    ]));
    let ran = world.run(&["renew", "--quiet", "--except", "left-out"]);
    assert_eq!(ran.shown(), "exit code 0\n");
    let ran = world.run(&["report", "--check", "--quiet"]);
    assert_eq!(ran.code, Some(1), "report has no --except: {}", ran.shown());
}

#[test]
fn a_long_expired_token_and_its_way_out_in_every_format() {
    let world = World::with(account([token("partner", -400), token("well", 200)]));
    assert_shown!("long-expired-table", world.run(&["renew"]).shown());
    assert_shown!("long-expired-report", world.run(&["report"]).shown());
    for format in ["json", "jsonl"] {
        let ran = world.run(&["renew", "-o", format]);
        assert_eq!(ran.code, Some(1), "{}", ran.shown());
        assert!(ran.stdout.contains("\"expired\""), "{}", ran.shown());
    }
}

#[test]
fn a_dry_run_says_what_is_due_even_if_quiet() {
    let world = World::with(account([token("due", 3), token("well", 200)]));
    let ran = world.run(&["renew", "--dry-run", "--quiet"]);
    assert_eq!(ran.code, Some(5), "{}", ran.shown());
    assert!(ran.stdout.contains("due"), "{}", ran.shown());
    assert!(!ran.stdout.contains("well"), "{}", ran.shown());
    assert!(!is_renewed(&world, "due"));
}

#[test]
fn the_rest_is_counted_and_shown_on_demand() {
    let world = World::with(account([
        token("due", 3),
        token("well", 200),
        token("etl", 42),
        token("disabled", 100).disabled(),
        token("forever", 1).duration("forever"),
        token("out", 3),
    ]));
    let except = ["renew", "--dry-run", "--except", "out"];
    let ran = world.run(&except);
    assert_eq!(ran.code, Some(5), "{}", ran.shown());
    assert_eq!(ran.stdout.lines().count(), 4, "{}", ran.shown());
    let rest = "\n1 token to renew, 2 not due, 1 never expires, 1 disabled, 1 excluded; \
                next due: \"etl\" in 12 days (";
    assert!(ran.stdout.contains(rest), "{}", ran.shown());

    let all = world.run(&[&except[..], &["--all"]].concat());
    for state in ["due", "active", "disabled", "never expires", "excluded"] {
        let has_state = |line: &str| line.contains(&format!("  {state}  "));
        assert!(all.stdout.lines().any(has_state), "{}", all.shown());
    }
    // Programs get all of them in any case.
    let json = world.run(&[&except[..], &["-o", "json"]].concat()).stdout;
    assert_eq!(json.matches("\"outcome\": ").count(), 6, "{json}");
    for arguments in [["renew", "--all", "-q"], ["-q", "renew", "--all"]] {
        let ran = world.run(&arguments);
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
    }
    assert!(!is_renewed(&world, "due"));
}

#[test]
fn a_renewed_token_can_be_the_next_that_is_due() {
    let world = World::with(account([token("due", 3)]));
    let ran = world.run(&["renew"]);
    let said = "\n1 token renewed; next due: \"due\" in 335 days (";
    assert!(ran.stdout.contains(said), "{}", ran.shown());
    let again = world.run(&["renew"]);
    let said = "1 token not due; next due: \"due\" in 335 days (";
    assert!(again.stdout.starts_with(said), "{}", again.shown());
}

#[test]
fn an_account_without_tokens_is_named() {
    let world = World::with(Simulator::builder().account_id("023e105f4ecef8ad"));
    for command in ["renew", "report", "list"] {
        let ran = world.run(&[command]);
        let said = "account 023e105f4ecef8ad has no service tokens\n";
        assert_eq!(ran.stdout, said, "{}", ran.shown());
        assert_eq!(ran.code, Some(0));
    }
}

#[test]
fn what_failed_is_told_once_and_last() {
    let names: Vec<_> = (0..12).map(|number| format!("due-{number}")).collect();
    let world = World::with(account(names.iter().map(|name| token(name, 3))));
    let refused = Injection::new(Fault::Status(403)).on(Operation::Refresh);
    world.simulator.inject(refused.always());
    let ran = world.run(&["renew", "--quiet"]);
    assert_ne!(ran.code, Some(0), "{}", ran.shown());
    assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.shown());
    assert!(ran.stderr.contains("and 2 more: "), "{}", ran.shown());

    let ran = world.run(&["renew", "--only", "due-1", "--only", "Due-2"]);
    let last = "error: no token has the id, client id or name \"Due-2\"\n   \
                next: did you mean \"due-2\" (due-2) or ";
    let end = &ran.stderr[ran.stderr.rfind("error: ").unwrap()..];
    assert!(end.starts_with(last), "{}", ran.shown());

    // The error that stops the pass is also that of the token that it was the first for.
    world.simulator.clear_faults();
    let refused = Injection::new(Fault::Status(401)).on(Operation::Refresh);
    world.simulator.inject(refused.always());
    let ran = world.run(&["renew"]);
    assert_eq!(ran.code, Some(3), "{}", ran.shown());
    assert_eq!(ran.stderr.matches("error: ").count(), 1, "{}", ran.shown());
    assert!(ran.stdout.contains(" not tried"), "{}", ran.shown());

    let refused = Injection::new(Fault::Status(401)).on(Operation::List);
    world.simulator.inject(refused.always());
    let ran = world.run(&["renew"]);
    assert_eq!(
        (ran.code, &ran.stdout[..]),
        (Some(3), ""),
        "{}",
        ran.shown()
    );
}

#[test]
fn a_lone_failure_has_no_table() {
    let world = World::new();
    let missing = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";
    let ran = world.run(&["refresh", missing]);
    assert_eq!(
        (ran.code, &ran.stdout[..]),
        (Some(1), ""),
        "{}",
        ran.shown()
    );
    let ran = world.run(&["refresh", missing, ID]);
    assert!(ran.stdout.contains("failed"), "{}", ran.shown());
    let ran = world.run(&["refresh", missing, "-o", "json"]);
    assert!(ran.stdout.contains("failed"), "{}", ran.shown());
}

#[test]
fn a_quiet_report_has_what_needs_attention() {
    let world = World::with(account([
        token("expired", -40),
        token("due", 3),
        token("well", 200),
        token("disabled", 3).disabled(),
    ]));
    let ran = world.run(&["report", "-q"]);
    let names = ran
        .stdout
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(4));
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["expired", "due"],
        "{}",
        ran.shown()
    );
    let well = World::with(account([token("well", 200)]));
    assert_eq!(well.run(&["report", "-q"]).shown(), "exit code 0\n");
}

#[test]
fn list_and_report_take_the_tokens_to_show() {
    let ids = [
        ID,
        "faaaddeb-0000-4a48-805d-3f126e371f62",
        "7be9485c-5815-4107-a250-c46e30c45281",
    ];
    let tokens = ids.iter().zip(["twin", "twin", "etl"]);
    let tokens = tokens.map(|(id, name)| SeedToken::new(name).id(*id));
    let world = World::with(account(tokens));
    for command in ["list", "report"] {
        for (asked, found) in [
            (&["7be9485c"][..], &ids[2..]),
            (&["etl"], &ids[2..]),
            (&["twin"], &ids[..2]),
            (&["faaaddeb"], &ids[..2]),
            (&["faaaddeb-0", "etl"], &ids[1..]),
        ] {
            let ran = world.run(&[&[command], asked].concat());
            assert_eq!(ran.code, Some(0), "{}", ran.shown());
            for id in ids {
                let is_shown = ran.stdout.contains(id);
                assert_eq!(is_shown, found.contains(&id), "{asked:?}: {}", ran.shown());
            }
            let shared = ran
                .stderr
                .contains("2 tokens are named \"twin\": use their ids");
            assert_eq!(
                shared,
                found.len() == 2 && found[0] == ID,
                "{}",
                ran.shown()
            );
        }
        for asked in ["nobody", "7be9485"] {
            let ran = world.run(&[command, asked]);
            assert_eq!(
                (ran.code, &ran.stdout[..]),
                (Some(1), ""),
                "{}",
                ran.shown()
            );
            assert!(ran.stderr.contains(asked), "{}", ran.shown());
        }
    }
}

#[test]
fn a_failure_takes_precedence_over_due_tokens() {
    for broken in [
        token("partner", -400),
        token("partner", 3).null(TokenField::ExpiresAt),
    ] {
        let world = World::with(account([token("due", 3), broken]).null_timestamps());
        let ran = world.run(&["renew", "--dry-run", "--quiet"]);
        assert_eq!(ran.code, Some(1), "{}", ran.shown());
        for name in ["due", "partner"] {
            assert!(ran.shown().contains(name), "{}", ran.shown());
        }
    }
    let world = World::with(account([token("due", 3)]));
    let ran = world.run(&[
        "renew",
        "--dry-run",
        "--quiet",
        "--only",
        "due",
        "--only",
        "x",
    ]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
}

#[test]
fn report_checks_that_nothing_is_due_or_expired() {
    for (days, code) in [(200, 0), (3, 1), (-3, 1), (-400, 1)] {
        let world = World::with(account([token("a", days)]));
        for format in ["table", "json", "jsonl"] {
            let ran = world.run(&["report", "--check", "-o", format]);
            assert_eq!(ran.code, Some(code), "{}", ran.shown());
            assert!(ran.stdout.contains('a'), "{}", ran.shown());
            let ran = world.run(&["report", "-o", format]);
            assert_eq!(ran.code, Some(0), "{}", ran.shown());
        }
        let ran = world.run(&["report", "--check", "--html", "page.html"]);
        assert_eq!(ran.code, Some(code), "{}", ran.shown());
    }
    let world = World::with(account([token("a", 20)]));
    let ran = world.run(&["report", "--check", "--within", "14d"]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    let disabled = World::with(account([token("a", 3).disabled()]));
    assert_eq!(disabled.run(&["report", "--check"]).code, Some(0));
    let unknown = account([token("a", 3).null(TokenField::ExpiresAt)]).null_timestamps();
    assert_eq!(
        World::with(unknown).run(&["report", "--check"]).code,
        Some(1)
    );
}

#[test]
fn a_refresh_that_moved_nothing_is_a_failure() {
    let due = || World::with(account([known_token().expires_in(TimeDelta::days(3))]));
    let world = due();
    let stale = Injection::new(Fault::StaleAnswer).on(Operation::Refresh);
    world.simulator.inject(stale.clone());
    let ran = world.run(&["refresh", ID]);
    assert_shown!("refresh-unmoved", ran.shown());
    assert!(!is_renewed(&world, ID));

    let world = due();
    world.simulator.inject(stale.clone());
    let ran = world.run(&["refresh", ID, "-o", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
    assert!(ran.stdout.contains("\"failed\""), "{}", ran.shown());

    // The token itself may show what a stale answer does not.
    let world = due();
    world.simulator.inject(stale.taking_effect());
    let ran = world.run(&["refresh", ID]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
    assert!(is_renewed(&world, ID));
}

#[test]
fn a_token_that_never_expires_can_be_refreshed() {
    let world = World::with(account([known_token().duration("forever")]));
    let ran = world.run(&["refresh", ID]);
    assert_eq!(ran.code, Some(0), "{}", ran.shown());
}

/// Twenty due tokens, more than are renewed at a time.
fn due() -> World {
    let names: Vec<_> = (0..20).map(|number| format!("due-{number}")).collect();
    World::with(account(names.iter().map(|name| token(name, 3))))
}

fn assert_all_renewed(world: &World, ran: &Ran, what: &str) {
    for token in world.simulator.tokens() {
        assert!(is_renewed(world, &token.id), "{what}: {}", ran.shown());
    }
    assert_eq!(world.simulator.count(Operation::Refresh), 20, "{what}");
}

fn writing_to(path: &Path, command: &mut Command) -> Ran {
    let file = OpenOptions::new().append(true).create(true).open(path);
    let file = file.unwrap();
    let child = command.stdout(file).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

#[test]
fn output_that_can_not_be_written_stops_no_renewal() {
    for format in ["table", "json", "jsonl"] {
        for extra in [&[][..], &["-v"]] {
            let world = due();
            let mut renew = world.command();
            renew.args(["renew", "-o", format]).args(extra);
            let ran = writing_to(Path::new("/dev/full"), &mut renew);
            assert_all_renewed(&world, &ran, format);
            assert_eq!(ran.code, Some(1), "{}", ran.shown());
            let said = ran.stderr.matches("can't write the result").count();
            assert_eq!(said, 1, "{}", ran.shown());
            assert!(ran.stderr.contains("No space left"), "{}", ran.shown());
        }
    }
}

#[test]
fn a_failure_is_reported_although_the_output_can_not_be_written() {
    let world = World::with(account([token("due", 3), token("partner", -400)]));
    let mut renew = world.command();
    let ran = writing_to(Path::new("/dev/full"), renew.args(["renew", "-o", "jsonl"]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("partner"), "{}", ran.shown());
    assert!(
        ran.stderr.contains("can't write the result"),
        "{}",
        ran.shown()
    );
}

#[test]
fn standard_error_that_can_not_be_written_stops_no_renewal() {
    for format in ["table", "jsonl"] {
        let world = due();
        let mut renew = world.command();
        renew.args(["renew", "-v", "-o", format]);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ran = Ran::of_status(&renew.stderr(full).stdout(Stdio::null()).status().unwrap());
        assert_all_renewed(&world, &ran, format);
        assert_eq!(ran.code, Some(0), "{format}");
    }
}

#[test]
fn a_closed_pipe_stops_no_renewal() {
    for format in ["table", "json", "jsonl"] {
        let world = due();
        let mut renew = world.command();
        renew.args(["renew", "-o", format]);
        renew.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = renew.spawn().unwrap();
        drop(child.stdout.take());
        drop(child.stderr.take());
        let ran = Ran::of_status(&child.wait().unwrap());
        assert_all_renewed(&world, &ran, format);
        assert_eq!(ran.code, Some(0), "{format}");
    }
}

/// Needs the right to mount, which CI's containers have.
#[test]
fn a_full_disk_stops_no_renewal() {
    let world = due();
    let disk = world.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut mount = Command::new("mount");
    mount
        .args(["-t", "tmpfs", "-o", "size=4k", "tmpfs"])
        .arg(&disk);
    let is_mounted = mount
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !is_mounted {
        return;
    }
    let mut renew = world.command();
    let ran = writing_to(&disk.join("log"), renew.args(["renew", "-o", "jsonl"]));
    let unmounted = Command::new("umount")
        .arg("-l")
        .arg(&disk)
        .status()
        .unwrap();
    assert!(unmounted.success());
    assert_all_renewed(&world, &ran, "tmpfs");
    assert_eq!(ran.code, Some(1), "{}", ran.shown());
}

/// An account by the API's clock, which is ahead of this machine's by `ahead`.
fn by_another_clock(ahead: TimeDelta) -> World {
    let minute = TimeDelta::minutes(1);
    let window = TimeDelta::days(30);
    let tokens = [("due", window - minute), ("not-due", window + minute)];
    let tokens = tokens.map(|(name, left)| SeedToken::new(name).id(name).expires_in(left));
    World::ahead(ahead, account(tokens))
}

/// The API's clock is two days ahead of a slow machine's, and behind a fast one's.
const CLOCKS: [(TimeDelta, &str); 2] = [
    (
        TimeDelta::days(2),
        "this machine's clock is 2 days behind the API's",
    ),
    (
        TimeDelta::minutes(-10),
        "this machine's clock is 10 minutes ahead of the API's",
    ),
];

#[test]
fn commands_go_by_the_clock_of_the_api_and_say_so() {
    for (ahead, in_words) in CLOCKS {
        let world = by_another_clock(ahead);
        for (command, code) in [
            (vec!["renew", "--dry-run"], 5),
            (vec!["report", "--check"], 1),
            (vec!["list"], 0),
            (vec!["renew"], 0),
        ] {
            let ran = world.run(&command);
            assert_eq!(ran.code, Some(code), "{}", ran.shown());
            assert!(ran.stderr.contains(in_words), "{}", ran.shown());
            let quiet = world.run(&[&command[..], &["-q"]].concat());
            assert!(!quiet.stderr.contains("clock"), "{}", quiet.shown());
        }
        assert!(is_renewed(&world, "due"), "{ahead}");
        assert!(!is_renewed(&world, "not-due"), "{ahead}");
        let json = world.run(&["renew", "-o", "json"]).stdout;
        assert!(json.contains("\"clock_skew\": "), "{json}");
    }
}

#[test]
fn a_watch_goes_by_the_clock_of_the_api() {
    for (ahead, in_words) in CLOCKS {
        let world = by_another_clock(ahead);
        let mut watch = world.command();
        watch.args(["renew", "--watch"]).stdout(Stdio::piped());
        let mut watching = watch.spawn().unwrap();
        let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
        let finished =
            lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("1 not due")));
        watching.kill().unwrap();
        watching.wait().unwrap();
        let finished = finished.unwrap().unwrap();
        assert!(
            finished.contains(" 1 token renewed, 1 not due"),
            "{finished}"
        );
        assert!(finished.ends_with(in_words), "{finished}");
        assert!(is_renewed(&world, "due"), "{ahead}");
    }
}

#[test]
fn the_end_of_an_old_secret_goes_by_the_clock_of_the_api() {
    for (ahead, _) in CLOCKS {
        let world = World::ahead(ahead, Simulator::builder().token(known_token()));
        let until = || {
            let token = world.simulator.token(ID).unwrap();
            token.previous_client_secret_expires_at.unwrap() - (Utc::now() + ahead)
        };
        let is_about = |hours| (until() - TimeDelta::hours(hours)).abs() < TimeDelta::minutes(5);
        let ran = world.run(&["rotate", ID, "--grace", "1h", "--secret-to", "file:secret"]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert!(is_about(1), "{ahead}: {}", until());
        let ran = world.run(&["update", ID, "--old-secret-until", "2h"]);
        assert_eq!(ran.code, Some(0), "{}", ran.shown());
        assert!(is_about(2), "{ahead}: {}", until());
    }
}

#[test]
fn waits_are_shown_as_they_begin() {
    let throttled = || {
        let world = due();
        let fault = Fault::TooManyRequests {
            retry_after_seconds: Some(2),
        };
        world.simulator.inject(fault);
        world
    };
    let said = throttled().run(&["renew", "-v"]).stderr;
    let waits = said.matches("rate limited: waiting 2 s, until ").count();
    // Once, although several calls wait for the same.
    assert_eq!(waits, 1, "{said}");
    let said = throttled().run(&["renew"]).stderr;
    assert!(!said.contains("waiting"), "{said}");
}

#[test]
fn a_deadline_is_an_option_where_a_message_advises_one() {
    let world = due();
    world.simulator.inject(Fault::LockOut);
    let ran = world.run(&["list", "--deadline", "2s"]);
    assert_eq!(ran.code, Some(4), "{}", ran.shown());
    let ran = world.run(&["list"]);
    assert_eq!(ran.code, Some(4), "{}", ran.shown());
    assert!(ran.stderr.contains("--deadline 10m"), "{}", ran.shown());
    for span in ["0", "0s", "2d"] {
        let ran = world.run(&["list", "--deadline", span]);
        assert_eq!(ran.code, Some(2), "{}", ran.shown());
    }
}
