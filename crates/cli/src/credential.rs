//! Credentials as people paste them, and the files that hold them.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;
use zeroize::Zeroizing;

use crate::output;

/// More than any file with credentials has.
const MAX_FILE_LEN: u64 = 64 * 1024;
const OTHERS_MAY_READ: u32 = 0o004;

/// The beginnings of client secrets, and of API tokens of accounts and users.
pub(crate) const SECRET_PREFIXES: [&str; 3] = ["cfast_", "cfat_", "cfut_"];

/// Names of headers that documents and dashboards show in front of a credential.
const HEADERS: [&str; 5] = [
    "CF-Access-Client-Id",
    "CF-Access-Client-Secret",
    "Authorization",
    "X-Auth-Key",
    "X-Auth-Email",
];

/// Reads a file with credentials, and warns if other users can read it too.
pub(crate) fn read(path: &Path, quiet: bool) -> io::Result<Zeroizing<String>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let user = rustix::process::geteuid().as_raw();
    if !quiet && metadata.is_file() && needs_chmod(metadata.mode(), metadata.uid() == user) {
        // A secret that an orchestrator mounts stays as it is mounted.
        let is_read_only = rustix::fs::fstatvfs(&file)
            .is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY));
        if !is_read_only {
            output::remark(format!(
                "other users can read {} (mode {:04o}); run: chmod o-r {}",
                path.display(),
                metadata.mode() & 0o7777,
                output::quoted(&path.to_string_lossy())
            ));
        }
    }
    bounded(file)
}

/// Reads credentials from standard input.
pub(crate) fn read_stdin() -> io::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    match stdin.is_terminal() {
        // It would show what is typed.
        true => Err(io::Error::other(
            "it is a terminal, and not a pipe or a file",
        )),
        false => bounded(stdin.lock()),
    }
}

/// Whether others may read the file, and the user can change that. A group was chosen.
fn needs_chmod(mode: u32, is_own: bool) -> bool {
    is_own && mode & OTHERS_MAY_READ != 0
}

fn bounded(source: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    source.take(MAX_FILE_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_LEN {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than the {MAX_FILE_LEN} bytes that credentials can take"),
        ));
    }
    Ok(text)
}

/// Whether a text looks like an API token, which has at least 40 characters.
pub(crate) fn is_api_token(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.len() >= 40 && text.chars().all(is_plain)
}

/// Returns what a pasted value holds beside the credential, without the value itself.
pub(crate) fn fault(value: &str) -> Option<String> {
    if value.is_empty() {
        return Some("is empty".to_owned());
    }
    if let Some(header) = HEADERS
        .into_iter()
        .find(|name| begins_with_header(value, name))
    {
        return Some(format!("begins with the header's name `{header}:`"));
    }
    if value
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("bearer "))
    {
        return Some("begins with `Bearer`".to_owned());
    }
    if value.starts_with(['{', '[']) {
        return Some("is JSON".to_owned());
    }
    if begins_with_assignment(value) {
        return Some("begins with the variable's name and `=`".to_owned());
    }
    if value.contains(" #") || value.contains("\t#") {
        return Some("is followed by a comment".to_owned());
    }
    if value.starts_with(['\'', '"', '`']) || value.ends_with(['\'', '"', '`']) {
        return Some("is in quotes".to_owned());
    }
    let is_sendable = value.bytes().all(|byte| byte.is_ascii_graphic());
    (!is_sendable)
        .then(|| "contains a space, a line break or a character that is not ASCII".to_owned())
}

fn begins_with_header(value: &str, name: &str) -> bool {
    let start = value.get(..name.len());
    let rest = value.get(name.len()..).unwrap_or_default();
    start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        && rest.trim_start().starts_with(':')
}

/// Whether a line of a shell or an environment file was pasted, such as `NAME=value`.
fn begins_with_assignment(value: &str) -> bool {
    let line = value.strip_prefix("export ").unwrap_or(value);
    line.split_once('=').is_some_and(|(name, value)| {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        // The padding of Base64 is no assignment.
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(is_name)
            && !value.trim_start_matches('=').is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_own_file_that_all_can_read_needs_a_chmod() {
        for (mode, is_own, needs) in [
            (0o644, true, true),
            (0o604, true, true),
            (0o640, true, false),
            (0o600, true, false),
            (0o644, false, false),
        ] {
            assert_eq!(needs_chmod(mode, is_own), needs, "{mode:o} {is_own}");
        }
    }

    #[test]
    fn what_is_pasted_along_is_named_and_the_value_is_not() {
        for (value, named) in [
            ("", "empty"),
            ("CF-Access-Client-Id: abc.access", "CF-Access-Client-Id:"),
            ("cf-access-client-secret:abc", "CF-Access-Client-Secret:"),
            ("Authorization: Bearer abc", "Authorization:"),
            ("bearer abc", "Bearer"),
            ("{\"token\":\"abc\"}", "JSON"),
            ("CLOUDFLARE_API_TOKEN=abc", "variable's name"),
            ("export TOKEN='abc'", "variable's name"),
            ("'abc.access' # ci", "comment"),
            ("\"abc\"", "quotes"),
            ("abc'", "quotes"),
            ("\u{201c}abc\u{201d}", "not ASCII"),
            ("a bc", "space"),
            ("abc\n", "line break"),
        ] {
            let fault = fault(value).unwrap();
            assert!(fault.contains(named), "{value}: {fault}");
            assert!(!fault.contains("abc"), "{fault}");
        }
        for value in [
            "cfast_aB3",
            "ABC==",
            "AB_C=",
            "a=b",
            "abc#d",
            "v1.0-a-b",
            "a@example.com",
        ] {
            assert_eq!(fault(value), None, "{value}");
        }
    }
}
