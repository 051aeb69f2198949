//! Checks the keys and types of a file against the JSON Schema, so that a mistake is told in
//! the words of this command. What passes can be read by serde.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Mistake;

/// Keys that people expect to hold a secret, and what to use.
const SECRETS: [(&str, &str); 8] = [
    ("api_token", API_TOKEN),
    ("apitoken", API_TOKEN),
    ("api_key", API_TOKEN),
    ("cloudflare_api_token", API_TOKEN),
    ("secret", API_TOKEN),
    ("ping", PING),
    ("ping_url", PING),
    ("url", PING),
];
const API_TOKEN: &str = "no secret stands in this file: name a file that holds only the API token \
                         with api_token_file, or a variable with api_token_env";
const PING: &str = "the URL counts as a secret: name a file that holds only the URL with ping_file, \
                    or a variable with ping_env";

/// Returns what is wrong with the keys and types of the document.
pub(super) fn check(root: &Spanned<DeTable<'_>>, schema: &Value) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    table(root.get_ref(), &(0..0), "", schema, &mut mistakes);
    mistakes
}

fn table(
    table: &DeTable<'_>,
    at: &Range<usize>,
    name: &str,
    schema: &Value,
    mistakes: &mut Vec<Mistake>,
) {
    let known = schema["properties"].as_object();
    for (key, found) in table {
        let key_name = key.get_ref().as_ref();
        match known.and_then(|known| known.get(key_name)) {
            Some(schema) => value(found, key_name, &joined(name, key_name), schema, mistakes),
            None => mistakes.push(unknown(key, name, schema)),
        }
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for key in required.filter_map(Value::as_str) {
        if !table.contains_key(key) {
            let example = example(&schema["properties"][key]);
            let what = match name {
                "" => format!("the file has no [[{key}]]"),
                name => format!("{} has no {key}", heading(name)),
            };
            let next = match (name, example) {
                ("", _) => "add [[account]] with the keys name and id".to_owned(),
                (_, Some(example)) => format!("add a line such as {key} = {example}"),
                _ => format!("add {key}"),
            };
            mistakes.push(Mistake::new(at.clone(), what).next(next));
        }
    }
}

fn value(
    found: &Spanned<DeValue<'_>>,
    key: &str,
    path: &str,
    schema: &Value,
    mistakes: &mut Vec<Mistake>,
) {
    let at = found.span();
    let is_table = |schema: &Value| schema["type"] == "object";
    match (schema["type"].as_str(), found.get_ref()) {
        (Some("object"), DeValue::Table(inner)) => table(inner, &at, path, schema, mistakes),
        (Some("array"), DeValue::Array(items)) => {
            let min = schema["minItems"].as_u64().unwrap_or_default();
            if (items.len() as u64) < min {
                let next = match example(schema) {
                    Some(example) => {
                        format!("write at least one, such as {key} = {example}, or leave it out")
                    }
                    None => format!("add [[{path}]]"),
                };
                mistakes.push(Mistake::new(at, format!("{key} is empty")).next(next));
            }
            for item in items {
                value(item, key, path, &schema["items"], mistakes);
            }
        }
        (Some("string"), DeValue::String(text)) => {
            if text.trim().is_empty() {
                mistakes.push(Mistake::new(at, format!("{key} is empty")));
            }
        }
        (Some("boolean"), DeValue::Boolean(_)) => {}
        (Some("integer"), DeValue::Integer(number)) => {
            let min = schema["minimum"].as_i64().unwrap_or_default();
            let number = i64::from_str_radix(number.as_str(), number.radix());
            if number.is_ok_and(|number| number >= min) {
                return;
            }
            mistakes.push(Mistake::new(at, format!("{key} must be {min} or more")));
        }
        (_, found) => {
            let is_of_tables = is_table(&schema["items"]);
            let expected = match schema["type"].as_str() {
                Some("object") => format!("a table; begin it with a line [{path}]"),
                Some("array") if is_of_tables => {
                    format!("a list of tables; begin each with a line [[{path}]]")
                }
                Some("array") => "a list of strings in brackets".to_owned(),
                Some("boolean") => "true or false, without quotes".to_owned(),
                Some("integer") => "a whole number, without quotes".to_owned(),
                _ => "a string in double quotes".to_owned(),
            };
            let what = format!("{key} is {}, but must be {expected}", kind(found));
            let mistake = Mistake::new(at, what);
            mistakes.push(match example(schema).filter(|_| !is_of_tables) {
                Some(example) => mistake.next(format!("write it as in {key} = {example}")),
                None => mistake,
            });
        }
    }
}

/// What a value is, in words.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// An example of a value, as the file has it.
fn example(schema: &Value) -> Option<String> {
    Some(schema["examples"].get(0)?.to_string())
}

fn unknown(key: &Spanned<std::borrow::Cow<'_, str>>, name: &str, schema: &Value) -> Mistake {
    let key_name = key.get_ref().as_ref();
    let lower = key_name.to_ascii_lowercase().replace('-', "_");
    if let Some((_, next)) = SECRETS.iter().find(|(secret, _)| *secret == lower) {
        let what = format!("{} has no key {key_name}", heading(name));
        return Mistake::new(key.span(), what).next(*next);
    }
    let known = schema["properties"].as_object();
    let known: Vec<&str> = known
        .into_iter()
        .flat_map(|known| known.keys())
        .map(String::as_str)
        .collect();
    let near = nearest(&lower, known.iter().copied());
    let meant = near.map(|near| format!("did you mean {near}? "));
    let what = format!("{} has no key {key_name:?}", heading(name));
    Mistake::new(key.span(), what).next(format!(
        "{}the keys are {}",
        meant.unwrap_or_default(),
        known.join(", ")
    ))
}

fn joined(table: &str, key: &str) -> String {
    match table {
        "" => key.to_owned(),
        table => format!("{table}.{key}"),
    }
}

/// Names a table as its first line does.
fn heading(name: &str) -> String {
    match name {
        "" => "the top of the file".to_owned(),
        "notify" => "[notify]".to_owned(),
        name => format!("[[{name}]]"),
    }
}

/// Returns the name that few slips of the finger make of what was typed.
fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = names.map(|name| (strsim::damerau_levenshtein(typed, name), name));
    let (slips, name) = near.min()?;
    (slips <= 1 + typed.len() / 4).then_some(name)
}
