//! A record: the file of one token, locked for as long as a run works on it.
//!
//! The first line is what is known of the token's secrets. A run appends its intent
//! before it calls the API, and the answer before it does anything else with it. Once
//! nothing is left to do, only the first line stays. A record with an intent that is not
//! locked was left by a run that was killed or failed.
//!
//! The lines are JSON: `{"token":…}`, `{"intent":…}`, and then `{"secret":…}`, or
//! `{"answer":…}` before the raw bytes of an answer that holds no documented secret. Once
//! the sink has the secret, `"delivered"` follows while the secret is still to be verified.
//! After that, `"settled"` stands in the place of the secret while a hook is still to run.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::output;
use crate::secret::file::{self, Replacement};
use crate::secret::journal::{self, RecordName};
use crate::secret::sink::IssuedSecret;

/// The room that is taken for the answer before the call, so that a full disk can't
/// lose it.
const RESERVED: usize = 64 * 1024;
/// The most that is read of a record, in bytes: twice the largest answer, which is kept
/// byte for byte.
const MAX_RECORD_LEN: usize = 8 * 1024 * 1024;

/// How a line begins that announces an answer.
const ANSWER: &[u8] = b"{\"answer\":";

/// The recorded operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Create,
    Rotate,
}

/// The change that a run is about to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) operation: Operation,
    pub(crate) account_id: String,
    pub(crate) token_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) client_id: Option<String>,
    /// When the token was last updated before the call. As long as the API says the
    /// same, the rotate had no effect; a later time may come from another change.
    pub(crate) updated_at: Option<DateTime<Utc>>,
    /// When the token expires, and its old secret with it.
    pub(crate) expires_at: Option<DateTime<Utc>>,
    pub(crate) old_secret_valid_until: Option<DateTime<Utc>>,
    /// The version of the secret before the call, if the API shows it.
    pub(crate) version: Option<i64>,
    /// By the API's clock.
    pub(crate) started_at: DateTime<Utc>,
    /// Until when the call may still take effect, by the API's clock.
    pub(crate) may_arrive_until: DateTime<Utc>,
    pub(crate) sink: String,
    /// What is to be done once the sink has the secret.
    pub(crate) then_steps: Steps,
    /// Since when no known secret works, if this run replaces one that was lost.
    pub(crate) outage_since: Option<DateTime<Utc>>,
}

/// What is to be done once the sink has the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Steps {
    /// The URL of the app on which the secret is tried.
    pub(crate) verify: Option<String>,
    pub(crate) hook: bool,
}

impl Intent {
    /// Returns the operation and its token, such as `the rotate of "deploy"`.
    pub(crate) fn named(&self) -> String {
        let operation = match self.operation {
            Operation::Create => "create",
            Operation::Rotate => "rotate",
        };
        let token = self.name.as_deref().or(self.token_id.as_deref());
        format!("the {operation} of {:?}", token.unwrap_or("-"))
    }

    /// Returns until when the call may still take effect, unless that time is over.
    pub(crate) fn arrives_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // A wait must end even if the clock was set back.
        let longest = now + (self.may_arrive_until - self.started_at);
        let until = self.may_arrive_until.min(longest);
        (until > now).then_some(until)
    }

    /// Returns until when the old secret works, if no later call changes that: to the end
    /// of its grace period, but no longer than the token. `None` if it does not.
    pub(crate) fn old_secret_works_until(&self) -> Option<DateTime<Utc>> {
        // Nobody has the lost secret that this run replaces.
        if self.outage_since.is_some() {
            return None;
        }
        let until = self.old_secret_valid_until?;
        let until = self.expires_at.map_or(until, |expiry| expiry.min(until));
        (until > self.started_at).then_some(until)
    }
}

/// How far a run has come.
#[derive(Debug)]
pub(crate) enum Stage {
    /// No answer has arrived.
    Called,
    /// An answer that is not the documented one, which may hold a secret.
    Kept,
    /// The documented answer, with the token's secret.
    Answered(IssuedSecret),
    /// The sink has the secret, which is to be verified.
    Delivered(IssuedSecret),
    /// The secret is in its sink and no longer in the record; a hook is to run.
    Settled,
}

/// A run of `create` or `rotate`.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) intent: Intent,
    pub(crate) stage: Stage,
}

/// What is known of a token's secrets while no run is at work on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    /// When the newest secret was made.
    pub(crate) secret_since: Option<DateTime<Utc>>,
    /// Whether the newest secret may be older.
    pub(crate) is_estimate: bool,
    /// The version of the newest secret, if the API shows it.
    pub(crate) version: Option<i64>,
    /// Until when the secret before the newest one works.
    pub(crate) old_secret_valid_until: Option<DateTime<Utc>>,
}

impl Known {
    pub(crate) const NOTHING: Self = Self {
        secret_since: None,
        is_estimate: true,
        version: None,
        old_secret_valid_until: None,
    };

    /// What is known once the run has brought its secret to the sink.
    pub(crate) fn after(intent: &Intent, version: Option<i64>) -> Self {
        Self {
            secret_since: Some(intent.started_at),
            is_estimate: false,
            version,
            old_secret_valid_until: intent.old_secret_valid_until,
        }
    }
}

/// A line as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Token(Known),
    Intent(Intent),
    Secret {
        client_id: Option<String>,
        client_secret: Zeroizing<String>,
        token_id: Option<String>,
        version: Option<i64>,
    },
    Answer {
        bytes: usize,
    },
    Delivered,
    Settled,
}

/// A token's record, locked for as long as this value lives.
pub(crate) struct Record {
    pub(crate) name: RecordName,
    pub(crate) path: PathBuf,
    file: File,
    content: Content,
}

struct Content {
    known: Option<Known>,
    run: Option<Run>,
    /// The lines of the run, as they are written.
    lines: Zeroizing<Vec<u8>>,
}

impl Record {
    /// Locks the record for a run, and creates it if there is none.
    ///
    /// # Errors
    ///
    /// One of the kind `ResourceBusy`, if another run has it.
    pub(super) fn lock(name: RecordName, path: PathBuf) -> io::Result<Self> {
        loop {
            let mut options = file::options();
            let file = options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(|error| about(&path, &error))?;
            file::lock(&file)?;
            // Its last owner may have removed or replaced it before this lock.
            if file::is_at(&file, &path)? {
                return Self::of(name, path, file);
            }
        }
    }

    /// Reads the record, if there is one. Others can read it at the same time.
    ///
    /// # Errors
    ///
    /// One of the kind `ResourceBusy`, if a run has it.
    pub(super) fn read(name: RecordName, path: PathBuf) -> io::Result<Option<Self>> {
        loop {
            let file = match file::options().read(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file.map_err(|error| about(&path, &error))?,
            };
            file::lock_shared(&file)?;
            if file::is_at(&file, &path)? {
                return Self::of(name, path, file).map(Some);
            }
        }
    }

    fn of(name: RecordName, path: PathBuf, mut file: File) -> io::Result<Self> {
        let mut read = || {
            file::require_own(&file.metadata()?)?;
            let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
            if length > MAX_RECORD_LEN {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!("it is larger than the {MAX_RECORD_LEN} bytes that a record can take"),
                ));
            }
            // Large enough from the start, so that no copy is left behind.
            let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
            file.read_to_end(&mut bytes)?;
            Content::parse(&bytes)
        };
        let content = read().map_err(|error| about(&path, &error))?;
        Ok(Self {
            name,
            path,
            file,
            content,
        })
    }

    /// Returns the journal's directory.
    pub(crate) fn directory(&self) -> &Path {
        file::directory(&self.path)
    }

    /// Returns the shell's command that does something with the entry of the journal, such
    /// as `finish`.
    pub(crate) fn command(&self, verb: &str) -> String {
        journal::command(&format!(" {verb} {}", self.name), self.directory())
    }

    /// Returns the run that is not settled.
    pub(crate) fn run(&self) -> Option<&Run> {
        self.content.run.as_ref()
    }

    /// Returns what is known of the token's secrets.
    pub(crate) fn known(&self) -> Option<&Known> {
        self.content.known.as_ref()
    }

    /// Whether it is known how old the newest secret is, at least.
    pub(crate) fn is_dated(&self) -> bool {
        self.known()
            .is_some_and(|known| known.secret_since.is_some())
    }

    /// Returns until when the secret before the newest one works, as far as this journal
    /// knows.
    pub(crate) fn grace(&self) -> Option<DateTime<Utc>> {
        self.known()?.old_secret_valid_until
    }

    /// Returns the shell's command that shows an answer that was kept.
    pub(crate) fn show_answer(&self) -> String {
        let mut lines = self.content.lines.split(|byte| *byte == b'\n').skip(1);
        // An answer that was cut off has no line that announces it.
        let is_announced = lines.next().is_some_and(|line| line.starts_with(ANSWER));
        let first = 2 + usize::from(is_announced) + usize::from(self.content.known.is_some());
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        format!(
            "tail -n +{first} {}",
            output::quoted(&path.to_string_lossy())
        )
    }

    /// Records what is about to be done. When this returns, it is on disk, with room for
    /// the answer.
    pub(crate) fn begin(&mut self, intent: Intent) -> io::Result<()> {
        self.content.lines = line(&Line::Intent(intent.clone()))?;
        self.content.run = Some(Run {
            intent,
            stage: Stage::Called,
        });
        let begun = self.write(RESERVED);
        if begun.is_err() {
            self.content.run = None;
        }
        begun
    }

    /// Records the secret, before anything else is done with it.
    pub(crate) fn note_secret(&mut self, secret: &IssuedSecret) -> io::Result<()> {
        let text = secret.client_secret.expose_secret();
        let answer = line(&Line::Secret {
            client_id: secret.client_id.clone(),
            client_secret: Zeroizing::new(text.to_owned()),
            token_id: secret.token_id.clone(),
            version: secret.version,
        })?;
        self.reach(Stage::Answered(secret.clone()));
        self.note(&answer)
    }

    /// Keeps the bytes of an answer that holds no documented secret. The client limits
    /// their number.
    pub(crate) fn note_answer(&mut self, body: &[u8]) -> io::Result<()> {
        let mut answer = line(&Line::Answer { bytes: body.len() })?;
        answer.reserve_exact(body.len());
        answer.extend_from_slice(body);
        self.reach(Stage::Kept);
        self.note(&answer)
    }

    /// Records that the sink has the secret, which stays recorded until it is verified.
    pub(crate) fn note_delivered(&mut self) -> io::Result<()> {
        match self.content.run.take() {
            Some(Run {
                intent,
                stage: Stage::Answered(secret),
            }) => {
                let stage = Stage::Delivered(secret);
                self.content.run = Some(Run { intent, stage });
            }
            other => {
                self.content.run = other;
                return Ok(());
            }
        }
        let delivered = line(&Line::Delivered)?;
        self.content.lines.extend_from_slice(&delivered);
        self.write(0)
    }

    /// Removes the secret from the record, which keeps in mind that a hook is to run.
    pub(crate) fn note_settled(&mut self) -> io::Result<()> {
        let Some(run) = &mut self.content.run else {
            return Ok(());
        };
        run.stage = Stage::Settled;
        let mut lines = line(&Line::Intent(run.intent.clone()))?;
        lines.extend_from_slice(&line(&Line::Settled)?);
        self.content.lines = lines;
        self.write(0)
    }

    /// Forgets a run that had no effect.
    pub(crate) fn forget(&mut self) -> io::Result<()> {
        let known = self.content.known.take();
        self.settle(known)
    }

    /// Ends the run: its secret is in its sink, or given up. What stays is what is known,
    /// if anything is.
    pub(crate) fn settle(&mut self, known: Option<Known>) -> io::Result<()> {
        self.content.run = None;
        self.content.lines.clear();
        self.content.known = known;
        self.save()
    }

    /// Records what is known of the token's secrets.
    pub(crate) fn learn(&mut self, known: Known) -> io::Result<()> {
        if self.content.known.as_ref() == Some(&known) {
            return Ok(());
        }
        self.content.known = Some(known);
        self.save()
    }

    /// Sets until when the secret before the newest one works.
    pub(crate) fn set_grace(&mut self, grace: Option<DateTime<Utc>>) -> io::Result<()> {
        let known = Known {
            old_secret_valid_until: grace,
            ..self.known().cloned().unwrap_or(Known::NOTHING)
        };
        self.content.known = Some(known).filter(|known| *known != Known::NOTHING);
        self.save()
    }

    /// Writes the file anew, or removes it if nothing is known.
    fn save(&mut self) -> io::Result<()> {
        if self.content.known.is_some() || self.content.run.is_some() {
            return self.write(0);
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| file::sync_directory(&self.path)),
        }
    }

    fn reach(&mut self, stage: Stage) {
        if let Some(run) = &mut self.content.run {
            run.stage = stage;
        }
    }

    /// Writes the answer into the reserved room, or anew if that fails.
    fn note(&mut self, answer: &[u8]) -> io::Result<()> {
        let end = self.content.bytes()?.len();
        self.content.lines.extend_from_slice(answer);
        let in_place = self
            .file
            .seek(SeekFrom::Start(end as u64))
            .and_then(|_| self.file.write_all(answer))
            .and_then(|()| self.file.sync_all());
        if in_place.is_ok() && file::is_at(&self.file, &self.path).unwrap_or_default() {
            // The rest of the room is only blanks.
            let _ = self.file.set_len((end + answer.len()) as u64);
            return Ok(());
        }
        // The journal may have been removed while the API was at work.
        self.write(0)
    }

    /// Replaces the file by one with all lines, and keeps the lock.
    fn write(&mut self, room: usize) -> io::Result<()> {
        let mut content = self.content.bytes()?;
        let length = content.len() + room;
        content.resize(length, b' ');
        if let Some(directory) = self.path.parent() {
            file::create_directory(directory)?;
        }
        // Another run may have begun a record of its own since the journal was removed.
        if !file::is_at(&self.file, &self.path)? && self.path.exists() {
            return Err(file::busy());
        }
        self.file = Replacement::create(&self.path)?.finish(&content)?;
        Ok(())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let is_empty = self
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.len() == 0);
        if is_empty && file::is_at(&self.file, &self.path).unwrap_or_default() {
            // The next run removes it too.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Content {
    /// Reads what is known, the run and its lines. The last line may lack its line break.
    fn parse(bytes: &[u8]) -> io::Result<Self> {
        let mut known = None;
        let mut run: Option<Run> = None;
        let mut lines = bytes;
        let mut rest = bytes;
        while !rest.trim_ascii_start().is_empty() {
            let length = rest.iter().position(|byte| *byte == b'\n');
            let (line, after) = rest.split_at(length.map_or(rest.len(), |length| length + 1));
            let line = serde_json::from_slice(line);
            run = match (line, run.take().map(|run| (run.intent, run.stage))) {
                (Ok(Line::Token(token)), None) if known.is_none() => {
                    known = Some(token);
                    lines = after;
                    None
                }
                (Ok(Line::Intent(intent)), None) => Some((intent, Stage::Called)),
                (
                    Ok(Line::Secret {
                        client_id,
                        client_secret,
                        token_id,
                        version,
                    }),
                    Some((intent, Stage::Called)),
                ) => {
                    let secret = IssuedSecret {
                        client_id,
                        client_secret: SecretString::from(client_secret.as_str()),
                        token_id,
                        version,
                    };
                    Some((intent, Stage::Answered(secret)))
                }
                (Ok(Line::Delivered), Some((intent, Stage::Answered(secret)))) => {
                    Some((intent, Stage::Delivered(secret)))
                }
                (Ok(Line::Settled), Some((intent, Stage::Called))) => {
                    Some((intent, Stage::Settled))
                }
                // Also an answer that was cut off: a part of a secret may be in it.
                (Ok(Line::Answer { .. }) | Err(_), Some((intent, Stage::Called))) => {
                    let stage = Stage::Kept;
                    run = Some(Run { intent, stage });
                    break;
                }
                _ => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "it is not a record of this version",
                    ));
                }
            }
            .map(|(intent, stage)| Run { intent, stage });
            rest = after;
        }
        let mut kept = Zeroizing::new(Vec::with_capacity(lines.len() + 1));
        match &run {
            Some(run) if matches!(run.stage, Stage::Kept) => kept.extend_from_slice(lines),
            Some(_) => {
                // Without the room for the answer.
                kept.extend_from_slice(lines.trim_ascii_end());
                kept.push(b'\n');
            }
            None => {}
        }
        Ok(Self {
            known,
            run,
            lines: kept,
        })
    }

    fn bytes(&self) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut bytes = match &self.known {
            Some(known) => line(&Line::Token(known.clone()))?,
            None => Zeroizing::default(),
        };
        bytes.reserve_exact(self.lines.len() + RESERVED);
        bytes.extend_from_slice(&self.lines);
        Ok(bytes)
    }
}

fn line(line: &Line) -> io::Result<Zeroizing<Vec<u8>>> {
    // Large enough from the start, so that no copy of a secret is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 * 1024));
    serde_json::to_writer(&mut *bytes, line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
