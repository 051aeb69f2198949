//! Every link between the documents leads to a file that is there, and to a heading
//! in it if it names one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Where the crates' own pages, which are read elsewhere too, say that files are.
const REPOSITORY: &str = "https://github.com/cf-service-tokens/cf-service-tokens/blob/main/";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The documents that git knows, or may come to know.
fn documents() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .args(["--", "*.md"])
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.lines().map(PathBuf::from).collect()
}

fn events(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

fn links(text: &str) -> Vec<String> {
    events(text)
        .filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.into_string())
            }
            _ => None,
        })
        .collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut anchors, mut heading) = (BTreeSet::new(), None);
    for event in events(text) {
        match (event, &mut heading) {
            (Event::Start(Tag::Heading { .. }), heading) => *heading = Some(String::new()),
            (Event::Text(text) | Event::Code(text), Some(heading)) => heading.push_str(&text),
            (Event::End(TagEnd::Heading(_)), heading) => {
                let text = heading.take().unwrap_or_default().to_lowercase();
                let kept = text.chars().filter_map(|c| match c {
                    ' ' => Some('-'),
                    '-' | '_' => Some(c),
                    c => c.is_alphanumeric().then_some(c),
                });
                anchors.insert(kept.collect());
            }
            _ => {}
        }
    }
    anchors
}

/// The file that a link leads to, and the heading in it; nothing if it leads out of
/// the repository.
fn destination<'l>(document: &Path, link: &'l str) -> Option<(PathBuf, Option<&'l str>)> {
    let (directory, link) = match link.strip_prefix(REPOSITORY) {
        Some(link) => (root(), link),
        None if link.contains("://") || link.starts_with("mailto:") => return None,
        None => (root().join(document.parent()?), link),
    };
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    };
    let file = match path {
        "" => root().join(document),
        path => directory.join(path),
    };
    Some((file, anchor))
}

/// Returns the fault of a link, if it has one.
fn fault(document: &Path, link: &str) -> Option<String> {
    let (file, anchor) = destination(document, link)?;
    if !file.exists() {
        return Some(format!("{}: {link}: no such file", document.display()));
    }
    let anchor = anchor?;
    let text = fs::read_to_string(&file).unwrap_or_default();
    (!anchors(&text).contains(anchor))
        .then(|| format!("{}: {link}: no such heading", document.display()))
}

#[test]
fn all_links_lead_somewhere() {
    let (mut followed, mut faults) = (0, Vec::new());
    for document in documents() {
        let text = fs::read_to_string(root().join(&document)).unwrap();
        for link in links(&text) {
            followed += 1;
            faults.extend(fault(&document, &link));
        }
    }
    assert_eq!(faults, [""; 0]);
    assert!(followed > 30, "only {followed} links were found");
}

#[test]
fn links_that_lead_nowhere_are_noticed() {
    let readme = Path::new("docs/README.md");
    assert_eq!(fault(readme, "renewing.md#what-it-costs"), None);
    assert_eq!(fault(readme, "https://example.com/nothing"), None);
    assert_eq!(fault(readme, &format!("{REPOSITORY}docs/errors.md")), None);
    for link in [
        "nothing.md",
        "renewing.md#nothing",
        "#nothing",
        &format!("{REPOSITORY}nothing.md"),
    ] {
        assert!(fault(readme, link).is_some(), "{link}");
    }
}

#[test]
fn every_document_is_reached_from_readme() {
    let mut unreached: BTreeSet<PathBuf> = documents().into_iter().collect();
    let mut waiting = vec![PathBuf::from("README.md")];
    let root = root().canonicalize().unwrap();
    while let Some(document) = waiting.pop() {
        if !unreached.remove(&document) {
            continue;
        }
        let text = fs::read_to_string(root.join(&document)).unwrap();
        for link in links(&text) {
            let file = destination(&document, &link).and_then(|(file, _)| file.canonicalize().ok());
            let reached = file.and_then(|file| Some(file.strip_prefix(&root).ok()?.to_owned()));
            waiting.extend(reached);
        }
    }
    assert_eq!(unreached, BTreeSet::new());
}
