//! Asks for confirmation before actions that can't be undone.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::failure::{Exit, Failure};
use crate::output::printable;

/// Makes sure that the user can be asked, unless `yes` is set.
pub(crate) fn require_possible(yes: bool) -> Result<(), Failure> {
    match yes || (io::stdin().is_terminal() && io::stderr().is_terminal()) {
        true => Ok(()),
        false => Err(Failure::usage(
            "this can't be undone and needs confirmation, but there is no terminal",
        )
        .next("add --yes to confirm")),
    }
}

/// Asks on the terminal, unless `yes` is set. The question may have several lines.
pub(crate) fn ask(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    require_possible(yes)?;
    let unanswered =
        |error| Failure::new(Exit::Failed, "can't read the confirmation").because(error);
    let mut err = io::stderr();
    let question: Vec<_> = question.lines().map(printable).collect();
    write!(err, "{} [y/N] ", question.join("\n"))
        .and_then(|()| err.flush())
        .map_err(unanswered)?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(unanswered)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(
            Exit::Failed,
            "not confirmed; nothing was changed",
        )),
    }
}
