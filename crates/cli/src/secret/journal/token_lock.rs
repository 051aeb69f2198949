//! One token's lock, which a run has from before it looks at the token until its
//! rotate is settled; and in the same file, until when the grace of the last rotate
//! runs. The file is removed when no grace does.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use cf_service_tokens::ServiceTokenId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::secret::file;

/// The lock on a token, for as long as this value lives.
#[derive(Debug)]
pub(crate) struct TokenLock {
    path: PathBuf,
    file: File,
    token_id: ServiceTokenId,
}

/// The end of a known grace period. It holds no secret.
#[derive(Serialize, Deserialize)]
struct Grace {
    token_id: String,
    old_secret_valid_until: DateTime<Utc>,
}

impl TokenLock {
    /// Takes the lock, if no other run has it.
    pub(super) fn acquire(path: &Path, token_id: &ServiceTokenId) -> io::Result<Self> {
        loop {
            let file = file::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            file::require_own(&file.metadata()?)?;
            file::lock(&file)?;
            // The previous holder may have removed the file before this lock.
            if file::is_at(&file, path)? {
                return Ok(Self {
                    path: path.to_owned(),
                    file,
                    token_id: token_id.clone(),
                });
            }
        }
    }

    /// Until when the secret before the newest one works, if it does.
    pub(crate) fn grace(&mut self) -> io::Result<Option<DateTime<Utc>>> {
        let mut text = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut text)?;
        if text.is_empty() {
            return Ok(None);
        }
        let grace: Grace = serde_json::from_str(&text)
            .map_err(|error| io::Error::other(format!("{}: {error}", self.path.display())))?;
        let until = grace.old_secret_valid_until;
        Ok(Some(until).filter(|until| *until > Utc::now()))
    }

    /// Notes until when the secret before the newest one works. As long as this is
    /// not on disk, the run's entry must be.
    pub(crate) fn note_grace(&mut self, until: Option<DateTime<Utc>>) -> io::Result<()> {
        let line = until.map(|old_secret_valid_until| {
            serde_json::to_string(&Grace {
                token_id: self.token_id.to_string(),
                old_secret_valid_until,
            })
        });
        self.file.set_len(0)?;
        self.file.rewind()?;
        if let Some(line) = line.transpose()? {
            writeln!(self.file, "{line}")?;
        }
        self.file.sync_all()?;
        file::sync_directory(&self.path)
    }
}

impl Drop for TokenLock {
    fn drop(&mut self) {
        if matches!(self.grace(), Ok(None)) {
            // The next run removes it too.
            let _ = fs::remove_file(&self.path);
        }
    }
}
