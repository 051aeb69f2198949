//! Asks before what can't be undone.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::exit::Exit;
use crate::explain::Failure;

/// Asks on the terminal, unless `yes` was said beforehand.
pub(crate) fn ask(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(
            Failure::usage("this can't be undone, and there is nobody to ask")
                .next("add --yes if it is meant"),
        );
    }
    let unanswered = |error| Failure::new(Exit::Failed, "there was no answer").because(error);
    let mut err = io::stderr();
    write!(err, "{question} [y/N] ")
        .and_then(|()| err.flush())
        .map_err(unanswered)?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(unanswered)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Exit::Failed, "nothing was done")),
    }
}
