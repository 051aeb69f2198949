//! Compares two documents operation by operation.
//!
//! Operations, parameters, the presence of request bodies and the response codes are
//! compared by the `drift` crate. What goes over the wire is compared by
//! [`Comparison`], because `drift` 0.2 doesn't look into it: it weighs no field that
//! is added, removed or made required, overlooks `nullable`, takes `allOf` only as a
//! wrapper of one, and panics when a media type comes or goes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, anyhow};
use drift::{ChangeClass, ChangeComparison, ChangeDetails};
use serde_json::{Map, Value, json};

use super::change::{Changes, Direction, Verdict};
use super::compare::Comparison;
use super::schema::Located;
use crate::pointer;
use crate::quiet;
use crate::route::{Operation, Route, operations, parameter_names};

/// Finds all changes from the fragment to a slice of the upstream document.
///
/// # Errors
///
/// One of them is not OpenAPI, or refers to what it doesn't have.
pub fn compare(ours: &Value, theirs: &Value) -> Result<Changes> {
    let mut changes = Changes::default();
    outside(ours, theirs, &mut changes)?;
    let their_operations = operations(theirs);
    for ours_one in operations(ours) {
        let is_same = |other: &&Operation| {
            (&other.route, &other.method) == (&ours_one.route, &ours_one.method)
        };
        if let Some(theirs_one) = their_operations.iter().find(is_same) {
            let mut pair = Pair {
                ours: Side::new(ours, &ours_one)?,
                theirs: Side::new(theirs, theirs_one)?,
                name: name(&ours_one),
                changes: &mut changes,
            };
            pair.compare()
                .with_context(|| format!("{} {}", ours_one.method, ours_one.path))?;
        }
    }
    Ok(changes)
}

/// The fragment's name for an operation.
fn name(operation: &Operation) -> &str {
    operation.id.as_deref().unwrap_or(&operation.path)
}

/// Has the `drift` crate compare what is outside the bodies.
fn outside(ours: &Value, theirs: &Value, changes: &mut Changes) -> Result<()> {
    let our_operations = operations(ours);
    let their_operations = operations(theirs);
    let moved = moved(&our_operations, &their_operations);
    let (our_outside, their_outside) = (without_bodies(ours), without_bodies(theirs));
    // It asserts what it expects of a document.
    let found = quiet::caught(|| drift::compare(&our_outside, &their_outside))
        .map_err(|words| anyhow!("`drift` gave up on them: {words}"))
        .and_then(|found| found)
        .context("the documents can't be compared")?;
    for found in found {
        for path in &found.paths {
            let endpoint = path.old.endpoint_base().unwrap_or_default();
            let operation = our_operations
                .iter()
                .find(|operation| pointer_of(operation) == endpoint.trim_start_matches('#'));
            for change in &found.changes {
                let Some(verdict) = verdict(change.class, change.details, path.comparison) else {
                    continue;
                };
                let at = place(path.old.current_pointer(), &change.old_subpath);
                let mut their_place = place(path.new.current_pointer(), &change.new_subpath);
                let mut what = lower_case_start(&change.message);
                if let Some(to) = operation.and_then(|operation| moved.get(operation)) {
                    what = format!("the operation has moved to {} {}", to.method, to.path);
                    their_place = pointer_of(to);
                } else if moved.values().any(|to| pointer_of(to) == their_place) {
                    // Told already, as the move.
                    continue;
                }
                changes.add(operation.map_or("", name), verdict, what, &at, &their_place);
            }
        }
    }
    Ok(())
}

fn place(base: &str, subpath: &str) -> String {
    let base = base.trim_start_matches('#');
    match subpath {
        "" => base.to_owned(),
        subpath => format!("{base}/{subpath}"),
    }
}

fn lower_case_start(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

fn pointer_of(operation: &Operation) -> String {
    let paths = pointer::join("/paths", &operation.path);
    pointer::join(&paths, &operation.method)
}

/// The operations that stand elsewhere upstream, known by their ids.
fn moved<'o>(
    ours: &'o [Operation],
    theirs: &'o [Operation],
) -> BTreeMap<&'o Operation, &'o Operation> {
    let place = |operation: &'o Operation| (&operation.route, &operation.method);
    let places: BTreeSet<(&Route, &String)> = theirs.iter().map(place).collect();
    ours.iter()
        .filter(|operation| !places.contains(&place(operation)))
        .filter_map(|operation| {
            let has_its_id = |other: &&Operation| {
                other.cloudflare_id.is_some() && other.cloudflare_id == operation.cloudflare_id
            };
            Some((operation, theirs.iter().find(has_its_id)?))
        })
        .collect()
}

/// What a change that `drift` found means for callers, if anything.
fn verdict(
    class: ChangeClass,
    details: ChangeDetails,
    direction: ChangeComparison,
) -> Option<Verdict> {
    match (class, details, direction) {
        (ChangeClass::Trivial, ..) => None,
        // To `drift`, a body that is no longer wanted harms nobody. But whoever sends
        // one wants it to have an effect.
        (_, ChangeDetails::Removed, ChangeComparison::Input) => Some(Verdict::Breaking),
        (ChangeClass::ForwardIncompatible, ..) => Some(Verdict::Compatible),
        _ => Some(Verdict::Breaking),
    }
}

/// The document without words and without what is inside bodies and parameters.
fn without_bodies(document: &Value) -> Value {
    let mut bare = json!({
        "openapi": "3.0.3",
        "info": { "title": "", "version": "" },
        "paths": {},
        "components": {},
    });
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        bare["paths"][path] = bare_part(item);
    }
    for section in ["parameters", "requestBodies", "responses"] {
        let components = document["components"][section].as_object();
        for (name, component) in components.into_iter().flatten() {
            bare["components"][section][name] = bare_part(component);
        }
    }
    bare
}

fn bare_part(part: &Value) -> Value {
    match part {
        Value::Object(fields) => {
            let mut bare = Map::new();
            for (name, value) in fields {
                match name.as_str() {
                    "content" if fields.contains_key("in") => {
                        bare.insert("schema".to_owned(), json!({}));
                    }
                    "content" | "schema" => {
                        bare.insert(name.clone(), json!({}));
                    }
                    // A response must have one.
                    "description" => {
                        bare.insert(name.clone(), json!(""));
                    }
                    "summary" | "tags" | "security" | "servers" | "callbacks" | "headers"
                    | "links" | "example" | "examples" | "externalDocs" | "deprecated" => {}
                    extension if extension.starts_with("x-") => {}
                    _ => {
                        bare.insert(name.clone(), bare_part(value));
                    }
                }
            }
            Value::Object(bare)
        }
        Value::Array(items) => items.iter().map(bare_part).collect(),
        scalar => scalar.clone(),
    }
}

/// One operation in both documents.
struct Pair<'a, 'c> {
    ours: Side<'a>,
    theirs: Side<'a>,
    name: &'a str,
    changes: &'c mut Changes,
}

/// One operation in one document.
struct Side<'a> {
    document: &'a Value,
    operation: Located<'a>,
    /// The parameters, by where they are sent and their name, or their index in the
    /// path, where each document names them as it likes.
    parameters: BTreeMap<(&'a str, String), Located<'a>>,
}

impl<'a> Side<'a> {
    fn new(document: &'a Value, operation: &'a Operation) -> Result<Self> {
        let root = Located {
            value: document,
            pointer: String::new(),
        };
        let paths = root.child("paths").context("no paths")?;
        let item = paths.child(&operation.path).context("no such path")?;
        let located = item.child(&operation.method).context("no such method")?;
        let mut parameters = BTreeMap::new();
        // Those of the operation come last, since they go before those of the item.
        for parameter in [&item, &located]
            .into_iter()
            .filter_map(|place| place.child("parameters"))
            .flat_map(|list| list.items().collect::<Vec<_>>())
        {
            let parameter = parameter.resolved(document)?;
            let text = |field: &str| parameter.value[field].as_str().unwrap_or_default();
            let (place, name) = (text("in"), text("name"));
            let index = parameter_names(&operation.path).position(|one| one == name);
            let key = match index.filter(|_| place == "path") {
                Some(index) => index.to_string(),
                None => name.to_owned(),
            };
            parameters.insert((place, key), parameter);
        }
        Ok(Self {
            document,
            operation: located,
            parameters,
        })
    }

    fn request_body(&self) -> Result<Option<Located<'a>>> {
        let body = self.operation.child("requestBody");
        body.map(|body| body.resolved(self.document)).transpose()
    }

    fn responses(&self) -> Result<BTreeMap<&'a str, Located<'a>>> {
        let responses = self.operation.child("responses");
        let responses = responses.iter().flat_map(Located::children);
        responses
            .map(|(status, response)| Ok((status, response.resolved(self.document)?)))
            .collect()
    }
}

impl<'a> Pair<'a, '_> {
    fn compare(&mut self) -> Result<()> {
        for (key, ours) in self.ours.parameters.clone() {
            if let Some(theirs) = self.theirs.parameters.get(&key).cloned() {
                self.schemas(Direction::Request, &ours, &theirs)?;
            }
        }
        if let (Some(ours), Some(theirs)) = (self.ours.request_body()?, self.theirs.request_body()?)
        {
            self.contents(Direction::Request, &ours, &theirs)?;
        }
        let their_responses = self.theirs.responses()?;
        for (status, ours) in self.ours.responses()? {
            if let Some(theirs) = their_responses.get(status) {
                self.contents(Direction::Response, &ours, theirs)?;
            }
        }
        Ok(())
    }

    /// Compares the media types of two bodies, and what each says of itself.
    fn contents(
        &mut self,
        direction: Direction,
        ours: &Located<'a>,
        theirs: &Located<'a>,
    ) -> Result<()> {
        let contents = |body: &Located<'a>| -> BTreeMap<&'a str, Located<'a>> {
            let content = body.child("content");
            content.iter().flat_map(Located::children).collect()
        };
        let (our_contents, their_contents) = (contents(ours), contents(theirs));
        for (media_type, our_content) in &our_contents {
            match their_contents.get(media_type) {
                Some(their_content) => self.schemas(direction, our_content, their_content)?,
                None => {
                    let what = format!("{direction}: media type {media_type} removed");
                    let (ours, theirs) = (&our_content.pointer, &theirs.pointer);
                    self.changes
                        .add(self.name, Verdict::Breaking, what, ours, theirs);
                }
            }
        }
        for (media_type, their_content) in &their_contents {
            if !our_contents.contains_key(media_type) {
                let what = format!("{direction}: media type {media_type} added");
                let (ours, theirs) = (&ours.pointer, &their_content.pointer);
                self.changes
                    .add(self.name, Verdict::Compatible, what, ours, theirs);
            }
        }
        Ok(())
    }

    /// Compares the schemas that two parameters or media types have.
    fn schemas(
        &mut self,
        direction: Direction,
        ours: &Located<'a>,
        theirs: &Located<'a>,
    ) -> Result<()> {
        let schema = |place: &Located<'a>| place.child("schema").into_iter().collect::<Vec<_>>();
        let documents = (self.ours.document, self.theirs.document);
        Comparison::new(documents, direction, self.name, self.changes)
            .schemas(&schema(ours), &schema(theirs))
    }
}
