//! Texts that others chose, such as names, as they reach a terminal.

use std::borrow::Cow;

/// Longer than any name that the API accepts.
const MAX_CHARS: usize = 500;

/// Returns a text, or the beginning of one that no reader and no table could cope with.
pub(crate) fn bounded(text: &str) -> Cow<'_, str> {
    let end = text.char_indices().nth(MAX_CHARS).map(|(end, _)| end);
    match end.and_then(|end| text.get(..end)) {
        Some(beginning) => format!("{beginning}…").into(),
        None => text.into(),
    }
}

/// Returns a text without what would move the cursor, colour the screen, hide characters
/// or turn the direction of writing.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match misleads(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// Whether a terminal does something else with a character than show it. The joiners of
/// emoji and of Persian are no such characters.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// Returns a text as one word of a shell's command line.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_is_escaped_and_the_rest_stays() {
        for (text, shown) in [
            ("can't \"é→🦀\" 工具", "can't \"é→🦀\" 工具"),
            ("\u{1f469}\u{200d}\u{1f4bb}", "\u{1f469}\u{200d}\u{1f4bb}"),
            ("a\u{1b}[2J\nb", r"a\u{1b}[2J\nb"),
            (
                "\u{202e}\u{200b}\u{feff}\u{85}",
                r"\u{202e}\u{200b}\u{feff}\u{85}",
            ),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn a_shell_reads_back_what_is_quoted() {
        for text in [
            "plain-1.x",
            "",
            "a b",
            "$HOME",
            "it's",
            "x; touch y #",
            "a\nb",
            "*",
        ] {
            let script = format!("printf %s {}", quoted(text));
            let echoed = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(echoed.stdout).unwrap(), text);
        }
    }
}
