//! The support that the tests of the command share: a simulator, and the command run on it.

#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::panic, reason = "a test may panic")]

pub mod app;
#[cfg(target_os = "linux")]
pub mod keeping;
#[cfg(target_os = "linux")]
pub mod running;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cf_service_tokens_simulator::{SeedToken, Simulator, SimulatorBuilder};
use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The token that the tests rotate, and the secret that its users have.
pub const ID: &str = "faaaddeb-6111-4a48-805d-3f126e371f62";
pub const CLIENT_ID: &str = "51408d71e4102ab080064395de53aba2.access";
pub const OLD_SECRET: &str = "cfast_oldoldoldoldoldoldoldoldoldoldoldoldoldoldoldold";

/// The command, in an environment without any setting.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cf-service-tokens"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null());
    command
}

/// Runs the command on a simulated account of its own.
pub fn simulated(arguments: &[&str]) -> Ran {
    Ran::of(command().arg("--simulate").args(arguments))
}

/// The output of the command, and its exit code.
pub struct Ran {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Only how the command ended, where nobody reads what it says.
    pub fn of_status(status: &ExitStatus) -> Self {
        Self {
            stdout: String::new(),
            stderr: String::new(),
            code: status.code(),
        }
    }

    /// All of it, for a snapshot.
    pub fn shown(&self) -> String {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        let mut shown = format!("exit code {code}\n");
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                shown += &format!("--- {name}\n{text}");
            }
        }
        shown
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

/// Takes out of snapshots what differs from run to run. What is left has the same
/// length, so that tables stay aligned.
pub fn filters() -> Vec<(&'static str, &'static str)> {
    vec![
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "[time]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d", "YYYY-MM-DD hh:mm"),
        (r"\d{4}-\d\d-\d\d", "YYYY-MM-DD"),
        (r"\d\d:\d\d:\d\d", "hh:mm:ss"),
        (
            r#""expires_in_seconds": -?\d+"#,
            r#""expires_in_seconds": [seconds]"#,
        ),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
        (r"just now|\d+ (minute|hour)s? ago", "[ago]"),
        (r"[0-9a-f]{16}-FRA", "[ray id]"),
        (r"/\S*/\.tmp\w+", "[directory]"),
    ]
}

/// Asserts a snapshot of what may differ from run to run.
#[macro_export]
macro_rules! assert_shown {
    ($($arguments:tt)*) => {
        insta::with_settings!({ filters => $crate::support::filters() }, {
            insta::assert_snapshot!($($arguments)*);
        })
    };
}

/// Checks JSON by a JSON Schema.
pub struct Validator {
    schemas: boon::Schemas,
    index: boon::SchemaIndex,
}

impl Validator {
    pub fn new(schema: serde_json::Value) -> Self {
        let mut schemas = boon::Schemas::new();
        let mut compiler = boon::Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource("schema.json", schema).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    pub fn check(&self, document: &serde_json::Value) {
        if let Err(error) = self.schemas.validate(document, self.index) {
            panic!("{error:#}\n{document:#}");
        }
    }
}

/// A simulator that outlives the commands, and a directory to work in.
pub struct World {
    pub simulator: Simulator,
    pub directory: TempDir,
    runtime: Runtime,
    /// What the users of the tokens send requests by.
    users: reqwest::Client,
    /// How far the API's clock is ahead, in milliseconds.
    ahead: Arc<AtomicI64>,
}

impl World {
    /// With a token whose old secret is known.
    pub fn new() -> Self {
        Self::with(builder())
    }

    pub fn with(builder: SimulatorBuilder) -> Self {
        Self::ahead(TimeDelta::zero(), builder)
    }

    /// With an API whose clock is ahead of this machine's.
    pub fn ahead(ahead: TimeDelta, builder: SimulatorBuilder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let ahead = Arc::new(AtomicI64::new(ahead.num_milliseconds()));
        let clock = Arc::clone(&ahead);
        let builder = builder
            .clock(move || Utc::now() + TimeDelta::milliseconds(clock.load(Ordering::SeqCst)));
        let simulator = runtime.block_on(builder.start()).unwrap();
        Self {
            simulator,
            directory: TempDir::new().unwrap(),
            runtime,
            users: reqwest::Client::new(),
            ahead,
        }
    }

    /// Moves the API's clock.
    pub fn advance(&self, by: TimeDelta) {
        self.ahead
            .fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// The time by the API's clock.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.ahead.load(Ordering::SeqCst))
    }

    /// The command, on this simulator.
    pub fn command(&self) -> Command {
        let mut command = command();
        command
            .current_dir(self.directory.path())
            .envs(self.environment());
        command
    }

    pub fn environment(&self) -> Vec<(String, String)> {
        let journal = self.journal();
        let journal = journal.to_str().unwrap();
        [
            ("CLOUDFLARE_BASE_URL", self.simulator.base_url()),
            ("CLOUDFLARE_API_TOKEN", self.simulator.api_token()),
            ("CLOUDFLARE_ACCOUNT_ID", self.simulator.account_id()),
            ("CF_SERVICE_TOKENS_JOURNAL", journal),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command().args(arguments))
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    pub fn journal(&self) -> std::path::PathBuf {
        self.path("journal")
    }

    /// The whole text of the records that hold a run; a grace is not one.
    pub fn journal_text(&self) -> String {
        let Ok(files) = std::fs::read_dir(self.journal()) else {
            return String::new();
        };
        files
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
            .map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned())
            .filter(|text| text.contains("{\"intent\""))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The record of the token.
    pub fn record(&self) -> std::path::PathBuf {
        self.journal().join(format!("rotate-{ID}.jsonl"))
    }

    /// Whether the secret opens the app behind Access.
    pub fn opens(&self, secret: &str) -> bool {
        self.opens_as(CLIENT_ID, secret)
    }

    /// Whether the secret of a token opens it.
    pub fn opens_as(&self, client_id: &str, secret: &str) -> bool {
        let answer = self.runtime.block_on(async {
            self.users
                .get(self.simulator.protected_url())
                .header("cf-access-client-id", client_id)
                .header("cf-access-client-secret", secret)
                .send()
                .await
                .unwrap()
        });
        answer.status() == 200
    }

    pub fn go_offline(&self) {
        self.runtime.block_on(self.simulator.go_offline()).unwrap();
    }
}

/// A simulator with the known token.
pub fn builder() -> SimulatorBuilder {
    Simulator::builder().token(known_token())
}

/// Serves what `answer` writes for each request, by its number from 1, and returns the URL.
pub fn serve(answer: impl Fn(usize, &mut TcpStream) + Send + 'static) -> String {
    serve_heads(move |number, _, connection| answer(number, connection))
}

/// Serves what `answer` writes for each request, by its number from 1 and its head.
pub fn serve_heads(answer: impl Fn(usize, String, &mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (index, connection) in listener.incoming().enumerate() {
            let mut connection = connection.unwrap();
            let lines = BufReader::new(&connection).lines();
            let head: Vec<String> = lines
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            answer(index + 1, head.join("\n"), &mut connection);
        }
    });
    url
}

/// Writes an answer whose connection closes behind it.
pub fn write_response(connection: &mut TcpStream, status: &str, content_type: &str, body: &str) {
    let len = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
         content-length: {len}\r\n\r\n"
    );
    // The command may have seen enough.
    let _ = connection
        .write_all(head.as_bytes())
        .and_then(|()| connection.write_all(body.as_bytes()));
}

/// Serves one answer to every request, and returns the URL.
pub fn answering(status: &'static str, content_type: &'static str, body: String) -> String {
    serve(move |_, connection| write_response(connection, status, content_type, &body))
}

pub fn known_token() -> SeedToken {
    SeedToken::new("Grafana scraper")
        .id(ID)
        .client_id(CLIENT_ID)
        .client_secret(OLD_SECRET)
}

/// A file's text; empty if there is none.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The secrets in a text: whatever begins as one.
pub fn secrets_in(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("cfast_"))
        .map(str::to_owned)
        .collect()
}
