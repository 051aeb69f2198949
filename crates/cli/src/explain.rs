//! What went wrong, in plain words, with what to do next.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use cf_service_tokens::{Error, ErrorKind};

use crate::exit::Exit;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();

/// What went wrong, why, what to do next, and the exit code that says so.
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

    /// A command line that can't be carried out. Nothing was changed.
    pub(crate) fn usage(what: impl Display) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Which token it is about.
    pub(crate) fn about(mut self, token: &str) -> Self {
        self.what = format!("{token}: {}", self.what);
        self
    }

    /// What the reader should do.
    pub(crate) fn next(mut self, next: impl Display) -> Self {
        self.next = Some(next.to_string());
        self
    }

    /// What the failure comes from.
    pub(crate) fn because(mut self, cause: impl Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// What the failure comes from, and what that comes from, to the root.
    pub(crate) fn because_of_all(mut self, cause: Option<&dyn StdError>) -> Self {
        let mut cause = cause;
        while let Some(error) = cause {
            self = self.because(error);
            cause = error.source();
        }
        self
    }

    /// Tells of it on standard error.
    pub(crate) fn show(&self) {
        let mut err = anstream::stderr().lock();
        // Nobody is left to tell if this can't be written.
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

/// What a reader of the command's errors can do, beyond what the error says.
fn next(error: &Error) -> Option<&'static str> {
    if error.kind() == ErrorKind::Credentials {
        return Some(
            "set CLOUDFLARE_API_TOKEN to an API token, or use --api-token-file with a file that holds one and \
             nothing else; to try the command without one, add --simulate",
        );
    }
    if error.is_auth() {
        return Some(
            "look at the API token under My Profile > API Tokens in the dashboard: it needs \
             \"Access: Service Tokens Write\" (\"Read\" is enough to list and to show) for this account",
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

/// Tells of something beside the result on standard error.
pub(crate) fn remark(words: impl Display) {
    let _ = writeln!(anstream::stderr(), "{YELLOW}note{YELLOW:#}: {words}");
}

/// Tells how far the command has come, on standard error.
pub(crate) fn progress(words: &str) {
    let _ = writeln!(anstream::stderr(), "{words}");
}
