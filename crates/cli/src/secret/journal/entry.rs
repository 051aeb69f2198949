//! One run of `create` or `rotate`: what it was about to do, and what came of it.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use fs4::FileExt;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::file;

use crate::secret::sink::IssuedSecret;

/// The interrupted operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Create,
    Rotate,
}

/// The intent of a run: an entry's first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// The entry's name.
    pub(crate) entry: String,
    pub(crate) operation: Operation,
    pub(crate) account_id: String,
    pub(crate) token_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) client_id: Option<String>,
    /// When the token was last updated before the call. As long as the API says the
    /// same, the rotate had no effect; a later time may come from another change.
    pub(crate) updated_at: Option<DateTime<Utc>>,
    pub(crate) old_secret_valid_until: Option<DateTime<Utc>>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) sink: String,
}

/// The API's response: an entry's second line.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The token's secret.
    Secret(IssuedSecret),
    /// An answer in which no secret could be found, but which may hold one.
    Unread,
}

/// The answer as it is written.
#[derive(Serialize, Deserialize)]
struct AnswerLine {
    client_id: Option<String>,
    client_secret: Option<Zeroizing<String>>,
    body: Option<Zeroizing<String>>,
}

/// A run's entry, locked for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) intent: Intent,
    pub(crate) answer: Option<Answer>,
    file: File,
}

impl Entry {
    /// Makes the entry, locks it, and brings the intent to disk.
    pub(super) fn begin(path: &Path, intent: Intent) -> io::Result<Self> {
        let file = file::options().append(true).create_new(true).open(path)?;
        FileExt::try_lock(&file)?;
        let mut entry = Self {
            path: path.to_owned(),
            intent,
            answer: None,
            file,
        };
        let line = Zeroizing::new(serde_json::to_string(&entry.intent)?);
        entry.append(&line)?;
        file::sync_directory(path)?;
        Ok(entry)
    }

    /// Reads an entry that was left behind. One without a whole first line is of
    /// a run that was killed before it called the API: it is removed.
    pub(super) fn read(path: &Path, mut file: File) -> io::Result<Option<Self>> {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
        let mut text = Zeroizing::new(String::with_capacity(length + 1));
        file.read_to_string(&mut text)?;
        let Some((intent, rest)) = text.split_once('\n') else {
            fs::remove_file(path)?;
            return Ok(None);
        };
        let intent = serde_json::from_str(intent)?;
        // A line that was cut off is of an answer that was not kept in time.
        let answer = rest.split_once('\n').map(|(line, _)| {
            serde_json::from_str::<AnswerLine>(line).map_or(Answer::Unread, Answer::from)
        });
        Ok(Some(Self {
            path: path.to_owned(),
            intent,
            answer,
            file,
        }))
    }

    /// Brings the secret to disk, before anything else is done with it.
    pub(crate) fn note_secret(&mut self, secret: &IssuedSecret) -> io::Result<()> {
        let text = secret.client_secret.expose_secret();
        self.append_answer(&AnswerLine {
            client_id: secret.client_id.clone(),
            client_secret: Some(Zeroizing::new(text.to_owned())),
            body: None,
        })
    }

    /// Brings an answer to disk in which no secret could be found.
    pub(crate) fn note_body(&mut self, body: &[u8]) -> io::Result<()> {
        self.append_answer(&AnswerLine {
            client_id: None,
            client_secret: None,
            body: Some(Zeroizing::new(String::from_utf8_lossy(body).into_owned())),
        })
    }

    /// Removes the entry: the sink has the secret, or there is none.
    pub(crate) fn clear(self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        file::sync_directory(&self.path)
    }

    fn append_answer(&mut self, answer: &AnswerLine) -> io::Result<()> {
        // Large enough from the start, so that no copy is left behind.
        let mut line = Zeroizing::new(Vec::with_capacity(64 * 1024));
        serde_json::to_writer(&mut *line, answer)?;
        let line = std::str::from_utf8(&line).map_err(io::Error::other)?;
        self.append(line)
    }

    /// Adds a line by one write, and waits until a crash can't undo it.
    fn append(&mut self, line: &str) -> io::Result<()> {
        let mut whole = Zeroizing::new(String::with_capacity(line.len() + 1));
        whole.push_str(line);
        whole.push('\n');
        self.file.write_all(whole.as_bytes())?;
        self.file.sync_all()
    }
}

impl From<AnswerLine> for Answer {
    fn from(line: AnswerLine) -> Self {
        match line.client_secret {
            Some(secret) => Self::Secret(IssuedSecret {
                client_id: line.client_id,
                client_secret: SecretString::from(secret.as_str()),
            }),
            None => Self::Unread,
        }
    }
}
