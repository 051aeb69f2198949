//! Failures, with their causes and what to do next.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use cf_service_tokens::{Error, ErrorKind};

use crate::exit::Exit;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();

/// A failure: its message, causes, what to do next, and exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    what: String,
    causes: Vec<String>,
    next: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Display) -> Self {
        Self {
            exit,
            what: what.to_string(),
            causes: Vec::new(),
            next: None,
        }
    }

    /// Invalid usage. Nothing was changed.
    pub(crate) fn usage(what: impl Display) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Names the token that the failure concerns.
    pub(crate) fn about(mut self, token: &str) -> Self {
        self.what = format!("{token}: {}", self.what);
        self
    }

    /// Sets what the user should do.
    pub(crate) fn next(mut self, next: impl Display) -> Self {
        self.next = Some(next.to_string());
        self
    }

    /// Adds a cause.
    pub(crate) fn because(mut self, cause: impl Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds a cause and all its sources.
    pub(crate) fn because_of_all(mut self, cause: Option<&dyn StdError>) -> Self {
        let mut cause = cause;
        while let Some(error) = cause {
            self = self.because(error);
            cause = error.source();
        }
        self
    }

    /// Prints the failure on standard error.
    pub(crate) fn show(&self) {
        let mut err = anstream::stderr().lock();
        // If standard error can't be written, nowhere is left to report it.
        let _ = writeln!(err, "{RED}error{RED:#}: {}", self.what);
        for cause in &self.causes {
            let _ = writeln!(err, "  cause: {cause}");
        }
        if let Some(next) = &self.next {
            let _ = writeln!(err, "   next: {next}");
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let mut failure = Self::new(Exit::of(error), error).because_of_all(error.source());
        failure.next = next(error).map(str::to_owned);
        failure
    }
}

/// Returns what the user can do, beyond what the error says.
fn next(error: &Error) -> Option<&'static str> {
    if error.kind() == ErrorKind::Credentials {
        return Some(
            "set CLOUDFLARE_API_TOKEN to an API token, or use --api-token-file with a file that holds \
             only the API token; to try the command without one, add --simulate",
        );
    }
    if error.is_auth() {
        return Some(
            "check the API token under My Profile > API Tokens in the dashboard: it needs \
             \"Access: Service Tokens Write\" (\"Read\" is enough for list, show and report) for this account",
        );
    }
    if error.is_invalid_id() || error.is_token_not_found() {
        return Some(
            "`cf-service-tokens list` shows the id of each service token; \
             the client id, which ends in `.access`, is not the id",
        );
    }
    if error.api_errors().iter().any(|error| error.code == 12_139) {
        return Some(
            "remove the token from the policies, groups and SCIM configurations that use it; then delete it",
        );
    }
    match Exit::of(error) {
        Exit::Unreachable => Some("try again later; -v shows each request"),
        _ => None,
    }
}

/// Prints a note beside the result on standard error.
pub(crate) fn remark(words: impl Display) {
    let _ = writeln!(anstream::stderr(), "{YELLOW}note{YELLOW:#}: {words}");
}

/// Prints the progress of the command on standard error.
pub(crate) fn progress(words: &str) {
    let _ = writeln!(anstream::stderr(), "{words}");
}
