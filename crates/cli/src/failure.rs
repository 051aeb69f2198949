//! Failures, with their causes and what to do next, and the exit codes, which scripts
//! rely on.

use std::error::Error as StdError;
use std::fmt::Display;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use cf_service_tokens::renewal::{RenewalError, RenewalOutcome, RenewalReport};
use cf_service_tokens::{ApiMessage, Error, ErrorKind};

use crate::output::{self, printable};

const RED: Style = AnsiColor::Red.on_default().bold();

/// The messages of the HTTP client's errors that add nothing to their causes.
const WRAPPERS: [&str; 3] = [
    "error sending request",
    "client error (Connect)",
    "error resolving DNS",
];

/// How the command ended. The numbers are documented in the README and in the
/// command's help, and never change their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Success = 0,
    /// Something failed: a token could not be found, renewed or changed.
    Failed = 1,
    /// The command line can't be carried out as it is. Nothing was changed.
    Usage = 2,
    /// The credentials are missing, not accepted, or lack a permission; or the edge, a
    /// proxy or an account without Access refuses the caller.
    Credentials = 3,
    /// The API, or the app of `verify`, could not be reached or could not answer now.
    Unreachable = 4,
    /// `--dry-run` found tokens that are due, and nothing that can't be renewed.
    Due = 5,
}

impl Exit {
    /// The code that belongs to a failed call.
    pub(crate) fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Configuration | ErrorKind::InvalidId | ErrorKind::InvalidRequest => {
                return Self::Usage;
            }
            ErrorKind::Blocked if error.is_rate_limited() => return Self::Unreachable,
            // No other attempt would change these, whatever their HTTP status.
            ErrorKind::Credentials | ErrorKind::Blocked | ErrorKind::Proxy => {
                return Self::Credentials;
            }
            _ if error.is_auth() || has_code(error, ACCESS_NOT_ENABLED) => {
                return Self::Credentials;
            }
            _ => {}
        }
        let cannot_answer = error.is_connect()
            || error.is_transient()
            || error
                .status()
                .is_some_and(|status| status.is_server_error());
        match cannot_answer {
            true => Self::Unreachable,
            false => Self::Failed,
        }
    }

    /// The code of a pass: what stopped it, or else what became of the tokens.
    pub(crate) fn of_pass(report: &RenewalReport) -> Self {
        if let Some(error) = &report.error {
            return Failure::from(error).exit;
        }
        if !report.unmatched.is_empty() {
            return Self::Failed;
        }
        Self::of_all(report.tokens.iter().map(|token| match &token.outcome {
            RenewalOutcome::Renewed { .. } => Self::Success,
            RenewalOutcome::Planned => Self::Due,
            RenewalOutcome::Failed { error } => Failure::from(error).exit,
            _ => Self::Failed,
        }))
    }

    /// The code of a command that has done its work, but could perhaps not write all of
    /// its output. That is a failure beside the others, and a lesser one.
    pub(crate) fn unless_unwritten(self, written: Result<(), Failure>) -> Result<Self, Failure> {
        match (self, written) {
            (exit, Ok(())) => Ok(exit),
            (Self::Success | Self::Due, Err(failure)) => Err(failure),
            (exit, Err(failure)) => {
                failure.show();
                Ok(exit)
            }
        }
    }

    /// The code for several tokens: theirs, if nothing went well and all failed
    /// for the same reason; else that some failed.
    pub(crate) fn of_all(each: impl IntoIterator<Item = Self>) -> Self {
        let mut all = each.into_iter();
        let Some(first) = all.next() else {
            return Self::Success;
        };
        match all.all(|exit| exit == first) {
            true => first,
            false => Self::Failed,
        }
    }

    /// The code for several accounts: due tokens in one of them count, unless something
    /// failed elsewhere.
    pub(crate) fn of_accounts(each: &[Self]) -> Self {
        let is_well = |exit: &Self| matches!(exit, Self::Success | Self::Due);
        match each.iter().all(is_well) && each.contains(&Self::Due) {
            true => Self::Due,
            false => Self::of_all(each.iter().copied()),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The permission that a command needs in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    Read,
    Write,
}

/// A failure: its message, causes, what to do next, and exit code.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    what: String,
    causes: Vec<String>,
    /// The account and the credentials.
    with: Option<String>,
    next: Option<String>,
    /// Whether the API refused the credentials.
    is_refusal: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl Display) -> Self {
        Self {
            exit,
            what: what.to_string(),
            causes: Vec::new(),
            with: None,
            next: None,
            is_refusal: false,
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

    /// Says whose credentials the API refused, and what they need.
    pub(crate) fn of_refused(self, account: &str, credentials: &str, needs: Permission) -> Self {
        if !self.is_refusal {
            return self;
        }
        let permission = match needs {
            Permission::Read => "\"Access: Service Tokens Read\" or \"Write\"",
            Permission::Write => "\"Access: Service Tokens Write\"",
        };
        let next = match &self.next {
            Some(next) => next.clone(),
            None => format!(
                "check that this is the right account, and that the credentials are valid and have \
                 the permission {permission} for it: the dashboard shows API tokens under My Profile > \
                 API Tokens"
            ),
        };
        let mut failure = self.next(next);
        failure.with = Some(format!("{account}, {credentials}"));
        failure
    }

    /// Begins the commands that the failure advises like this, such as
    /// `cf-service-tokens --simulate`.
    pub(crate) fn with_command(mut self, command: &str) -> Self {
        self.next = self.next.map(|next| with_command(&next, command));
        self
    }

    /// Names the credentials.
    pub(crate) fn with(mut self, credentials: &str) -> Self {
        self.with = Some(credentials.to_owned());
        self
    }

    /// Sets what the user should do.
    pub(crate) fn next(mut self, next: impl Display) -> Self {
        self.next = Some(next.to_string());
        self
    }

    /// Adds a cause, unless it only wraps another one.
    pub(crate) fn because(mut self, cause: impl Display) -> Self {
        let words = cause.to_string();
        if !WRAPPERS.contains(&&*words) {
            self.causes.push(words);
        }
        self
    }

    /// Adds another failure and its causes, without what to do about it.
    pub(crate) fn because_of(self, failure: &Self) -> Self {
        let (what, causes, _) = failure.parts();
        causes.into_iter().fold(self.because(what), Self::because)
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

    /// Returns what failed and its causes in one line.
    pub(crate) fn line(&self) -> String {
        let mut line = self.what.clone();
        for cause in &self.causes {
            line += &format!("; cause: {cause}");
        }
        if let Some(with) = &self.with {
            line += &format!("; with {with}");
        }
        line
    }

    /// Returns what failed and its causes in one line, and what to do next.
    pub(crate) fn in_one_line(self) -> (String, Option<String>) {
        (self.line(), self.next)
    }

    /// Returns what failed, why, and what to do next.
    pub(crate) fn parts(&self) -> (&str, Vec<String>, Option<&str>) {
        let mut causes = self.causes.clone();
        causes.extend(self.with.as_ref().map(|with| format!("with {with}")));
        (&self.what, causes, self.next.as_deref())
    }

    /// Prints the failure on standard error.
    pub(crate) fn show(&self) {
        output::to_stderr(|err| {
            writeln!(err, "{RED}error{RED:#}: {}", printable(&self.what))?;
            for cause in &self.causes {
                writeln!(err, "  cause: {}", printable(cause))?;
            }
            if let Some(with) = &self.with {
                writeln!(err, "   with: {}", printable(with))?;
            }
            if let Some(next) = &self.next {
                writeln!(err, "   next: {}", printable(next))?;
            }
            Ok(())
        });
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        // The command has a next step of its own.
        let what = format!("{error:#}");
        let mut failure = Self::new(Exit::of(error), what).because_of_all(error.source());
        failure.next = next(error).map(str::to_owned);
        failure.is_refusal = error.is_auth() || has_code(error, ACCESS_NOT_ENABLED);
        failure
    }
}

impl From<&RenewalError> for Failure {
    fn from(error: &RenewalError) -> Self {
        match error {
            RenewalError::Call(error) => Self::from(error),
            error => Self::new(Exit::Failed, error),
        }
    }
}

/// Returns an error and its causes in one line, for logs and for programs.
pub(crate) fn with_causes(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !WRAPPERS.contains(&&*words) {
            line += &format!("; cause: {words}");
        }
        cause = error.source();
    }
    line
}

/// Whether Access is not enabled in the account, which then has no service tokens.
pub(crate) fn is_without_access(error: &RenewalError) -> bool {
    matches!(error, RenewalError::Call(error) if has_code(error, ACCESS_NOT_ENABLED))
}

/// Whether the API refused the credentials in any account: HTTP 401. With 403, even the code
/// 10000 may mean that the credentials are not for this account.
pub(crate) fn is_refused_everywhere(error: &RenewalError) -> bool {
    matches!(error, RenewalError::Call(error) if error.status().is_some_and(|status| status == 401))
}

/// Access is not enabled in the account.
const ACCESS_NOT_ENABLED: i64 = 9999;
/// The API token is not valid, or not from this IP address.
const INVALID_TOKEN: i64 = 9109;
/// A policy, a group or a SCIM configuration uses the token.
const TOKEN_IN_USE: i64 = 12_139;

/// Whether the API does not delete a token since something uses it.
pub(crate) fn is_in_use(error: &Error) -> bool {
    has_code(error, TOKEN_IN_USE)
}

fn has_code(error: &Error, code: i64) -> bool {
    error.api_errors().iter().any(|error| error.code == code)
}

/// Returns what the user can do, beyond what the error says.
fn next(error: &Error) -> Option<&'static str> {
    if has_code(error, ACCESS_NOT_ENABLED) {
        return Some(
            "open Zero Trust in Cloudflare's dashboard, and enable Access for the account",
        );
    }
    let is_address =
        |error: &ApiMessage| error.code == INVALID_TOKEN && error.message.contains("from location");
    if error.api_errors().iter().any(is_address) {
        return Some(
            "run the command from an IP address that the API token allows, or change the API \
             token's client IP address filter",
        );
    }
    if is_in_use(error) {
        return Some(
            "remove the token from the policies, groups and SCIM configurations that use it; then delete it",
        );
    }
    // `Connection::explain` knows the credentials.
    if error.is_auth() {
        return None;
    }
    if error.may_have_been_applied() {
        return Some("the call may have taken effect: look at the token before you try again");
    }
    if error.kind() == ErrorKind::InvalidId || error.is_token_not_found() {
        return Some("`cf-service-tokens list` shows the names and ids of the tokens");
    }
    match error.kind() {
        ErrorKind::Tls => Some(
            "check this machine's clock and certificates: SSL_CERT_FILE names a file with other ones",
        ),
        ErrorKind::Proxy => Some(
            "check HTTPS_PROXY and ALL_PROXY: the URL must begin with http:// or https://, and hold \
             the user name and the password that the proxy asks for",
        ),
        ErrorKind::Blocked if !error.is_rate_limited() => Some(
            "Cloudflare blocks this machine's IP address or its requests, not the credentials: run \
             the command from another network, or give the ray id to Cloudflare's support",
        ),
        ErrorKind::Redirect => Some("check CLOUDFLARE_BASE_URL"),
        _ if error.is_not_found() => Some("check --account and CLOUDFLARE_BASE_URL"),
        _ if error.is_rate_limited() => Some(
            "wait five minutes, or let the call wait with --deadline 10m; other programs with the \
             same credentials share the rate limit",
        ),
        ErrorKind::Connect => Some(
            "check the network, its DNS, HTTPS_PROXY and CLOUDFLARE_BASE_URL, or try again later",
        ),
        _ if Exit::of(error) == Exit::Unreachable => Some("try again later; -v shows each request"),
        ErrorKind::Status => Some(
            "a proxy or a filter answered, or CLOUDFLARE_BASE_URL is not the URL of the API: check \
             them; -v shows each request",
        ),
        ErrorKind::Decode | ErrorKind::BodyTooLarge => Some(
            "the answer is not the one that Cloudflare documents: check CLOUDFLARE_BASE_URL, and \
             whether there is a newer version of the command",
        ),
        _ => None,
    }
}

/// Begins the commands in an advice like this, unless they have options of their own.
pub(crate) fn with_command(advice: &str, command: &str) -> String {
    let mut advice = advice.to_owned();
    for subcommand in ["disable", "list", "renew"] {
        advice = advice.replace(
            &format!("`cf-service-tokens {subcommand}"),
            &format!("`{command} {subcommand}"),
        );
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_tokens_share_a_code_only_if_all_have_it() {
        use Exit::{Credentials, Failed, Success, Unreachable};
        for (each, all) in [
            (vec![], Success),
            (vec![Success, Success], Success),
            (vec![Unreachable, Unreachable], Unreachable),
            (vec![Credentials], Credentials),
            (vec![Unreachable, Success], Failed),
            (vec![Unreachable, Credentials], Failed),
        ] {
            assert_eq!(Exit::of_all(each.clone()), all, "{each:?}");
            assert_eq!(Exit::of_accounts(&each), all, "{each:?}");
        }
    }

    #[test]
    fn due_tokens_of_one_account_count_unless_another_failed() {
        use Exit::{Credentials, Due, Failed, Success};
        for (each, all) in [
            (vec![Success, Due], Due),
            (vec![Due, Due], Due),
            (vec![Due, Credentials], Failed),
        ] {
            assert_eq!(Exit::of_accounts(&each), all, "{each:?}");
        }
    }
}
