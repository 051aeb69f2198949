//! Runs the programs of README.md and docs/getting-started.md, unchanged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cf_service_tokens::ServiceTokenCredentials;
use cf_service_tokens_simulator::{Fault, Injection, SeedToken, Simulator};
use chrono::{TimeDelta, Utc};
use tokio::runtime::Runtime;

/// A program of README.md, as a module that can run it.
macro_rules! program {
    ($name:ident, $file:literal) => {
        mod $name {
            include!($file);

            pub fn run() -> String {
                match main() {
                    Ok(()) => "ok".to_owned(),
                    Err(error) => format!("Error: {error:?}"),
                }
            }
        }
    };
}

#[cfg(feature = "blocking")]
program!(blocking, "../readme/blocking.rs");
program!(lifecycle, "../readme/lifecycle.rs");
program!(refresh, "../readme/refresh.rs");
program!(renew, "../readme/renew.rs");
program!(rotate, "../readme/rotate.rs");

#[test]
fn child() {
    crate::support::be_a_child(|program| match program {
        #[cfg(feature = "blocking")]
        "blocking" => blocking::run(),
        "lifecycle" => lifecycle::run(),
        "refresh" => refresh::run(),
        "renew" => renew::run(),
        _ => rotate::run(),
    });
}

/// Returns a simulator with one due token, and the runtime that runs it.
fn simulator() -> (Runtime, Simulator) {
    let runtime = Runtime::new().unwrap();
    let token = SeedToken::new("deploy").expires_in(TimeDelta::days(9));
    let simulator = runtime.block_on(Simulator::builder().token(token).start());
    (runtime, simulator.unwrap())
}

/// Runs a program in its own process, with the variables that README.md names.
fn run(program: &str, simulator: &Simulator) -> String {
    let secret_file = secret_file(program);
    // The programs refuse to overwrite a file, such as one of a failed run.
    let _ = fs::remove_file(&secret_file);
    crate::support::in_a_child(
        "readme::child",
        program,
        &[
            ("CLOUDFLARE_API_TOKEN", simulator.api_token()),
            ("CLOUDFLARE_BASE_URL", simulator.base_url()),
            ("CLOUDFLARE_ACCOUNT_ID", simulator.account_id()),
            ("SECRET_FILE", &secret_file),
            ("APP_URL", simulator.protected_url()),
        ],
    )
}

fn secret_file(program: &str) -> String {
    format!("{}/readme-{program}.secret", env!("CARGO_TARGET_TMPDIR"))
}

/// Takes the secret out of the file that a program wrote, which only its owner can read.
fn take_secret(program: &str) -> String {
    let file = secret_file(program);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    secret
}

#[test]
fn readme_contains_these_programs() {
    let readme = include_str!("../../README.md");
    for program in [
        include_str!("../readme/lifecycle.rs"),
        include_str!("../readme/refresh.rs"),
        include_str!("../readme/renew.rs"),
        include_str!("../readme/rotate.rs"),
    ] {
        assert!(readme.contains(program), "README.md lacks:\n{program}");
    }
}

/// GitHub and crates.io show the lines that rustdoc hides.
#[test]
fn readme_and_guide_have_no_lines_that_rustdoc_hides() {
    for text in [
        include_str!("../../README.md"),
        include_str!("../../docs/authentication.md"),
        include_str!("../../docs/errors.md"),
        include_str!("../../docs/getting-started.md"),
        include_str!("../../docs/renewing.md"),
        include_str!("../../docs/rotating.md"),
        include_str!("../../docs/testing.md"),
    ] {
        let programs = text.split("```").filter(|block| block.starts_with("rust"));
        let mut lines = programs.flat_map(str::lines);
        assert_eq!(lines.find(|line| line.trim_start().starts_with("# ")), None);
    }
}

#[cfg(feature = "blocking")]
#[test]
fn refresh_a_token_without_a_runtime() {
    let guide = include_str!("../../docs/getting-started.md");
    assert!(guide.contains(include_str!("../readme/blocking.rs")));
    let (_runtime, simulator) = simulator();
    assert_eq!(run("blocking", &simulator), "ok");
    assert_eq!(simulator.requests().len(), 2);
}

#[test]
fn create_use_list_update_and_delete_a_token() {
    let (_runtime, simulator) = simulator();
    assert_eq!(run("lifecycle", &simulator), "ok");
    assert_ne!(take_secret("lifecycle"), "");
    let names: Vec<String> = simulator
        .tokens()
        .into_iter()
        .map(|token| token.name)
        .collect();
    assert_eq!(names, ["deploy"], "the new token is deleted");
}

#[test]
fn refresh_a_token_by_its_name() {
    let (_runtime, simulator) = simulator();
    assert_eq!(run("refresh", &simulator), "ok");
    let next_year = Utc::now() + TimeDelta::days(364);
    assert!(simulator.tokens()[0].expires_at > next_year);
    assert_eq!(
        simulator.requests().len(),
        2,
        "one request finds the token, and one refreshes it"
    );
}

#[test]
fn renew_an_account() {
    let (_runtime, simulator) = simulator();
    simulator.inject(Injection::new(Fault::Status(400)).always());
    let failed = run("renew", &simulator);
    assert!(
        failed.starts_with("Error: the renewal is incomplete"),
        "{failed}"
    );
    simulator.clear_faults();
    assert_eq!(run("renew", &simulator), "ok");
    let next_year = Utc::now() + TimeDelta::days(364);
    assert!(simulator.tokens()[0].expires_at > next_year);
}

#[test]
fn rotate_a_token_and_store_its_secret() {
    let (runtime, simulator) = simulator();
    assert_eq!(run("rotate", &simulator), "ok");
    let secret = take_secret("rotate");
    let client_id = simulator.tokens()[0].client_id.clone();
    let credentials = ServiceTokenCredentials::new(client_id, secret);
    let app = reqwest::Client::new().get(simulator.protected_url());
    let app = app.headers(credentials.headers().unwrap()).send();
    assert_eq!(runtime.block_on(app).unwrap().status(), 200);
}
