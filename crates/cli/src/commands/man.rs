//! `man`: the manual pages, made from the command line's own definition.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Write a page for each command to this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) to: Option<PathBuf>,
}

pub(crate) fn man(output: &Output, arguments: &Man) -> Result<Exit, Failure> {
    if let Some(directory) = &arguments.to {
        std::fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(Arguments::command(), directory))
            .map_err(|error| {
                let directory = directory.display();
                Failure::usage(format!("can't write manual pages to {directory}")).because(error)
            })?;
        return Ok(Exit::Success);
    }
    let page = page().map_err(|error| {
        Failure::new(Exit::Failed, "can't write the manual page").because(error)
    })?;
    output.write(|out, _| out.write_all(&page))?;
    Ok(Exit::Success)
}

fn page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
    page.flush()?;
    Ok(page)
}
