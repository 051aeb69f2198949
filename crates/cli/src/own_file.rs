//! Files that are this user's alone, and that one run at a time has.
//!
//! Whoever renames or removes such a file has locked it, and has seen that it is the
//! one at its path. So no run takes away what another one writes to.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use fs4::{FileExt, TryLockError};
use rustix::fs::OFlags;

/// To open a file that nobody but its owner can read, and not through a link.
pub(crate) fn options() -> OpenOptions {
    // Opening a pipe would wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    options
}

/// Locks the file for as long as it is open.
pub(crate) fn lock(file: &File) -> io::Result<()> {
    FileExt::try_lock(file).map_err(|error| match error {
        TryLockError::WouldBlock => busy(),
        TryLockError::Error(error) => error,
    })
}

/// That another run has the file.
pub(crate) fn busy() -> io::Error {
    let what = "another run is using it";
    io::Error::new(io::ErrorKind::ResourceBusy, what)
}

/// Whether the open file is the one at this path.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => found.map(|found| (found.dev(), found.ino()) == (open.dev(), open.ino())),
    }
}

/// Makes sure that nobody else can have written it, nor can.
pub(crate) fn require_own(metadata: &Metadata) -> io::Result<()> {
    let fault = if metadata.uid() != rustix::process::geteuid().as_raw() {
        "it belongs to another user, who could have tampered with it"
    } else if metadata.mode() & 0o022 != 0 {
        "other users can write to it; run chmod go-w on it"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, fault))
}
