//! `cargo xtask`: see `cargo xtask --help`.
#![allow(clippy::print_stderr, reason = "a command tells its user of errors")]

use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use xtask::document::Document;
use xtask::drift::Verdict;
use xtask::trial::{self, Outcome};
use xtask::{drift, public_api, report, route, slice, types, workspace};

/// Exit code: the work could not be done.
const CANT: u8 = 3;
/// Exit code: the toolchain's rustdoc writes what is not understood here.
const UNKNOWN_FORMAT: u8 = 4;

/// The chores of this project's own developers.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Compares the fragment with an upstream OpenAPI document, the whole one or a slice
    ///
    /// Exit codes: 0 no drift, 1 compatible drift, or an allowance that fits nothing any
    /// more, 2 breaking drift, 3 can't compare.
    Drift {
        /// The upstream document, JSON
        path: PathBuf,
    },
    /// Cuts the fragment's operations, and what they reach, out of an upstream document
    ///
    /// Exit codes: 0 done, 3 can't be cut.
    Slice {
        /// The upstream document, JSON
        path: PathBuf,
        /// Where to write the slice, instead of the standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Prints the code that would be generated if the fragment followed a document
    ///
    /// Of an upstream document, whole or a slice, the fragment follows all that `drift`
    /// reports. A changed fragment is generated as it is.
    ///
    /// Exit codes: 0 done; with --check, the public types stay as they are. 1 the
    /// generator refuses it; with --check, also: the public types change. 3 can't be done.
    Generate {
        /// An upstream document or a changed fragment, JSON
        path: PathBuf,
        /// Print instead which public types, fields and methods would come (+) and go (-)
        #[arg(long)]
        check: bool,
    },
    /// Writes the root crate's public API to tests/public-api.txt, or compares it
    ///
    /// Types of other crates in it must be in tests/external-types.txt, which is
    /// written by hand.
    ///
    /// Exit codes: 0 all as written down, 1 not so, 3 rustdoc can't be run, 4 it writes
    /// a JSON format that isn't understood here.
    PublicApi {
        /// Compare with the file, and leave it as it is
        #[arg(long)]
        check: bool,
    },
    /// Prints in Markdown all that is new in an upstream document, for an issue
    ///
    /// That is what `drift`, `generate --check` and `try` find.
    ///
    /// Exit codes: 0 nothing is new, 1 something is, 3 can't be compared.
    Report {
        /// The upstream document, JSON
        path: PathBuf,
    },
    /// Tries whether a slice of an upstream document would generate and compile
    ///
    /// Exit codes: 0 it would, 1 it would not, 3 can't be tried.
    Try {
        /// The upstream document, JSON
        path: PathBuf,
    },
}

fn main() -> ExitCode {
    match public_api::stand_in_for_rustdoc() {
        Ok(None) => {}
        Ok(Some(code)) => return code.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            return CANT.into();
        }
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // What clap itself would answer, 2, means breaking drift here.
            let _ = error.print();
            return if error.use_stderr() {
                CANT.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match run(arguments.chore) {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            CANT.into()
        }
    }
}

fn run(chore: Chore) -> Result<u8> {
    match chore {
        Chore::Drift { path } => run_drift(&path),
        Chore::Slice { path, output } => run_slice(&path, output.as_deref()),
        Chore::Generate { path, check } => run_generate(&path, check),
        Chore::Report { path } => run_report(&path),
        Chore::PublicApi { check } => run_public_api(check),
        Chore::Try { path } => run_try(&path),
    }
}

/// Prints a text to the standard output. A reader that has gone, such as `head`, wants no
/// more of it, and is no error.
fn print(text: impl fmt::Display) -> Result<()> {
    let mut output = io::stdout().lock();
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the standard output can't be written"),
    }
}

fn fragment() -> Result<Document> {
    let text = std::fs::read_to_string(workspace::root().join(workspace::FRAGMENT))
        .with_context(|| format!("{}: can't be read", workspace::FRAGMENT))?;
    Ok(Document::new(workspace::FRAGMENT, text))
}

fn allowed() -> Result<Vec<drift::Allowed>> {
    drift::allowed(&workspace::root().join(workspace::ALLOWED))
}

fn run_drift(path: &Path) -> Result<u8> {
    let allowed = allowed()?;
    let (fragment, upstream) = (fragment()?, Document::read(path)?);
    let drift = drift::drift(&fragment, &upstream, &allowed)?;
    print(&drift)?;
    Ok(match drift.verdict() {
        None => 0,
        Some(Verdict::Compatible) => 1,
        Some(Verdict::Breaking) => 2,
    })
}

fn run_slice(path: &Path, output: Option<&Path>) -> Result<u8> {
    let upstream = Document::read(path)?;
    let operations = route::operations(&fragment()?.value()?);
    let slice = slice::slice(&operations, &upstream.outline()?)?;
    let text = serde_json::to_string_pretty(&slice)? + "\n";
    match output {
        None => print(text)?,
        Some(file) => std::fs::write(file, text)
            .with_context(|| format!("{}: can't be written", file.display()))?,
    }
    Ok(0)
}

fn run_generate(path: &Path, check: bool) -> Result<u8> {
    let (fragment, document) = (fragment()?, Document::read(path)?);
    let made = match check {
        true => types::diff(&fragment, &document, &allowed()?)?,
        false => types::generated(&fragment, &document, &allowed()?)?,
    };
    Ok(match made {
        Err(cause) => {
            print(format_args!("does not generate: {cause}\n"))?;
            1
        }
        Ok(text) => {
            print(&text)?;
            u8::from(check && !text.is_empty())
        }
    })
}

fn run_report(path: &Path) -> Result<u8> {
    let (fragment, upstream) = (fragment()?, Document::read(path)?);
    let report = report::report(&fragment, &upstream, &allowed()?)?;
    print(report.as_deref().unwrap_or_default())?;
    Ok(u8::from(report.is_some()))
}

fn run_try(path: &Path) -> Result<u8> {
    let outcome = trial::run(&fragment()?, &Document::read(path)?)?;
    let generated = match &outcome {
        Outcome::NotGenerated(cause) => {
            print(format_args!("does not generate: {cause}\n"))?;
            return Ok(1);
        }
        Outcome::NotCompiled(generated, _) | Outcome::Compiled(generated) => generated,
    };
    print(format_args!(
        "generates: {} lines, in {}\n",
        generated.lines,
        generated.file.display()
    ))?;
    if let Outcome::NotCompiled(_, errors) = outcome {
        print(format_args!("does not compile:\n{errors}\n"))?;
        return Ok(1);
    }
    print("compiles\n")?;
    Ok(0)
}

fn run_public_api(check: bool) -> Result<u8> {
    let api = match public_api::read()? {
        public_api::Read::Api(api) => api,
        public_api::Read::UnknownFormat { found, known } => {
            eprintln!(
                "error: this toolchain's rustdoc writes JSON of format {found}, and only {known} \
                 is understood here: try `cargo +{} xtask public-api`",
                public_api::TOOLCHAIN
            );
            return Ok(UNKNOWN_FORMAT);
        }
    };
    let file = workspace::root().join(workspace::PUBLIC_API);
    let mut code = 0;
    if check {
        if let Some(diff) = api.diff(&file)? {
            print(format_args!(
                "the public API has changed (semver: CONTRIBUTING.md, Versions):\n{diff}\n\
                 if it is meant to, `cargo xtask public-api` writes it down\n"
            ))?;
            code = 1;
        }
    } else {
        std::fs::write(&file, &api.listing)
            .with_context(|| format!("{}: can't be written", file.display()))?;
    }
    for fault in api.external_faults(&workspace::root().join(workspace::EXTERNAL_TYPES))? {
        print(format_args!("{fault}\n"))?;
        code = 1;
    }
    Ok(code)
}
