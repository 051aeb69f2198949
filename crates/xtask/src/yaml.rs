//! YAML to JSON, event by event, so that a large document costs little memory.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Result, bail, ensure};
use saphyr_parser::{Event, Parser, ScalarStyle};

/// The most JSON that a document may become: aliases can make it grow without end.
const LIMIT: usize = 256 << 20;

/// A document's JSON, and on which line of the YAML its parts stand.
pub struct Transcoded {
    pub json: String,
    /// Offsets in `json`, ascending, each with its line in the YAML.
    pub lines: Vec<(usize, usize)>,
}

/// What is open while events come in.
enum Open {
    Sequence { items: usize },
    Mapping { nodes: usize },
}

#[derive(Default)]
struct Transcoder {
    json: String,
    lines: Vec<(usize, usize)>,
    open: Vec<Open>,
    /// Where the anchors of the open collections began.
    begun: Vec<(usize, usize)>,
    anchors: HashMap<usize, Range<usize>>,
}

/// Turns the first document of a YAML text into JSON.
///
/// # Errors
///
/// The text is no YAML, or has a mapping with a key that is a collection, or an alias
/// within what it stands for.
pub fn to_json(yaml: &str) -> Result<Transcoded> {
    let mut transcoder = Transcoder::default();
    for event in Parser::new_from_str(yaml) {
        let (event, span) = event?;
        match event {
            Event::DocumentEnd => break,
            event => transcoder.take(event, span.start.line())?,
        }
        ensure!(
            transcoder.json.len() <= LIMIT,
            "the aliases make more than {} MiB of it",
            LIMIT >> 20
        );
    }
    Ok(Transcoded {
        json: transcoder.json,
        lines: transcoder.lines,
    })
}

impl Transcoder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let key = self.before_node(line);
                let start = self.json.len();
                let plain = style == ScalarStyle::Plain && tag.is_none();
                if plain && !key {
                    self.json.push_str(&plain_scalar(&text));
                } else {
                    self.json.push_str(&serde_json::to_string(&text)?);
                }
                self.anchors.insert(anchor, start..self.json.len());
            }
            Event::Alias(anchor) => {
                let key = self.before_node(line);
                let Some(range) = self.anchors.get(&anchor).cloned() else {
                    bail!("line {line}: an alias stands within what it stands for");
                };
                ensure!(
                    !key || self.json[range.clone()].starts_with('"'),
                    "line {line}: a key must be a string"
                );
                let copy = self.json[range].to_owned();
                self.json.push_str(&copy);
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(anchor, line, '[', Open::Sequence { items: 0 })?;
            }
            Event::MappingStart(anchor, _) => {
                self.begin(anchor, line, '{', Open::Mapping { nodes: 0 })?;
            }
            Event::SequenceEnd => self.end(']'),
            Event::MappingEnd => self.end('}'),
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, line: usize, bracket: char, open: Open) -> Result<()> {
        ensure!(
            !self.before_node(line),
            "line {line}: a key must be a string, not a collection"
        );
        self.begun.push((anchor, self.json.len()));
        self.json.push(bracket);
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self, bracket: char) {
        self.json.push(bracket);
        self.open.pop();
        if let Some((anchor, start)) = self.begun.pop() {
            self.anchors.insert(anchor, start..self.json.len());
        }
    }

    /// Writes what parts a node from the one before it; tells whether it is a key.
    fn before_node(&mut self, line: usize) -> bool {
        let (separator, is_key, is_item) = match self.open.last_mut() {
            None => (None, false, true),
            Some(Open::Sequence { items }) => {
                *items += 1;
                ((*items > 1).then_some(','), false, true)
            }
            Some(Open::Mapping { nodes }) => {
                *nodes += 1;
                match (*nodes, *nodes % 2 == 1) {
                    (1, _) => (None, true, true),
                    (_, true) => (Some(','), true, true),
                    (_, false) => (Some(':'), false, false),
                }
            }
        };
        self.json.extend(separator);
        if is_item {
            self.lines.push((self.json.len(), line));
        }
        is_key
    }
}

/// The JSON of a scalar without quotes, by YAML 1.2's core schema.
fn plain_scalar(text: &str) -> String {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => "null".to_owned(),
        "true" | "True" | "TRUE" => "true".to_owned(),
        "false" | "False" | "FALSE" => "false".to_owned(),
        _ => number(text).unwrap_or_else(|| serde_json::Value::from(text).to_string()),
    }
}

fn number(text: &str) -> Option<String> {
    // Words such as `inf` are numbers to Rust, but not here.
    let last = text.bytes().last()?;
    if !text.starts_with([
        '-', '+', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
    ]) || !(last.is_ascii_hexdigit() || last == b'.')
    {
        return None;
    }
    let other_base = [("0x", 16), ("0o", 8)]
        .into_iter()
        .find_map(|(prefix, base)| {
            let digits = text.strip_prefix(prefix)?;
            u64::from_str_radix(digits, base).ok()
        });
    if let Some(number) = other_base {
        return Some(number.to_string());
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = unsigned.parse::<i64>() {
        return Some(number.to_string());
    }
    let number = unsigned.parse::<f64>().ok()?;
    serde_json::Number::from_f64(number).map(|number| number.to_string())
}
