//! `journal`: lists, finishes or discards the entries of an interrupted `create` or
//! `rotate`.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::commands::confirm;
use crate::failure::{Exit, Failure};
use crate::output::{self, Cell, Output};
use crate::secret::binding;
use crate::secret::journal::Journal;
use crate::secret::record::{Operation, Record, Run, Stage};
use crate::secret::recover;
use crate::secret::sink::{API_CREDENTIALS, Sink};
use crate::time;

#[derive(Args, Debug)]
#[command(after_long_help = "\
`create`, `rotate` and `keep` record their intent before they call the API, and the secret
before they do anything else with it. If they are killed, the journal has what is left to
do. Secrets are never shown: `finish` stores them in their sink. A response that is not the
documented one is kept unchanged until `discard` removes it.")]
pub(crate) struct JournalArguments {
    #[command(subcommand)]
    pub(crate) command: Option<JournalCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// List the entries, and what to do about each
    List,
    /// Store the secret of an entry in its sink
    Finish {
        /// The entry, as `journal list` shows it
        entry: String,
        /// Store the secret in this sink instead of the one of the entry
        #[arg(long, value_name = "SINK")]
        secret_to: Option<Sink>,
        /// Keep this API credential, such as CLOUDFLARE_API_TOKEN, in the environment of
        /// command:COMMAND; may be repeated
        #[arg(long, value_name = "NAME", value_parser = API_CREDENTIALS, hide_possible_values = true)]
        keep_env: Vec<String>,
    },
    /// Remove an entry, and the secret in it
    Discard {
        /// The entry, as `journal list` shows it
        entry: String,
        /// Skip the confirmation prompt
        #[arg(long, short)]
        yes: bool,
    },
}

pub(crate) async fn run(
    journal: &Journal,
    output: Output,
    command: Option<JournalCommand>,
) -> Result<Exit, Failure> {
    match command.unwrap_or(JournalCommand::List) {
        JournalCommand::List => list(journal, &output),
        JournalCommand::Finish {
            entry,
            secret_to,
            keep_env,
        } => finish(journal, output, &entry, secret_to, keep_env).await,
        JournalCommand::Discard { entry, yes } => discard(journal, &output, &entry, yes),
    }
}

fn list(journal: &Journal, output: &Output) -> Result<Exit, Failure> {
    // Read first: a run that ends meanwhile is in one of the two.
    let at_work = journal.at_work();
    let mut records = Vec::new();
    let mut unreadable = Vec::new();
    for left in journal.left_or_unreadable() {
        match left {
            Ok(record) => records.extend(EntryRecord::new(&record)),
            Err(error) => unreadable.push(journal.unusable(&error)),
        }
    }
    output.records(&records, Utc::now())?;
    if output.is_table() && !records.is_empty() {
        output.line("")?;
        for record in &records {
            let advice = format!("{}: {}", record.entry, record.next);
            output.line(&output::printable(&advice))?;
        }
    }
    if let Some(last) = unreadable.pop() {
        unreadable.iter().for_each(Failure::show);
        return Err(last);
    }
    if output.is_table() && records.is_empty() && at_work.is_empty() && !output.quiet {
        output.line("the journal is empty")?;
    }
    for name in at_work.iter().filter(|_| !output.quiet) {
        output::remark(format!("another run is using {name}"));
    }
    Ok(Exit::Success)
}

async fn finish(
    journal: &Journal,
    output: Output,
    name: &str,
    secret_to: Option<Sink>,
    keep_env: Vec<String>,
) -> Result<Exit, Failure> {
    let sink = recover::finish(journal, journal.find(name)?, secret_to, keep_env).await?;
    let output = output.beside_secret(sink == Sink::Stdout);
    settled(&output, name, &format!("the secret {}", sink.whereabouts()))
}

fn discard(journal: &Journal, output: &Output, name: &str, yes: bool) -> Result<Exit, Failure> {
    if binding::exists(journal, name) {
        confirm::ask(&format!("Discard {name}? {ANOTHER_TOKEN}"), yes)?;
        binding::discard(journal, name)?;
        return settled(output, name, "discarded");
    }
    let record = journal.find(name)?;
    if let Some(run) = record.run() {
        confirm::ask(&question(&record, run), yes)?;
    }
    recover::discard(record)?;
    settled(output, name, "discarded")
}

/// The effect of forgetting which token a name stands for.
const ANOTHER_TOKEN: &str =
    "The name then stands for the token that has it now, whose secrets go to the same sink.";

fn question(record: &Record, run: &Run) -> String {
    let intent = &run.intent;
    let consequence = match run.stage {
        Stage::Called => "Its call may still take effect.",
        Stage::Kept => "Its response, which may hold a new secret, is deleted for good.",
        Stage::Answered(_) => "Its new secret is deleted for good.",
        Stage::Delivered(_) => "Its new secret, which is in its sink, is not verified.",
        Stage::Settled => "Its hook does not run.",
    };
    format!(
        "Discard {} ({}, started {})? {consequence}",
        intent.named(),
        record.name,
        time::distance(intent.started_at - Utc::now())
    )
}

fn settled(output: &Output, name: &str, words: &str) -> Result<Exit, Failure> {
    if output.is_table() && !output.quiet {
        output.line(&format!("{name}: {words}"))?;
    }
    Ok(Exit::Success)
}

/// An entry, without its secret.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EntryRecord {
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
    fn new(record: &Record) -> Option<Self> {
        let run = record.run()?;
        let intent = &run.intent;
        Some(Self {
            entry: record.name.to_string(),
            operation: intent.operation,
            account_id: intent.account_id.clone(),
            token_id: intent.token_id.clone(),
            name: intent.name.clone(),
            started_at: intent.started_at,
            holds: match run.stage {
                Stage::Called => "intent",
                Stage::Kept => "answer",
                Stage::Answered(_) => "secret",
                Stage::Delivered(_) => "delivered_secret",
                Stage::Settled => "hook",
            },
            secret_to: intent.sink.clone(),
            old_secret_valid_until: intent.old_secret_works_until(),
            next: recover::advice(record, run),
        })
    }
}

impl output::Record for EntryRecord {
    const COLUMNS: &'static [&'static str] = &["ENTRY", "TOKEN", "STARTED", "HOLDS"];
    const SPARE: &'static [&'static str] = &["STARTED"];

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let holds = match self.holds {
            "secret" => Cell::warning("the secret"),
            "answer" => Cell::warning("a response"),
            "delivered_secret" => Cell::warning("a secret to verify"),
            "hook" => Cell::warning("a hook to run"),
            _ => Cell::plain("no response"),
        };
        vec![
            Cell::name(Some(self.entry.as_str())),
            Cell::name(self.name.as_deref()),
            Cell::time(self.started_at, now),
            holds,
        ]
    }
}
