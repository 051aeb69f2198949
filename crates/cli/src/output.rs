//! Results on standard output: as a table for people, as JSON or CSV for programs.

mod delimited;
mod json;
mod table;

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use serde::Serialize;

pub(crate) use table::Cell;

use crate::arguments::{Format, Global};
use crate::exit::Exit;
use crate::explain::Failure;

/// A result that every format can show. Its fields are flat, since CSV has no
/// other kind; those that are unknown are `null`, never left out.
pub(crate) trait Record: Serialize {
    /// The table's header.
    const COLUMNS: &'static [&'static str];

    /// The table's row.
    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell>;

    /// Whether a quiet table shows it all the same.
    fn is_failure(&self) -> bool {
        false
    }
}

/// Where results go, and in which form.
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

    /// Shows what became of tokens, one a row; if quiet, the table has only those
    /// that failed.
    pub(crate) fn outcomes<R: Record>(&self, records: &[R]) -> Result<(), Failure> {
        if self.is_table() && self.quiet {
            let failed = records.iter().filter(|record| record.is_failure());
            return self.write(|out, style| table::rows(out, style, failed, Utc::now()));
        }
        self.records(records)
    }

    /// Shows records, one a row.
    pub(crate) fn records<R: Record>(&self, records: &[R]) -> Result<(), Failure> {
        self.write(|out, style| match self.format {
            Format::Table => table::rows(out, style, records.iter(), Utc::now()),
            Format::Json => json::document(out, &records),
            Format::Jsonl => records.iter().try_for_each(|r| json::line(out, r)),
            Format::Csv => delimited::rows(out, records),
        })
    }

    /// Shows one record: in a table, a field a line.
    pub(crate) fn record<R: Record>(
        &self,
        record: &R,
        fields: &[(&str, Cell)],
    ) -> Result<(), Failure> {
        self.write(|out, style| match self.format {
            Format::Table => table::fields(out, style, fields),
            Format::Json => json::document(out, record),
            Format::Jsonl => json::line(out, record),
            Format::Csv => delimited::rows(out, std::slice::from_ref(record)),
        })
    }

    /// Writes a JSON document, for results of a form of their own.
    pub(crate) fn json(&self, document: &impl Serialize) -> Result<(), Failure> {
        self.write(|out, _| json::document(out, document))
    }

    /// Writes a line of JSON, as something happens.
    pub(crate) fn json_line(&self, event: &impl Serialize) -> Result<(), Failure> {
        self.write(|out, _| json::line(out, event))
    }

    /// Writes a line for people.
    pub(crate) fn line(&self, words: &str) -> Result<(), Failure> {
        self.write(|out, _| writeln!(out, "{words}"))
    }

    /// Writes, and flushes, so that nothing that matters is held back.
    pub(crate) fn write(
        &self,
        write: impl FnOnce(&mut dyn Write, table::Style) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let result = if self.to_stderr {
            let stream = anstream::stderr();
            let style = table::Style::of(&stream, io::stderr());
            put(&mut stream.lock(), style, write)
        } else {
            let stream = anstream::stdout();
            let style = table::Style::of(&stream, io::stdout());
            put(&mut stream.lock(), style, write)
        };
        match result {
            // Whoever reads has enough, such as `head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => {
                Err(Failure::new(Exit::Failed, "the result can't be written").because(error))
            }
            Ok(()) => Ok(()),
        }
    }
}

fn put(
    stream: &mut dyn Write,
    style: table::Style,
    write: impl FnOnce(&mut dyn Write, table::Style) -> io::Result<()>,
) -> io::Result<()> {
    write(stream, style)?;
    stream.flush()
}
