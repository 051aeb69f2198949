//! JSON: a document, or an object a line.

use std::io::{self, Write};

use serde::Serialize;

pub(super) fn document(out: &mut dyn Write, document: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}

pub(super) fn line(out: &mut dyn Write, object: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object)?;
    writeln!(out)
}

/// Begins a document that is an object with one list.
pub(super) fn begin(out: &mut dyn Write, name: &str) -> io::Result<()> {
    write!(out, "{{\n  \"{name}\": [")
}

/// Writes an entry of the list.
pub(super) fn entry(out: &mut dyn Write, is_first: bool, entry: &impl Serialize) -> io::Result<()> {
    let entry = serde_json::to_string_pretty(entry)?;
    // No string in JSON has a line break of its own.
    let entry = entry.replace('\n', "\n    ");
    let comma = if is_first { "" } else { "," };
    write!(out, "{comma}\n    {entry}")
}

/// Ends the list and the document.
pub(super) fn end(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n  ]\n}}")
}
