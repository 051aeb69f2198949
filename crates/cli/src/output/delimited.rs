//! Comma-separated values, with the same names as JSON has.

use std::io::{self, Write};

use csv::{ReaderBuilder, StringRecord, Writer};
use serde::Serialize;

/// A header, and the records; if there are none, the header is that of `blank`.
pub(super) fn rows<R: Serialize>(
    out: &mut dyn Write,
    records: &[R],
    blank: Option<&R>,
) -> io::Result<()> {
    let mut rows = Writer::from_writer(Vec::new());
    for record in records.iter().chain(blank.filter(|_| records.is_empty())) {
        rows.serialize(record).map_err(io::Error::other)?;
    }
    let rows = rows.into_inner().map_err(io::Error::other)?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .from_reader(rows.as_slice());
    let shown = if records.is_empty() { 1 } else { usize::MAX };
    let mut writer = Writer::from_writer(out);
    for row in reader.records().take(shown) {
        let row: StringRecord = row.map_err(io::Error::other)?;
        writer.write_record(row.iter().map(guarded))?;
    }
    writer.flush()
}

/// The cell, so that a spreadsheet takes no text for a formula: a token's name is
/// whatever somebody once typed.
fn guarded(cell: &str) -> String {
    let is_number = cell.parse::<i64>().is_ok();
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
        true => format!("'{cell}"),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Named {
        name: &'static str,
        seconds: i64,
    }

    fn text(records: &[Named]) -> String {
        let blank = Named {
            name: "",
            seconds: 0,
        };
        let mut text = Vec::new();
        rows(&mut text, records, Some(&blank)).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_a_spreadsheet_would_calculate_is_guarded() {
        for (name, cell) in [
            ("=1+2", "'=1+2"),
            ("+SUM(A1)", "'+SUM(A1)"),
            ("-x", "'-x"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("=A1,\"x\"", "\"'=A1,\"\"x\"\"\""),
            ("a=b", "a=b"),
            ("'=1", "'=1"),
        ] {
            let named = Named { name, seconds: -7 };
            assert_eq!(text(&[named]), format!("name,seconds\n{cell},-7\n"));
        }
    }

    #[test]
    fn the_header_is_there_without_a_row() {
        assert_eq!(text(&[]), "name,seconds\n");
    }
}
