//! A command that reads the secret from its standard input.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use secrecy::ExposeSecret as _;

use crate::secret::sink::IssuedSecret;

/// The variables with credentials that this command reads.
const CREDENTIALS: [&str; 4] = [
    "CLOUDFLARE_API_TOKEN",
    "CLOUDFLARE_API_KEY",
    "CLOUDFLARE_EMAIL",
    "CF_ACCESS_CLIENT_SECRET",
];

/// Makes sure, as far as that can be known, that the command can be run: the shell
/// understands it, and knows the first word.
pub(super) fn prove(command: &str) -> io::Result<()> {
    let syntax = shell().args(["-n", "-c", command]).output()?;
    if !syntax.status.success() {
        let said = String::from_utf8_lossy(&syntax.stderr).trim().to_owned();
        return Err(io::Error::new(io::ErrorKind::InvalidInput, said));
    }
    // A word that the shell would make something else of can't be looked up.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./+".contains(c);
    let first = command.split_whitespace().next().unwrap_or_default();
    if first.is_empty() || !first.chars().all(is_plain) {
        return Ok(());
    }
    let known = shell()
        .args(["-c", "command -v -- \"$1\"", "sh", first])
        .output()?;
    match known.status.success() {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("command not found: {first:?}"),
        )),
    }
}

/// Runs the command with the secret on its standard input, and waits for it. Its output
/// goes to standard error: standard output is for the result.
pub(super) fn deliver(command: &str, issued: &IssuedSecret) -> io::Result<()> {
    let mut child = shell();
    child
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(io::stderr());
    if let Some(client_id) = &issued.client_id {
        child.env("CF_ACCESS_CLIENT_ID", client_id);
    }
    let mut child = child.spawn()?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(issued.client_secret.expose_secret().as_bytes()),
        None => Ok(()),
    };
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("the command failed ({status})")));
    }
    written.map_err(|error| {
        io::Error::new(
            error.kind(),
            "the command exited with 0, but did not read the secret from its standard input",
        )
    })
}

/// The shell, without the credentials that this command was given: the sink's command
/// needs none of them.
fn shell() -> Command {
    let mut shell = Command::new("sh");
    for name in CREDENTIALS {
        shell.env_remove(name);
    }
    shell
}
