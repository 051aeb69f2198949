//! The exit codes, which scripts rely on.

use std::process::ExitCode;

use cf_service_tokens::{Error, ErrorKind};

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
    /// The credentials are missing, not accepted, or lack a permission.
    Credentials = 3,
    /// The API, or the app of `verify`, could not be reached or could not answer now.
    Unreachable = 4,
    /// `--dry-run` found tokens that are due, whatever else it found.
    Due = 5,
}

impl Exit {
    /// The code that belongs to a failed call.
    pub(crate) fn of(error: &Error) -> Self {
        if error.kind() == ErrorKind::Credentials || error.is_auth() {
            return Self::Credentials;
        }
        if error.is_configuration() || error.is_invalid_id() || error.is_invalid_request() {
            return Self::Usage;
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
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
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
        }
    }
}
