//! `journal`: lists, finishes or discards the entries of an interrupted `create` or
//! `rotate`.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::arguments::JournalCommand;
use crate::commands::confirm;
use crate::exit::Exit;
use crate::explain::{self, Failure};
use crate::output::{Cell, Output, Record};
use crate::secret::journal::{Answer, Entry, Found, Journal, Operation};
use crate::secret::sink::Sink;
use crate::secret::{deliver, recover};
use crate::when;

pub(crate) fn run(
    journal: &Journal,
    output: Output,
    command: Option<JournalCommand>,
) -> Result<Exit, Failure> {
    match command.unwrap_or(JournalCommand::List) {
        JournalCommand::List => list(journal, &output),
        JournalCommand::Finish { entry, secret_to } => finish(journal, output, &entry, secret_to),
        JournalCommand::Discard { entry, yes } => discard(journal, &output, &entry, yes),
    }
}

fn list(journal: &Journal, output: &Output) -> Result<Exit, Failure> {
    let left = journal.left()?;
    let records: Vec<_> = left.iter().map(EntryRecord::new).collect();
    output.records(&records)?;
    if output.is_table() && records.is_empty() && !output.quiet {
        output.line("the journal is empty")?;
    }
    Ok(Exit::Success)
}

fn finish(
    journal: &Journal,
    output: Output,
    name: &str,
    secret_to: Option<Sink>,
) -> Result<Exit, Failure> {
    let mut entry = find(journal, name)?;
    let Some(Answer::Secret(secret)) = entry.answer.take() else {
        return Err(
            Failure::new(Exit::Failed, "this entry holds no secret").next(recover::advice(&entry))
        );
    };
    let sink = match secret_to {
        Some(sink) => sink.absolute(),
        None => entry.intent.sink.parse().map_err(Failure::usage)?,
    };
    let proved = sink.prove()?;
    deliver::deliver(&entry, proved, secret).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("could not store the secret in {sink}"),
        )
        .because(error)
        .next("it is still in the journal; try again with another --secret-to")
    })?;
    let output = output.beside_secret(sink == Sink::Stdout);
    settled(
        journal,
        &output,
        entry,
        true,
        &format!("the secret {}", deliver::whereabouts(&sink)),
    )
}

fn discard(journal: &Journal, output: &Output, name: &str, yes: bool) -> Result<Exit, Failure> {
    let entry = find(journal, name)?;
    let question = match &entry.answer {
        Some(_) => "This deletes the secret in the entry for good. Discard it?",
        None => "Discard the entry?",
    };
    confirm::ask(question, yes)?;
    let took_place = entry.answer.is_some();
    settled(journal, output, entry, took_place, "discarded")
}

fn settled(
    journal: &Journal,
    output: &Output,
    entry: Entry,
    took_place: bool,
    words: &str,
) -> Result<Exit, Failure> {
    let name = entry.intent.entry.clone();
    remove_leftover(&entry.intent.sink);
    recover::end(journal, entry, took_place)?;
    if output.is_table() && !output.quiet {
        output.line(&format!("{name}: {words}"))?;
    }
    Ok(Exit::Success)
}

/// Removes a temporary file that the run may have left beside its sink.
fn remove_leftover(sink: &str) {
    let removed = sink.parse::<Sink>().map(|sink| sink.remove_leftover());
    if let Ok(Err(error)) = removed {
        explain::remark(format!(
            "can't remove the temporary file beside {sink}, which may hold the secret: {error}"
        ));
    }
}

fn find(journal: &Journal, name: &str) -> Result<Entry, Failure> {
    match journal.find(name)? {
        Some(Found::Left(entry)) => Ok(*entry),
        Some(Found::Busy) => Err(Failure::new(
            Exit::Failed,
            format!("another run is using {name}"),
        )
        .next("wait for it to end")),
        None => Err(Failure::usage(format!("the journal has no entry {name:?}"))
            .next("`cf-service-tokens journal` lists the entries")),
    }
}

/// An entry, without its secret.
#[derive(Debug, Serialize)]
struct EntryRecord {
    entry: String,
    operation: Operation,
    account_id: String,
    token_id: Option<String>,
    name: Option<String>,
    started_at: DateTime<Utc>,
    holds: &'static str,
    secret_to: String,
    old_secret_valid_until: Option<DateTime<Utc>>,
    next: String,
}

impl EntryRecord {
    fn new(entry: &Entry) -> Self {
        let intent = &entry.intent;
        Self {
            entry: intent.entry.clone(),
            operation: intent.operation,
            account_id: intent.account_id.clone(),
            token_id: intent.token_id.clone(),
            name: intent.name.clone(),
            started_at: intent.started_at,
            holds: match entry.answer {
                Some(Answer::Secret(_)) => "secret",
                Some(Answer::Unread) => "answer",
                None => "intent",
            },
            secret_to: intent.sink.clone(),
            old_secret_valid_until: intent.old_secret_valid_until,
            next: recover::advice(entry),
        }
    }
}

impl Record for EntryRecord {
    const COLUMNS: &'static [&'static str] = &["ENTRY", "TOKEN", "STARTED", "HOLDS", "NEXT"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let holds = match self.holds {
            "secret" => Cell::warning("the secret"),
            "answer" => Cell::warning("a response"),
            _ => Cell::plain("no response"),
        };
        vec![
            Cell::plain(self.entry.clone()),
            Cell::maybe(self.name.clone()),
            Cell::plain(when::date_and_distance(self.started_at, now)),
            holds,
            Cell::plain(self.next.clone()),
        ]
    }
}
