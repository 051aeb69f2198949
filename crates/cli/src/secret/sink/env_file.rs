//! A file with the credentials as variables, among other lines that stay.

use std::fs;
use std::io;
use std::path::Path;

use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::secret::sink::IssuedSecret;

const CLIENT_ID: &str = "CF_ACCESS_CLIENT_ID";
const CLIENT_SECRET: &str = "CF_ACCESS_CLIENT_SECRET";

/// Makes sure that what is in the file can be kept.
pub(super) fn prove(path: &Path) -> io::Result<()> {
    read(path).map(drop)
}

/// The file's content with the credentials in place of those it had.
pub(super) fn content(path: &Path, issued: &IssuedSecret) -> io::Result<Zeroizing<String>> {
    let client_id = issued.client_id.as_deref().map(|id| (CLIENT_ID, id));
    let secret = Some((CLIENT_SECRET, issued.client_secret.expose_secret()));
    let mut content = read(path)?;
    for (name, value) in client_id.into_iter().chain(secret) {
        content = set(&content, name, value);
    }
    Ok(content)
}

/// Returns the value of a variable. Of several values the last one counts, as it does
/// for a shell.
pub(crate) fn variable(content: &str, name: &str) -> Option<Zeroizing<String>> {
    let mut lines = content.lines().rev();
    lines.find_map(|line| value_of(line, name)).map(unquoted)
}

/// Returns the content of the file to rewrite; empty if there is no file.
fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Zeroizing::default()),
        content => content.map(Zeroizing::new),
    }
}

/// The lines with the variable set, where it was set, or else at the end.
fn set(content: &str, name: &str, value: &str) -> Zeroizing<String> {
    // At its final size from the start, so that no copy is left behind.
    let mut lines = Zeroizing::new(String::with_capacity(
        content.len() + name.len() + 2 * value.len() + 16,
    ));
    let mut is_set = false;
    for line in content.lines() {
        if value_of(line, name).is_none() {
            lines.push_str(line);
            lines.push('\n');
        } else if !is_set {
            is_set = true;
            if line.trim_start().starts_with("export ") {
                lines.push_str("export ");
            }
            push(&mut lines, name, value);
        }
    }
    if !is_set {
        push(&mut lines, name, value);
    }
    lines
}

fn push(lines: &mut String, name: &str, value: &str) {
    lines.push_str(name);
    lines.push('=');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match value.chars().all(is_plain) {
        true => lines.push_str(value),
        // As a shell reads it, whatever the value holds.
        false => {
            lines.push('\'');
            for character in value.chars() {
                match character {
                    '\'' => lines.push_str("'\\''"),
                    other => lines.push(other),
                }
            }
            lines.push('\'');
        }
    }
    lines.push('\n');
}

/// The value, as it stands, that a line gives to the variable.
fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    line.strip_prefix(name)?.strip_prefix('=')
}

fn unquoted(value: &str) -> Zeroizing<String> {
    let value = value.trim_end();
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    Zeroizing::new(match quoted('\'') {
        Some(inner) => inner.replace("'\\''", "'"),
        None => quoted('"').unwrap_or(value).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_lines_stay_and_old_credentials_go() {
        let old = "# mine\nA=1\nexport CF_ACCESS_CLIENT_SECRET='old'\nCF_ACCESS_CLIENT_SECRETS=x\nCF_ACCESS_CLIENT_SECRET=older\nB=2";
        assert_eq!(
            *set(old, CLIENT_SECRET, "new"),
            "# mine\nA=1\nexport CF_ACCESS_CLIENT_SECRET=new\nCF_ACCESS_CLIENT_SECRETS=x\nB=2\n"
        );
        assert_eq!(*set("", CLIENT_ID, "a.b"), "CF_ACCESS_CLIENT_ID=a.b\n");
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        for secret in ["cfast_aB3", "it's $HOME", "a b\"c", "'"] {
            let written = IssuedSecret {
                client_id: Some("id.access".to_owned()),
                client_secret: secret.into(),
            };
            fs::write(&path, content(&path, &written).unwrap()).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let read = |name| variable(&text, name).unwrap();
            assert_eq!(read(CLIENT_ID).as_str(), "id.access");
            assert_eq!(read(CLIENT_SECRET).as_str(), secret);
        }
        assert_eq!(variable("A=1\n", CLIENT_ID), None);
    }

    #[test]
    fn of_several_assignments_the_last_one_counts() {
        let text = "CF_ACCESS_CLIENT_SECRET=old\nCF_ACCESS_CLIENT_ID=id\nexport CF_ACCESS_CLIENT_SECRET=new\n";
        let secret = variable(text, CLIENT_SECRET).unwrap();
        assert_eq!(secret.as_str(), "new");
    }
}
