//! Tables for people: aligned, fitted to the terminal, with colour if it shows it.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use chrono::{DateTime, Utc};
use comfy_table::{Attribute, Color, ColumnConstraint, ContentArrangement, Table, presets};
use terminal_size::{Width, terminal_size};

use crate::output::Record;
use crate::output::text::printable;

/// The space between two columns.
const PADDING: u16 = 2;

/// Longer than any name that the API accepts.
const MAX_CELL_CHARS: usize = 500;

/// A text, and what it means for the reader.
pub(crate) struct Cell {
    text: String,
    color: Option<Color>,
}

impl Cell {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: printable(&shortened(text.into())),
            color: None,
        }
    }

    /// A value that may be missing.
    pub(crate) fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map_or_else(|| Self::plain("-"), Self::plain)
    }

    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self::plain(text).colored(Color::Green)
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self::plain(text).colored(Color::Yellow)
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::plain(text).colored(Color::Red)
    }

    pub(crate) fn faint(text: impl Into<String>) -> Self {
        Self::plain(text).colored(Color::DarkGrey)
    }

    fn colored(mut self, color: Color) -> Self {
        self.color = Some(color);
        self
    }
}

/// How a stream is written to: with colour or without, and how wide.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    colored: bool,
    width: Option<u16>,
}

impl Style {
    /// Follows the stream, `NO_COLOR` and the terminal's width.
    pub(super) fn of<S: anstream::stream::RawStream>(
        stream: &AutoStream<S>,
        terminal: impl IsTerminal,
    ) -> Self {
        Self {
            colored: stream.current_choice() != ColorChoice::Never,
            width: match terminal.is_terminal() {
                true => terminal_size().map(|(Width(columns), _)| columns),
                false => None,
            },
        }
    }
}

pub(super) fn rows<'a, R: Record + 'a>(
    out: &mut dyn Write,
    style: Style,
    records: impl Iterator<Item = &'a R>,
    now: DateTime<Utc>,
) -> io::Result<()> {
    let mut table = table(style);
    table.set_header(R::COLUMNS.iter().map(|column| {
        let cell = comfy_table::Cell::new(column);
        cell.add_attribute(Attribute::Bold)
    }));
    for record in records {
        table.add_row(record.cells(now).into_iter().map(cell));
    }
    if table.row_count() == 0 {
        return Ok(());
    }
    if let Some(columns) = style.width {
        fit::<R>(&mut table, columns);
    }
    write(out, table)
}

/// Leaves out what there is no room for, and keeps in one piece what people copy.
fn fit<R: Record>(table: &mut Table, columns: u16) {
    let mut widths = table.column_max_content_widths();
    let index = |name: &&str| R::COLUMNS.iter().position(|column| column == name);
    for spare in R::SPARE.iter().filter_map(index) {
        let all = widths.iter().filter(|width| **width > 0);
        let needed: u32 = all.map(|width| u32::from(*width + PADDING)).sum();
        if needed <= u32::from(columns) {
            break;
        }
        if let (Some(width), Some(column)) = (widths.get_mut(spare), table.column_mut(spare)) {
            *width = 0;
            column.set_constraint(ColumnConstraint::Hidden);
        }
    }
    for whole in R::WHOLE.iter().filter_map(index) {
        if let Some(column) = table.column_mut(whole) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
}

pub(super) fn fields(out: &mut dyn Write, style: Style, fields: &[(&str, Cell)]) -> io::Result<()> {
    let mut table = table(style);
    for (name, value) in fields {
        let name = comfy_table::Cell::new(name).add_attribute(Attribute::Bold);
        let value = Cell {
            text: value.text.clone(),
            color: value.color,
        };
        table.add_row([name, cell(value)]);
    }
    write(out, table)
}

fn table(style: Style) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Output for another program keeps each row on one line.
    match style.width {
        Some(columns) => table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(columns),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    match style.colored {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table
}

/// Without the space that ends each line of a table without borders.
fn write(out: &mut dyn Write, mut table: Table) -> io::Result<()> {
    for column in table.column_iter_mut() {
        column.set_padding((0, PADDING));
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn cell(cell: Cell) -> comfy_table::Cell {
    let shown = comfy_table::Cell::new(cell.text);
    match cell.color {
        Some(color) => shown.fg(color),
        None => shown,
    }
}

/// The text up to a length that a table can lay out.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_CELL_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}
