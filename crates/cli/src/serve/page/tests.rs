//! The page of small and of odd accounts. What a browser makes of it is tried by
//! `tests/page/run.sh`.

use std::sync::Arc;
use std::time::Duration;

use cf_service_tokens::renewal::{RenewBy, RenewalPolicy};
use cf_service_tokens::{ServiceToken, TokenDuration};
use chrono::{DateTime, TimeDelta, Utc};

use super::{Report, Token, html, html_of_all};
use crate::output::printable;
use crate::records::State;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Names that would break out of an element, an attribute, a script or a line.
const HOSTILE: [&str; 8] = [
    "<script>document.title='broken'</script>",
    "\"><img src=x onerror=\"document.title='broken'\">",
    "' onmouseover='document.title=`broken`",
    "</title></svg></table><h1>broken",
    "<!-- &amp; &lt; ]]> --!>",
    "abc\u{202e}gpj.exe \u{2066}x",
    "line\nfeed\ttab\u{0}nul \\ \"quoted\"",
    "averyveryveryveryveryveryveryveryveryveryveryveryveryverylongwordwithoutanyplacetobreakitinto",
];

fn noon() -> DateTime<Utc> {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn token(number: usize, name: &str, days: i64) -> ServiceToken {
    let mut token = ServiceToken::default();
    let first = u32::try_from(number).unwrap().wrapping_mul(2_654_435_761);
    token.id = Some(format!("{first:08x}-fafe-4643-bbbc-{number:012}"));
    token.name = Some(name.to_owned());
    token.duration = "8760h".parse().ok();
    token.enabled = Some(true);
    token.created_at = Some(noon() + TimeDelta::days((days - 365).min(-1)));
    token.expires_at = Some(noon() + TimeDelta::days(days));
    let ago = TimeDelta::minutes(i64::try_from(number).unwrap().pow(2) * 10);
    token.last_seen_at = (!number.is_multiple_of(4)).then_some(noon() - ago);
    token
}

fn report(policy: &RenewalPolicy, tokens: &[ServiceToken]) -> Report {
    Report {
        account: "023e105f4ecef8ad9ca31a8372d0c353".to_owned(),
        time: noon(),
        listed_at: Some(noon()),
        next_pass: None,
        window: 30 * DAY,
        problem: None,
        note: None,
        tokens: tokens
            .iter()
            .map(|token| {
                Token::new(token, policy.due_at(token), policy.decide(token, noon())).into()
            })
            .collect(),
        unlisted: 0,
    }
}

/// A token in each state, and in each that has two faces.
fn of_every_kind() -> Report {
    let mut forever = token(1, "forever", 36_500);
    forever.duration = Some(TokenDuration::FOREVER);
    let mut disabled = token(2, "disabled", 112);
    disabled.enabled = Some(false);
    let mut no_expiry = token(3, "no expiry", 1);
    no_expiry.expires_at = None;
    let mut unreadable = token(4, "unreadable", 6);
    unreadable.duration = None;
    let mut nameless = token(5, "", 200);
    nameless.name = None;
    let mut no_id = token(6, "no id", 40);
    no_id.id = None;
    let mut hours = token(7, "in hours", 0);
    hours.expires_at = Some(noon() + TimeDelta::hours(19));
    let tokens = [
        forever,
        disabled,
        no_expiry,
        unreadable,
        nameless,
        no_id,
        hours,
        token(8, "due", 21),
        token(9, "well", 301),
        token(10, "five years", 1_825),
        token(11, "expired", -3),
        token(12, "expired long ago", -800),
        token(13, "left out", 12),
        token(14, "left out and expired", -12),
        token(15, "failed", 4),
    ];
    let policy = RenewalPolicy::new()
        .by(RenewBy::Duration)
        .except(["left out", "left out and expired"]);
    let mut report = report(&policy, &tokens);
    if let Some(failed) = report.tokens.last_mut() {
        Arc::make_mut(failed).problem =
            Some("renewal failed: the API answered HTTP 503 <busy>".to_owned());
    }
    report
}

fn of_hostile_names() -> Report {
    let mut tokens: Vec<ServiceToken> = (1..)
        .zip(HOSTILE)
        .map(|(number, name)| token(number, name, 10 * i64::try_from(number).unwrap()))
        .collect();
    // An id comes from the API as well, and an odd one is no id that can be used.
    tokens[0].id = Some(HOSTILE[1].to_owned());
    let mut report = report(&RenewalPolicy::new(), &tokens);
    report.account = HOSTILE[0].to_owned();
    report.problem = Some(HOSTILE[3].to_owned());
    Arc::make_mut(&mut report.tokens[1]).problem = Some(HOSTILE[0].to_owned());
    report
}

fn of_tokens(count: usize) -> Report {
    let tokens: Vec<ServiceToken> = (0..count)
        .map(|number| {
            // Spread over 800 days, in no order.
            let days = i64::try_from(number * 7_919 % 800).unwrap() - 40;
            token(number, &format!("Service {number}"), days)
        })
        .collect();
    report(&RenewalPolicy::new(), &tokens)
}

/// Returns the text of a part of the page.
fn text(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        rest = after.split_once('>').unwrap().1;
    }
    text.push_str(rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_of_a_small_account() {
    let mut forever = token(1, "Status page probe", 36_500);
    forever.duration = Some(TokenDuration::FOREVER);
    let tokens = [
        forever,
        token(2, "Deploy", 301),
        token(3, "Backup & more", 5),
    ];
    let page = html(&report(&RenewalPolicy::new(), &tokens));
    // One element a line, and without the style sheet, which has a file of its own.
    let page = page
        .replace(super::assets::STYLE, "(page.css)")
        .replace("><", ">\n<");
    let hash = |line: &str| line.contains("sha256-");
    let page: Vec<&str> = page.lines().filter(|line| !hash(line)).collect();
    insta::assert_snapshot!(page.join("\n"));
}

#[test]
fn every_state_in_words() {
    let report = of_every_kind();
    let page = html(&report);
    let rows = page.split("<tr ").skip(2);
    let words: Vec<String> = rows
        .map(|row| text(&format!("<{}", row.split("</tr>").next().unwrap())))
        .collect();
    insta::assert_snapshot!(words.join("\n"));
}

#[test]
fn no_name_becomes_markup() {
    let page = html(&of_hostile_names());
    for name in HOSTILE {
        let escaped = printable(name)
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        assert!(page.contains(&escaped), "{name}");
        assert!(!name.contains('<') || !page.contains(name), "{name}");
    }
    let is_misleading = |c: char| c.is_control() || c == '\u{202e}' || c == '\u{2066}';
    assert!(!page.replace('\n', "").contains(is_misleading));
    assert_eq!(page.matches("<script").count(), 0);
    assert_eq!(page.matches("<h1").count(), 1);
    assert_eq!(page.matches("<tr ").count(), 1 + HOSTILE.len());
}

/// Returns the page's heading.
fn heading(report: &Report) -> String {
    let page = html(report);
    let (_, after) = page.split_once("<h1>").unwrap();
    text(after.split_once("</h1>").unwrap().0)
}

#[test]
fn the_verdict_is_the_heading() {
    let policy = RenewalPolicy::new();
    let verdict = |days: &[i64]| {
        let tokens: Vec<ServiceToken> = (1..)
            .zip(days)
            .map(|(number, days)| token(number, "x", *days))
            .collect();
        heading(&report(&policy, &tokens))
    };
    for (days, words) in [
        (&[][..], "This account has no service tokens"),
        (&[44], "The one token is fine; it is due on 2026-12-08"),
        (
            &[200, 44],
            "All 2 tokens are fine; the next is due on 2026-12-08",
        ),
        (&[3, 44], "1 due, which expires in 3 days"),
        (&[9, 3, 44], "2 due, the next in 3 days"),
        (&[-3, 9, 3, 44], "1 expired, 2 due, the next in 3 days"),
        (&[-3, -300, 44], "2 expired; the next is due on 2026-12-08"),
        (&[-3], "1 expired"),
        (
            &[31],
            "The one token is fine; it is due on 2026-11-25 12:00",
        ),
    ] {
        assert_eq!(verdict(days), words);
    }
    assert_eq!(
        heading(&of_every_kind()),
        "2 expired, 3 unknown, 3 due, the next in 19 hours; 1 not renewed"
    );
    let mut thousand = of_tokens(1_000);
    thousand
        .tokens
        .retain(|token| token.state(noon()) == State::Active);
    let few = thousand.tokens.clone();
    thousand.tokens.extend(few);
    assert!(
        heading(&thousand).starts_with("All 1,8"),
        "{}",
        heading(&thousand)
    );
}

#[test]
fn tokens_that_never_expire_or_are_disabled_need_no_attention() {
    let mut forever = token(1, "forever", -3);
    forever.duration = Some(TokenDuration::FOREVER);
    let mut disabled = token(2, "disabled", -3);
    disabled.enabled = Some(false);
    let policy = RenewalPolicy::new().except(["left out"]);
    let report = report(&policy, &[forever, disabled, token(3, "left out", 3)]);
    assert_eq!(heading(&report), "All 3 tokens are fine");
}

#[test]
fn an_account_that_is_not_known_is_not_called_empty() {
    let mut unknown = of_tokens(0);
    unknown.listed_at = None;
    unknown.problem = Some("The tokens have not all been listed yet.".to_owned());
    let page = text(&html(&unknown));
    assert_eq!(heading(&unknown), "No service tokens are known yet");
    assert!(page.contains("not all been listed yet") && !page.contains("As of"));
}

#[test]
fn distances_count_from_a_time_that_the_page_states() {
    let mut report = of_tokens(1);
    let page = text(&html(&report));
    assert!(
        page.contains("As of 2026-11-24 12:00 UTC") && page.contains("count from then."),
        "{page}"
    );
    // A watcher's page is made later than its tokens were listed.
    report.time = noon() + TimeDelta::hours(5);
    let page = text(&html(&report));
    assert!(page.contains("As of 2026-11-24 12:00 UTC"), "{page}");
    assert!(page.contains("count from 2026-11-24 17:00 UTC"), "{page}");
}

#[test]
fn what_needs_attention_comes_first_and_then_the_first_to_expire() {
    let page = html(&of_every_kind());
    let places: Vec<usize> = [
        "expired long ago",
        ">expired<",
        "no expiry",
        "unreadable",
        "no id",
        "in hours",
        ">failed<",
        "due</bdi>",
        "no name",
        ">well<",
        "five years",
        "forever</bdi>",
        "disabled</bdi>",
        "left out and expired",
        ">left out<",
    ]
    .iter()
    .map(|name| {
        let body = page.find("<tbody").unwrap();
        page[body..]
            .find(name)
            .unwrap_or_else(|| panic!("no {name}"))
    })
    .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn odd_times_and_windows_are_drawn() {
    let mut far = token(1, "far", 1);
    far.expires_at = Some(DateTime::<Utc>::MAX_UTC);
    far.created_at = Some(DateTime::<Utc>::MIN_UTC);
    far.last_seen_at = Some(DateTime::<Utc>::MAX_UTC);
    let mut backwards = token(2, "backwards", 20);
    backwards.created_at = Some(noon() + TimeDelta::days(40));
    for window in [
        Duration::ZERO,
        DAY / 24,
        400 * DAY,
        40_000 * DAY,
        Duration::MAX,
    ] {
        let mut report = report(&RenewalPolicy::new(), &[far.clone(), backwards.clone()]);
        report.window = window;
        let page = html(&report);
        assert!(
            !page.contains("NaN") && !page.contains("width=\"-"),
            "{window:?}"
        );
        assert_eq!(page.matches("<tr ").count(), 3);
    }
}

#[test]
fn no_label_of_the_axis_touches_that_of_today() {
    for (window, days) in [
        (DAY, 5),
        (DAY, 14),
        (7 * DAY, 20),
        (30 * DAY, 40),
        (30 * DAY, 400),
    ] {
        let mut report = report(&RenewalPolicy::new(), &[token(1, "soon", days)]);
        report.window = window;
        let page = html(&report);
        let place = |label: &str| {
            let (_, after) = label.split_once("x=\"").unwrap();
            after.split_once('%').unwrap().0.parse::<f64>().unwrap()
        };
        let labels = page.split("<text").skip(1);
        let (today, labels): (Vec<&str>, Vec<&str>) =
            labels.partition(|label| label.contains("class=\"now\""));
        assert!(today[0].contains(">24 Nov<"), "{today:?}");
        let places: Vec<f64> = labels.into_iter().map(place).collect();
        assert!(places.len() >= 2, "{window:?}, {days}: {places:?}");
        let now = place(today[0]);
        assert!(
            places.iter().all(|at| (at - now).abs() > 10.0),
            "{window:?}, {days}: {places:?}, and now {now}"
        );
    }
}

/// A watcher's page, hours after a pass that could not list the tokens.
fn of_an_outage() -> Report {
    let mut report = of_tokens(10);
    report.time = noon() + TimeDelta::hours(5);
    report.next_pass = Some(noon() + TimeDelta::hours(6));
    report.problem = Some(
        "The last pass, at 2026-11-24 16:00 UTC, stopped early: could not connect to \
         api.cloudflare.com:443: Connection refused (os error 111)"
            .to_owned(),
    );
    report
}

/// Ten tokens that need no attention.
fn of_ten() -> Report {
    let mut report = of_tokens(11);
    report
        .tokens
        .retain(|token| token.state(noon()) == State::Active);
    report
}

/// Accounts with everything, with nothing to do, without a token, and with a name that must
/// break.
fn of_accounts() -> Vec<Report> {
    let names = ["Acme", "Widget Corps", "Gamma", HOSTILE[7]];
    let mut accounts: Vec<Report> =
        [of_every_kind(), of_ten(), of_tokens(0), of_an_outage()].into();
    for (index, (account, name)) in accounts.iter_mut().zip(names).enumerate() {
        account.account = format!("{name} ({:032x})", 0x023e_105f + index);
        account.time = noon() + TimeDelta::hours(5);
    }
    accounts
}

#[test]
fn a_window_is_that_of_all_accounts_only_if_they_have_the_same() {
    let mut accounts = of_accounts();
    let page = html_of_all(&accounts);
    assert!(page.contains("30 days before expiry"));
    assert!(page.contains("The window of 30 days: "));
    accounts[1].window = 14 * DAY;
    let page = html_of_all(&accounts);
    assert!(!page.contains("days before expiry"));
    assert!(page.contains("within the window of its account"));
    assert!(page.contains("The shortest window of an account, 14 days: "));
}

/// Writes the pages that `tests/page/run.sh` opens in a browser.
#[test]
#[ignore = "writes files for tests/page/run.sh, to PAGES"]
fn writes_pages() {
    let directory = std::env::var("PAGES").unwrap();
    let pages = [
        ("none", vec![of_tokens(0)]),
        ("one", vec![of_tokens(1)]),
        ("ten", vec![of_ten()]),
        ("outage", vec![of_an_outage()]),
        ("every-kind", vec![of_every_kind()]),
        ("hostile", vec![of_hostile_names()]),
        ("accounts", of_accounts()),
        ("two-hundred", vec![of_tokens(200)]),
    ];
    for (name, reports) in pages {
        std::fs::write(format!("{directory}/{name}.html"), html_of_all(&reports)).unwrap();
    }
}
