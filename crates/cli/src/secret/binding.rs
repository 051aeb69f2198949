//! The token that a name stands for: the one that had the name at first sight. So nobody
//! who can create tokens has a secret delivered by taking a name.

use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};
use crate::secret::file::{self, Replacement};
use crate::secret::journal::{self, Journal};
use crate::secret::reading;

/// The most that is read of a binding, in bytes. A name has at most 350 characters.
const MAX_BINDING_LEN: u64 = 64 * 1024;

/// The content of the file `name-HASH.jsonl` in the journal.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Binding {
    name: String,
    account_id: String,
    token_id: String,
}

/// Makes sure that a name stands for the same token as at first sight, which this may be.
///
/// # Errors
///
/// If the name is now another token's.
pub(crate) fn require_same(
    journal: &Journal,
    account_id: &str,
    name: &str,
    token_id: &str,
) -> Result<(), Failure> {
    let bound = journal
        .create()
        .and_then(|()| read_or_bind(journal, account_id, name, token_id))
        .map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => {
                let entry = entry(account_id, name);
                Failure::new(Exit::Failed, format!("another run is using {entry}"))
                    .next("nothing was changed; wait for it to end")
            }
            _ => journal.unusable(&error),
        })?;
    require(journal, account_id, name, &bound, token_id)
}

/// Does the same, without binding a name at first sight.
pub(crate) fn check(
    journal: &Journal,
    account_id: &str,
    name: &str,
    token_id: &str,
) -> Result<(), Failure> {
    match read(journal, account_id, name) {
        Ok(bound) => require(journal, account_id, name, &bound, token_id),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(journal.unusable(&error)),
    }
}

fn require(
    journal: &Journal,
    account_id: &str,
    name: &str,
    bound: &str,
    token_id: &str,
) -> Result<(), Failure> {
    if reading::is_same(bound, token_id) {
        return Ok(());
    }
    let entry = entry(account_id, name);
    Err(Failure::new(
        Exit::Failed,
        format!("another token now has the name {name:?}: it was {bound}, and is now {token_id}"),
    )
    .next(format!(
        "nothing was changed; to accept the new token, run: {}",
        journal::command(&format!(" discard {entry}"), journal.directory())
    )))
}

/// Whether there is an entry of this name.
pub(crate) fn exists(journal: &Journal, entry: &str) -> bool {
    is_entry(entry) && path(journal, entry).exists()
}

/// Forgets which token a name stands for, by the name of the entry, which exists.
pub(crate) fn discard(journal: &Journal, entry: &str) -> Result<(), Failure> {
    fs::remove_file(path(journal, entry)).map_err(|error| journal.unusable(&error))
}

fn entry(account_id: &str, name: &str) -> String {
    format!("name-{}", journal::short_hash(account_id, name))
}

fn is_entry(text: &str) -> bool {
    let hash = text.strip_prefix("name-").unwrap_or_default();
    hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn path(journal: &Journal, entry: &str) -> PathBuf {
    journal.directory().join(format!("{entry}.jsonl"))
}

/// Returns the id of the token that the name stands for, from now on if it is new.
fn read_or_bind(
    journal: &Journal,
    account_id: &str,
    name: &str,
    token_id: &str,
) -> io::Result<String> {
    match read(journal, account_id, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        known => return known,
    }
    let path = path(journal, &entry(account_id, name));
    let binding = Binding {
        name: name.to_owned(),
        account_id: account_id.to_owned(),
        token_id: token_id.to_owned(),
    };
    let mut line = serde_json::to_vec(&binding)?;
    line.push(b'\n');
    let new = Replacement::create(&path)?;
    // Another run may just have bound the name.
    if path.exists() {
        return Err(file::busy());
    }
    new.finish(&line)?;
    Ok(binding.token_id)
}

/// Returns the id of the token that the name stands for.
fn read(journal: &Journal, account_id: &str, name: &str) -> io::Result<String> {
    let path = path(journal, &entry(account_id, name));
    let file = file::options().read(true).open(&path)?;
    file::require_own(&file.metadata()?)?;
    let mut text = String::new();
    file.take(MAX_BINDING_LEN).read_to_string(&mut text)?;
    let binding: Binding = serde_json::from_str(&text).map_err(|error| {
        let at = path.display();
        io::Error::new(io::ErrorKind::InvalidData, format!("{at}: {error}"))
    })?;
    match binding.name == name && binding.account_id == account_id {
        true => Ok(binding.token_id),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{}: it is the entry of another name", path.display()),
        )),
    }
}
