//! An app behind Access, on a real socket.

use std::io::Write as _;
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::{CLIENT_ID, OLD_SECRET, Ran, command, serve_heads};

/// An answer of Access to a caller without a token.
pub const LOGIN: &str = "HTTP/1.1 302 Found\r\n\
    location: https://team.cloudflareaccess.com/cdn-cgi/access/login/app.example.com?kid=1\r\n\
    www-authenticate: Cloudflare-Access\r\ncontent-length: 0\r\n\r\n";
pub const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
pub const FORBIDDEN: &str = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// An app, which keeps the heads of its requests.
pub struct App {
    pub url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl App {
    /// Answers each request by its number, from 1, and by whether it has a secret.
    pub fn new(answer: impl Fn(usize, bool) -> String + Send + 'static) -> Self {
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&heads);
        let url = serve_heads(move |number, head, connection| {
            let has_secret = head.contains(OLD_SECRET);
            kept.lock().unwrap().push(head);
            let answer = answer(number, has_secret);
            let answer = answer.replacen("\r\n", "\r\nconnection: close\r\n", 1);
            // The command may have seen enough.
            let _ = connection.write_all(answer.as_bytes());
        });
        Self {
            url: format!("{url}/start"),
            heads,
        }
    }

    /// Answers one thing without a secret, and another with one.
    pub fn gated(without: &str, with: &str) -> Self {
        let (without, with) = (without.to_owned(), with.to_owned());
        Self::new(move |_, has_secret| match has_secret {
            true => with.clone(),
            false => without.clone(),
        })
    }

    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// Runs `verify` on it, with a secret that must not be shown.
    pub fn verify(&self, arguments: &[&str]) -> Ran {
        let mut command = command();
        command.args(["verify", "--wait", "0s", "--url", &self.url]);
        try_token(command.args(arguments), OLD_SECRET)
    }
}

/// Runs the command with this secret in the environment.
pub fn try_token(command: &mut Command, secret: &str) -> Ran {
    let ran = Ran::of(
        command
            .env("CF_ACCESS_CLIENT_ID", CLIENT_ID)
            .env("CF_ACCESS_CLIENT_SECRET", secret),
    );
    assert!(!ran.shown().contains(secret), "{}", ran.shown());
    ran
}

/// An answer in full.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {len}\r\n\r\n{body}")
}
