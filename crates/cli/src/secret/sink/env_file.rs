//! A file with the credentials as variables, among other lines that stay.
//!
//! Shells, systemd, Docker and many libraries read such files. They differ in the meaning
//! of quotes and of a backslash at the end of a line. So a line is replaced only if it sets
//! the variable for all of them; otherwise the file is refused.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::secret::file;
use crate::secret::sink::{CLIENT_ID, CLIENT_SECRET, IssuedSecret, SECRET_ROOM};

/// Some editors begin a file with this mark.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Makes sure that the file can take the credentials. Returns the room that it then takes,
/// in bytes.
pub(super) fn prove(path: &Path) -> io::Result<usize> {
    let content = read(path)?;
    let with_both = [(CLIENT_ID, "id"), (CLIENT_SECRET, "secret")];
    let content = with_variables(&content, &with_both)?;
    Ok(content.len() + SECRET_ROOM)
}

/// Returns the file's content with the credentials in place of those it had.
pub(super) fn content(path: &Path, issued: &IssuedSecret) -> io::Result<Zeroizing<Vec<u8>>> {
    with_variables(&read(path)?, &issued.variables()?)
}

/// Returns the value of a variable. Of several values the last one counts, as it does
/// for a shell.
pub(crate) fn variable(content: &str, name: &str) -> Option<Zeroizing<String>> {
    let mut lines = lines(content.as_bytes()).into_iter().rev();
    let value = lines.find_map(|line| value_of(line, name))?;
    // It begins and ends at ASCII characters of a text.
    str::from_utf8(value).ok().map(unquoted)
}

/// Returns the content of the file to rewrite; empty if there is no file.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let content = file::read(path)?.unwrap_or_default();
    match content.contains(&0) {
        true => Err(invalid("it is not text")),
        false => Ok(content),
    }
}

/// Returns the content with the variables set, where they were set, or else at the end.
/// All other lines stay byte for byte.
fn with_variables(content: &[u8], variables: &[(&str, &str)]) -> io::Result<Zeroizing<Vec<u8>>> {
    let lines = lines(content);
    require_one_reading(&lines, variables)?;
    let line_break: &[u8] = match lines.first() {
        Some(line) if line.ends_with(b"\r\n") => b"\r\n",
        _ => b"\n",
    };
    // At its final size from the start, so that no copy is left behind.
    let added: usize = variables
        .iter()
        .map(|(name, value)| name.len() + 4 * value.len() + 16)
        .sum();
    let mut new = Zeroizing::new(Vec::with_capacity(content.len() + added));
    let mut missing: Vec<_> = variables.iter().collect();
    for line in &lines {
        let is_set_by = |variable: &&(&str, &str)| value_of(line, variable.0).is_some();
        let Some(variable) = variables.iter().find(is_set_by) else {
            new.extend_from_slice(line);
            continue;
        };
        // A variable that is set twice is kept once.
        if missing.contains(&variable) {
            missing.retain(|other| *other != variable);
            let (before, _) = split_at_name(line);
            new.extend_from_slice(before);
            assign(&mut new, variable);
            new.extend_from_slice(match line {
                [.., b'\r', b'\n'] => b"\r\n",
                [.., b'\n'] => b"\n",
                _ => line_break,
            });
        }
    }
    if !(missing.is_empty() || new.is_empty() || new.ends_with(b"\n")) {
        if new.ends_with(b"\\") {
            return Err(invalid(
                "the last line ends with a backslash, which would take in the next one",
            ));
        }
        new.extend_from_slice(line_break);
    }
    for variable in missing {
        assign(&mut new, variable);
        new.extend_from_slice(line_break);
    }
    Ok(new)
}

/// Returns the lines with their line breaks.
fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|byte| *byte == b'\n').collect()
}

fn assign(content: &mut Vec<u8>, (name, value): &(&str, &str)) {
    content.extend_from_slice(name.as_bytes());
    content.push(b'=');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    match value.bytes().all(is_plain) {
        true => content.extend_from_slice(value.as_bytes()),
        // As a shell reads it, whatever the value holds.
        false => {
            content.push(b'\'');
            for byte in value.bytes() {
                match byte {
                    b'\'' => content.extend_from_slice(b"'\\''"),
                    other => content.push(other),
                }
            }
            content.push(b'\'');
        }
    }
}

/// Splits a line before the name that it may set: after blanks, `export` and a mark.
fn split_at_name(line: &[u8]) -> (&[u8], &[u8]) {
    let rest = line
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(line)
        .trim_ascii_start();
    let rest = match rest.strip_prefix(b"export") {
        Some([b' ' | b'\t', name @ ..]) => name.trim_ascii_start(),
        _ => rest,
    };
    line.split_at(line.len() - rest.len())
}

/// Returns the value, as it stands, that a line gives to the variable.
fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (_, assignment) = split_at_name(line);
    let value = assignment.strip_prefix(name.as_bytes())?.trim_ascii_start();
    value.strip_prefix(b"=")
}

fn unquoted(value: &str) -> Zeroizing<String> {
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    Zeroizing::new(match quoted('\'') {
        Some(inner) => inner.replace("'\\''", "'"),
        None => quoted('"').unwrap_or(value).to_owned(),
    })
}

/// Refuses content in which a line that sets one of the variables is part of a value that
/// goes over several lines for some readers, such as shells, and not for others.
fn require_one_reading(lines: &[&[u8]], variables: &[(&str, &str)]) -> io::Result<()> {
    let sets = |line: &[u8]| {
        let mut names = variables.iter().map(|(name, _)| *name);
        names.find(|name| value_of(line, name).is_some())
    };
    let mut first = 0;
    while let Some(rest) = lines.get(first..).filter(|rest| !rest.is_empty()) {
        let count = lines_of_value(rest);
        let begin = first + 1;
        if let Some(name) = sets(rest[0]).filter(|_| count > 1) {
            return Err(invalid(format!(
                "the value of {name} on line {begin} goes over several lines; write it on one"
            )));
        }
        for (index, line) in rest.iter().enumerate().take(count).skip(1) {
            if let Some(name) = sets(line) {
                return Err(invalid(format!(
                    "line {} sets {name} inside the value that begins on line {begin}; move it to \
                     the top of the file",
                    begin + index
                )));
            }
        }
        first += count;
    }
    Ok(())
}

/// Returns over how many lines the first one goes for a shell: a quote is open at its end,
/// or it ends with a backslash. A quote that is never closed is only a character.
fn lines_of_value(lines: &[&[u8]]) -> usize {
    let mut quote = None;
    for (index, line) in lines.iter().enumerate() {
        let mut before = b' ';
        let mut bytes = line.iter().copied();
        let mut goes_on = false;
        while let Some(byte) = bytes.next() {
            match (quote, byte) {
                (None, b'#') if before.is_ascii_whitespace() => break,
                (None, b';') if index == 0 && line.trim_ascii_start().starts_with(b";") => break,
                (None | Some(b'"'), b'\\') => goes_on = bytes.next() == Some(b'\n'),
                (None, b'\'' | b'"') => quote = Some(byte),
                (Some(open), byte) if byte == open => quote = None,
                _ => {}
            }
            before = byte;
        }
        if quote.is_none() && !goes_on {
            return index + 1;
        }
    }
    1
}

fn invalid(fault: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn set(old: &str, variables: &[(&str, &str)]) -> String {
        let new = with_variables(old.as_bytes(), variables).unwrap();
        String::from_utf8(new.to_vec()).unwrap()
    }

    #[test]
    fn other_lines_stay_and_old_credentials_go() {
        let old = "# mine\nA=1\nexport CF_ACCESS_CLIENT_SECRET='old'\nCF_ACCESS_CLIENT_SECRETS=x\nCF_ACCESS_CLIENT_SECRET=older\nB=2";
        assert_eq!(
            set(old, &[(CLIENT_SECRET, "new")]),
            "# mine\nA=1\nexport CF_ACCESS_CLIENT_SECRET=new\nCF_ACCESS_CLIENT_SECRETS=x\nB=2"
        );
        assert_eq!(set("", &[(CLIENT_ID, "a.b")]), "CF_ACCESS_CLIENT_ID=a.b\n");
    }

    #[test]
    fn every_way_to_write_an_assignment_is_found() {
        for (old, new) in [
            ("CF_ACCESS_CLIENT_ID=", "CF_ACCESS_CLIENT_ID=id\n"),
            (
                "\u{feff}CF_ACCESS_CLIENT_ID=old\n",
                "\u{feff}CF_ACCESS_CLIENT_ID=id\n",
            ),
            (
                "  export  CF_ACCESS_CLIENT_ID=old\r\n",
                "  export  CF_ACCESS_CLIENT_ID=id\r\n",
            ),
            (
                "export\tCF_ACCESS_CLIENT_ID=old",
                "export\tCF_ACCESS_CLIENT_ID=id\n",
            ),
            (
                "CF_ACCESS_CLIENT_ID = \"old\"\n",
                "CF_ACCESS_CLIENT_ID=id\n",
            ),
            ("A=1\r\nB=2", "A=1\r\nB=2\r\nCF_ACCESS_CLIENT_ID=id\r\n"),
            ("A=1", "A=1\nCF_ACCESS_CLIENT_ID=id\n"),
            (
                "#CF_ACCESS_CLIENT_ID=old\n",
                "#CF_ACCESS_CLIENT_ID=old\nCF_ACCESS_CLIENT_ID=id\n",
            ),
            (
                "exportCF_ACCESS_CLIENT_ID=a\n",
                "exportCF_ACCESS_CLIENT_ID=a\nCF_ACCESS_CLIENT_ID=id\n",
            ),
        ] {
            assert_eq!(set(old, &[(CLIENT_ID, "id")]), new, "{old:?}");
        }
    }

    #[test]
    fn quotes_of_other_values_stay_quotes() {
        for others in [
            "KEY=\"first\nsecond\"\n",
            "A=it's me\n",
            "# don't\nA=1 # isn't\n; can't\n",
            "A=\\'\nB='\\'\n",
            "A=\"\\\"\"\n",
            "A=1 \\\nB=2\n",
            "A=\"it's\"\n",
            "A='never closed\n",
        ] {
            let old = format!("{others}CF_ACCESS_CLIENT_ID=old\n");
            let new = format!("{others}CF_ACCESS_CLIENT_ID=id\n");
            assert_eq!(set(&old, &[(CLIENT_ID, "id")]), new, "{others:?}");
            assert_eq!(set(others, &[(CLIENT_ID, "id")]), new, "{others:?}");
        }
    }

    #[test]
    fn no_value_starts_a_line() {
        for value in [
            "a\nLD_PRELOAD=x",
            "a\rB=1",
            "a\u{2028}B=1",
            "a\u{85}",
            "a\0",
        ] {
            let directory = tempfile::tempdir().unwrap();
            for (client_id, secret) in [(value, "cfast_aB3"), ("id.access", value)] {
                let issued = issued(client_id, secret);
                let error = content(&directory.path().join("env"), &issued).unwrap_err();
                assert!(error.to_string().contains("printable ASCII"), "{error}");
            }
        }
    }

    fn issued(client_id: &str, secret: &str) -> IssuedSecret {
        IssuedSecret {
            client_id: Some(client_id.to_owned()),
            client_secret: secret.into(),
            token_id: None,
            version: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        for secret in ["cfast_aB3", "it's $HOME", "a b\"c", "'"] {
            let written = content(&path, &issued("id.access", secret)).unwrap();
            fs::write(&path, written).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let read = |name| variable(&text, name).unwrap();
            assert_eq!(read(CLIENT_ID).as_str(), "id.access");
            assert_eq!(read(CLIENT_SECRET).as_str(), secret);
        }
        let marked = "\u{feff}CF_ACCESS_CLIENT_ID=id\r\n";
        assert_eq!(variable(marked, CLIENT_ID).unwrap().as_str(), "id");
        assert_eq!(variable("A=1\n", CLIENT_ID), None);
    }

    #[test]
    fn of_several_assignments_the_last_one_counts() {
        let text = "CF_ACCESS_CLIENT_SECRET=old\nCF_ACCESS_CLIENT_ID=id\nexport CF_ACCESS_CLIENT_SECRET=new\n";
        let secret = variable(text, CLIENT_SECRET).unwrap();
        assert_eq!(secret.as_str(), "new");
    }
}
