//! Durations parse and print exactly as in Go, except for `forever`.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use cf_service_tokens::{GoDuration, ParseDurationErrorKind, TokenDuration};
use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::Value;

/// Go's own test tables, and 500 more cases with Go's results.
const TABLES: [&str; 2] = [
    include_str!("../data/go_durations.json"),
    include_str!("../data/go_durations_generated.json"),
];

fn rows(table: &str, name: &str) -> Vec<Value> {
    let table: Value = serde_json::from_str(table).unwrap();
    table[name].as_array().unwrap().clone()
}

/// Returns Go's name for the error. Go has none for a duration out of range.
fn in_gos_words(kind: ParseDurationErrorKind) -> &'static str {
    match kind {
        ParseDurationErrorKind::Invalid | ParseDurationErrorKind::OutOfRange => "invalid",
        ParseDurationErrorKind::MissingUnit => "missing unit",
        ParseDurationErrorKind::UnknownUnit => "unknown unit",
        other => panic!("Go has no such error: {other:?}"),
    }
}

#[test]
fn parses_as_go_does() {
    let mut counts = (0, 0);
    for row in TABLES.iter().flat_map(|table| rows(table, "parse")) {
        let text = row["text"].as_str().unwrap();
        match (text.parse::<GoDuration>(), row["nanos"].as_i64()) {
            (Ok(duration), Some(nanos)) => {
                assert_eq!(duration.as_nanos(), nanos, "{text:?}");
                counts.0 += 1;
            }
            (Err(error), None) => {
                assert_eq!(
                    in_gos_words(error.kind()),
                    row["error"],
                    "{text:?}: {error}"
                );
                counts.1 += 1;
            }
            (ours, gos) => panic!("{text:?}: {ours:?}, but Go says {gos:?} {}", row["error"]),
        }
    }
    assert!(counts.0 >= 43 + 200 && counts.1 >= 18 + 50, "{counts:?}");
}

#[test]
fn prints_as_go_does() {
    let rows: Vec<Value> = TABLES
        .iter()
        .flat_map(|table| rows(table, "print"))
        .collect();
    assert_eq!(rows.len(), 120);
    for row in rows {
        let duration = GoDuration::from_nanos(row["nanos"].as_i64().unwrap());
        assert_eq!(duration.to_string(), row["text"]);
    }
}

#[test]
fn the_one_difference_to_go_is_that_a_sum_does_not_wrap() {
    let twice = "9223372036854775808ns9223372036854775808ns";
    let error = twice.parse::<GoDuration>().unwrap_err();
    assert_eq!(error.kind(), ParseDurationErrorKind::OutOfRange);
}

#[test]
fn the_short_form() {
    for (text, short) in [
        ("8760h", "8760h"),
        ("2h45m0s", "2h45m"),
        ("2h0m1s", "2h0m1s"),
        ("60m", "1h"),
        ("60s", "1m"),
        ("0", "0s"),
        ("-90m", "-1h30m"),
        ("1500us", "1.5ms"),
        ("1h0.5s", "1h0m0.5s"),
    ] {
        let duration: GoDuration = text.parse().unwrap();
        assert_eq!(format!("{duration:#}"), short, "{text}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let mut said = String::new();
    for text in [
        "",
        "s",
        "3",
        "1h3",
        "1d",
        "1hour",
        "1 h",
        "3000000h",
        "\u{7}",
        "5é",
        &"9".repeat(90),
    ] {
        let error = text.parse::<GoDuration>().unwrap_err();
        writeln!(said, "{error}").unwrap();
    }
    let error = "for ever".parse::<TokenDuration>().unwrap_err();
    writeln!(said, "{error}").unwrap();
    insta::assert_snapshot!(said, @r#"
    invalid duration: no number at byte 0; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)
    invalid duration: no number at byte 0, but "s"; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)
    missing unit in "3" at byte 0; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)
    missing unit in "3" at byte 2; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)
    unknown unit "d" at byte 1; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)
    unknown unit "hour" at byte 1; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)
    unknown unit " h" at byte 1; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)
    duration out of range: "3000000h" at byte 0 is longer than 2562047h (292 years); use a shorter one
    invalid duration: no number at byte 0, but "\u{7}"; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)
    unknown unit "é" at byte 1; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`)
    duration out of range: "999999999999999999999999"… at byte 0 is longer than 2562047h (292 years); use a shorter one
    invalid duration: no number at byte 0, but "for ever"; use h, m, s, ms, us or ns, as in `2h45m` (a year is `8760h`), or `forever`
    "#);
}

#[test]
fn errors_say_where_it_is_wrong() {
    for (text, offset) in [("1d", 1), ("1h3", 2), ("1h2x", 3), ("-x", 1), ("1h 2m", 1)] {
        assert_eq!(
            text.parse::<GoDuration>().unwrap_err().offset(),
            offset,
            "{text}"
        );
    }
}

#[test]
fn formatting_pads_and_never_truncates() {
    let hour = GoDuration::from_hours(1).unwrap();
    assert_eq!(
        format!("{hour:>8}|{hour:<#5}|{hour:^#7}"),
        "  1h0m0s|1h   |  1h   "
    );
    assert_eq!(format!("{hour:.1}"), "1h0m0s");
    assert_eq!(format!("{:>4}", TokenDuration::from(hour)), "  1h");
}

#[test]
fn conversions_that_do_not_fit_fail() {
    let longest = Duration::from_nanos(i64::MAX.unsigned_abs());
    assert_eq!(GoDuration::try_from(longest), Ok(GoDuration::MAX));
    assert!(GoDuration::try_from(longest + Duration::from_nanos(1)).is_err());
    assert!(Duration::try_from(GoDuration::from_nanos(-1)).is_err());
    assert_eq!(Duration::try_from(GoDuration::MAX), Ok(longest));
    assert!(GoDuration::try_from(TimeDelta::MAX).is_err());
    assert_eq!(
        TimeDelta::from(GoDuration::MIN).num_nanoseconds(),
        Some(i64::MIN)
    );
    assert_eq!(GoDuration::from_hours(i64::MAX), None);
    assert_eq!(GoDuration::MAX.checked_add(GoDuration::from_nanos(1)), None);
    assert_eq!(GoDuration::MIN.checked_sub(GoDuration::from_nanos(1)), None);
    assert_eq!(GoDuration::MIN.checked_neg(), None);
    assert_eq!(GoDuration::MAX.checked_mul(2), None);
}

#[test]
fn arithmetic_is_that_of_nanoseconds() {
    let nanos = GoDuration::from_nanos;
    for (a, b) in [(7, 2), (2, 7), (-7, 2), (0, 3), (1, 1), (-1, -5)] {
        let (long, short) = (nanos(a), nanos(b));
        assert_eq!(long.checked_add(short), Some(nanos(a + b)));
        assert_eq!(long.checked_sub(short), Some(nanos(a - b)));
        assert_eq!(long.checked_mul(b), Some(nanos(a * b)));
        assert_eq!(long.checked_neg(), Some(nanos(-a)));
        assert_eq!(long.is_zero(), a == 0);
        assert_eq!(long.is_negative(), a < 0);
    }
}

#[test]
fn a_token_duration_keeps_its_text_and_compares_by_value() {
    let read = |text: &str| text.parse::<TokenDuration>().unwrap();
    let from_response = |text: &str| serde_json::from_value::<TokenDuration>(text.into()).unwrap();

    assert_eq!(read("60m"), read("1h"));
    assert_eq!(read("60m").as_str(), "60m");
    assert_eq!(serde_json::to_string(&read("60m")).unwrap(), r#""60m""#);
    assert_eq!(read("forever"), TokenDuration::FOREVER);
    assert_eq!(
        TokenDuration::from(GoDuration::from_hours(8760).unwrap()).as_str(),
        "8760h"
    );

    let odd = from_response("1 year");
    assert_eq!(odd.as_str(), "1 year");
    assert_eq!(
        (odd.finite(), odd.is_forever(), odd.is_readable()),
        (None, false, false)
    );
    assert_eq!(odd, from_response("1 year"));
    assert_ne!(odd, from_response("2 years"));
    assert_ne!(odd, TokenDuration::FOREVER);
    assert!("1 year".parse::<TokenDuration>().is_err());
    assert_eq!(serde_json::to_string(&odd).unwrap(), r#""1 year""#);

    assert!(read("2562047h") < TokenDuration::FOREVER);
    assert!(read("1h") < read("61m"));
    assert_eq!(odd.partial_cmp(&TokenDuration::FOREVER), None);
    assert_eq!(odd.partial_cmp(&odd.clone()), Some(Ordering::Equal));

    let all = ["60m", "1h", "3600s", "forever"].map(read);
    assert_eq!(
        all.iter().collect::<HashSet<_>>().len(),
        2,
        "equal durations have equal hashes"
    );
}

#[test]
fn a_go_duration_in_json_is_its_short_text_and_nothing_else() {
    let hour: GoDuration = serde_json::from_str(r#""60m""#).unwrap();
    assert_eq!(serde_json::to_string(&hour).unwrap(), r#""1h""#);
    assert!(serde_json::from_str::<GoDuration>(r#""1 year""#).is_err());
    assert!(serde_json::from_str::<GoDuration>("3600").is_err());
}

/// Generates texts that are durations, or almost.
fn nearly() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        4 => "[0-9]{1,4}",
        2 => "[0-9]{0,3}\\.[0-9]{0,4}",
        1 => "[0-9]{0,22}(\\.[0-9]{0,40})?",
        1 => Just("9223372036854775808".to_owned()),
    ];
    let unit = prop_oneof![
        12 => proptest::sample::select(vec!["h", "m", "s", "ms", "us", "µs", "μs", "ns"]).prop_map(ToOwned::to_owned),
        1 => "[a-zµ ]{0,2}",
    ];
    let parts = proptest::collection::vec((number, unit), 0..4);
    ("[+-]?", parts).prop_map(|(sign, parts)| {
        let parts: String = parts
            .into_iter()
            .map(|(number, unit)| number + &unit)
            .collect();
        sign + &parts
    })
}

/// Implements Go's algorithm literally; returns `None` for an error.
fn gos_algorithm(text: &str) -> Option<i64> {
    const LIMIT: u64 = 1 << 63;
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit();
        let after_whole = rest.trim_start_matches(is_digit);
        let whole = &rest[..rest.len() - after_whole.len()];
        let mut value: u64 = 0;
        for digit in whole.bytes() {
            value = value
                .checked_mul(10)?
                .checked_add(u64::from(digit - b'0'))?;
            if value > LIMIT {
                return None;
            }
        }
        let (mut digits, mut scale, mut after) = (0_u64, 1.0_f64, after_whole);
        let mut fraction_len = 0;
        if let Some(fraction) = after_whole.strip_prefix('.') {
            after = fraction.trim_start_matches(is_digit);
            fraction_len = fraction.len() - after.len();
            let mut is_full = false;
            for digit in fraction[..fraction_len].bytes() {
                if is_full || digits > (LIMIT - 1) / 10 {
                    is_full = true;
                    continue;
                }
                let next = digits * 10 + u64::from(digit - b'0');
                if next > LIMIT {
                    is_full = true;
                    continue;
                }
                digits = next;
                scale *= 10.0;
            }
        }
        if whole.is_empty() && fraction_len == 0 {
            return None;
        }
        rest = after.trim_start_matches(|c: char| c != '.' && !is_digit(c));
        let unit: u64 = match &after[..after.len() - rest.len()] {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        if value > LIMIT / unit {
            return None;
        }
        value *= unit;
        if digits > 0 {
            value += (digits as f64 * (unit as f64 / scale)) as u64;
            if value > LIMIT {
                return None;
            }
        }
        sum = sum.checked_add(value).filter(|sum| *sum <= LIMIT)?;
    }
    match (negative, sum) {
        (true, LIMIT) => Some(i64::MIN),
        (true, sum) => Some(-i64::try_from(sum).ok()?),
        (false, sum) => i64::try_from(sum).ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn printed_durations_parse_as_the_same_value(nanos in any::<i64>(), shift in 0_u32..63) {
        for nanos in [nanos, nanos >> shift] {
            let duration = GoDuration::from_nanos(nanos);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
            prop_assert_eq!(format!("{duration:#}").parse(), Ok(duration));
            let token = TokenDuration::from(duration);
            prop_assert_eq!(token.as_str().parse::<TokenDuration>(), Ok(token));
        }
    }

    #[test]
    fn no_text_causes_a_panic(text in any::<String>()) {
        drop(text.parse::<GoDuration>());
        let kept: TokenDuration = serde_json::from_value(Value::String(text.clone())).unwrap();
        prop_assert_eq!(kept.as_str(), text);
    }

    #[test]
    fn parsing_agrees_with_gos_algorithm(text in nearly()) {
        let ours = text.parse::<GoDuration>().ok().map(GoDuration::as_nanos);
        prop_assert_eq!(ours, gos_algorithm(&text), "{}", text);
    }

    #[test]
    fn order_and_equality_use_the_value(a in nearly(), b in nearly()) {
        if let (Ok(a), Ok(b)) = (a.parse::<TokenDuration>(), b.parse::<TokenDuration>()) {
            let (x, y) = (a.finite().unwrap(), b.finite().unwrap());
            prop_assert_eq!(a == b, x == y);
            prop_assert_eq!(a.partial_cmp(&b), Some(x.cmp(&y)));
        }
    }
}
