//! The command line.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cf_service_tokens::TokenDuration;
use cf_service_tokens::renewal::Shard;
use chrono::{DateTime, Utc};
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::sink::Sink;

/// The exit codes, as the help shows them; the README has the same.
const EXIT_CODES: &str = "\
Exit codes:
  0  all is well
  1  something failed: a token was not found, not renewed, or is refused by the app
  2  the command line can't be carried out; nothing was changed
  3  the credentials are missing, not accepted, or lack a permission
  4  the API, or the app of `verify`, could not be reached or could not answer now;
     try again later
  5  --dry-run found tokens that are due

Try it with nothing configured:
  cf-service-tokens --simulate list
  cf-service-tokens --simulate renew --dry-run

With an API token that has the permission \"Access: Service Tokens Write\":
  export CLOUDFLARE_API_TOKEN=... CLOUDFLARE_ACCOUNT_ID=...
  cf-service-tokens renew --within 30d";

/// Keeps Cloudflare Access service tokens alive.
///
/// A service token lets a machine pass Cloudflare Access. It lapses a year after
/// it was made, and then the app behind Access answers with a bare 403. `renew`
/// moves the expiry of every token that falls due one year ahead; the secret stays
/// as it is. `rotate` makes a new secret, and brings it safely to where it is kept.
///
/// Credentials come from the environment (CLOUDFLARE_API_TOKEN, or
/// CLOUDFLARE_EMAIL with CLOUDFLARE_API_KEY) or from a file (--api-token-file),
/// never from the command line, which other users of the machine can read. Times
/// are in UTC.
#[derive(Debug, Parser)]
#[command(name = "cf-service-tokens", version, after_long_help = EXIT_CODES, max_term_width = 100)]
#[command(disable_help_subcommand = true, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The account whose tokens these are [env: CLOUDFLARE_ACCOUNT_ID]
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) account: Option<String>,
    /// A file that holds the API token and nothing else, in place of the
    /// credentials in the environment
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) api_token_file: Option<PathBuf>,
    /// How results are written to standard output
    #[arg(
        long,
        short,
        global = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub(crate) output: Format,
    /// Works on a simulated account, which is gone when the command ends
    ///
    /// The account has ten tokens: well, due, expired, disabled, and without an end.
    /// No credentials are needed and nothing leaves the machine.
    /// To keep a simulated account between commands, use `simulate`.
    #[arg(long, global = true)]
    pub(crate) simulate: bool,
    /// Says nothing but results and errors; of several tokens, a table has only
    /// those that failed
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Shows each request to the API on standard error, without secrets
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
    /// Where `create` and `rotate` note what they are about to do, and the secret
    /// until it is delivered
    ///
    /// Without it: $STATE_DIRECTORY, or the directory cf-service-tokens in
    /// $XDG_STATE_HOME or ~/.local/state. It must outlive a crash, belong to who runs
    /// the command, and be writable by nobody else.
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

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people: aligned columns, fitted to the terminal
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line, as results come
    Jsonl,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists service tokens, with when each one lapses
    List(List),
    /// Shows all that the API tells of one token
    Show(OneToken),
    /// Makes a token, and brings its secret to where it is kept
    Create(Create),
    /// Changes a token's name or duration, or when its old secret ends
    Update(Update),
    /// Lets disabled tokens authenticate again
    Enable(Tokens),
    /// Stops tokens from authenticating, and keeps them
    Disable(Tokens),
    /// Deletes tokens
    Delete(Delete),
    /// Moves the expiry of these tokens one year ahead; their secrets stay
    Refresh(Tokens),
    /// Gives a token a new secret, and brings it to where it is kept
    Rotate(Rotate),
    /// Renews all tokens that fall due
    Renew(Renew),
    /// Tries a token's secret on an app behind Access
    Verify(Verify),
    /// Says what lapses when, the first to lapse first
    Report(Report),
    /// Finds, finishes or discards what an interrupted `create` or `rotate` left
    Journal(JournalArguments),
    /// Runs a simulator of Cloudflare's API, to try the command on
    Simulate(Simulate),
    /// Prints the completions for a shell
    Completions(Completions),
    /// Prints the manual page, or writes one for each command
    Man(Man),
}

#[derive(Args, Debug)]
pub(crate) struct List {
    /// Only the tokens of this very name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only the tokens that have this text in their name or id
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct OneToken {
    /// The token's id, as `list` shows it; it is not the client id
    pub(crate) id: String,
}

#[derive(Args, Debug)]
pub(crate) struct Tokens {
    /// The tokens' ids, as `list` shows them; they are not the client ids
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<String>,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
Example:
  cf-service-tokens create deploy --duration 720h --secret-to env-file:deploy.env")]
pub(crate) struct Create {
    /// The name that people know the token by
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) delivery: Delivery,
    /// How long it lives, such as 8760h or `forever`; a year without it
    #[arg(long)]
    pub(crate) duration: Option<TokenDuration>,
}

/// Where a new secret goes.
#[derive(Args, Debug)]
pub(crate) struct Delivery {
    /// Where the secret goes: FILE, env-file:FILE, command:COMMAND or stdout
    ///
    /// The API shows a secret once. So its destination is tried before the API is
    /// called, and the secret is kept in the journal until it has arrived.
    ///
    ///   FILE, file:FILE   the secret alone, without a line break
    ///   env-file:FILE     CF_ACCESS_CLIENT_ID=... and CF_ACCESS_CLIENT_SECRET=...;
    ///                     other lines of the file stay
    ///   command:COMMAND   run by `sh -c`, with the secret on its standard input and
    ///                     CF_ACCESS_CLIENT_ID in its environment; it must fail if it
    ///                     could not store the secret
    ///   stdout, -         standard output; all else goes to standard error
    ///
    /// A file is readable by its owner alone (0600) and replaced as a whole.
    #[arg(long, value_name = "SINK", verbatim_doc_comment)]
    pub(crate) secret_to: Sink,
}

#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct Update {
    /// The token's id, as `list` shows it; it is not the client id
    pub(crate) id: String,
    /// A new name
    #[arg(long, group = "change")]
    pub(crate) name: Option<String>,
    /// How long it lives from now on, such as 8760h or `forever`
    #[arg(long, group = "change")]
    pub(crate) duration: Option<TokenDuration>,
    /// Until when the secret before the newest one works: a time such as
    /// 2027-01-31T12:00:00Z, or how long from now such as 2h; 0s ends it at once
    #[arg(long, group = "change", value_name = "WHEN", value_parser = time_or_span)]
    pub(crate) old_secret_until: Option<When>,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) tokens: Tokens,
    /// Does not ask whether that is meant
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
Whoever uses the token must get the new secret before the old one ends. To keep a
token alive, don't rotate: refresh or renew it, and its secret stays.

A token has two secrets at most. So a second rotate ends the secret before the last at
once, whatever its grace, and it may be the one in use. While the journal knows of a
grace that runs, a rotate is refused unless --end-grace or --revoke-now is given.

Examples:
  cf-service-tokens rotate ID --secret-to /etc/deploy/secret
  cf-service-tokens rotate ID --grace 7d --secret-to env-file:/etc/deploy.env
  cf-service-tokens rotate ID --secret-to 'command:vault kv put secret/app key=-'")]
pub(crate) struct Rotate {
    /// The token's id, as `list` shows it; it is not the client id
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) delivery: Delivery,
    /// How long the old secret works beside the new one
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,
    /// Rotates even while the grace of an earlier rotate runs: the secret before the
    /// last dies at once
    #[arg(long)]
    pub(crate) end_grace: bool,
    /// Ends the old secret at once: whatever still uses it breaks
    #[arg(long, conflicts_with = "grace")]
    pub(crate) revoke_now: bool,
}

/// What is due, and when.
#[derive(Args, Debug)]
pub(crate) struct Window {
    /// How long before its expiry a token falls due
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = humantime::parse_duration)]
    pub(crate) within: Duration,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
A token that expired less than the window ago is renewed like any other that is due.
Older ones need --include-expired: they may have been left to expire on purpose. Each
renewal is verified: the expiry must have moved.

From cron, daily; mail comes only if something failed:
  17 4 * * *  $HOME/.cargo/bin/cf-service-tokens renew --quiet

In a pipeline, to fail if something is due:
  cf-service-tokens renew --dry-run --within 14d")]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) window: Window,
    /// By how much a token's life is lengthened
    #[arg(long, value_name = "WAY", default_value = "refresh")]
    pub(crate) by: By,
    /// Says what would be renewed, and changes nothing; ends with code 5 if
    /// anything is due
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Stays, and renews each token when it falls due
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) watch: bool,
    /// With --watch, serves /metrics, /healthz, /readyz and a page with the report
    /// here, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS", requires = "watch", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Only part I of N of the tokens, from 0, so that N programs share the work
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// Only the token of this name or id; may be given several times
    #[arg(long, value_name = "NAME|ID", action = ArgAction::Append)]
    pub(crate) only: Vec<String>,
    /// Not the token of this name or id; may be given several times
    #[arg(long, value_name = "NAME|ID", action = ArgAction::Append)]
    pub(crate) except: Vec<String>,
    /// Also tokens that expired longer ago than the window, which makes them work again
    #[arg(long)]
    pub(crate) include_expired: bool,
    /// Also disabled tokens, which does not enable them
    #[arg(long)]
    pub(crate) include_disabled: bool,
}

/// By how much a token's life is lengthened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// One year from now, whatever the token's duration
    Refresh,
    /// The token's own duration from now
    Duration,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
The credentials are looked for in CF_ACCESS_CLIENT_ID and CF_ACCESS_CLIENT_SECRET,
unless a file is named. With --simulate, and nothing else, a new token is tried on a
simulated app.

Examples:
  cf-service-tokens verify --url https://app.example.com --env-file deploy.env
  cf-service-tokens verify --url https://app.example.com \\
    --client-id 88bf3b6d.access.example.com --secret-file /etc/deploy/secret")]
pub(crate) struct Verify {
    /// The app behind Access
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// A file with CF_ACCESS_CLIENT_ID=... and CF_ACCESS_CLIENT_SECRET=..., as
    /// `--secret-to env-file:` writes it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client_id", "secret_file"])]
    pub(crate) env_file: Option<PathBuf>,
    /// The client id, which goes with --secret-file
    #[arg(long, value_name = "ID", requires = "secret_file")]
    pub(crate) client_id: Option<String>,
    /// A file that holds the secret alone, as `--secret-to FILE` writes it
    #[arg(long, value_name = "FILE", requires = "client_id")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Sends both in this one header, for an app that is set up to read them there
    #[arg(long, value_name = "NAME")]
    pub(crate) single_header: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) window: Window,
    /// Writes the report as a page to this file, in place of the table
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
`create` and `rotate` note what they are about to do before the API is called, and
the secret before anything else is done with it. What they leave behind if they are
killed is found here. Secrets are never shown: `finish` brings them to their sink.")]
pub(crate) struct JournalArguments {
    #[command(subcommand)]
    pub(crate) command: Option<JournalCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Lists what was left, and says what to do about it
    List,
    /// Brings a secret that was left to its sink
    Finish {
        /// The entry, as `journal list` shows it
        entry: String,
        /// Another sink than the one it was meant for
        #[arg(long, value_name = "SINK")]
        secret_to: Option<Sink>,
    },
    /// Forgets an entry, and the secret in it
    Discard {
        /// The entry, as `journal list` shows it
        entry: String,
        /// Does not ask whether that is meant
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
It prints the variables that the command needs, as a shell reads them, and shows each
request on standard error. In one terminal:
  cf-service-tokens simulate > simulator.env

In another:
  . ./simulator.env
  cf-service-tokens list

It answers as Cloudflare's document promises, and nothing more. The program
cf-service-tokens-simulator has options for an API that departs from it.")]
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
    /// Writes a page for each command into this directory
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) to: Option<PathBuf>,
}

/// A point in time, or how far it is from now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    At(DateTime<Utc>),
    In(Duration),
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address and a port are needed, such as 127.0.0.1:9464 or [::1]:9464".to_owned()
    })
}

fn time_or_span(text: &str) -> Result<When, String> {
    if let Ok(at) = text.parse() {
        return Ok(When::At(at));
    }
    humantime::parse_duration(text)
        .map(When::In)
        .map_err(|error| {
            format!("neither a time such as 2027-01-31T12:00:00Z nor a span such as 2h: {error}")
        })
}
