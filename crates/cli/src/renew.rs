//! `renew`: renews all due tokens, once or for as long as it runs.

pub(crate) mod once;
pub(crate) mod record;
pub(crate) mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use cf_service_tokens::renewal::{RenewBy, RenewalPolicy, Shard};
use clap::{ArgAction, Args, ValueEnum};

use crate::arguments::address;
use crate::commands::select;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::keep::Kept;
use crate::output::{self, Output};
use crate::time;

/// The accounts whose tokens a command reads.
#[derive(Args, Debug)]
pub(crate) struct Everywhere {
    /// Use every account that the credentials see, rather than those of --account
    ///
    /// This needs the permission "Account Settings Read" in addition to those for service
    /// tokens.
    #[arg(long)]
    pub(crate) all_accounts: bool,
}

/// The window in which tokens are due.
#[derive(Args, Debug)]
pub(crate) struct Window {
    /// How long before its expiry a token is due, from 1h to 364d [default: 30d]
    #[arg(long, value_name = "SPAN", value_parser = time::window)]
    pub(crate) within: Option<Duration>,
}

impl Window {
    /// Returns the window of tokens for which no configuration file sets one.
    pub(crate) fn within(&self) -> Duration {
        self.within.unwrap_or(time::WINDOW)
    }
}

/// The passes of a command, and what is shown of them.
#[derive(Args, Debug)]
pub(crate) struct Passes {
    /// Show the tokens that are not due, too
    #[arg(long, conflicts_with = "watch")]
    pub(crate) all: bool,
    /// Keep running, and make a pass whenever something becomes due
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
}

#[derive(Args, Debug)]
#[command(after_long_help = "\
A token that expired less than the window ago is renewed like any other due token. An
older one needs --include-expired. Until it is renewed, deleted, disabled or excluded,
the command names it and exits with 1. Each renewal is verified: the expiry must have
moved.

Daily from cron, which sends mail only if something failed (see `crontab -e`):
  CLOUDFLARE_ACCOUNT_ID=023e105f4ecef8ad9ca31a8372d0c353
  CLOUDFLARE_API_TOKEN_FILE=/etc/cf-service-tokens/api-token
  17 4 * * *  $HOME/.cargo/bin/cf-service-tokens renew --quiet

In a pipeline, to fail if a token is due:
  cf-service-tokens renew --dry-run --within 14d")]
pub(crate) struct Renew {
    #[command(flatten)]
    pub(crate) everywhere: Everywhere,
    #[command(flatten)]
    pub(crate) window: Window,
    /// How far to move the expiry
    #[arg(long, value_name = "WAY", default_value = "refresh")]
    pub(crate) by: By,
    /// Show which tokens are due, and change nothing; exit with 5 if any is
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) passes: Passes,
    /// Renew only the accounts in part I of N, from 0, so that N programs share the accounts
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,
    /// Renew only the token with this name, id or client id; may be repeated
    #[arg(long, value_name = "TOKEN", action = ArgAction::Append)]
    pub(crate) only: Vec<String>,
    /// Exclude the token with this name, id or client id; may be repeated
    #[arg(long, value_name = "TOKEN", action = ArgAction::Append)]
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

/// An account to renew, and how.
pub(crate) struct Job {
    pub(crate) account: Connection,
    pub(crate) policy: RenewalPolicy,
    /// The window of the policy.
    pub(crate) window: Duration,
    /// What `keep` does beside; `None` for `renew`.
    pub(crate) kept: Option<Kept>,
}

impl Renew {
    /// Returns what there is to do in the accounts of the shard.
    ///
    /// # Errors
    ///
    /// If a secret stands in the place of a token.
    pub(crate) fn jobs(
        &self,
        accounts: Vec<Connection>,
        output: &Output,
    ) -> Result<Vec<Job>, Failure> {
        let policy = self.policy()?;
        let accounts = self.of_shard(accounts, output).into_iter();
        let job = |account| Job {
            account,
            policy: policy.clone(),
            window: self.window.within(),
            kept: None,
        };
        Ok(accounts.map(job).collect())
    }

    /// Returns the names and ids of tokens in the arguments.
    pub(crate) fn names(&self) -> Vec<String> {
        self.only.iter().chain(&self.except).cloned().collect()
    }

    /// Returns the policy that the arguments describe.
    ///
    /// # Errors
    ///
    /// If a secret stands in the place of a token.
    pub(crate) fn policy(&self) -> Result<RenewalPolicy, Failure> {
        for asked in self.names() {
            select::require_no_secret(&asked)?;
        }
        let policy = RenewalPolicy::new()
            .window(self.window.within())
            .by(match self.by {
                By::Refresh => RenewBy::Refresh,
                By::Duration => RenewBy::Duration,
            })
            .include_expired(self.include_expired)
            .include_disabled(self.include_disabled)
            .except(&self.except)
            .dry_run(self.dry_run);
        Ok(match self.only.is_empty() {
            true => policy,
            false => policy.only(&self.only),
        })
    }

    /// Returns the accounts of the shard, all without one, and says so if there is none.
    fn of_shard(&self, mut accounts: Vec<Connection>, output: &Output) -> Vec<Connection> {
        if let Some(shard) = self.shard {
            let count = accounts.len();
            accounts.retain(|account| shard.holds(account.account_id()));
            if accounts.is_empty() && !output.quiet {
                let of = if count == 1 {
                    "the account"
                } else {
                    "no account"
                };
                let not = if count == 1 { "not " } else { "" };
                output::remark(format!("{of} is {not}in shard {shard}: nothing to do"));
            }
        }
        accounts
    }
}
