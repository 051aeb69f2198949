//! Where a new secret goes. A sink is proved before the API is called, since the
//! API shows a secret once.

mod command;
mod env_file;
mod stdout;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::{Exit, Failure};
use crate::secret::file::{self, Replacement};

pub(crate) use env_file::variable as variable_in;

/// Where a new secret goes, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// A file with the secret and nothing else.
    File(PathBuf),
    /// A file with the client id and the secret as variables.
    EnvFile(PathBuf),
    /// A command that reads the secret from its standard input.
    Command(String),
    /// Standard output, with nothing else in it.
    Stdout,
}

/// A secret that has just been made, and whose it is.
#[derive(Debug)]
pub(crate) struct IssuedSecret {
    /// `None` only if the API's answer lacked it.
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: SecretString,
}

/// A sink that a secret can be brought to, as far as that can be known.
pub(crate) enum ProvedSink {
    File(Replacement),
    EnvFile {
        path: PathBuf,
        replacement: Replacement,
    },
    Command(String),
    Stdout(stdout::Stdout),
}

impl Sink {
    /// Makes sure that a secret can be brought there.
    pub(crate) fn prove(&self) -> Result<ProvedSink, Failure> {
        let proved = match self {
            Self::File(path) => Replacement::prepare(path).map(ProvedSink::File),
            Self::EnvFile(path) => prove_env_file(path),
            Self::Command(command) => {
                command::prove(command).map(|()| ProvedSink::Command(command.clone()))
            }
            Self::Stdout => stdout::Stdout::prove().map(ProvedSink::Stdout),
        };
        proved.map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => {
                Failure::new(Exit::Failed, format!("another run is writing to {self}"))
                    .next("nothing was changed; wait for it to end")
            }
            _ => Failure::usage(format!("can't deliver a secret to {self}"))
                .because(error)
                .next("nothing was changed; fix the cause, or use another --secret-to"),
        })
    }

    /// Refuses a sink that a simulated secret would harm: an existing file may hold a real
    /// one, and a command may send it anywhere.
    pub(crate) fn require_harmless(&self) -> Result<(), Failure> {
        let fault = match self {
            Self::File(path) | Self::EnvFile(path) if path.exists() => "already exists",
            Self::Command(_) => "would run",
            _ => return Ok(()),
        };
        Err(
            Failure::usage(format!("{self} {fault}, but the secret is only simulated"))
                .next("nothing was changed; with --simulate, use a new file or stdout"),
        )
    }

    /// Describes where a secret is that was brought there.
    pub(crate) fn whereabouts(&self) -> String {
        match self {
            Self::File(path) | Self::EnvFile(path) => format!("is in {}", path.display()),
            // Only the command knows whether it stored the secret, or even read it.
            Self::Command(command) => format!("was piped to {command:?} (exit 0)"),
            Self::Stdout => "is on standard output".to_owned(),
        }
    }

    /// Removes what a run that was killed has left beside the sink, and which may hold
    /// the secret.
    pub(crate) fn remove_leftover(&self) -> io::Result<()> {
        match self {
            Self::File(path) | Self::EnvFile(path) => file::remove_leftover(path),
            Self::Command(_) | Self::Stdout => Ok(()),
        }
    }

    /// The sink by its whole path, so that another directory finds it too.
    pub(crate) fn absolute(self) -> Self {
        let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        match self {
            Self::File(path) => Self::File(whole(path)),
            Self::EnvFile(path) => Self::EnvFile(whole(path)),
            other => other,
        }
    }
}

fn prove_env_file(path: &Path) -> io::Result<ProvedSink> {
    env_file::prove(path)?;
    Ok(ProvedSink::EnvFile {
        path: path.to_owned(),
        replacement: Replacement::prepare(path)?,
    })
}

impl ProvedSink {
    /// Brings the secret there. When this returns, the sink has it.
    pub(crate) fn deliver(self, issued: &IssuedSecret) -> io::Result<()> {
        let secret = issued.client_secret.expose_secret();
        match self {
            Self::File(replacement) => replacement.finish(secret.as_bytes()).map(drop),
            Self::EnvFile { path, replacement } => {
                let content = env_file::content(&path, issued)?;
                replacement.finish(content.as_bytes()).map(drop)
            }
            Self::Command(command) => command::deliver(&command, issued),
            Self::Stdout(stdout) => stdout.deliver(secret),
        }
    }
}

impl FromStr for Sink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or(("file", text));
        match (kind, rest) {
            _ if matches!(text, "stdout" | "-") => Ok(Self::Stdout),
            ("env-file", "-") => Err(
                "standard output takes only the secret: use stdout (or env-file:./- for a file named -)"
                    .to_owned(),
            ),
            ("file" | "env-file" | "command", "") => {
                Err(format!("{text:?} has no destination; see --help"))
            }
            ("file", path) => Ok(Self::File(path.into())),
            ("env-file", path) => Ok(Self::EnvFile(path.into())),
            ("command", command) => Ok(Self::Command(command.to_owned())),
            _ => Err(format!(
                "{kind:?} is no kind of sink: write FILE, env-file:FILE, command:COMMAND or stdout \
                 (a file with a colon in its name is file:{text})"
            )),
        }
    }
}

impl fmt::Display for Sink {
    /// As the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::EnvFile(path) => write!(f, "env-file:{}", path.display()),
            Self::Command(command) => write!(f, "command:{command}"),
            Self::Stdout => f.write_str("stdout"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_reads_what_it_shows() {
        for (text, sink, shown) in [
            ("a/b", Sink::File("a/b".into()), "file:a/b"),
            ("file:stdout", Sink::File("stdout".into()), "file:stdout"),
            ("file:a:b", Sink::File("a:b".into()), "file:a:b"),
            (
                "env-file:.env",
                Sink::EnvFile(".env".into()),
                "env-file:.env",
            ),
            (
                "command:a b:c",
                Sink::Command("a b:c".into()),
                "command:a b:c",
            ),
            ("stdout", Sink::Stdout, "stdout"),
        ] {
            assert_eq!(text.parse(), Ok(sink.clone()), "{text}");
            assert_eq!(sink.to_string(), shown);
            assert_eq!(shown.parse(), Ok(sink));
        }
        assert_eq!("-".parse(), Ok(Sink::Stdout));
        for text in ["", "env-file:-", "file:", "command:", "vault:secret/app"] {
            assert!(text.parse::<Sink>().is_err(), "{text}");
        }
    }
}
