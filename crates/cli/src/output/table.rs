//! Tables for people: aligned, with one line a row, however narrow the terminal is.

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, Utc};
use unicode_width::UnicodeWidthStr as _;

use crate::output::Record;
use crate::output::text::{bounded, printable};
use crate::time;

/// The space between two columns.
const GAP: usize = 2;

/// A terminal as wide as this has room for whole ids and for dates.
const WIDE: usize = 120;

/// A name keeps this width for as long as another column can be left out.
const MIN_NAME: usize = 20;

/// The width that a name keeps even where other columns have to go.
const LEAST: usize = 8;

/// Most ids differ in so many characters; commands take a prefix of at least as many.
const MIN_ID: usize = 8;

/// A text, how it can be shortened, and what it means for the reader.
pub(crate) struct Cell {
    text: String,
    form: Form,
    style: Style,
}

/// How a cell is shortened where the terminal has no room for all of it.
enum Form {
    /// Not at all.
    Whole,
    /// It ends in `…`.
    Cut,
    /// To the first characters, which tell it from the other ids of the table.
    Id,
    /// To another text.
    Short(String),
}

impl Cell {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self {
            text: printable(&bounded(&text.into())),
            form: Form::Whole,
            style: Style::new(),
        }
    }

    /// A value that may be missing.
    pub(crate) fn maybe(text: Option<impl Into<String>>) -> Self {
        text.map_or_else(|| Self::plain("-"), Self::plain)
    }

    /// A name, or another text of any length.
    pub(crate) fn name(name: Option<impl Into<String>>) -> Self {
        Self {
            form: Form::Cut,
            ..Self::maybe(name)
        }
    }

    pub(crate) fn id(id: Option<impl Into<String>>) -> Self {
        let form = if id.is_some() { Form::Id } else { Form::Whole };
        Self {
            form,
            ..Self::maybe(id)
        }
    }

    /// A time as a date and as a distance, or as the distance alone.
    pub(crate) fn time(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            form: Form::Short(time::distance(at - now)),
            ..Self::plain(time::date_and_distance(at, now))
        }
    }

    /// Shows another text where the terminal has no room for all of this one.
    pub(crate) fn or_short(mut self, short: impl Into<String>) -> Self {
        self.form = Form::Short(short.into());
        self
    }

    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self::plain(text).colored(AnsiColor::Green)
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self::plain(text).colored(AnsiColor::Yellow)
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::plain(text).colored(AnsiColor::Red)
    }

    pub(crate) fn faint(text: impl Into<String>) -> Self {
        Self::plain(text).colored(AnsiColor::BrightBlack)
    }

    pub(crate) fn colored(mut self, color: AnsiColor) -> Self {
        self.style = color.on_default();
        self
    }
}

/// A column, and how wide it is shown.
struct Column {
    name: &'static str,
    cells: Vec<Cell>,
    width: usize,
}

impl Column {
    fn new(name: &'static str, cells: Vec<Cell>) -> Self {
        let width = widest(name, &cells);
        Self { name, cells, width }
    }

    fn is_empty(&self) -> bool {
        self.cells.iter().all(|cell| cell.text.is_empty())
    }

    fn is_cut(&self) -> bool {
        self.cells.iter().any(|cell| matches!(cell.form, Form::Cut))
    }

    /// The width that it needs before other columns are left out.
    fn needed(&self) -> usize {
        match self.is_cut() {
            true => self.width.min(MIN_NAME),
            false => self.width,
        }
    }

    /// Shortens times and ids.
    fn shorten(&mut self) {
        let ids = self
            .cells
            .iter()
            .filter(|cell| matches!(cell.form, Form::Id));
        let length = distinct_length(ids.map(|cell| cell.text.as_str()).collect());
        for cell in &mut self.cells {
            match &mut cell.form {
                Form::Short(short) => cell.text = std::mem::take(short),
                Form::Id => cell.text = cell.text.chars().take(length).collect(),
                Form::Whole | Form::Cut => continue,
            }
            cell.form = Form::Whole;
        }
        self.width = widest(self.name, &self.cells);
    }
}

/// Writes a line for each record, below the names of the columns. A column without any
/// text is left out, and nothing is written if there are no records.
pub(super) fn rows<'a, R: Record + 'a>(
    out: &mut dyn Write,
    width: Option<usize>,
    records: impl Iterator<Item = &'a R>,
    now: DateTime<Utc>,
) -> io::Result<()> {
    let mut cells: Vec<Vec<Cell>> = R::COLUMNS.iter().map(|_| Vec::new()).collect();
    for record in records {
        for (column, cell) in cells.iter_mut().zip(record.cells(now)) {
            column.push(cell);
        }
    }
    let count = cells.first().map_or(0, Vec::len);
    if count == 0 {
        return Ok(());
    }
    let names = R::COLUMNS.iter().copied();
    let columns = names
        .zip(cells)
        .map(|(name, cells)| Column::new(name, cells));
    let mut columns: Vec<_> = columns.filter(|column| !column.is_empty()).collect();
    if let Some(width) = width {
        fit(&mut columns, R::SPARE, width);
    }
    let bold = Style::new().bold();
    let names = columns.iter().map(|c| (c.name, bold, c.width));
    line(out, width, names)?;
    for index in 0..count {
        let cells = columns.iter().filter_map(|column| {
            let cell = column.cells.get(index)?;
            Some((cell.text.as_str(), cell.style, column.width))
        });
        line(out, width, cells)?;
    }
    Ok(())
}

/// Makes a table fit. Where the terminal is wide, columns are left out before ids and times
/// are shortened.
fn fit(columns: &mut Vec<Column>, spare: &[&str], width: usize) {
    let fits = |columns: &[Column]| total(columns.iter().map(Column::needed)) <= width;
    if width < WIDE && !fits(columns) {
        columns.iter_mut().for_each(Column::shorten);
    }
    for name in spare {
        if fits(columns) {
            break;
        }
        columns.retain(|column| column.name != *name);
    }
    if !fits(columns) {
        columns.iter_mut().for_each(Column::shorten);
    }
    let others = columns.iter().filter(|column| !column.is_cut());
    let taken: usize = others.map(|column| column.width).sum();
    let gaps = GAP * columns.len().saturating_sub(1);
    let mut room = width.saturating_sub(taken + gaps);
    let mut cut: Vec<_> = columns.iter_mut().filter(|c| c.is_cut()).collect();
    cut.sort_by_key(|column| column.width);
    let mut left = cut.len();
    for column in cut {
        column.width = column.width.min((room / left).max(LEAST));
        room = room.saturating_sub(column.width);
        left -= 1;
    }
}

/// The width of a line of columns as wide as these.
fn total(widths: impl Iterator<Item = usize>) -> usize {
    widths
        .map(|width| width + GAP)
        .sum::<usize>()
        .saturating_sub(GAP)
}

fn widest(name: &str, cells: &[Cell]) -> usize {
    let cells = cells.iter().map(|cell| cell.text.width());
    cells.chain([name.width()]).max().unwrap_or_default()
}

/// How many characters tell these ids from each other.
fn distinct_length(mut ids: Vec<&str>) -> usize {
    ids.sort_unstable();
    ids.dedup();
    let pairs = ids.iter().zip(ids.iter().skip(1));
    let common =
        |(a, b): (&&str, &&str)| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    pairs
        .map(|pair| common(pair) + 1)
        .max()
        .unwrap_or_default()
        .max(MIN_ID)
}

pub(super) fn fields(out: &mut dyn Write, fields: &[(&str, Cell)]) -> io::Result<()> {
    let width = fields.iter().map(|(name, _)| name.width()).max();
    let bold = Style::new().bold();
    for (name, value) in fields {
        let name = (*name, bold, width.unwrap_or_default());
        line(out, None, [name, (&value.text, value.style, 0)].into_iter())?;
    }
    Ok(())
}

/// Writes texts of one line, each padded and cut to its width, and the line to its own.
fn line<'a>(
    out: &mut dyn Write,
    width: Option<usize>,
    cells: impl Iterator<Item = (&'a str, Style, usize)>,
) -> io::Result<()> {
    let mut left = width.unwrap_or(usize::MAX);
    // Written before the next text, so that no line ends in spaces.
    let mut space = 0;
    for (text, style, width_of_cell) in cells {
        let text = match width {
            Some(_) => cut(text, width_of_cell.min(left.saturating_sub(space))),
            None => text.to_owned(),
        };
        let shown = text.width();
        if shown > 0 {
            write!(out, "{:space$}{style}{text}{style:#}", "")?;
            left = left.saturating_sub(space + shown);
            space = 0;
        }
        space += width_of_cell.saturating_sub(shown) + GAP;
    }
    writeln!(out)
}

/// The text, or what fits of it before a `…`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    if width == 0 {
        return String::new();
    }
    let ends = text.char_indices().map(|(start, c)| start + c.len_utf8());
    // By the width of the whole beginning, since an emoji may have several characters.
    let beginnings = ends.filter_map(|end| text.get(..end));
    let fitting = beginnings.take_while(|beginning| beginning.width() < width);
    let beginning = fitting.last().unwrap_or_default();
    format!("{}…", beginning.trim_end())
}
