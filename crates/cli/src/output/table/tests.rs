use cf_service_tokens::ServiceToken;
use chrono::TimeDelta;

use super::*;
use crate::records::TokenRecord;

const WIDTHS: [usize; 9] = [1, 7, 20, 40, 60, 80, 100, 120, 200];

const ID: &str = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415";

/// Names that are long, wide, of several characters a glyph, or turn the text around.
fn names() -> Vec<String> {
    vec![
        "etl".to_owned(),
        "a long name ".repeat(10),
        "工具名字".repeat(30),
        "e\u{301}".repeat(120),
        "\u{1f469}\u{200d}\u{1f4bb}\u{1f1e9}\u{1f1ea}\u{2764}\u{fe0f}".repeat(20),
        "\u{202e}evil\u{1b}[2J\n".repeat(10),
        "שלום עולם".repeat(10),
        String::new(),
    ]
}

fn now() -> DateTime<Utc> {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn token(number: usize, name: &str) -> TokenRecord {
    let mut token = ServiceToken::default();
    token.id = Some(format!("{:08x}{}", number, &ID[8..]));
    token.name = Some(name.to_owned());
    token.duration = "8760h".parse().ok();
    let days = i64::try_from(number).unwrap();
    token.expires_at = Some(now() + TimeDelta::days(20 * days - 30));
    token.last_seen_at = Some(now() - TimeDelta::days(days));
    TokenRecord::new(&token, now())
}

fn shown(width: Option<usize>, tokens: &[TokenRecord]) -> String {
    let mut out = Vec::new();
    rows(&mut out, width, tokens.iter(), now()).unwrap();
    let out = String::from_utf8(out).unwrap();
    anstream::adapter::strip_str(&out).to_string()
}

#[test]
fn a_token_has_one_line_that_fits() {
    for count in [0, 1, 50] {
        for name in names() {
            let tokens: Vec<_> = (0..count).map(|number| token(number, &name)).collect();
            for width in WIDTHS {
                let text = shown(Some(width), &tokens);
                let lines = if count == 0 { 0 } else { count + 1 };
                assert_eq!(text.lines().count(), lines, "{width}: {text}");
                for line in text.lines() {
                    assert!(line.width() <= width, "{width}: {line:?}");
                    assert!(!line.ends_with(' '), "{width}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn names_of_every_kind_share_a_table() {
    let names = names();
    let tokens = names.iter().enumerate();
    let tokens: Vec<_> = tokens.map(|(number, name)| token(number, name)).collect();
    for width in WIDTHS {
        let text = shown(Some(width), &tokens);
        assert_eq!(text.lines().count(), names.len() + 1);
        assert!(text.lines().all(|line| line.width() <= width), "{text}");
    }
    // The columns after the names begin at the same place in each line.
    let text = shown(Some(60), &tokens);
    let (head, rows) = text.split_once('\n').unwrap();
    let before_ids = head.find("ID").unwrap();
    for row in rows.lines() {
        let before_id = row.split("0000000").next().unwrap();
        assert_eq!(before_id.width(), before_ids, "{text}");
    }
}

#[test]
fn a_narrow_terminal_gets_less_of_each_token() {
    let names = ["Partner API (Northwind)", "GitHub Actions deploy"];
    let tokens = names.iter().enumerate();
    let tokens: Vec<_> = tokens.map(|(number, name)| token(number, name)).collect();
    let mut all = String::new();
    for width in [140, 120, 100, 80, 60, 40, 20] {
        all += &format!("{width}\n{}", shown(Some(width), &tokens));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn a_stream_that_is_no_terminal_gets_everything() {
    let name = "工具".repeat(200);
    let text = shown(None, &[token(3, &name)]);
    for part in [
        &name,
        "00000003-fafe-4643-bbbc-4a0ed4fc8415",
        "2026-12-26 in 30 days",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(text.lines().count(), 2);
    // No name can make all lines endless.
    let text = shown(None, &[token(3, &"a".repeat(1_000_000)), token(4, "b")]);
    assert!(text.len() < 3_000);
}

#[test]
fn short_ids_differ() {
    let of = |ids: &[&str]| distinct_length(ids.to_vec());
    assert_eq!(of(&[]), 8);
    assert_eq!(of(&[ID]), 8);
    assert_eq!(of(&[ID, ID]), 8);
    assert_eq!(of(&[ID, "f174e90b-fafe-4643-bbbc-4a0ed4fc8415"]), 8);
    assert_eq!(of(&[ID, "f174e90a-fa00-4643-bbbc-4a0ed4fc8415"]), 12);
    assert_eq!(of(&["a", "b", ""]), 8);
    let twins = ["f174e90a-1", "f174e90a-2", "0"].map(|id| {
        let mut token = token(1, &"etl".repeat(30));
        token.id = Some(id.to_owned());
        token
    });
    let text = shown(Some(80), &twins);
    assert!(text.contains("f174e90a-1"), "{text}");
}

#[test]
fn a_text_is_cut_by_its_width() {
    for (text, width, expected) in [
        ("deploy", 6, "deploy"),
        ("deploy", 5, "depl…"),
        ("deploy", 1, "…"),
        ("deploy", 0, ""),
        ("a b", 2, "a…"),
        ("工具名字", 8, "工具名字"),
        ("工具名字", 7, "工具名…"),
        ("工具名字", 6, "工具…"),
        ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
        (
            "\u{1f469}\u{200d}\u{1f4bb} at work",
            3,
            "\u{1f469}\u{200d}\u{1f4bb}…",
        ),
        ("\u{1f469}\u{200d}\u{1f4bb} at work", 2, "…"),
        ("", 0, ""),
    ] {
        assert_eq!(cut(text, width), expected, "{text} {width}");
    }
}

#[test]
fn a_column_without_text_is_left_out() {
    #[derive(serde::Serialize)]
    struct Renewal(&'static str);
    impl Record for Renewal {
        const COLUMNS: &'static [&'static str] = &["NAME", "BEFORE", "EXPIRES"];
        fn cells(&self, _: DateTime<Utc>) -> Vec<Cell> {
            ["etl", self.0, "never"].map(Cell::plain).into()
        }
    }
    let has_before = |records: &[Renewal]| {
        let mut out = Vec::new();
        rows(&mut out, None, records.iter(), now()).unwrap();
        String::from_utf8(out).unwrap().contains("BEFORE")
    };
    assert!(!has_before(&[Renewal(""), Renewal("")]));
    assert!(has_before(&[Renewal(""), Renewal("x")]));
}
