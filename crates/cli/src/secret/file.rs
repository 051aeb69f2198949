//! Files that belong to this user alone, and how one is replaced as a whole.
//!
//! One run at a time has such a file: a run renames or removes it only while it holds the
//! file's lock, and only after it has checked that the file is still the one at its path.
//! So no run takes away a file that another one writes to.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};
use rustix::fs::OFlags;

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

fn busy() -> io::Error {
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
    /// Creates the new file beside the old one, and proves that it can be written and
    /// kept.
    ///
    /// # Errors
    ///
    /// One of the kind `ResourceBusy`, if another run is about to replace the file.
    pub(crate) fn prepare(path: &Path) -> io::Result<Self> {
        let mut replacement = Self::create(path)?;
        let new = &mut replacement.new;
        new.write_all(b"proof")?;
        new.sync_all()?;
        new.set_len(0)?;
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
        refuse_what_is_no_file(path)?;
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

fn directory(path: &Path) -> &Path {
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
    new_name.push(".cf-service-tokens.new");
    Ok(directory(path).join(new_name))
}

/// Only a file can be replaced. A link would be replaced by a file, and what it
/// leads to would keep the old content.
fn refuse_what_is_no_file(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?.file_type(),
    };
    let fault = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        "it is a directory; use a file in it"
    } else if kind.is_symlink() {
        "it is a symbolic link; use the file that it points to"
    } else {
        "it is not a regular file; to write to a pipe or device, use command:'cat > ...'"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, fault))
}
