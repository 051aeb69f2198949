//! Compares two resolved schemas, keyword by keyword.
//!
//! The verdicts are those of the table in `openapi/README.md`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::Value;

use super::availability::availability_change;
use super::change::{Changes, Direction, Verdict};
use super::edit::{Edit, inlined};
use super::schema::{Located, Schema};
use crate::pointer;

/// Which of two limits is stricter.
#[derive(Clone, Copy)]
enum Stricter {
    Lower,
    Higher,
    /// Two limits can't be compared; any limit is stricter than none.
    Unknown,
}

/// The limits, and the types to which each applies.
const LIMITS: [(&str, &[&str], Stricter); 14] = [
    (
        "format",
        &["string", "integer", "number"],
        Stricter::Unknown,
    ),
    ("pattern", &["string"], Stricter::Unknown),
    ("minLength", &["string"], Stricter::Higher),
    ("maxLength", &["string"], Stricter::Lower),
    ("minimum", &["integer", "number"], Stricter::Higher),
    ("maximum", &["integer", "number"], Stricter::Lower),
    ("exclusiveMinimum", &["integer", "number"], Stricter::Higher),
    ("exclusiveMaximum", &["integer", "number"], Stricter::Lower),
    ("multipleOf", &["integer", "number"], Stricter::Unknown),
    ("minItems", &["array"], Stricter::Higher),
    ("maxItems", &["array"], Stricter::Lower),
    ("uniqueItems", &["array"], Stricter::Unknown),
    ("minProperties", &["object"], Stricter::Higher),
    ("maxProperties", &["object"], Stricter::Lower),
];

/// A running comparison of the request or the response of an operation.
pub struct Comparison<'a, 'c> {
    pub ours: &'a Value,
    pub theirs: &'a Value,
    pub direction: Direction,
    /// The name of the operation in the fragment.
    pub operation: &'a str,
    pub changes: &'c mut Changes,
    /// The pairs of schemas that have been compared.
    met: BTreeSet<(String, String)>,
}

impl<'a, 'c> Comparison<'a, 'c> {
    /// Begins a comparison.
    pub fn new(
        (ours, theirs): (&'a Value, &'a Value),
        direction: Direction,
        operation: &'a str,
        changes: &'c mut Changes,
    ) -> Self {
        Self {
            ours,
            theirs,
            direction,
            operation,
            changes,
            met: BTreeSet::new(),
        }
    }

    /// Compares two values, each described by the schemas at a list of places.
    ///
    /// # Errors
    ///
    /// A document refers to what it doesn't have.
    pub fn schemas(&mut self, ours: &[Located<'a>], theirs: &[Located<'a>]) -> Result<()> {
        let ours = Schema::read(self.ours, ours)?;
        let mut theirs = Schema::read(self.theirs, theirs)?;
        // If the fragment has one object for several kinds, the kinds are compared as one.
        if ours.alternatives.is_empty()
            && ours.types() == BTreeSet::from(["object"])
            && let Some(merged) = theirs.as_one_object()?
        {
            theirs = merged;
        }
        if !self.met.insert((ours.identity(), theirs.identity())) {
            return Ok(());
        }
        self.nullability(&ours, &theirs);
        self.availability(&ours, &theirs);
        if !self.types(&ours, &theirs) {
            return Ok(());
        }
        self.enumeration(&ours, &theirs);
        self.limits(&ours, &theirs);
        self.default(&ours, &theirs);
        self.alternatives(&ours, &theirs)?;
        self.fields(&ours, &theirs)?;
        self.further_fields(&ours, &theirs)?;
        let items = |schema: &Schema<'a>| schema.all("items").collect::<Vec<_>>();
        let (our_items, their_items) = (items(&ours), items(&theirs));
        if !our_items.is_empty() && !their_items.is_empty() {
            self.schemas(&our_items, &their_items)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        verdict: Verdict,
        what: String,
        ours: &str,
        theirs: &str,
        edits: impl IntoIterator<Item = Edit>,
    ) {
        let what = format!("{}: {what}", self.direction);
        self.changes
            .add(self.operation, verdict, what, ours, theirs, edits);
    }

    fn add_between(
        &mut self,
        verdict: Verdict,
        what: String,
        ours: &Schema<'_>,
        theirs: &Schema<'_>,
        edits: impl IntoIterator<Item = Edit>,
    ) {
        self.add(verdict, what, &ours.pointer, &theirs.pointer, edits);
    }

    /// Returns the edit that replaces our whole schema by theirs.
    fn replaced(&self, ours: &Schema<'_>, theirs: &Schema<'_>) -> Edit {
        let theirs = inlined(self.theirs, &theirs.pointer);
        Edit::Put(ours.pointer.clone(), theirs)
    }

    fn nullability(&mut self, ours: &Schema<'_>, theirs: &Schema<'_>) {
        const KEYWORD: &str = "nullable";
        let (verdict, what, edits) = match (ours.is_nullable(), theirs.is_nullable()) {
            (true, false) => (
                self.direction.narrowed(),
                "may no longer be null",
                ours.without(KEYWORD),
            ),
            (false, true) => (
                self.direction.widened(),
                "may now be null",
                vec![Edit::Say(ours.pointer.clone(), KEYWORD, true.into())],
            ),
            _ => return,
        };
        self.add_between(verdict, what.to_owned(), ours, theirs, edits);
    }

    fn availability(&mut self, ours: &Schema<'_>, theirs: &Schema<'_>) {
        if let Some(what) = availability_change(&ours.values(), &theirs.values()) {
            self.add_between(Verdict::Compatible, what, ours, theirs, []);
        }
    }

    /// Compares types, and returns whether a comparison of the rest makes sense.
    fn types(&mut self, ours: &Schema<'_>, theirs: &Schema<'_>) -> bool {
        let (old, new) = (ours.types(), theirs.types());
        if old == new {
            return true;
        }
        let verdict = if covers(&old, &new) {
            self.direction.narrowed()
        } else if covers(&new, &old) {
            self.direction.widened()
        } else {
            Verdict::Breaking
        };
        let words = |types: &BTreeSet<&str>| match types.is_empty() {
            true => "any".to_owned(),
            false => types.iter().copied().collect::<Vec<_>>().join(" or "),
        };
        let what = format!("type changed from {} to {}", words(&old), words(&new));
        let edit = self.replaced(ours, theirs);
        self.add_between(verdict, what, ours, theirs, [edit]);
        false
    }

    fn enumeration(&mut self, ours: &Schema<'_>, theirs: &Schema<'_>) {
        let words =
            |values: &BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join(", ");
        let (old, new) = (ours.enumeration(), theirs.enumeration());
        let edits = || match &new {
            None => [ours.without("enum"), ours.without("const")].concat(),
            Some(_) => ours.following(theirs, "enum"),
        };
        match (&old, &new) {
            (None, None) => {}
            (None, Some(new)) => {
                let what = format!("only these values are allowed now: {}", words(new));
                self.add_between(self.direction.narrowed(), what, ours, theirs, edits());
            }
            (Some(old), None) => {
                let what = format!("more values than these are allowed now: {}", words(old));
                self.add_between(self.direction.widened(), what, ours, theirs, edits());
            }
            (Some(old), Some(new)) => {
                for value in new.difference(old) {
                    let what = format!("enum value {value} added");
                    self.add_between(self.direction.widened(), what, ours, theirs, edits());
                }
                for value in old.difference(new) {
                    let what = format!("enum value {value} removed");
                    self.add_between(self.direction.narrowed(), what, ours, theirs, edits());
                }
            }
        }
    }

    fn limits(&mut self, ours: &Schema<'_>, theirs: &Schema<'_>) {
        let types = ours.types();
        for (keyword, of, stricter) in LIMITS {
            if !of.iter().any(|one| types.contains(one)) {
                continue;
            }
            let stated = |schema: &Schema<'_>| {
                // In OpenAPI 3.0 the keyword is a boolean, and false by default.
                let stated = schema.last(keyword).filter(|value| **value != false);
                stated.cloned()
            };
            let (verdict, what) = match (stated(ours), stated(theirs)) {
                (None, Some(new)) => (self.direction.narrowed(), format!("{keyword} {new} added")),
                (Some(old), None) => (self.direction.widened(), format!("{keyword} {old} removed")),
                (Some(old), Some(new)) if old != new => (
                    self.after(stricter, &old, &new),
                    format!("{keyword} changed from {old} to {new}"),
                ),
                _ => continue,
            };
            let edits = ours.following(theirs, keyword);
            self.add_between(verdict, what, ours, theirs, edits);
        }
    }

    fn after(&self, stricter: Stricter, old: &Value, new: &Value) -> Verdict {
        let (Some(old), Some(new)) = (old.as_f64(), new.as_f64()) else {
            return Verdict::Breaking;
        };
        let is_stricter = match stricter {
            Stricter::Lower => new < old,
            Stricter::Higher => new > old,
            Stricter::Unknown => return Verdict::Breaking,
        };
        if is_stricter {
            self.direction.narrowed()
        } else {
            self.direction.widened()
        }
    }

    /// Compares defaults. The default of a request decides what the API does when a
    /// caller leaves the field out; that of a response has no effect.
    fn default(&mut self, ours: &Schema<'_>, theirs: &Schema<'_>) {
        if self.direction == Direction::Response {
            return;
        }
        let (verdict, what) = match (ours.last("default"), theirs.last("default")) {
            (None, Some(new)) => (Verdict::Compatible, format!("default {new} added")),
            (Some(old), None) => (Verdict::Breaking, format!("default {old} removed")),
            (Some(old), Some(new)) if old != new => (
                Verdict::Breaking,
                format!("default changed from {old} to {new}"),
            ),
            _ => return,
        };
        let edits = ours.following(theirs, "default");
        self.add_between(verdict, what, ours, theirs, edits);
    }

    /// Compares the alternatives, in any order.
    fn alternatives(&mut self, ours: &Schema<'a>, theirs: &Schema<'a>) -> Result<()> {
        let mut new = theirs.alternatives.clone();
        let mut gone = Vec::new();
        for old in &ours.alternatives {
            let mut twin = None;
            for (index, candidate) in new.iter().enumerate() {
                let mut differences = Changes::default();
                let documents = (self.ours, self.theirs);
                let mut comparison =
                    Comparison::new(documents, self.direction, self.operation, &mut differences);
                comparison.met.clone_from(&self.met);
                comparison.schemas(std::slice::from_ref(old), std::slice::from_ref(candidate))?;
                if differences.is_empty() {
                    twin = Some(index);
                    break;
                }
            }
            match twin {
                Some(index) => drop(new.remove(index)),
                None => gone.push(old),
            }
        }
        if let ([old], [new]) = (gone.as_slice(), new.as_slice()) {
            return self.schemas(std::slice::from_ref(old), std::slice::from_ref(new));
        }
        // The first alternatives restrict a schema that had none.
        let (added, removed) = match (ours.alternatives.is_empty(), theirs.alternatives.is_empty())
        {
            (true, _) => (self.direction.narrowed(), self.direction.narrowed()),
            (_, true) => (self.direction.widened(), self.direction.widened()),
            _ => (self.direction.widened(), self.direction.narrowed()),
        };
        for new in new {
            let (what, edit) = ("alternative added".to_owned(), self.replaced(ours, theirs));
            self.add(added, what, &ours.pointer, &new.pointer, [edit]);
        }
        for old in gone {
            let (what, edit) = (
                "alternative removed".to_owned(),
                self.replaced(ours, theirs),
            );
            self.add(removed, what, &old.pointer, &theirs.pointer, [edit]);
        }
        Ok(())
    }

    fn fields(&mut self, ours: &Schema<'a>, theirs: &Schema<'a>) -> Result<()> {
        let (our_required, their_required) = (ours.required(), theirs.required());
        let our_fields = self.fields_in_use(ours);
        let their_fields = self.fields_in_use(theirs);
        for (name, places) in &our_fields {
            let Some(their_places) = their_fields.get(name) else {
                let (place, what) = (last(places), format!("field `{name}` removed"));
                let mut edits = ours.not_requiring(name);
                edits.push(Edit::Remove(place.to_owned()));
                let theirs = theirs.place_of_fields();
                self.add(Verdict::Breaking, what, place, &theirs, edits);
                continue;
            };
            let (verdict, what, edits) =
                match (our_required.contains(name), their_required.contains(name)) {
                    (false, true) => (
                        self.direction.narrowed(),
                        "made required",
                        vec![ours.requiring(name)],
                    ),
                    (true, false) => (
                        self.direction.widened(),
                        "made optional",
                        ours.not_requiring(name),
                    ),
                    _ => {
                        self.schemas(places, their_places)?;
                        continue;
                    }
                };
            let what = format!("field `{name}` {what}");
            self.add(verdict, what, last(places), last(their_places), edits);
            self.schemas(places, their_places)?;
        }
        for (name, places) in &their_fields {
            if our_fields.contains_key(name) {
                continue;
            }
            let place = ours.place_of_fields();
            let field = pointer::join(&format!("{place}/properties"), name);
            let mut edits = vec![Edit::Put(field, inlined(self.theirs, last(places)))];
            let is_required = their_required.contains(name);
            edits.extend(is_required.then(|| ours.requiring(name)));
            let (verdict, what) = match (self.direction, is_required) {
                (Direction::Request, true) => (Verdict::Breaking, "added, and required"),
                _ => (Verdict::Compatible, "added"),
            };
            let what = format!("field `{name}` {what}");
            self.add(verdict, what, &place, last(places), edits);
        }
        Ok(())
    }

    /// Returns the fields of this direction: a request has none that are `readOnly`.
    fn fields_in_use(&self, schema: &Schema<'a>) -> BTreeMap<&'a str, Vec<Located<'a>>> {
        let other_way = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        let mut fields = schema.fields();
        fields.retain(|_, places| {
            places.iter().all(|place| {
                let resolved = Schema::read(schema.document, std::slice::from_ref(place));
                resolved.map_or(true, |schema| {
                    schema.last(other_way) != Some(&Value::Bool(true))
                })
            })
        });
        fields
    }

    fn further_fields(&mut self, ours: &Schema<'a>, theirs: &Schema<'a>) -> Result<()> {
        const KEYWORD: &str = "additionalProperties";
        let is_closed = |schema: &Schema<'_>| schema.last(KEYWORD) == Some(&Value::Bool(false));
        match (is_closed(ours), is_closed(theirs)) {
            (false, true) => {
                let what = "no fields but those named are allowed now".to_owned();
                let edits = ours.following(theirs, KEYWORD);
                self.add_between(self.direction.narrowed(), what, ours, theirs, edits);
            }
            (true, false) => {
                let what = "fields that aren't named are allowed now".to_owned();
                let edits = ours.without(KEYWORD);
                self.add_between(self.direction.widened(), what, ours, theirs, edits);
            }
            _ => {
                let schemas = |schema: &Schema<'a>| -> Vec<Located<'a>> {
                    let found = schema.all(KEYWORD);
                    found.filter(|found| found.value.is_object()).collect()
                };
                let (ours, theirs) = (schemas(ours), schemas(theirs));
                if !ours.is_empty() && !theirs.is_empty() {
                    self.schemas(&ours, &theirs)?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the pointer of the last place, which refines those before it.
fn last<'p>(places: &'p [Located<'_>]) -> &'p str {
    places.last().map_or("", |place| &place.pointer)
}

/// Returns whether the old types include all of the new ones.
fn covers(old: &BTreeSet<&str>, new: &BTreeSet<&str>) -> bool {
    let is_covered =
        |new: &&str| old.contains(new) || (*new == "integer" && old.contains("number"));
    old.is_empty() || (!new.is_empty() && new.iter().all(is_covered))
}
