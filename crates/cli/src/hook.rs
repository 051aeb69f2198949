//! A program that the configuration file names, and that runs when something has happened.

use std::path::Path;

use serde::Serialize;

use crate::failure::{Exit, Failure};

/// A program and its arguments. No shell reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook(Vec<String>);

impl TryFrom<Vec<String>> for Hook {
    type Error = &'static str;

    fn try_from(arguments: Vec<String>) -> Result<Self, Self::Error> {
        if arguments.first().is_none_or(String::is_empty) {
            return Err("the program is missing");
        }
        if arguments.iter().any(|argument| argument.contains('\0')) {
            return Err("an argument can't contain the character NUL");
        }
        Ok(Self(arguments))
    }
}

impl Hook {
    /// Lets a program that is given by a relative path start at a directory. A program
    /// without a slash is searched for in `PATH`.
    pub(crate) fn relative_to(mut self, directory: &Path) -> Self {
        if let Some(program) = self.0.first_mut().filter(|name| name.contains('/')) {
            *program = directory.join(&*program).to_string_lossy().into_owned();
        }
        self
    }
}

/// Why a hook did not do its work.
#[derive(Debug)]
pub(crate) struct HookError;

impl Hook {
    /// Runs the hook, with JSON on its standard input.
    pub(crate) async fn run(&self, _about: &impl Serialize) -> Result<(), HookError> {
        Err(HookError)
    }
}

impl From<HookError> for Failure {
    fn from(_: HookError) -> Self {
        Self::new(Exit::Failed, "hooks can't be run yet")
    }
}
