//! Who can write the configuration file: they decide where secrets go, and which programs
//! run.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};
use rustix::fs::StatVfsMountFlags;

use crate::failure::Failure;
use crate::output::quoted;

/// More than a file with a thousand accounts has.
const MAX_LEN: u64 = 1024 * 1024;
/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

const STICKY: u32 = 0o1000;
const GROUP_MAY_WRITE: u32 = 0o020;
const OTHERS_MAY_WRITE: u32 = 0o002;

/// Reads the file, if nobody but its owner and root can change it or put another one in its
/// place.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: io::Error| {
        let failure = Failure::usage(format!("can't read {}", path.display())).because(error);
        failure.next("--config takes the name of a configuration file")
    };
    // Opening a pipe would wait for a writer.
    if !path.metadata().map_err(unreadable)?.is_file() {
        let error = io::Error::other("it is not a regular file");
        return Err(unreadable(error));
    }
    let (way, target) = way_to(path).map_err(unreadable)?;
    let file = File::open(&target).map_err(unreadable)?;
    for directory in &way {
        let is_own =
            target.parent() == Some(&directory.path) || path.parent() == Some(&directory.path);
        directory.require_safe(path, is_own)?;
    }
    Step::of(&target, &file.metadata().map_err(unreadable)?).require_safe(path, true)?;
    let mut text = String::new();
    let read = file.take(MAX_LEN + 1).read_to_string(&mut text);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => unreadable(io::Error::other("it is not text in UTF-8")),
        _ => unreadable(error),
    })?;
    match text.len() as u64 > MAX_LEN {
        true => Err(unreadable(io::Error::other("it is larger than 1 MiB"))),
        false => Ok(text),
    }
}

/// A directory or a link on the way to the file, or the file itself.
struct Step {
    path: PathBuf,
    uid: u32,
    gid: u32,
    mode: u32,
    is_link: bool,
}

/// Returns the directories and links that lead to a file, and the file without links.
fn way_to(path: &Path) -> io::Result<(Vec<Step>, PathBuf)> {
    let mut way = vec![Step::of(Path::new("/"), &Path::new("/").metadata()?)];
    let mut at = PathBuf::from("/");
    let parts = |path: &Path| -> Vec<PathBuf> {
        let parts = path.components().rev();
        parts.map(|part| PathBuf::from(part.as_os_str())).collect()
    };
    let mut left = parts(&std::path::absolute(path)?);
    let mut links = 0;
    while let Some(part) = left.pop() {
        match part.components().next() {
            Some(Component::RootDir) => at = PathBuf::from("/"),
            Some(Component::ParentDir) => drop(at.pop()),
            Some(Component::Normal(name)) => {
                let next = at.join(name);
                let metadata = next.symlink_metadata()?;
                if metadata.is_symlink() {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::Error::other("too many links lead to it"));
                    }
                    left.extend(parts(&next.read_link()?));
                } else {
                    at = next.clone();
                }
                if metadata.is_symlink() || metadata.is_dir() {
                    way.push(Step::of(&next, &metadata));
                }
            }
            _ => {}
        }
    }
    Ok((way, at))
}

impl Step {
    fn of(path: &Path, metadata: &Metadata) -> Self {
        Self {
            path: path.to_owned(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            mode: metadata.mode() & 0o7777,
            is_link: metadata.is_symlink(),
        }
    }

    /// Refuses what somebody else can change. In a sticky directory such as /tmp, nobody
    /// else can replace what is there, which is enough above the file's own directory.
    fn require_safe(&self, config: &Path, is_own: bool) -> Result<(), Failure> {
        // Nobody writes there, such as to what an orchestrator mounts.
        let is_read_only = || {
            rustix::fs::statvfs(&self.path)
                .is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
        };
        let Some(fault) = self.fault(is_own) else {
            return Ok(());
        };
        if !self.is_link && is_read_only() {
            return Ok(());
        }
        let path = self.path.display();
        let what = format!(
            "{} can't be trusted: {}",
            config.display(),
            fault.words(self)
        );
        let file = quoted(&self.path.to_string_lossy());
        let next = match fault {
            Fault::Owner => {
                format!(
                    "another user could change where secrets go; give {path} to root or to yourself"
                )
            }
            Fault::Others => {
                format!("another user could change where secrets go; run: chmod o-w {file}")
            }
            Fault::Group => {
                format!("another user could change where secrets go; run: chmod g-w {file}")
            }
        };
        Err(Failure::usage(what).next(next))
    }

    fn fault(&self, is_own: bool) -> Option<Fault> {
        let user = Uid::effective();
        if self.uid != 0 && self.uid != user.as_raw() {
            return Some(Fault::Owner);
        }
        let is_sticky = self.mode & STICKY != 0 && !is_own;
        if self.is_link || is_sticky {
            return None;
        }
        if self.mode & OTHERS_MAY_WRITE != 0 {
            return Some(Fault::Others);
        }
        let is_shared = self.mode & GROUP_MAY_WRITE != 0 && !is_private(self.uid, self.gid);
        is_shared.then_some(Fault::Group)
    }
}

/// Who else can change a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Owner,
    Others,
    Group,
}

impl Fault {
    fn words(self, step: &Step) -> String {
        let (path, mode) = (step.path.display(), step.mode);
        match self {
            Self::Owner => format!("{path} belongs to another user ({})", user_name(step.uid)),
            Self::Others => format!("every user can write {path} (mode {mode:04o})"),
            Self::Group => {
                let group = Group::from_gid(Gid::from_raw(step.gid)).ok().flatten();
                let group = group.map_or_else(|| step.gid.to_string(), |group| group.name);
                format!("the group {group} can write {path} (mode {mode:04o})")
            }
        }
    }
}

fn user_name(uid: u32) -> String {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    user.map_or_else(|| uid.to_string(), |user| user.name)
}

/// Whether a group is its owner's own: the primary group, of the same name or number as the
/// user, and without other members.
fn is_private(uid: u32, gid: u32) -> bool {
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    match (user, group) {
        (Some(user), Some(group)) => {
            let is_namesake = group.name == user.name || gid == uid;
            let mut members = group.mem.iter();
            user.gid.as_raw() == gid && is_namesake && members.all(|member| *member == user.name)
        }
        // Without a name, as in a container.
        _ => gid == uid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(uid: u32, gid: u32, mode: u32) -> Step {
        Step {
            path: "/etc/keep".into(),
            uid,
            gid,
            mode,
            is_link: false,
        }
    }

    #[test]
    fn only_the_owner_and_root_may_write() {
        let user = Uid::effective().as_raw();
        let group = Gid::effective().as_raw();
        let stranger = user + 4_000_001;
        for (uid, gid, mode, is_own, fault) in [
            (user, group, 0o600, true, None),
            (0, 0, 0o644, true, None),
            (0, 0, 0o664, true, None),
            (0, group + 4_000_001, 0o640, true, None),
            (0, group + 4_000_001, 0o660, true, Some(Fault::Group)),
            (user, group, 0o602, true, Some(Fault::Others)),
            (stranger, group, 0o600, true, Some(Fault::Owner)),
            (0, 0, 0o755, false, None),
            (0, 0, 0o777, false, Some(Fault::Others)),
            (0, 0, 0o1777, false, None),
            (0, 0, 0o1777, true, Some(Fault::Others)),
            (stranger, 0, 0o1755, false, Some(Fault::Owner)),
        ] {
            let found = step(uid, gid, mode).fault(is_own);
            assert_eq!(found, fault, "{uid} {gid} {mode:o} {is_own}");
        }
    }

    #[test]
    fn a_group_is_private_only_if_it_is_the_users_own() {
        assert!(is_private(0, 0));
        assert!(!is_private(0, 1));
        // Without an entry in the databases of the system.
        assert!(is_private(4_000_001, 4_000_001));
        assert!(!is_private(4_000_001, 4_000_002));
    }

    #[test]
    fn the_way_to_a_file_has_every_link_and_directory() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::fs::write(root.join("real/deep/keep.toml"), "").unwrap();
        std::os::unix::fs::symlink("real", root.join("link")).unwrap();
        std::os::unix::fs::symlink("deep/../deep/keep.toml", root.join("real/file")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        let (way, target) = way_to(&root.join("link/file")).unwrap();
        assert_eq!(target, root.join("real/deep/keep.toml"));
        let way: Vec<_> = way.iter().map(|step| step.path.clone()).collect();
        for name in ["", "link", "real", "real/file", "real/deep"] {
            let step = root.join(name);
            assert!(way.contains(&step), "{step:?} {way:?}");
        }
        assert!(way_to(&root.join("loop")).is_err());
    }
}
