//! The effective meaning of a schema, however it is composed.

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
    /// A child of the value, if it has it.
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

    /// The children of an object.
    pub fn children(&self) -> impl Iterator<Item = (&'a str, Self)> {
        let fields = self.value.as_object().into_iter().flatten();
        fields.map(|(name, value)| {
            let pointer = pointer::join(&self.pointer, name);
            (name.as_str(), Self { value, pointer })
        })
    }

    /// The items of an array.
    pub fn items(&self) -> impl Iterator<Item = Self> {
        let items = self.value.as_array().into_iter().flatten().enumerate();
        items.map(|(index, value)| Self {
            value,
            pointer: pointer::join(&self.pointer, &index.to_string()),
        })
    }

    /// The value, or what it refers to by `$ref`.
    ///
    /// # Errors
    ///
    /// It refers to what the document doesn't have.
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

/// A schema as the parts that all apply to a value: itself, what it refers to, and the
/// members of `allOf`, however deep. A wrapper leaves no trace.
pub struct Schema<'a> {
    pub document: &'a Value,
    /// Where the schema stands in the document.
    pub pointer: String,
    parts: Vec<Located<'a>>,
    /// The remaining alternatives of `anyOf` and `oneOf`: one of them applies as well.
    pub alternatives: Vec<Located<'a>>,
    /// Whether one of the alternatives was null.
    takes_null: bool,
}

impl<'a> Schema<'a> {
    /// Puts a schema together from all the places that speak of the same value.
    ///
    /// # Errors
    ///
    /// One refers to what the document doesn't have.
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
        // An alternative may be the schema that it is one of.
        if depth < MOST_ALTERNATIVES_WITHIN_EACH_OTHER {
            schema.settle_alternatives(document, depth + 1)?;
        }
        Ok(schema)
    }

    fn add(&mut self, document: &'a Value, place: &Located<'a>) -> Result<()> {
        let target = place.resolved(document)?;
        // Since OpenAPI 3.1, whatever stands beside a reference applies as well.
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

    /// Keeps of `anyOf` and `oneOf` what the other parts leave open.
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
                    // An alternative that only names the type known adds nothing to it.
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

    /// The alternatives as one object that may have the fields of each, if all of them are
    /// objects and nothing else is said of the type.
    ///
    /// # Errors
    ///
    /// One refers to what the document doesn't have.
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

    /// The parts that have a keyword, with what they say.
    pub fn all(&self, keyword: &str) -> impl Iterator<Item = Located<'a>> {
        self.parts
            .iter()
            .filter_map(move |part| part.child(keyword))
    }

    /// Returns the value of the last part that has a keyword.
    pub fn last(&self, keyword: &str) -> Option<&'a Value> {
        self.all(keyword).last().map(|found| found.value)
    }

    /// The JSON types that a value may have; none named means any.
    pub fn types(&self) -> BTreeSet<&'a str> {
        let named = self.all("type").map(|found| match found.value {
            // OpenAPI 3.1 has lists.
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

    /// Whether a value may be null. A wrapper says it for what it wraps.
    pub fn is_nullable(&self) -> bool {
        self.takes_null
            || self.all("nullable").any(|found| found.value == true)
            || self.all("type").any(|found| match found.value {
                Value::Array(types) => types.iter().any(|one| one == "null"),
                one => one == "null",
            })
    }

    /// Whether a value can be nothing but null.
    fn is_null(&self) -> bool {
        let only_null = |found: Located<'_>| match found.value {
            Value::Array(types) => types.iter().all(|one| one == "null"),
            one => one == "null",
        };
        self.all("type").any(only_null) || self.listed() == Some(BTreeSet::from(["null".into()]))
    }

    /// The parts as they stand in the document.
    pub fn values(&self) -> Vec<&'a Value> {
        self.parts.iter().map(|part| part.value).collect()
    }

    /// The values that are allowed, if they are listed, each as JSON. Null is none of
    /// them, unless it is the only one.
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
        // OpenAPI 3.1 has a word for a list of one.
        let constants = self.all("const");
        let constants = constants.map(|found| BTreeSet::from([found.value.to_string()]));
        lists
            .chain(constants)
            .reduce(|values, more| values.intersection(&more).cloned().collect())
    }

    /// The fields of an object, each with all the places that speak of it.
    pub fn fields(&self) -> BTreeMap<&'a str, Vec<Located<'a>>> {
        let mut fields = BTreeMap::<_, Vec<_>>::new();
        for properties in self.all("properties") {
            for (name, place) in properties.children() {
                fields.entry(name).or_default().push(place);
            }
        }
        fields
    }

    /// The names of the fields that an object must have.
    pub fn required(&self) -> BTreeSet<&'a str> {
        let lists = self
            .all("required")
            .filter_map(|found| found.value.as_array());
        lists.flatten().filter_map(Value::as_str).collect()
    }

    /// The edits after which no part of the schema has a keyword.
    pub fn without(&self, keyword: &str) -> Vec<Edit> {
        let found = self.all(keyword);
        found.map(|found| Edit::Remove(found.pointer)).collect()
    }

    /// The edits after which the schema says of a keyword what another says.
    pub fn following(&self, other: &Schema<'_>, keyword: &'static str) -> Vec<Edit> {
        match other.last(keyword) {
            Some(value) => vec![Edit::Say(self.pointer.clone(), keyword, value.clone())],
            None => self.without(keyword),
        }
    }

    /// The edits after which an object need not have a field.
    pub fn not_requiring(&self, name: &str) -> Vec<Edit> {
        let lists = self.all("required").map(|found| {
            let names = found.value.as_array().into_iter().flatten();
            let names = names.filter(|one| *one != name).cloned().collect();
            Edit::Put(found.pointer, names)
        });
        lists.collect()
    }

    /// The edit after which an object must have a field.
    pub fn requiring(&self, name: &str) -> Edit {
        let place = self.place_of_fields();
        Edit::Put(format!("{place}/required/-"), name.into())
    }

    /// Where the fields of the object stand: what best tells of one that is missing.
    pub fn place_of_fields(&self) -> String {
        self.parts
            .iter()
            .rev()
            .find(|part| part.child("properties").is_some())
            .map_or_else(|| self.pointer.clone(), |part| part.pointer.clone())
    }

    /// Tells the schema from others, to stop where schemas contain themselves.
    pub fn identity(&self) -> String {
        let pointers: Vec<&str> = self
            .parts
            .iter()
            .map(|part| part.pointer.as_str())
            .collect();
        pointers.join(" ")
    }
}
