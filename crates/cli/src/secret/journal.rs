//! Records on disk what `create` and `rotate` do, so that a run that is killed at any
//! moment loses no secret and leaves a trace of every change.
//!
//! Each run has an append-only file of its own: first its intent, before it calls the
//! API; then the response, before it does anything else with it. The file is locked
//! during the run, and removed once the sink has the secret. An unlocked file was left
//! by a run that was killed or failed.
//!
//! Beside the entries, a token that is being rotated, or that has a running grace
//! period, has a file without any secret.

mod entry;
mod token_lock;

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use cf_service_tokens::ServiceTokenId;
use fs4::FileExt;
use tempfile::TempDir;

pub(crate) use entry::{Answer, Entry, Intent, Operation};
pub(crate) use token_lock::TokenLock;

use crate::arguments::Global;
use crate::exit::Exit;
use crate::explain::Failure;
use crate::secret::file;

/// The directory with the entries, which nobody else can read.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    /// Of a simulated account, the journal ends with the account.
    _simulated: Option<TempDir>,
}

/// An entry that is there already.
pub(crate) enum Found {
    /// Another run is at work on it.
    Busy,
    /// A run left it behind.
    Left(Box<Entry>),
}

impl Journal {
    /// The journal's directory as the arguments and the environment say.
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
            Failure::usage("no directory for the journal: HOME is not set").next(
                "set --journal or CF_SERVICE_TOKENS_JOURNAL to a directory that survives a crash",
            )
        })?;
        Ok(Self {
            directory,
            _simulated: None,
        })
    }

    /// Keeps other runs from rotating the token, until the lock is dropped.
    pub(crate) fn lock_token(&self, id: &ServiceTokenId) -> Result<TokenLock, Failure> {
        let path = self.directory.join(format!("{id}.lock"));
        self.create_directory()
            .and_then(|()| TokenLock::acquire(&path, id))
            .map_err(|error| match error.kind() {
                io::ErrorKind::ResourceBusy => Failure::new(
                    Exit::Failed,
                    format!("another run is rotating the token {id}"),
                )
                .next("nothing was changed; wait for it to end"),
                _ => self.unwritable(&error),
            })
    }

    /// Begins an entry: once this returns, what is about to be done is on disk.
    pub(crate) fn begin(&self, intent: Intent) -> Result<Entry, Failure> {
        self.create_directory()
            .and_then(|()| {
                let _guard = self.guard()?;
                Entry::begin(&self.path(&intent.entry), intent)
            })
            .map_err(|error| self.unwritable(&error))
    }

    /// The entry of this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Result<Option<Found>, Failure> {
        if name.contains(['/', '\\']) {
            return Ok(None);
        }
        let found = self.open(&self.path(name));
        found.map_err(|error| self.unreadable(&error))
    }

    /// All entries that were left behind, the oldest first.
    pub(crate) fn left(&self) -> Result<Vec<Entry>, Failure> {
        let all = self.left_or_unreadable();
        all.into_iter()
            .map(|entry| entry.map_err(|error| self.unreadable(&error)))
            .collect()
    }

    /// All entries that were left behind, the oldest first, after why others can't
    /// be read.
    pub(crate) fn left_or_unreadable(&self) -> Vec<io::Result<Entry>> {
        let paths = match self.paths() {
            Ok(paths) => paths,
            Err(error) => return vec![Err(error)],
        };
        let found = paths.iter().map(|path| self.open(path));
        let mut left: Vec<_> = found
            .filter_map(|found| match found {
                Ok(Some(Found::Left(entry))) => Some(Ok(*entry)),
                Ok(Some(Found::Busy) | None) => None,
                Err(error) => Some(Err(error)),
            })
            .collect();
        left.sort_by_key(|entry| entry.as_ref().ok().map(|entry| entry.intent.started_at));
        left
    }

    fn paths(&self) -> io::Result<Vec<PathBuf>> {
        let files = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        self.require_own()?;
        let paths = files.map(|file| Ok(file?.path()));
        let is_entry = |path: &PathBuf| path.extension().is_some_and(|ext| ext == EXTENSION);
        paths
            .filter(|path| !path.as_ref().is_ok_and(|path| !is_entry(path)))
            .collect()
    }

    /// The entry at this path. The error names it.
    fn open(&self, path: &Path) -> io::Result<Option<Found>> {
        self.open_unnamed(path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    fn open_unnamed(&self, path: &Path) -> io::Result<Option<Found>> {
        if let Err(error) = path.symlink_metadata()
            && error.kind() == io::ErrorKind::NotFound
        {
            return Ok(None);
        }
        let _guard = self.guard()?;
        let file = match file::options().read(true).append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        file::require_own(&file.metadata()?)?;
        match file::lock(&file) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                return Ok(Some(Found::Busy));
            }
            locked => locked?,
        }
        Ok(Entry::read(path, file)?.map(|entry| Found::Left(Box::new(entry))))
    }

    /// Keeps other runs from looking at an entry between its making and its lock.
    fn guard(&self) -> io::Result<File> {
        self.require_own()?;
        let path = self.directory.join("lock");
        let file = file::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        FileExt::lock(&file)?;
        Ok(file)
    }

    fn create_directory(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let parents = self.directory.ancestors().skip(1);
        let missing: Vec<_> = parents
            .take_while(|parent| !(parent.as_os_str().is_empty() || parent.exists()))
            .collect();
        builder.create(&self.directory)?;
        self.require_own()?;
        file::sync_directory(&self.directory)?;
        missing.into_iter().try_for_each(file::sync_directory)
    }

    /// Files of another user are not trusted: an entry may name a command.
    fn require_own(&self) -> io::Result<()> {
        file::require_own(&fs::metadata(&self.directory)?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.{EXTENSION}"))
    }

    pub(crate) fn unwritable(&self, error: &io::Error) -> Failure {
        Failure::usage(format!(
            "can't write the journal in {}",
            self.directory.display()
        ))
        .because(error)
        .next("nothing was changed; use --journal with another directory")
    }

    pub(crate) fn unreadable(&self, error: &io::Error) -> Failure {
        Failure::usage(format!(
            "can't read the journal in {}",
            self.directory.display()
        ))
        .because(error)
        .next("check it, or use --journal with another directory")
    }
}

const EXTENSION: &str = "jsonl";

/// Where programs keep what must outlive them.
fn default_directory() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    // A service's own, of which systemd may name several.
    if let Some(directories) = set("STATE_DIRECTORY") {
        return env::split_paths(&directories).find(|directory| directory.is_absolute());
    }
    let state = set("XDG_STATE_HOME")
        .map(PathBuf::from)
        // As its specification says.
        .filter(|directory| directory.is_absolute())
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".local/state")))?;
    Some(state.join("cf-service-tokens"))
}
