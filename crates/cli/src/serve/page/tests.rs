//! The page of small and of odd accounts. What a browser makes of it is tried by
//! `tests/page/run.sh`.

use std::time::Duration;

use cf_service_tokens::renewal::{RenewBy, RenewalPolicy, Shard};
use cf_service_tokens::{ServiceToken, TokenDuration};
use chrono::{DateTime, TimeDelta, Utc};

use super::{Report, Token, html};

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
    token.id = Some(format!("f174e90a-fafe-4643-bbbc-{number:012}"));
    token.name = Some(name.to_owned());
    token.duration = "8760h".parse().ok();
    token.enabled = Some(true);
    token.created_at = Some(noon() + TimeDelta::days((days - 365).min(-1)));
    token.expires_at = Some(noon() + TimeDelta::days(days));
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
        tokens: tokens
            .iter()
            .map(|token| Token::new(token, policy.decide(token, noon())))
            .collect(),
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
        failed.problem = Some("failed: the API answered HTTP 503 <busy>".to_owned());
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
    report.tokens[1].problem = Some(HOSTILE[0].to_owned());
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

/// Returns the text of the page, without styles, script and drawings.
fn text(page: &str) -> String {
    let mut text = String::new();
    let mut rest = page.split_once("</style>").unwrap().1;
    rest = rest.split_once("<script>").unwrap().0;
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
    // One element a line, and without what files of their own hold.
    let page = page
        .replace(super::assets::STYLE, "(page.css)")
        .replace(super::assets::SCRIPT, "(page.js)")
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
        .map(|row| {
            let row = row.split("</tr>").next().unwrap();
            let row = format!("</style><{row}<script>");
            text(&row)
        })
        .collect();
    insta::assert_snapshot!(words.join("\n"));
}

#[test]
fn no_name_becomes_markup() {
    let page = html(&of_hostile_names());
    for name in HOSTILE {
        let escaped = name
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        assert!(page.contains(&escaped), "{name}");
        assert!(!name.contains('<') || !page.contains(name), "{name}");
    }
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("<h1").count(), 1);
    assert_eq!(page.matches("<tr ").count(), 1 + HOSTILE.len());
}

#[test]
fn an_account_without_tokens_and_one_that_is_not_known() {
    let mut empty = of_tokens(0);
    assert!(text(&html(&empty)).contains("This account has no service tokens."));
    empty.problem = Some("The tokens have not all been listed yet.".to_owned());
    let page = text(&html(&empty));
    assert!(page.contains("not all been listed yet"));
    assert!(!page.contains("no service tokens here"), "nobody knows");
}

#[test]
fn the_first_to_expire_comes_first() {
    let page = html(&of_every_kind());
    let places: Vec<usize> = [
        "no expiry",
        "expired long ago",
        "left out and expired",
        ">expired<",
        "in hours",
        ">failed<",
        "unreadable",
        ">left out<",
        ">due<",
        "no id",
        "disabled</bdi>",
        "no name",
        ">well<",
        "five years",
        "forever</bdi>",
    ]
    .iter()
    .map(|name| page.find(name).unwrap_or_else(|| panic!("no {name}")))
    .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn a_thousand_tokens_are_all_there() {
    let page = html(&of_tokens(1_000));
    assert_eq!(page.matches("<tr ").count(), 1_001);
    assert!(text(&page).contains("1,000 All"));
}

#[test]
fn odd_times_and_windows_are_drawn() {
    let mut far = token(1, "far", 1);
    far.expires_at = Some(DateTime::<Utc>::MAX_UTC);
    far.created_at = Some(DateTime::<Utc>::MIN_UTC);
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
fn another_shards_tokens_are_left_out() {
    let tokens: Vec<ServiceToken> = (0..40).map(|number| token(number, "x", 300)).collect();
    let policy = RenewalPolicy::new().shard(Shard::new(0, 2).unwrap());
    let page = text(&html(&report(&policy, &tokens)));
    assert!(page.contains("Excluded belongs to another shard"));
    assert!(page.contains("Well"));
}

/// Writes the pages that `tests/page/run.sh` opens in a browser.
#[test]
#[ignore = "writes files for tests/page/run.sh, to PAGES"]
fn writes_pages() {
    let directory = std::env::var("PAGES").unwrap();
    let pages = [
        ("none", of_tokens(0)),
        ("one", of_tokens(1)),
        ("every-kind", of_every_kind()),
        ("hostile", of_hostile_names()),
        ("thousand", of_tokens(1_000)),
    ];
    for (name, report) in pages {
        std::fs::write(format!("{directory}/{name}.html"), html(&report)).unwrap();
    }
}
