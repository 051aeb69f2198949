//! Resolves a schema into its effective keywords, however it is composed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::edit::Edit;
use crate::pointer;

const MOST_ALTERNATIVES_WITHIN_EACH_OTHER: usize = 8;

/// A value in a document, and the JSON pointer to it.
#[derive(Clone)]
pub struct Located<'a> {
    pub value: &'a Value,
    pub pointer: String,
}

impl<'a> Located<'a> {
    /// Returns a child of the value.
    pub fn child(&self, token: &str) -> Option<Self> {
        let value = match self.value {
            Value::Array(items) => items.get(token.parse::<usize>().ok()?)?,
            value => value.get(token)?,
        };
        Some(Self {
            value,
            pointer: pointer::join(&self.pointer, token),
        })
    }

    /// Returns the children of an object.
    pub fn children(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let fields = self.value.as_object().into_iter().flatten();
        fields.map(|(name, value)| {
            let pointer = pointer::join(&self.pointer, name);
            (name.as_str(), Self { value, pointer })
        })
    }

    /// Returns the items of an array.
    pub fn items(&self) -> impl Iterator<Item = Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| Self {
            value,
            pointer: pointer::join(&self.pointer, &index.to_string()),
        })
    }

    /// Returns the value, or the one that it refers to by `$ref`.
    ///
    /// # Errors
    ///
    /// The document lacks the value that it refers to.
    pub fn resolved(&self, document: &'a Value) -> Result<Self> {
        let mut resolved = self.clone();
        let mut seen = BTreeSet::new();
        while let Some(reference) = resolved.value.get("$ref").and_then(Value::as_str) {
            anyhow::ensure!(
                seen.insert(reference),
                "{}: the reference leads back to itself",
                self.pointer
            );
            let pointer = reference.trim_start_matches('#');
            let value = document.pointer(pointer).with_context(|| {
                format!(
                    "{}: it refers to `{reference}`, which doesn't exist",
                    self.pointer
                )
            })?;
            resolved = Self {
                value,
                pointer: pointer.to_owned(),
            };
        }
        Ok(resolved)
    }
}

/// A schema as the list of parts that all apply to a value: itself, the schema that it refers
/// to, and the members of `allOf`, at any depth. A schema that only wraps another one is not a
/// part.
pub struct Schema<'a> {
    pub document: &'a Value,
    /// The place of the schema in the document.
    pub pointer: String,
    parts: Vec<Located<'a>>,
    /// The alternatives of `anyOf` and `oneOf` that the parts leave open.
    pub alternatives: Vec<Located<'a>>,
    /// Whether one of the alternatives was null.
    takes_null: bool,
}

impl<'a> Schema<'a> {
    /// Reads a schema from all places that describe the same value.
    ///
    /// # Errors
    ///
    /// The document lacks a schema that one of them refers to.
    pub fn read(document: &'a Value, places: &[Located<'a>]) -> Result<Self> {
        Self::read_within(document, places, 0)
    }

    fn read_within(document: &'a Value, places: &[Located<'a>], depth: usize) -> Result<Self> {
        let mut schema = Self {
            document,
            // The last place refines those before it.
            pointer: places
                .last()
                .map_or_else(String::new, |place| place.pointer.clone()),
            parts: Vec::new(),
            alternatives: Vec::new(),
            takes_null: false,
        };
        for place in places {
            schema.add(document, place)?;
        }
        // An alternative may contain itself.
        if depth < MOST_ALTERNATIVES_WITHIN_EACH_OTHER {
            schema.settle_alternatives(document, depth + 1)?;
        }
        Ok(schema)
    }

    fn add(&mut self, document: &'a Value, place: &Located<'a>) -> Result<()> {
        let target = place.resolved(document)?;
        // Since OpenAPI 3.1, keywords beside a reference apply as well.
        let version = document["openapi"].as_str().unwrap_or_default();
        let has_more = place.children().nth(1).is_some() && !version.starts_with("3.0");
        let beside = (has_more && target.pointer != place.pointer).then(|| place.clone());
        for part in std::iter::once(target).chain(beside) {
            if self.parts.iter().any(|one| one.pointer == part.pointer) {
                continue;
            }
            let members = part.child("allOf");
            self.parts.push(part);
            for member in members.iter().flat_map(Located::items) {
                self.add(document, &member)?;
            }
        }
        Ok(())
    }

    /// Keeps the alternatives of `anyOf` and `oneOf` that the other parts leave open.
    fn settle_alternatives(&mut self, document: &'a Value, depth: usize) -> Result<()> {
        let lists: Vec<Located<'a>> = self
            .parts
            .iter()
            .flat_map(|part| ["anyOf", "oneOf"].map(|keyword| part.child(keyword)))
            .flatten()
            .collect();
        let types = self.types();
        for list in lists {
            let mut open = Vec::new();
            let mut allows_anything = false;
            for alternative in list.items() {
                let places = std::slice::from_ref(&alternative);
                let schema = Schema::read_within(document, places, depth)?;
                if schema.is_null() {
                    self.takes_null = true;
                    continue;
                }
                let its_types = schema.types();
                if types.is_empty() || its_types.is_empty() || !types.is_disjoint(&its_types) {
                    // An alternative that only repeats the type allows any value of it.
                    allows_anything |= !types.is_empty() && schema.says_only_its_type();
                    open.push(alternative);
                }
            }
            match open.as_slice() {
                _ if allows_anything => {}
                [only] => self.add(document, only)?,
                _ => self.alternatives.extend(open),
            }
        }
        Ok(())
    }

    /// Returns the alternatives as one object with the fields of each, if all of them are objects
    /// and no part names another type.
    ///
    /// # Errors
    ///
    /// The document lacks a schema that one of them refers to.
    pub fn as_one_object(&self) -> Result<Option<Self>> {
        if !self.types().is_empty() || self.alternatives.is_empty() {
            return Ok(None);
        }
        for alternative in &self.alternatives {
            let schema = Self::read(self.document, std::slice::from_ref(alternative))?;
            if schema.types() != BTreeSet::from(["object"]) || !schema.alternatives.is_empty() {
                return Ok(None);
            }
        }
        let mut merged = Self::read(self.document, &self.alternatives)?;
        merged.pointer.clone_from(&self.pointer);
        Ok(Some(merged))
    }

    fn says_only_its_type(&self) -> bool {
        const WORDS: [&str; 7] = [
            "$ref",
            "type",
            "title",
            "description",
            "example",
            "default",
            "nullable",
        ];
        let mut fields = self.parts.iter().flat_map(Located::children);
        fields.all(|(name, _)| WORDS.contains(&name) || name.starts_with("x-"))
    }

    /// Returns the values of a keyword in all parts that have it.
    pub fn all(&self, keyword: &str) -> impl Iterator<Item = Located<'a>> {
        self.parts
            .iter()
            .filter_map(move |part| part.child(keyword))
    }

    /// Returns the value of the last part that has a keyword.
    pub fn last(&self, keyword: &str) -> Option<&'a Value> {
        self.all(keyword).last().map(|found| found.value)
    }

    /// Returns the JSON types that a value may have; empty if any will do.
    pub fn types(&self) -> BTreeSet<&'a str> {
        let named = self.all("type").map(|found| match found.value {
            // A list, since OpenAPI 3.1.
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect::<BTreeSet<_>>(),
        });
        let mut types = named
            .reduce(|types, more| types.intersection(&more).copied().collect())
            .unwrap_or_default();
        types.remove("null");
        if types.is_empty() && self.all("properties").next().is_some() {
            types.insert("object");
        }
        if types.is_empty() && self.all("items").next().is_some() {
            types.insert("array");
        }
        types
    }

    /// Returns whether a value may be null. One part is enough to allow it.
    pub fn is_nullable(&self) -> bool {
        self.takes_null
            || self.all("nullable").any(|found| found.value == true)
            || self.all("type").any(|found| match found.value {
                Value::Array(types) => types.iter().any(|one| one == "null"),
                one => one == "null",
            })
    }

    /// Returns whether a value can only be null.
    fn is_null(&self) -> bool {
        let only_null = |found: Located<'_>| match found.value {
            Value::Array(types) => types.iter().all(|one| one == "null"),
            one => one == "null",
        };
        self.all("type").any(only_null) || self.listed() == Some(BTreeSet::from(["null".into()]))
    }

    /// Returns the parts as the document has them.
    pub fn values(&self) -> Vec<&'a Value> {
        self.parts.iter().map(|part| part.value).collect()
    }

    /// Returns the values that are allowed, if they are listed, each as JSON. Null is left out,
    /// unless it is the only one.
    pub fn enumeration(&self) -> Option<BTreeSet<String>> {
        let mut values = self.listed()?;
        if values.len() > 1 {
            values.remove("null");
        }
        Some(values)
    }

    fn listed(&self) -> Option<BTreeSet<String>> {
        let lists = self.all("enum").map(|found| {
            let values = found.value.as_array().into_iter().flatten();
            values.map(Value::to_string).collect::<BTreeSet<_>>()
        });
        // `const` of OpenAPI 3.1 is a list of one.
        let constants = self.all("const");
        let constants = constants.map(|found| BTreeSet::from([found.value.to_string()]));
        lists
            .chain(constants)
            .reduce(|values, more| values.intersection(&more).cloned().collect())
    }

    /// Returns the fields of an object, each with all places that describe it.
    pub fn fields(&self) -> BTreeMap<&'a str, Vec<Located<'a>>> {
        let mut fields = BTreeMap::<_, Vec<_>>::new();
        for properties in self.all("properties") {
            for (name, place) in properties.children() {
                fields.entry(name).or_default().push(place);
            }
        }
        fields
    }

    /// Returns the names of the required fields of an object.
    pub fn required(&self) -> BTreeSet<&'a str> {
        let lists = self
            .all("required")
            .filter_map(|found| found.value.as_array());
        lists.flatten().filter_map(Value::as_str).collect()
    }

    /// Returns the edits that remove a keyword from all parts.
    pub fn without(&self, keyword: &str) -> Vec<Edit> {
        let found = self.all(keyword);
        found.map(|found| Edit::Remove(found.pointer)).collect()
    }

    /// Returns the edits that set a keyword to its value in another schema.
    pub fn following(&self, other: &Schema<'_>, keyword: &'static str) -> Vec<Edit> {
        match other.last(keyword) {
            Some(value) => vec![Edit::Say(self.pointer.clone(), keyword, value.clone())],
            None => self.without(keyword),
        }
    }

    /// Returns the edits that make a field optional.
    pub fn not_requiring(&self, name: &str) -> Vec<Edit> {
        let lists = self.all("required").map(|found| {
            let names = found.value.as_array().into_iter().flatten();
            let names = names.filter(|one| *one != name).cloned().collect();
            Edit::Put(found.pointer, names)
        });
        lists.collect()
    }

    /// Returns the edit that makes a field required.
    pub fn requiring(&self, name: &str) -> Edit {
        let place = self.place_of_fields();
        Edit::Put(format!("{place}/required/-"), name.into())
    }

    /// Returns the pointer to the part that lists the fields, for a message about a missing one.
    pub fn place_of_fields(&self) -> String {
        self.parts
            .iter()
            .rev()
            .find(|part| part.child("properties").is_some())
            .map_or_else(|| self.pointer.clone(), |part| part.pointer.clone())
    }

    /// Returns a text that identifies the schema, by which a recursion ends.
    pub fn identity(&self) -> String {
        let pointers: Vec<&str> = self
            .parts
            .iter()
            .map(|part| part.pointer.as_str())
            .collect();
        pointers.join(" ")
    }
}
