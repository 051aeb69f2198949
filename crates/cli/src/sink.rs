//! Where a new secret goes.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a new secret goes, as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    File(PathBuf),
    EnvFile(PathBuf),
    Command(String),
    Stdout,
}
impl FromStr for Sink {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::File(text.into()))
    }
}
