//! `report --html`: the report as a page, in a file or on standard output.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::failure::Failure;
use crate::output::{self, Output};
use crate::serve::page;

/// Checks that standard output is not to take both the page and JSON.
pub(super) fn check(file: &Path, output: &Output) -> Result<(), Failure> {
    if is_stdout(file) && !output.is_table() {
        let what = "--html - would write the page among the JSON on standard output";
        return Err(Failure::usage(what).next("write the page to a file: --html FILE"));
    }
    Ok(())
}

/// Writes the page. If it goes to a file, a line on standard error says so, unless the
/// result is JSON or the command is quiet.
pub(super) fn write(
    file: &Path,
    output: &Output,
    accounts: &[page::Report],
) -> Result<(), Failure> {
    let page = page::html_of_all(accounts);
    if is_stdout(file) {
        return output.write(|out, _| out.write_all(page.as_bytes()));
    }
    put(file, page.as_bytes()).map_err(|error| {
        Failure::usage(format!("can't write the page to {}", file.display())).because(error)
    })?;
    if output.is_table() && !output.quiet {
        output::progress(&format!(
            "wrote {}: {}",
            file.display(),
            page::verdict_on_all(accounts)
        ));
    }
    Ok(())
}

fn is_stdout(file: &Path) -> bool {
    file == Path::new("-")
}

/// Puts the page in a file. A regular file is replaced as a whole, so that no reader gets
/// half a page, and keeps its mode. The umask decides that of a new one, since a page holds
/// no secret. A link is followed, and a pipe or device is written to.
fn put(file: &Path, page: &[u8]) -> io::Result<()> {
    let old = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        found => Some(found?),
    };
    let is_replaceable = match &old {
        Some(old) => old.is_file(),
        // A link may point to a file that is not there yet.
        None => !file.is_symlink(),
    };
    if !is_replaceable {
        return fs::write(file, page);
    }
    let file = match old {
        Some(_) => fs::canonicalize(file)?,
        None => file.to_owned(),
    };
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    // This error names no temporary file.
    fs::metadata(directory)?;
    let mut new = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    if let Some(old) = old {
        new.as_file().set_permissions(old.permissions())?;
    }
    new.write_all(page)?;
    new.persist(file)?;
    Ok(())
}
