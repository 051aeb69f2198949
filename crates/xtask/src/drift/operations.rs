//! Compares two documents operation by operation.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::availability::{added_availability, availability_change};
use super::change::{Changes, Direction, Verdict};
use super::compare::Comparison;
use super::edit::{Edit, inlined};
use super::schema::Located;
use super::security::{self, Security};
use super::servers::Servers;
use crate::pointer;
use crate::route::{Operation, operations, parameter_names};

/// Finds all changes from the fragment to a slice of the upstream document.
///
/// # Errors
///
/// A document is not OpenAPI, or refers to a part that it lacks.
pub fn compare(ours: &Value, theirs: &Value) -> Result<Changes> {
    let mut changes = Changes::default();
    let (our_operations, their_operations) = (operations(ours), operations(theirs));
    // The operations of the upstream document that are not matched yet.
    let mut added: Vec<&Operation> = their_operations.iter().collect();
    let mut missing = Vec::new();
    for our_one in &our_operations {
        let is_same =
            |other: &&Operation| (&other.route, &other.method) == (&our_one.route, &our_one.method);
        let Some(index) = added.iter().position(is_same) else {
            missing.push(our_one);
            continue;
        };
        let mut pair = Pair {
            ours: Side::new(ours, our_one)?,
            theirs: Side::new(theirs, added.remove(index))?,
            name: our_one.name(),
            changes: &mut changes,
        };
        pair.compare()
            .with_context(|| format!("{} {}", our_one.method, our_one.path))?;
    }
    for our_one in missing {
        let (name, place) = (our_one.name(), our_one.pointer());
        let has_its_id =
            |other: &&Operation| other.id.is_some() && other.id == our_one.cloudflare_id;
        if let Some(index) = added.iter().position(has_its_id) {
            let to = added.remove(index);
            let what = format!("the operation has moved to {} {}", to.method, to.path);
            changes.add(name, Verdict::Breaking, what, &place, &to.pointer(), []);
        } else {
            let what = format!("the operation {name} was removed");
            let edit = Edit::Remove(place.clone());
            changes.add(name, Verdict::Breaking, what, &place, "/paths", [edit]);
        }
    }
    for their_one in added {
        let side = Side::new(theirs, their_one)?;
        let mut operation = inlined(theirs, &side.operation.pointer);
        let parameters = side.parameters.values();
        let parameters: Value = parameters
            .map(|one| inlined(theirs, &one.pointer))
            .collect();
        if let Value::Object(fields) = &mut operation {
            fields.insert("parameters".to_owned(), parameters);
        }
        let (name, place) = (their_one.name(), their_one.pointer());
        let availability = added_availability(side.operation.value);
        let what = format!("the operation {name} was added{availability}");
        let edit = Edit::Put(place.clone(), operation);
        changes.add("", Verdict::Compatible, what, &place, &place, [edit]);
    }
    Ok(changes)
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
    servers: Servers,
    security: Security,
    /// The parameters, by their location and name. Parameters of the path have their index
    /// instead, since each document chooses their names.
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
        // The operation's parameters come last, because they override the path item's.
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
            servers: Servers::in_force(&[&located, &item, &root]),
            security: Security::in_force(&located, &root)?,
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
        self.servers();
        self.security();
        let (ours, theirs) = (self.ours.operation.clone(), self.theirs.operation.clone());
        self.availability("the operation", &ours, &theirs);
        self.parameters()?;
        self.request_body()?;
        self.responses()
    }

    fn add(
        &mut self,
        verdict: Verdict,
        what: String,
        ours: &str,
        theirs: &str,
        edits: impl IntoIterator<Item = Edit>,
    ) {
        self.changes
            .add(self.name, verdict, what, ours, theirs, edits);
    }

    fn servers(&mut self) {
        let (ours, theirs) = (&self.ours.servers, &self.theirs.servers);
        let removed = ours.urls.difference(&theirs.urls);
        let added = theirs.urls.difference(&ours.urls);
        let removed =
            removed.map(|url| (Verdict::Breaking, format!("the server {url} was removed")));
        let added = added.map(|url| (Verdict::Compatible, format!("the server {url} was added")));
        let (ours, theirs) = (&ours.pointer, &theirs.pointer);
        for (verdict, what) in removed.chain(added) {
            let name = self.name;
            self.changes.add(name, verdict, what, ours, theirs, []);
        }
    }

    /// Compares the ways to authenticate: removing one is breaking.
    fn security(&mut self) {
        let (ours, theirs) = (&self.ours.security, &self.theirs.security);
        let removed = ours.ways.iter().filter(|way| !theirs.accepts(way));
        let removed = removed.map(|way| (Verdict::Breaking, way, "no longer accepts"));
        let added = theirs.ways.difference(&ours.ways);
        let added = added.map(|way| (Verdict::Compatible, way, "now accepts"));
        let (our_place, their_place) = (&ours.pointer, &theirs.pointer);
        for (verdict, way, what) in removed.chain(added) {
            let what = format!("the operation {what} {}", security::words(way));
            let name = self.name;
            self.changes
                .add(name, verdict, what, our_place, their_place, []);
        }
    }

    /// Compares availability. A deprecated operation or parameter still works, so the change is
    /// compatible.
    fn availability(&mut self, of: &str, ours: &Located<'a>, theirs: &Located<'a>) {
        if let Some(change) = availability_change(&[ours.value], &[theirs.value]) {
            let what = format!("{of} is {change}");
            let (ours, theirs) = (&ours.pointer, &theirs.pointer);
            self.add(Verdict::Compatible, what, ours, theirs, []);
        }
    }

    fn parameters(&mut self) -> Result<()> {
        let (ours, theirs) = (self.ours.parameters.clone(), self.theirs.parameters.clone());
        let kept = ours.iter().filter(|(key, _)| theirs.contains_key(key));
        let kept = kept.map(|(_, parameter)| match parameter.pointer.as_str() {
            shared if shared.starts_with("/components/") => json!({ "$ref": format!("#{shared}") }),
            _ => parameter.value.clone(),
        });
        let is_added = |(key, _): &(&_, _)| !ours.contains_key(*key);
        let added: Vec<_> = theirs.iter().filter(is_added).map(|(_, one)| one).collect();
        let inlined = added
            .iter()
            .map(|one| inlined(self.theirs.document, &one.pointer));
        let list = kept.chain(inlined).collect();
        let our_place = self.ours.operation.pointer.clone();
        let their_place = self.theirs.operation.pointer.clone();
        let edit = Edit::Put(format!("{our_place}/parameters"), list);
        for (key, parameter) in &ours {
            if let Some(twin) = theirs.get(key) {
                self.parameter(parameter, twin)?;
                continue;
            }
            let what = format!("{} was removed", title(parameter));
            let (place, edit) = (&parameter.pointer, edit.clone());
            self.add(Verdict::Breaking, what, place, &their_place, [edit]);
        }
        for parameter in added {
            let (verdict, required) = match is_required(parameter) {
                true => (Verdict::Breaking, "required"),
                false => (Verdict::Compatible, "optional"),
            };
            let what = format!("{} was added, {required}", title(parameter));
            let (place, edit) = (&parameter.pointer, edit.clone());
            self.add(verdict, what, &our_place, place, [edit]);
        }
        Ok(())
    }

    fn parameter(&mut self, ours: &Located<'a>, theirs: &Located<'a>) -> Result<()> {
        let parameter = title(ours);
        self.availability(&parameter, ours, theirs);
        self.requirement(&parameter, ours, theirs);
        for ((keyword, old), (_, new)) in written(ours).into_iter().zip(written(theirs)) {
            if old != new {
                let what = format!("{keyword} of {parameter} changed from {old} to {new}");
                let edit = Edit::Say(ours.pointer.clone(), keyword, new);
                let (ours, theirs) = (&ours.pointer, &theirs.pointer);
                self.add(Verdict::Breaking, what, ours, theirs, [edit]);
            }
        }
        self.schemas(Direction::Request, ours, theirs)
    }

    /// Compares whether a caller must send a parameter or a body.
    fn requirement(&mut self, of: &str, ours: &Located<'a>, theirs: &Located<'a>) {
        let (verdict, what) = match (is_required(ours), is_required(theirs)) {
            (false, true) => (Verdict::Breaking, "is required now"),
            (true, false) => (Verdict::Compatible, "is optional now"),
            _ => return,
        };
        let edit = Edit::Say(ours.pointer.clone(), "required", json!(is_required(theirs)));
        let (what, ours, theirs) = (format!("{of} {what}"), &ours.pointer, &theirs.pointer);
        self.add(verdict, what, ours, theirs, [edit]);
    }

    fn request_body(&mut self) -> Result<()> {
        const BODY: &str = "the request body";
        let (ours, theirs) = (self.ours.request_body()?, self.theirs.request_body()?);
        let operations = (&self.ours.operation.pointer, &self.theirs.operation.pointer);
        let (our_place, their_place) = (operations.0.clone(), operations.1.clone());
        let place = pointer::join(&our_place, "requestBody");
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => {
                self.requirement(BODY, &ours, &theirs);
                self.contents(Direction::Request, &ours, &theirs)?;
            }
            // A caller sends a body for an effect, which is gone.
            (Some(ours), None) => {
                let (what, edit) = (format!("{BODY} was removed"), Edit::Remove(place));
                self.add(Verdict::Breaking, what, &ours.pointer, &their_place, [edit]);
            }
            (None, Some(theirs)) => {
                let (verdict, required) = match is_required(&theirs) {
                    true => (Verdict::Breaking, "required"),
                    false => (Verdict::Compatible, "optional"),
                };
                let what = format!("{BODY} was added, {required}");
                let edit = Edit::Put(place, inlined(self.theirs.document, &theirs.pointer));
                self.add(verdict, what, &our_place, &theirs.pointer, [edit]);
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn responses(&mut self) -> Result<()> {
        let (ours, mut added) = (self.ours.responses()?, self.theirs.responses()?);
        let operations = (&self.ours.operation.pointer, &self.theirs.operation.pointer);
        let (our_place, their_place) = (operations.0.clone(), operations.1.clone());
        let place = |status: &str| {
            let responses = pointer::join(&our_place, "responses");
            pointer::join(&responses, status)
        };
        for (status, response) in &ours {
            if let Some(twin) = added.remove(status) {
                self.contents(Direction::Response, response, &twin)?;
                continue;
            }
            let what = format!("response: status {status} removed");
            let edit = Edit::Remove(place(status));
            let ours = &response.pointer;
            self.add(Verdict::Compatible, what, ours, &their_place, [edit]);
        }
        for (status, response) in added {
            let what = format!("response: status {status} added");
            let edit = Edit::Put(
                place(status),
                inlined(self.theirs.document, &response.pointer),
            );
            let theirs = &response.pointer;
            self.add(Verdict::Breaking, what, &our_place, theirs, [edit]);
        }
        Ok(())
    }

    /// Compares the media types of two bodies, and their schemas.
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
            if let Some(their_content) = their_contents.get(media_type) {
                self.schemas(direction, our_content, their_content)?;
                continue;
            }
            let what = format!("{direction}: media type {media_type} removed");
            let (ours, theirs) = (&our_content.pointer, &theirs.pointer);
            let edit = Edit::Remove(ours.clone());
            self.add(Verdict::Breaking, what, ours, theirs, [edit]);
        }
        for (media_type, their_content) in &their_contents {
            if our_contents.contains_key(media_type) {
                continue;
            }
            let what = format!("{direction}: media type {media_type} added");
            let place = pointer::join(&pointer::join(&ours.pointer, "content"), media_type);
            let edit = Edit::Put(place, inlined(self.theirs.document, &their_content.pointer));
            let (ours, theirs) = (&ours.pointer, &their_content.pointer);
            self.add(Verdict::Compatible, what, ours, theirs, [edit]);
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

/// Returns the name of a parameter in a report.
fn title(parameter: &Located<'_>) -> String {
    let name = parameter.value["name"].as_str().unwrap_or_default();
    format!("the parameter '{name}'")
}

fn is_required(place: &Located<'_>) -> bool {
    place.value["required"] == true
}

/// Returns how a parameter is serialized, with the defaults.
fn written(parameter: &Located<'_>) -> [(&'static str, Value); 3] {
    let stated = |keyword: &str| parameter.value.get(keyword).cloned();
    let is_form = matches!(parameter.value["in"].as_str(), Some("query" | "cookie"));
    let style = stated("style").unwrap_or_else(|| json!(if is_form { "form" } else { "simple" }));
    let explode = stated("explode").unwrap_or_else(|| json!(style == "form"));
    let reserved = stated("allowReserved").unwrap_or(json!(false));
    [
        ("style", style),
        ("explode", explode),
        ("allowReserved", reserved),
    ]
}
