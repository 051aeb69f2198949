//! `config-schema`: the JSON Schema of the configuration file, for editors.

use crate::config;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// The end of the command's help.
pub(super) const EXAMPLES: &str = "\
An editor with a language server for TOML completes and checks a file that begins with the
line:
  #:schema ./keep.schema.json

Examples:
  cf-service-tokens config-schema > keep.schema.json";

pub(crate) fn config_schema(output: &Output) -> Result<Exit, Failure> {
    let schema = config::schema();
    output.write(|out, _| writeln!(out, "{schema:#}"))?;
    Ok(Exit::Success)
}
