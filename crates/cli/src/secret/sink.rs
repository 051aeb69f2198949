//! Where a new secret goes. A sink is proved before the API is called, since the
//! API shows a secret once.

mod command;
mod env_file;
mod github_env;
mod stdout;

use std::env;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::secret::file::{self, Replacement};
use crate::secret::record::Intent;

pub(crate) use command::API_CREDENTIALS;
pub(crate) use env_file::variable as variable_in;

/// The variables that a service token's credentials have in files and environments.
const CLIENT_ID: &str = "CF_ACCESS_CLIENT_ID";
const CLIENT_SECRET: &str = "CF_ACCESS_CLIENT_SECRET";

/// The room that a file with nothing but a secret takes before the API is called. Both
/// known forms of a secret are much shorter.
const SECRET_ROOM: usize = 4096;

/// Where a new secret goes, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// A file with the secret and nothing else.
    File {
        path: PathBuf,
        /// Whether the path was given without `file:`. A file that holds more than a
        /// secret is then more likely a mistake.
        is_bare: bool,
    },
    /// A file with the client id and the secret as variables.
    EnvFile(PathBuf),
    /// A command that reads the secret from its standard input.
    Command {
        command: String,
        /// The credentials that stay in its environment.
        keep_env: Vec<String>,
        /// Variables that are removed from its environment beside the known ones.
        hidden: Vec<String>,
    },
    /// The file that gives a GitHub Actions job's later steps their variables.
    GithubEnv,
    /// Standard output, with nothing else in it.
    Stdout,
}

/// What names a sink, as messages call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The option of `create`, `rotate` and `journal finish`.
    Option,
    /// The key of a configuration file.
    Key,
}

impl fmt::Display for NamedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option => "--secret-to",
            Self::Key => "secret_to",
        })
    }
}

/// A secret that has just been made, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct IssuedSecret {
    /// `None` only if the API's answer lacked it.
    pub(crate) client_id: Option<String>,
    pub(crate) client_secret: SecretString,
    pub(crate) token_id: Option<String>,
    /// `None` unless the API's answer has it, which Cloudflare does not document.
    pub(crate) version: Option<i64>,
}

/// A sink that a secret can be brought to, as far as that can be known.
pub(crate) enum ProvedSink {
    File(Replacement),
    EnvFile {
        path: PathBuf,
        replacement: Replacement,
    },
    Command {
        command: String,
        keep_env: Vec<String>,
        hidden: Vec<String>,
    },
    GithubEnv(github_env::GithubEnv),
    Stdout(stdout::Stdout),
}

impl Sink {
    /// Tests everything that a delivery needs, and that the sink is outside of the
    /// journal's directory.
    pub(crate) fn prove(&self, journal: &Path, named_by: NamedBy) -> Result<ProvedSink, Failure> {
        let proved = match self {
            Self::File { path, is_bare } => prove_file(path, *is_bare, journal),
            Self::EnvFile(path) => prove_env_file(path, journal),
            Self::Command {
                command,
                keep_env,
                hidden,
            } => command::prove(command).map(|()| ProvedSink::Command {
                command: command.clone(),
                keep_env: keep_env.clone(),
                hidden: hidden.clone(),
            }),
            Self::GithubEnv => github_env::GithubEnv::prove().map(ProvedSink::GithubEnv),
            Self::Stdout => stdout::Stdout::prove().map(ProvedSink::Stdout),
        };
        proved.map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => {
                Failure::new(Exit::Failed, format!("another run is writing to {self}"))
                    .next("nothing was changed; wait for it to end")
            }
            _ => Failure::usage(format!("can't deliver a secret to {self}"))
                .because(error)
                .next(format!(
                    "nothing was changed; fix the cause, or use another {named_by}"
                )),
        })
    }

    /// Keeps these variables, which are otherwise removed, in the environment of the
    /// sink's command.
    pub(crate) fn keep_env(mut self, names: Vec<String>) -> Result<Self, Failure> {
        match &mut self {
            Self::Command { keep_env, .. } => *keep_env = names,
            _ if names.is_empty() => {}
            _ => {
                return Err(
                    Failure::usage(format!("--keep-env has no effect on {self}"))
                        .next("nothing was changed; use --keep-env only with command:COMMAND"),
                );
            }
        }
        Ok(self)
    }

    /// Removes these variables from the environment of the sink's command too.
    pub(crate) fn hide(&mut self, variables: &[String]) {
        if let Self::Command { hidden, .. } = self {
            hidden.extend_from_slice(variables);
        }
    }

    /// Refuses a sink that loses the secret while the token still has users.
    pub(crate) fn require_lasting(&self) -> Result<(), Failure> {
        match self {
            Self::GithubEnv => {}
            Self::File { path, .. } | Self::EnvFile(path) if github_env::owns(path) => {}
            _ => return Ok(()),
        }
        Err(
            Failure::usage(format!("a rotated secret can't be stored only in {self}"))
                .because("it ends with the job, but the token's other users need the secret")
                .next(
                    "nothing was changed; store the secret where they read it, such as \
                     command:'gh secret set CF_ACCESS_CLIENT_SECRET'",
                ),
        )
    }

    /// Refuses a sink that a simulated secret would harm: an existing file may hold a real
    /// one, and a command may send it anywhere.
    pub(crate) fn require_harmless(&self) -> Result<(), Failure> {
        let fault = match self {
            Self::File { path, .. } | Self::EnvFile(path) if path.exists() => "already exists",
            Self::Command { .. } => "would run",
            Self::GithubEnv => "is read by later steps",
            _ => return Ok(()),
        };
        Err(
            Failure::usage(format!("{self} {fault}, but the secret is only simulated"))
                .next("nothing was changed; with --simulate, use a new file or stdout"),
        )
    }

    /// Describes what is known of a sink that was proved.
    pub(crate) fn promise(&self) -> String {
        match self {
            // What it does with a secret is seen only when it has one.
            Self::Command { .. } => format!("the shell can start {self}, which was not run"),
            _ => format!("a secret can be written to {self}"),
        }
    }

    /// Describes where a secret is that was brought there.
    pub(crate) fn whereabouts(&self) -> String {
        match self {
            Self::File { path, .. } | Self::EnvFile(path) => format!("is in {}", path.display()),
            // The command read the whole secret, but only it knows whether it stored it.
            Self::Command { command, .. } => format!("was piped to {command:?} (exit 0)"),
            Self::GithubEnv => "is in the environment of this job's later steps".to_owned(),
            Self::Stdout => "is on standard output".to_owned(),
        }
    }

    /// Removes what a run that was killed has left beside the sink, and which may hold
    /// the secret.
    pub(crate) fn remove_leftover(&self) -> io::Result<()> {
        match self {
            Self::File { path, .. } | Self::EnvFile(path) => file::remove_leftover(path),
            Self::Command { .. } | Self::GithubEnv | Self::Stdout => Ok(()),
        }
    }

    /// The sink by its whole path, so that another directory finds it too.
    pub(crate) fn absolute(self) -> Self {
        let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        match self {
            Self::File { path, is_bare } => Self::File {
                path: whole(path),
                is_bare,
            },
            Self::EnvFile(path) => Self::EnvFile(whole(path)),
            other => other,
        }
    }
}

fn prove_file(path: &Path, is_bare: bool, journal: &Path) -> io::Result<ProvedSink> {
    require_outside(path, journal)?;
    if is_bare {
        require_nothing_but_a_secret(path)?;
    }
    Replacement::prepare(path, SECRET_ROOM).map(ProvedSink::File)
}

fn prove_env_file(path: &Path, journal: &Path) -> io::Result<ProvedSink> {
    require_outside(path, journal)?;
    let room = env_file::prove(path)?;
    Ok(ProvedSink::EnvFile {
        path: path.to_owned(),
        replacement: Replacement::prepare(path, room)?,
    })
}

fn require_outside(path: &Path, journal: &Path) -> io::Result<()> {
    match file::is_within(path, journal)? {
        false => Ok(()),
        true => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is in the journal; use a file elsewhere",
        )),
    }
}

/// Makes sure that nothing but an old secret is lost if the file is replaced.
fn require_nothing_but_a_secret(path: &Path) -> io::Result<()> {
    let is_harmless = match file::read(path) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => false,
        content => content?.is_none_or(|content| {
            let content = content.trim_ascii_end();
            content.is_empty() || is_client_secret(content)
        }),
    };
    if is_harmless {
        return Ok(());
    }
    let path = path.display();
    let fault = format!(
        "it does not hold just the secret of a service token; to set the credentials among its \
         other lines, use env-file:{path}; to replace all of it, use file:{path}"
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, fault))
}

/// Whether a text has one of the forms of a service token's secret. Other credentials, such
/// as API tokens, have none of them.
fn is_client_secret(text: &[u8]) -> bool {
    match text.strip_prefix(b"cfast_") {
        Some(rest) => rest.len() >= 20 && rest.iter().all(u8::is_ascii_alphanumeric),
        None => text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit),
    }
}

impl ProvedSink {
    /// Brings the secret there. When this returns, the sink has it.
    pub(crate) async fn deliver(self, issued: &IssuedSecret, intent: &Intent) -> io::Result<()> {
        let secret = issued.client_secret.expose_secret();
        mask(secret)?;
        match self {
            Self::File(replacement) => replacement.finish(secret.as_bytes()).map(drop),
            Self::EnvFile { path, replacement } => {
                let content = env_file::content(&path, issued)?;
                replacement.finish(&content).map(drop)
            }
            Self::Command {
                command,
                keep_env,
                hidden,
            } => command::deliver(&command, &keep_env, &hidden, issued, intent).await,
            Self::GithubEnv(github_env) => github_env.deliver(issued),
            Self::Stdout(stdout) => stdout.deliver(secret),
        }
    }
}

impl IssuedSecret {
    /// Returns the variables of the credentials with their values, each of them one line.
    fn variables(&self) -> io::Result<Vec<(&'static str, &str)>> {
        let client_id = self.client_id.as_deref().map(|id| (CLIENT_ID, id));
        let secret = (CLIENT_SECRET, self.client_secret.expose_secret());
        let variables: Vec<_> = client_id.into_iter().chain([secret]).collect();
        for (name, value) in &variables {
            // A line break would start a variable of its own.
            if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the value of {name} has characters other than printable ASCII"),
                ));
            }
        }
        Ok(variables)
    }
}

/// In GitHub Actions, hides the secret in everything that the job logs from now on.
fn mask(secret: &str) -> io::Result<()> {
    if env::var_os("GITHUB_ACTIONS").is_none_or(|value| value != "true") {
        return Ok(());
    }
    // As its runner reads the value of a command.
    let escaped = Zeroizing::new(secret.replace('%', "%25"));
    let line = Zeroizing::new(format!("::add-mask::{}\n", *escaped));
    io::stderr().lock().write_all(line.as_bytes())
}

impl FromStr for Sink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, rest)) = text.split_once(':') else {
            return match text {
                "" => Err("a sink is missing; see --help".to_owned()),
                "stdout" | "-" => Ok(Self::Stdout),
                "github-env" => Ok(Self::GithubEnv),
                path => Ok(Self::File {
                    path: path.into(),
                    is_bare: true,
                }),
            };
        };
        match (kind, rest) {
            ("env-file", "-") => Err(
                "standard output takes only the secret: use stdout (or env-file:./- for a file named -)"
                    .to_owned(),
            ),
            ("file" | "env-file" | "command", "") => {
                Err(format!("{text:?} has no destination; see --help"))
            }
            ("file", path) => Ok(Self::File {
                path: path.into(),
                is_bare: false,
            }),
            ("env-file", path) => Ok(Self::EnvFile(path.into())),
            ("command", command) => Ok(Self::Command {
                command: command.to_owned(),
                keep_env: Vec::new(),
                hidden: Vec::new(),
            }),
            _ => Err(format!(
                "{kind:?} is not a kind of sink: write FILE, env-file:FILE, command:COMMAND, \
                 github-env or stdout (a file with a colon in its name is file:{text})"
            )),
        }
    }
}

impl fmt::Display for Sink {
    /// As the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "file:{}", path.display()),
            Self::EnvFile(path) => write!(f, "env-file:{}", path.display()),
            Self::Command { command, .. } => write!(f, "command:{command}"),
            Self::GithubEnv => f.write_str("github-env"),
            Self::Stdout => f.write_str("stdout"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_reads_what_it_shows() {
        let file = |path: &str| Sink::File {
            path: path.into(),
            is_bare: false,
        };
        let command = Sink::Command {
            command: "a b:c".into(),
            keep_env: Vec::new(),
            hidden: Vec::new(),
        };
        for (text, sink) in [
            ("file:a/b", file("a/b")),
            ("file:stdout", file("stdout")),
            ("file:github-env", file("github-env")),
            ("file:a:b", file("a:b")),
            ("env-file:.env", Sink::EnvFile(".env".into())),
            ("command:a b:c", command),
            ("github-env", Sink::GithubEnv),
            ("stdout", Sink::Stdout),
        ] {
            assert_eq!(text.parse(), Ok(sink.clone()), "{text}");
            assert_eq!(sink.to_string(), text);
        }
        assert_eq!("-".parse(), Ok(Sink::Stdout));
        let bare: Sink = "a/b".parse().unwrap();
        assert!(matches!(bare, Sink::File { is_bare: true, .. }));
        assert_eq!(bare.to_string(), "file:a/b");
        for text in [
            "",
            "env-file:-",
            "file:",
            "command:",
            ":a",
            "vault:secret/app",
        ] {
            assert!(text.parse::<Sink>().is_err(), "{text}");
        }
    }
}
