//! Comma-separated values, with the same names as JSON has.

use std::io::{self, Write};

use crate::output::Record;

pub(super) fn rows<R: Record>(out: &mut dyn Write, records: &[R]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for record in records {
        writer.serialize(record).map_err(io::Error::other)?;
    }
    writer.flush()
}
