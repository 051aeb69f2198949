//! Where the credentials for the API come from.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::{API_KEY, API_TOKEN, API_TOKEN_FILE, EMAIL};
use crate::arguments::Global;
use crate::config::ApiTokenSource;
use crate::credential;
use crate::failure::{Exit, Failure};

/// Where credentials are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The variables that the SDK reads.
    Environment,
    /// The variable that a configuration file names.
    Variable(String),
    /// The file that an option or a variable names.
    File(PathBuf),
    /// The file that a configuration file names.
    ConfiguredFile(PathBuf),
    Stdin,
    Simulator,
}

impl Source {
    /// Returns what the arguments and the environment name.
    pub(super) fn named(global: &Global) -> Result<Self, Failure> {
        if let Some(file) = &global.api_token_file {
            return Ok(Self::of(file.clone()));
        }
        let Some(file) = env::var_os(API_TOKEN_FILE).filter(|file| !file.is_empty()) else {
            return Ok(Self::Environment);
        };
        match [API_TOKEN, API_KEY, EMAIL]
            .into_iter()
            .find(|name| is_set(name))
        {
            Some(other) => Err(Failure::new(
                Exit::Credentials,
                format!("both {API_TOKEN_FILE} and {other} are set"),
            )
            .next("unset one of them, or use --api-token-file, which replaces both")),
            None => Ok(Self::of(file.into())),
        }
    }

    /// Returns what a configuration file names for an account.
    pub(super) fn configured(source: &ApiTokenSource, global: &Global) -> Result<Self, Failure> {
        match source {
            ApiTokenSource::File(file) => Ok(Self::ConfiguredFile(file.clone())),
            ApiTokenSource::Variable(name) => Ok(Self::Variable(name.clone())),
            ApiTokenSource::Environment => Self::named(global),
        }
    }

    fn of(file: PathBuf) -> Self {
        match file.as_os_str() == "-" {
            true => Self::Stdin,
            false => Self::File(file),
        }
    }

    /// Whether it may hold another API token later.
    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_) | Self::ConfiguredFile(_))
    }

    /// Reads the API token, without the line break that editors leave; `None` if the SDK
    /// reads the credentials.
    pub(super) fn read(&self, quiet: bool) -> Result<Option<SecretString>, Failure> {
        let text = match self {
            Self::Simulator => return Ok(None),
            Self::Environment => {
                [API_TOKEN, API_KEY, EMAIL]
                    .into_iter()
                    .try_for_each(check)?;
                return Ok(None);
            }
            Self::Variable(name) => {
                if !is_set(name) {
                    return Err(
                        Failure::new(Exit::Credentials, format!("{name} is not set"))
                            .next(format!("set {name} to the account's API token")),
                    );
                }
                check(name)?;
                return Ok(env::var(name).ok().map(SecretString::from));
            }
            Self::Stdin => credential::read_stdin(),
            Self::File(file) | Self::ConfiguredFile(file) => credential::read(file, quiet),
        };
        let text = text.map_err(|error| self.unreadable(&error))?;
        let token = text.trim_end();
        match api_credential_fault(token) {
            Some(fault) => Err(self.failure(format!("{self} {fault}"))),
            None => Ok(Some(SecretString::from(token))),
        }
    }

    /// Reads the API token again from the file.
    pub(super) fn reread(&self) -> Result<Option<SecretString>, Failure> {
        // A pipe that nothing writes to would hold up the watcher.
        if let Self::File(file) | Self::ConfiguredFile(file) = self
            && std::fs::metadata(file).is_ok_and(|metadata| !metadata.is_file())
        {
            let what = format!("can't read the API token again from {}", file.display());
            return Err(Failure::usage(what).because("it is not a regular file"));
        }
        // The warnings about the file were shown when the command began.
        self.read(true)
    }

    fn unreadable(&self, error: &std::io::Error) -> Failure {
        let from = match self {
            Self::File(file) | Self::ConfiguredFile(file) => file.display().to_string(),
            _ => "standard input".to_owned(),
        };
        if credential::is_api_token(&from) {
            let what = format!(
                "--api-token-file or {API_TOKEN_FILE} is an API token, and not the name of a file"
            );
            let next = format!("put the API token in a file, or set {API_TOKEN} to it");
            return Failure::new(Exit::Credentials, what).next(next);
        }
        let what = format!("can't read the API token from {from}");
        self.failure(what).because(error)
    }

    fn failure(&self, what: String) -> Failure {
        Failure::new(Exit::Credentials, what).next(match self {
            Self::File(file) if is_unexpanded(file) => {
                "write the whole path: no shell expands this one".to_owned()
            }
            Self::ConfiguredFile(_) => {
                "api_token_file names a file that holds only the API token".to_owned()
            }
            _ => format!(
                "--api-token-file and {API_TOKEN_FILE} take a file that holds only the API token, \
                 or - for standard input"
            ),
        })
    }
}

impl fmt::Display for Source {
    /// Names the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment if is_set(API_TOKEN) => write!(f, "the API token in {API_TOKEN}"),
            Self::Environment => write!(f, "the global API key in {API_KEY}"),
            Self::Variable(name) => write!(f, "the API token in {name}"),
            Self::File(file) | Self::ConfiguredFile(file) => {
                write!(f, "the API token in {}", file.display())
            }
            Self::Stdin => f.write_str("the API token on standard input"),
            Self::Simulator => f.write_str("the simulator's API token"),
        }
    }
}

/// Whether the environment has credentials.
pub(super) fn has_credentials() -> bool {
    [API_TOKEN, API_KEY, EMAIL].into_iter().any(is_set)
}

/// Checks that a variable, if it is set, holds nothing but a credential.
fn check(variable: &str) -> Result<(), Failure> {
    let value = env::var(variable).unwrap_or_default();
    match api_credential_fault(&value).filter(|_| !value.is_empty()) {
        None => Ok(()),
        Some(fault) => Err(
            Failure::new(Exit::Credentials, format!("{variable} {fault}"))
                .next("copy the whole value and nothing else"),
        ),
    }
}

/// Whether a variable is set. An empty one counts as unset.
pub(super) fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

/// Whether a path begins as a shell would expand it, such as `~/api-token` in a crontab.
pub(crate) fn is_unexpanded(path: &Path) -> bool {
    let first = path.iter().next().map(|first| first.to_string_lossy());
    first.is_some_and(|first| first.starts_with(['~', '$']))
}

/// Returns what is wrong with a credential for the API, without the credential itself.
fn api_credential_fault(value: &str) -> Option<String> {
    let is_client_secret = value.starts_with("cfast_");
    let fault = is_client_secret.then(|| {
        "is the secret of a service token, which opens apps but not Cloudflare's API".to_owned()
    });
    fault.or_else(|| credential::fault(value))
}
