//! Results on standard output: as a table for people, as JSON for programs.

mod json;
mod stream;
mod table;
mod text;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, Utc};
use serde::Serialize;
use terminal_size::{Width, terminal_size_of};

pub(crate) use stream::{Stderr, finish, start_writers};
pub(crate) use table::Cell;
pub(crate) use text::{bounded, printable, quoted};

use self::stream::Stream;
use crate::arguments::{Format, Global};
use crate::failure::{Exit, Failure};

const YELLOW: Style = AnsiColor::Yellow.on_default().bold();

/// A row among others, which every format can show. An unknown field is `null`, never
/// left out.
pub(crate) trait Record: Serialize {
    /// The table's header.
    const COLUMNS: &'static [&'static str];

    /// The columns to leave out where the terminal has no room, the first one first.
    const SPARE: &'static [&'static str] = &[];

    /// The table's row.
    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell>;

    /// Whether a quiet table shows it all the same.
    fn is_news(&self) -> bool {
        false
    }
}

/// Where results go, and in which form.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    /// Standard error, where standard output is taken by a secret.
    to_stderr: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            format: global.output,
            quiet: global.quiet,
            to_stderr: false,
        }
    }

    /// The same, on standard error if a secret has standard output for itself.
    pub(crate) fn beside_secret(mut self, on_stdout: bool) -> Self {
        self.to_stderr = on_stdout;
        self
    }

    /// Whether results are for people.
    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Shows what became of tokens, one a row; a quiet table has only those that
    /// somebody must know about.
    pub(crate) fn outcomes<R: Record>(
        &self,
        records: &[R],
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        if self.is_table() && self.quiet {
            let news = records.iter().filter(|record| record.is_news());
            return self.write(|out, width| table::rows(out, width, news, now));
        }
        self.records(records, now)
    }

    /// Shows records, one a row.
    pub(crate) fn records<R: Record>(
        &self,
        records: &[R],
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.write(|out, width| table::rows(out, width, records.iter(), now)),
            Format::Json => self.json(&records),
            Format::Jsonl => self.data(|out| {
                records
                    .iter()
                    .try_for_each(|record| json::line(out, record))
            }),
        }
    }

    /// Shows one record: in a table, a field a line.
    pub(crate) fn record<R: Serialize>(
        &self,
        record: &R,
        fields: &[(&str, Cell)],
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.write(|out, _| table::fields(out, fields)),
            Format::Json => self.json(record),
            Format::Jsonl => self.json_line(record),
        }
    }

    /// Writes a JSON document, for results of a form of their own.
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), Failure> {
        self.data(|out| json::document(out, document))
    }

    /// Begins a JSON document of one list, whose entries follow as they become known.
    pub(crate) fn json_list(&self, name: &str) -> Result<JsonList<'_>, Failure> {
        self.data(|out| json::begin(out, name))?;
        Ok(JsonList {
            output: self,
            is_empty: true,
        })
    }

    /// Writes a line of JSON, as something happens.
    pub(crate) fn json_line(&self, event: &impl Serialize) -> Result<(), Failure> {
        self.data(|out| json::line(out, event))
    }

    /// Writes a line for people.
    pub(crate) fn line(&self, words: &str) -> Result<(), Failure> {
        self.write(|out, _| writeln!(out, "{words}"))
    }

    /// Writes for people. A terminal has a width.
    pub(crate) fn write(
        &self,
        write: impl FnOnce(&mut dyn Write, Option<usize>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        self.try_write(write).map_err(unwritable)
    }

    /// Does what [`write`](Self::write) does, and returns the system's own error.
    pub(crate) fn try_write(
        &self,
        write: impl FnOnce(&mut dyn Write, Option<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let width = match self.to_stderr {
            true => width(io::stderr()),
            false => width(io::stdout()),
        };
        self.stream().words(|out| write(out, width))
    }

    /// Writes for programs.
    fn data(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        self.stream().data(write).map_err(unwritable)
    }

    fn stream(&self) -> Stream {
        match self.to_stderr {
            true => Stream::Stderr,
            false => Stream::Stdout,
        }
    }
}

/// The width of the terminal that a stream is, if it is one.
fn width(stream: impl IsTerminal + AsFd) -> Option<usize> {
    let (Width(columns), _) = terminal_size_of(&stream).filter(|_| stream.is_terminal())?;
    Some(columns.into())
}

/// A JSON document of one list, which is not in memory as a whole.
pub(crate) struct JsonList<'a> {
    output: &'a Output,
    is_empty: bool,
}

impl JsonList<'_> {
    pub(crate) fn push(&mut self, entry: &impl Serialize) -> Result<(), Failure> {
        let is_first = std::mem::take(&mut self.is_empty);
        self.output.data(|out| json::entry(out, is_first, entry))
    }

    pub(crate) fn end(&self) -> Result<(), Failure> {
        self.output.data(json::end)
    }
}

/// Prints the help or the version, or what is wrong with the command line.
pub(crate) fn answer(answer: &clap::Error) -> Result<Exit, Failure> {
    let printed = stream::flushed(&mut io::stdout(), |_| answer.print());
    match answer.use_stderr() {
        // If standard error can't be written, nowhere is left to report it.
        true => Ok(Exit::Usage),
        false => printed.map(|()| Exit::Success).map_err(unwritable),
    }
}

fn unwritable(error: io::Error) -> Failure {
    Failure::new(Exit::Failed, "can't write the result").because(error)
}

/// Prints a note beside the result on standard error.
pub(crate) fn remark(words: impl Display) {
    let words = printable(&words.to_string());
    to_stderr(|err| writeln!(err, "{YELLOW}note{YELLOW:#}: {words}"));
}

/// Prints the progress of the command on standard error.
pub(crate) fn progress(words: &str) {
    to_stderr(|err| writeln!(err, "{}", printable(words)));
}

/// Writes for people on standard error. If it can't be written, nowhere is left to report it.
pub(crate) fn to_stderr(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let _ = Stream::Stderr.words(write);
}
