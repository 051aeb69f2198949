//! A command that reads the secret from its standard input.

use std::io::{self, PipeReader, Write as _};
use std::pin::pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::secret::record::Intent;
use crate::secret::sink::{CLIENT_ID, CLIENT_SECRET, IssuedSecret};

/// How long a command may take. A person may have to unlock the store first.
const TIME_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The variables with API credentials that this command reads.
pub(crate) const API_CREDENTIALS: [&str; 3] = [
    "CLOUDFLARE_API_TOKEN",
    "CLOUDFLARE_API_KEY",
    "CLOUDFLARE_EMAIL",
];

/// Makes sure, as far as that can be known, that the command can be run: the shell
/// understands it, and knows the first word.
pub(super) fn prove(command: &str) -> io::Result<()> {
    let syntax = shell(&[], &[]).args(["-n", "-c", command]).output()?;
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
    let known = shell(&[], &[])
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
/// goes to standard error: standard output is for the result. After ten minutes, or if this
/// future is dropped, the command is terminated.
///
/// # Errors
///
/// Also if the command left a part of its input unread, or did not end in time.
pub(super) async fn deliver(
    command: &str,
    keep_env: &[String],
    hidden: &[String],
    issued: &IssuedSecret,
    intent: &Intent,
) -> io::Result<()> {
    let input = pipe_with(issued.client_secret.expose_secret().as_bytes())?;
    let mut child = shell(keep_env, hidden);
    child
        .args(["-c", command])
        .stdin(Stdio::from(input.try_clone()?))
        .stdout(io::stderr());
    for (name, value) in variables(issued, intent) {
        // The parent may be such a command itself.
        match value.filter(|value| !value.contains('\0')) {
            Some(value) => child.env(name, value),
            None => child.env_remove(name),
        };
    }
    let status = wait(child, sleep(TIME_LIMIT)).await?;
    if !status.success() {
        return Err(io::Error::other(format!("the command failed ({status})")));
    }
    match rustix::io::ioctl_fionread(&input)? {
        0 => Ok(()),
        left => Err(io::Error::other(format!(
            "the command exited with 0, but left {left} bytes of the secret unread on its standard \
             input"
        ))),
    }
}

/// Runs a command to its end, without keeping signals from being handled meanwhile.
async fn wait(mut command: Command, too_long: impl Future<Output = ()>) -> io::Result<ExitStatus> {
    // Before the command begins, so that its end is not missed.
    let mut ended = signal(SignalKind::child())?;
    let mut running = Running(command.spawn()?);
    let mut too_long = pin!(too_long);
    loop {
        if let Some(status) = running.0.try_wait()? {
            return Ok(status);
        }
        tokio::select! {
            _ = ended.recv() => {}
            () = &mut too_long => {
                let words = "the command did not end within 10 minutes, and was terminated";
                return Err(io::Error::new(io::ErrorKind::TimedOut, words));
            }
        }
    }
}

/// A command that is terminated if it is given up.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            // It may end by itself at this very moment.
            let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        }
    }
}

/// Returns a pipe that holds the input, and then ends.
fn pipe_with(input: &[u8]) -> io::Result<PipeReader> {
    let (reader, mut writer) = io::pipe()?;
    // A pipe holds at least 4,096 bytes. Nothing reads it yet, so a write that does not
    // fit must not wait.
    rustix::io::ioctl_fionbio(&writer, true)?;
    match writer.write_all(input) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::other("the secret is too long for a pipe"))
        }
        written => written.map(|()| reader),
    }
}

/// Returns the variables that tell the command about the secret.
fn variables(issued: &IssuedSecret, intent: &Intent) -> [(&'static str, Option<String>); 5] {
    let id = issued.token_id.as_ref().or(intent.token_id.as_ref());
    let until = intent.old_secret_works_until();
    [
        (CLIENT_ID, issued.client_id.clone()),
        ("CF_SERVICE_TOKEN_ID", id.cloned()),
        ("CF_SERVICE_TOKEN_NAME", intent.name.clone()),
        (
            "CF_SERVICE_TOKEN_SECRET_VERSION",
            issued.version.map(|version| version.to_string()),
        ),
        (
            "CF_SERVICE_TOKEN_OLD_SECRET_UNTIL",
            until.map(|until| until.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ),
    ]
}

/// Returns the shell, without the credentials in this command's environment except those
/// to keep. A service token's secret never stays: it is not the new one.
fn shell(keep_env: &[String], hidden: &[String]) -> Command {
    let mut shell = Command::new("sh");
    for name in API_CREDENTIALS {
        if !keep_env.iter().any(|kept| kept == name) {
            shell.env_remove(name);
        }
    }
    shell.env_remove(CLIENT_SECRET);
    for name in hidden {
        shell.env_remove(name);
    }
    shell
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn a_command_that_does_not_end_is_terminated() {
        let (mut output, input) = io::pipe().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "exec sleep 1000"]).stdout(input);
        let error = wait(command, ready(())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // The pipe ends once no process has its other end.
        assert_eq!(io::Read::read(&mut output, &mut [0]).unwrap(), 0);
    }
}
