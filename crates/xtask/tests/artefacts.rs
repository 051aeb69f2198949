//! The documents name the files and images that the workflows build, all of them and no
//! others, and install from no registry that has none of this. `crates/cli/tests/release/run.sh`
//! has dist confirm the names of the files.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const REPOSITORY: &str = "cf-service-tokens/cf-service-tokens";
const PACKAGE: &str = "cf-service-tokens-cli";
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The files that git knows, or may come to know.
fn files(patterns: &[&str]) -> Vec<String> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
        ])
        .args(patterns)
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let exists = |file: &&str| root().join(file).exists();
    listed.lines().filter(exists).map(str::to_owned).collect()
}

/// The values of a list in dist-workspace.toml.
fn configured(name: &str) -> Vec<String> {
    let configuration = read("dist-workspace.toml");
    let (_, list) = configuration.split_once(&format!("\n{name} = [")).unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The files of a release.
fn release() -> BTreeSet<String> {
    let mut names = BTreeSet::from(["sha256.sum".to_owned()]);
    for target in configured("targets") {
        names.insert(format!("{PACKAGE}-{target}.tar.gz"));
        names.insert(format!("{PACKAGE}-{target}.tar.gz.sha256"));
    }
    assert_eq!(configured("installers"), ["shell"]);
    names.insert(format!("{PACKAGE}-installer.sh"));
    names
}

/// The images and charts that workflows push, without a tag.
fn pushed() -> BTreeSet<String> {
    let workflows = files(&[".github/workflows/*.yml"]);
    let texts: Vec<String> = workflows.iter().map(|file| read(file)).collect();
    let words = texts.iter().flat_map(|text| words(text));
    let names = words.filter(|word| word.contains("ghcr.io/"));
    names.map(|name| name.replace("oci://", "")).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let separator = |c: char| c.is_whitespace() || "`\"'()[]<>|,;=".contains(c);
    let ends = |c: char| ".:".contains(c);
    text.split(separator)
        .map(move |word| word.trim_end_matches(ends))
}

/// The crates that a release publishes.
fn crates() -> BTreeSet<String> {
    let manifests = files(&["Cargo.toml", "crates/*/Cargo.toml"]);
    let manifests = manifests.iter().map(|file| read(file));
    let published = manifests.filter(|text| !text.contains("\npublish = false\n"));
    published
        .map(|text| {
            let (_, name) = text.split_once("[package]\nname = \"").unwrap();
            name.split('"').next().unwrap().to_owned()
        })
        .collect()
}

/// The programs that install packages, other than Cargo and Docker. No workflow publishes for
/// any of them.
const PACKAGE_MANAGERS: &str = "apk apt apt-get aqua asdf brew bun choco conda dnf flatpak gem mamba \
    mise nix nix-env npm pacman pip pip3 pipx pnpm scoop snap uv winget yarn yum zypper";
const VERBS: &str = "add binstall get i install profile run tap tool use -S -i -iA";
/// These run a package without a verb.
const RUNNERS: &str = "bunx npx uvx";

/// The packages of this project that a document installs: the program, and the package.
fn installed(text: &str) -> Vec<(&str, &str)> {
    let is_one_of = |list: &str, word: &str| list.split_whitespace().any(|each| each == word);
    let mut found = Vec::new();
    let mut program = None;
    let mut has_verb = false;
    for word in words(text).filter(|word| !word.is_empty()) {
        if word == "cargo" || is_one_of(PACKAGE_MANAGERS, word) {
            program = Some(word);
            has_verb = false;
        } else if is_one_of(RUNNERS, word) {
            program = Some(word);
            has_verb = true;
        } else if program.is_some() && is_one_of(VERBS, word) {
            has_verb = true;
        } else if word.contains("cf-service-tokens") {
            if let Some(program) = program.take()
                && has_verb
            {
                found.push((program, word));
            }
        } else if !word.starts_with('-') {
            program = None;
        }
    }
    found
}

/// What a document says about the release and the registry.
enum Named<'t> {
    File(&'t str),
    Image(&'t str, Option<&'t str>),
    Action(&'t str),
    Version(&'t str),
}

fn named(text: &str) -> Vec<Named<'_>> {
    let mut found = Vec::new();
    for word in words(text) {
        let word = word.strip_prefix("oci://").unwrap_or(word);
        let file = word.rsplit('/').next().unwrap_or(word);
        let is_download = word.contains(&format!("{REPOSITORY}/releases/"));
        let has_suffix = [
            ".tar.gz",
            ".tar.xz",
            ".zip",
            ".sha256",
            ".sum",
            "-installer.sh",
        ]
        .iter()
        .any(|suffix| file.ends_with(suffix));
        if is_download || (has_suffix && (file.starts_with(PACKAGE) || file == "sha256.sum")) {
            found.push(Named::File(file));
        }
        if let Some((_, rest)) = word.split_once("/releases/download/")
            && let Some((version, _)) = rest.split_once('/')
        {
            found.push(Named::Version(version));
        }
        let (name, tag) = match word.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (word, None),
        };
        let is_elsewhere = name.ends_with("/cf-service-tokens")
            && tag.is_some_and(|tag| {
                tag.starts_with(|c: char| c.is_ascii_digit()) || tag == "latest"
            });
        if word.starts_with("ghcr.io/") || is_elsewhere {
            found.push(Named::Image(name, tag));
        }
        if let Some(version) = word.strip_prefix(&format!("{REPOSITORY}@")) {
            found.push(Named::Action(version));
        }
    }
    found
}

/// What a document names that nothing builds.
fn faults(document: &str, text: &str) -> Vec<String> {
    let tags = ["", "-shell"].map(|suffix| [VERSION, "latest"].map(|tag| format!("{tag}{suffix}")));
    // A template or a script fills it in.
    let is_variable = |name: &str| name.contains(['$', '{']);
    let fault = |named: &Named| {
        let (kind, name, built) = match *named {
            Named::File(name) => ("file", name, release().contains(name)),
            Named::Image(name, None) => ("image", name, pushed().contains(name)),
            Named::Image(name, Some(tag)) => {
                let known = tags.iter().flatten().any(|known| known == tag);
                (
                    "image",
                    name,
                    pushed().contains(name) && (known || is_variable(tag)),
                )
            }
            Named::Action(version) => {
                let is_release = version == format!("v{VERSION}");
                (
                    "action",
                    version,
                    is_release && root().join("action.yml").exists(),
                )
            }
            Named::Version(version) => ("version", version, version == format!("v{VERSION}")),
        };
        (!built && !is_variable(name))
            .then(|| format!("{document}: no workflow builds the {kind} {name}"))
    };
    let built = named(text).into_iter().filter_map(|named| fault(&named));
    let crates = crates();
    let is_published = |(program, package): &(&str, &str)| {
        let name = package.split('@').next().unwrap_or(package);
        // A path and a URL name a directory.
        *program == "cargo" && (name.contains('/') || crates.contains(name))
    };
    let installed = installed(text).into_iter();
    let unpublished = installed.filter(|each| !is_published(each));
    let unpublished = unpublished.map(|(program, package)| {
        format!("{document}: nothing publishes {package}, which {program} installs")
    });
    built.chain(unpublished).collect()
}

/// What users read or apply. The log also has the names of former releases.
fn documents() -> Vec<String> {
    let mut documents = files(&["*.md", "deploy/*", "action.yml", "Dockerfile"]);
    documents.retain(|document| document != "CHANGELOG.md");
    documents
}

#[test]
fn no_document_names_what_no_workflow_builds() {
    let documents = documents();
    let faults: Vec<String> = documents
        .iter()
        .flat_map(|document| faults(document, &read(document)))
        .collect();
    assert_eq!(faults, [""; 0]);
}

#[test]
fn the_documents_name_all_that_workflows_build() {
    let texts: Vec<String> = documents().iter().map(|document| read(document)).collect();
    let mut unnamed: BTreeSet<String> = release().into_iter().chain(pushed()).collect();
    assert!(unnamed.len() > 9, "{unnamed:?}");
    for named in texts.iter().flat_map(|text| named(text)) {
        if let Named::File(name) | Named::Image(name, _) = named {
            unnamed.remove(name);
        }
    }
    assert_eq!(unnamed, BTreeSet::new());
}

#[test]
fn names_of_nothing_are_noticed() {
    let releases = format!("https://github.com/{REPOSITORY}/releases");
    let image = format!("ghcr.io/{REPOSITORY}");
    for text in [
        format!("{releases}/latest/download/{PACKAGE}-installer.sh"),
        format!("{releases}/download/v{VERSION}/{PACKAGE}-aarch64-apple-darwin.tar.gz"),
        format!("{releases}/download/v$VERSION/{PACKAGE}-$TARGET.tar.gz"),
        format!("docker run {image} and `{image}:{VERSION}-shell`."),
        format!("cargo install --locked {PACKAGE}@{VERSION} && sudo install cf-service-tokens"),
        format!("cargo install --git https://github.com/{REPOSITORY}"),
        format!("cargo add cf-service-tokens --git https://github.com/{REPOSITORY}"),
        "`pip install cloudflare`, and cf-service-tokens does the same".to_owned(),
        "RUN apt-get install jq\ndocker build --tag cf-service-tokens .".to_owned(),
    ] {
        assert_eq!(faults("", &text), [""; 0], "{text}");
    }
    for text in [
        format!("{releases}/latest/download/install.sh"),
        format!("{releases}/download/v0.0.1/{PACKAGE}-aarch64-apple-darwin.tar.gz"),
        format!("`{PACKAGE}-x86_64-pc-windows-msvc.zip`"),
        format!("oci://{image}/nothing"),
        format!("image: {image}:0.0.1"),
        format!("image: registry.example.com/cf-service-tokens:{VERSION}"),
        "docker pull cloudflare/cf-service-tokens:latest".to_owned(),
        format!("uses: {REPOSITORY}@v0.0.1"),
        "brew install cf-service-tokens".to_owned(),
        "brew tap cf-service-tokens/tap".to_owned(),
        "python3 -m pip install --user\ncf-service-tokens==0.1.0".to_owned(),
        "`npm install -g @cf-service-tokens/sdk`".to_owned(),
        "uv tool install cf-service-tokens".to_owned(),
        "uv pip install cf-service-tokens".to_owned(),
        "npx cf-service-tokens renew".to_owned(),
        "sudo apt-get install --yes cf-service-tokens".to_owned(),
        "cargo install --locked cf-service-tokens".to_owned() + "-tui",
    ] {
        assert_eq!(faults("", &text).len(), 1, "{text}");
    }
}
