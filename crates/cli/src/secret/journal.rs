//! The directory with the records, one file per token.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cf_service_tokens::ServiceTokenId;
use chrono::{DateTime, Utc};
#[cfg(target_os = "linux")]
use rustix::fs::{FsWord, statfs};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::arguments::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::secret::file;
use crate::secret::record::{Known, Record};

const EXTENSION: &str = "jsonl";

/// The directory with the records, which nobody else can read.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    /// The journal of a simulated account ends with the account.
    _simulated: Option<TempDir>,
}

/// The name of a record: `rotate-` and the token's id, or `create-` and a hash of the
/// account and the token's name. The journal touches no file with any other name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordName(String);

impl RecordName {
    pub(crate) fn rotate(id: &ServiceTokenId) -> Self {
        Self(format!("rotate-{id}"))
    }

    pub(crate) fn create(account_id: &str, name: &str) -> Self {
        Self(format!("create-{}", short_hash(account_id, name)))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_id = |id| ServiceTokenId::new(id).is_ok();
        let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        let is_name = text.strip_prefix("rotate-").is_some_and(is_id)
            || text.strip_prefix("create-").is_some_and(is_hash);
        is_name.then(|| Self(text.to_owned()))
    }
}

/// A token's name may be longer than a file's, and may have any character.
pub(super) fn short_hash(account_id: &str, name: &str) -> String {
    let hash = Sha256::digest(format!("{account_id}\0{name}"));
    hash.iter().take(8).map(|b| format!("{b:02x}")).collect()
}

impl std::fmt::Display for RecordName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Journal {
    /// Returns the journal in the directory that the arguments and the environment name.
    pub(crate) fn locate(global: &Global) -> Result<Self, Failure> {
        if global.simulate {
            let directory = TempDir::new().map_err(|error| {
                Failure::usage("can't create a temporary journal").because(error)
            })?;
            return Ok(Self {
                directory: directory.path().to_owned(),
                _simulated: Some(directory),
            });
        }
        let named = global.journal.clone();
        let directory = named
            .filter(|directory| !directory.as_os_str().is_empty())
            .or_else(default_directory);
        let directory = directory.ok_or_else(|| {
            Failure::usage("no directory for the journal: HOME is not an absolute path").next(
                "set --journal or CF_SERVICE_TOKENS_JOURNAL to a directory that survives a crash",
            )
        })?;
        Ok(Self {
            directory,
            _simulated: None,
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Makes sure that the journal survives a restart, as far as that can be known. A directory
    /// that somebody named was chosen for that.
    pub(crate) fn require_lasting(&self) -> Result<(), Failure> {
        let is_default = users_directory().is_some_and(|users| users == self.directory);
        if self._simulated.is_none() && !(is_default && is_temporary(&self.directory)) {
            return Ok(());
        }
        let path = self.directory.display();
        Err(
            Failure::usage(format!("the journal in {path} does not survive a restart"))
                .because("it holds the age of each secret, and secrets that are not delivered yet")
                .next(
                    "set --journal or CF_SERVICE_TOKENS_JOURNAL to a directory on a disk or a volume \
                     that does",
                ),
        )
    }

    /// Makes sure that a rotation can be recorded, without creating the directory.
    pub(crate) fn prove(&self) -> Result<(), Failure> {
        self.require_lasting()?;
        let whole = std::path::absolute(&self.directory);
        let proved = whole.and_then(|whole| {
            let existing = whole.ancestors().find(|directory| directory.exists());
            tempfile::tempfile_in(existing.unwrap_or(&whole)).map(drop)
        });
        proved.map_err(|error| self.unusable(&error))
    }

    /// Returns the shell's command that lists the entries.
    pub(crate) fn command(&self) -> String {
        command("", &self.directory)
    }

    /// Locks the record of this name, and creates it if there is none.
    pub(crate) fn lock(&self, name: &RecordName) -> Result<Record, Failure> {
        self.create()
            .and_then(|()| Record::lock(name.clone(), self.path(name)))
            .map_err(|error| self.failure(name, &error))
    }

    /// Locks the record of this name if it holds an interrupted run.
    pub(crate) fn find(&self, name: &str) -> Result<Record, Failure> {
        let none = || {
            Failure::usage(format!("the journal has no entry {name:?}"))
                .next(format!("`{}` lists the entries", self.command()))
        };
        let name = RecordName::parse(name).ok_or_else(none)?;
        if !self.path(&name).exists() {
            return Err(none());
        }
        let record = self.lock(&name)?;
        match record.run() {
            Some(_) => Ok(record),
            None => Err(none()),
        }
    }

    /// Returns the records of interrupted runs, the oldest first, after the errors of
    /// those that can't be read. The record of a run that is still at work is left out.
    pub(crate) fn left_or_unreadable(&self) -> Vec<io::Result<Record>> {
        let names = match self.names() {
            Ok(names) => names,
            Err(error) => return vec![Err(error)],
        };
        let mut left = Vec::new();
        for name in names {
            match Record::read(name.clone(), self.path(&name)) {
                Ok(Some(record)) if record.run().is_some() => left.push(Ok(record)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                Err(error) => left.push(Err(error)),
            }
        }
        left.sort_by_key(|record| {
            let run = record.as_ref().ok().and_then(Record::run);
            run.map(|run| run.intent.started_at)
        });
        left
    }

    /// Returns the records that runs are at work on.
    pub(crate) fn at_work(&self) -> Vec<RecordName> {
        let mut names = self.names().unwrap_or_default();
        names.retain(|name| {
            let read = Record::read(name.clone(), self.path(name));
            read.is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
        });
        names
    }

    /// Reads the record of a token, if there is one.
    ///
    /// # Errors
    ///
    /// Also if a run is at work on it.
    pub(crate) fn read(&self, id: &ServiceTokenId) -> Result<Option<Record>, Failure> {
        let name = RecordName::rotate(id);
        let path = self.path(&name);
        if !path.exists() {
            return Ok(None);
        }
        self.require_own()
            .and_then(|()| Record::read(name.clone(), path))
            .map_err(|error| self.failure(&name, &error))
    }

    /// Removes the record of a token that was deleted, unless it holds an interrupted run.
    pub(crate) fn forget(&self, id: &ServiceTokenId) -> Result<(), Failure> {
        match self.read(id)? {
            Some(record) if record.run().is_none() => drop(record),
            _ => return Ok(()),
        }
        let mut record = self.lock(&RecordName::rotate(id))?;
        match record.run() {
            Some(_) => Ok(()),
            None => record.settle(None).map_err(|error| self.unusable(&error)),
        }
    }

    /// Returns what is known of a token's secrets.
    pub(crate) fn known(&self, token_id: &str) -> Option<Known> {
        let id = ServiceTokenId::new(token_id).ok()?;
        self.read(&id).ok()??.known().cloned()
    }

    /// Returns until when the secret before a token's newest one works, as far as this
    /// journal knows.
    pub(crate) fn grace(&self, token_id: &str) -> Option<DateTime<Utc>> {
        self.known(token_id)?.old_secret_valid_until
    }

    fn names(&self) -> io::Result<Vec<RecordName>> {
        let files = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        self.require_own()?;
        let mut names = Vec::new();
        for file in files {
            let name = file?.file_name();
            let name = name.to_str().and_then(|name| {
                let stem = name.strip_suffix(EXTENSION)?.strip_suffix('.')?;
                RecordName::parse(stem)
            });
            names.extend(name);
        }
        Ok(names)
    }

    /// Refuses another user's directory: a record may name a command.
    fn require_own(&self) -> io::Result<()> {
        file::require_own(&fs::metadata(&self.directory)?)
    }

    fn path(&self, name: &RecordName) -> PathBuf {
        self.directory.join(format!("{name}.{EXTENSION}"))
    }

    fn failure(&self, name: &RecordName, error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::ResourceBusy => {
                Failure::new(Exit::Failed, format!("another run is using {name}"))
                    .next("nothing was changed; wait for it to end")
            }
            _ => self.unusable(error),
        }
    }

    /// Creates the directory, which must be this user's.
    pub(super) fn create(&self) -> io::Result<()> {
        file::create_directory(&self.directory)?;
        self.require_own()
    }

    pub(crate) fn unusable(&self, error: &io::Error) -> Failure {
        Failure::usage(format!(
            "can't use the journal in {}",
            self.directory.display()
        ))
        .because(error)
        .next(match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::FileTooLarge => {
                "nothing was changed; the file may hold a secret: look for it, then remove the file, \
                 or use --journal with another directory"
            }
            _ => "nothing was changed; fix the cause, or use --journal with another directory",
        })
    }
}

/// Returns the shell's command that does something with a journal.
pub(super) fn command(arguments: &str, directory: &Path) -> String {
    let option = option(directory);
    format!("cf-service-tokens journal{arguments}{option}")
}

/// Returns the option of a shell's command that names a journal, after a space. Only the
/// journal of the user needs none: another shell may lack the variables of this process.
pub(super) fn option(directory: &Path) -> String {
    let directory = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    match users_directory() {
        Some(users) if users == directory => String::new(),
        _ => format!(
            " --journal {}",
            output::quoted(&directory.to_string_lossy())
        ),
    }
}

/// Returns where programs keep what must outlive them.
fn default_directory() -> Option<PathBuf> {
    // A service's own, of which systemd may name several.
    match set("STATE_DIRECTORY") {
        Some(directories) => {
            env::split_paths(&directories).find(|directory| directory.is_absolute())
        }
        None => users_directory(),
    }
}

fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns where programs of this user do.
fn users_directory() -> Option<PathBuf> {
    let state = set("XDG_STATE_HOME")
        .map(PathBuf::from)
        // As its specification says.
        .filter(|directory| directory.is_absolute())
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/state")))
        // In another directory the next run would not find the journal.
        .filter(|directory| directory.is_absolute())?;
    Some(state.join("cf-service-tokens"))
}

/// Whether a directory, or the one where it will be created, is in memory or in a
/// container's own layer.
#[cfg(target_os = "linux")]
fn is_temporary(directory: &Path) -> bool {
    const TMPFS: FsWord = 0x0102_1994;
    const RAMFS: FsWord = 0x8584_58f6;
    const OVERLAY: FsWord = 0x794c_7630;
    let mut systems = directory.ancestors().filter_map(|at| statfs(at).ok());
    let system = systems.next();
    system.is_some_and(|system| [TMPFS, RAMFS, OVERLAY].contains(&system.f_type))
}

#[cfg(not(target_os = "linux"))]
fn is_temporary(_directory: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_of_its_own_form_names_a_record() {
        let id = ServiceTokenId::new("f174e90a-fafe-4643-bbbc-4a0ed4fc8415").unwrap();
        let long = "n".repeat(350);
        for name in [
            RecordName::rotate(&id),
            RecordName::create("account", &long),
            RecordName::create("account", "../deploy"),
        ] {
            assert_eq!(RecordName::parse(&name.to_string()), Some(name));
        }
        assert_ne!(
            RecordName::create("account", "a"),
            RecordName::create("account", "b")
        );
        for text in [
            "",
            "data",
            "rotate-",
            "rotate-../x",
            "create-deploy",
            "lock",
        ] {
            assert_eq!(RecordName::parse(text), None, "{text}");
        }
    }
}
