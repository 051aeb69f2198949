//! Compares two documents operation by operation: what goes over the wire and where to.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::change::{Changes, Direction, Verdict};
use super::compare::Comparison;
use super::outside::outside;
use super::schema::Located;
use super::servers::Servers;
use crate::route::{Operation, operations, parameter_names};

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
                name: ours_one.name(),
                changes: &mut changes,
            };
            pair.compare()
                .with_context(|| format!("{} {}", ours_one.method, ours_one.path))?;
        }
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
            servers: Servers::in_force(&[&located, &item, &root]),
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
        let (ours, theirs) = (self.ours.operation.clone(), self.theirs.operation.clone());
        self.deprecation("the operation", &ours, &theirs);
        for (key, ours) in self.ours.parameters.clone() {
            if let Some(theirs) = self.theirs.parameters.get(&key).cloned() {
                self.parameter(&ours, &theirs)?;
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

    fn servers(&mut self) {
        let (ours, theirs) = (&self.ours.servers, &self.theirs.servers);
        let removed = ours.urls.difference(&theirs.urls);
        let added = theirs.urls.difference(&ours.urls);
        let removed =
            removed.map(|url| (Verdict::Breaking, format!("the server {url} was removed")));
        let added = added.map(|url| (Verdict::Compatible, format!("the server {url} was added")));
        for (verdict, what) in removed.chain(added) {
            let (ours, theirs) = (&ours.pointer, &theirs.pointer);
            self.changes.add(self.name, verdict, what, ours, theirs);
        }
    }

    /// What is deprecated still works. That it is, or no longer is, should be known.
    fn deprecation(&mut self, of: &str, ours: &Located<'a>, theirs: &Located<'a>) {
        let is_deprecated = |place: &Located<'a>| place.value["deprecated"] == true;
        let what = match (is_deprecated(ours), is_deprecated(theirs)) {
            (false, true) => format!("{of} is deprecated now"),
            (true, false) => format!("{of} is no longer deprecated"),
            _ => return,
        };
        let (ours, theirs) = (&ours.pointer, &theirs.pointer);
        self.changes
            .add(self.name, Verdict::Compatible, what, ours, theirs);
    }

    fn parameter(&mut self, ours: &Located<'a>, theirs: &Located<'a>) -> Result<()> {
        let name = ours.value["name"].as_str().unwrap_or_default();
        let parameter = format!("the parameter '{name}'");
        self.deprecation(&parameter, ours, theirs);
        for ((keyword, old), (_, new)) in written(ours).into_iter().zip(written(theirs)) {
            if old != new {
                let what = format!("{keyword} of {parameter} changed from {old} to {new}");
                let (ours, theirs) = (&ours.pointer, &theirs.pointer);
                self.changes
                    .add(self.name, Verdict::Breaking, what, ours, theirs);
            }
        }
        self.schemas(Direction::Request, ours, theirs)
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

/// How a parameter is written into the request, with what holds where nothing is said.
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
