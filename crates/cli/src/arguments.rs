//! The command line.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cf_service_tokens::TokenDuration;
use cf_service_tokens::renewal::Shard;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::commands::Verify;
use crate::secret::sink::{API_CREDENTIALS, Sink};
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
    /// A file that holds only the API token; replaces the credentials in the
    /// environment
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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    OnAccount(AccountCommand),
    /// Try a token's secret on an app behind Access
    Verify(Verify),
    /// List, finish or discard an interrupted `create` or `rotate`
    Journal(JournalArguments),
    /// Run a simulator of Cloudflare's API to try the command on
    Simulate(Simulate),
    /// Print the completions for a shell
    Completions(Completions),
    /// Print the manual page, or write one for each command
    Man(Man),
}

/// The commands that call the API.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// List service tokens and their expiry
    List(List),
    /// Show every detail of one token
    Show(OneToken),
    /// Create a token, and store its secret in --secret-to
    Create(Create),
    /// Change a token's name or duration, or when its old secret expires
    Update(Update),
    /// Enable disabled tokens
    Enable(Tokens),
    /// Disable tokens without deleting them
    Disable(Tokens),
    /// Delete tokens
    Delete(Delete),
    /// Move the expiry of tokens to a year from now; their secrets stay the same
    Refresh(Tokens),
    /// Give a token a new secret, and store it in --secret-to
    Rotate(Rotate),
    /// Renew all due tokens
    Renew(Renew),
    /// Show upcoming expirations, soonest first
    Report(Report),
}

#[derive(Args, Debug)]
pub(crate) struct List {
    /// Exact name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Text in the name or id
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct OneToken {
    /// The token's id, as `list` shows it; not the client id
    pub(crate) id: String,
}

#[derive(Args, Debug)]
pub(crate) struct Tokens {
    /// The tokens' ids, as `list` shows them; not the client ids
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
Example:
  cf-service-tokens create deploy --duration 90d --secret-to env-file:deploy.env")]
pub(crate) struct Create {
    /// The display name of the token
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) delivery: Delivery,
    /// How long the token is valid: a span, such as 90d, or `forever` [default: a year]
    #[arg(long, value_name = "SPAN", value_parser = time::token_duration)]
    pub(crate) duration: Option<TokenDuration>,
    /// Create the token even if another one has this name
    #[arg(long)]
    pub(crate) allow_duplicate: bool,
}

/// Where a new secret goes.
#[derive(Args, Debug)]
pub(crate) struct Delivery {
    /// Where the secret goes: FILE, env-file:FILE, command:COMMAND, github-env or stdout
    ///
    /// The API shows a secret only once. So the command tests the destination before it
    /// calls the API, and keeps the secret in the journal until it is stored.
    ///
    ///   FILE              holds only the secret, without a line break; a file that holds
    ///                     anything but such a secret is refused
    ///   file:FILE         the same, whatever the file holds
    ///   env-file:FILE     CF_ACCESS_CLIENT_ID=... and CF_ACCESS_CLIENT_SECRET=...;
    ///                     other lines of the file stay
    ///   command:COMMAND   run by `sh -c`, with the secret on its standard input
    ///   github-env        the same variables as in an env-file, for the later steps of
    ///                     this GitHub Actions job; refused by `rotate`
    ///   stdout, -         standard output; everything else goes to standard error
    ///
    /// A new file is readable only by its owner (0600). A file is replaced as a whole, and
    /// keeps its owner, group and mode.
    ///
    /// A command must read all of its input, and fail if it could not store the secret. It
    /// finds CF_ACCESS_CLIENT_ID, CF_SERVICE_TOKEN_ID, CF_SERVICE_TOKEN_NAME,
    /// CF_SERVICE_TOKEN_SECRET_VERSION and CF_SERVICE_TOKEN_OLD_SECRET_UNTIL in its
    /// environment, as far as they are known. CLOUDFLARE_API_TOKEN, CLOUDFLARE_API_KEY,
    /// CLOUDFLARE_EMAIL and CF_ACCESS_CLIENT_SECRET are removed from it; see --keep-env.
    #[arg(long, value_name = "SINK", verbatim_doc_comment)]
    pub(crate) secret_to: Sink,
    /// Keep this API credential, such as CLOUDFLARE_API_TOKEN, in the environment of
    /// command:COMMAND; may be repeated
    #[arg(long, value_name = "NAME", value_parser = API_CREDENTIALS, hide_possible_values = true)]
    pub(crate) keep_env: Vec<String>,
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct Update {
    /// The token's id, as `list` shows it; not the client id
    pub(crate) id: String,
    /// A new name
    #[arg(long, group = "change")]
    pub(crate) name: Option<String>,
    /// How long the token is valid from now on: a span, such as 90d, or `forever`
    #[arg(long, group = "change", value_name = "SPAN", value_parser = time::token_duration)]
    pub(crate) duration: Option<TokenDuration>,
    /// When the previous secret expires: a time such as 2027-01-31T12:00:00Z, a date, or a
    /// span from now such as 2h; 0s ends it at once
    #[arg(long, group = "change", value_name = "WHEN", value_parser = time::When::parse)]
    pub(crate) old_secret_until: Option<time::When>,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) tokens: Tokens,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
All users of the token must get the new secret before the old one expires. To keep a
token alive, don't rotate: refresh or renew it, and its secret stays the same.

A token has at most two secrets. So a second rotate ends the previous secret at once,
whatever its grace period, and that may be the one in use. While the journal has a
running grace period, a rotate needs --end-grace or --revoke-now.

A rotate without a response may still take effect. For five minutes the same command
waits on a terminal, and exits with 4 elsewhere. Then it reads the token twice, and goes
on only if nothing has changed it. The first ctrl-c waits for the response; a second one
ends the command.

Examples:
  cf-service-tokens rotate ID --secret-to /etc/deploy/secret
  cf-service-tokens rotate ID --grace 7d --secret-to env-file:/etc/deploy.env
  cf-service-tokens rotate ID --secret-to 'command:vault kv put secret/app key=-'")]
pub(crate) struct Rotate {
    /// The token's id, as `list` shows it; not the client id
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) delivery: Delivery,
    /// Grace period in which the old secret still works, from 10m to 365d
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = time::grace)]
    pub(crate) grace: Duration,
    /// Rotate during the grace period of an earlier rotate; the previous secret expires
    /// at once
    #[arg(long)]
    pub(crate) end_grace: bool,
    /// End the old secret at once: everything that still uses it breaks
    #[arg(long, conflicts_with = "grace")]
    pub(crate) revoke_now: bool,
}

/// The window in which tokens are due.
#[derive(Args, Debug)]
pub(crate) struct Window {
    /// How long before its expiry a token is due, from 1h to 364d
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = time::window)]
    pub(crate) within: Duration,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
A token that expired less than the window ago is renewed like any other due token. An
older one needs --include-expired. Until it is renewed, deleted, disabled or excluded,
the command names it and exits with 1. Each renewal is verified: the expiry must have
moved.

Daily from cron, which sends mail only if something failed:
  17 4 * * *  $HOME/.cargo/bin/cf-service-tokens renew --quiet

In a pipeline, to fail if a token is due:
  cf-service-tokens renew --dry-run --within 14d")]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) window: Window,
    /// How far to move the expiry
    #[arg(long, value_name = "WAY", default_value = "refresh")]
    pub(crate) by: By,
    /// Show which tokens are due, and change nothing; exit with 5 if any is
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Keep running and renew tokens as they become due
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) watch: bool,
    /// With --watch, serve /metrics, /healthz, /readyz and a page with the report at
    /// this address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS", requires = "watch", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// With --watch, the longest time between two passes, from 1m [default: about a day]
    ///
    /// A pass costs one request, and notices what was changed elsewhere. SIGHUP begins one
    /// at once.
    #[arg(long, value_name = "SPAN", requires = "watch", value_parser = time::interval)]
    pub(crate) interval: Option<Duration>,
    /// Renew only part I of N of the tokens, from 0, so that N programs share the work
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// Renew only the token with this name or id; may be repeated
    #[arg(long, value_name = "NAME|ID", action = ArgAction::Append)]
    pub(crate) only: Vec<String>,
    /// Exclude the token with this name or id; may be repeated
    #[arg(long, value_name = "NAME|ID", action = ArgAction::Append)]
    pub(crate) except: Vec<String>,
    /// Also renew tokens that expired longer ago than the window; they work again
    #[arg(long)]
    pub(crate) include_expired: bool,
    /// Also renew disabled tokens; they stay disabled
    #[arg(long)]
    pub(crate) include_disabled: bool,
}

/// How far a renewal moves the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// To a year from now, whatever the token's duration
    Refresh,
    /// To the token's own duration from now
    Duration,
}

#[derive(Args, Debug)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) window: Window,
    /// Write the report as an HTML page to this file, or to standard output for `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Exit with 1 if a token is due or has expired
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
`create` and `rotate` record their intent before they call the API, and the secret
before they do anything else with it. If they are killed, the journal has the rest.
Secrets are never shown: `finish` stores them in their sink. A response that is not the
documented one is kept as it came, until `discard` removes it.")]
pub(crate) struct JournalArguments {
    #[command(subcommand)]
    pub(crate) command: Option<JournalCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// List the entries, and what to do about each
    List,
    /// Store the secret of an entry in its sink
    Finish {
        /// The entry, as `journal list` shows it
        entry: String,
        /// Another sink than that of the entry
        #[arg(long, value_name = "SINK")]
        secret_to: Option<Sink>,
        /// Keep this API credential, such as CLOUDFLARE_API_TOKEN, in the environment of
        /// command:COMMAND; may be repeated
        #[arg(long, value_name = "NAME", value_parser = API_CREDENTIALS, hide_possible_values = true)]
        keep_env: Vec<String>,
    },
    /// Remove an entry, and the secret in it
    Discard {
        /// The entry, as `journal list` shows it
        entry: String,
        /// Skip the confirmation prompt
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
Prints the variables that the command needs, as shell commands, and shows each request
on standard error. In one terminal:
  cf-service-tokens simulate > simulator.env

In another:
  . ./simulator.env
  cf-service-tokens list

Its responses hold what Cloudflare's document promises and nothing more. The program
cf-service-tokens-simulator has options for an API that differs from the document.")]
pub(crate) struct Simulate {
    /// The loopback address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = address)]
    pub(crate) listen: SocketAddr,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  cf-service-tokens completions bash > /etc/bash_completion.d/cf-service-tokens
  cf-service-tokens completions zsh > \"${fpath[1]}/_cf-service-tokens\"
  cf-service-tokens completions fish > ~/.config/fish/completions/cf-service-tokens.fish")]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Write a page for each command to this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) to: Option<PathBuf>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:9464 or [::1]:9464".to_owned()
    })
}
