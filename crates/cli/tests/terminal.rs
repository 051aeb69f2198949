//! The command on a real terminal (a pty): a progress bar, colour, and tables that
//! fit.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use cf_service_tokens_simulator::{
    Fault, Injection, Operation, SeedToken, Simulator, SimulatorBuilder,
};
use chrono::{TimeDelta, Utc};
use nix::pty::{Winsize, openpty};
use support::{ID, World, command, read, simulated};
use unicode_width::UnicodeWidthStr as _;

/// Returns the text that appears on a terminal of this width.
fn on_a_terminal(columns: u16, command: &mut Command) -> String {
    typing("", columns, command)
}

/// The same, with somebody who types.
fn typing(text: &str, columns: u16, command: &mut Command) -> String {
    let size = Winsize {
        ws_row: 40,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None).unwrap();
    let slave = || Stdio::from(pty.slave.try_clone().unwrap());
    command.stdin(slave()).stdout(slave()).stderr(slave());
    let mut child = command.env("TERM", "xterm-256color").spawn().unwrap();
    // The terminal ends when the last process closes it.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    drop(pty.slave);
    let mut shown = Vec::new();
    let mut piece = [0; 4096];
    let mut master = File::from(pty.master);
    master.write_all(text.as_bytes()).unwrap();
    while let Ok(length @ 1..) = master.read(&mut piece) {
        shown.extend_from_slice(&piece[..length]);
    }
    child.wait().unwrap();
    String::from_utf8(shown).unwrap()
}

/// The text without what colours it and moves the cursor.
fn plain(shown: &str) -> String {
    anstream::adapter::strip_str(shown).to_string()
}

#[test]
fn renew_shows_a_progress_bar() {
    let shown = on_a_terminal(100, command().args(["--simulate", "renew"]));
    let text = plain(&shown);
    assert!(text.contains("10 tokens listed, 4 due"), "{shown:?}");
    assert!(text.contains("] 1/4 "), "{shown:?}");
    assert!(text.contains("] 4/4 "), "{shown:?}");
    assert!(text.contains("=>"), "{shown:?}");
    // And then the table in its place.
    let table = text.rsplit("NAME").next().unwrap();
    assert!(
        table.contains("4 tokens renewed, 4 not due, 1 never expires, 1 disabled"),
        "{shown:?}"
    );
    assert!(!table.contains("] 4/4 "), "{shown:?}");

    let quiet = on_a_terminal(100, command().args(["--simulate", "renew", "--quiet"]));
    assert_eq!(quiet, "");
}

#[test]
fn what_a_call_waits_for_is_shown() {
    let fault = Fault::TooManyRequests {
        retry_after_seconds: Some(2),
    };
    for (arguments, is_shown) in [
        (&["list"][..], true),
        (&["renew"], true),
        (&["renew", "-o", "jsonl"], true),
        (&["renew", "-v"], true),
        (&["list", "--quiet"], false),
        (&["renew", "--quiet"], false),
    ] {
        let world = World::with(Simulator::builder().token(SeedToken::new("deploy")));
        world.simulator.inject(fault.clone());
        let shown = plain(&on_a_terminal(100, world.command().args(arguments)));
        let is_there = shown.contains("rate limited: waiting 2 s, until ");
        assert_eq!(is_there, is_shown, "{arguments:?}: {shown}");
    }
}

/// The lines of the table in a text, which may begin with the progress of a renewal.
fn table<'a>(text: &'a str, head: &str) -> Vec<&'a str> {
    let table = &text[text.rfind(head).unwrap()..];
    let lines = table.lines().map(|line| line.trim_end_matches('\r'));
    lines.take_while(|line| !line.is_empty()).collect()
}

#[test]
fn a_table_has_one_line_a_token_that_fits_the_terminal() {
    let names = [
        "a".repeat(120),
        "工具名字".repeat(20),
        "\u{1f469}\u{200d}\u{1f4bb}".repeat(20),
        "\u{202e}evil\u{1b}[2J".to_owned(),
        "etl".to_owned(),
    ];
    for columns in [200, 120, 100, 80, 60, 40] {
        let tokens = names.iter().zip([3, 10, -3, 5, 300]);
        let tokens =
            tokens.map(|(name, days)| SeedToken::new(name).expires_in(TimeDelta::days(days)));
        let world = World::with(tokens.fold(Simulator::builder(), SimulatorBuilder::token));
        let ids: Vec<_> = world.simulator.tokens().into_iter().map(|t| t.id).collect();
        let mut refresh = vec!["refresh"];
        refresh.extend(ids.iter().map(String::as_str));
        for (arguments, rows) in [
            (&["list"][..], 5),
            (&["report"], 5),
            (&["report", "-q"], 4),
            (&["renew", "--dry-run"], 4),
            (&["renew", "--dry-run", "--all"], 5),
            (&["renew"], 4),
            (&refresh, 5),
        ] {
            let shown = on_a_terminal(columns, world.command().args(arguments));
            let text = plain(&shown);
            let head = ["NAME ", "EXPIRES "][usize::from(arguments[0] == "report")];
            let table = table(&text, head);
            assert_eq!(table.len(), rows + 1, "{columns} {arguments:?}: {text}");
            for line in table {
                assert!(line.width() <= columns.into(), "{columns}: {text}");
            }
            let has_ids = ids.iter().any(|id| text.contains(id));
            match columns {
                120.. => assert!(has_ids, "{columns} {arguments:?}: {text}"),
                ..=80 => assert!(!has_ids, "{columns} {arguments:?}: {text}"),
                _ => {}
            }
        }
    }
}

#[test]
fn an_entry_of_the_journal_has_one_line_and_its_advice_below() {
    let world = World::new();
    let lost = Injection::new(Fault::ResetAfterRequest).on(Operation::Rotate);
    world.simulator.inject(lost);
    let rotate = ["rotate", ID, "--secret-to", "secret"];
    assert_eq!(world.run(&rotate).code, Some(4));
    let entry = format!("rotate-{ID}");
    for columns in [200, 80, 60, 40] {
        let text = plain(&on_a_terminal(columns, world.command().arg("journal")));
        let table = table(&text, "ENTRY ");
        assert_eq!(table.len(), 2, "{columns}: {text}");
        let widest = table.iter().map(|line| line.width()).max();
        assert!(widest <= Some(columns.into()), "{columns}: {text}");
        let advice = format!("\n{entry}: run the same command again after ");
        assert!(text.contains(&advice), "{columns}: {text}");
    }
}

#[test]
fn an_id_is_shortened_where_the_terminal_has_no_room() {
    for (columns, id, spare) in [
        (140, Some(ID), true),
        (100, Some(&ID[..8]), true),
        (80, Some(&ID[..8]), false),
        (60, Some(&ID[..8]), false),
        (40, None, false),
    ] {
        let mut list = command();
        let text = plain(&on_a_terminal(columns, list.args(["--simulate", "list"])));
        let row = text.lines().find(|line| line.starts_with("Grafana"));
        let words: Vec<&str> = row.unwrap().split_whitespace().collect();
        assert_eq!(
            words.get(2),
            id.or(Some("due")).as_ref(),
            "{columns}: {text}"
        );
        assert_eq!(text.contains("DURATION"), spare, "{columns}: {text}");
    }
    // The short id is enough for the commands that only read.
    let text = simulated(&["show", &ID[..8]]).stdout;
    assert!(text.contains(ID), "{text}");
}

#[test]
fn data_is_the_same_on_a_terminal_and_in_a_pipe() {
    let world = World::with(Simulator::builder().token(SeedToken::new("a\u{1b}[31mred").id("a")));
    for format in ["json", "jsonl"] {
        // Its `expires_at` stays as it is, as long as nothing moves it.
        let show = || {
            let mut show = world.command();
            show.args(["disable", "a", "--output", format]);
            show
        };
        let shown = on_a_terminal(80, &mut show());
        let piped = support::Ran::of(&mut show()).stdout;
        assert!(piped.contains("[31mred"), "{piped}");
        assert_eq!(shown.replace("\r\n", "\n"), piped);
    }
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let list = || {
        let mut list = command();
        list.args(["--simulate", "list"]);
        list
    };
    let green = "\u{1b}[32mactive";
    let shown = on_a_terminal(140, &mut list());
    assert!(shown.contains(green), "{shown:?}");
    let shown = on_a_terminal(140, list().env("NO_COLOR", "1"));
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    let piped = support::Ran::of(&mut list());
    assert!(!piped.stdout.contains('\u{1b}'));
    let json = on_a_terminal(140, list().args(["--output", "json"]));
    assert!(!json.contains('\u{1b}'), "{json:?}");
}

#[test]
fn what_can_not_be_undone_is_asked_for() {
    let delete = || {
        let mut delete = command();
        delete.args([
            "--simulate",
            "delete",
            "7be9485c-5815-4107-a250-c46e30c45281",
        ]);
        delete
    };
    for (answer, is_done) in [("y\n", true), ("n\n", false), ("\n", false)] {
        let shown = plain(&typing(answer, 100, &mut delete()));
        assert!(
            shown.contains(
                "Delete \"Nightly backup\" (7be9485c-5815-4107-a250-c46e30c45281, last seen 3 hours \
                 ago)? It cannot be restored. [y/N]"
            ),
            "{shown}"
        );
        assert_eq!(shown.contains("deleted"), is_done, "{shown}");
        assert_eq!(shown.contains("nothing was changed"), !is_done, "{shown}");
    }
}

#[test]
fn a_rotate_that_may_still_arrive_is_waited_for() {
    let world = World::new();
    let lost = Injection::new(Fault::ResetAfterRequest).on(Operation::Rotate);
    world.simulator.inject(lost);
    let rotate = ["rotate", ID, "--secret-to", "secret"];
    assert_eq!(world.run(&rotate).code, Some(4));
    // All but the last moment of the time in which it may arrive.
    world.advance(TimeDelta::minutes(5) - TimeDelta::seconds(2));
    let shown = on_a_terminal(100, world.command().args(rotate));
    let text = plain(&shown);
    assert!(
        text.contains("may still take effect; waiting until"),
        "{text}"
    );
    assert!(text.contains("had no effect"), "{text}");
    assert!(world.opens(&read(&world.path("secret"))), "{text}");
}

#[test]
fn an_api_token_is_not_typed_where_it_would_be_seen() {
    let world = World::new();
    let mut list = world.command();
    list.args(["list", "--api-token-file", "-"]);
    let shown = plain(&on_a_terminal(100, &mut list));
    assert!(
        shown.contains("it is a terminal, and not a pipe"),
        "{shown}"
    );
    assert!(world.simulator.requests().is_empty());
}

#[test]
fn an_entry_is_discarded_only_if_somebody_says_so() {
    let world = World::new();
    let rotate = ["rotate", ID, "--secret-to", "command:exit 7"];
    assert_eq!(world.run(&rotate).code, Some(1));
    let entry = format!("rotate-{ID}");
    for (answer, is_done) in [("n\n", false), ("y\n", true)] {
        let mut discard = world.command();
        discard.args(["journal", "discard", &entry]);
        let shown = plain(&typing(answer, 200, &mut discard));
        let question = format!(
            "Discard the rotate of \"Grafana scraper\" ({entry}, started just now)? Its new secret is \
             deleted for good. [y/N]"
        );
        assert!(shown.contains(&question), "{shown}");
        assert_eq!(world.journal_text().is_empty(), is_done, "{shown}");
    }
}

#[test]
fn each_token_to_delete_is_shown_with_its_name_id_and_last_use() {
    let used = Utc::now() - TimeDelta::days(2);
    let known = support::known_token().last_seen_at(used);
    let other = SeedToken::new("etl\u{1b}[2J").id("other");
    let world = World::with(Simulator::builder().token(known).token(other));
    let mut delete = world.command();
    delete.args(["delete", ID, "etl\u{1b}[2J", "Grafana scraper"]);
    let shown = typing("n\n", 200, &mut delete);
    let question = format!(
        "  \"Grafana scraper\" ({ID}, last seen 2 days ago)\r\n  \"etl\\u{{1b}}[2J\" (other, never \
         seen)\r\nDelete these 2 tokens? They cannot be restored. [y/N] "
    );
    assert!(shown.contains(&question), "{shown:?}");
    assert_eq!(world.simulator.tokens().len(), 2);
}
