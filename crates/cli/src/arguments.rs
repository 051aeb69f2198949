//! The command line: the options of every command, and their help.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, ValueEnum};

use crate::commands::Command;
use crate::time;

/// The exit codes, as the help shows them; the README has the same.
const EXIT_CODES: &str = "\
Exit codes:
  0  all is well
  1  failure: a token was not found or not renewed, has expired, or does not open the app
  2  invalid usage; nothing was changed
  3  the credentials are missing, refused, or lack a permission; or Cloudflare's edge, a
     proxy, or an account without Access refuses the caller
  4  the API, or the app of `verify`, is unreachable or unavailable, its answer is unclear,
     or an interrupted create or rotate may still take effect; try again later
  5  --dry-run found due tokens, and no failure

Try it with nothing configured:
  cf-service-tokens --simulate list
  cf-service-tokens --simulate renew --dry-run

With an API token that has the permission \"Access: Service Tokens Write\":
  export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
  cf-service-tokens renew --within 30d";

/// Keep Cloudflare Access service tokens alive.
///
/// A service token lets a machine pass Cloudflare Access. It expires a year after it
/// was created, and then the app behind Access refuses it with 401 or 403. `renew` moves
/// the expiry of every due token to a year from now; the secret stays the same.
/// `rotate` makes a new secret and stores it safely.
///
/// Credentials come from the environment (CLOUDFLARE_API_TOKEN, or
/// CLOUDFLARE_EMAIL with CLOUDFLARE_API_KEY) or from a file (--api-token-file),
/// never from the command line, which other users of the machine can read. Times
/// are in UTC. A SPAN of time has the units w, d, h, m and s, such as 30d or 1d12h.
#[derive(Debug, Parser)]
#[command(name = "cf-service-tokens", version, after_long_help = EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The id of the account [env: CLOUDFLARE_ACCOUNT_ID]
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// A file that holds only the API token, or - for standard input; replaces the
    /// credentials in the environment [env: CLOUDFLARE_API_TOKEN_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) api_token_file: Option<PathBuf>,
    /// The format of results on standard output
    #[arg(
        long,
        short,
        global = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub(crate) output: Format,
    /// Use a throwaway simulated account
    ///
    /// The account has ten tokens: some are due, expired or disabled, or never expire.
    /// It needs no credentials, and nothing leaves the machine.
    /// To keep a simulated account between commands, use `simulate`.
    #[arg(long, global = true)]
    pub(crate) simulate: bool,
    /// Print only results and errors; a table of several tokens shows only those
    /// that failed, or are due
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Show each request to the API, and each wait, on standard error, without secrets
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// How long each call may take, with its retries and its waits for the rate limit, at
    /// most 15m [default: 3m, and 15m for `renew`]
    #[arg(long, global = true, value_name = "SPAN", hide_short_help = true, value_parser = time::deadline)]
    pub(crate) deadline: Option<Duration>,
    /// Where `create` and `rotate` record their intent, and the secret until it is
    /// stored
    ///
    /// The default is $STATE_DIRECTORY, or the directory cf-service-tokens in
    /// $XDG_STATE_HOME or ~/.local/state. The directory must survive a crash, belong to
    /// the user who runs the command, and be writable by nobody else.
    #[arg(
        long,
        global = true,
        value_name = "DIRECTORY",
        env = "CF_SERVICE_TOKENS_JOURNAL",
        hide_env_values = true,
        hide_short_help = true,
        // An empty variable counts as one that is not set.
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    pub(crate) journal: Option<PathBuf>,
}

/// The format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: aligned columns, fitted to the terminal
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line, as results arrive
    Jsonl,
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464".to_owned()
    })
}
