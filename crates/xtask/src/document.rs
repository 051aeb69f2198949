//! Reads an OpenAPI document, one part at a time.
//!
//! Cloudflare's document is 27 MB, and a command needs about a thousandth of it. The
//! document stays text, and a part is parsed when a command reaches it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::pointer;

/// The text of a document.
pub struct Document {
    name: String,
    json: String,
}

impl Document {
    /// Reads a document from a file.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn read(file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        let json = fs::read_to_string(file).with_context(|| format!("can't read {name}"))?;
        Ok(Self::new(&name, json))
    }

    /// Creates a document from its text.
    pub fn new(name: &str, json: String) -> Self {
        let name = name.to_owned();
        Self { name, json }
    }

    /// Returns the name of the document's file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Parses the whole document, for one that is known to be small.
    ///
    /// # Errors
    ///
    /// The text is not JSON.
    pub fn value(&self) -> Result<Value> {
        serde_json::from_str(&self.json).map_err(|error| anyhow!("{}: {error}", self.name))
    }

    /// Finds the document's parts without parsing them.
    ///
    /// # Errors
    ///
    /// The text is not JSON, or the document is not OpenAPI 3.
    pub fn outline(&self) -> Result<Outline<'_>> {
        let top: Top<'_> = serde_json::from_str(&self.json)
            .map_err(|error| anyhow!("{}: not an OpenAPI document: {error}", self.name))?;
        let version = top.openapi.map(|version| version.get().trim_matches('"'));
        match version {
            Some(version) if version.starts_with("3.") => {}
            Some(version) => bail!(
                "{}: OpenAPI {version} is not supported, only OpenAPI 3",
                self.name
            ),
            None => bail!(
                "{}: not an OpenAPI document: the field `openapi` is missing",
                self.name
            ),
        }
        Ok(Outline {
            document: self,
            top,
        })
    }
}

/// The places of a document's parts in its text.
pub struct Outline<'a> {
    document: &'a Document,
    top: Top<'a>,
}

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow)]
    openapi: Option<&'a RawValue>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    #[serde(borrow)]
    servers: Option<&'a RawValue>,
    #[serde(borrow)]
    security: Option<&'a RawValue>,
    #[serde(borrow, default)]
    paths: BTreeMap<String, &'a RawValue>,
    #[serde(borrow, default, deserialize_with = "sections")]
    components: BTreeMap<String, Section<'a>>,
}

/// One section of `components`, such as `schemas`.
type Section<'a> = BTreeMap<String, &'a RawValue>;

/// The sections of `components`, without extensions, which may have any form.
fn sections<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Section<'de>>, D::Error> {
    let components = BTreeMap::<String, &'de RawValue>::deserialize(deserializer)?;
    components
        .into_iter()
        .filter(|(name, _)| !name.starts_with("x-"))
        .map(|(name, text)| match serde_json::from_str(text.get()) {
            Ok(section) => Ok((name, section)),
            Err(error) => Err(D::Error::custom(format!("components.{name}: {error}"))),
        })
        .collect()
}

impl<'a> Outline<'a> {
    /// Returns the name of the document's file.
    pub fn name(&self) -> &'a str {
        self.document.name()
    }

    /// Returns the paths, each with the text of its item.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.top
            .paths
            .iter()
            // Any other field is an extension, which may have any form.
            .filter(|(path, _)| path.starts_with('/'))
            .map(|(path, item)| (path.as_str(), *item))
    }

    /// Returns an entry of a section of `components`.
    pub fn component(&self, section: &str, name: &str) -> Option<&'a RawValue> {
        self.top.components.get(section)?.get(name).copied()
    }

    /// Returns the fields of the document other than its paths and components.
    pub fn head(&self) -> impl Iterator<Item = (&'static str, &'a RawValue)> {
        let top = &self.top;
        [
            ("openapi", top.openapi),
            ("info", top.info),
            ("servers", top.servers),
            ("security", top.security),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// Returns the line in the file of the value that a JSON pointer names.
    pub fn line(&self, pointer: &str) -> Option<usize> {
        let tokens: Vec<String> = pointer::tokens(pointer).collect();
        let (mut raw, rest) = match tokens.as_slice() {
            [paths, path, rest @ ..] if paths == "paths" => (*self.top.paths.get(path)?, rest),
            [components, section, name, rest @ ..] if components == "components" => {
                (self.component(section, name)?, rest)
            }
            [servers, rest @ ..] if servers == "servers" => (self.top.servers?, rest),
            [security, rest @ ..] if security == "security" => (self.top.security?, rest),
            _ => return None,
        };
        for token in rest {
            raw = child(raw, token)?;
        }
        let offset = raw.get().as_ptr() as usize - self.document.json.as_ptr() as usize;
        let before = self.document.json.as_bytes().get(..offset)?;
        Some(1 + before.iter().filter(|byte| **byte == b'\n').count())
    }
}

fn child<'a>(raw: &'a RawValue, token: &str) -> Option<&'a RawValue> {
    if raw.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
        return items.get(token.parse::<usize>().ok()?).copied();
    }
    let fields: Section<'_> = serde_json::from_str(raw.get()).ok()?;
    fields.get(token).copied()
}
