//! Says why a text is not TOML.

use super::document::{Mistake, line_of};

/// The beginnings of the parser's messages, and what they mean here. The values of the file
/// are not repeated: they may be secrets.
const MESSAGES: [(&str, &str, &str); 12] = [
    (
        "unexpected leading zero",
        "a number does not begin with 0",
        "leave the 0 out",
    ),
    (
        "invalid boolean",
        "neither true nor false",
        "write true or false in lower case, without quotes",
    ),
    (
        "invalid basic string",
        "the string does not end on its line",
        "end it with a double quote",
    ),
    (
        "invalid literal string",
        "the string does not end on its line",
        "end it with a single quote",
    ),
    (
        "missing escaped value",
        "a backslash in double quotes begins an escape",
        "write the string in single quotes, or each backslash twice",
    ),
    ("unclosed table", "the closing bracket is missing", TABLES),
    (
        "unclosed array table",
        "the closing brackets are missing",
        TABLES,
    ),
    ("unclosed array", "the list does not end", "end it with ]"),
    (
        "missing comma between array",
        "a comma between two values of the list is missing, or the ] at its end",
        "write a list as in only = [\"deploy\", \"backup\"]",
    ),
    (
        "unexpected key or value",
        "more follows the value",
        "write each key on a line of its own; a comment begins with #",
    ),
    ("cannot recurse", "the lists are nested too deeply", TABLES),
    ("", "this is not TOML", LINES),
];
/// The beginnings of the messages about a value that is no string, number or date.
const UNQUOTED: [&str; 4] = [
    "string values must be quoted",
    "invalid float",
    "invalid integer",
    "invalid date-time",
];
const TABLES: &str = "the tables begin with [[account]], [[account.rotate]] and [notify]";
const LINES: &str = "a line is empty, a comment that begins with #, KEY = VALUE, [notify], \
                     [[account]] or [[account.rotate]]";

/// Returns the mistake that the parser found.
pub(super) fn mistake(text: &str, error: &toml::de::Error) -> Mistake {
    let at = error.span().unwrap_or(0..0);
    let line = text.lines().nth(line_of(text, &at) - 1).unwrap_or_default();
    let found = text.get(at.clone()).unwrap_or_default();
    let message = error.message();
    let (what, next) = match message {
        _ if UNQUOTED.iter().any(|start| message.starts_with(start)) => unquoted(line, found),
        _ if message.starts_with("key with no value") => without_value(line),
        "duplicate key" => twice(line, found),
        _ => {
            let mut messages = MESSAGES.iter();
            let row = messages.find(|(start, ..)| message.starts_with(start));
            let (_, what, next) = row.unwrap_or(&MESSAGES[MESSAGES.len() - 1]);
            ((*what).to_owned(), (*next).to_owned())
        }
    };
    Mistake::new(at, what).next(next)
}

fn unquoted(line: &str, found: &str) -> (String, String) {
    let key = line.split('=').next().unwrap_or_default().trim();
    let is_bool = ["yes", "no", "on", "off"].contains(&found.to_ascii_lowercase().as_str());
    match found {
        "" => (format!("{key} has no value"), LINES.to_owned()),
        _ if is_bool => (
            format!("the value of {key} is neither true nor false"),
            format!("write {key} = true or {key} = false"),
        ),
        _ if found.starts_with(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']) => (
            format!("the value of {key} is in typographic quotes"),
            "write the string in straight double quotes".to_owned(),
        ),
        _ => (
            format!("the value of {key} is not in quotes"),
            format!("write the string in double quotes, as in {key} = \"...\""),
        ),
    }
}

fn without_value(line: &str) -> (String, String) {
    let start = line.trim_start();
    if start.starts_with("//") || start.starts_with("--") || start.starts_with(';') {
        let next = "a comment begins with #";
        return ("this is not a comment".to_owned(), next.to_owned());
    }
    match line.contains(':') && !line.contains('=') {
        true => (
            "expected =, found a colon".to_owned(),
            "this file is TOML: write KEY = VALUE".to_owned(),
        ),
        false => (
            "expected KEY = VALUE, where the key is one word".to_owned(),
            LINES.to_owned(),
        ),
    }
}

fn twice(line: &str, key: &str) -> (String, String) {
    let is_table = line.trim_start().starts_with('[');
    let next = match (is_table, key) {
        (true, "account") => {
            "each account begins with [[account]], in two brackets, before its [[account.rotate]]"
        }
        (true, "rotate") => "each rule begins with [[account.rotate]], in two brackets",
        _ => "leave one of the two out",
    };
    (format!("{key} is set a second time"), next.to_owned())
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    #[test]
    fn no_message_repeats_a_value() {
        for text in [
            "a = SECRET",
            "a = \"SECRET",
            "a = 'SECRET",
            "a: SECRET",
            "a SECRET",
            "a = SECRET = 1",
            "a = \"x\" SECRET",
            "a = [\"SECRET\" \"SECRET\"]",
            "a = \"\\SECRET\"",
            "a = tSECRET",
            "a = 1SECRET",
            "[[SECRET",
            "a = \u{201c}SECRET\u{201d}",
            "// SECRET",
            "a = {SECRET",
        ] {
            let error = DeTable::parse(text).unwrap_err();
            let mistake = format!("{:?}", mistake(text, &error));
            assert!(!mistake.contains("SECRET"), "{text}: {mistake}");
        }
    }
}
