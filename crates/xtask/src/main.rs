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
/// Exit code: the toolchain's rustdoc writes an unknown JSON format.
const UNKNOWN_FORMAT: u8 = 4;

/// Run this project's development commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Compare the fragment with an upstream OpenAPI document, the whole one or a slice
    ///
    /// Exit codes: 0 no drift, 1 compatible drift or an unused allowance, 2 breaking drift,
    /// 3 can't compare.
    Drift {
        /// The upstream document, JSON
        path: PathBuf,
    },
    /// Slice the fragment's operations, and everything they refer to, out of an upstream document
    ///
    /// Exit codes: 0 done, 3 can't slice.
    Slice {
        /// The upstream document, JSON
        path: PathBuf,
        /// Write the slice to this file instead of standard output
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Print the code that would be generated if the fragment followed a document
    ///
    /// The fragment follows everything that `drift` reports for an upstream document, the
    /// whole one or a slice. A changed fragment is generated unchanged.
    ///
    /// Exit codes: 0 done, and with --check, the public types stay the same; 1 the
    /// generator refuses it, or with --check, the public types change; 3 can't generate.
    Generate {
        /// An upstream document or a changed fragment, JSON
        path: PathBuf,
        /// Print only the public types, fields and methods that would be added (+) or removed (-)
        #[arg(long)]
        check: bool,
    },
    /// Write the root crate's public API to tests/public-api.txt, or compare it
    ///
    /// Types of other crates in it must be in tests/external-types.txt, which is
    /// written by hand.
    ///
    /// Exit codes: 0 no difference, 1 differences, 3 can't run rustdoc, 4 rustdoc writes
    /// an unknown JSON format.
    PublicApi {
        /// Compare with the file instead of writing it
        #[arg(long)]
        check: bool,
    },
    /// Print everything new in an upstream document in Markdown, for an issue
    ///
    /// Combines `drift`, `generate --check` and `try`.
    ///
    /// Exit codes: 0 nothing new, 1 something new, 3 can't compare.
    Report {
        /// The upstream document, JSON
        path: PathBuf,
    },
    /// Check whether a slice of an upstream document generates and compiles
    ///
    /// Exit codes: 0 yes, 1 no, 3 can't try.
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
            // clap's own exit code for usage errors, 2, means breaking drift here.
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

/// Prints a text to standard output. A closed pipe, such as one to `head`, is not an error.
fn print(text: impl fmt::Display) -> Result<()> {
    let mut output = io::stdout().lock();
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("can't write to standard output"),
    }
}

fn fragment() -> Result<Document> {
    let text = std::fs::read_to_string(workspace::root().join(workspace::FRAGMENT))
        .with_context(|| format!("can't read {}", workspace::FRAGMENT))?;
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
        Some(file) => {
            std::fs::write(file, text).with_context(|| format!("can't write {}", file.display()))?
        }
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
                "error: this toolchain's rustdoc writes JSON format {found}, and only {known} is \
                 supported: try `cargo +{} xtask public-api`",
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
                 if that is intended, run `cargo xtask public-api` and commit the file\n"
            ))?;
            code = 1;
        }
    } else {
        std::fs::write(&file, &api.listing)
            .with_context(|| format!("can't write {}", file.display()))?;
    }
    for fault in api.external_faults(&workspace::root().join(workspace::EXTERNAL_TYPES))? {
        print(format_args!("{fault}\n"))?;
        code = 1;
    }
    Ok(code)
}
