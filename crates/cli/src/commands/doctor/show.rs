//! The output of the checks.

use std::io::{self, Write};

use anstyle::AnsiColor;
use unicode_width::UnicodeWidthStr as _;

use super::{Check, Status};
use crate::arguments::Format;
use crate::failure::Failure;
use crate::output::{self, Output};

/// The widths of the columns, and the least of what is said about a check.
const STATUS_WIDTH: usize = 9;
const CHECK_WIDTH: usize = 16;
const MIN_WIDTH: usize = 20;

/// Shows the checks: a line for each, and one for what to do. If there are several accounts,
/// each has a heading.
pub(super) fn show(output: &Output, checks: &[Check]) -> Result<(), Failure> {
    match output.format {
        Format::Json => return output.json(&checks),
        Format::Jsonl => {
            let mut lines = checks.iter();
            return lines.try_for_each(|check| output.json_line(check));
        }
        Format::Table => {}
    }
    let shown = checks
        .iter()
        .filter(|check| !output.quiet || check.status != Status::Ok);
    let mut accounts = checks.iter().filter_map(|check| check.account_id.as_ref());
    let first = accounts.next();
    let is_several = accounts.any(|account| Some(account) != first);
    output.write(|out, width| {
        let mut of = None;
        for check in shown {
            if is_several && of != Some(&check.account_id) {
                let first = if of.is_some() { "\n" } else { "" };
                writeln!(out, "{first}{}", check.heading())?;
                of = Some(&check.account_id);
            }
            check.write(out, width)?;
        }
        match output.quiet {
            true => Ok(()),
            false => writeln!(out, "\n{}", summary(checks)),
        }
    })
}

impl Check {
    /// Names the account that the check concerns, or else this machine.
    fn heading(&self) -> String {
        let label = match (&self.account_id, &self.account_name) {
            (Some(id), Some(name)) => format!("{} ({id})", output::bounded(name)),
            (Some(id), None) => format!("account {id}"),
            (None, _) => "this machine".to_owned(),
        };
        output::printable(&label)
    }

    /// Writes the check, broken into lines as wide as the terminal, if there is one.
    fn write(&self, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
        let (word, color) = match self.status {
            Status::Ok => ("ok", AnsiColor::Green),
            Status::Warning => ("warning", AnsiColor::Yellow),
            Status::Failure => ("failure", AnsiColor::Red),
            Status::Unknown => ("unknown", AnsiColor::Yellow),
        };
        let style = color.on_default();
        let indent = STATUS_WIDTH + CHECK_WIDTH;
        let room = width.map_or(usize::MAX, |width| {
            width.saturating_sub(indent).max(MIN_WIDTH)
        });
        let head = format!(
            "{style}{word:STATUS_WIDTH$}{style:#}{:CHECK_WIDTH$}",
            self.check
        );
        let next = self.next.iter().map(|next| format!("next: {next}"));
        let texts = std::iter::once(self.what.clone()).chain(next);
        let lines = texts.flat_map(|text| wrapped(&output::printable(&text), room));
        let heads = std::iter::once(head).chain(std::iter::repeat(" ".repeat(indent)));
        for (head, line) in heads.zip(lines) {
            writeln!(out, "{head}{line}")?;
        }
        Ok(())
    }
}

/// Breaks a text between its words, into lines of this width if no word is wider.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Counts the checks by their status.
fn summary(checks: &[Check]) -> String {
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let counts = [
        (Status::Failure, "failure", "failures"),
        (Status::Warning, "warning", "warnings"),
        (Status::Unknown, "unknown", "unknown"),
        (Status::Ok, "ok", "ok"),
    ];
    let counts = counts.map(|(status, one, several)| match count(status) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {several}")),
    });
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_broken_between_words() {
        let lines = wrapped("one two three-four five", 9);
        assert_eq!(lines, ["one two", "three-four", "five"]);
        assert_eq!(wrapped("", 9), [""]);
        assert_eq!(wrapped("one two", usize::MAX), ["one two"]);
    }
}
