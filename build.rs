//! Generates the client from the OpenAPI fragment; the steps are in `build/`.

#[path = "build/mod.rs"]
pub mod build;

use std::path::Path;
use std::{env, fs};

const FRAGMENT: &str = "openapi/service-tokens.json";

/// Runs the steps, and reports an error to cargo in one line.
pub fn main() {
    println!("cargo::rerun-if-changed={FRAGMENT}");
    println!("cargo::rerun-if-changed=build");
    if let Err(message) = generate() {
        println!("cargo::error={}", message.replace('\n', " "));
    }
}

fn generate() -> Result<(), String> {
    let text = fs::read_to_string(FRAGMENT)
        .map_err(|error| format!("{FRAGMENT}: can't be read: {error}"))?;
    // A panic in the steps becomes an error, so it must not be printed as well.
    let rust = build::panics::unprinted(|| build::rust_from_openapi(&text));
    let rust = rust.map_err(|error| format!("{FRAGMENT}: {error}"))?;
    let directory = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set; run this through cargo")?;
    let file = Path::new(&directory).join("generated.rs");
    fs::write(&file, rust).map_err(|error| format!("{}: can't be written: {error}", file.display()))
}
