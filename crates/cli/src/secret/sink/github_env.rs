//! The file that gives the later steps of a GitHub Actions job their variables.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::secret::file;
use crate::secret::sink::IssuedSecret;

/// The variables that name files of a step, which end with the job.
const FILES: [&str; 3] = ["GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STATE"];

/// Whether a file is one of the step's own, by whatever path.
pub(super) fn owns(path: &Path) -> bool {
    let Ok(path) = fs::canonicalize(path) else {
        return false;
    };
    let mut files = FILES.iter().filter_map(env::var_os);
    files.any(|file| fs::canonicalize(file).is_ok_and(|file| file == path))
}

/// The open file, whose lines stay.
pub(crate) struct GithubEnv(File);

impl GithubEnv {
    /// Makes sure that there is such a file, and that it can be added to.
    pub(super) fn prove() -> io::Result<Self> {
        let path = env::var_os("GITHUB_ENV").filter(|path| !path.is_empty());
        let Some(path) = path else {
            let fault = "GITHUB_ENV is not set; github-env works only in a job of GitHub Actions";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, fault));
        };
        let file = file::options().read(true).append(true).open(path)?;
        match file.metadata()?.is_file() {
            true => Ok(Self(file)),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "GITHUB_ENV does not name a regular file",
            )),
        }
    }

    pub(super) fn deliver(mut self, issued: &IssuedSecret) -> io::Result<()> {
        let mut lines = Zeroizing::new(String::with_capacity(4096));
        if !self.ends_with_line_break()? {
            lines.push('\n');
        }
        for (name, value) in issued.variables()? {
            let mut end = "END".to_owned();
            while value.contains(&end) {
                end.push('_');
            }
            for part in [name, "<<", &end, "\n", value, "\n", &end, "\n"] {
                lines.push_str(part);
            }
        }
        self.0.write_all(lines.as_bytes())?;
        self.0.sync_all()
    }

    fn ends_with_line_break(&self) -> io::Result<bool> {
        let length = self.0.metadata()?.len();
        let mut last = [b'\n'];
        if length > 0 {
            self.0.read_exact_at(&mut last, length - 1)?;
        }
        Ok(last == *b"\n")
    }
}
