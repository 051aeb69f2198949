//! Standard output, which then holds the secret and nothing else.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;

/// Standard output, without a buffer that could hold the secret back.
pub(crate) struct Stdout(File);

impl Stdout {
    /// Makes sure that standard output leads somewhere. One that was closed was
    /// replaced by `/dev/null` when the program started, and a secret written there
    /// would be lost.
    pub(super) fn prove() -> io::Result<Self> {
        let stdout = unbuffered()?;
        if leads_nowhere(&stdout)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "standard output is closed or is /dev/null",
            ));
        }
        Ok(Self(stdout))
    }

    pub(super) fn deliver(mut self, secret: &str) -> io::Result<()> {
        self.0.write_all(secret.as_bytes())?;
        self.0.write_all(b"\n")?;
        // Where it is a file. A pipe or a terminal has nothing to sync.
        let _ = self.0.sync_all();
        Ok(())
    }
}

fn unbuffered() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

fn leads_nowhere(stdout: &File) -> io::Result<bool> {
    let nowhere = std::fs::metadata("/dev/null")?;
    Ok(stdout.metadata()?.rdev() == nowhere.rdev())
}
