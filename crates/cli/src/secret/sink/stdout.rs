//! Standard output, which then holds the secret and nothing else.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;

use rustix::fs::OFlags;

/// Standard output, without a buffer that could hold the secret back.
pub(crate) struct Stdout(File);

impl Stdout {
    /// Makes sure that standard output leads somewhere. One that was closed was
    /// replaced by `/dev/null` when the program started, and a secret written there
    /// would be lost.
    pub(super) fn prove() -> io::Result<Self> {
        let stdout = unbuffered()?;
        let fault = if is_no_destination(&stdout)? {
            "standard output is closed, or is a device such as /dev/null"
        } else if !rustix::fs::fcntl_getfl(&stdout)?.intersects(OFlags::WRONLY | OFlags::RDWR) {
            "standard output is open only for reading"
        } else {
            return Ok(Self(stdout));
        };
        Err(io::Error::new(io::ErrorKind::InvalidInput, fault))
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

/// Whether it is a device that keeps nothing, such as `/dev/null`, `/dev/zero` or
/// `/dev/full`. Of the devices, only a terminal shows a secret.
fn is_no_destination(stdout: &File) -> io::Result<bool> {
    let kind = stdout.metadata()?.file_type();
    Ok((kind.is_char_device() || kind.is_block_device()) && !stdout.is_terminal())
}
