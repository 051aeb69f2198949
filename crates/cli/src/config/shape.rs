//! Checks the keys and types of a file against the JSON Schema, so that a message has the
//! words of this command. What passes can be read by serde.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Mistake;

/// The keys of other programs, and the key here with the same purpose.
const KEYS_ELSEWHERE: [(&str, &str); 6] = [
    ("account_id", "id"),
    ("window", "within"),
    ("include", "only"),
    ("exclude", "except"),
    ("url", "verify"),
    ("hook", "then"),
];

/// Keys that people expect to hold a secret, and what to use.
const SECRETS: [(&str, &str); 8] = [
    ("api_token", API_TOKEN),
    ("api_key", API_TOKEN),
    ("cloudflare_api_token", API_TOKEN),
    ("secret", API_TOKEN),
    ("client_secret", API_TOKEN),
    ("ping", PING),
    ("ping_url", PING),
    ("webhook", PING),
];
const API_TOKEN: &str = "the configuration file must not hold a secret: name a file that holds only \
                         the API token with api_token_file, or a variable with api_token_env";
const PING: &str = "the URL counts as a secret: name a file that holds only the URL with ping_file, \
                    or a variable with ping_env";

/// Returns what is wrong with the keys and types of the document.
pub(super) fn check(root: &Spanned<DeTable<'_>>, schema: &Value) -> Vec<Mistake> {
    let mut shape = Shape {
        schema,
        mistakes: Vec::new(),
    };
    shape.table(root.get_ref(), &(0..0), "", schema);
    shape.mistakes
}

struct Shape<'s> {
    /// The schema of the whole file.
    schema: &'s Value,
    mistakes: Vec<Mistake>,
}

impl Shape<'_> {
    fn table(&mut self, table: &DeTable<'_>, at: &Range<usize>, path: &str, schema: &Value) {
        let mut meant = Vec::new();
        for (key, found) in table {
            let known = &schema["properties"][key.get_ref().as_ref()];
            match known {
                Value::Null => meant.extend(self.unknown(key, path, schema)),
                known => self.value(found, key.get_ref(), &below(path, key.get_ref()), known),
            }
        }
        for key in schema["required"].as_array().into_iter().flatten() {
            let key = key.as_str().unwrap_or_default();
            // A misspelt key is told of already.
            if !table.contains_key(key) && !meant.iter().any(|meant| meant == key) {
                self.missing(key, at, path, &schema["properties"][key]);
            }
        }
    }

    fn missing(&mut self, key: &str, at: &Range<usize>, path: &str, schema: &Value) {
        let mistake = match (path, example(schema)) {
            ("", _) => Mistake::new(at.clone(), format!("there is no [[{key}]] in the file"))
                .next("begin an account with a line [[account]], and give it a name and an id"),
            (path, example) => {
                let example = example.unwrap_or_else(|| "...".to_owned());
                let what = format!("{} has no {key}", heading(path));
                Mistake::new(at.clone(), what).next(format!("add it, as in {key} = {example}"))
            }
        };
        self.mistakes.push(mistake);
    }

    fn value(&mut self, found: &Spanned<DeValue<'_>>, key: &str, path: &str, schema: &Value) {
        let at = found.span();
        let fault = match (schema["type"].as_str(), found.get_ref()) {
            (Some("object"), DeValue::Table(inner)) => {
                return self.table(inner, &at, path, schema);
            }
            (Some("array"), DeValue::Array(items)) => {
                for item in items {
                    self.value(item, key, path, &schema["items"]);
                }
                let min = schema["minItems"].as_u64().unwrap_or_default();
                ((items.len() as u64) < min).then(|| format!("{key} is empty"))
            }
            (Some("string"), DeValue::String(text)) => {
                text.trim().is_empty().then(|| format!("{key} is empty"))
            }
            (Some("boolean"), DeValue::Boolean(_)) => None,
            (Some("integer"), DeValue::Integer(number)) => {
                let min = schema["minimum"].as_i64().unwrap_or_default();
                let number = i64::from_str_radix(number.as_str(), number.radix());
                let fits = number.is_ok_and(|number| (min..=i64::from(u32::MAX)).contains(&number));
                (!fits).then(|| format!("{key} must be a whole number from {min}"))
            }
            (_, found) => Some(format!(
                "{key} is {}, but must be {}",
                kind(found),
                expected(schema, path)
            )),
        };
        if let Some(fault) = fault {
            let next = match example(schema) {
                Some(example) => format!("write it as in {key} = {example}"),
                None if schema["type"] == "string" => {
                    "write a list of strings, none of which is empty".to_owned()
                }
                None => format!(
                    "begin the table with a line {}, and write its keys below",
                    heading(path)
                ),
            };
            self.mistakes.push(Mistake::new(at, fault).next(next));
        }
    }

    /// Notes a key that the table does not have. Returns the key that was probably meant.
    fn unknown(
        &mut self,
        key: &Spanned<Cow<'_, str>>,
        path: &str,
        schema: &Value,
    ) -> Option<String> {
        let typed = key.get_ref().as_ref();
        let plain = typed.to_ascii_lowercase().replace('-', "_");
        let known = schema["properties"].as_object();
        let known: Vec<&str> = known
            .into_iter()
            .flat_map(|known| known.keys())
            .map(|key| &**key)
            .collect();
        let mut meant = None;
        let next = if let Some((_, next)) = SECRETS.iter().find(|(secret, _)| *secret == plain) {
            (*next).to_owned()
        } else if let Some(near) = same_purpose(&plain, &known).or_else(|| nearest(&plain, &known))
        {
            meant = Some(near.to_owned());
            format!("did you mean {near}?")
        } else if let Some(owner) = owner(self.schema, "", &plain) {
            match (owner.as_str(), plain.as_str()) {
                ("", _) => {
                    format!("{plain} belongs at the top: move it above the first line in brackets")
                }
                ("account", "rotate") => {
                    "write [[account.rotate]] below its [[account]]".to_owned()
                }
                ("account", _) if path == "account.rotate" => {
                    format!("{plain} is a key of [[account]]: move it above [[account.rotate]]")
                }
                (owner, _) => format!("{plain} is a key of {}: move it there", heading(owner)),
            }
        } else {
            format!("the keys are {}", known.join(", "))
        };
        let what = format!("{} has no key {typed:?}", heading(path));
        self.mistakes
            .push(Mistake::new(key.span(), what).next(next));
        meant
    }
}

/// Returns the table that has a key, if any has.
fn owner(schema: &Value, path: &str, key: &str) -> Option<String> {
    let known = schema["properties"].as_object()?;
    if known.contains_key(key) {
        return Some(path.to_owned());
    }
    known.iter().find_map(|(name, schema)| {
        let inner = if schema["type"] == "array" {
            &schema["items"]
        } else {
            schema
        };
        owner(inner, &below(path, name), key)
    })
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

/// What a value must be, in words.
fn expected(schema: &Value, path: &str) -> String {
    match schema["type"].as_str() {
        Some("object") => "a table".to_owned(),
        Some("array") if schema["items"]["type"] == "object" => {
            format!("a list of tables, in two brackets: {}", heading(path))
        }
        Some("array") => "a list of strings".to_owned(),
        Some("boolean") => "true or false, without quotes".to_owned(),
        Some("integer") => "a whole number, without quotes".to_owned(),
        _ => "a string in double quotes".to_owned(),
    }
}

/// An example of a value, as the file has it.
fn example(schema: &Value) -> Option<String> {
    Some(match schema["examples"].get(0)? {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        example => example.to_string(),
    })
}

fn below(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// Names a table as its first line does.
fn heading(path: &str) -> String {
    match path {
        "" => "the top of the file".to_owned(),
        "notify" => "[notify]".to_owned(),
        path => format!("[[{path}]]"),
    }
}

/// Returns the key with the purpose of one of another program.
fn same_purpose<'a>(typed: &str, keys: &[&'a str]) -> Option<&'a str> {
    let mut rows = KEYS_ELSEWHERE.iter();
    let (_, same) = rows.find(|(elsewhere, _)| *elsewhere == typed)?;
    keys.iter().copied().find(|key| key == same)
}

/// Returns the key that few slips of the finger make of what was typed.
fn nearest<'a>(typed: &str, keys: &[&'a str]) -> Option<&'a str> {
    let near = keys
        .iter()
        .map(|key| (strsim::damerau_levenshtein(typed, key), *key));
    let (slips, key) = near.min()?;
    (slips <= 1 + typed.len() / 4).then_some(key)
}
