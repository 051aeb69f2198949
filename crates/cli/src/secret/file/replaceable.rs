//! Whether a file can be replaced by another one, and which of its properties stay.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

use super::SUFFIX;

/// Makes sure that a rename can put a new file in this one's place. Returns the file's
/// metadata, or `None` if there is no file.
pub(super) fn require(path: &Path) -> io::Result<Option<Metadata>> {
    let name = path.file_name().unwrap_or_default();
    if name.to_string_lossy().ends_with(SUFFIX) {
        let fault = "the name is kept for temporary files of this command; use another one";
        return Err(refused(fault));
    }
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(refused("it is a directory; use a file in it"));
    }
    // A link would be replaced by a file, and what it points to would keep the old content.
    if kind.is_symlink() {
        let fault = "it is a symbolic link; use the file that it points to";
        return Err(refused(fault));
    }
    if !kind.is_file() {
        let fault =
            "it is not a regular file; to write to a pipe or device, use command:'cat > ...'";
        return Err(refused(fault));
    }
    if metadata.nlink() > 1 {
        let fault = "it has another name (a hard link), which would keep the old content; remove \
                     that name, or write to the file with command:'cat > ...'";
        return Err(refused(fault));
    }
    #[cfg(target_os = "linux")]
    linux::require_renamable(path)?;
    Ok(Some(metadata))
}

/// Adds to an error what to use if no file can be created beside this one.
pub(super) fn explain(error: io::Error, path: &Path) -> io::Error {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};

    match error.kind() {
        PermissionDenied | ReadOnlyFilesystem if path.exists() => io::Error::new(
            error.kind(),
            format!(
                "no file can be created beside it ({error}); use a file in another directory, or \
                 write to this one with command:'cat > ...'"
            ),
        ),
        _ => error,
    }
}

/// Gives the new file the owner, group, mode and access control list of the old one.
pub(super) fn keep_access(path: &Path, old: &Metadata, new: &File) -> io::Result<()> {
    let created = new.metadata()?;
    let owner = (old.uid() != created.uid()).then_some(old.uid());
    let group = (old.gid() != created.gid()).then_some(old.gid());
    if owner.is_some() || group.is_some() {
        fchown(new, owner, group).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!(
                    "its owner and group can't be kept ({error}); run this as its owner, or write \
                     to it with command:'cat > ...'"
                ),
            )
        })?;
    }
    #[cfg(target_os = "linux")]
    linux::keep_attributes(path, new)?;
    // After the list, which the mode is a part of. Some file systems allow no change.
    match new.metadata()?.mode() == old.mode() {
        true => Ok(()),
        false => new.set_permissions(old.permissions()),
    }
}

fn refused(fault: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, fault)
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{File, Path, io, refused};

    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, XattrFlags};
    use rustix::io::Errno;

    const ACCESS_LIST: &str = "system.posix_acl_access";

    /// The extended attributes that decide who may read a file.
    const ATTRIBUTES: [&str; 2] = [ACCESS_LIST, "security.selinux"];

    /// Makes sure that a rename doesn't fail on what `stat` does not show.
    pub(super) fn require_renamable(path: &Path) -> io::Result<()> {
        let file = attributes(path);
        let directory = attributes(super::super::directory(path));
        let fault = if file.contains(StatxAttributes::MOUNT_ROOT) {
            "it is a mount point, which can't be replaced; mount its directory instead, or write \
             to it with command:'cat > ...'"
        } else if file.contains(StatxAttributes::IMMUTABLE) {
            "it is immutable; run chattr -i on it"
        } else if file.contains(StatxAttributes::APPEND) {
            "it can only be appended to; run chattr -a on it"
        } else if directory.contains(StatxAttributes::APPEND) {
            "files can only be added to its directory; run chattr -a on its directory"
        } else {
            return Ok(());
        };
        Err(refused(fault))
    }

    /// Returns no attributes where the kernel has none to tell.
    fn attributes(path: &Path) -> StatxAttributes {
        rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::TYPE)
            .map_or(StatxAttributes::empty(), |file| file.stx_attributes)
    }

    /// Gives the new file the attributes of the old one.
    pub(super) fn keep_attributes(path: &Path, new: &File) -> io::Result<()> {
        for name in ATTRIBUTES {
            let old = value(|buffer| rustix::fs::lgetxattr(path, name, buffer))?;
            let created = value(|buffer| rustix::fs::fgetxattr(new, name, buffer))?;
            let kept = match &old {
                _ if old == created => continue,
                Some(old) => rustix::fs::fsetxattr(new, name, old, XattrFlags::empty()),
                // The directory has one for new files.
                None if name == ACCESS_LIST => rustix::fs::fremovexattr(new, name),
                None => continue,
            };
            kept.map_err(|error| {
                io::Error::new(
                    io::Error::from(error).kind(),
                    format!(
                        "its attribute {name} can't be kept ({error}); write to it with \
                         command:'cat > ...'"
                    ),
                )
            })?;
        }
        Ok(())
    }

    /// Returns the value of an extended attribute, if the file has it.
    fn value(
        get: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>,
    ) -> io::Result<Option<Vec<u8>>> {
        // The largest that Linux allows.
        let mut value = vec![0; 64 * 1024];
        match get(&mut value) {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
