//! `report --html`: the report as a page, in a file or on standard output.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::failure::Failure;
use crate::output::{self, Output};
use crate::serve::page;

/// Checks that standard output is not to take both the page and JSON.
pub(super) fn check(file: &Path, output: &Output) -> Result<(), Failure> {
    if is_stdout(file) && !output.is_table() {
        let what = "--html - and --output json would both write to standard output";
        return Err(Failure::usage(what).next("write the page to a file: --html FILE"));
    }
    Ok(())
}

/// Writes the page. If it goes to a file, a line on standard error says so, unless the
/// result is JSON or the command is quiet.
pub(super) fn write(file: &Path, output: &Output, report: &page::Report) -> Result<(), Failure> {
    let page = page::html(report);
    if is_stdout(file) {
        return output.write(|out, _| out.write_all(page.as_bytes()));
    }
    replace(file, page.as_bytes()).map_err(|error| {
        Failure::usage(format!("can't write the page to {}", file.display())).because(error)
    })?;
    if output.is_table() && !output.quiet {
        output::progress(&format!(
            "wrote {}: {}",
            file.display(),
            page::verdict(report)
        ));
    }
    Ok(())
}

fn is_stdout(file: &Path) -> bool {
    file == Path::new("-")
}

/// Replaces a file as a whole, so that no reader gets half a page. The umask decides who
/// may read it, since a page holds no secret.
fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
    let mut new = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory.unwrap_or(Path::new(".")))?;
    new.write_all(content)?;
    new.persist(file)?;
    Ok(())
}
