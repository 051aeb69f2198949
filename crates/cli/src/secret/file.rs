//! Files that belong to this user alone, and how one is replaced as a whole.
//!
//! One run at a time has such a file: a run renames or removes it only while it holds the
//! file's lock, and only after it has checked that the file is still the one at its path.
//! So no run takes away a file that another one writes to.

mod replaceable;

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// The end of the name of a file that is to replace another one.
const SUFFIX: &str = ".cf-service-tokens.new";

/// The most that is read of a file that is to be replaced, in bytes.
const MAX_READ: u64 = 1024 * 1024;

/// How long another process may take to read a file.
const READING: Duration = Duration::from_millis(1);

/// To open a file that nobody but its owner can read, and not through a link.
pub(crate) fn options() -> OpenOptions {
    // Opening a pipe would wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default());
    options
}

/// Locks the file for as long as it is open, once all who only read it have.
///
/// # Errors
///
/// One of the kind `ResourceBusy`, if another run has it.
pub(crate) fn lock(file: &File) -> io::Result<()> {
    loop {
        match FileExt::try_lock(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        lock_shared(file)?;
        FileExt::unlock(file)?;
        thread::sleep(READING);
    }
}

/// Keeps runs from changing the file while it is read.
///
/// # Errors
///
/// One of the kind `ResourceBusy`, if a run has it.
pub(crate) fn lock_shared(file: &File) -> io::Result<()> {
    FileExt::try_lock_shared(file).map_err(|error| match error {
        TryLockError::WouldBlock => busy(),
        TryLockError::Error(error) => error,
    })
}

/// Returns the error of a file that another run has.
pub(super) fn busy() -> io::Error {
    let what = "another run is using it";
    io::Error::new(io::ErrorKind::ResourceBusy, what)
}

/// Whether the open file is the one at this path.
pub(crate) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
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

/// Reads a file that a sink replaces or adds to. Returns `None` if there is none.
///
/// # Errors
///
/// Also if it is no regular file, which could hold this up or have no end, or if it is
/// larger than 1 MiB.
pub(crate) fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    if replaceable::require(path)?.is_none() {
        return Ok(None);
    }
    let file = options().read(true).open(path)?;
    // At its final size from the start, so that no copy is left behind.
    let length = usize::try_from(file.metadata()?.len().min(MAX_READ)).unwrap_or_default();
    let mut content = Zeroizing::new(Vec::with_capacity(length + 1));
    file.take(MAX_READ + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_READ {
        let what = "it is larger than 1 MiB";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(Some(content))
}

/// Whether the path is in the directory, or in one beneath it.
pub(crate) fn is_within(path: &Path, within: &Path) -> io::Result<bool> {
    // Nothing is in a directory that is not there.
    let Ok(within) = fs::metadata(within) else {
        return Ok(false);
    };
    let parent = fs::canonicalize(directory(path))?;
    for parent in parent.ancestors() {
        let parent = fs::metadata(parent)?;
        if (parent.dev(), parent.ino()) == (within.dev(), within.ino()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A file that is to be replaced, and the new one beside it, still empty and locked
/// until it is in place.
#[derive(Debug)]
pub(crate) struct Replacement {
    path: PathBuf,
    new_path: PathBuf,
    new: File,
    is_renamed: bool,
}

impl Replacement {
    /// Creates the new file beside the old one, with the old one's owner, group and mode,
    /// and tests that it can be written, synced and renamed.
    ///
    /// The file takes up `room` bytes until [`finish`](Self::finish), so that a full disk
    /// is an error of this call.
    ///
    /// # Errors
    ///
    /// One of the kind `ResourceBusy`, if another run is about to replace the file.
    pub(crate) fn prepare(path: &Path, room: usize) -> io::Result<Self> {
        let old = replaceable::require(path)?;
        let mut replacement =
            Self::create(path).map_err(|error| replaceable::explain(error, path))?;
        let new = &mut replacement.new;
        if let Some(old) = old {
            replaceable::keep_access(path, &old, new)?;
        }
        new.write_all(&vec![b' '; room])?;
        new.sync_all()?;
        io::Seek::rewind(new)?;
        Ok(replacement)
    }

    /// Creates the new file beside the old one, readable by its owner alone.
    ///
    /// The new file's name is always the same, so that what a crash has left behind
    /// is removed by the next attempt and lies nowhere for ever.
    ///
    /// # Errors
    ///
    /// As for [`prepare`](Self::prepare).
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        remove_leftover(path)?;
        let new_path = new_path(path)?;
        // Never an existing file, which may be another user's.
        let opened = options().write(true).create_new(true).open(&new_path);
        let new = match opened {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(busy());
            }
            opened => opened?,
        };
        lock(&new)?;
        let replacement = Self {
            path: path.to_owned(),
            new_path,
            new,
            is_renamed: false,
        };
        // Before it was locked, another run may have taken it for a leftover.
        match replacement.is_in_place()? {
            true => Ok(replacement),
            false => Err(busy()),
        }
    }

    /// Puts the new file, with this in it, in the old one's place, and waits until
    /// a crash can't undo it. Returns the file, still locked.
    pub(crate) fn finish(mut self, content: &[u8]) -> io::Result<File> {
        self.new.write_all(content)?;
        self.new.set_len(content.len() as u64)?;
        self.new.sync_all()?;
        if !self.is_in_place()? {
            return Err(io::Error::other(format!(
                "{} was removed or replaced in the meantime",
                self.new_path.display()
            )));
        }
        fs::rename(&self.new_path, &self.path)?;
        self.is_renamed = true;
        sync_directory(&self.path)?;
        self.new.try_clone()
    }

    fn is_in_place(&self) -> io::Result<bool> {
        is_at(&self.new, &self.new_path)
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_renamed && self.is_in_place().unwrap_or_default() {
            // The next attempt removes it too.
            let _ = fs::remove_file(&self.new_path);
        }
    }
}

/// Removes the new file that a crash has left beside this one, if there is one. It
/// may hold what the file was to hold.
///
/// # Errors
///
/// One of the kind `ResourceBusy`, if another run is about to replace the file.
pub(crate) fn remove_leftover(path: &Path) -> io::Result<()> {
    let new_path = new_path(path)?;
    let left = match options().read(true).open(&new_path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            let at = format!("{}: {error}", new_path.display());
            return Err(io::Error::new(error.kind(), at));
        }
        Ok(left) => left,
    };
    lock(&left)?;
    match is_at(&left, &new_path)? {
        true => fs::remove_file(&new_path),
        false => Err(busy()),
    }
}

/// Creates a directory that nobody else can enter, unless it exists, and waits until a
/// crash can't undo it.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path
        .ancestors()
        .take_while(|parent| !(parent.as_os_str().is_empty() || parent.exists()))
        .collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path)?;
    missing.into_iter().try_for_each(sync_directory)
}

/// Waits until the directory's entry for this path can't be lost to a crash.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

/// Returns the directory that a path's last part is in.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Where the new file grows: `.NAME.cf-service-tokens.new`, beside the old one.
fn new_path(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    let mut new_name = OsString::from(".");
    new_name.push(name);
    new_name.push(SUFFIX);
    Ok(directory(path).join(new_name))
}
