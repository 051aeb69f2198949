//! `man`: the manual pages, made from the command line's own definition.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueHint};
use clap_mangen::roff::{Roff, bold, roman};

use crate::arguments::{self, NAME};
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  cf-service-tokens man | man -l -
  cf-service-tokens man --to /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// Write a page for each command to this directory
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub(crate) to: Option<PathBuf>,
}

pub(crate) fn man(output: &Output, arguments: &Man) -> Result<Exit, Failure> {
    let mut command = arguments::definition();
    command.build();
    if let Some(directory) = &arguments.to {
        fs::create_dir_all(directory)
            .and_then(|()| write_pages(&command, directory))
            .map_err(|error| {
                let directory = directory.display();
                Failure::usage(format!("can't write manual pages to {directory}")).because(error)
            })?;
        return Ok(Exit::Success);
    }
    let page = page(&command).map_err(|error| {
        Failure::new(Exit::Failed, "can't write the manual page").because(error)
    })?;
    output.write(|out, _| out.write_all(&page))?;
    Ok(Exit::Success)
}

/// Writes the page of a command, and those of the commands below it.
fn write_pages(command: &Command, directory: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(NAME);
    fs::write(directory.join(format!("{name}.1")), page(command)?)?;
    command
        .get_subcommands()
        .try_for_each(|command| write_pages(command, directory))
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let source = concat!("cf-service-tokens ", env!("CARGO_PKG_VERSION"));
    // A page has the whole help of the options that the short help leaves out.
    let command = command.clone().mut_args(|arg| arg.hide_short_help(false));
    let man = clap_mangen::Man::new(command.clone().override_usage(usage)).source(source);
    let text = command.get_after_long_help().map(ToString::to_string);
    let blocks: Vec<Block> = blocks(text.as_deref().unwrap_or_default());

    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut more = Roff::new();
    for block in blocks.iter().filter(|block| block.indented.is_empty()) {
        more.control("PP", []);
        more.text([roman(&block.text)]);
    }
    more.to_writer(&mut page)?;
    if command.get_arguments().next().is_some() {
        let mut options = Vec::new();
        man.render_options_section(&mut options)?;
        page.extend(with_tables(&String::from_utf8_lossy(&options)).into_bytes());
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }

    let mut more = Roff::new();
    for block in blocks.iter().filter(|block| block.text == "Outcomes:") {
        list(&mut more, "OUTCOMES", &block.indented);
    }
    let is_example = |block: &&Block| {
        !block.indented.is_empty() && !["Outcomes:", EXIT_CODES].contains(&block.text.as_str())
    };
    examples(&mut more, blocks.iter().filter(is_example));
    for block in self::blocks(arguments::EXIT_CODES) {
        if block.text == EXIT_CODES {
            list(&mut more, "EXIT STATUS", &block.indented);
        }
    }
    if command.get_name() != NAME {
        more.control("SH", ["SEE ALSO"]);
        more.text([bold(NAME), roman("(1)")]);
    }
    more.to_writer(&mut page)?;
    page.flush()?;
    Ok(page)
}

const EXIT_CODES: &str = "Exit codes:";

/// A paragraph of the help, and the indented lines that follow it.
struct Block {
    text: String,
    indented: Vec<String>,
}

fn blocks(help: &str) -> Vec<Block> {
    let paragraphs = help.split("\n\n").filter(|text| !text.is_empty());
    let blocks = paragraphs.map(|paragraph| {
        let (indented, text): (Vec<&str>, Vec<&str>) =
            paragraph.lines().partition(|line| line.starts_with("  "));
        Block {
            text: text.join(" "),
            indented: indented
                .into_iter()
                .map(|line| line[2..].to_owned())
                .collect(),
        }
    });
    blocks.collect()
}

/// Keeps the line breaks of indented lines, such as the table of sinks.
fn with_tables(section: &str) -> String {
    let mut kept = String::new();
    let mut is_table = false;
    for line in section.lines() {
        let is_indented = line.starts_with("  ");
        match (is_table, is_indented) {
            (false, true) => kept += ".nf\n",
            (true, false) => kept += ".fi\n",
            _ => {}
        }
        is_table = is_indented;
        kept += line;
        kept += "\n";
    }
    kept
}

/// A section that lists terms and their meanings, which two spaces or more separate.
fn list(page: &mut Roff, section: &str, lines: &[String]) {
    page.control("SH", [section]);
    for line in lines {
        match line.split_once("  ") {
            Some((term, meaning)) if !term.is_empty() => {
                page.control("TP", []);
                page.text([bold(term)]);
                page.text([roman(meaning.trim())]);
            }
            _ => {
                page.text([roman(line.trim())]);
            }
        }
    }
}

fn examples<'a>(page: &mut Roff, blocks: impl Iterator<Item = &'a Block>) {
    let mut blocks = blocks.peekable();
    if blocks.peek().is_some() {
        page.control("SH", ["EXAMPLES"]);
    }
    for block in blocks {
        page.control("PP", []);
        if block.text != "Examples:" {
            page.text([roman(&block.text)]);
        }
        page.control("RS", ["4"]);
        page.control("nf", []);
        for line in &block.indented {
            page.text([roman(line)]);
        }
        page.control("fi", []);
        page.control("RE", []);
    }
}
